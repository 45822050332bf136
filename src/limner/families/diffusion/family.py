"""The families of diffusion models, all on one driver: facts in, cards and pictures out."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from limner.domain.capability import Capability, Range, Sizes, TaskInputs
from limner.domain.card import Installed, ModelCard
from limner.domain.composition import ControlKind, Purpose
from limner.domain.errors import WeightsRejected
from limner.domain.recipe import InputRole, Recipe, Size, Task
from limner.families.checkpoint import own_name
from limner.families.diffusion.calls.arguments import OWN, manner_of
from limner.families.diffusion.drawing.extras import extras_of
from limner.families.diffusion.drawing.tiny_decoder import tiny_decoder_of
from limner.families.diffusion.known.facts import FACTS, Facts, architecture_of, facts_of
from limner.families.diffusion.loading.lending import check_alone, lacking, loan_of, opened
from limner.families.diffusion.loading.single import (
    Single,
    check_single,
    describes_itself,
    recognise_single,
)
from limner.families.diffusion.planning.activations import Work
from limner.families.diffusion.recognition.adapters import METHODS
from limner.families.diffusion.recognition.files import SINGLE, file_of, files_of
from limner.families.diffusion.recognition.finding import Finding, Kind, Prediction
from limner.families.diffusion.recognition.folders import INDEX, recognise_folder
from limner.families.diffusion.recognition.layouts import recognise_file
from limner.families.diffusion.recognition.learnt import Learnt
from limner.families.diffusion.recognition.licences import licence_of
from limner.families.diffusion.recognition.sides import as_trained
from limner.families.diffusion.sampling.samplers import samplers_for, schedules_for
from limner.families.family import Hash, LoadedModel, Placement, Published, count_shown

_INPUTS: Mapping[Task, TaskInputs] = MappingProxyType(
    {
        Task.TEXT_TO_IMAGE: TaskInputs(task=Task.TEXT_TO_IMAGE),
        Task.IMAGE_TO_IMAGE: TaskInputs(task=Task.IMAGE_TO_IMAGE, required=(InputRole.INIT,)),
        Task.INPAINT: TaskInputs(task=Task.INPAINT, required=(InputRole.INIT, InputRole.MASK)),
        Task.OUTPAINT: TaskInputs(task=Task.OUTPAINT, required=(InputRole.INIT,)),
        Task.EDIT: TaskInputs(task=Task.EDIT, required=(InputRole.INIT,)),
        Task.UPSCALE: TaskInputs(task=Task.UPSCALE, required=(InputRole.INIT,)),
    }
)


_DRAWING = (Kind.PIPELINE, Kind.CHECKPOINT, Kind.DENOISER)

_REFINED = 0.3
"""How much of a picture is redrawn where it is only to become larger."""

_WHOLE = (Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE)
"""Tasks that a layout is for: they draw the whole picture."""


@dataclass(frozen=True)
class DiffusionFamily:
    """A family of diffusion models that diffusers can run; its name is that of its facts."""

    name: str

    def cards(self) -> tuple[ModelCard, ...]:
        """None: these models are the user's own, found where they lie."""
        return ()

    def published(self) -> tuple[Published, ...]:
        """Where its variants were published, and on which terms."""
        return tuple(
            Published(one.name, facts.title, facts.licence, one.gated)
            for (family, _), facts in FACTS.items()
            for one in facts.repositories
            if family == self.name
        )

    def recognise(self, path: Path, sha256_of: Hash, /) -> ModelCard | None:
        """Return the card of a diffusers folder or a single file of this family, or None.

        Raises WeightsRejected with the reason for one that is damaged, cut short or pickled, for
        a variant that is known and not drawn with, and for a file without all that draws.
        """
        folder = (path / INDEX).is_file()
        found = recognise_folder(path) if folder else recognise_single(path)
        if found is None:
            return None
        if found.kind in (Kind.REFUSED, Kind.LENDER):
            raise WeightsRejected(found.reason)
        if found.kind not in _DRAWING or found.family != self.name:
            return None
        facts = facts_of(found.family, found.variant)
        if not (facts.pipelines or facts.controls):
            raise WeightsRejected(
                f"{path.name} is {facts.title}, which Limner knows and does not draw with."
            )
        if not folder:
            (check_single if describes_itself(found) else check_alone)(path, found)
        return ModelCard(
            name=own_name(path),
            title=facts.title,
            summary=found.reason,
            family=found.family,
            variant=found.variant,
            files=files_of(path, sha256_of) if folder else (file_of(path, sha256_of),),
            licence=licence_of(path, facts),
            homepage=facts.homepage,
            capability=_capability(as_trained(path, facts), found),
        )

    def load(self, installed: Installed, placement: Placement, /) -> LoadedModel:
        """Load the pipeline with diffusers.

        Raises WeightsRejected where it cannot be, and ModelUnavailable for a file of a denoiser
        whose other parts are nowhere.
        """
        from limner.families.diffusion.drawing.model import Beside, DiffusionModel
        from limner.families.diffusion.loading.room import Room
        from limner.families.diffusion.loading.ways import load_fitting

        card, lent = installed.card, ""
        work = _work_of(card, placement.size, placement.shown)
        with _described(installed) as (folder, found, single):
            loaded = load_fitting(folder, work, placement, single)
            if single is not None:
                lent = loan_of(folder, single, found)
        manner = manner_of(facts_of(card.family, card.variant), found.prediction)
        tiny = tiny_decoder_of(card.family, _place(installed))
        room = Room(loaded, placement, partial(_work_like, card))
        beside = Beside(lent, tiny, room)
        threads, way = placement.threads, loaded.way
        return DiffusionModel(loaded.pipeline, manner, loaded.device, threads, way, beside)

    def lacks(self, path: Path, lenders: Sequence[Path], /) -> str:
        """Return what a file lacks to be drawn with; see `families.family.Borrows`."""
        found = recognise_single(path)
        if found is None or found.kind not in _DRAWING:
            return ""
        return lacking(path, found, lenders)

    def plan(self, installed: Installed, size: Size, /) -> tuple[str, ...]:
        """Return what drawing at a size would take here; see `families.family.Plans`."""
        from limner.families.diffusion.loading.ways import inventory_of, machine_for
        from limner.families.diffusion.planning.planner import describe

        with _described(installed) as (folder, _, single):
            parts = inventory_of(folder, single)
        return describe(parts, _work_of(installed.card, size, 0), machine_for(single))

    def device_memory(self) -> int | None:
        """Return the bytes of a GPU's memory; see `families.family.Computes`."""
        from limner.families.diffusion.loading.hardware import device_memory

        return device_memory()


