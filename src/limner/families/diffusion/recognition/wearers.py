"""Whose models an adapter may be for: what the layers that it changes allow.

Names, widths and numbers of blocks are those of the published checkpoints and of diffusers 0.42.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A layer that an adapter changes: its name with `_` for `.`, its tensors' shapes by kind.

    What features it takes and gives is 0 where the tensors do not tell.
    """

    name: str
    shapes: Mapping[str, Shape]

    @property
    def inputs(self) -> int:
        """How many features the layer takes."""
        return self._low_rank(_DOWN, 1) or self._kronecker(1) or self._whole(1)

    @property
    def outputs(self) -> int:
        """How many features the layer gives."""
        return self._low_rank(_UP, 0) or self._kronecker(0) or self._whole(0)

    def _low_rank(self, kinds: re.Pattern[str], side: int) -> int:
        found = (shape for kind, shape in self.shapes.items() if kinds.fullmatch(kind))
        return next((shape[side] for shape in found if len(shape) >= 2), 0)

    def _kronecker(self, side: int) -> int:
        sides = (self._factor("lokr_w1", side), self._factor("lokr_w2", side))
        return sides[0] * sides[1]

    def _factor(self, name: str, side: int) -> int:
        """Return a side of a factor, which is whole or itself a product; of Tucker's, too."""
        shape = self.shapes.get(name) or self.shapes.get(f"{name}_{'ab'[side]}", ())
        tucker = f"{name[:-2]}t2" in self.shapes and name not in self.shapes
        return shape[1 if tucker and name == "lokr_w2" else side] if len(shape) >= 2 else 0

    def _whole(self, side: int) -> int:
        shape = self.shapes.get("diff", ())
        return shape[side] if len(shape) >= 2 else 0


_DOWN = re.compile(r"lora_?(\d|linear_layer)?[._]down|lora_A(\.[a-z_]+)?|hada_w1_b")
_UP = re.compile(r"lora_?(\d|linear_layer)?[._]up|lora_B(\.[a-z_]+)?|hada_w1_a")
"""The tensors of a low rank that touch what a layer takes, and what it gives."""


_MARKS: tuple[tuple[str, str], ...] = (
    ("chroma", r"distilled_guidance_layer_"),
    ("krea2", r"txtfusion_|text_fusion_|(transformer_)?blocks_\d+_attn_(wq|wk|wv|wo|to_gate)$"),
    ("krea2", r"transformer_blocks_\d+_ff_(gate|up|down)$"),
    ("qwen-image", r"transformer_blocks_\d+_(img_mlp|txt_mlp|img_mod|txt_mod)_"),
    ("flux2", r"(double_stream_modulation|single_stream_modulation)"),
    ("flux2", r"single_transformer_blocks_\d+_attn_(to_qkv_mlp_proj|to_out)$"),
    ("flux2", r"transformer_blocks_\d+_ff(_context)?_linear_(in|out)$"),
    ("flux1", r"(double_blocks_\d+_(img|txt)_mod_lin|single_blocks_\d+_modulation_lin)$"),
    ("flux1", r"single_transformer_blocks_\d+_norm_linear$"),
    ("flux1", r"(double|single)_blocks_\d+_processor_(qkv|proj)$"),
    ("sd3", r"joint_blocks_\d+_"),
    ("z-image", r"(layers|noise_refiner|context_refiner)_\d+_(attention_|feed_forward_w\d)"),
    ("z-image", r"(layers|noise_refiner)_\d+_adaLN_modulation_0$"),
    ("sana", r"transformer_blocks_\d+_ff_conv_|blocks_\d+_mlp_inverted_conv"),
    ("Wan (video)", r"blocks_\d+_(self_attn|cross_attn)_[qkvo]$"),
    ("sdxl", r"(down_blocks_[12]|up_blocks_[01])_attentions_\d_transformer_blocks_[1-9]"),
    ("sdxl", r"(input_blocks_[4578]|output_blocks_[0-5]|middle_block)_1_transformer_blocks_[1-9]"),
)
"""Family, and a layer (with `_` for `.`) that only its models have."""


def marked(layers: Iterable[Layer]) -> str:
    """Return the family that alone has one of these layers; empty if none says so."""
    names = [layer.name for layer in layers]
    for family, pattern in _MARKS:
        if any(map(re.compile(pattern).match, names)):
            return family
    return ""


@dataclass(frozen=True)
class _Build:
    """One size of a family's denoiser: its width, its blocks by kind, and how they feed forward.

    `feeds` is how many times its width the first feed-forward layer of a block gives, and the
    second takes.
    """

    family: str
    width: int = 0
    blocks: Mapping[str, int] = field(default_factory=dict)
    feeds: tuple[int, int] = (4, 4)

    def has(self, layer: Layer, kind: str, number: int) -> bool:
        """Whether a block of it has such a layer, as far as the layer's shapes tell."""
        first, second = self.feeds
        gives = {"_linear1": 3 + first, "_mlp_0": first}
        takes = {
            "_linear2": 1 + second,
            "_proj_out": 1 + second,
            "_mlp_2": second,
            "_net_2": second,
        }
        return (
            number < self.blocks.get(kind, 0)
            and layer.inputs in (0, self.width * _times(takes, layer.name, 1))
            and layer.outputs in (0, self.width * _times(gives, layer.name, 0) or layer.outputs)
        )


def _times(widths: Mapping[str, int], name: str, otherwise: int) -> int:
    return next((widths[end] for end in widths if name.endswith(end)), otherwise)


