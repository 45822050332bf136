"""What a sealed picture says about itself: its Recipe, and that a model made it."""

import html
import re

from limner.domain.canonical import canonical_json
from limner.domain.recipe import Recipe

RECIPE_KEY = "limner:recipe"
"""The key of the text chunk that holds a Recipe in a PNG, and its element in XMP."""

_NAMESPACE = "urn:limner:metadata:1"
_OPENING = f"<{RECIPE_KEY}>".encode()
_CLOSING = f"</{RECIPE_KEY}>".encode()
_LONGEST = 65_502
"""The most bytes of XMP that a JPEG segment holds; a Recipe stays below in every format."""

_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def recipe_text(recipe: Recipe) -> str:
    """Return the canonical JSON of a Recipe, in characters that XML can hold."""
    text = canonical_json(recipe.model_dump(mode="json")).decode()
    return re.sub(r"[\x7f-\x9f\ufffe\uffff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def xmp_description(recipe: Recipe) -> str:
    """Return the RDF description of a picture: its IPTC digital source type and its Recipe."""
    kind = "compositeWithTrainedAlgorithmicMedia" if recipe.inputs else "trainedAlgorithmicMedia"
    return (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about=""'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f' xmlns:limner="{_NAMESPACE}">'
        f"<Iptc4xmpExt:DigitalSourceType>{_SOURCE_TYPES}{kind}</Iptc4xmpExt:DigitalSourceType>"
        f"<{RECIPE_KEY}>{html.escape(recipe_text(recipe), quote=False)}</{RECIPE_KEY}>"
        "</rdf:Description></rdf:RDF>"
    )


def xmp_packet(recipe: Recipe) -> bytes:
    """Return the XMP packet of a picture (ISO 16684-1)."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{xmp_description(recipe)}</x:xmpmeta>'
        '<?xpacket end="r"?>'
    ).encode()


def read_recipe(file: bytes) -> Recipe | None:
    """Return the Recipe that a picture file carries, or None if it carries none.

    All our formats hold the XMP packet as plain text, so the bytes are searched and no decoder
    meets the file. What is read is what the file claims; nothing here proves it.
    """
    start = file.find(_OPENING)
    end = file.find(_CLOSING, start)
    if start < 0 or end < 0 or end - start > _LONGEST:
        return None
    try:
        text = html.unescape(file[start + len(_OPENING) : end].decode())
        return Recipe.model_validate_json(text)
    except ValueError:
        return None
