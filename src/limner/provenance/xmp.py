"""What the XMP of a picture file, ours or anyone's, says about how the picture came to be."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from xml.etree import ElementTree as ET
from xml.parsers import expat

from limner.provenance.texts import MOST_TEXT, read_texts

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
_PLUS = "{http://ns.useplus.org/ldf/xmp/1.0/}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_TERMS = "{http://purl.org/dc/terms/}"
_DEEPEST = 64
_MOST_ELEMENTS = 100_000
_LONGEST_VALUE = 20_000

_PROPERTIES: Mapping[str, str] = MappingProxyType(
    {
        f"{_IPTC}DigitalSourceType": "digital_source_type",
        f"{_IPTC}AISystemUsed": "system",
        f"{_IPTC}AISystemVersionUsed": "system_version",
        f"{_IPTC}AIPromptInformation": "prompt",
        f"{_IPTC}AIPromptWriterName": "prompt_writer",
        f"{_PLUS}DataMining": "data_mining",
        f"{_XMP}CreatorTool": "tool",
        f"{_TERMS}provenance": "provenance",
    }
)

_MADE_BY_MODEL = frozenset(
    {
        "trainedalgorithmicmedia",
        "compositewithtrainedalgorithmicmedia",
        "compositesynthetic",
    }
)
"""Of the IPTC vocabulary of digital source types, those that say that a model had a part.

In small letters: some tools write them otherwise.
"""


@dataclass(frozen=True)
class Statement:
    """What XMP says: the IPTC AI properties (decision 010) as they stand there, unchecked.

    `digital_source_type` is the last part of its URI, such as `trainedAlgorithmicMedia`;
    `provenance` where a manifest lies (C2PA, external manifests).
    """

    digital_source_type: str | None = None
    system: str | None = None
    system_version: str | None = None
    prompt: str | None = None
    prompt_writer: str | None = None
    data_mining: str | None = None
    tool: str | None = None
    provenance: str | None = None

    @property
    def says_generated(self) -> bool:
        """Whether it says that a trained model made the picture or a part of it."""
        return names_model(self.digital_source_type) or bool(self.system or self.prompt)


def names_model(source_type: str | None) -> bool:
    """Whether a digital source type, by its last part, says that a model had a part."""
    return (source_type or "").lower() in _MADE_BY_MODEL


def read_statement(file: bytes) -> Statement | None:
    """Return what the XMP of a picture file says, or None where it says none of this.

    Reads every format that `read_texts` does, never raises, and expands no entities: XMP needs
    no document type, so a packet that declares one counts as unreadable.
    """
    packet = read_texts(file).xmp
    if packet is None:
        return None
    try:
        found = _properties(_parsed(packet))
    except (expat.ExpatError, ValueError, LookupError):
        return None
    for name in ("digital_source_type", "data_mining"):
        if name in found:
            found[name] = re.split(r"[/#]", found[name].rstrip("/"))[-1]
    found = {name: value for name, value in found.items() if value}
    return Statement(**found) if found else None


def read_property(packet: bytes | None, namespace: str, name: str) -> str | None:
    """Return one property of an XMP packet, whole, or None where there is none to be read."""
    if packet is None:
        return None
    tag = f"{{{namespace}}}{name}"
    try:
        for description in _parsed(packet).iter(f"{_RDF}Description"):
            for element in description.iter(tag):
                return _value(element)
    except (expat.ExpatError, ValueError, LookupError):
        return None
    return None


def read_items(packet: bytes | None, namespace: str, name: str) -> tuple[str, ...]:
    """Return the items of a property of an XMP packet that holds a list, empty ones left out."""
    if packet is None:
        return ()
    try:
        for element in _parsed(packet).iter(f"{{{namespace}}}{name}"):
            items = list(element.iter(f"{_RDF}li")) or [element]
            return tuple(filter(None, ("".join(one.itertext()).strip() for one in items)))
    except (expat.ExpatError, ValueError, LookupError):
        return ()
    return ()


class _Builder:
    """Builds the tree of a packet within bounds."""

    def __init__(self) -> None:
        self.tree = ET.TreeBuilder()
        self._depth = 0
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > _DEEPEST or self._elements > _MOST_ELEMENTS:
            raise ValueError("too deep or too much")
        self.tree.start(_named(name), {_named(key): text for key, text in attributes.items()})

    def end(self, name: str) -> None:
        self._depth -= 1
        self.tree.end(_named(name))

    def text(self, text: str) -> None:
        if self._depth:
            self.tree.data(text)


def _refuse(*_: object) -> None:
    raise ValueError("a document type is declared")


def _parsed(packet: bytes) -> ET.Element:
    if len(packet) > MOST_TEXT:
        raise ValueError("too long")
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    # Padding and zero bytes may stand around a packet; TIFF and PNG writers leave them.
    parser.Parse(packet.strip(b"\x00 \t\r\n"), True)
    return builder.tree.close()


def _named(name: str) -> str:
    return "{" + name if "}" in name else name


def _properties(tree: ET.Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for description in tree.iter(f"{_RDF}Description"):
        for name, text in description.attrib.items():
            if name in _PROPERTIES:
                found.setdefault(_PROPERTIES[name], text.strip()[:_LONGEST_VALUE])
        for element in description:
            if element.tag in _PROPERTIES:
                found.setdefault(_PROPERTIES[element.tag], _value(element)[:_LONGEST_VALUE])
    return found


def _value(element: ET.Element) -> str:
    """Return a property's text: its own, its first item's, or what it points to."""
    resource = element.get(f"{_RDF}resource")
    if resource is not None:
        return resource.strip()
    item = next(element.iter(f"{_RDF}li"), element)
    return "".join(item.itertext()).strip()
