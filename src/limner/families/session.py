"""Opening an ONNX network on the CPU. Imported only where a model is loaded."""

from pathlib import Path

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


def open_session(weights: Path, threads: int) -> onnxruntime.InferenceSession:
    """Return a session on `threads` threads; raise WeightsRejected for a file that is none.

    Its memory is given back after each run instead of being kept for the next.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.enable_cpu_mem_arena = False
    try:
        return onnxruntime.InferenceSession(
            str(weights), options, providers=["CPUExecutionProvider"]
        )
    except _NO_NETWORK as error:
        raise WeightsRejected(
            f"{weights.name} is not a network that ONNX Runtime can read. Pull it again."
        ) from error
