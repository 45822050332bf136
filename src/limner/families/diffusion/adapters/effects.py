"""The mathematics of adapters: what each adds to what a layer gives, beside its weights.

Nothing of the layer is changed, so it may lie packed, in eight bits or in another memory.
Sources: LoRA https://arxiv.org/abs/2106.09685, LoHa and LoKr https://arxiv.org/abs/2309.14859,
DoRA https://arxiv.org/abs/2402.09353. At a weight w the layer is its own plus w times the
difference that the adapter makes at weight 1, so nothing is left of it at 0.
"""

import math
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol, cast

from limner.domain.errors import InvalidOption, WeightsRejected
from limner.families.diffusion.adapters.changes import Change
from limner.families.diffusion.adapters.names import Slot, is_norm, outputs_of


class Effect(Protocol):
    """What is added to the outputs of a layer."""

    def __call__(self, layer: Any, features: Any, plain: Any) -> Any:
        """Return what comes on top of the plain outputs, for these inputs of the layer."""
        ...


class _Kept:
    """Tensors that follow the layer to the device it computes on."""

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._tensors = dict(tensors)

    def on(self, device: Any, dtype: Any) -> Mapping[str, Any]:
        self._tensors = {name: tensor.to(device, dtype) for name, tensor in self._tensors.items()}
        return self._tensors


class _LowRank:
    """A LoRA: few features in between."""

    def __init__(self, down: Any, up: Any, scale: float) -> None:
        self._down, self._up = down, up.float() * scale
        self._kept = _Kept({"down": self._down, "up": self._up})

    def __call__(self, layer: Any, features: Any, plain: Any) -> Any:
        """Return the inputs, narrowed and widened."""
        kept = self._kept.on(features.device, plain.dtype)
        between = _through(layer, features.to(plain.dtype), kept["down"])
        if _convolves(layer):
            return import_module("torch").nn.functional.conv2d(between, kept["up"])
        return import_module("torch").nn.functional.linear(between, kept["up"])

    def matrix(self) -> Any:
        """Return what it adds to the weights, in float32."""
        whole = self._up.flatten(1) @ self._down.float().flatten(1)
        return whole.reshape(-1, *self._down.shape[1:])


class _Matrix:
    """A change of the whole matrix, made of its factors when it is wanted: they are small."""

    def __init__(self, make: "Maker", factors: Mapping[str, Any], slot: Slot, scale: float) -> None:
        self._make = make
        self._kept = _Kept(factors)
        self._slot = slot
        self._shape = _shape(slot.layer)
        self._scale = scale

    def __call__(self, layer: Any, features: Any, plain: Any) -> Any:
        """Return what the changed part of the matrix makes of the inputs."""
        matrix = self._on(features.device).to(plain.dtype)
        return _through(layer, features.to(plain.dtype), matrix)

    def matrix(self) -> Any:
        """Return what it adds to the weights, in float32."""
        return self._on(import_module("torch").device("cpu"))

    def _on(self, device: Any) -> Any:
        whole = self._make(self._kept.on(device, import_module("torch").float32)) * self._scale
        return _rows(whole, self._slot).reshape(self._shape)


class _Directed:
    """DoRA by outputs: the changed matrix, each row at the length that was learnt for it."""

    def __init__(self, inner: "_LowRank | _Matrix", ratio: Any, bias: Any) -> None:
        self._inner = inner
        self._kept = _Kept({"ratio": ratio, "bias": bias})

    def __call__(self, layer: Any, features: Any, plain: Any) -> Any:
        """Return the difference to the plain outputs, whose bias stays as it is."""
        shape = (1, -1, 1, 1) if _convolves(layer) else (-1,)
        torch: Any = import_module("torch")
        kept = self._kept.on(features.device, torch.float32)
        ratio, bias = kept["ratio"].reshape(shape), kept["bias"].reshape(shape)
        added = self._inner(layer, features, plain)
        return ((ratio - 1) * (plain - bias) + ratio * added).to(plain.dtype)


