"""How much memory a way of drawing takes, predicted before anything is loaded."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from limner.domain.recipe import Size
from limner.families.diffusion.planning.activations import (
    Held,
    Work,
    of_autoencoder,
    of_denoiser,
    of_text_encoder,
    scale_of,
)
from limner.families.diffusion.planning.inventory import PACKED, Part, Role

DeviceKind: TypeAlias = Literal["cpu", "cuda", "mps"]
Quantisation: TypeAlias = Literal["none", "stored", "half", "fp8", "int8", "nf4"]
"""How weights lie in memory where that is not the number format of computing.

`stored`: the denoiser's as they are quantised in its file, GGUF for one. `half`: the 16 bits of
weights stored so, widened to 32 a layer at a time: the same picture. The others are of large
parts only, and never of what is stored quantised.
"""
Offload: TypeAlias = Literal["none", "model", "group", "sequential"]
"""What waits in the machine's memory: nothing, parts, blocks of parts, single layers."""


@dataclass(frozen=True)
class Machine:
    """What a planner needs to know of a machine; memory is what is free, in bytes.

    `name` is what it is called within a sentence. `native_bf16`: it computes in bfloat16 faster
    than in float32. `bitsandbytes`: that library is installed. `host_memory` is the memory beside
    that of the device; on a CPU it is the same.
    """

    device: DeviceKind
    name: str
    memory: int
    host_memory: int
    native_bf16: bool = False
    native_fp8: bool = False
    bitsandbytes: bool = False


@dataclass(frozen=True)
class Way:
    """A way of drawing: what is chosen, none of which a Recipe says."""

    dtype: str
    quantisation: Quantisation = "none"
    offload: Offload = "none"
    tiling: bool = False


@dataclass(frozen=True)
class Demand:
    """Bytes that a way of drawing takes.

    `weights` on the device, `stages` the most it holds in each stage, by name, weights and
    runtime with it; `runtime` the libraries; `host` what else the machine's own memory holds.
    `mapped` is what of `load` are files that are read: the system lets go of these when it must.
    `unknown` names the parts whose work cannot be predicted; a rough guess stands for it.
    """

    weights: int
    stages: tuple[tuple[str, int], ...]
    runtime: int
    mapped: int = 0
    host: int = 0
    unknown: tuple[str, ...] = ()

    @property
    def peak(self) -> int:
        """The most bytes of the device at once."""
        return max(size for _, size in self.stages)

    @property
    def needed(self) -> int:
        """The bytes that must be free: the peak, less files that need not stay in memory."""
        return max(size for _, size in self.needs)

    @property
    def needs(self) -> tuple[tuple[str, int], ...]:
        """The bytes that must be free for each stage."""
        return tuple(
            (name, size - (self.mapped if name == _LOAD else 0)) for name, size in self.stages
        )

    @property
    def held(self) -> int:
        """The bytes of the device that a loaded model holds between pictures."""
        return self.runtime + (0 if self.host else self.weights)

    @property
    def more(self) -> int:
        """The bytes of the device that drawing takes beside what is held."""
        drawing = (size for name, size in self.stages if name != _LOAD)
        return max(drawing, default=self.held) - self.held


TILE = 512
"""Pixels of the side of a tile that decoding in tiles takes."""

_MIB = 2**20
_RUNTIME = {"cpu": 450 * _MIB, "cuda": 600 * _MIB, "mps": 600 * _MIB}
"""torch, diffusers and transformers imported; on a GPU, its context and its libraries."""

_PIECES = 160 * _MIB
"""What the C library's heap keeps in pieces, at most: large tensors are mapped one by one.

Measured with glibc, where it was 100 to 250 MiB.
"""

WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2}
"""Bytes of a number in each format."""

_LARGE = 1_000_000_000
"""Numbers of a text encoder from which on it is quantised with the denoiser."""


def demand_of(parts: tuple[Part, ...], work: Work, device: DeviceKind, way: Way) -> Demand:
    """Return what a way of drawing takes; raises WeightsRejected for senseless descriptions."""
    weights = {part.name: _weights(part, way) for part in parts}
    on_device = {part.name: _resident(part, way) for part in parts}
    everything = sum(on_device.values())
    runtime = _RUNTIME[device]
    unknown: list[str] = []
    stages: dict[str, int] = {}
    mapped = _converting(parts, way) if device == "cpu" else 0
    if way.offload == "none":
        stages[_LOAD] = runtime + sum(weights.values()) + mapped
    for part in parts:
        held = _held(part, parts, work, way)
        if held is None:
            unknown.append(part.name)
            held = _guess(part, work)
        active = _bytes(held, part, device, way) + _widened(part, way)
        base = everything if way.offload == "none" else on_device[part.name]
        stage = _STAGES[part.role]
        stages[stage] = max(stages.get(stage, 0), runtime + base + active)
    host = 0 if way.offload == "none" else sum(weights.values())
    return Demand(
        weights=everything if way.offload == "none" else max(on_device.values(), default=0),
        stages=tuple(stages.items()) or ((_LOAD, runtime),),
        runtime=runtime,
        mapped=mapped,
        host=host,
        unknown=tuple(unknown),
    )


