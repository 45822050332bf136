"""What a sealed picture says about itself in words: its Recipe, and that a model made it."""

import html
import re
from collections.abc import Iterator
from importlib.metadata import version

from limner.domain.canonical import canonical_json
from limner.domain.policy import Detail, Mining
from limner.domain.recipe import FileFormat, Recipe
from limner.provenance.formats import Notes
from limner.provenance.infotext import infotext
from limner.provenance.rights import DUBLIN_CORE, Rights
from limner.provenance.texts import read_texts
from limner.provenance.xmp import read_property

RECIPE_KEY = "limner:recipe"
"""The key of the text chunk that holds a Recipe in a PNG, and its element in XMP."""

DIGEST_KEY = "limner:recipeDigest"

_NAMESPACE = "urn:limner:metadata:1"
_DC = f' xmlns:dc="{DUBLIN_CORE}"'
_DIGEST = re.compile("[0-9a-f]{64}")
NO_RIGHTS = Rights()

_LONGEST = 65_502
"""The most bytes of XMP that a JPEG segment holds."""

_AROUND = 200
"""Bytes of the packet around a description."""

_NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_MINING = {
    Mining.ALLOWED: "http://ns.useplus.org/ldf/vocab/DMI-ALLOWED",
    Mining.NOT_ALLOWED: "http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING",
}


def notes_on(
    recipe: Recipe,
    detail: Detail,
    mining: Mining,
    *,
    composite: bool = False,
    rights: Rights = NO_RIGHTS,
) -> Notes:
    """Return what is written into a picture's file, as much as the workspace says.

    With `Detail.FULL` the whole Recipe and the settings as other tools read them; with
    `Detail.DIGEST` the Recipe's digest; with `Detail.NONE` only that a model made it. Whose the
    picture was that was worked on is always kept.
    """
    xmp = xmp_description(recipe, detail, mining, composite=composite, rights=rights)
    if detail is Detail.NONE:
        return Notes(xmp)
    if detail is Detail.DIGEST:
        return Notes(xmp, texts=((DIGEST_KEY, recipe.digest),))
    return Notes(xmp, settings=infotext(recipe), texts=((RECIPE_KEY, recipe_text(recipe)),))


def recipe_text(recipe: Recipe) -> str:
    """Return the canonical JSON of a Recipe, in characters that XML can hold."""
    text = canonical_json(recipe.model_dump(mode="json")).decode()
    return re.sub(r"[\x7f-\x9f\ufffe\uffff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def xmp_description(
    recipe: Recipe,
    detail: Detail,
    mining: Mining,
    *,
    composite: bool = False,
    rights: Rights = NO_RIGHTS,
) -> str:
    """Return the RDF description of a picture; see `docs/decisions/010` for its properties.

    A JPEG holds no more than 64 KB of it: what does not fit of the settings is left out there.
    """
    kind = "compositeWithTrainedAlgorithmicMedia" if composite else "trainedAlgorithmicMedia"
    properties = [
        ("Iptc4xmpExt:DigitalSourceType", f"{_SOURCE_TYPES}{kind}"),
        ("Iptc4xmpExt:AISystemUsed", f"Limner, {recipe.model.name}"),
        (
            "Iptc4xmpExt:AISystemVersionUsed",
            f"{version('limner')}; sha256:{recipe.model.sha256}",
        ),
        ("plus:DataMining", _MINING[mining]),
    ]
    owned = _owned(rights)
    texts = (_described([*properties, *said], owned) for said in _settings(recipe, detail))
    if recipe.format is not FileFormat.JPEG:
        return next(texts)
    fitting = (one for one in texts if len(one.encode()) < _LONGEST - _AROUND)
    return next(fitting, _described(properties, owned))


def _settings(recipe: Recipe, detail: Detail) -> Iterator[list[tuple[str, str]]]:
    """Yield what is said of how a picture was drawn, then less where that is too long.

    The prompt stands in the Recipe, too, and goes first; then the Recipe's digest says which one
    it is.
    """
    words = _words(recipe)
    if detail is Detail.FULL:
        whole = (RECIPE_KEY, recipe_text(recipe))
        yield [whole, ("Iptc4xmpExt:AIPromptInformation", words)] if words else [whole]
        yield [whole]
    yield [] if detail is Detail.NONE else [(DIGEST_KEY, recipe.digest)]


def read_recipe(file: bytes) -> Recipe | None:
    """Return the Recipe that a picture file carries, or None if it carries none.

    It is read where metadata stand, in a text chunk or the XMP packet, and nowhere else: bytes
    that no signature covers could hold another one. What is read is what the file claims;
    nothing here proves it.
    """
    text = _written(file, RECIPE_KEY)
    try:
        return Recipe.model_validate_json(text) if text else None
    except ValueError:
        return None


def read_digest(file: bytes) -> str | None:
    """Return the digest of the Recipe that a picture file carries, with the Recipe or alone."""
    recipe = read_recipe(file)
    if recipe is not None:
        return recipe.digest
    text = _written(file, DIGEST_KEY)
    return text if text and _DIGEST.fullmatch(text) else None


def _written(file: bytes, key: str) -> str | None:
    """Return what stands under a key of ours in the texts of a file."""
    texts = read_texts(file)
    found = texts.chunks.get(key)
    return found or read_property(texts.xmp, _NAMESPACE, key.partition(":")[2])


def _words(recipe: Recipe) -> str:
    against = f"\nNegative prompt: {recipe.negative_prompt}" if recipe.negative_prompt else ""
    return _NOT_XML.sub("\ufffd", f"{recipe.prompt}{against}").strip()


def _owned(rights: Rights) -> str:
    """Return whose a picture is, as Dublin Core wants it: a list in order, and a text by language.

    (XMP specification part 1, 8.3.)
    """
    creators = "".join(f"<rdf:li>{_safe(one)}</rdf:li>" for one in rights.creators)
    said = f"<dc:creator><rdf:Seq>{creators}</rdf:Seq></dc:creator>" if creators else ""
    if rights.notice:
        notice = f'<rdf:li xml:lang="x-default">{_safe(rights.notice)}</rdf:li>'
        said += f"<dc:rights><rdf:Alt>{notice}</rdf:Alt></dc:rights>"
    return said


def _safe(text: str) -> str:
    return html.escape(_NOT_XML.sub("\ufffd", text), quote=False)


def _described(properties: list[tuple[str, str]], owned: str) -> str:
    elements = "".join(
        f"<{name}>{html.escape(value, quote=False)}</{name}>" for name, value in properties
    )
    return (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about=""'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        ' xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/"'
        f"{_DC if owned else ''}"
        f' xmlns:limner="{_NAMESPACE}">{owned}{elements}</rdf:Description></rdf:RDF>'
    )
