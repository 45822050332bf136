"""Adapters on a pipeline: they add to what its layers give, whose weights stay as they are.

Nothing of a file is left out in silence: what fits no layer of the model is an error, and then
nothing of it is put on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from limner.domain.errors import InvalidOption, WeightsRejected
from limner.families.diffusion.adapters.changes import changes_of
from limner.families.diffusion.adapters.effects import Effect, effect_of
from limner.families.diffusion.adapters.names import Layers, Slot, few
from limner.families.diffusion.known.facts import title_of
from limner.families.diffusion.recognition.adapters import Adapter, identify, instead_of
from limner.families.diffusion.recognition.finding import Words
from limner.families.diffusion.recognition.headers import read_header
from limner.families.diffusion.recognition.tensors import Header


@dataclass(frozen=True)
class Worn:
    """An adapter: its file, its name for people, its weights in the denoiser and text encoders."""

    path: Path
    name: str
    weight: float
    text_weight: float | None = None

    def weight_of(self, reads: bool) -> float:
        """Return the weight in a text encoder, or in the denoiser."""
        return self.text_weight if reads and self.text_weight is not None else self.weight


@dataclass
class Wearing:
    """The adapters that a pipeline wears; `reads`: its text encoders wear some of them."""

    reads: bool = False
    _hooks: list[Any] = field(default_factory=list)

    def put(self, layer: Any, effects: Sequence[tuple[Effect, float]]) -> None:
        """Let effects, each with its weight, add to what a layer gives."""
        self._hooks.append(layer.register_forward_hook(_Adding(effects)))

    def take_off(self) -> None:
        """Take every adapter off; the model is then what it was, bit by bit."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        self.reads = False


@dataclass(frozen=True)
class _Adding:
    """What a layer calls after it has computed."""

    effects: Sequence[tuple[Effect, float]]

    def __call__(self, layer: Any, inputs: tuple[Any, ...], plain: Any) -> Any:
        total = plain
        for effect, weight in self.effects:
            total = total.add(effect(layer, inputs[0], plain), alpha=weight)
        return total


def put_on(pipeline: Any, adapters: Sequence[Worn]) -> Wearing:
    """Put adapters on a pipeline that wears none, all or none of them.

    Raises WeightsRejected for a file that is damaged or does not fit the model, InvalidOption
    for a kind of adapter that is not known, or that these weights cannot wear.
    """
    layers, reads = Layers(pipeline), False
    worn: dict[int, tuple[Any, list[tuple[Effect, float]]]] = {}
    for adapter in adapters:
        for slot, effect, weight in _effects(adapter, layers):
            worn.setdefault(id(slot.layer), (slot.layer, []))[1].append((effect, weight))
            reads = reads or slot.reads
    wearing = Wearing(reads)
    for layer, effects in worn.values():
        wearing.put(layer, effects)
    return wearing


def _effects(adapter: Worn, layers: Layers) -> list[tuple[Slot, Effect, float]]:
    """Return what an adapter does: for each layer, where it is, the effect and its weight."""
    header = read_header(adapter.path)
    kind = _kind(adapter, header)
    changes = changes_of(adapter.name, _read(adapter), header.metadata)
    slots = [layers.find(change.module) for change in changes]
    missing = [change.module for change, found in zip(changes, slots, strict=True) if not found]
    if missing:
        raise _strange(adapter, kind, missing, len(changes))
    found = []
    for change, places in zip(changes, slots, strict=True):
        for slot in places:
            try:
                effect = effect_of(change, slot)
            except WeightsRejected as error:
                raise _unfit(adapter, str(error)) from error
            if weight := adapter.weight_of(slot.reads):
                found.append((slot, effect, weight))
    return found


def _kind(adapter: Worn, header: Header) -> Adapter:
    if header.missing:
        raise WeightsRejected(f"{adapter.path.name} was not copied whole. Get it again.")
    found = identify(header.tensors, header.metadata, Words(adapter.path.stem))
    if found is None:
        raise InvalidOption(
            f"{adapter.name} is no adapter of a kind that is put on. {instead_of('')}"
        )
    if instead := instead_of(found.method):
        raise InvalidOption(
            f"{adapter.name} is an adapter of the kind {found.method}, which is not put on. "
            f"{instead}"
        )
    return found


def _read(adapter: Worn) -> Mapping[str, Any]:
    """Return the tensors of a file; raise WeightsRejected for numbers that are none."""
    torch: Any = import_module("torch")
    files: Any = import_module("safetensors.torch")
    tensors: dict[str, Any] = files.load_file(adapter.path)
    spoiled = [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all()
    ]
    if spoiled:
        raise WeightsRejected(
            f"{len(spoiled)} tensors in {adapter.path.name} hold numbers that are none (NaN or "
            f"infinity): {few(spoiled)}. The file is damaged: get it again."
        )
    return tensors


def _strange(adapter: Worn, kind: Adapter, missing: list[str], every: int) -> WeightsRejected:
    none = len(missing) == every
    share = (
        f"none of its {every} layers is one"
        if none
        else (f"{len(missing)} of its {every} layers are none")
    )
    another = kind.families and len(missing) * 2 > every
    made = f" It was made for {' or '.join(map(title_of, kind.families))}." if another else ""
    return _unfit(adapter, f"{share} of the model's with weights: {few(missing)}", made)


def _unfit(adapter: Worn, reason: str, made: str = "") -> WeightsRejected:
    return WeightsRejected(
        f"{adapter.name} does not fit this model: {reason}.{made} Choose an adapter that was made "
        "for this model."
    )
