"""Builds ONNX graphs by hand: small, the same on every machine, and no exporter to install."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18

Array = npt.NDArray[Any]
Shape = tuple[int | str, ...]


def rounded(matrix: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Return a matrix as 8-bit rows and their scales (rows × 1): matrix ≈ rows · scales."""
    full = matrix.astype(np.float32)
    scale = np.maximum(np.abs(full).max(1, keepdims=True) / np.float32(127), np.float32(1e-12))
    return np.clip(np.rint(full / scale), -127, 127).astype(np.int8), scale


class Graph:
    """Collects nodes and constants; every method returns the name of its result.

    Weights are stored in fewer bits and widened to float32, which the runtime does once, when
    the session starts: the sums are float32 on every machine.
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def model(
        self, name: str, inputs: dict[str, tuple[int, Shape]], outputs: dict[str, Shape]
    ) -> onnx.ModelProto:
        """Return the checked model. Inputs are (element type, shape); outputs are float32."""
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(k, kind, shape) for k, (kind, shape) in inputs.items()],
            [
                helper.make_tensor_value_info(k, TensorProto.FLOAT, shape)
                for k, shape in outputs.items()
            ],
            list(self._constants.values()),
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 10
        onnx.checker.check_model(model, full_check=True)
        return model

    def op(self, kind: str, *inputs: str, result: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        output = result or f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def split(self, x: str, count: int, axis: int) -> list[str]:
        """Split a tensor into equal parts."""
        outputs = [f"part_{len(self._nodes)}_{i}" for i in range(count)]
        self._nodes.append(helper.make_node("Split", [x], outputs, axis=axis, num_outputs=count))
        return outputs

    def constant(self, name: str, value: Array) -> str:
        """Add a constant as it is; the same name is the same constant."""
        self._constants.setdefault(name, numpy_helper.from_array(value, name))
        return name

    def number(self, value: float) -> str:
        """Add a float32 scalar."""
        return self.constant(f"number_{value!r}", np.array(value, np.float32))

    def whole(self, *values: int) -> str:
        """Add a list of integers: axes or a shape."""
        return self.constant(f"whole_{'_'.join(map(str, values))}", np.array(values, np.int64))

    def half(self, name: str, value: Array) -> str:
        """Add a weight kept in 16 bits, as float32."""
        kept = self.constant(name, value.astype(np.float16))
        return self.op("Cast", kept, to=TensorProto.FLOAT)

    def small(self, name: str, matrix: Array) -> str:
        """Add the transpose of a matrix whose rows are kept in 8 bits, as float32."""
        rows, scale = rounded(matrix)
        wide = self.op("Cast", self.constant(name, rows.T.copy()), to=TensorProto.FLOAT)
        return self.op("Mul", wide, self.constant(f"{name}.scale", scale.T.copy()))

    def silu(self, x: str) -> str:
        """Add x · sigmoid(x)."""
        return self.op("Mul", x, self.op("Sigmoid", x))

    def gelu(self, x: str) -> str:
        """Add the exact GELU."""
        bell = self.op("Erf", self.op("Div", x, self.number(2**0.5)))
        both = self.op("Mul", x, self.op("Add", bell, self.number(1)))
        return self.op("Mul", both, self.number(0.5))

    def quick_gelu(self, x: str) -> str:
        """Add the GELU with tanh."""
        cube = self.op("Mul", self.op("Mul", x, x), x)
        inner = self.op("Add", x, self.op("Mul", cube, self.number(0.044715)))
        bend = self.op("Tanh", self.op("Mul", inner, self.number((2 / np.pi) ** 0.5)))
        both = self.op("Mul", x, self.op("Add", bend, self.number(1)))
        return self.op("Mul", both, self.number(0.5))

    def evened(self, x: str) -> str:
        """Add x divided by its root mean square over the last axis."""
        mean = self.op("ReduceMean", self.op("Mul", x, x), self.whole(-1), keepdims=1)
        return self.op("Div", x, self.op("Sqrt", self.op("Add", mean, self.number(1e-6))))