_GATED = (6, 3)

_BUILDS = (
    _Build("sd1"),
    _Build("sdxl"),
    _Build("sd2"),
    _Build("flux1", 3072, {"block": 19, "single": 38}),
    _Build("chroma", 3072, {"block": 19, "single": 38}),
    _Build("flux2", 6144, {"block": 8, "single": 48}, _GATED),
    _Build("flux2", 4096, {"block": 8, "single": 24}, _GATED),
    _Build("flux2", 3072, {"block": 5, "single": 20}, _GATED),
    _Build("qwen-image", 3072, {"block": 60}),
    _Build("qwen-image", 4096, {"block": 32}),
    _Build("krea2", 6144, {"block": 28}),
    _Build("sd3", 1536, {"block": 24}),
    _Build("sd3", 2432, {"block": 38}),
    _Build("pixart", 1152, {"block": 28}),
    _Build("sana", 1152, {"block": 28}),
    _Build("sana", 2240, {"block": 20}),
    _Build("sana", 2240, {"block": 60}),
)
"""Families that share the names of their layers, the likelier first."""

_FLUXES = "flux1 chroma flux2"
_U_NETS = "sd1 sdxl sd2"

_BLOCKS: tuple[tuple[str, str, str], ...] = (
    (r"double_blocks_(\d+)_", "block", _FLUXES),
    (r"single_blocks_(\d+)_", "single", _FLUXES),
    (r"single_transformer_blocks_(\d+)_", "single", "flux1 chroma"),
    (r"transformer_blocks_(\d+)_norm1(_context)?_linear$", "block", "flux1 sd3"),
    (r"transformer_blocks_(\d+)_ff_context_net_", "block", "flux1 chroma sd3"),
    (r"transformer_blocks_(\d+)_ff_net_", "block", "flux1 chroma sd3 pixart"),
    (r"transformer_blocks_(\d+)_attn_.*add_", "block", f"{_FLUXES} qwen-image sd3"),
    (r"transformer_blocks_(\d+)_attn_to_", "block", f"{_FLUXES} qwen-image krea2 sd3"),
    (r"transformer_blocks_(\d+)_attn1_to_", "block", "pixart sana"),
    (r"transformer_blocks_(\d+)_attn2_to_", "block", "pixart sana sd3"),
)
"""A layer with its block's number, the kind of the block, and the families that have it."""

_ELSEWHERE: tuple[tuple[str, Mapping[int, str]], ...] = (
    (
        r"(down|up|mid|input|output|middle)_block.*_attn2_(processor_)?to_[kv]$",
        {768: "sd1", 1024: "sd2", 2048: "sdxl", 0: _U_NETS},
    ),
    (r"(down_blocks_0|up_blocks_3)_attentions_|(down|up)_blocks_3_", {0: "sd1 sd2"}),
    (r"(input_blocks_[12]|output_blocks_(9|10|11))_1_", {0: "sd1 sd2"}),
    (r"up_blocks_0_attentions_|output_blocks_[012]_1_", {0: "sdxl"}),
    (r"(down|up|mid|input|output|middle)_block", {0: _U_NETS}),
    (
        r"te_text_model_encoder_layers_\d+_(self_attn_[qkv]_proj|mlp_fc1)$",
        {768: "sd1", 1024: "sd2"},
    ),
    (
        r"text_encoder_text_model_encoder_layers_\d+_(self_attn_[qkv]_proj|mlp_fc1)$",
        {768: "sd1 sdxl flux1 sd3", 1024: "sd2"},
    ),
    (r"te1_text_model_", {0: "sdxl flux1 sd3"}),
    (r"(te2|text_encoder_2)_text_model_", {0: "sdxl sd3"}),
)
"""Another layer, and the families that have it by the features it takes; 0: by any others."""


@dataclass(frozen=True)
class Wearers:
    """Families whose models have all the layers that an adapter changes, the likelier first.

    Both are empty where the layers say nothing. `whole` are those of whose models the adapter
    changes each block.
    """

    families: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()


def wearers_of(layers: Iterable[Layer]) -> Wearers:
    """Return the families whose models an adapter may be for, by the layers that it changes."""
    left: Sequence[_Build] = _BUILDS
    numbers: dict[str, set[int]] = defaultdict(set)
    told = False
    for layer in layers:
        if placed := _in_block(layer.name):
            kind, number, families = placed
            numbers[kind].add(number)
            left = [one for one in left if one.family in families and one.has(layer, kind, number)]
        elif families := _elsewhere(layer):
            left = [one for one in left if one.family in families]
        told = told or bool(families)
    if not told:
        return Wearers()
    whole = [
        one
        for one in left
        if numbers and all(seen == set(range(one.blocks[kind])) for kind, seen in numbers.items())
    ]
    return Wearers(_families(left), _families(whole))


def _families(builds: Iterable[_Build]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.family for one in builds))


def _in_block(name: str) -> tuple[str, int, frozenset[str]] | None:
    for pattern, kind, families in _BLOCKS:
        if found := re.match(pattern, name):
            return kind, int(found[1]), frozenset(families.split())
    return None


def _elsewhere(layer: Layer) -> frozenset[str]:
    """Return the families that have a layer by every name that fits it; none if nothing does."""
    found = [
        frozenset((families.get(layer.inputs) or families.get(0, "")).split())
        for pattern, families in _ELSEWHERE
        if re.match(pattern, layer.name)
    ]
    return frozenset.intersection(*found) if found else frozenset()
