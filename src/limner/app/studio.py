"""The use cases on pictures: draw, edit, erase, upscale, cut out; look and take away."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from itertools import product
from pathlib import Path

from limner.app.companions import Companions
from limner.app.drift import drift_of, notice_of
from limner.app.files import write_file
from limner.app.keys import Keyring
from limner.app.models import Models
from limner.app.pictures import Pictures
from limner.app.policy import admit
from limner.app.recognition import Recognition
from limner.app.safety import (
    Outcome,
    Verdict,
    check,
    record_of,
    refusal,
    require_judge,
    shielded,
    stands,
)
from limner.app.sealing import Sealing, disclosed
from limner.app.wildcard_files import WildcardFiles
from limner.app.wildcards import expand_all
from limner.app.wording import Wording
from limner.domain.asset import Asset, Parent, Relation
from limner.domain.capability import Capability, Company
from limner.domain.card import ModelCard
from limner.domain.errors import InvalidOption, InvalidSize, StorageFailed
from limner.domain.event import CancelToken, Happening, Notice
from limner.domain.policy import Safety
from limner.domain.recipe import (
    MAX_SEED,
    Draft,
    InputRole,
    ModelRef,
    Recipe,
    RecipeInput,
    Size,
    Task,
)
from limner.domain.workspace import Actor, Role, Workspace
from limner.engine.engine import Drawn, Engine
from limner.families.family import Order, Pixels, Watch
from limner.families.raster import pixel_digest
from limner.provenance.fingerprint import fingerprint
from limner.provenance.intake import read_picture
from limner.provenance.watermark import detect
from limner.store.library import Library

MOST_PICTURES = 10_000
"""The most pictures one request may ask for."""

_REFINED = 2
"""How many times larger a picture becomes that is redrawn, where no size is asked for."""

_KEEPING_SIZE = (Task.INPAINT, Task.ERASE, Task.CUTOUT)


def _ignore(_: Happening) -> None:
    return


@dataclass(frozen=True)
class Made:
    """A kept picture and its file; `index` is the place of its Recipe among those asked."""

    asset: Asset
    file: bytes
    seconds: float
    index: int = 0

    @property
    def recipe(self) -> Recipe:
        """The Recipe it was drawn from."""
        if self.asset.recipe is None:
            raise AssertionError("a made picture has a Recipe")
        return self.asset.recipe

    def save(self, path: Path | str) -> Path:
        """Write the file, whole or not at all, replacing what was there; return its path."""
        return write_file(Path(path), self.file)


@dataclass(frozen=True)
class Progress:
    """How a caller follows the work and stops it."""

    tell: Callable[[Happening], None] = _ignore
    token: CancelToken = field(default_factory=CancelToken)


class Studio:
    """Every use case, for any actor in any workspace; see `Desk` for the bound form."""

    def __init__(
        self,
        library: Library,
        models: Models,
        engine: Engine,
        keyring: Keyring,
        wildcards: Path,
    ) -> None:
        self.library = library
        self.wildcards = wildcards
        self.models = models
        self.engine = engine
        self.keyring = keyring

    def resolve(
        self,
        actor: Actor,
        workspace: Workspace,
        draft: Draft,
        count: int = 1,
        *,
        every: bool = False,
    ) -> list[Recipe]:
        """Complete a Draft into `count` Recipes with rising seeds.

        Choices and wildcards in its prompts are made for each by its seed, and adapters in them
        are worn: a Recipe holds the final words. With `every`, there are `count` for each
        combination of the choices in the prompt, with the same seeds. Raises InvalidRequest (or a
        kind of it) for what the model cannot do, ModelNotFound for an unknown name;
        LicenceForbids or PromptRefused for what the workspace does not allow.
        """
        actor.require(workspace, Role.MAKER)
        prompts = self.combinations(draft) if every else (None,)
        if not 1 <= count * len(prompts) <= MOST_PICTURES:
            raise InvalidOption(
                f"The count must be 1 to {MOST_PICTURES // len(prompts):,}, not {count}."
            )
        card = self.models.choose(draft.model, draft.task)
        sized = self._with_size(workspace, draft, card.capability)
        draft = self._labelled(workspace, draft)
        companions, upscaler = Companions(self.models, card), self._upscaler(draft, card)
        wording = Wording(WildcardFiles(self.wildcards), card)
        seed = _new_seed(draft.task) if draft.seed is None else draft.seed
        if seed + count - 1 > MAX_SEED:
            raise InvalidOption(f"The seed must be at most {MAX_SEED - count + 1:,}.")
        policy = self.library.policy(workspace)
        recipes: dict[tuple[object, ...], Recipe] = {}
        companies: dict[tuple[str, ...], Company] = {}
        resolved = []
        for prompt, number in product(prompts, range(seed, seed + count)):
            worded = wording.of(sized, number, prompt)
            worn = worded.adapters
            words = (worded.prompt, worded.negative_prompt, worn)
            if worn not in companies:
                companies[worn] = companions.of(worded, upscaler)
            if words not in recipes:
                bare = card.capability.resolve(worded, card.ref, seed, companies[worn])
                recipes[words] = disclosed(bare, draft, policy)
            resolved.append(recipes[words].model_copy(update={"seed": number}))
        admit(self.library, self.models, actor, workspace, resolved)
        return resolved

    def combinations(self, draft: Draft) -> tuple[str, ...]:
        """Return every prompt that the choices and wildcards in a Draft's prompt stand for.

        They are in the order in which they are written. Raises InvalidPrompt where there are more
        than a thousand, or a wildcard has no file.
        """
        if draft.literal:
            return (draft.prompt,)
        return expand_all(draft.prompt, WildcardFiles(self.wildcards))

    def perform(
        self,
        actor: Actor,
        workspace: Workspace,
        recipes: Sequence[Recipe],
        progress: Progress | None = None,
    ) -> Iterator[Made]:
        """Draw Recipes in order; each picture is kept in the library before it is yielded.

        Raises LicenceForbids or PromptRefused before anything is drawn. Where the safety check
        of the workspace refuses some, PictureRefused is raised after the others.
        """
        actor.require(workspace, Role.MAKER)
        admit(self.library, self.models, actor, workspace, recipes)
        progress = progress or Progress()
        policy = self.library.policy(workspace)
        safety = policy.safety
        signer = self.keyring.signer(progress.tell)
        sealing = Sealing(self.library, self.models, workspace, policy, signer, progress.tell)
        watch = Watch(shielded(progress.tell, safety), progress.token)
        judge = self._judge(safety, watch)
        for ref in dict.fromkeys(ref for one in recipes for ref in one.models):
            self.models.make_ready(ref, progress.tell, progress.token)
        for recipe in recipes[:1]:
            _tell_size(recipe, progress.tell)
        refused = 0
        orders = Pictures(self.library, workspace).orders(recipes)
        for drawn in self.engine.perform(orders, watch):
            recipe = recipes[drawn.index]
            verdict = check(drawn.pixels, safety, judge)
            made = None
            if verdict.outcome is not Outcome.REFUSED:
                made = self._keep(actor, orders[drawn.index], drawn, verdict, sealing)
            elif refused_one := record_of(verdict, actor, workspace, recipe, None):
                self.library.record(refused_one)
            strayed = notice_of(made.asset) if made else None
            for notice in (verdict.notice, strayed):
                if notice is not None:
                    progress.tell(notice)
            if made is None:
                refused += 1
            else:
                yield made
        if refused:
            raise refusal(refused, len(recipes))

    def draw_only(
        self, actor: Actor, workspace: Workspace, recipe: Recipe, progress: Progress
    ) -> tuple[Drawn, Verdict]:
        """Draw a Recipe under the rules of the workspace, neither sealed nor kept.

        Raises as `perform` does; the Verdict holds the pixels as they may be shown.
        """
        actor.require(workspace, Role.MAKER)
        admit(self.library, self.models, actor, workspace, [recipe])
        safety = self.library.policy(workspace).safety
        watch = Watch(shielded(progress.tell, safety), progress.token)
        judge = self._judge(safety, watch)
        for ref in recipe.models:
            self.models.make_ready(ref, progress.tell, progress.token)
        drawn = next(
            iter(self.engine.perform(Pictures(self.library, workspace).orders([recipe]), watch))
        )
        verdict = check(drawn.pixels, safety, judge)
        record = record_of(verdict, actor, workspace, recipe, None)
        if record is not None:
            self.library.record(record)
        if verdict.outcome is Outcome.REFUSED:
            raise refusal(1, 1)
        return drawn, verdict

    def generate(
        self,
        actor: Actor,
        workspace: Workspace,
        draft: Draft,
        count: int = 1,
        progress: Progress | None = None,
        *,
        every: bool = False,
    ) -> Iterator[Made]:
        """Draw a Draft `count` times, or so often for each of its `combinations`.

        Pictures finished before an error or stop are kept.
        """
        progress = progress or Progress()
        with self.models.telling(progress.tell, progress.token):
            recipes = self.resolve(actor, workspace, draft, count, every=every)
        return self.perform(actor, workspace, recipes, progress)

    def bring(self, actor: Actor, workspace: Workspace, file: bytes) -> Asset:
        """Keep a picture from outside in the library, byte for byte; raise InvalidImage.

        A copy of what was made here is linked to it, where its watermark says so.
        """
        actor.require(workspace, Role.MAKER)
        picture = read_picture(file)
        bare = _asset_of(actor, workspace, file, picture.media_type, picture.pixels)
        seen = {
            "fingerprint": fingerprint(picture.pixels),
            "parents": self._copied(workspace, bare.id, picture.pixels),
        }
        return self.library.keep(bare.model_copy(update=seen), file)

    def _copied(self, workspace: Workspace, asset: str, pixels: Pixels) -> tuple[Parent, ...]:
        """Return what the watermark in a picture from outside names, if it was made here.

        The two must look alike: anyone can put the mark of one picture onto another.
        """
        if self.library.find_file(workspace, asset):
            return ()
        found = detect(pixels)
        if found is None:
            return ()
        marked = Recognition(self.library, workspace).marked(found.mark, pixels)
        alike = (one for one in marked if one.sure)
        return tuple(Parent(asset=one.asset, relation=Relation.COPY) for one in alike)[:1]

    def find_made(self, actor: Actor, workspace: Workspace, recipe: Recipe) -> Made | None:
        """Return the kept picture of exactly this Recipe.

        None too where its file is damaged, or the workspace would not keep it so now.
        """
        actor.require(workspace, Role.VIEWER)
        safety = self.library.policy(workspace).safety
        for asset in self.library.find_by_recipe(workspace, recipe.digest):
            if not stands(asset, safety):
                continue
            with suppress(StorageFailed):  # drawing it again mends the file
                return Made(asset, self.library.read(workspace, asset.id), asset.seconds or 0.0)
        return None

    def close(self) -> None:
        """Let the models go and close the library."""
        self.engine.close()
        self.library.close()

    def _with_size(self, workspace: Workspace, draft: Draft, able: Capability) -> Draft:
        init = next((item for item in draft.inputs if item.role is InputRole.INIT), None)
        if init is None:
            return self._shaped(workspace, draft, able)
        size = self.library.get(workspace, init.asset).size
        if draft.task in _KEEPING_SIZE and draft.size not in (None, size):
            raise InvalidSize(
                f"{draft.task.value} keeps the size of the picture, {size}. Leave the size out."
            )
        if draft.task is Task.OUTPAINT:
            _check_room(draft, size)
            return draft
        if draft.task is Task.UPSCALE and draft.size is not None:
            return draft.model_copy(update={"size": size.fitted(draft.size)})
        if draft.size is not None:
            return draft
        scale = able.scale or (_REFINED if draft.task is Task.UPSCALE else 1)
        grown = Size(
            width=min(size.width * scale, 65_535),
            height=min(size.height * scale, 65_535),
        )
        return draft.model_copy(update={"size": grown})

    def _shaped(self, workspace: Workspace, draft: Draft, able: Capability) -> Draft:
        """Return a Draft without a size in the shape of the picture it follows, if it does."""
        usual = able.sizes.default
        if draft.size is not None or usual is None or not draft.controls:
            return draft
        shape = self.library.get(workspace, draft.controls[0].asset).size
        return draft.model_copy(update={"size": able.sizes.shaped(shape)})

    def _labelled(self, workspace: Workspace, draft: Draft) -> Draft:
        """Return a Draft that asks for the label that the picture it starts from carries."""
        init = next((item for item in draft.inputs if item.role is InputRole.INIT), None)
        if init is None or draft.label is not None:
            return draft
        before = self.library.get(workspace, init.asset).recipe
        return draft.model_copy(update={"label": before.label if before else None})

    def _upscaler(self, draft: Draft, card: ModelCard) -> ModelRef | None:
        refining = draft.task is Task.UPSCALE and card.capability.refines is not None
        if not (draft.task.takes_words or refining):
            return None
        return self.models.choose(draft.upscaler or card.capability.upscaler, Task.UPSCALE).ref

    def _judge(self, safety: Safety, watch: Watch) -> Callable[[Pixels], float]:
        """Return what judges a picture, made sure of before anything is drawn."""
        if safety is not Safety.OFF:
            require_judge(self.models, watch.tell, watch.token)
        return lambda pixels: self.engine.judge(self.models.judge().ref, pixels, watch)

    def _keep(
        self, actor: Actor, order: Order, drawn: Drawn, verdict: Verdict, sealing: Sealing
    ) -> Made:
        recipe = order.recipe
        sealed = sealing.seal(verdict.pixels, recipe)
        blurred = verdict.outcome is Outcome.BLURRED
        before = sealing.kept_before(recipe, sealed, blurred=blurred)
        if before is not None:
            if known := record_of(verdict, actor, sealing.workspace, recipe, before[0]):
                self.library.record(known)
            return Made(*before, drawn.seconds, drawn.index)
        bare = _asset_of(actor, sealing.workspace, sealed.file, sealed.media_type, verdict.pixels)
        asset = bare.model_copy(
            update={
                "pixel_digest": sealed.pixel_digest,
                "recipe": recipe,
                "environment": drawn.environment,
                "seconds": round(drawn.seconds, 3),
                "terms": sealing.terms(recipe),
                "mark": sealed.mark,
                "fingerprint": sealed.fingerprint,
                "drift": drift_of(order, drawn, sealed.file),
                "unsafe": verdict.unsafe,
                "blurred": blurred,
                "parents": tuple(
                    Parent(asset=picture, relation=Relation(role))
                    for picture, role in dict.fromkeys(recipe.pictures)
                ),
            }
        )
        record = record_of(verdict, actor, sealing.workspace, recipe, asset)
        kept = self.library.keep(asset, sealed.file, record)
        return Made(kept, sealed.file, drawn.seconds, drawn.index)


def _check_room(draft: Draft, inner: Size) -> None:
    """Raise InvalidSize unless a picture lies inside the larger one, and there is more to draw."""
    size, offset = draft.size, draft.offset
    if size is None or offset is None:
        return
    if size == inner:
        raise InvalidSize("There is nothing to draw around the picture. Say by how many pixels.")
    if offset.left + inner.width > size.width or offset.top + inner.height > size.height:
        raise InvalidSize(f"A picture of {inner} does not lie inside {size} at this place.")


def _asset_of(
    actor: Actor, workspace: Workspace, file: bytes, media_type: str, pixels: Pixels
) -> Asset:
    return Asset(
        id=sha256(file).hexdigest(),
        workspace=workspace.id,
        media_type=media_type,
        bytes=len(file),
        size=Size(width=pixels.shape[1], height=pixels.shape[0]),
        pixel_digest=pixel_digest(pixels),
        created=datetime.now(UTC),
        created_by=actor.id,
    )


def _new_seed(task: Task) -> int:
    """Return a seed for a task; without words nothing is left to chance, and it stays 0."""
    return secrets.randbelow(2**32) if task.takes_words else 0


def _tell_size(recipe: Recipe, tell: Callable[[Happening], None]) -> None:
    """Tell where a picture is not drawn at its own size."""
    if recipe.task is Task.UPSCALE:
        return
    if recipe.task in (Task.INPAINT, Task.OUTPAINT):
        # A part is drawn as a square and laid into the picture, which stays as large as it is.
        if recipe.upscaler is not None:
            told = f"What is new is drawn at {recipe.native_size} and fitted in"
            tell(Notice("enlarged", f"{told}, by {recipe.upscaler.name} where it is larger."))
    elif recipe.upscaler is not None:
        told = f"Drawn at {recipe.native_size} and enlarged to {recipe.size}"
        tell(Notice("enlarged", f"{told} with {recipe.upscaler.name}."))
    elif recipe.native_size.pixels > recipe.size.pixels * _MUCH:
        told = f"Drawn at {recipe.native_size}, below which this model draws badly, and reduced to"
        tell(Notice("reduced", f"{told} {recipe.size}."))


_MUCH = 1.5
"""So many times the pixels that are asked for are worth telling of."""


def init_input(asset: Asset, strength: float | None = None) -> RecipeInput:
    """Return an asset as the picture to start from; raise InvalidOption beyond 0 to 1."""
    if strength is not None and not 0 <= strength <= 1:
        raise InvalidOption(f"strength must be 0 to 1, not {strength:g}.")
    return RecipeInput(asset=asset.id, role=InputRole.INIT, strength=strength)


def mask_input(asset: Asset) -> RecipeInput:
    """Return an asset as the mask: white is what may change."""
    return RecipeInput(asset=asset.id, role=InputRole.MASK)