_LOAD = "load"
_STAGES = {
    Role.TEXT_ENCODER: "read the prompt",
    Role.DENOISER: "draw",
    Role.AUTOENCODER: "decode",
    Role.OTHER: "look",
}


def _quantised(part: Part) -> bool:
    """Whether quantisation reaches a part: what it saves must be worth what it costs."""
    return part.role is Role.DENOISER or (
        part.role is Role.TEXT_ENCODER and part.parameters >= _LARGE
    )


def storage_of(part: Part, way: Way) -> str:
    """Return how a part's weights lie in memory: a number format, or a quantisation."""
    if part.stored in PACKED:
        return part.stored
    if way.quantisation == "half" and part.role in (Role.DENOISER, Role.TEXT_ENCODER):
        return part.stored if WIDTHS.get(part.stored) == 2 else way.dtype
    if way.quantisation in ("fp8", "int8", "nf4") and _quantised(part):
        return way.quantisation
    return "float32" if _upcast(part, way) else way.dtype


def _upcast(part: Part, way: Way) -> bool:
    """Whether the pipeline decodes in float32: SDXL's autoencoder overflows in float16."""
    return (
        part.role is Role.AUTOENCODER
        and way.dtype == "float16"
        and part.settings.get("force_upcast") is True
    )


def _weights(part: Part, way: Way) -> int:
    stored = storage_of(part, way)
    if stored in PACKED and stored == part.stored:
        return part.file_bytes
    width = WIDTHS[way.dtype]
    if stored in WIDTHS and way.quantisation != "half":
        return part.parameters * WIDTHS[stored]
    small = part.matrices + (part.kernels if stored not in ("int8", "nf4") else 0)
    return round(small * _EACH[stored]) + (part.parameters - small) * width


_EACH = {**WIDTHS, "fp8": 1.0, "int8": 1.0, "nf4": 0.5 + 4 / 64}
"""Bytes of a number in layers that may be narrow; nf4 has a scale for each 64."""


def _resident(part: Part, way: Way) -> int:
    """Return the bytes of a part that lie on the device at once."""
    whole = _weights(part, way)
    if way.offload in ("none", "model") or part.role is Role.AUTOENCODER or not part.parameters:
        return whole
    share = whole / part.parameters
    if way.offload == "group":  # one block computes while the next is on its way
        return min(whole, round((part.loose + 2 * part.block) * share))
    return min(whole, round(part.largest * share))


def _widened(part: Part, way: Way) -> int:
    """Return the bytes of the one layer that is widened while it computes."""
    stored = storage_of(part, way)
    return 0 if stored in (way.dtype, "int8") else part.largest * WIDTHS[way.dtype]


def _converting(parts: tuple[Part, ...], way: Way) -> int:
    """Return the bytes of files that lie in memory with what they are turned into."""
    return max(
        (
            part.file_bytes
            for part in parts
            if part.stored not in PACKED and part.stored != storage_of(part, way)
        ),
        default=0,
    )


def _held(part: Part, parts: tuple[Part, ...], work: Work, way: Way) -> Held | None:
    found: Callable[[], Held | None] = {
        Role.TEXT_ENCODER: lambda: of_text_encoder(part, work),
        Role.DENOISER: lambda: of_denoiser(part, work, scale_of(parts)),
        Role.AUTOENCODER: lambda: _decoded(part, work, way),
        Role.OTHER: lambda: Held(0),
    }[part.role]
    return found()


def _decoded(part: Part, work: Work, way: Way) -> Held | None:
    batch = 1 if way.tiling else work.batch  # then one picture is decoded after the other
    size = work.size
    if not way.tiling or size.width <= TILE >= size.height:
        return of_autoencoder(part, size, batch)
    tile = of_autoencoder(
        part, Size(width=min(TILE, size.width), height=min(TILE, size.height)), batch
    )
    # The tiles and the picture they are put together to, and the rows of it.
    together = 9 * size.pixels * batch
    return None if tile is None else replace(tile, numbers=tile.numbers + together)


def _guess(part: Part, work: Work) -> Held:
    """Return what a part of an unknown architecture may hold: what others of its role do."""
    if part.role is Role.AUTOENCODER:
        return Held(3 * 256 * work.size.pixels * work.batch)
    return Held(part.parameters // 4)


def _bytes(held: Held, part: Part, device: DeviceKind, way: Way) -> int:
    width = 4 if _upcast(part, way) else WIDTHS[way.dtype]
    if device == "cpu":
        live = (held.numbers + held.copies) * width
        return live + min(live, _PIECES)
    # What is freed is kept for the next tensor, and does not always fit it.
    return round(held.numbers * width * 1.1)
