"""What emoji are called: names, and other words for them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limner.training.vellum.sources import Shelf, Sources

_VARIANT = "fe0f"


@dataclass(frozen=True)
class Emoji:
    """An emoji: its code points (`1f98a`, joined by `-`), name, slug, other words and group."""

    code: str
    name: str
    slug: str
    keywords: tuple[str, ...]
    group: str = ""


def read_emoji(shelf: Shelf, sources: Sources) -> tuple[Emoji, ...]:
    """Return every emoji, in Unicode's order; skin tones are left out."""
    names = _json(shelf, sources, "unicode-emoji-json", "data-by-emoji.json")
    words = _json(shelf, sources, "cldr-annotations-full", "annotations/en/annotations.json")[
        "annotations"
    ]["annotations"]
    more = _json(shelf, sources, "emojilib", "dist/emoji-en-US.json")
    found = []
    for letters, about in names.items():
        code = plain_code("-".join(f"{ord(letter):x}" for letter in letters))
        if "1f3fb" not in code:
            keywords = _keywords(letters, words, more)
            group = about.get("group", "")
            found.append(Emoji(code, about["name"], slug(about["name"]), keywords, group))
    return tuple(found)


def plain_code(code: str) -> str:
    """Return code points without the mark that asks for a coloured glyph."""
    return "-".join(point for point in code.split("-") if point != _VARIANT)


def slug(name: str) -> str:
    """Return a name in lower case, with hyphens for everything but letters and digits."""
    plain = name.lower().replace("’", "").replace("'", "")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _keywords(
    letters: str, words: Mapping[str, Any], more: Mapping[str, list[str]]
) -> tuple[str, ...]:
    known = letters if letters in words else letters.replace("\ufe0f", "")
    listed = words.get(known, {}).get("default", [])
    return tuple(dict.fromkeys([*listed, *(w.replace("_", " ") for w in more.get(letters, []))]))


def _json(shelf: Shelf, sources: Sources, package: str, member: str) -> Any:
    return json.loads(shelf.members(sources.package(package), [member])[member])
