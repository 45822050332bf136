"""Adapters on a pipeline: put on by diffusers and PEFT beside the weights, which stay as they are.

Nothing of a file is left out in silence: what fits no layer of the model is an error.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from limner.domain.errors import InvalidOption, WeightsRejected
from limner.families.diffusion.adapters import identify
from limner.families.diffusion.finding import Words
from limner.families.diffusion.headers import read_header

METHODS = ("LoRA", "DoRA")
"""The kinds of adapters that diffusers puts on."""


@dataclass(frozen=True)
class Worn:
    """An adapter: its file, its name for people, its weight."""

    path: Path
    name: str
    weight: float


def put_on(pipeline: Any, adapters: Sequence[Worn]) -> None:
    """Put adapters on a pipeline that wears none, all or none of them.

    Raises WeightsRejected for a file that is damaged or does not fit the model, InvalidOption
    for a kind of adapter, or a model, that diffusers does not know how to join.
    """
    if not hasattr(pipeline, "load_lora_weights"):
        raise InvalidOption("Adapters cannot be put on this model. Leave them out.")
    try:
        for number, adapter in enumerate(adapters):
            _put_on(pipeline, adapter, f"adapter_{number}")
        names = [f"adapter_{number}" for number in range(len(adapters))]
        pipeline.set_adapters(names, [adapter.weight for adapter in adapters])
    except BaseException:
        take_off(pipeline)
        raise


def take_off(pipeline: Any) -> None:
    """Take every adapter off; the model is then what it was, bit by bit."""
    with suppress(ValueError):  # it wears none
        pipeline.unload_lora_weights()


def _put_on(pipeline: Any, adapter: Worn, name: str) -> None:
    _check_kind(adapter)
    tensors = _read(adapter)
    before = _count(pipeline)
    with _complaints() as complaints:
        try:
            pipeline.load_lora_weights(dict(tensors), adapter_name=name)
        except (ValueError, RuntimeError, KeyError, AttributeError, IndexError, TypeError) as error:
            raise _unfit(adapter, str(error)) from error
    if complaints:
        raise _unfit(adapter, complaints[0])
    if _count(pipeline) == before:
        raise _unfit(adapter, f"none of its layers is one of the model's: {min(tensors)}, …")


def _check_kind(adapter: Worn) -> None:
    header = read_header(adapter.path)
    if header.missing:
        raise WeightsRejected(f"{adapter.path.name} was not copied whole. Get it again.")
    found = identify(header.tensors, header.metadata, Words(adapter.path.stem))
    if found is None or found.method not in METHODS:
        method = found.method if found else "an unknown kind"
        raise InvalidOption(
            f"{adapter.name} is an adapter of the kind {method}, which is not put on yet. These "
            f"are: {', '.join(METHODS)}."
        )


def _read(adapter: Worn) -> dict[str, Any]:
    """Return the tensors of a file; raise WeightsRejected for numbers that are none."""
    torch: Any = import_module("torch")
    files: Any = import_module("safetensors.torch")
    tensors: dict[str, Any] = files.load_file(adapter.path)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all():
            raise WeightsRejected(
                f"“{name}” in {adapter.path.name} holds numbers that are none (NaN or infinity): "
                "the file is damaged. Get it again."
            )
    return tensors


def _count(pipeline: Any) -> int:
    """Return how many layers of adapters a pipeline wears."""
    module: Any = import_module("torch").nn.Module
    return sum(
        len(layer.lora_A)
        for part in pipeline.components.values()
        if isinstance(part, module)
        for layer in part.modules()
        if hasattr(layer, "lora_A")
    )


class _Hearing(logging.Handler):
    """Keeps the complaints about what does not fit."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "unexpected keys" in text or "missing keys" in text:
            self.heard.append(text)


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Hear what diffusers only warns of."""
    hearing, logger = _Hearing(), logging.getLogger("diffusers")
    level = logger.level
    logger.addHandler(hearing)
    logger.setLevel(logging.WARNING)
    try:
        yield hearing.heard
    finally:
        logger.removeHandler(hearing)
        logger.setLevel(level)


def _unfit(adapter: Worn, reason: str) -> WeightsRejected:
    first = " ".join(reason.split())[:300]
    return WeightsRejected(
        f"{adapter.name} does not fit this model: {first} Choose an adapter that was made for it."
    )
