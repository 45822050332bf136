"""Controls, references and layouts, as people write them, made part of a Draft.

    control    KIND[@MODEL]=FILE[:WEIGHT[:START-END]]      canny=room.jpg:0.8:0-0.6
    reference  FILE[:PURPOSE[:WEIGHT]]                     shoe.png:subject:0.7
    layout     a JSON or YAML file: a list of {prompt, box or mask, weight}

A kind that ends in `-map` says that the file is a map already: `depth-map=depths.png`.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from limner.app.files import read_file
from limner.app.wrong import told_of
from limner.domain.asset import Asset
from limner.domain.canonical import Frozen
from limner.domain.composition import (
    ControlDraft,
    ControlKind,
    Purpose,
    ReferenceDraft,
    Region,
)
from limner.domain.errors import InvalidOption

Bring = Callable[[Path], Asset]
"""Returns the asset of a picture's file, which it brings into the library."""

_NUMBER = r"\d*\.?\d+"
_CONTROL = re.compile(
    rf"(?P<kind>[a-z]+?)(?P<prepared>-map)?(?:@(?P<model>[^=]+))?="
    rf"(?P<file>.+?)(?::(?P<weight>{_NUMBER})(?::(?P<start>{_NUMBER})-(?P<end>{_NUMBER}))?)?"
)
_REFERENCE = re.compile(
    rf"(?:@(?P<model>[^=]+)=)?(?P<file>.+?)"
    rf"(?::(?P<purpose>{'|'.join(Purpose)})(?::(?P<weight>{_NUMBER}))?)?"
)

_MOST_REGIONS = 32

Drafted = TypeVar("Drafted", bound=Frozen)


def composed(options: Mapping[str, object], bring: Bring) -> dict[str, object]:
    """Return options in which texts for controls, references and a layout are the things meant.

    Raises InvalidOption for a text that says something else.
    """
    ways: Mapping[str, Callable[[str, Bring], object]] = {
        "controls": read_control,
        "references": read_reference,
    }
    made = dict(options)
    for name, read in ways.items():
        given = made.get(name)
        if isinstance(given, list | tuple):
            made[name] = tuple(read(one, bring) if isinstance(one, str) else one for one in given)
    layout = made.get("layout")
    if isinstance(layout, str | Path):
        made["layout"] = read_layout(Path(layout), bring)
    return made


def read_control(text: str, bring: Bring) -> ControlDraft:
    """Return the control that `KIND[@MODEL]=FILE[:WEIGHT[:START-END]]` asks for."""
    match = _CONTROL.fullmatch(text)
    kinds = ", ".join(ControlKind)
    if match is None or match["kind"] not in set(ControlKind):
        raise InvalidOption(
            f"“{text[:80]}” is no control. Write it like canny=photo.jpg:0.8, with one of: {kinds}."
        )
    given = {
        "kind": match["kind"],
        "prepared": match["prepared"] is not None,
        "model": match["model"],
        "asset": bring(Path(match["file"])).id,
        **_numbers(match, "weight", "start", "end"),
    }
    return _made(ControlDraft, given, text)


def read_reference(text: str, bring: Bring) -> ReferenceDraft:
    """Return the reference that `[@MODEL=]FILE[:PURPOSE[:WEIGHT]]` asks for."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise InvalidOption(f"“{text[:80]}” is no reference. Write it like shoe.png:subject:0.7.")
    given = {
        "model": match["model"],
        "purpose": match["purpose"] or Purpose.SUBJECT,
        "asset": bring(Path(match["file"])).id,
        **_numbers(match, "weight"),
    }
    return _made(ReferenceDraft, given, text)


def read_layout(path: Path, bring: Bring) -> tuple[Region, ...]:
    """Return the regions that a layout file lists; masks lie beside it."""
    try:
        listed = yaml.safe_load(read_file(path).decode("utf-8-sig"))
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise InvalidOption(f"{path.name} is no layout: it is neither JSON nor YAML.") from error
    regions = listed.get("regions") if isinstance(listed, dict) else listed
    if not isinstance(regions, list) or not all(isinstance(one, dict) for one in regions):
        raise InvalidOption(
            f"{path.name} is no layout. It is a list of regions, each like "
            '{"prompt": "a fox", "box": [0, 0.2, 0.5, 1]}.'
        )
    if len(regions) > _MOST_REGIONS:
        raise InvalidOption(f"{path.name} has {len(regions)} regions; the most is {_MOST_REGIONS}.")
    return tuple(_region(one, path, bring) for one in regions)


def _region(given: Mapping[str, object], path: Path, bring: Bring) -> Region:
    known = {"prompt", "box", "mask", "weight"}
    other = sorted(str(name) for name in given.keys() - known)
    if other:
        listed = ", ".join(sorted(known))
        raise InvalidOption(f"{path.name}: a region has no “{other[0][:40]}”. It has: {listed}.")
    made = dict(given)
    box, mask = made.get("box"), made.get("mask")
    if isinstance(box, list):
        made["box"] = dict(zip(("left", "top", "right", "bottom"), box, strict=False))
    if isinstance(mask, str):
        made["mask"] = bring(path.parent / mask).id
    return _made(Region, made, f"{path.name}: {str(given.get('prompt', ''))[:40]}")


def _numbers(match: re.Match[str], *names: str) -> dict[str, float]:
    return {name: float(match[name]) for name in names if match[name] is not None}


def _made(kind: type[Drafted], given: Mapping[str, object], text: str) -> Drafted:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = f"{where + ': ' if where else ''}{told_of(first)}"
        raise InvalidOption(f"“{text[:80]}”: {said}.") from error
