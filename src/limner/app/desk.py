"""A studio as one person sees it: every use case, bound to an actor and a workspace."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from limner.app.companions import Companions
from limner.app.composing import composed
from limner.app.drafts import make_draft
from limner.app.files import read_file
from limner.app.imports import Imported, import_picture
from limner.app.lineage import Lineage, lineage_of
from limner.app.recognition import known_as
from limner.app.replay import Replayed
from limner.app.replay import replay as replay_picture
from limner.app.studio import Made, Progress, Studio, init_input, mask_input
from limner.app.verdict import Verdict
from limner.app.verify import Verifier
from limner.domain.asset import Asset
from limner.domain.composition import ReferenceDraft
from limner.domain.errors import AssetNotFound, InvalidOption, InvalidPrompt, InvalidSize
from limner.domain.recipe import Draft, Offset, Recipe, Size, Task
from limner.domain.workspace import Actor, Role, Workspace
from limner.provenance.metadata import read_recipe

Picture = Asset | bytes | Path | str
"""A picture given by a caller: an asset, the bytes of a file, or its path."""

_MOST = 65_535


@dataclass(frozen=True)
class Margins:
    """Pixels to add at each side of a picture."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0

    def __post_init__(self) -> None:
        for name, pixels in vars(self).items():
            if not 0 <= pixels <= _MOST:
                raise InvalidSize(f"{name} must be 0 to {_MOST:,} pixels, not {pixels}.")

    @property
    def offset(self) -> Offset:
        """Where the picture lies on the larger one."""
        return Offset(left=self.left, top=self.top)

    def around(self, inner: Size) -> Size:
        """Return the size of a picture with these margins; raises InvalidSize beyond any."""
        width = inner.width + self.left + self.right
        height = inner.height + self.top + self.bottom
        if max(width, height) > _MOST:
            raise InvalidSize(f"{width}x{height} is larger than any picture. Add less.")
        return Size(width=width, height=height)


