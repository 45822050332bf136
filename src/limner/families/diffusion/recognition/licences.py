"""The licence of a model that its owner brought: what its files say, never what its kind suggests.

Whoever makes more of a model cannot allow more than its makers did; so where the makers of its
architecture's weights allow no commercial use, nothing that a file says of itself changes that.
"""

import re
from pathlib import Path

from limner.domain.card import UNSTATED, Licence
from limner.domain.errors import LimnerError
from limner.domain.licensing import named
from limner.families.diffusion.known.facts import Facts
from limner.families.diffusion.recognition.headers import read_header

_README = "README.md"
_MOST = 200_000
_FRONT = re.compile(r"\A\ufeff?---\r?\n(.*?)\r?\n---", re.DOTALL)
_LINE = re.compile(r"^(license|license_name):[ \t]*[\"']?([^\"'\r\n#]*)", re.MULTILINE)


def licence_of(path: Path, facts: Facts) -> Licence:
    """Return the terms of a model's file or folder, as far as they are stated."""
    said = stated(path)
    known = facts.licence
    if known.spdx != UNSTATED and not known.commercial:
        return known
    return said


def stated(path: Path) -> Licence:
    """Return the terms that a file states in its header, or a folder in its README."""
    if path.is_dir():
        return named(_in_readme(path / _README))
    try:
        said = read_header(path).metadata
    except LimnerError:
        return named("")
    return named(said.get("modelspec.license", "") or said.get("license", ""))


def _in_readme(path: Path) -> str:
    """Return the licence in the front matter of a model card, as model hubs write it."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            front = _FRONT.match(file.read(_MOST))
    except OSError:
        return ""
    said = {key: value.strip() for key, value in _LINE.findall(front[1] if front else "")}
    own = said.get("license_name", "") if said.get("license") in (None, "", "other") else ""
    return own or said.get("license", "")
