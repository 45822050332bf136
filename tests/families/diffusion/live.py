"""Counts the numbers in tensors that live at once, without computing any of them."""

import math
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from limner.families.diffusion.loading.pipelines import quiet


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own is not typed
    """Follows every tensor that is made while it is entered, until it is gone.

    `reordered` counts as well what a convolution on a CPU copies of its input.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own is not typed
        self.most = self.reordered = self._now = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        result = function(*arguments, **(named or {}))
        given = {self._key(tensor) for tensor in tensors(arguments, named)}
        for tensor in tensors(result):
            key = self._key(tensor)
            if key in self._known or key in given:
                continue
            storage = tensor.untyped_storage()
            self._known[key] = storage.nbytes() // tensor.element_size()
            self._now += self._known[key]
            weakref.finalize(storage, self._forget, key)
        copies = 0
        if "convolution" in str(function) and max(arguments[1].shape[2:]) > 1:
            copies = arguments[0].numel()
        self.most = max(self.most, self._now)
        self.reordered = max(self.reordered, self._now + copies)
        return result

    def _key(self, tensor: torch.Tensor) -> int:
        return int(tensor.untyped_storage()._cdata)

    def _forget(self, key: int) -> None:
        self._now -= self._known.pop(key)


def tensors(*nested: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(nested) if isinstance(leaf, torch.Tensor)]


def most_alive(build: Callable[[], Any], inputs: Callable[[], Any], method: str = "") -> Live:
    """Return what was counted while a module computed; `inputs` makes its arguments."""
    with quiet(), torch.no_grad(), FakeTensorMode():
        module = build().eval()
        given = inputs()
        counted = Live()
        with counted:
            (getattr(module, method) if method else module)(**given)
    return counted


def picture(channels: int, size: int, batch: int = 1, *, frame: bool = False) -> torch.Tensor:
    shape = (batch, channels, *((1,) if frame else ()), size, size)
    assert math.prod(shape) > 0
    return torch.randn(shape)