@contextmanager
def _described(installed: Installed) -> Iterator[tuple[Path, Finding, Single | None]]:
    """Give the folder that describes a model, what is known of it, and its single file, if any."""
    place = _place(installed)
    if INDEX in installed.files:
        yield place, recognise_folder(place), None
        return
    found = replace(recognise_file(place), variant=installed.card.variant)
    with opened(place, found, installed.lenders) as (folder, single):
        yield folder, found, single


def _place(installed: Installed) -> Path:
    """Return the folder of a model, or its single file."""
    index = installed.files.get(INDEX)
    return installed.files[SINGLE] if index is None else index.parent


def _work_of(card: ModelCard, size: Size | None, shown: int) -> Work:
    """Return what memory is planned for: a native size, the usual one where none is known."""
    able, sizes = card.capability, card.capability.sizes
    return Work(
        size or sizes.default or Size(width=512, height=512),
        guided=able.negative_prompt,
        references=shown if able.sees else min(shown, able.supports(Task.EDIT)),
        least=sizes.drawn[0] if sizes.drawn else 0,
    )


def _work_like(card: ModelCard, recipe: Recipe, pictures: int) -> Work:
    """Return what drawing some pictures of a Recipe at once is."""
    work = _work_of(card, recipe.native_size, count_shown(recipe))
    guided = work.guided and (recipe.guidance is None or recipe.guidance > 1)
    return replace(work, batch=pictures, guided=guided)