class _Fixed:
    """A difference of the whole matrix, kept as it is."""

    def __init__(self, matrix: Any) -> None:
        self._kept = _Kept({"matrix": matrix})

    def __call__(self, layer: Any, features: Any, plain: Any) -> Any:
        """Return what the difference makes of the inputs."""
        kept = self._kept.on(features.device, plain.dtype)
        return _through(layer, features.to(plain.dtype), kept["matrix"])


class _Scaled:
    """A difference of the weights of a norm, which it multiplies its features with at the end."""

    def __init__(self, weight: Any) -> None:
        self._kept = _Kept({"weight": weight})

    def __call__(self, layer: Any, features: Any, plain: Any) -> Any:
        """Return the features at one scale, times the difference."""
        torch: Any = import_module("torch")
        weight = self._kept.on(features.device, torch.float32)["weight"]
        whole, within = features.float(), torch.nn.functional
        if isinstance(layer, torch.nn.GroupNorm):
            scaled = within.group_norm(whole, layer.num_groups, weight, None, layer.eps)
        elif isinstance(layer, torch.nn.LayerNorm):
            scaled = within.layer_norm(whole, layer.normalized_shape, weight, None, layer.eps)
        else:
            scaled = within.rms_norm(whole, weight.shape, weight, layer.eps)
        return scaled.to(plain.dtype)


class _Shifted:
    """A change of the bias, with another of the weights or alone."""

    def __init__(self, inner: Effect | None, bias: Any) -> None:
        self._inner = inner
        self._kept = _Kept({"bias": bias})

    def __call__(self, layer: Any, features: Any, plain: Any) -> Any:
        """Return the inner change and the bias."""
        bias = self._kept.on(features.device, plain.dtype)["bias"]
        if _convolves(layer) or hasattr(layer, "num_groups"):
            bias = bias.reshape((1, -1, *(1,) * (plain.ndim - 2)))
        return bias if self._inner is None else self._inner(layer, features, plain) + bias


def effect_of(change: Change, slot: Slot) -> Effect:
    """Return what a change does to a layer; raise WeightsRejected if their shapes differ.

    Raises InvalidOption for a DoRA on packed weights, whose lengths it needs.
    """
    if is_norm(slot.layer):
        return _normed(change, slot)
    shape = _shape(slot.layer)
    if change.method == "bias":
        return _Shifted(None, _bias(change, slot, shape[0]))
    inner = (_low_rank if change.method == "LoRA" else _matrix)(change, slot, shape)
    effect: Effect = inner
    if "magnitude" in change.tensors or "dora_scale" in change.tensors:
        effect = _directed(change, slot, inner)
    if "bias" in change.tensors:
        bias = _bias(change, slot, shape[0])
        scale = change.scale(change.tensors["up"].shape[1]) if change.method == "LoRA" else 1.0
        effect = _Shifted(effect, bias * scale)
    return effect


def _bias(change: Change, slot: Slot, count: int) -> Any:
    bias = _rows(change.tensors["bias"].float().flatten(), slot)
    if bias.numel() != count:
        raise WeightsRejected(f"the bias of {change.module} is {bias.numel()}, the model's {count}")
    return bias


def _normed(change: Change, slot: Slot) -> Effect:
    """Return what a difference of a norm's weights and bias does."""
    if not change.tensors.keys() <= {"diff", "bias"}:
        raise WeightsRejected(
            f"{change.module} is a norm of the model's, which takes a full difference alone, no "
            f"{change.method}"
        )
    count = slot.layer.weight.numel()
    effect: Effect | None = None
    if (weight := change.tensors.get("diff")) is not None:
        if weight.numel() != count:
            raise WeightsRejected(
                f"{change.module} is {_by(weight.shape)}, and the model's layer {slot.name} is "
                f"{count}"
            )
        effect = _Scaled(weight.flatten())
    if "bias" in change.tensors:
        effect = _Shifted(effect, _bias(change, slot, count))
    return cast(Effect, effect)


