"""What is said of a device is what it can do by itself."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from limner.families.diffusion.loading import hardware

GB = 2**30


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a GPU into this machine: its generation, AMD's or not, and what torch keeps of it."""

    def put(capability: tuple[int, int], hip: str | None = None, kept: int = 0) -> None:
        def bf16(including_emulation: bool = True) -> bool:
            return including_emulation or bool(hip) or capability >= (8, 0)

        cuda = SimpleNamespace(
            is_available=lambda: True,
            mem_get_info=lambda: (10 * GB, 24 * GB),
            memory_reserved=lambda: 5 * GB + kept,
            memory_allocated=lambda: 5 * GB,
            get_device_name=lambda: "a GPU",
            get_device_capability=lambda: capability,
            is_bf16_supported=bf16,
        )
        torch: Any = SimpleNamespace(cuda=cuda, version=SimpleNamespace(hip=hip))
        monkeypatch.setattr(hardware, "libraries", lambda: SimpleNamespace(torch=torch))

    return put


@pytest.mark.parametrize(("capability", "native"), [((7, 5), False), ((8, 6), True)])
def test_imitated_bfloat16_is_not_its_own(
    gpu: Callable[..., None], capability: tuple[int, int], native: bool
) -> None:
    gpu(capability)
    assert hardware.machine_here().native_bf16 is native


@pytest.mark.parametrize(
    ("capability", "hip", "native"),
    [
        ((8, 6), None, False),
        ((8, 9), None, True),
        ((12, 0), None, True),
        ((11, 0), "6.4", False),
        ((9, 4), "6.4", False),
        ((12, 0), "6.4", True),
    ],
)
def test_fp8_is_asked_of_the_maker(
    gpu: Callable[..., None], capability: tuple[int, int], hip: str | None, native: bool
) -> None:
    gpu(capability, hip)
    assert hardware.machine_here().native_fp8 is native


def test_what_torch_keeps_for_the_next_tensor_is_free(gpu: Callable[..., None]) -> None:
    gpu((8, 6), kept=2 * GB)
    assert hardware.machine_here().memory == 12 * GB
    assert hardware.device_memory() == 24 * GB
