"""Running out of memory in ONNX Runtime is told apart from broken weights and other faults."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as states

from limner.domain.errors import WeightsRejected
from limner.families.session import Session, open_session
from limner.families.u2net import FAMILY
from tests.families.pictures import files_of

(NETWORK,) = files_of(FAMILY.cards()[0]).values()

STARVED = """
import resource, sys
from pathlib import Path
import numpy as np
import psutil
from limner.families.session import open_session

def starve(megabytes):
    room = psutil.Process().memory_info().vms + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (room, room))

weights = Path(sys.argv[2])
shown = np.zeros((1, 3, 320, 320), np.float32)
if sys.argv[1] == "load":
    starve(2)
    open_session(weights, 1)
else:
    opened = open_session(weights, 1)
    starve(2)
    opened.run(opened.outputs, {opened.inputs[0]: shown})
"""


class Failing:
    """A session of ONNX Runtime that fails."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure

    def run(self, *_: object) -> None:
        raise self.failure


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds memory by address space")
@pytest.mark.parametrize("moment", ["load", "run"])
def test_real_starvation_is_a_memory_error(moment: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", STARVED, moment, str(NETWORK)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.strip().splitlines()[-1].startswith("MemoryError")


@pytest.mark.parametrize(
    "failure",
    [
        states.RuntimeException("Non-zero status code while running Conv node: std::bad_alloc"),
        states.Fail("Load model failed:std::bad_alloc"),
        states.RuntimeException("Failed to allocate memory for requested buffer of size 1234"),
    ],
)
def test_every_way_it_says_so_is_a_memory_error(failure: Exception) -> None:
    with pytest.raises(MemoryError) as caught:
        Session(Failing(failure)).run(None, {})
    assert caught.value.__cause__ is failure


@pytest.mark.parametrize("kind", [states.RuntimeException, states.Fail, states.InvalidArgument])
def test_other_failures_stay_what_they_are(kind: type[Exception]) -> None:
    with pytest.raises(kind):
        Session(Failing(kind("the shapes do not fit"))).run(None, {})


def test_starved_weights_are_not_called_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def starve(*_: object, **__: object) -> None:
        raise states.Fail("Load model from u2netp.onnx failed:std::bad_alloc")

    monkeypatch.setattr(onnxruntime, "InferenceSession", starve)
    with pytest.raises(MemoryError):
        open_session(NETWORK, 1)


def test_broken_weights_are_not_called_starved(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(NETWORK.read_bytes()[:100_000])
    with pytest.raises(WeightsRejected, match="Pull it again"):
        open_session(broken, 1)


def test_a_session_says_what_it_takes_and_gives() -> None:
    opened = open_session(NETWORK, 1)
    assert opened.inputs == ("input.1",)
    assert len(opened.outputs) == 7
    shown = np.zeros((1, 3, 320, 320), np.float32)
    (first,) = opened.run(opened.outputs[:1], {opened.inputs[0]: shown})
    assert first.shape == (1, 1, 320, 320)
    assert len(opened.run(None, {opened.inputs[0]: shown})) == 7
