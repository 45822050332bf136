"""The licence of a model that its owner brought: what its files say, never what its kind suggests.

Whoever makes more of a model cannot allow more than its makers did; so where the makers of its
architecture's weights allow no commercial use, nothing that a file says of itself changes that.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from limner.domain.card import UNSTATED, Licence
from limner.domain.errors import LimnerError
from limner.families.diffusion.facts import Facts
from limner.families.diffusion.headers import read_header

_OPEN: Mapping[str, str] = MappingProxyType(
    {
        "apache-2.0": "Apache-2.0",
        "mit": "MIT",
        "bsd-2-clause": "BSD-2-Clause",
        "bsd-3-clause": "BSD-3-Clause",
        "cc0-1.0": "CC0-1.0",
        "cc-by-4.0": "CC-BY-4.0",
        "cc-by-sa-4.0": "CC-BY-SA-4.0",
        "unlicense": "Unlicense",
        "creativeml-openrail-m": "LicenseRef-CreativeML-Open-RAIL-M",
        "openrail": "LicenseRef-OpenRAIL",
        "openrail++": "LicenseRef-CreativeML-Open-RAIL++-M",
    }
)
"""Licences by the names that model hubs have for them, which allow commercial use."""

_RESTRICTED: Mapping[str, str] = MappingProxyType(
    {
        one.lower(): one
        for one in (
            "CC-BY-NC-3.0",
            "CC-BY-NC-4.0",
            "CC-BY-NC-ND-4.0",
            "CC-BY-NC-SA-3.0",
            "CC-BY-NC-SA-4.0",
        )
    }
)
"""Licences that SPDX knows and that allow no commercial use."""

_ALSO: Mapping[str, str] = MappingProxyType(
    {
        "apache-license-2.0": "apache-2.0",
        "mit-license": "mit",
        "cc0": "cc0-1.0",
        "creativeml-open-rail-m": "creativeml-openrail-m",
        "creativeml-open-rail-m-license": "creativeml-openrail-m",
        "creativeml-open-rail++-m": "openrail++",
        "creativeml-open-rail++-m-license": "openrail++",
        "creativeml-openrail++-m": "openrail++",
    }
)
"""The names that files have for some of them (`modelspec.license`, sai_model_spec 1.0)."""

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


def named(name: str) -> Licence:
    """Return the terms that a name stands for; one that is not known allows nothing."""
    word = re.sub(r"[^a-z0-9.+]+", "-", name.strip().lower()).strip("-")
    allowing = _OPEN.get(_ALSO.get(word, word), "")
    spdx = allowing or _RESTRICTED.get(word, "")
    plain = re.sub(r"[^A-Za-z0-9.+-]+", "-", name.strip())[:60].strip("-")
    return Licence(
        spdx=spdx or (f"LicenseRef-{plain.removeprefix('LicenseRef-')}" if plain else UNSTATED),
        commercial=bool(allowing),
        attribution="",
        url="",
    )


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
