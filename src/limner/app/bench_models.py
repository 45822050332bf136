"""What drawing with a model of the user's costs, beside the same in plain diffusers."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import nan
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from limner.app.bench import Measure
from limner.catalog.catalog import Catalog
from limner.domain.errors import InvalidOption, ModelUnavailable
from limner.domain.recipe import Size
from limner.engine import machine
from limner.families.diffusion.recognition.folders import INDEX

if TYPE_CHECKING:
    from limner.families.diffusion.bench.compare import Asked, Side

_ROUNDS = 3


def run_stand_in_bench(
    name: str, size: Size, steps: int, tell: Callable[[str], None], profile: str = "exact"
) -> Iterator[Measure]:
    """Yield figures of a model's shape with random weights: what drawing with it costs here.

    Raises InvalidOption for a name or profile there is none of.
    """
    from limner.families.diffusion.bench.compare import Asked, shaped
    from limner.families.diffusion.bench.stand_ins import facts_like, names
    from limner.families.diffusion.drawing.profiles import profiles_of

    if name not in names():
        raise InvalidOption(f"There is no stand-in “{name}”. Choose from: {', '.join(names())}.")
    _require_profile(profile, profiles_of(facts_like(name).family))
    threads = machine.free_cores()
    asked = Asked("", size.width, size.height, steps, threads, profile=profile)
    yield Measure("free cores", threads, "cores", machine.processor())
    tell(f"random weights in the shape of {facts_like(name).title}")
    found = shaped(name, asked, _ROUNDS)
    both = {"diffusers": median(found.diffusers), "Limner": median(found.limner)}
    for side, seconds in both.items():
        note = f"median of {_ROUNDS}, {steps} steps at {size}"
        how = f", {profile}" if side == "Limner" else ""
        yield Measure(f"a picture, {side}{how}", seconds, "s", note)
    ratio = both["Limner"] / both["diffusers"]
    yield Measure("a picture, ratio", ratio, "×", _strayed(found.difference))
    yield Measure("peak memory", found.peak / 1e9, "GB")


def _require_profile(profile: str, known: Sequence[str]) -> None:
    if profile not in known:
        raise InvalidOption(f"This model is drawn with by {' or '.join(known)}, not {profile}.")


def _strayed(difference: float) -> str:
    """Return how far pixels differ from plain diffusers, in words."""
    if difference == 0:
        return "the same pixels"
    return f"pixels differ by {difference:.2f} of 255 on average"


def folder_of(catalog: Catalog, model: str) -> Path:
    """Return the diffusers folder of a model, by its name or by the path of the folder itself.

    Raises ModelNotFound, and InvalidOption for a model that is no such folder.
    """
    if (Path(model) / INDEX).is_file():
        return Path(model)
    card = catalog.find(model)
    index = catalog.locate(card).files.get(INDEX)
    if index is None:
        raise InvalidOption(
            f"{card.name} is no diffusers folder, and plain diffusers is what Limner is measured "
            "beside. Choose a model that is one."
        )
    return index.parent


def run_model_bench(
    folder: Path, size: Size, steps: int, tell: Callable[[str], None], profile: str = "exact"
) -> Iterator[Measure]:
    """Yield figures of a diffusers folder, Limner's beside those of diffusers alone.

    Limner draws by `profile`. Both draw the same: in processes of their own for memory and
    loading, in turns in one process for time. Other programs that draw with such models follow,
    where they are installed. Raises InvalidOption for an unknown profile, and ModelUnavailable
    where a process failed.
    """
    from limner.families.diffusion.bench.compare import Asked, alternate, profiles_for

    _require_profile(profile, profiles_for(folder))
    threads = machine.free_cores()
    asked = Asked(str(folder), size.width, size.height, steps, threads, profile=profile)
    yield Measure("free cores", threads, "cores", machine.processor())
    tell("diffusers alone")
    plain = _alone("diffusers", asked)
    tell("Limner alone")
    ours = _alone("limner", asked)
    for name, unit, scale in (("load", "s", 1.0), ("first", "s", 1.0), ("peak", "GB", 1e9)):
        title = {"load": "loading", "first": "first picture", "peak": "peak memory"}[name]
        yield Measure(f"{title}, diffusers", plain[name] / scale, unit)
        yield Measure(f"{title}, Limner", ours[name] / scale, unit)
        yield Measure(f"{title}, ratio", ours[name] / plain[name], "×", "Limner ÷ diffusers")
    tell("both in turns")
    turns = alternate(asked, _ROUNDS)
    per_step = {"diffusers": median(turns.diffusers), "Limner": median(turns.limner)}
    for name, seconds in per_step.items():
        note = f"median of {_ROUNDS} pictures of {steps} steps at {size}"
        yield Measure(f"a step, {name}", seconds / steps, "s", note)
    yield Measure(
        "a step, ratio",
        per_step["Limner"] / per_step["diffusers"],
        "×",
        _strayed(turns.difference),
    )
    yield from _beside(asked, steps, per_step["Limner"] / steps, tell)


def _beside(
    asked: "Asked", steps: int, ours: float, tell: Callable[[str], None]
) -> Iterator[Measure]:
    """Yield figures of the other programs that are installed; one that fails only says why."""
    from limner.families.diffusion.bench.peers import installed

    for name in installed():
        tell(f"{name} alone")
        given = {"peer": name, "asked": asdict(asked), "rounds": _ROUNDS}
        try:
            found = _process("peers", given, f"{asked.folder} could not be drawn with by {name}")
        except ModelUnavailable as reason:
            yield Measure(f"a step, {name}", nan, "s", str(reason))
            continue
        step = found["picture"] / steps
        yield Measure(f"loading, {name}", found["load"], "s")
        yield Measure(f"first picture, {name}", found["first"], "s")
        yield Measure(f"peak memory, {name}", found["peak"] / 1e9, "GB")
        yield Measure(f"a step, {name}", step, "s", "in a process of its own")
        yield Measure(f"a step, ratio to {name}", ours / step, "×", f"Limner ÷ {name}")


def _alone(side: "Side", asked: "Asked") -> dict[str, float]:
    given = {"side": side, "asked": asdict(asked)}
    return _process("compare", given, f"{asked.folder} could not be drawn with by {side}")


def _process(module: str, given: Mapping[str, object], failed: str) -> dict[str, float]:
    """Return the figures that a module of the diffusion families prints in its own process."""
    done = subprocess.run(
        [sys.executable, "-m", f"limner.families.diffusion.bench.{module}"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it was stopped, perhaps for memory"])[-1]
        raise ModelUnavailable(f"{failed}: {reason[:300]}")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures
