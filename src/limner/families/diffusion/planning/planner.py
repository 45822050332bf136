"""Which way of drawing fits a machine, from the best to the smallest."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from limner.domain.errors import OutOfMemory
from limner.domain.recipe import Size
from limner.families.diffusion.planning.activations import Work
from limner.families.diffusion.planning.demand import (
    TILE,
    Demand,
    Machine,
    Offload,
    Quantisation,
    Way,
    demand_of,
)
from limner.families.diffusion.planning.inventory import PACKED, Part, Role

_MARGIN = 1.1
"""How much more than predicted must be free."""

_GB = 2**30


@dataclass(frozen=True)
class Plan:
    """A way of drawing, what it takes, whether it changes pixels, and why it was thought of."""

    way: Way
    demand: Demand
    exact: bool
    reason: str


def plans(parts: tuple[Part, ...], work: Work, machine: Machine) -> tuple[Plan, ...]:
    """Return every plan worth trying, from the best; each takes less than those before it.

    Those that draw the same pixels come first, and of these the fast ones. Raises WeightsRejected
    where the description of a part makes no sense.
    """
    found: list[Plan] = []
    for way in _ways(parts, machine):
        demand = demand_of(parts, work, machine.device, way)
        if demand.host > machine.host_memory or (found and not _less(demand, found[-1].demand)):
            continue
        found.append(Plan(way, demand, _exact(way, parts), _reason(way, parts, machine)))
    return tuple(found)


def choose(parts: tuple[Part, ...], work: Work, machine: Machine) -> Plan:
    """Return the best plan that fits; raises OutOfMemory, saying what would, where none does."""
    found = plans(parts, work, machine)
    for plan in found:
        if fits(plan, machine):
            return plan
    raise OutOfMemory(_refusal(parts, work, machine, found[-1]))


def smaller(way: Way, parts: tuple[Part, ...], work: Work, machine: Machine) -> Plan:
    """Return the plan to try after a way of drawing ran out of memory, whatever was predicted.

    Raises OutOfMemory where there is none; no size would help, for weights are of no size.
    """
    used = demand_of(parts, work, machine.device, way)
    for other in plans(parts, work, machine):
        if _less(other.demand, used):
            return other
    raise OutOfMemory(
        f"Memory ran out while loading, even in the way that takes least, and {machine.name} had "
        f"{_gb(machine.memory)} free. Close other programs, or choose a smaller model."
    )


def smallest(parts: tuple[Part, ...], work: Work, machine: Machine) -> Plan | None:
    """Return the plan that takes least of those whose weights can be loaded; None without any."""
    loadable = [
        plan
        for plan in plans(parts, work, machine)
        if not lacking(plan.demand.runtime + plan.demand.weights, machine)
    ]
    return loadable[-1] if loadable else None


def fits(plan: Plan, machine: Machine) -> bool:
    """Whether a plan fits the memory that is free, with a margin for what cannot be known."""
    return not lacking(plan.demand.needed, machine)


def lacking(needed: int, machine: Machine) -> int:
    """Return the bytes that must become free for those predicted to fit; 0 where they do."""
    return max(0, math.ceil(needed * _MARGIN) - machine.memory)


def is_hopeless(needed: int, machine: Machine) -> bool:
    """Whether the bytes predicted are more than is free, also if the prediction errs upwards."""
    return needed > machine.memory * _MARGIN


def describe(parts: tuple[Part, ...], work: Work, machine: Machine) -> tuple[str, ...]:
    """Return the plan as lines of plain words: what would be done, what it takes, what it costs.

    Where nothing fits they say so and what would; nothing is raised but WeightsRejected.
    """
    name = machine.name[:1].upper() + machine.name[1:]
    free = f"{name} has {_gb(machine.memory)} free."
    try:
        plan = choose(parts, work, machine)
    except OutOfMemory as error:
        return (free, error.message)
    demand, way = plan.demand, plan.way
    stages = ", ".join(f"{_gb(size)} to {name}" for name, size in demand.needs)
    lines = [
        f"{free} {_title(way)}: at most {_gb(demand.needed)}, {_gb(demand.weights)} of it weights.",
        f"At {_named(work.size)}: {stages}.",
        plan.reason,
    ]
    if demand.host:
        lines.append(f"{_gb(demand.host)} of weights wait in the machine's own memory.")
    if not plan.exact:
        lines.append("The picture will differ a little from the one drawn with more memory.")
    if demand.unknown:
        lines.append(
            f"How much memory its {' and '.join(demand.unknown)} needs to work cannot be "
            "predicted; these figures are a guess from the weights."
        )
    return tuple(lines)


_OFFLOADS: tuple[Offload, ...] = ("none", "model", "group", "sequential")


def _ways(parts: tuple[Part, ...], machine: Machine) -> list[Way]:
    """Return all ways of drawing on a machine, from the best."""
    offloads = _OFFLOADS if machine.device == "cuda" else ("none",)
    every = [
        Way(dtype, quantisation, offload, tiling)
        for dtype, quantisation, offload, tiling in product(
            _dtypes(parts, machine),
            _quantisations(parts, machine),
            offloads,
            (False, True),
        )
        if quantisation != "half" or dtype == "float32"
    ]
    order = {one: place for place, one in enumerate(_quantisations(parts, machine))}
    return sorted(
        every,
        key=lambda way: (
            way.offload == "sequential",
            0 if _lossless(way, parts) else 1 + order[way.quantisation],
            way.tiling,
            _OFFLOADS.index(way.offload),
            order[way.quantisation],
        ),
    )


def _dtypes(parts: tuple[Part, ...], machine: Machine) -> tuple[str, ...]:
    """Return the number formats to compute in, the best first.

    A CPU without bfloat16 of its own is ten times slower with it than with float32.
    """
    if machine.device != "cpu":
        return ("bfloat16" if machine.native_bf16 else "float16",)
    if not machine.native_bf16:
        return ("float32",)
    return ("float32", "bfloat16") if _denoiser(parts).stored == "float32" else ("bfloat16",)


def _quantisations(parts: tuple[Part, ...], machine: Machine) -> tuple[Quantisation, ...]:
    """Return how weights may lie in memory here, the best first.

    What is stored quantised stays so; then only other parts are quantised. int8 is nearer to the
    weights than fp8, and slower where the device has fp8 of its own.
    """
    ways: list[Quantisation] = ["stored" if _denoiser(parts).stored in PACKED else "none"]
    if machine.device == "cpu":
        ways.append("half")
    if machine.device != "mps":
        ways.append("fp8")
    if machine.bitsandbytes and machine.device != "mps":
        ways.insert(len(ways) - (0 if machine.native_fp8 else 1), "int8")
        ways.append("nf4")
    return tuple(ways)


def _denoiser(parts: tuple[Part, ...]) -> Part:
    """Return the part that draws; where none is known, the heaviest."""
    found = [part for part in parts if part.role is Role.DENOISER] or list(parts)
    return max(found, key=lambda part: part.parameters, default=Part("model", "", Role.OTHER))


def _lossless(way: Way, parts: tuple[Part, ...]) -> bool:
    """Whether weights in memory are the weights of the files."""
    stored = _denoiser(parts).stored
    if stored == "float32" and way.dtype == "bfloat16":
        return False
    kept = stored == way.quantisation and stored not in PACKED
    return kept or way.quantisation in ("none", "stored", "half")


def _exact(way: Way, parts: tuple[Part, ...]) -> bool:
    return _lossless(way, parts) and not way.tiling


def _less(demand: Demand, other: Demand) -> bool:
    return demand.needed < other.needed * _WORTH


_WORTH = 0.98
"""A plan that saves less than a fiftieth is not worth what it costs."""


_QUANTISED = {
    "none": "",
    "stored": "weights as quantised in their files",
    "half": "weights as stored, in 16 bits, and widened layer by layer",
    "fp8": "weights in 8 bits (fp8)",
    "int8": "weights in 8 bits (int8)",
    "nf4": "weights in 4 bits (nf4)",
}

_OFFLOADED = {
    "none": "",
    "model": "parts moved to the device when needed",
    "group": "blocks moved to the device when needed",
    "sequential": "layers moved to the device one by one (very slow)",
}


def _title(way: Way) -> str:
    chosen = (
        f"Computes in {way.dtype}",
        _QUANTISED[way.quantisation],
        _OFFLOADED[way.offload],
        f"decodes in tiles of {TILE} pixels" if way.tiling else "",
    )
    return ", ".join(one for one in chosen if one)


def _reason(way: Way, parts: tuple[Part, ...], machine: Machine) -> str:
    stored = _denoiser(parts).stored
    if machine.device == "cpu" and way.dtype == "float32":
        if stored in ("float16", "bfloat16") and way.quantisation == "none":
            return (
                f"This processor computes well in float32 only, so {stored} weights take twice "
                "the memory of their files."
            )
        return (
            "This processor computes well in float32 only."
            if not machine.native_bf16
            else ("The weights are float32, and so is the computing.")
        )
    if way.dtype == "float16":
        return "This device has no bfloat16 of its own, so it computes in float16."
    return "This device computes in bfloat16."


def _refusal(parts: tuple[Part, ...], work: Work, machine: Machine, last: Plan) -> str:
    need = _gb(round(last.demand.needed * _MARGIN))

    def suits(less: Work) -> bool:
        return any(fits(plan, machine) for plan in plans(parts, less, machine))

    return (
        f"Drawing {_named(work.size)} with this model is thought to take at least {need} of "
        f"memory, and {machine.name} has {_gb(machine.memory)} free. {_advice(work, suits)}"
    )


def refusal_beside(work: Work, more: int, machine: Machine, suits: Callable[[Work], bool]) -> str:
    """Return why a loaded model cannot draw, which takes `more` bytes than it holds.

    `suits` tells whether there is memory for less work.
    """
    need = _gb(round(more * _MARGIN))
    return (
        f"Drawing {_named(work.size)} is thought to take {need} of memory beside what the model "
        f"holds, and {machine.name} has {_gb(machine.memory)} free. {_advice(work, suits)}"
    )


def _advice(work: Work, suits: Callable[[Work], bool]) -> str:
    """Return what to do where memory lacks; `suits` tells whether there is some for less work."""
    size = next((one for one in _smaller_sizes(work) if suits(replace(work, size=one))), None)
    if size is not None:
        return f"{_named(size)} would fit; or close other programs."
    return "No size would fit: close other programs, or choose a smaller model."


def _smaller_sizes(work: Work) -> Iterator[Size]:
    """Yield the sizes of these proportions that are smaller, the largest first.

    Their sides are multiples of 64 pixels, and the model draws them as they are.
    """
    asked = work.size
    longest = max(asked.width, asked.height)
    for side in range(math.ceil(longest / 64) - 1, 3, -1):
        share = side * 64 / longest
        width, height = (
            max(64, round(one * share / 64) * 64) for one in (asked.width, asked.height)
        )
        size = Size(width=width, height=height)
        within = width <= asked.width and height <= asked.height
        if within and work.least <= size.pixels < asked.pixels:
            yield size


def _named(size: Size) -> str:
    return f"{size.width}×{size.height}"


def _gb(size: int) -> str:
    return f"{size / _GB:.1f} GB"
