"""Builds the ONNX graph of Vellum's network: one denoising step."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from limner.families.vellum.facts import NOISE
from limner.families.vellum.network import CELL, NetworkConfig
from limner.training.vellum.graph import Graph

Weights = Mapping[str, npt.NDArray[np.floating]]
"""The network's parameters and its two rotation tables, by their torch names."""

_TIME_FEATURES = 64


def denoiser(config: NetworkConfig, weights: Weights) -> onnx.ModelProto:
    """Return the model: z, t, text, text_mask, pooled, style → clean.

    Shapes as in `VellumNetwork.forward`; batch and text length are free. Everything float32
    but `style`, int64.
    """
    return _Denoiser(config, weights).model()


class _Denoiser:
    def __init__(self, config: NetworkConfig, weights: Weights) -> None:
        self._config = config
        self._weights = weights
        self._graph = Graph()

    def model(self) -> onnx.ModelProto:
        graph, config = self._graph, self._config
        patches, overall = self._layout()
        condition = graph.op("Add", self._condition(), overall)
        x = self._tokens(patches)
        mask, turn = self._mask(), self._turn()
        adapted = self._linear(graph.silu(condition), "adapt.1")
        adapted = graph.op("Reshape", adapted, graph.whole(0, 6, config.width))
        for index in range(config.depth):
            x = self._block(x, adapted, mask, turn, f"blocks.{index}.")
        x = self._last(x, condition)
        picture = self._joined(self._linear(x, "leave"), config.channels, config.patch)
        graph.op("Add", picture, self._detail(x, picture), result="clean")
        side = config.pixels
        image = ("batch", config.channels, side, side)
        model = graph.model(
            "vellum",
            {
                "z": (TensorProto.FLOAT, image),
                "t": (TensorProto.FLOAT, ("batch",)),
                "text": (TensorProto.FLOAT, ("batch", "length", config.text_width)),
                "text_mask": (TensorProto.FLOAT, ("batch", "length")),
                "pooled": (TensorProto.FLOAT, ("batch", config.text_width)),
                "style": (TensorProto.INT64, ("batch",)),
            },
            {"clean": image},
        )
        onnx.helper.set_model_props(model, {NOISE: str(config.noise)})
        return model

    def _condition(self) -> str:
        graph = self._graph
        steps = np.arange(_TIME_FEATURES, dtype=np.float32)
        rates = np.float32(1000) * np.exp(-np.log(np.float32(1e4)) * steps / _TIME_FEATURES)
        column = graph.op("Unsqueeze", "t", graph.whole(1))
        angles = graph.op("Mul", column, graph.constant("rates", rates[None].astype(np.float32)))
        waves = graph.op("Concat", graph.op("Sin", angles), graph.op("Cos", angles), axis=1)
        time = self._linear(graph.silu(self._linear(waves, "time.0")), "time.2")
        style = graph.op("Gather", self._stored("style.weight"), "style")
        gist = self._linear(graph.evened("pooled"), "gist")
        return graph.op("Add", graph.op("Add", time, style), gist)

    def _layout(self) -> tuple[str, str]:
        """Return what words and style add to the patches, and to the condition."""
        graph, config = self._graph, self._config
        total = graph.op("ReduceSum", "text_mask", graph.whole(1), keepdims=1)
        spoken = graph.op("Min", total, graph.number(1))
        centred = graph.op("Sub", "pooled", self._exact("layout.mean"))
        gist = graph.op("MatMul", centred, self._exact("layout.whitening"))
        entered = self._linear(graph.op("Mul", gist, spoken), "layout.enter")
        style = graph.op("Gather", self._stored("layout.style.weight"), "style")
        x = graph.quick_gelu(graph.op("Add", entered, style))
        x = graph.op("Add", x, graph.quick_gelu(self._linear(x, "layout.inner")))
        shape = graph.whole(0, config.grid**2, config.layout_dots)
        dots = graph.op("Reshape", self._linear(x, "layout.spread"), shape)
        return self._linear(dots, "layout.leave"), self._linear(x, "layout.overall")

    def _tokens(self, laid_out: str) -> str:
        """Return nothing, words and patches, one after the other: B × (1 + T + grid²) × width."""
        graph, config = self._graph, self._config
        c, p, g = config.channels, config.patch, config.grid
        cut = graph.op("Reshape", "z", graph.whole(-1, c, g, p, g, p))
        cut = graph.op("Transpose", cut, perm=[0, 2, 4, 1, 3, 5])
        patches = graph.op("Reshape", cut, graph.whole(-1, g * g, c * p * p))
        narrow = graph.op("MatMul", patches, self._matrix("enter.0"))
        image = graph.op("Add", self._linear(narrow, "enter.1"), self._stored("positions"))
        image = graph.op("Add", image, laid_out)
        words = self._linear(graph.evened("text"), "words")
        shape = graph.op("Concat", self._batch(), graph.whole(1, config.width), axis=0)
        nothing = graph.op("Expand", self._stored("nothing"), shape)
        return graph.op("Concat", nothing, words, image, axis=1)

    def _batch(self) -> str:
        return self._graph.op("Shape", "text_mask", start=0, end=1)

    def _front(self) -> str:
        """Return the number of tokens before the picture's, as a list of one."""
        length = self._graph.op("Shape", "text_mask", start=1, end=2)
        return self._graph.op("Add", length, self._graph.whole(1))

    def _mask(self) -> str:
        graph, count = self._graph, self._config.grid**2
        one = graph.constant("one", np.ones((1, 1), np.float32))
        first = graph.op("Expand", one, graph.op("Concat", self._batch(), graph.whole(1), axis=0))
        many = graph.op("Concat", self._batch(), graph.whole(count), axis=0)
        seen = graph.op("Concat", first, "text_mask", graph.op("Expand", one, many), axis=1)
        bias = graph.op("Mul", graph.op("Sub", seen, graph.number(1)), graph.number(1e4))
        return graph.op("Unsqueeze", bias, graph.whole(1, 2))

    def _turn(self) -> tuple[str, str]:
        graph = self._graph
        half = self._weights["turn_cosine"].shape[1]
        shape = graph.op("Concat", self._front(), graph.whole(half), axis=0)
        tables = []
        for name, still in (("turn_cosine", 1.0), ("turn_sine", 0.0)):
            front = graph.op("Expand", graph.number(still), shape)
            table = graph.constant(name, self._weights[name].astype(np.float32))
            tables.append(graph.op("Concat", front, table, axis=0))
        return tables[0], tables[1]

    def _block(self, x: str, condition: str, mask: str, turn: tuple[str, str], name: str) -> str:
        graph, config = self._graph, self._config
        adapted = graph.op("Add", condition, self._stored(f"{name}modulation"))
        scale_a, shift_a, gate_a, scale_f, shift_f, gate_f = graph.split(adapted, 6, 1)
        y = self._modulated(x, scale_a, shift_a)
        parts = graph.op("MatMul", y, self._matrix(f"{name}qkv"))
        depth = config.width // config.heads
        parts = graph.op("Reshape", parts, graph.whole(0, 0, 3, config.heads, depth))
        parts = graph.op("Transpose", parts, perm=[2, 0, 3, 1, 4])
        query, key, value = (
            graph.op("Squeeze", part, graph.whole(0)) for part in graph.split(parts, 3, 0)
        )
        query = self._turned(self._scaled(query, f"{name}query_scale"), turn)
        key = self._turned(self._scaled(key, f"{name}key_scale"), turn)
        key = graph.op("Transpose", key, perm=[0, 1, 3, 2])
        query = graph.op("Mul", query, graph.number(depth**-0.5))
        scores = graph.op("Add", graph.op("MatMul", query, key), mask)
        mixed = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), value)
        flat = graph.op(
            "Reshape",
            graph.op("Transpose", mixed, perm=[0, 2, 1, 3]),
            graph.whole(0, 0, config.width),
        )
        attended = graph.op("MatMul", flat, self._matrix(f"{name}out"))
        x = graph.op("Add", x, graph.op("Mul", gate_a, attended))
        inner = graph.op("MatMul", self._modulated(x, scale_f, shift_f), self._matrix(f"{name}up"))
        fed = graph.op("MatMul", graph.quick_gelu(inner), self._matrix(f"{name}down"))
        return graph.op("Add", x, graph.op("Mul", gate_f, fed))

    def _last(self, x: str, condition: str) -> str:
        """Return the patches as both heads read them."""
        graph, grid = self._graph, self._config.grid
        end = graph.constant("end", np.array([np.iinfo(np.int64).max]))
        x = graph.op("Slice", x, graph.whole(-grid * grid), end, graph.whole(1))
        last = self._linear(graph.silu(condition), "last_adapt")
        scale, shift = graph.split(graph.op("Unsqueeze", last, graph.whole(1)), 2, 2)
        return self._modulated(x, scale, shift)

    def _joined(self, dots: str, channels: int, side: int) -> str:
        """Return the picture that patches make, each channels × side × side."""
        graph, grid = self._graph, self._config.grid
        dots = graph.op("Reshape", dots, graph.whole(-1, grid, grid, channels, side, side))
        dots = graph.op("Transpose", dots, perm=[0, 3, 1, 4, 2, 5])
        return graph.op("Reshape", dots, graph.whole(-1, channels, grid * side, grid * side))

    def _detail(self, patches: str, picture: str) -> str:
        graph, config = self._graph, self._config
        cells = config.pixels // CELL
        told = self._joined(
            self._linear(patches, "detail.patches"), config.detail_dots, config.patch // CELL
        )
        seen = graph.op("Concat", picture, "z", axis=1)
        seen = graph.op(
            "Reshape", seen, graph.whole(-1, 2 * config.channels, cells, CELL, cells, CELL)
        )
        seen = graph.op("Transpose", seen, perm=[0, 1, 3, 5, 2, 4])
        seen = graph.op(
            "Reshape", seen, graph.whole(-1, 2 * config.channels * CELL**2, cells, cells)
        )
        x = graph.quick_gelu(self._convolved(graph.op("Concat", seen, told, axis=1), "enter", 1))
        for name in ("first", "second"):
            x = graph.op("Add", x, graph.quick_gelu(self._convolved(x, name, 3)))
        x = self._convolved(x, "leave", 3)
        x = graph.op("Reshape", x, graph.whole(-1, config.channels, CELL, CELL, cells, cells))
        x = graph.op("Transpose", x, perm=[0, 1, 4, 2, 5, 3])
        return graph.op(
            "Reshape", x, graph.whole(-1, config.channels, config.pixels, config.pixels)
        )

    def _convolved(self, x: str, name: str, side: int) -> str:
        weight, bias = (self._stored(f"detail.{name}.{part}") for part in ("weight", "bias"))
        pads = [side // 2] * 4
        return self._graph.op("Conv", x, weight, bias, pads=pads, kernel_shape=[side, side])

    def _modulated(self, x: str, scale: str, shift: str) -> str:
        graph = self._graph
        wide = graph.op("Add", scale, graph.number(1))
        return graph.op("Add", graph.op("Mul", graph.evened(x), wide), shift)

    def _scaled(self, x: str, name: str) -> str:
        return self._graph.op("Mul", self._graph.evened(x), self._stored(name))

    def _turned(self, x: str, turn: tuple[str, str]) -> str:
        graph, (cosine, sine) = self._graph, turn
        first, second = graph.split(x, 2, -1)
        left = graph.op("Sub", graph.op("Mul", first, cosine), graph.op("Mul", second, sine))
        right = graph.op("Add", graph.op("Mul", first, sine), graph.op("Mul", second, cosine))
        return graph.op("Concat", left, right, axis=-1)

    def _linear(self, x: str, name: str) -> str:
        product = self._graph.op("MatMul", x, self._matrix(name))
        return self._graph.op("Add", product, self._stored(f"{name}.bias"))

    def _matrix(self, name: str) -> str:
        return self._graph.half(f"{name}.weight", self._weights[f"{name}.weight"].T.copy())

    def _stored(self, name: str) -> str:
        return self._graph.half(name, self._weights[name])

    def _exact(self, name: str) -> str:
        return self._graph.constant(name, self._weights[name].astype(np.float32))
