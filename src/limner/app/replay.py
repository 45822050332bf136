"""Drawing a picture again from what it says of itself, and telling how alike the two are."""

from dataclasses import dataclass
from enum import StrEnum

from limner.app.recognition import Recognition
from limner.app.safety import Outcome, blurred
from limner.app.sealing import Sealing
from limner.app.studio import Progress, Studio
from limner.domain.asset import Asset, Environment
from limner.domain.errors import InvalidRequest
from limner.domain.recipe import FileFormat, Recipe
from limner.domain.workspace import Actor, Role, Workspace
from limner.engine.colour import differences
from limner.engine.engine import Drawn
from limner.provenance.intake import check_bytes, read_picture
from limner.provenance.metadata import read_recipe

_SEEN = 1.0
"""A mean difference (CIEDE2000) below this is the same picture to the eye."""


class Likeness(StrEnum):
    """How alike a picture and its replay are."""

    IDENTICAL = "identical"
    ALIKE = "alike"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Change:
    """A part of the Environment that is not what it was."""

    name: str
    then: str
    now: str


@dataclass(frozen=True)
class Replayed:
    """What came of a replay.

    `mean` and `largest` are colour differences (CIEDE2000), 0 where the pixels are identical
    and None where they cannot be compared. `changes` tells what of the Environment differs, None
    where it is not known in which one the picture was made: only the library keeps that. `file`
    is the picture drawn again, sealed, not kept.
    """

    recipe: Recipe
    likeness: Likeness
    mean: float | None
    largest: float | None
    changes: tuple[Change, ...] | None
    file: bytes


def replay(
    studio: Studio,
    actor: Actor,
    workspace: Workspace,
    picture: Asset | bytes,
    progress: Progress | None = None,
) -> Replayed:
    """Draw a picture of the library, or a file that carries its Recipe, again.

    Nothing is kept, but the rules of the workspace hold: raises LicenceForbids, PromptRefused or
    PictureRefused as `Studio.perform` does. Raises InvalidRequest for a picture without a Recipe,
    ModelUnavailable where the same weights are not here, AssetNotFound where an input is gone,
    SigningFailed where keys cannot be used.
    """
    actor.require(workspace, Role.MAKER)
    progress = progress or Progress()
    if isinstance(picture, Asset):
        asset, file = picture, studio.library.read(workspace, picture.id)
    else:
        asset, file = None, picture
    recipe = asset.recipe if asset and asset.recipe else read_recipe(file)
    if recipe is None:
        raise InvalidRequest(_unspoken(studio, workspace, file))
    drawn, verdict = studio.draw_only(actor, workspace, recipe, progress)
    policy = studio.library.policy(workspace)
    signer = studio.keyring.signer(progress.tell)
    sealing = Sealing(studio.library, studio.models, workspace, policy, signer, progress.tell)
    hidden = asset is not None and asset.blurred and verdict.outcome is not Outcome.BLURRED
    sealed = sealing.seal(blurred(verdict.pixels) if hidden else verdict.pixels, recipe)
    same = asset is not None and sealed.pixel_digest == asset.pixel_digest
    mean, largest = (0.0, 0.0) if same else _apart(file, sealed.file, recipe)
    return Replayed(
        recipe,
        _likeness(mean, largest),
        mean,
        largest,
        _changes(asset.environment if asset else None, drawn),
        sealed.file,
    )


def _unspoken(studio: Studio, workspace: Workspace, file: bytes) -> str:
    """Return why a picture without a Recipe is not drawn again, and what could be instead.

    Raises InvalidImage for what is no picture.
    """
    check_bytes(file)
    match = Recognition(studio.library, workspace).origin(file)
    if match is None:
        return (
            "This picture carries no Recipe, and the library does not know it, so it cannot be "
            "drawn again."
        )
    return f"This picture carries no Recipe, but it comes from {match.asset[:12]}" + (
        ": replay that id." if match.here else ", which is no longer in the library."
    )


def _apart(before: bytes, after: bytes, recipe: Recipe) -> tuple[float | None, float | None]:
    """Return the mean and the largest colour difference of two sealed files."""
    if recipe.format is FileFormat.SVG:
        return (0.0, 0.0) if _drawing(before) == _drawing(after) else (None, None)
    one, other = read_picture(before).pixels, read_picture(after).pixels
    if one.shape != other.shape:
        return None, None
    apart = differences(one, other)
    return round(float(apart.mean()), 4), round(float(apart.max()), 4)


def _drawing(file: bytes) -> bytes:
    """Return the part of an SVG file that is seen."""
    return file[file.find(b"</metadata>") :]


def _likeness(mean: float | None, largest: float | None) -> Likeness:
    if mean is None or largest is None:
        return Likeness.DIFFERENT
    if largest == 0:
        return Likeness.IDENTICAL
    return Likeness.ALIKE if mean < _SEEN else Likeness.DIFFERENT


def _changes(then: Environment | None, drawn: Drawn) -> tuple[Change, ...] | None:
    """Return what differs between the Environment a picture was made in and this one."""
    if then is None:
        return None
    before, now = (_parts(one) for one in (then, drawn.environment))
    return tuple(
        Change(name, before.get(name, "none"), now.get(name, "none"))
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    )


def _parts(environment: Environment) -> dict[str, str]:
    parts = environment.model_dump(mode="json")
    libraries = dict(parts.pop("libraries"))
    return {name: str(value) for name, value in {**parts, **libraries}.items()}
