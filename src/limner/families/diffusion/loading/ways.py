"""Models in memory the way a planner chose: number formats, narrow weights, parts that wait."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from limner.domain.errors import OutOfMemory
from limner.domain.event import Notice
from limner.families.diffusion.loading.hardware import machine_here
from limner.families.diffusion.loading.pipelines import (
    Device,
    libraries,
    load_pipeline,
    placed,
)
from limner.families.diffusion.loading.single import ENDINGS, Single
from limner.families.diffusion.planning.activations import Work
from limner.families.diffusion.planning.demand import WIDTHS, Machine, Way, storage_of
from limner.families.diffusion.planning.inventory import PACKED, Part, take_inventory
from limner.families.diffusion.planning.planner import (
    choose,
    fits,
    lacking,
    plans,
    smaller,
    smallest,
)
from limner.families.diffusion.recognition.folders import read_pipeline
from limner.families.diffusion.recognition.headers import read_header
from limner.families.family import Placement

_NARROW = {"fp8": "float8_e4m3fn", "float16": "float16", "bfloat16": "bfloat16"}

LOSSY = {"fp8": "8 bits (fp8)", "int8": "8 bits (int8)", "nf4": "4 bits (nf4)"}
"""Ways of keeping weights that change pixels a little, in words."""


@dataclass(frozen=True)
class Loaded:
    """A pipeline in memory, where it computes, the way it was made to fit, and its parts."""

    pipeline: Any
    device: Device
    way: Way
    parts: tuple[Part, ...]


def load_fitting(
    folder: Path, work: Work, placement: Placement, single: Single | None = None
) -> Loaded:
    """Load a diffusers folder in the best way that fits the memory that is free.

    The parts that a `single` file holds come from there instead. Room is left for what takes part
    besides the model (`Placement.beside`). The placement is asked to make room before a lesser
    way is taken. Where no way is thought to fit, the smallest that can be loaded is taken, and
    the placement is told. Where a prediction was wrong and memory runs out, the next smaller way
    is tried. Raises OutOfMemory where the weights fit in no way, and WeightsRejected.
    """
    parts = inventory_of(folder, single)
    machine = _left(machine_for(single), placement)
    best = plans(parts, work, machine)
    if best and not fits(best[0], machine):
        placement.make_room(lacking(best[0].demand.needed, machine))
        machine = _left(machine_for(single), placement)
    way = _chosen(parts, work, machine, placement)
    while True:
        device = Device(machine.device, way.dtype)
        try:
            return Loaded(load_way(folder, parts, way, device, single), device, way, parts)
        except MemoryError:
            way = smaller(way, parts, work, machine).way
            told = "Memory ran out while loading; trying again with less."
            placement.tell(Notice("less_memory", told))


def _chosen(parts: tuple[Part, ...], work: Work, machine: Machine, placement: Placement) -> Way:
    """Return the best way that fits, else the smallest, and tell that it may not suffice."""
    try:
        return choose(parts, work, machine).way
    except OutOfMemory as error:
        plan = smallest(parts, work, machine)
        if plan is None:
            raise
        placement.tell(Notice("less_memory", error.message))
        return plan.way


def inventory_of(folder: Path, single: Single | None = None) -> tuple[Part, ...]:
    """Return the parts of a folder; those that a `single` file holds are taken from there."""
    if single is None:
        return take_inventory(folder)
    given = single.inventory(folder)
    names = tuple(part.name for part in given)
    order = list(read_pipeline(folder, names).settings)
    every = (*given, *take_inventory(folder, names))
    return tuple(sorted(every, key=lambda part: order.index(part.name)))


def machine_for(single: Single | None) -> Machine:
    """Return this machine, as a model is planned for it: bitsandbytes packs as it reads folders."""
    machine = machine_here()
    return replace(machine, bitsandbytes=False) if single else machine


def _left(machine: Machine, placement: Placement) -> Machine:
    """Return a machine with the memory that is left beside what else takes part."""
    wide = machine.device == "cpu" and not machine.native_bf16
    taken = weigh(placement.beside, "float32" if wide else "bfloat16")
    return replace(machine, memory=max(0, machine.memory - taken))


def weigh(paths: Iterable[Path], dtype: str) -> int:
    """Return the bytes that the weights in files take in a number format; others count nothing."""
    return sum(
        WIDTHS[dtype] * math.prod(tensor.shape)
        for path in paths
        if path.suffix.lower() in ENDINGS
        for tensor in read_header(path).tensors.values()
    )


def load_way(
    folder: Path, parts: Sequence[Part], way: Way, device: Device, single: Single | None = None
) -> Any:
    """Return the pipeline of a folder, loaded a certain way; see `load_fitting` for `single`.

    What is to wait in the machine's memory is left there: see `easing`.
    """
    narrow = {
        part.name: storage_of(part, way)
        for part in parts
        if part.stored not in PACKED and storage_of(part, way) not in (way.dtype, "float32")
    }
    options = _options(parts, narrow, way)
    if single:
        options.update(single.read(folder, options["torch_dtype"]))
    pipeline = load_pipeline(folder, device, options, moved=False)
    used = libraries()
    for name, storage in narrow.items():
        if storage in _NARROW:
            _narrow(getattr(pipeline, name), getattr(used.torch, _NARROW[storage]), device)
    return pipeline if way.offload != "none" else placed(pipeline, device)


def _options(parts: Sequence[Part], narrow: Mapping[str, str], way: Way) -> dict[str, Any]:
    """Return what `from_pretrained` is told of number formats and quantisation."""
    used = libraries()
    kept = {
        part.name: getattr(used.torch, narrow[part.name])
        for part in parts
        if narrow.get(part.name) in ("float16", "bfloat16")
    }
    dtype = getattr(used.torch, way.dtype)
    options: dict[str, Any] = {"torch_dtype": {**kept, "default": dtype} if kept else dtype}
    packed = [name for name, storage in narrow.items() if storage in ("int8", "nf4")]
    if packed:
        settings = (
            {"load_in_8bit": True}
            if way.quantisation == "int8"
            else {
                "load_in_4bit": True,
                "bnb_4bit_quant_type": "nf4",
                "bnb_4bit_compute_dtype": dtype,
            }
        )
        options["quantization_config"] = used.diffusers.PipelineQuantizationConfig(
            quant_backend=f"bitsandbytes_{8 if way.quantisation == 'int8' else 4}bit",
            quant_kwargs=settings,
            components_to_quantize=packed,
        )
    return options


def _narrow(part: Any, storage: Any, device: Device) -> None:
    """Keep the weights of a part's layers in a narrow format; each is widened while it computes.

    Norms and embeddings stay wide: they are small, and errors in them are not. So do layers to
    whose number format pipelines turn what they read: `wo` of T5, the embedder of times of
    Z-Image, and the first layer of each part, which stands for it.
    """
    torch, hooks = libraries().torch, libraries().diffusers.hooks
    compute = device.torch_dtype
    layerwise = import_module("diffusers.hooks.layerwise_casting")
    first = next(name.rpartition(".")[0] for name, _ in part.named_parameters())
    own = (r"\.wo$", "^t_embedder", *((f"^{re.escape(first)}$",) if first else ()))
    spared = (*layerwise.DEFAULT_SKIP_MODULES_PATTERN, *own)
    wide = (torch.nn.Embedding,)
    hooks.apply_layerwise_casting(part, storage, compute, spared, wide)
    for module in part.modules():
        hook = getattr(module, "_diffusers_hook", None)
        if hook is None or hook.get_hook("layerwise_casting") is None:
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                if tensor.is_floating_point():
                    tensor.data = tensor.data.to(compute)
