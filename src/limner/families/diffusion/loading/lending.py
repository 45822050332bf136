"""A denoiser in one file, drawn with the other parts of a model that is here as a folder."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from limner.domain.errors import ModelUnavailable, WeightsRejected
from limner.families.diffusion.known.facts import architecture_of, facts_of
from limner.families.diffusion.loading.pipelines import libraries
from limner.families.diffusion.loading.single import Single, whole
from limner.families.diffusion.recognition.finding import Finding, Kind
from limner.families.diffusion.recognition.folders import DENOISERS, INDEX, recognise_folder
from limner.families.diffusion.recognition.headers import read_header
from limner.families.diffusion.recognition.tensors import Part

_UNREAD = frozenset(
    {"nf4", "fp4", "nvfp4", "svdquant int4", "SDNQ", "bitsandbytes int8", "GPTQ", "I8 scaled"}
)
"""Number formats that only the programs they were made for can unpack."""


def check_alone(path: Path, found: Finding) -> None:
    """Raise WeightsRejected where a denoiser alone cannot be drawn with, whatever else is here."""
    if found.precision in _UNREAD:
        raise WeightsRejected(
            f"{path.name} is packed as {found.precision}, which Limner does not unpack. Get the "
            "same model as fp8, GGUF, or in 16 bits."
        )


@contextmanager
def opened(
    path: Path, found: Finding, neighbours: Callable[[], Iterable[Path]]
) -> Iterator[tuple[Path, Single]]:
    """Give the folder that describes a model in one file, and its parts, for a while.

    `neighbours` finds folders that may lend what a denoiser alone lacks. Raises as `whole` and
    `borrowed` do.
    """
    if found.kind is Kind.DENOISER:
        yield borrowed(path, found, neighbours())
    else:
        with whole(path, found) as described:
            yield described


def loan_of(folder: Path) -> str:
    """Return words for an Environment: whose other parts were used, told from others by sizes."""
    sizes = sorted(
        (one.relative_to(folder).as_posix(), one.stat().st_size)
        for one in folder.rglob("*.safetensors")
    )
    mark = sha256(json.dumps(sizes).encode()).hexdigest()[:8]
    return f"other parts of {folder.name} ({mark})"


def borrowed(path: Path, found: Finding, folders: Iterable[Path]) -> tuple[Path, Single]:
    """Return the folder that lends the other parts, and the denoiser of the file.

    The first of `folders` with the same variant is taken, else, where the variants of a family
    share their other parts, with any. Raises ModelUnavailable, naming what is missing, where none
    is here.
    """
    check_alone(path, found)
    lender = _lender(found, folders)
    if lender is None:
        raise ModelUnavailable(_missing(path, found))
    folder, lent = lender
    name = next(one for one in DENOISERS if (folder / one).is_dir())
    single = Single(path, {name: found.prefix})
    if lent.variant == found.variant:
        return folder, single
    return folder, _as_its_own(single, name, found)


def _lender(found: Finding, folders: Iterable[Path]) -> tuple[Path, Finding] | None:
    seen = [(one, recognise_folder(one)) for one in folders if (one / INDEX).is_file()]
    kin = [
        (folder, lent)
        for folder, lent in seen
        if lent.kind is Kind.PIPELINE and lent.family == found.family
    ]
    same = [one for one in kin if one[1].variant == found.variant]
    return next(iter(same or (kin if architecture_of(found.family).shared_parts else [])), None)


def _missing(path: Path, found: Finding) -> str:
    facts = facts_of(found.family, found.variant)
    *encoders, last = (*facts.text_encoders, "the autoencoder")
    source = facts.repositories[0].name if facts.repositories else ""
    where = f": {source} on the model hub, say" if source else ""
    return (
        f"{path.name} is the denoiser of {facts.title} alone. To draw, {', '.join(encoders)} and "
        f"{last} are needed, too. Get the folder of {facts.title}{where}, and tell "
        "Limner where it lies: limner models add FOLDER."
    )


_STEADY = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000}

_SCHEDULES: Mapping[bool, Mapping[str, object]] = {
    True: {
        **_STEADY,
        "base_image_seq_len": 256,
        "base_shift": 0.5,
        "max_image_seq_len": 4096,
        "max_shift": 1.15,
        "shift": 3.0,
        "use_dynamic_shifting": True,
    },
    False: {**_STEADY, "shift": 1.0, "use_dynamic_shifting": False},
}
"""How the noise of FLUX.1 falls, by whether guidance is embedded, as published."""


def _as_its_own(single: Single, name: str, found: Finding) -> Single:
    """Return FLUX.1 with the settings of its own variant, not with those of the lender's."""
    part = Part(read_header(single.path).tensors).under(found.prefix)
    guided = part.holds(r"guidance_in\.|time_text_embed\.guidance_embedder\.")
    inputs = part.inputs("img_in") or part.inputs("x_embedder")
    own = {"guidance_embeds": guided, "in_channels": inputs, "out_channels": 64}
    scheduler = libraries().diffusers.FlowMatchEulerDiscreteScheduler
    schedule = scheduler.from_config(dict(_SCHEDULES[guided]))
    return replace(single, settings={name: own}, beside={"scheduler": schedule})
