"""The numbers of a weight file as tensors: plain ones, fp8 with its scales, and packed GGUF."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from limner.families.diffusion.loading.pipelines import REMEDY, libraries, refusals
from limner.families.diffusion.recognition.gguf import FIRST_SHAPE
from limner.families.diffusion.recognition.headers import read_header

_SCALES = (".scale_weight", ".weight_scale")
"""What is put after the name of a layer for the number that its fp8 weights are multiplied by."""

_UNUSED = (".scale_input", ".input_scale", ".comfy_quant", "scaled_fp8")
"""What only those need who compute in fp8."""

UNREAD = frozenset(
    {"nf4", "fp4", "nvfp4", "svdquant int4", "SDNQ", "bitsandbytes int8", "GPTQ", "I8 scaled"}
)
"""Number formats that only the programs they were made for can unpack."""


def tensors_of(path: Path, prefix: str, dtype: Any) -> dict[str, Any]:
    """Return the tensors of a file whose names begin with a prefix, under their whole names.

    fp8 is widened to `dtype`, a number format of torch, and so is GGUF that was packed across the
    rows of a matrix; other GGUF stays packed. Raises WeightsRejected
    for a file that cannot be read, and MemoryError.
    """
    with reading(path.name):
        if path.suffix.lower() == ".gguf":
            return _packed(path, prefix, dtype)
        with import_module("safetensors").safe_open(path, "pt") as opened:
            names = list(opened.keys())
            held = {name: opened.get_tensor(name) for name in names if name.startswith(prefix)}
            return _widened(held, dtype)


def _packed(path: Path, prefix: str, dtype: Any) -> dict[str, Any]:
    """Return the tensors of a GGUF file, those that ComfyUI-GGUF flattened in their own shapes."""
    loader = import_module("diffusers.models.model_loading_utils")
    unpack = import_module("diffusers.quantizers.gguf.utils").dequantize_gguf_tensor
    header = read_header(path)
    found = {}
    for name, tensor in loader.load_gguf_checkpoint(str(path)).items():
        if name.startswith(prefix):
            flattened = f"{FIRST_SHAPE}{name}" in header.metadata
            shape = header.tensors[name].shape
            found[name] = unpack(tensor).to(dtype).reshape(shape) if flattened else tensor
    return found


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what the readers of single files raise into WeightsRejected; `name` is the file's."""
    bad = (
        import_module("safetensors").SafetensorError,
        converters().SingleFileComponentError,
        AttributeError,
        IndexError,
    )
    with refusals(f"{name} could not be loaded", REMEDY):
        try:
            yield
        except bad as error:
            raise ValueError(str(error)) from error


def converters() -> Any:
    """Return the module of diffusers that turns the names of single files."""
    return import_module("diffusers.loaders.single_file_utils")


def _widened(tensors: dict[str, Any], dtype: Any) -> dict[str, Any]:
    """Return tensors with none in fp8, each multiplied by its scale where it has one."""
    scales = {_scaled(name): name for name in tensors if name.endswith(_SCALES)}
    if not scales and not any(_is_narrow(tensor) for tensor in tensors.values()):
        return tensors
    wide = {}
    for name, tensor in tensors.items():
        if name in scales:
            # The product is rounded once, from the widest format.
            scale = tensors[scales[name]].float()
            wide[name] = (tensor.float() * _spread(scale, tensor)).to(dtype)
        elif not name.endswith((*_SCALES, *_UNUSED)):
            wide[name] = tensor.to(dtype) if _is_narrow(tensor) else tensor
    return wide


def _scaled(name: str) -> str:
    """Return the name of the weights that a scale belongs to."""
    layer = next(name.removesuffix(ending) for ending in _SCALES if name.endswith(ending))
    return f"{layer}.weight"


def _spread(scale: Any, tensor: Any) -> Any:
    """Return a scale, one for all or one for each row, so that it can be multiplied with."""
    rows = scale.dim() == 1 and scale.numel() == tensor.shape[0] and scale.numel() > 1
    return scale.reshape(-1, *(1,) * (tensor.dim() - 1)) if rows else scale


def _is_narrow(tensor: Any) -> bool:
    torch = libraries().torch
    return tensor.dtype in (torch.float8_e4m3fn, torch.float8_e5m2)
