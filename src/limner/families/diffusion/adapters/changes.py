"""What an adapter's file says of each layer: its tensors by what they are, whoever named them."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from limner.domain.errors import WeightsRejected
from limner.families.diffusion.adapters.names import few

_KINDS: tuple[tuple[str, str], ...] = (
    ("down", r"lora_(down|A)(\.\w+)?\.weight|lora(_linear_layer)?\.down\.weight"),
    ("up", r"lora_(up|B)(\.\w+)?\.weight|lora(_linear_layer)?\.up\.weight"),
    ("bias", r"lora_up\.bias|lora_B(\.\w+)?\.bias|diff_b|b_norm"),
    ("mid", r"lora_mid\.weight"),
    ("alpha", r"alpha"),
    ("magnitude", r"lora_magnitude_vector(\.\w+?)?(\.weight)?"),
    ("dora_scale", r"dora_scale(\.weight)?"),
    ("diff", r"diff(\.weight)?|w_norm"),
    *((f"hada_{one}", rf"hada_{one}(\.weight)?") for one in ("w1_a", "w1_b", "w2_a", "w2_b")),
    *((f"hada_{one}", rf"hada_{one}(\.weight)?") for one in ("t1", "t2")),
    *((f"lokr_{one}", rf"lokr_{one}(\.weight)?") for one in ("w1", "w1_a", "w1_b")),
    *((f"lokr_{one}", rf"lokr_{one}(\.weight)?") for one in ("w2", "w2_a", "w2_b", "t2")),
    # XLabs, and diffusers before version 0.22, have the side alone behind the layer's name.
    ("down", r"(?<=_lora\.)down\.weight|(?<=_lora\d\.)down\.weight"),
    ("up", r"(?<=_lora\.)up\.weight|(?<=_lora\d\.)up\.weight"),
)
"""What a tensor is to its layer, and the ends of names that say so."""

_NAMED = tuple((kind, re.compile(rf"(?P<module>.+?)\.({ends})")) for kind, ends in _KINDS)

_WHOLE: Mapping[str, tuple[frozenset[str], ...]] = {
    "LoRA": (frozenset({"down", "up"}),),
    "LoHa": (frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}),),
    "LoKr": tuple(
        frozenset({*first, *second})
        for first in (("lokr_w1",), ("lokr_w1_a", "lokr_w1_b"))
        for second in (("lokr_w2",), ("lokr_w2_a", "lokr_w2_b"))
    ),
    "full": (frozenset({"diff"}),),
    "bias": (frozenset({"bias"}),),
}
"""Method → the tensors that make it, in each of its forms."""

_BESIDES = {
    "LoRA": {"bias", "mid", "alpha", "magnitude", "dora_scale"},
    "LoHa": {"hada_t1", "hada_t2", "bias", "alpha", "dora_scale"},
    "LoKr": {"lokr_t2", "bias", "alpha", "dora_scale"},
    "full": {"bias", "alpha", "dora_scale"},
    "bias": {"alpha"},
}
"""Method → the tensors that may come with it."""


@dataclass(frozen=True)
class Change:
    """What a file changes of one layer, as the file names it.

    `tensors` by what they are: `down` and `up` of a LoRA, `hada_w1_a`, `lokr_w2`, `diff`, …;
    `alpha` is the number that its strength is stated by, None where the file has none.
    """

    module: str
    method: str
    tensors: Mapping[str, Any]
    alpha: float | None
    rank_stable: bool = False

    def scale(self, rank: int) -> float:
        """Return what a change of this rank is multiplied with."""
        if self.alpha is None:
            return 1.0
        return self.alpha / (math.sqrt(rank) if self.rank_stable else rank)


def changes_of(
    name: str, tensors: Mapping[str, Any], metadata: Mapping[str, str]
) -> tuple[Change, ...]:
    """Return what the tensors of a file change, layer by layer.

    Raises WeightsRejected for tensors that are no part of an adapter, and for layers of which
    a part is missing.
    """
    found: dict[str, dict[str, Any]] = {}
    strange = []
    for key, tensor in tensors.items():
        kind, module = _kind(key)
        if kind and kind not in found.setdefault(module, {}):
            found[module][kind] = tensor
        else:
            strange.append(key)
    if strange:
        raise WeightsRejected(
            f"{name} holds {len(strange)} tensors that are no part of an adapter Limner knows: "
            f"{few(strange)}. Choose another file."
        )
    stated = _Stated(metadata)
    return tuple(_change(name, module, parts, stated) for module, parts in found.items())


def _kind(key: str) -> tuple[str, str]:
    """Return what a tensor is and the layer it belongs to, both empty if it is nothing known."""
    for kind, pattern in _NAMED:
        if found := pattern.fullmatch(key):
            return kind, found["module"]
    return "", ""


def _change(name: str, module: str, parts: dict[str, Any], stated: "_Stated") -> Change:
    method = next(
        (
            method
            for method, forms in _WHOLE.items()
            if any(form <= parts.keys() <= form | _BESIDES[method] for form in forms)
        ),
        "",
    )
    if not method:
        raise WeightsRejected(
            f"{name} is not whole: of the layer {module} it holds only {', '.join(sorted(parts))}. "
            "Get it again."
        )
    said = parts.pop("alpha", None)
    if said is not None:
        if said.numel() != 1:
            raise WeightsRejected(
                f"The alpha of {module} in {name} must be one number, not {said.numel()}. Get the "
                "file again."
            )
        return Change(module, method, parts, float(said))
    alpha = stated.alpha(module) if method == "LoRA" else None
    return Change(module, method, parts, alpha, stated.rank_stable(module))


@dataclass
class _Stated:
    """The settings that diffusers writes into a file's header, in PEFT's words."""

    metadata: Mapping[str, str]
    _settings: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        try:
            settings = json.loads(self.metadata.get("lora_adapter_metadata", "{}"))
        except ValueError:
            settings = {}
        self._settings = settings if isinstance(settings, dict) else {}

    def alpha(self, module: str) -> float | None:
        """Return the number that the strength of a layer is stated by, or None."""
        part, _, layer = module.partition(".")
        patterns = self._settings.get(f"{part}.alpha_pattern") or {}
        usual = self._settings.get(f"{part}.lora_alpha")
        said = next(self._matching(patterns, layer), usual)
        return float(said) if isinstance(said, int | float) else None

    def rank_stable(self, module: str) -> bool:
        """Whether the strength goes by the root of the rank: https://arxiv.org/abs/2312.03732."""
        return bool(self._settings.get(f"{module.partition('.')[0]}.use_rslora"))

    @staticmethod
    def _matching(patterns: Mapping[str, Any], layer: str) -> Iterator[Any]:
        return (
            value for name, value in patterns.items() if layer == name or layer.endswith(f".{name}")
        )
