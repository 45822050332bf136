"""Opening and running ONNX networks on the CPU. Imported only where a model is loaded."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as states

from limner.domain.errors import WeightsRejected

_ERRORS_ONLY = 3
_NO_NETWORK = (
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NotImplemented,
)
_FAILURES = (states.Fail, states.RuntimeException)
_NO_MEMORY = ("bad_alloc", "Failed to allocate memory")
"""How ONNX Runtime says so: it has no kind of error for it, and calls it by both above."""


class Session:
    """A network in memory, of which no more is used than this; see `open_session`."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of its inputs."""
        return tuple(one.name for one in self._session.get_inputs())

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of its outputs."""
        return tuple(one.name for one in self._session.get_outputs())

    def get_modelmeta(self) -> Any:
        """Return what was written into its file beside the network."""
        return self._session.get_modelmeta()

    def run(self, outputs: Sequence[str] | None, inputs: Mapping[str, object]) -> list[Any]:
        """Return the named outputs (None: all) for named inputs.

        Raises MemoryError where too little is free.
        """
        with _enough_memory():
            found: list[Any] = self._session.run(outputs, inputs)
        return found


class OnnxModel:
    """What all models of a single ONNX network computed in 32 bits have in common."""

    def __init__(self, weights: Path, threads: int) -> None:
        """Load the network; raises as `open_session` does."""
        self._session = open_session(weights, threads)
        self._bytes = weights.stat().st_size

    @property
    def bytes(self) -> int:
        """Memory the weights take."""
        return self._bytes

    @property
    def libraries(self) -> tuple[tuple[str, str], ...]:
        """The libraries that decide the numbers."""
        return (("numpy", np.__version__), ("onnxruntime", onnxruntime.__version__))

    @property
    def dtype(self) -> str:
        """The number format computed in."""
        return "float32"

    @property
    def device(self) -> str:
        """Where it computes."""
        return "cpu"

    @property
    def fitting(self) -> str:
        """How it was made to fit into memory: it needs little."""
        return ""

    def close(self) -> None:
        """Give the memory back."""
        del self._session


def open_session(weights: Path, threads: int) -> Session:
    """Return a session on `threads` threads, whose memory is given back after each run.

    Raises WeightsRejected for a file that is no network, MemoryError where too little is free.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.enable_cpu_mem_arena = False
    try:
        with _enough_memory():
            return Session(
                onnxruntime.InferenceSession(
                    str(weights), options, providers=["CPUExecutionProvider"]
                )
            )
    except _NO_NETWORK as error:
        raise WeightsRejected(
            f"{weights.name} is not a network that ONNX Runtime can read. Pull it again."
        ) from error


@contextmanager
def _enough_memory() -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        if any(words in str(error) for words in _NO_MEMORY):
            raise MemoryError(str(error)) from error
        raise
