"""Licences by the names that files and model hubs have for them, and what these allow."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from limner.domain.card import UNSTATED, Licence

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
