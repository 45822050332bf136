"""Limner draws what you describe.

import limner

with limner.open() as desk:
    [fox] = desk.generate("a red fox")
    fox.save("fox.png")
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from limner.domain.errors import LimnerError

if TYPE_CHECKING:
    from limner.app.desk import Desk
    from limner.provenance.signing import Signer

__all__ = ["LimnerError", "__version__", "open"]

__version__ = version("limner")

# ONNX Runtime reads it once, when it is loaded: later it has made an id for this machine already.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def open(  # noqa: A001 - read as limner.open()
    home: Path | str | None = None, signer: Signer | None = None
) -> Desk:
    """Open the studio of this machine, its library kept in `home`.

    `home` defaults to `LIMNER_HOME`, else the platform's folder for user data. `signer` signs
    pictures in place of the keys kept there; see `provenance.signing.CallbackSigner`. Raises
    StorageFailed (or a kind of it) where the library cannot be opened.
    """
    from limner.app.settings import read_settings
    from limner.app.wiring import open_desk

    return open_desk(read_settings(None if home is None else Path(home)), signer)