@dataclass(frozen=True)
class Desk:
    """What `limner.open()` returns. Use it as a context manager, or `close` it.

    Options beyond the named ones are fields of `Draft` (`steps`, `guidance`, `negative_prompt`,
    `format`, …) or options of the model's own (`style`, …); an unknown one raises InvalidOption.
    `controls`, `references` and `layout` may be texts as on the command line (see
    `app.composing`): `controls=["canny=room.jpg:0.8"]`.
    """

    studio: Studio
    actor: Actor
    workspace: Workspace

    def generate(
        self,
        prompt: str,
        *,
        count: int = 1,
        every: bool = False,
        size: Size | str | None = None,
        progress: Progress | None = None,
        **options: object,
    ) -> list[Made]:
        """Draw a prompt `count` times; with `every`, each combination of its choices so often.

        Raises InvalidRequest (or a kind of it) for what cannot be drawn as asked.
        """
        draft = self.drafted({"prompt": prompt, "size": size, **options})
        return list(self.draw(draft, count, progress, every=every))

    def draw(
        self,
        draft: Draft,
        count: int = 1,
        progress: Progress | None = None,
        *,
        every: bool = False,
    ) -> Iterator[Made]:
        """Draw a Draft, yielding each picture as soon as it is kept; see `generate`."""
        return self.studio.generate(self.actor, self.workspace, draft, count, progress, every=every)

    def combinations(self, prompt: str) -> tuple[str, ...]:
        """Return every prompt that the choices and wildcards in a prompt stand for.

        Raises InvalidPrompt where there are more than a thousand, or a wildcard has no file.
        """
        return self.studio.combinations(Draft(prompt=prompt))

    def draw_set(
        self,
        prompts: Sequence[str],
        *,
        progress: Progress | None = None,
        **options: object,
    ) -> Iterator[Made]:
        """Draw a set: one picture for each prompt, all of one subject and style.

        All have one seed, and the first is a reference of each of the others. Raises InvalidOption
        for a model that takes no references, ModelUnavailable where what sees them is not here,
        before anything is drawn.
        """
        if len(prompts) < 2:
            raise InvalidPrompt("A set has two prompts at least, one for each picture.")
        first = self.drafted({**options, "prompt": prompts[0]})
        card = self.studio.models.choose(first.model, first.task)
        if first.task not in card.capability.referred:
            raise InvalidOption(
                "Pictures of a set are held together by references, and this model takes none. "
                "Choose FLUX.2, FLUX.1 Kontext, or Stable Diffusion 1 or XL with an IP-Adapter."
            )
        # What sees references and is not here is told before anything is drawn.
        later = {"references": (*first.references, ReferenceDraft(asset="0" * 64))}
        Companions(self.studio.models, card).of(first.model_copy(update=later), None)
        made = next(self.draw(first, 1, progress))
        yield made
        held = (*first.references, ReferenceDraft(asset=made.asset.id))
        for prompt in prompts[1:]:
            further = self.drafted({**options, "prompt": prompt, "seed": made.recipe.seed})
            yield next(self.draw(further.model_copy(update={"references": held}), 1, progress))

    def edit(
        self,
        picture: Picture,
        prompt: str,
        *,
        mask: Picture | None = None,
        strength: float | None = None,
        progress: Progress | None = None,
        **options: object,
    ) -> Made:
        """Redraw a picture by words, or with a mask (white = change) only that part of it.

        `strength` from 0 (keep) to 1 (draw anew) is for whole pictures. A model that follows
        instructions takes the prompt as one, unless a strength is given.
        """
        inputs = [init_input(self.bring(picture), strength)]
        if mask is not None:
            inputs.append(mask_input(self.bring(mask)))
        task = Task.INPAINT if mask is not None else self._redrawing(options.get("model"), strength)
        draft = self.drafted({"task": task, "prompt": prompt, "inputs": tuple(inputs), **options})
        return next(self.draw(draft, 1, progress))

    def drafted(self, options: Mapping[str, object]) -> Draft:
        """Return the Draft of loose options; pictures in controls and the like are brought in."""
        return make_draft(composed(options, self.bring))

    def _redrawing(self, model: object, strength: float | None) -> Task:
        """Return the task by which a model redraws a whole picture."""
        if isinstance(model, str) and strength is None:
            card = self.studio.models.catalog.find(model)
            if card.capability.supports(Task.EDIT):
                return Task.EDIT
        return Task.IMAGE_TO_IMAGE

    def outpaint(
        self,
        picture: Picture,
        prompt: str,
        *,
        margins: Margins,
        progress: Progress | None = None,
        **options: object,
    ) -> Made:
        """Draw more around a picture; the picture itself stays as it is.

        Raises InvalidSize where the margins add nothing, or more than can be drawn.
        """
        asset = self.bring(picture)
        inner = asset.size
        asked = {
            "task": Task.OUTPAINT,
            "prompt": prompt,
            "inputs": (init_input(asset),),
            "size": margins.around(inner),
            "offset": margins.offset,
        }
        return next(self.draw(self.drafted({**options, **asked}), 1, progress))

    def vary(
        self,
        picture: Picture,
        prompt: str | None = None,
        *,
        count: int = 4,
        strength: float = 0.5,
        progress: Progress | None = None,
        **options: object,
    ) -> Iterator[Made]:
        """Draw a picture `count` times anew, alike but different; `strength` says how different.

        The words, the model and its options are those that the picture was drawn with, where it
        says so. Raises InvalidPrompt where it does not and no prompt is given.
        """
        asset = self.bring(picture)
        before = asset.recipe or read_recipe(self.studio.library.read(self.workspace, asset.id))
        words = prompt or (before.prompt if before else "")
        if not words.strip():
            raise InvalidPrompt("This picture does not say what it shows. Give a prompt with it.")
        kept: dict[str, object] = {}
        if before is not None and before.task.takes_words:
            kept = {"model": before.model.name, "negative_prompt": before.negative_prompt}
            kept |= dict(before.extras)
        given = {name: value for name, value in options.items() if value is not None}
        inputs = (init_input(asset, strength),)
        task = {"task": Task.IMAGE_TO_IMAGE, "prompt": words, "inputs": inputs}
        kept["literal"] = prompt is None
        return self.draw(self.drafted({**kept, **given, **task}), count, progress)

    def erase(
        self,
        picture: Picture,
        mask: Picture,
        *,
        progress: Progress | None = None,
        **options: object,
    ) -> Made:
        """Take what the mask (white) covers out of a picture, and fill the place."""
        inputs = (init_input(self.bring(picture)), mask_input(self.bring(mask)))
        draft = self.drafted({"task": Task.ERASE, "inputs": inputs, **options})
        return next(self.draw(draft, 1, progress))

    def upscale(
        self,
        picture: Picture,
        *,
        size: Size | str | None = None,
        strength: float | None = None,
        progress: Progress | None = None,
        **options: object,
    ) -> Made:
        """Make a picture four times larger, or as large as fits in `size`, with new detail.

        A model that draws by words redraws it tile by tile, twice as large unless a size is
        asked for: `strength` says how much, `prompt` what it shows.
        """
        inputs = (init_input(self.bring(picture), strength),)
        draft = self.drafted({"task": Task.UPSCALE, "inputs": inputs, "size": size, **options})
        return next(self.draw(draft, 1, progress))

    def cutout(
        self, picture: Picture, *, progress: Progress | None = None, **options: object
    ) -> Made:
        """Cut the main thing out of a picture: the rest becomes transparent."""
        inputs = (init_input(self.bring(picture)),)
        draft = self.drafted({"task": Task.CUTOUT, "inputs": inputs, **options})
        return next(self.draw(draft, 1, progress))

    def perform(self, recipes: Sequence[Recipe], progress: Progress | None = None) -> list[Made]:
        """Draw Recipes, exactly as they are."""
        return list(self.studio.perform(self.actor, self.workspace, recipes, progress))

    def replay(self, picture: Picture, progress: Progress | None = None) -> Replayed:
        """Draw a picture again from its Recipe and tell how alike the two are; nothing is kept.

        Raises InvalidRequest for a picture that carries none, and what `app.replay.replay` does.
        """
        given = picture if isinstance(picture, Asset) else self._known(_bytes(picture))
        return replay_picture(self.studio, self.actor, self.workspace, given, progress)

    def lineage(self, picture: Picture) -> Lineage:
        """Return what a picture was made from and what was made from it.

        A file stands for what it surely comes from. Raises AssetNotFound for one that the library
        does not know.
        """
        library = self.studio.library
        self.actor.require(self.workspace, Role.VIEWER)
        named = (
            picture.id
            if isinstance(picture, Asset)
            else known_as(library, self.workspace, _bytes(picture))
        )
        return lineage_of(library, self.actor, self.workspace, named)

    def import_picture(self, picture: Picture, model: str | None = None) -> Imported:
        """Bring in a picture with the settings that the tool that made it wrote into it.

        `model` is the one that is to draw it again; left out, the one that made it if it is here.
        """
        file = (
            self.studio.library.read(self.workspace, picture.id)
            if isinstance(picture, Asset)
            else _bytes(picture)
        )
        return import_picture(self.studio, self.actor, self.workspace, file, model)

    def verify(self, picture: Picture) -> Verdict:
        """Return what can be told of where a picture comes from; raise InvalidImage.

        Nothing is kept. The picture may be anyone's.
        """
        if isinstance(picture, Asset):
            file = self.studio.library.read(self.workspace, picture.id)
        else:
            file = _bytes(picture)
        verifier = Verifier(self.studio.library, self.studio.keyring)
        return verifier.verify(self.actor, self.workspace, file)

    def bring(self, picture: Picture) -> Asset:
        """Return the picture as an asset, keeping a file from outside in the library."""
        if isinstance(picture, Asset):
            return picture
        return self.studio.bring(self.actor, self.workspace, _bytes(picture))

    def _known(self, file: bytes) -> Asset | bytes:
        """Return the asset of a file, which knows more of it, or the file itself."""
        try:
            return self.studio.library.get(self.workspace, sha256(file).hexdigest())
        except AssetNotFound:
            return file

    def close(self) -> None:
        """Let the models go and close the library."""
        self.studio.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _bytes(picture: bytes | Path | str) -> bytes:
    return picture if isinstance(picture, bytes) else read_file(Path(picture))