def _capability(facts: Facts, found: Finding) -> Capability:
    prediction = _prediction(facts, found)
    shared = architecture_of(facts.family)
    redraws = Task.IMAGE_TO_IMAGE in (facts.pipelines or facts.controls)
    follows = not facts.pipelines
    steered = follows or bool(shared.controlnet)
    return Capability(
        tasks=tuple(_INPUTS[task] for task in _tasks(facts)),
        sizes=Sizes(default=facts.size, drawn=facts.area, multiple=facts.multiple),
        steps=facts.steps,
        guidance=facts.guidance,
        guidance_meaning=facts.guidance_meaning,
        text_encoders=facts.text_encoders,
        prompt_tokens=facts.prompt_tokens,
        strength=Range[float](low=0.0, high=1.0, default=facts.strength) if redraws else None,
        samplers=(OWN, *samplers_for(prediction)),
        schedules=(OWN, *schedules_for(Learnt(prediction, facts.family))),
        usual=_usual(facts),
        negative_prompt=facts.negative_prompt,
        adapters=METHODS,
        controls=_followed(facts) if steered else (),
        controlled=_controlled(facts) if steered else (),
        most_controls=shared.most_controls,
        timed=shared.timed_controls,
        follows=follows,
        refines=_REFINED if redraws and not follows else None,
        **_references(facts),
        layout=tuple(one for one in _tasks(facts) if one in _WHOLE and shared.regions),
        extras=extras_of(facts),
    )


def _usual(facts: Facts) -> tuple[str, str] | None:
    if facts.sampler is None or facts.schedule is None:
        return None
    return facts.sampler.value, facts.schedule.value


def _references(facts: Facts) -> dict[str, Any]:
    """Return what a variant takes from references, and in which tasks."""
    adapted = architecture_of(facts.family).ip_adapter
    if adapted:
        return {"references": adapted, "referred": _tasks(facts)}
    if facts.told_pictures:
        return {"references": (Purpose.SUBJECT,), "referred": _tasks(facts)}
    if not facts.most_seen:
        return {}
    return {
        "references": (Purpose.SUBJECT,),  # what to take, the words say
        "referred": tuple(one for one in facts.pipelines if one in facts.sees_in),
        "most_references": facts.most_seen,
        "sees": True,
    }


def _tasks(facts: Facts) -> tuple[Task, ...]:
    larger = (Task.UPSCALE,) if Task.IMAGE_TO_IMAGE in facts.pipelines else ()
    return (*_around(facts.pipelines or facts.controls), *larger)


def _around(pipelines: Mapping[Task, str]) -> tuple[Task, ...]:
    """Return what pipelines do: those that fill holes draw more around a picture, too."""
    around = (Task.OUTPAINT,) if Task.INPAINT in pipelines else ()
    return (*pipelines, *around)


def _controlled(facts: Facts) -> tuple[Task, ...]:
    """Return the tasks in which a variant follows controls: enlarging is redrawing, in tiles."""
    redrawing = Task.IMAGE_TO_IMAGE in facts.pipelines and Task.IMAGE_TO_IMAGE in facts.controls
    return (*_around(facts.controls), *((Task.UPSCALE,) if redrawing else ()))


def _followed(facts: Facts) -> tuple[ControlKind, ...]:
    """Return what a variant follows: the kind it learnt itself, or any, with ControlNets."""
    learnt = tuple(kind for kind in ControlKind if facts.variant.startswith(f"{kind}-"))
    return learnt or tuple(ControlKind)


def _prediction(facts: Facts, found: Finding) -> Prediction:
    return found.prediction or facts.prediction


STABLE_DIFFUSION_1 = DiffusionFamily("sd1")
STABLE_DIFFUSION_2 = DiffusionFamily("sd2")
STABLE_DIFFUSION_XL = DiffusionFamily("sdxl")
STABLE_DIFFUSION_3 = DiffusionFamily("sd3")
FLUX_1 = DiffusionFamily("flux1")
FLUX_2 = DiffusionFamily("flux2")
CHROMA = DiffusionFamily("chroma")
KREA_2 = DiffusionFamily("krea2")
QWEN_IMAGE = DiffusionFamily("qwen-image")
Z_IMAGE = DiffusionFamily("z-image")
SANA = DiffusionFamily("sana")
PIXART = DiffusionFamily("pixart")
