"""A model in one file, drawn with the parts that a folder or other files lend."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from limner.domain.errors import ModelUnavailable, WeightsRejected
from limner.families.diffusion.known.facts import Facts, architecture_of, facts_of, title_of
from limner.families.diffusion.known.stable_parts import PARTS
from limner.families.diffusion.loading.numbers import UNREAD
from limner.families.diffusion.loading.offers import (
    Offer,
    autoencoder_of,
    choose,
    offers_of,
    offers_within,
)
from limner.families.diffusion.loading.own import as_its_own
from limner.families.diffusion.loading.single import Single, describe, describes_itself, whole
from limner.families.diffusion.recognition.finding import Finding, Kind
from limner.families.diffusion.recognition.folders import (
    DENOISERS,
    INDEX,
    lacking_parts,
    read_pipeline,
    recognise_folder,
)
from limner.families.diffusion.recognition.headers import read_header


def check_alone(path: Path, found: Finding) -> None:
    """Raise WeightsRejected where a file cannot be drawn with, whatever else is here."""
    if found.precision in UNREAD:
        raise WeightsRejected(
            f"{path.name} is packed as {found.precision}, which Limner does not unpack. Get the "
            "same model as fp8, GGUF, or in 16 bits."
        )


@contextmanager
def opened(
    path: Path, found: Finding, lenders: Callable[[], Iterable[Path]]
) -> Iterator[tuple[Path, Single]]:
    """Give the folder that describes a model in one file, and its parts, for a while.

    `lenders` finds folders and files that may lend what the file lacks. Raises as `whole` and
    `borrowed` do.
    """
    if not describes_itself(found):
        with _described(path, found, tuple(lenders())) as every:
            yield borrowed(path, found, every)
        return
    with whole(path, found) as (folder, single):
        yield (
            folder,
            single if "vae" in single.inside else _decoded(folder, single, found, lenders),
        )


@contextmanager
def _described(path: Path, found: Finding, lenders: Sequence[Path]) -> Iterator[tuple[Path, ...]]:
    """Give what may lend, for a while, and last the description of a Stable Diffusion of ours."""
    if found.family not in PARTS or found.variant not in architecture_of(found.family).shared_parts:
        yield tuple(lenders)
        return
    with TemporaryDirectory(prefix="limner-") as written:
        folder = Path(written) / "Limner"
        describe(folder, found, read_header(path))
        yield (*lenders, folder)


def loan_of(folder: Path, single: Single, found: Finding) -> str:
    """Return words for an Environment: which other files and folder were used.

    They are told from others of their name by the sizes of their files. Empty where none was.
    """
    words = [f"{name} of {one.path.name}" for one in single.others for name in one.inside]
    lent = [] if describes_itself(found) else [folder]
    for one in lent:
        given = {name for each in (single, *single.others) for name in each.inside}
        rest = read_pipeline(one, {*given, *lacking_parts(one)}).components
        words.append(f"{'other parts of' if rest else 'described by'} {one.name}")
    sizes = sorted(
        (one.relative_to(folder).as_posix(), one.stat().st_size)
        for folder in lent
        for one in folder.rglob("*.safetensors")
    )
    sizes += [(one.path.name, one.path.stat().st_size) for one in single.others]
    mark = sha256(json.dumps(sizes).encode()).hexdigest()[:8]
    return f"{', '.join(words)} ({mark})" if words else ""


def borrowed(path: Path, found: Finding, lenders: Iterable[Path]) -> tuple[Path, Single]:
    """Return the folder that describes a model, and the file with what it needs from others.

    The first folder of the same variant is taken whose parts are all here, else the first of a
    variant that has the same other parts. A part that the file itself has comes from there, one
    that the folder lacks from the best of the other files. Raises ModelUnavailable, naming what
    is missing, where it is not here.
    """
    check_alone(path, found)
    own = offers_within(path, found)
    lender = _chosen(path, found, own, tuple(lenders))
    inside = {lender.denoiser: found.prefix}
    inside |= {name: one.prefix for name, one in lender.taken.items() if one in own}
    others = tuple(
        Single(one.path, {name: one.prefix}) for name, one in lender.taken.items() if one not in own
    )
    single = Single(path, inside, others=others)
    folder, lent = lender.folder, lender.lent
    same = lent.variant == found.variant and found.prediction in ("flow", "", lent.prediction)
    return folder, single if same else as_its_own(single, lender.denoiser, found, folder)


def lacking(path: Path, found: Finding, lenders: Sequence[Path]) -> str:
    """Return what a file lacks that neither it nor others here have; empty where nothing."""
    try:
        if not describes_itself(found):
            with _described(path, found, lenders) as every:
                _chosen(path, found, offers_within(path, found), every)
        elif "autoencoder" not in found.parts:
            with opened(path, found, lambda: lenders):
                pass
    except ModelUnavailable as error:
        return error.message
    return ""


@dataclass(frozen=True)
class _Lender:
    """A folder that describes a model: what files give it, and what nothing here has."""

    folder: Path
    lent: Finding
    denoiser: str
    taken: Mapping[str, Offer]
    lacking: tuple[str, ...]


def _chosen(path: Path, found: Finding, own: Sequence[Offer], lenders: Sequence[Path]) -> _Lender:
    """Return the first folder all of whose parts are here; raises ModelUnavailable."""
    offers = offers_of(lenders)
    able = [_lender(folder, lent, found, own, offers) for folder, lent in _kin(found, lenders)]
    lender = next((one for one in able if not one.lacking), None)
    if lender is None:
        raise ModelUnavailable(_missing(path, found, able, offers))
    return lender


def _kin(found: Finding, lenders: Iterable[Path]) -> list[tuple[Path, Finding]]:
    """Return the folders that may describe a model: of the same variant, then of similar ones."""
    seen = [(one, recognise_folder(one)) for one in lenders if (one / INDEX).is_file()]
    kin = [
        (folder, lent)
        for folder, lent in seen
        if lent.kind in (Kind.PIPELINE, Kind.LENDER)
        and lent.family == found.family
        and any((folder / one / "config.json").is_file() for one in DENOISERS)
    ]
    same = [one for one in kin if one[1].variant == found.variant]
    shared = set(architecture_of(found.family).shared_parts)
    other = [one for one in kin if one not in same]
    return [*same, *(one for one in other if _shares(shared, found, one[1]))]


def _shares(shared: Collection[str], found: Finding, lent: Finding) -> bool:
    """Whether two variants have the same other parts; a folder's may not be known."""
    return found.variant in shared and (lent.variant or found.variant) in shared


