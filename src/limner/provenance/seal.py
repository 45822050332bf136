"""Sealing: finished pixels and their Recipe become the file that is kept.

Everything that is written into a picture is written here, in one order: the visible label, the
invisible watermark, metadata, and last the signed manifest. Nothing rewrites the file afterwards.
"""

from dataclasses import dataclass, field, replace
from hashlib import sha256
from types import MappingProxyType

from limner.domain.policy import Detail, Mining
from limner.domain.recipe import FileFormat, Recipe, Task
from limner.families import raster
from limner.families.family import Pixels
from limner.provenance.fingerprint import fingerprint
from limner.provenance.formats import Notes, encode
from limner.provenance.intake import Picture
from limner.provenance.label import label_drawing, labelled
from limner.provenance.manifest import Claim, Ingredient, ModelClaim, has_manifest, sign_file
from limner.provenance.metadata import NO_RIGHTS, notes_on
from limner.provenance.profiles import restored
from limner.provenance.rights import Rights
from limner.provenance.signing import Signer
from limner.provenance.watermark import embed

_ACTIONS = MappingProxyType({Task.TEXT_TO_IMAGE: "c2pa.created", Task.UPSCALE: "c2pa.resized"})
"""What a task does, in the words of the C2PA specification; the others edit."""

_DESCRIBED = (b"<rdf:Description", b"</rdf:Description>")


@dataclass(frozen=True)
class SealTerms:
    """What a seal says beside the Recipe, and who signs it; without a signer nobody does.

    `base` is the picture that was edited, for its colour profile, and `rights` whose it is, which
    the new file goes on saying; `composite` says that it is not
    itself a model's work: a photograph, or one that a photograph is part of.
    """

    signer: Signer | None = None
    detail: Detail = Detail.FULL
    mining: Mining = Mining.NOT_ALLOWED
    models: tuple[ModelClaim, ...] = ()
    ingredients: tuple[Ingredient, ...] = ()
    base: Picture | None = None
    composite: bool = False
    rights: Rights = NO_RIGHTS


@dataclass(frozen=True)
class Sealed:
    """A finished file.

    `pixel_digest` is that of the pixels as the Recipe gives them, the label included, before
    watermark and loss; `mark` the id of the watermark, None where there is none; `fingerprint`
    the PDQ hash of what is seen.
    """

    file: bytes = field(repr=False)
    media_type: str
    pixel_digest: str
    mark: str | None
    fingerprint: str


def seal(pixels: Pixels, recipe: Recipe, terms: SealTerms) -> Sealed:
    """Turn finished pixels into a file in the Recipe's format that says what it is.

    The same pixels, Recipe and terms give the same bytes, but for the signature. A drawing (SVG)
    has no pixels to put a watermark into. Raises InvalidOption for transparent pixels in a format
    without transparency, InvalidSize where the format holds none so large, SigningFailed where the
    signer does.
    """
    shown = labelled(pixels, recipe.label) if recipe.label else pixels
    digest = raster.pixel_digest(shown)
    notes = notes_on(
        recipe, terms.detail, terms.mining, composite=terms.composite, rights=terms.rights
    )
    mark = None
    if recipe.format is FileFormat.SVG:
        file = _drawing(pixels, recipe, notes)
    else:
        marked, mark = _marked(shown, recipe, digest)
        finished, profile = restored(marked, terms.base)
        file = encode(finished, recipe.format, replace(notes, profile=profile))
    media_type = recipe.format.media_type
    if terms.signer is not None:
        file = sign_file(file, media_type, _claim(recipe, terms), terms.signer)
    return Sealed(file, media_type, digest, mark, fingerprint(shown))


def _marked(pixels: Pixels, recipe: Recipe, digest: str) -> tuple[Pixels, str | None]:
    """Return the pixels with the watermark that the Recipe asks for, and its id.

    The id comes of Recipe and pixels, so that a picture drawn again carries the same one. A
    picture with too little to hide it in stays as it is, and there is none.
    """
    if not recipe.watermark:
        return pixels, None
    mark = sha256(f"limner mark {recipe.digest} {digest}".encode()).hexdigest()[:12]
    marked = embed(pixels, mark)
    return (pixels, None) if marked is pixels else (marked, mark)


def _drawing(pixels: Pixels, recipe: Recipe, notes: Notes) -> bytes:
    """Return a drawing, in sRGB. Its label is drawn like the rest: traced, it could not be read."""
    label = label_drawing(raster.size_of(pixels), recipe.label) if recipe.label else ""
    return encode(pixels, recipe.format, replace(notes, drawing=label))


def _claim(recipe: Recipe, terms: SealTerms) -> Claim:
    return Claim(
        title=f"picture.{recipe.format.value}",
        composite=terms.composite,
        action=_ACTIONS.get(recipe.task, "c2pa.edited"),
        recipe_digest=None if terms.detail is Detail.NONE else recipe.digest,
        models=terms.models,
        mining=terms.mining,
        ingredients=terms.ingredients,
    )


def said_of(file: bytes) -> tuple[bytes, bool]:
    """Return what a sealed file says of its picture, and whether it is signed.

    Files of the same pixels that say the same differ in their signatures alone.
    """
    start, end = file.find(_DESCRIBED[0]), file.find(_DESCRIBED[1])
    return file[start:end], has_manifest(file)
