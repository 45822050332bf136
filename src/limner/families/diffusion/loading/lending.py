"""A denoiser in one file, drawn with the other parts of a model that is here as a folder."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from limner.domain.errors import ModelUnavailable, WeightsRejected
from limner.families.diffusion.known.facts import architecture_of, facts_of
from limner.families.diffusion.loading.own import as_its_own
from limner.families.diffusion.loading.single import Single, whole
from limner.families.diffusion.recognition.finding import Finding, Kind
from limner.families.diffusion.recognition.folders import (
    DENOISERS,
    INDEX,
    lacking_parts,
    read_pipeline,
    recognise_folder,
)

_UNREAD = frozenset(
    {"nf4", "fp4", "nvfp4", "svdquant int4", "SDNQ", "bitsandbytes int8", "GPTQ", "I8 scaled"}
)
"""Number formats that only the programs they were made for can unpack."""


def check_alone(path: Path, found: Finding) -> None:
    """Raise WeightsRejected where a denoiser alone cannot be drawn with, whatever else is here."""
    if found.precision in _UNREAD:
        raise WeightsRejected(
            f"{path.name} is packed as {found.precision}, which Limner does not unpack. Get the "
            "same model as fp8, GGUF, or in 16 bits."
        )


@contextmanager
def opened(
    path: Path, found: Finding, neighbours: Callable[[], Iterable[Path]]
) -> Iterator[tuple[Path, Single]]:
    """Give the folder that describes a model in one file, and its parts, for a while.

    `neighbours` finds folders that may lend what a denoiser alone lacks. Raises as `whole` and
    `borrowed` do.
    """
    if found.kind is Kind.DENOISER:
        yield borrowed(path, found, neighbours())
    else:
        with whole(path, found) as described:
            yield described


def loan_of(folder: Path) -> str:
    """Return words for an Environment: whose other parts were used, told from others by sizes."""
    sizes = sorted(
        (one.relative_to(folder).as_posix(), one.stat().st_size)
        for one in folder.rglob("*.safetensors")
    )
    mark = sha256(json.dumps(sizes).encode()).hexdigest()[:8]
    return f"other parts of {folder.name} ({mark})"


def borrowed(path: Path, found: Finding, folders: Iterable[Path]) -> tuple[Path, Single]:
    """Return the folder that lends the other parts, and the denoiser of the file.

    The first of `folders` with the same variant is taken, else the first of a variant that has the
    same other parts. Raises ModelUnavailable, naming what is missing, where none is here.
    """
    check_alone(path, found)
    lender = _lender(found, folders)
    if lender is None:
        raise ModelUnavailable(_missing(path, found))
    folder, lent = lender
    name = _denoiser_of(folder)
    single = Single(path, {name: found.prefix})
    same = lent.variant == found.variant and found.prediction in ("flow", "", lent.prediction)
    return folder, single if same else as_its_own(single, name, found, folder)


def _lender(found: Finding, folders: Iterable[Path]) -> tuple[Path, Finding] | None:
    seen = [(one, recognise_folder(one)) for one in folders if (one / INDEX).is_file()]
    kin = [
        (folder, lent)
        for folder, lent in seen
        if lent.kind in (Kind.PIPELINE, Kind.LENDER)
        and lent.family == found.family
        and set(lacking_parts(folder)) <= {_denoiser_of(folder)}
    ]
    same = [one for one in kin if one[1].variant == found.variant]
    shared = architecture_of(found.family).shared_parts
    other = [one for one in kin if {found.variant, one[1].variant or found.variant} <= set(shared)]
    return next(iter(same or other), None)


def _denoiser_of(folder: Path) -> str:
    """Return what the part that draws is called in a folder."""
    described = read_pipeline(folder, lacking_parts(folder)).settings
    return next(one for one in DENOISERS if one in described)


def _missing(path: Path, found: Finding) -> str:
    facts = facts_of(found.family, found.variant)
    *encoders, last = (*facts.text_encoders, "the autoencoder")
    source = facts.repositories[0].name if facts.repositories else ""
    where = f": {source} on the model hub, say" if source else ""
    return (
        f"{path.name} is the denoiser of {facts.title} alone. To draw, {', '.join(encoders)} and "
        f"{last} are needed, too. Get the folder of {facts.title}{where}, and tell "
        "Limner where it lies: limner models add FOLDER."
    )