def _lender(
    folder: Path,
    lent: Finding,
    found: Finding,
    own: Sequence[Offer],
    offers: Sequence[Offer],
) -> _Lender:
    lacking = lacking_parts(folder)
    pipeline = read_pipeline(folder, lacking)
    names = (*lacking, *pipeline.components)
    denoiser = next(one for one in DENOISERS if (folder / one / "config.json").is_file())
    taken, still = {}, []
    for name in names:
        if name == denoiser:
            continue
        given = choose((*own, *offers) if name in lacking else own, folder, name, found.family)
        if given is not None:
            taken[name] = given
        elif name in lacking:
            still.append(name)
    return _Lender(folder, lent, denoiser, taken, tuple(still))


def _decoded(
    folder: Path, single: Single, found: Finding, lenders: Callable[[], Iterable[Path]]
) -> Single:
    """Return a file that describes itself with the autoencoder of another file."""
    given = choose(offers_of(lenders()), folder, "vae", found.family)
    if given is None:
        title = facts_of(found.family, found.variant).title
        raise ModelUnavailable(
            f"{single.path.name} is {title} without its autoencoder. Get one for "
            f"{title_of(found.family)} as .safetensors, with “{_SAID[found.family]}” in its name, "
            "and tell Limner where it lies: limner models add PATH."
        )
    return replace(single, others=(Single(given.path, {"vae": given.prefix}),))


_SAID = {"sd1": "sd15", "sd2": "sd2", "sdxl": "sdxl"}
"""What names of autoencoders say that is told from the names alone, by family."""


def _missing(
    path: Path, found: Finding, lenders: Sequence[_Lender], offers: Sequence[Offer]
) -> str:
    facts = facts_of(found.family, found.variant)
    family = autoencoder_of(found.family)
    what = "the denoiser of " if found.kind is Kind.DENOISER else ""
    begin = f"{path.name} is {what}{facts.title}{' alone' if what else ''}."
    if lenders:
        best = min(lenders, key=lambda one: len(one.lacking))
        parts = _listed([_called(facts, best, name) for name in best.lacking])
        return (
            f"{begin} {best.folder.name} describes its other parts; weights of {parts} are not "
            "here. Get them as .safetensors, or a diffusers folder of "
            f"{title_of(found.family)} that has them, and tell Limner: limner models add PATH."
        )
    here = {*found.parts, *(one.called for one in offers if one.family in ("", family))}
    needed = [one for one in facts.text_encoders if one not in here]
    needed += ["the autoencoder"] if "autoencoder" not in here else []
    described = _listed([*needed, "the descriptions of its parts"])
    begin = f"{begin} To draw, {described} are needed, too."
    if not facts.repositories:
        return f"{begin} Get the folder of {facts.title}: limner models add FOLDER."
    repository = facts.repositories[0].name
    name = repository.partition("/")[2]
    get = f"`limner models pull {name} --descriptions` gets the descriptions (a few MB)"
    if not needed:
        return f"{begin} {get}."
    return (
        f"{begin} {get}. For the weights, tell Limner of files of them, or of the folder of "
        f"{facts.title} ({repository} on the model hub): limner models add PATH."
    )


def _called(facts: Facts, lender: _Lender, name: str) -> str:
    """Return what a part that is lacking is, in words."""
    if name == "vae":
        return "the autoencoder"
    described = read_pipeline(lender.folder, lacking_parts(lender.folder)).settings
    encoders = sorted(one for one in described if re.fullmatch(r"text_encoder(_\d)?", one))
    if name in encoders and len(encoders) == len(facts.text_encoders):
        return facts.text_encoders[encoders.index(name)]
    return name


def _listed(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
