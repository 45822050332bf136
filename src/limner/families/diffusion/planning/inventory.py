"""What the parts of a model weigh, from their headers and descriptions alone."""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from limner.domain.errors import WeightsRejected
from limner.families.diffusion.recognition.folders import Component, read_pipeline, read_weights
from limner.families.diffusion.recognition.tensors import Header


class Role(StrEnum):
    """What a part does while a picture is drawn."""

    TEXT_ENCODER = "text encoder"
    DENOISER = "denoiser"
    AUTOENCODER = "autoencoder"
    OTHER = "other"


PACKED = frozenset({"gguf", "nf4", "int8"})
"""Ways of storing weights that stay as they are in memory."""


@dataclass(frozen=True)
class Part:
    """One part of a model: what it is and how many numbers its weights are.

    `stored` is how its weights lie on the disk: a number format of torch, `fp8` or one of
    `PACKED`; `file_bytes` is what they take there, `matrices` the numbers in linear layers,
    `kernels` those in convolutions, `largest` those of the largest layer, `block` those of the
    largest block that can wait by itself, and `loose` those outside of such blocks.
    """

    name: str
    class_name: str
    role: Role
    settings: Mapping[str, object] = field(default_factory=dict)
    stored: str = "float32"
    parameters: int = 0
    file_bytes: int = 0
    matrices: int = 0
    kernels: int = 0
    largest: int = 0
    largest_kernel: int = 0
    block: int = 0
    loose: int = 0


def take_inventory(folder: Path, given: Collection[str] = ()) -> tuple[Part, ...]:
    """Return the parts of a diffusers folder but for those `given`; reads headers only.

    Raises WeightsRejected where a part is missing or cannot be understood.
    """
    components = read_pipeline(folder, given).components
    return tuple(
        weigh(name, component, read_weights(component.weights))
        for name, component in components.items()
    )


def weigh(name: str, component: Component, header: Header) -> Part:
    """Return what a part weighs: its name in the pipeline, its description, its header."""
    sizes: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    blocks: Counter[str] = Counter()
    largest = largest_kernel = 0
    for key, tensor in header.tensors.items():
        numbers = math.prod(tensor.shape)
        sizes[tensor.dtype] += numbers
        largest = max(largest, numbers)
        if len(tensor.shape) >= 3 and max(tensor.shape[2:]) > 1:
            largest_kernel = max(largest_kernel, numbers)
        totals[_sort(key, tensor.shape)] += numbers
        blocks[_block(key, component.class_name)] += numbers
    return Part(
        name=name,
        class_name=component.class_name,
        role=role_of(name),
        settings=component.settings,
        stored=_stored(header, component.settings, sizes),
        parameters=sizes.total(),
        file_bytes=_file_bytes(component),
        matrices=totals["matrix"],
        kernels=totals["kernel"],
        largest=largest,
        largest_kernel=largest_kernel,
        block=max((count for key, count in blocks.items() if key), default=0),
        loose=blocks[""],
    )


def role_of(name: str) -> Role:
    """Return what a part does, by its name in the pipeline."""
    if name.startswith("text_encoder"):
        return Role.TEXT_ENCODER
    if name.startswith(("transformer", "unet")):
        return Role.DENOISER
    return Role.AUTOENCODER if name.startswith(("vae", "vqvae")) else Role.OTHER


def _block(key: str, class_name: str) -> str:
    """Return the block that a tensor waits with under group offload; empty where there is none.

    Only members of lists that lie directly in the part are blocks: those of T5, CLIP and models
    with a head lie deeper, so that these parts move as a whole. Source:
    `_apply_group_offloading_block_level` in diffusers 0.42.
    """
    if class_name in _BARE:
        key = key.removeprefix("model.")
    found = re.match(r"[^.]+\.\d+\.", key)
    return found[0] if found else ""


_BARE = ("Qwen3Model", "Gemma2Model")
"""Text encoders without a head, which their files are mostly written with."""


def _sort(key: str, shape: tuple[int, ...]) -> str:
    if len(shape) < 2 or not key.endswith(".weight"):
        return "other"
    if len(shape) > 2:
        return "kernel"
    return (
        "other" if re.search(r"embedding|embed_tokens|shared\.|norm|token_embd", key) else "matrix"
    )


_FORMATS = {"F64": "float32", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}

_QUANTISED = {"load_in_4bit": "nf4", "load_in_8bit": "int8"}


def _stored(header: Header, settings: Mapping[str, object], sizes: Counter[str]) -> str:
    described = settings.get("quantization_config")
    if isinstance(described, dict):
        for key, name in _QUANTISED.items():
            if described.get(key) is True:
                return name
        raise WeightsRejected(
            f"Its weights are quantised by {str(described.get('quant_method'))[:40]}, which Limner "
            "cannot load. Get the model unquantised, or as GGUF, nf4, int8 or fp8."
        )
    if header.format == "gguf":
        return "gguf"
    most = max(sizes, key=lambda dtype: sizes[dtype], default="F32")
    if most.startswith("F8"):
        return "fp8"
    return _FORMATS.get(most, "float32")


def _file_bytes(component: Component) -> int:
    try:
        return sum(path.stat().st_size for path in component.weights)
    except OSError as error:
        raise WeightsRejected(f"A file of its weights cannot be read: {error.strerror}.") from error
