"""From a checkpoint to the ONNX files that ship, small on disk and exact at run time."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from limner.families.vellum.network import NetworkConfig, VellumNetwork
from limner.training.vellum.minilm import load_minilm

DENOISER, ENCODER, TOKENIZER, FACTS = "vellum.onnx", "minilm.onnx", "tokenizer.json", "facts.json"
_OPSET = 17
_SMALL = 1024
"""Tensors with fewer numbers stay as they are."""


@dataclass(frozen=True)
class Facts:
    """What the product must know about exported weights, beside the graphs themselves."""

    pixels: int
    styles: tuple[str, ...]
    samples: int
    minutes: float


def export_denoiser(network: VellumNetwork, path: Path) -> None:
    """Write one denoiser evaluation as ONNX, its matrices stored in 16 bits.

    Inputs z, t, text, text_mask, pooled, style; output clean; see `VellumNetwork.forward`.
    Batch and token count are free. The graph computes in float32.
    """
    rounded = _rounded(network)
    config = network.config
    inputs = (
        torch.randn(2, config.channels, config.pixels, config.pixels),
        torch.rand(2),
        torch.randn(2, 5, config.text_width),
        torch.ones(2, 5),
        torch.randn(2, config.text_width),
        torch.zeros(2, dtype=torch.long),
    )
    names = ["z", "t", "text", "text_mask", "pooled", "style"]
    axes = {name: {0: "batch"} for name in (*names, "clean")}
    axes["text"][1] = axes["text_mask"][1] = "tokens"
    _trace(rounded, inputs, names, ["clean"], axes, path)
    _store(path, _as_half)


def export_encoder(weights: Path, path: Path) -> None:
    """Write MiniLM as ONNX, its matrices stored in 8 bits with one scale per row.

    Inputs ids and mask; outputs states and pooled; see `MiniLM.forward`.
    """
    names = ["ids", "mask"]
    axes = {name: {0: "batch", 1: "tokens"} for name in (*names, "states")}
    axes["pooled"] = {0: "batch"}
    inputs = (torch.randint(1000, 2000, (2, 5)), torch.ones(2, 5))
    _trace(load_minilm(weights), inputs, names, ["states", "pooled"], axes, path)
    _store(path, _as_eight_bits)


def load_network(checkpoint: Mapping[str, object]) -> VellumNetwork:
    """Return the averaged network of a checkpoint."""
    config = checkpoint["config"]
    weights = checkpoint["ema"]
    if not isinstance(config, dict) or not isinstance(weights, dict):
        raise TypeError("a checkpoint holds “config” and “ema” as mappings")
    network = VellumNetwork(NetworkConfig(**config))
    network.load_state_dict(weights)
    return network.eval()


def write_facts(folder: Path, facts: Facts) -> None:
    """Write `facts.json`: the facts, and name, sha256 and size of every file beside it."""
    files = [
        {
            "name": name,
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
            "bytes": (folder / name).stat().st_size,
        }
        for name in (DENOISER, ENCODER, TOKENIZER)
    ]
    content = {
        "pixels": facts.pixels,
        "styles": list(facts.styles),
        "samples": facts.samples,
        "minutes": round(facts.minutes, 1),
        "files": files,
    }
    (folder / FACTS).write_text(json.dumps(content, indent=2) + "\n")


def _rounded(network: VellumNetwork) -> VellumNetwork:
    """Return the network with the 16-bit numbers that will be stored."""
    copy = VellumNetwork(network.config)
    copy.load_state_dict(
        {
            name: value.half().float() if value.numel() >= _SMALL else value
            for name, value in network.state_dict().items()
        }
    )
    return copy.eval().requires_grad_(False)


def _trace(
    module: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    names: list[str],
    outputs: list[str],
    axes: dict[str, dict[int, str]],
    path: Path,
) -> None:
    torch.onnx.export(
        module,
        inputs,
        str(path),
        input_names=names,
        output_names=outputs,
        dynamic_axes=axes,
        opset_version=_OPSET,
        dynamo=False,
    )


_Storing = Callable[[onnx.TensorProto], tuple[list[onnx.TensorProto], list[onnx.NodeProto]]]


def _store(path: Path, storing: _Storing) -> None:
    """Replace the large float tensors of a graph by smaller ones and nodes that restore them."""
    model = onnx.load(str(path))
    kept: list[onnx.TensorProto] = []
    restoring: list[onnx.NodeProto] = []
    for tensor in model.graph.initializer:
        count = int(np.prod(tensor.dims))
        if tensor.data_type != TensorProto.FLOAT or count < _SMALL or len(tensor.dims) < 2:
            kept.append(tensor)
            continue
        small, nodes = storing(tensor)
        kept += small
        restoring += nodes
    nodes = [*restoring, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _as_half(
    tensor: onnx.TensorProto,
) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    values = numpy_helper.to_array(tensor).astype(np.float16)
    small = numpy_helper.from_array(values, f"{tensor.name}.half")
    cast = helper.make_node("Cast", [small.name], [tensor.name], to=TensorProto.FLOAT)
    return [small], [cast]


def _as_eight_bits(
    tensor: onnx.TensorProto,
) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    """Store a matrix that already is whole numbers times one scale per row (or column)."""
    values = numpy_helper.to_array(tensor)
    numbers, scales = _whole_numbers(values)
    small = numpy_helper.from_array(numbers, f"{tensor.name}.numbers")
    sizes = numpy_helper.from_array(scales, f"{tensor.name}.scales")
    wide = f"{tensor.name}.wide"
    return [small, sizes], [
        helper.make_node("Cast", [small.name], [wide], to=TensorProto.FLOAT),
        helper.make_node("Mul", [wide, sizes.name], [tensor.name]),
    ]


def _whole_numbers(
    values: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    for axis in (1, 0):  # the exporter may have turned a matrix to multiply from the left
        scales = (np.abs(values).max(axis, keepdims=True) / 127).clip(1e-12).astype(np.float32)
        numbers = np.rint(values / scales)
        if np.allclose(numbers * scales, values, rtol=1e-5, atol=1e-9):
            return numbers.astype(np.int8), scales
    raise ValueError("the matrix is not rounded to 8 bits per row")
