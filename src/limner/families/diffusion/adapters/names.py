"""The layers of a pipeline by every name that adapters know them by.

Makers of adapters name a layer as diffusers does or as the model's own publisher does, with dots
or with `_` for every dot, and write before it which part of the model it lies in. The names are
those of kohya's sd-scripts, PEFT, ai-toolkit, Black Forest Labs, XLabs, OneTrainer and LyCORIS.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from limner.families.diffusion.adapters.layouts import PUBLISHED, unet_names

_DENOISERS = ("transformer", "unet")

_TEXT_PREFIX = re.compile(
    r"lora_te(?P<kohya>\d?)_|text_encoder(_(?P<diffusers>\d))?\."
    r"|(text_encoders\.)?(?P<comfy>clip_l|clip_g|t5xxl|t5)\.(transformer\.)?"
)
_COMFY = {"clip_l": "1", "clip_g": "2", "t5xxl": "3", "t5": "3"}
_PREFIX = re.compile(
    r"lora_unet_|lora_transformer_|lycoris_|unet\.|transformer\.|(model\.)?diffusion_model\."
)


@dataclass(frozen=True)
class Slot:
    """A layer that a name means, whole or one of several that are one layer to the adapter.

    `rows` are those of the adapter's outputs that are this layer's (the first, the one behind the
    last, and how many the adapter has), None for all. `swapped`: the halves of the outputs come
    in the other order. `reads`: the layer is a text encoder's.
    """

    name: str
    layer: Any
    rows: tuple[int, int, int] | None = None
    swapped: bool = False
    reads: bool = False


def outputs_of(layer: Any) -> int:
    """Return how many features a layer gives, 0 for one that is neither linear nor a convolution.

    Of packed weights the shape tells nothing, thus the layer is asked.
    """
    if getattr(layer, "weight", None) is None:
        return 0
    found = getattr(layer, "out_features", None) or getattr(layer, "out_channels", None)
    return int(found or 0)


_SCALING = frozenset({"LayerNorm", "GroupNorm", "RMSNorm"})


def is_norm(layer: Any) -> bool:
    """Whether a layer brings features to one scale, and then to that of its own weights."""
    kinds = {kind.__name__ for kind in type(layer).__mro__}
    return bool(kinds & _SCALING) and getattr(layer, "weight", None) is not None


class Layers:
    """The layers of a pipeline, found by the names that files have for them."""

    def __init__(self, pipeline: Any) -> None:
        parts = pipeline.components
        denoisers = [parts[name] for name in _DENOISERS if parts.get(name) is not None]
        self._denoiser = _named(denoisers[0]) if denoisers else {}
        texts = sorted(name for name in parts if re.fullmatch(r"text_encoder(_\d)?", name))
        self._texts = [_reading(parts[name]) for name in texts if parts[name] is not None]

    def find(self, module: str) -> tuple[Slot, ...]:
        """Return the layers that a name in a file means, none if the model has no such layer."""
        name = re.sub(r"^base_model\.model\.", "", module)
        name = re.sub(r"\.processor\.(to_[qkv]|to_out)_lora$", r".\1", name)
        if text := _TEXT_PREFIX.match(name):
            number = text["kohya"] or text["diffusers"] or _COMFY.get(text["comfy"], "1")
            return self._text(int(number)).get(_flat(name[text.end() :]), ())
        bare = _flat(name)
        inner = _PREFIX.match(name)
        within = _flat(name[inner.end() :]) if inner else bare
        return self._denoiser.get(within, ()) or self._denoiser.get(f"{within}_0", ())

    def _text(self, number: int) -> Mapping[str, tuple[Slot, ...]]:
        """Return the names of a text encoder; the third is T5, wherever it stands."""
        if number > 2 and self._texts:
            return self._texts[-1]
        return self._texts[number - 1] if 0 < number <= len(self._texts) else {}


def _flat(name: str) -> str:
    return name.replace(".", "_")


def _changes(layer: Any) -> bool:
    """Whether an adapter can change a layer."""
    return bool(outputs_of(layer)) or is_norm(layer)


def _named(denoiser: Any) -> dict[str, tuple[Slot, ...]]:
    layers = {name: layer for name, layer in denoiser.named_modules() if name}
    found: dict[str, tuple[Slot, ...]] = {
        _flat(name): (Slot(name, layer),) for name, layer in layers.items() if _changes(layer)
    }
    kind = type(denoiser).__name__
    published = unet_names(layers) if "UNet" in kind else dict(_published(layers, kind))
    for original, names in published.items():
        if all(_changes(layers[name]) for name in names):
            found.setdefault(_flat(original), _slots(names, layers))
    return found


def _reading(encoder: Any) -> dict[str, tuple[Slot, ...]]:
    """Return the layers of a text encoder; CLIP's with and without `text_model`, as they vary."""
    found: dict[str, tuple[Slot, ...]] = {}
    for name, layer in encoder.named_modules():
        if not _changes(layer):
            continue
        slot = (Slot(name, layer, reads=True),)
        found[_flat(name)] = slot
        found.setdefault(_flat(name).removeprefix("text_model_"), slot)
        found.setdefault(f"text_model_{_flat(name)}", slot)
    return found


def _published(layers: Mapping[str, Any], kind: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what the publisher of a model calls a layer, and the layers of diffusers it is."""
    for original, members in PUBLISHED.get(kind, ()):
        number = re.compile(re.escape(members[0]).replace(r"\*", r"(\d+)"))
        for name in layers:
            if found := number.fullmatch(name):
                block = found[1] if number.groups else ""
                names = tuple(member.replace("*", block) for member in members)
                if all(one in layers for one in names):
                    yield original.replace("*", block), names


def _slots(names: tuple[str, ...], layers: Mapping[str, Any]) -> tuple[Slot, ...]:
    ends = tuple(accumulate(outputs_of(layers[name]) for name in names))
    slots = []
    for name, first, last in zip(names, (0, *ends), ends, strict=False):
        swapped = _swapped(layers.get(name.rpartition(".")[0]))
        rows = (first, last, ends[-1]) if len(names) > 1 else None
        slots.append(Slot(name, layers[name], rows, swapped))
    return tuple(slots)


def _swapped(around: Any) -> bool:
    """Publishers let the shift come before the scale, this layer of diffusers the scale first."""
    return type(around).__name__ == "AdaLayerNormContinuous"


def few(names: list[str]) -> str:
    """Return the first few names, and how many more there are; each once."""
    every = list(Counter(names))
    rest = f" and {len(every) - 4} more" if len(every) > 4 else ""
    return ", ".join(every[:4]) + rest