def _low_rank(change: Change, slot: Slot, shape: tuple[int, ...]) -> _LowRank:
    down, up = change.tensors["down"], change.tensors["up"]
    middle = change.tensors.get("mid")
    if down.ndim < 2 or up.ndim < 2:
        raise WeightsRejected(f"a side of {change.module} is no matrix")
    rank = down.shape[0]
    if rank < 1 or rank != up.shape[1]:
        raise WeightsRejected(
            f"its ranks differ in {change.module}, whose sides are {_by(down.shape)} and "
            f"{_by(up.shape)}"
        )
    if middle is not None:  # https://arxiv.org/abs/2108.06098, as kohya's LoCon has it
        down = _tucker(change, "j i k l, i n -> j n k l", middle, down.flatten(1))
    up = _rows(up, slot)
    if _convolves(slot.layer):
        down = down if down.ndim == 4 else down[:, :, None, None]
        up = up if up.ndim == 4 else up[:, :, None, None]
    elif math.prod(down.shape[2:]) == 1 and math.prod(up.shape[2:]) == 1:
        down, up = down.flatten(1), up.flatten(1)
    made = (up.shape[0], *down.shape[1:])
    if made != shape or math.prod(up.shape[2:]) != 1 or getattr(slot.layer, "groups", 1) > 1:
        raise WeightsRejected(_differs(change, slot, made, shape))
    return _LowRank(down, up, change.scale(rank))


def _matrix(change: Change, slot: Slot, shape: tuple[int, ...]) -> _Matrix:
    tensors = {
        name: one
        for name, one in change.tensors.items()
        if name.startswith(("hada_", "lokr_", "diff"))
    }
    if any(one.ndim < 2 or not one.numel() for one in tensors.values()):
        raise WeightsRejected(f"a part of {change.module} is no matrix")
    scale = 1.0
    if change.method == "LoHa":
        scale = change.scale(tensors["hada_w1_b"].shape[0])
    elif ranks := [tensors[one].shape[0] for one in ("lokr_w2_b", "lokr_w1_b") if one in tensors]:
        scale = change.scale(ranks[0])
    try:
        made = _MAKERS[change.method]({name: one.to("meta") for name, one in tensors.items()})
    except RuntimeError as error:
        each = ", ".join(f"{name} {_by(one.shape)}" for name, one in tensors.items())
        raise WeightsRejected(f"its ranks differ in {change.module}: {each}") from error
    made = _rows(made, slot)
    if (made.shape[0], math.prod(made.shape[1:])) != (shape[0], math.prod(shape[1:])):
        raise WeightsRejected(_differs(change, slot, made.shape, shape))
    return _Matrix(_MAKERS[change.method], tensors, slot, scale)


def _differs(change: Change, slot: Slot, made: tuple[int, ...], shape: tuple[int, ...]) -> str:
    return f"{change.module} is {_by(made)}, and the model's layer {slot.name} is {_by(shape)}"


def _directed(change: Change, slot: Slot, inner: _LowRank | _Matrix) -> Effect:
    torch: Any = import_module("torch")
    weight = _weights(change, slot)
    changed = weight + inner.matrix().reshape(weight.shape)
    length = torch.atleast_1d(
        change.tensors.get("magnitude", change.tensors.get("dora_scale")).float()
    )
    if "magnitude" in change.tensors or length.shape[0] == length.numel():
        rows = _rows(length.flatten(), slot)
        if rows.numel() != weight.shape[0]:
            raise WeightsRejected(
                f"{change.module} has {rows.numel()} lengths for {weight.shape[0]} rows"
            )
        norm = changed.flatten(1).norm(dim=1)
        bias = slot.layer.bias
        bias = torch.zeros_like(norm) if bias is None else bias.detach().to("cpu", torch.float32)
        return _Directed(inner, rows / norm.clamp_min(_LEAST), bias)
    if slot.rows or length.numel() != weight.shape[1]:
        raise WeightsRejected(f"{change.module} has lengths for other inputs ({_by(length.shape)})")
    norm = changed.transpose(0, 1).flatten(1).norm(dim=1).clamp_min(_LEAST)
    ratio = (length.flatten() / norm).reshape(1, -1, *(1,) * (weight.ndim - 2))
    return _Fixed(changed * ratio - weight)


