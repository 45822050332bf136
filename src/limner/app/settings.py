"""Settings: read once, from the environment and the caller, and handed out in slices."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from limner.domain.errors import InvalidOption

PUBLIC_HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Settings:
    """Where things live and what may be used; nothing here changes pixels.

    `home` holds the library and pulled models. `threads` and `memory` (bytes) bound the engine;
    None takes what is free. `hub` is the model hub's address, `hub_token` opens gated models
    there; `offline` forbids all fetching.
    `signing` says whether pictures are signed, `key_passphrase` opens the keys in the home folder,
    `time_authority` is the address of an RFC 3161 authority that stamps signatures.
    """

    home: Path
    threads: int | None = None
    memory: int | None = None
    hub: str = PUBLIC_HUB
    offline: bool = False
    signing: bool = True
    key_passphrase: str | None = field(default=None, repr=False)
    time_authority: str | None = None
    hub_token: str | None = field(default=None, repr=False)


def read_settings(home: Path | None = None) -> Settings:
    """Read the environment.

    `LIMNER_HOME`, `LIMNER_THREADS`, `LIMNER_MEMORY_MB`, `LIMNER_OFFLINE`, `HF_ENDPOINT`,
    `LIMNER_HUB_TOKEN` or `HF_TOKEN`,
    `LIMNER_SIGNING` (`local` or `none`), `LIMNER_KEY_PASSPHRASE`, `LIMNER_TIME_AUTHORITY`.
    `home` overrides `LIMNER_HOME`, which overrides the platform's folder for user data.
    """
    chosen = home or _path("LIMNER_HOME") or Path(platformdirs.user_data_dir("limner", False))
    megabytes = _whole("LIMNER_MEMORY_MB")
    offline = os.environ.get("LIMNER_OFFLINE", "").strip().lower() in ("1", "true", "yes")
    try:
        folder = chosen.expanduser().absolute()
    except RuntimeError as error:
        raise InvalidOption(
            f"There is no home folder that {chosen} could mean. Write the folder's whole path."
        ) from error
    return Settings(
        home=folder,
        threads=_whole("LIMNER_THREADS"),
        memory=None if megabytes is None else megabytes * 1024 * 1024,
        hub=(os.environ.get("HF_ENDPOINT", "").strip() or PUBLIC_HUB).rstrip("/"),
        offline=offline,
        signing=_signing(),
        key_passphrase=os.environ.get("LIMNER_KEY_PASSPHRASE") or None,
        time_authority=_time_authority(offline=offline),
        hub_token=_hub_token(),
    )


def _hub_token() -> str | None:
    for name in ("LIMNER_HUB_TOKEN", "HF_TOKEN"):
        token = os.environ.get(name, "").strip()
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise InvalidOption(
                f"{name} holds characters that no token has. Copy the token again, as one word."
            )
        if token:
            return token
    return None


def _time_authority(*, offline: bool) -> str | None:
    address = os.environ.get("LIMNER_TIME_AUTHORITY", "").strip()
    if not address:
        return None
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidOption(
            f"LIMNER_TIME_AUTHORITY is “{address}”; it must be an address like "
            "https://example.org/stamp."
        )
    if offline:
        raise InvalidOption(
            "LIMNER_TIME_AUTHORITY asks an authority over the network, and LIMNER_OFFLINE forbids "
            "that. Unset one of them."
        )
    return address


def _signing() -> bool:
    text = os.environ.get("LIMNER_SIGNING", "").strip().lower()
    if text not in ("", "local", "none"):
        raise InvalidOption(f"LIMNER_SIGNING is “{text}”; it must be local or none.")
    return text != "none"


def _path(name: str) -> Path | None:
    text = os.environ.get(name, "").strip()
    return Path(text) if text else None


def _whole(name: str) -> int | None:
    text = os.environ.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise InvalidOption(f"{name} is “{text}”; it must be a whole number from 1 up.")
    return int(text)
