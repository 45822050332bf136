"""Which files of a repository a model needs: one precision of its weights, and their descriptions.

The layout: https://huggingface.co/docs/diffusers/using-diffusers/other-formats.
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from limner.catalog.repository import Listing
from limner.domain.errors import InvalidOption, PullFailed, WeightsRejected
from limner.families.diffusion.recognition.files import DESCRIBING, LARGEST
from limner.families.diffusion.recognition.folders import INDEX, SHARDS, SPARED, WEIGHTLESS
from limner.families.diffusion.recognition.headers import PICKLES

CONFIG = "config.json"
"""What describes a network that lies in a repository by itself."""

_LOADABLE = (".safetensors", ".sft", ".gguf")

_WEIGHTS = re.compile(
    r"(?P<stem>[^.]+?)(\.(?P<word>\w+?))?(?P<shard>-\d{5}-of-\d{5})?(\.(?P<late>\w+))?\.safetensors"
)

_SHOWN = 12


def needs_index(listing: Listing) -> bool:
    """Whether a repository is a diffusers folder, whose description says what it needs."""
    return INDEX in listing.files


def of_pipeline(listing: Listing, index: bytes, variant: str | None) -> tuple[str, ...]:
    """Return the files that a diffusers folder needs; `variant` is a word such as `fp16`.

    Raises WeightsRejected for parts whose weights are missing or pickled, and InvalidOption for a
    variant that there is not.
    """
    chosen = {INDEX}
    words: set[str] = set()
    for part in _parts(listing, index):
        inner = _inside(listing, part)
        weights = () if WEIGHTLESS.fullmatch(part) else _weights(part, inner, variant, words)
        chosen.update(f"{part}/{name}" for name in (*weights, *_described(listing, part, inner)))
    _check_variant(variant, words)
    return tuple(sorted(chosen))


def of_descriptions(listing: Listing, index: bytes) -> tuple[str, ...]:
    """Return the files of a diffusers folder that describe its parts: all but the weights."""
    described = {
        f"{part}/{name}"
        for part in _parts(listing, index)
        for name in _described(listing, part, _inside(listing, part))
        if not SHARDS.fullmatch(name)
    }
    return tuple(sorted({INDEX, *described}))


def is_weights(name: str) -> bool:
    """Whether a file of a repository holds weights."""
    return name.endswith(_LOADABLE)


def of_network(listing: Listing, variant: str | None) -> tuple[str, ...]:
    """Return the files of a network by itself, a ControlNet for one, beside its `config.json`."""
    names = [name for name in listing.files if "/" not in name]
    words: set[str] = set()
    weights = _weights(listing.repository, names, variant, words)
    _check_variant(variant, words)
    described = [name for name in names if name.endswith(".json")]
    return tuple(sorted({*weights, *described}))


def of_file(listing: Listing, file: str) -> tuple[str, ...]:
    """Return a file that is asked for; left out, the only one there is. Raises InvalidOption."""
    able = sorted(name for name in listing.files if name.endswith(_LOADABLE))
    if file:
        if PurePosixPath(file).suffix.lower() in PICKLES:
            raise WeightsRejected(
                f"{file} is pickled: opening it could run any program on this machine. Choose a "
                f"file that is not{_offered(able)}"
            )
        if file not in listing.files:
            raise InvalidOption(f"{listing.repository} has no file {file}{_offered(able)}")
        return (file,)
    if len(able) == 1:
        return (able[0],)
    if not able:
        raise WeightsRejected(
            f"{listing.repository} has no weights that Limner opens (.safetensors, .gguf)."
        )
    raise InvalidOption(
        f"{listing.repository} is no diffusers folder. Name one of its files, as "
        f"{listing.repository}:FILE{_offered(able)}"
    )


def _offered(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f". It has: {', '.join(names[:_SHOWN])}{more}." if names else "."


def _parts(listing: Listing, index: bytes) -> tuple[str, ...]:
    """Return the parts that the description of a pipeline names and that are wanted."""
    try:
        described = json.loads(index)
        entries = dict(described.items())
    except (ValueError, RecursionError, AttributeError) as error:
        raise PullFailed(
            f"{listing.repository} has a {INDEX} that cannot be read. Name a single file of it, "
            f"as {listing.repository}:FILE."
        ) from error
    return tuple(
        name
        for name, entry in entries.items()
        if isinstance(entry, list)
        and len(entry) == 2
        and all(isinstance(one, str) and one for one in entry)
        and re.fullmatch(r"\w{1,60}", name)
        and name not in SPARED
    )


def _inside(listing: Listing, part: str) -> tuple[str, ...]:
    """Return the names of the files that lie in a folder itself."""
    start = f"{part}/"
    return tuple(
        name.removeprefix(start)
        for name in listing.files
        if name.startswith(start) and "/" not in name.removeprefix(start)
    )


def _described(listing: Listing, part: str, inner: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        name
        for name in inner
        if PurePosixPath(name).suffix.lower() in DESCRIBING
        and listing.files[f"{part}/{name}"].bytes <= LARGEST
    )


def _weights(
    part: str, inner: Sequence[str], variant: str | None, words: set[str]
) -> tuple[str, ...]:
    """Return the weights of a part, in one precision; adds the words of all there are to `words`.

    One file goes before shards, as it does when the folder is read.
    """
    groups: dict[tuple[str, bool, str], list[str]] = {}
    for name in inner:
        found = _WEIGHTS.fullmatch(name)
        if found is not None:
            word = found["word"] or found["late"] or ""
            groups.setdefault((word, bool(found["shard"]), found["stem"]), []).append(name)
    if not groups:
        pickled = any(PurePosixPath(name).suffix in PICKLES for name in inner)
        what = "only pickled weights, which can run any program" if pickled else "no weights"
        raise WeightsRejected(
            f"{part} has {what} in this repository. Find the same model with .safetensors."
        )
    here = {word for word, _, _ in groups}
    words |= here
    wanted = variant if variant in here else "" if "" in here else min(here)
    return tuple(groups[min(key for key in groups if key[0] == wanted)])


def _check_variant(variant: str | None, words: set[str]) -> None:
    if variant and variant not in words:
        others = ", ".join(sorted(words - {""}))
        raise InvalidOption(
            f"There is no variant {variant} in this repository"
            + (f"; there is {others}." if others else ": it has one precision alone.")
        )