_LEAST = 1e-12
"""A length that no row has: it keeps rows of nothing from becoming no numbers."""


def _weights(change: Change, slot: Slot) -> Any:
    weight = slot.layer.weight
    if weight.is_meta or not weight.is_floating_point() or weight.shape != _shape(slot.layer):
        raise InvalidOption(
            f"A DoRA cannot be put on packed or moving weights ({change.module}): it needs the "
            "lengths of them. Draw without quantisation, or leave the adapter out."
        )
    return weight.detach().to("cpu", import_module("torch").float32)


def _hadamard(parts: Mapping[str, Any]) -> Any:
    """Return the product of two low ranks, number by number (LoHa)."""
    first, second = (
        _side(parts, f"hada_w{one}_a", f"hada_w{one}_b", f"hada_t{one}") for one in "12"
    )
    return first * second


def _kronecker(parts: Mapping[str, Any]) -> Any:
    """Return the Kronecker product of two small matrices, each whole or of low rank (LoKr)."""
    first = parts["lokr_w1"] if "lokr_w1" in parts else parts["lokr_w1_a"] @ parts["lokr_w1_b"]
    second = (
        parts["lokr_w2"]
        if "lokr_w2" in parts
        else _side(parts, "lokr_w2_a", "lokr_w2_b", "lokr_t2")
    )
    first = first.reshape(*first.shape, *(1,) * (second.ndim - first.ndim))
    return import_module("torch").kron(first, second.contiguous())


def _full(parts: Mapping[str, Any]) -> Any:
    return parts["diff"]


Maker = Callable[[Mapping[str, Any]], Any]

_MAKERS: Mapping[str, Maker] = {"LoHa": _hadamard, "LoKr": _kronecker, "full": _full}
"""Method → what makes the whole matrix of its factors."""


def _side(parts: Mapping[str, Any], left: str, right: str, core: str) -> Any:
    """Return two factors multiplied; with a core, they are its outputs and inputs (Tucker)."""
    if core not in parts:
        outer, inner = parts[left], parts[right]
        whole = outer.flatten(1) @ inner.flatten(1)
        return whole.reshape(outer.shape[0], *inner.shape[1:])
    return import_module("torch").einsum(
        "i j k l, i p, j r -> p r k l", parts[core], parts[left], parts[right]
    )


def _tucker(change: Change, formula: str, *tensors: Any) -> Any:
    try:
        return import_module("torch").einsum(formula, *(one.float() for one in tensors))
    except RuntimeError as error:
        raise WeightsRejected(f"its ranks differ in {change.module}") from error


def _through(layer: Any, features: Any, matrix: Any) -> Any:
    functional: Any = import_module("torch").nn.functional
    if not _convolves(layer):
        return functional.linear(features, matrix)
    return functional.conv2d(
        features, matrix, None, layer.stride, layer.padding, layer.dilation, layer.groups
    )


def _rows(whole: Any, slot: Slot) -> Any:
    """Return the rows that are a layer's own, in its order."""
    if slot.rows:
        first, last, every = slot.rows
        if whole.shape[0] != every:
            raise WeightsRejected(
                f"it has {whole.shape[0]} rows where those of {slot.name} and beside are {every}"
            )
        whole = whole[first:last]
    if slot.swapped:
        shift, scale = whole.chunk(2, dim=0)
        return import_module("torch").cat([scale, shift])
    return whole


def _shape(layer: Any) -> tuple[int, ...]:
    if not _convolves(layer):
        return (outputs_of(layer), int(layer.in_features))
    return (outputs_of(layer), int(layer.in_channels) // layer.groups, *layer.kernel_size)


def _convolves(layer: Any) -> bool:
    return hasattr(layer, "kernel_size")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(one) for one in shape)
