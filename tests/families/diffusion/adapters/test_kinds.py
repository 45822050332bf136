"""LoHa, LoKr, DoRA and full differences do what their papers say, and leave nothing behind."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limner.domain.errors import InvalidOption, WeightsRejected

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the lines above ask for

from limner.families.diffusion.adapters.wearing import Worn, put_on  # noqa: E402
from limner.families.diffusion.drawing.model import DiffusionModel  # noqa: E402
from tests.families.diffusion import adapter_files  # noqa: E402
from tests.families.diffusion.adapters.test_layouts import (  # noqa: E402
    apart,
    change_of,
    draw,
    model_of,
    written,
)

RANK = 2
ALPHA = 3.0
LINEAR = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
POINT = "down_blocks.0.attentions.0.proj_in"
BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
CONV = "down_blocks.0.resnets.0.conv1"
STRIDED = "down_blocks.0.downsamplers.0.conv"
LAYERS = (LINEAR, POINT, CONV, STRIDED)

Tensors = dict[str, Any]
Made = tuple[Tensors, Any]
"""The tensors of one layer, and what they add to its weights."""


def unet() -> Any:
    return model_of("sd1")._first.unet


def noise(*shape: int) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))) / 2


def alpha() -> Tensors:
    return {"alpha": torch.tensor(ALPHA)}


def loha(shape: tuple[int, ...]) -> Made:
    rows, columns = shape[0], int(np.prod(shape[1:]))
    a, b, c, d = (
        noise(rows, RANK),
        noise(RANK, columns),
        noise(rows, RANK) + 1,
        noise(RANK, columns),
    )
    made = {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d}
    whole = (a.numpy() @ b.numpy()) * (c.numpy() @ d.numpy()) * ALPHA / RANK
    return made | alpha(), whole.reshape(shape)


def loha_tucker(shape: tuple[int, ...]) -> Made:
    made: Tensors = {}
    sides = []
    for one in "12":
        core, outer, inner = (
            noise(RANK, RANK, *shape[2:]),
            noise(RANK, shape[0]),
            noise(RANK, shape[1]),
        )
        core = core + float(one)
        made |= {f"hada_t{one}": core, f"hada_w{one}_a": outer, f"hada_w{one}_b": inner}
        sides.append(
            sum(
                np.multiply.outer(np.outer(outer[i], inner[j]), core[i, j])
                for i in range(RANK)
                for j in range(RANK)
            )
        )
    return made | alpha(), sides[0] * sides[1] * ALPHA / RANK


def kron(first: Any, second: Any) -> Any:
    """Block by block, and not by the same function as what is tested."""
    return np.block([[number * second for number in row] for row in first])


def lokr(shape: tuple[int, ...]) -> Made:
    first, second = noise(2, 2), noise(shape[0] // 2, shape[1] // 2, *shape[2:])
    whole = np.empty(shape, np.float32)
    for place in np.ndindex(*shape[2:]):
        whole[(..., *place)] = kron(first.numpy(), second.numpy()[(..., *place)])
    # Nothing is of low rank here: the alpha says nothing.
    return {"lokr_w1": first, "lokr_w2": second} | alpha(), whole


def lokr_low(shape: tuple[int, ...]) -> Made:
    a, b = noise(2, RANK), noise(RANK, 2)
    rows, columns = shape[0] // 2, shape[1] // 2
    c, d = noise(rows, RANK), noise(RANK, columns * int(np.prod(shape[2:])))
    second = (c.numpy() @ d.numpy()).reshape(rows, columns, *shape[2:])
    whole = np.empty(shape, np.float32)
    for place in np.ndindex(*shape[2:]):
        whole[(..., *place)] = kron(a.numpy() @ b.numpy(), second[(..., *place)])
    made = {"lokr_w1_a": a, "lokr_w1_b": b, "lokr_w2_a": c, "lokr_w2_b": d}
    return made | alpha(), whole * ALPHA / RANK


def lokr_tucker(shape: tuple[int, ...]) -> Made:
    first, core = noise(2, 2), noise(RANK, RANK, *shape[2:])
    outer, inner = noise(RANK, shape[0] // 2), noise(RANK, shape[1] // 2)
    whole = np.empty(shape, np.float32)
    for place in np.ndindex(*shape[2:]):
        second = outer.numpy().T @ core.numpy()[(..., *place)] @ inner.numpy()
        whole[(..., *place)] = kron(first.numpy(), second)
    made = {"lokr_w1": first, "lokr_t2": core, "lokr_w2_a": outer, "lokr_w2_b": inner}
    return made | alpha(), whole * ALPHA / RANK


def lora(shape: tuple[int, ...]) -> Made:
    down, up = noise(RANK, *shape[1:]), noise(shape[0], RANK, *(1 for _ in shape[2:]))
    whole = up.flatten(1).numpy() @ down.flatten(1).numpy() * ALPHA / RANK
    made = {"lora_down.weight": down, "lora_up.weight": up}
    return made | alpha(), whole.reshape(shape)


def locon(shape: tuple[int, ...]) -> Made:
    """LoRA of a convolution in three parts, the window in the middle."""
    down, middle = noise(RANK, shape[1], 1, 1), noise(RANK, RANK, *shape[2:])
    up = noise(shape[0], RANK, 1, 1)
    whole = np.empty(shape, np.float32)
    for place in np.ndindex(*shape[2:]):
        within = middle.numpy()[(..., *place)]
        whole[(..., *place)] = up.flatten(1).numpy() @ within @ down.flatten(1).numpy()
    made = {"lora_down.weight": down, "lora_mid.weight": middle, "lora_up.weight": up}
    return made | alpha(), whole * ALPHA / RANK


def full(shape: tuple[int, ...]) -> Made:
    whole = noise(*shape)
    return {"diff": whole}, whole.numpy()


METHODS: dict[str, tuple[Callable[[tuple[int, ...]], Made], tuple[str, ...]]] = {
    "LoRA": (lora, LAYERS),
    "LoCon": (locon, (CONV, STRIDED)),
    "LoHa": (loha, LAYERS),
    "LoHa, Tucker": (loha_tucker, (CONV, STRIDED)),
    "LoKr": (lokr, LAYERS),
    "LoKr, low": (lokr_low, LAYERS),
    "LoKr, Tucker": (lokr_tucker, (CONV, STRIDED)),
    "full": (full, LAYERS),
}


def shape_of(name: str) -> tuple[int, ...]:
    return tuple(unet().get_submodule(name).weight.shape)


def file_of(path: Path, method: str, prefix: str = "lora_unet_") -> tuple[Path, dict[str, Any]]:
    """A file, and what it adds to the weights of each layer."""
    make, layers = METHODS[method]
    tensors: Tensors = {}
    added: Tensors = {}
    for name in layers:
        parts, whole = make(shape_of(name))
        tensors |= {f"{prefix}{name.replace('.', '_')}.{kind}": one for kind, one in parts.items()}
        added[name] = torch.from_numpy(np.asarray(whole, np.float32))
    return written(path, tensors), added


def by_hand(model: DiffusionModel, changed: dict[str, Any]) -> Any:
    """The picture of other weights."""
    draw(model)
    before = {name: one.clone() for name, one in unet().state_dict().items()}
    with torch.no_grad():
        for name, weight in changed.items():
            unet().get_submodule(name).weight.copy_(weight)
    picture = draw(model)
    unet().load_state_dict(before)
    return picture


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("weight", [1.0, -0.5])
def test_every_method_does_what_its_formula_says(
    tmp_path: Path, method: str, weight: float
) -> None:
    model = model_of("sd1")
    path, added = file_of(tmp_path / "fox.safetensors", method)
    changed = {
        name: unet().get_submodule(name).weight.detach() + weight * whole
        for name, whole in added.items()
    }
    before = {name: one.clone() for name, one in unet().state_dict().items()}
    plain = draw(model)
    worn = draw(model, path, weight)
    assert apart(worn, by_hand(model, changed)) <= 1
    assert apart(worn, plain) > 1
    assert np.array_equal(draw(model), plain)
    for name, one in unet().state_dict().items():
        assert torch.equal(one, before[name])


NORMS = ("down_blocks.0.resnets.0.norm1", "conv_norm_out", f"{BLOCK}.norm1", f"{BLOCK}.norm3")


@pytest.mark.parametrize(("weighs", "shifts"), [("diff", "diff_b"), ("w_norm", "b_norm")])
@pytest.mark.parametrize("weight", [1.0, -0.5])
def test_weights_and_biases_of_norms_change_too(
    tmp_path: Path, weighs: str, shifts: str, weight: float
) -> None:
    """As kohya's and LyCORIS' full training has them; a bias alone is one, of any layer."""
    model = model_of("sd1")
    before = {name: one.clone() for name, one in unet().state_dict().items()}
    tensors, changed = {}, {}
    for name in NORMS:
        flat = f"lora_unet_{name.replace('.', '_')}"
        for kind, own in ((weighs, "weight"), (shifts, "bias")):
            key = f"{name}.{own}"
            tensors[f"{flat}.{kind}"] = noise(*before[key].shape)
            changed[key] = before[key] + weight * tensors[f"{flat}.{kind}"]
    for name in (CONV, STRIDED, POINT):
        key = f"{name}.bias"
        tensors[f"lora_unet_{name.replace('.', '_')}.diff_b"] = noise(*before[key].shape)
        changed[key] = before[key] + weight * noise(*before[key].shape)
    plain = draw(model)
    worn = draw(model, written(tmp_path / "fox.safetensors", tensors), weight)
    unet().load_state_dict({**before, **changed})
    other = draw(model)
    unet().load_state_dict(before)
    assert apart(worn, other) <= 1
    assert apart(worn, plain) > 1
    assert np.array_equal(draw(model), plain)


def test_norms_of_transformers_change_too(tmp_path: Path) -> None:
    model = model_of("flux")
    transformer = model._first.transformer
    name = "transformer_blocks.0.attn.norm_q"
    before = {key: one.clone() for key, one in transformer.state_dict().items()}
    added = noise(*before[f"{name}.weight"].shape)
    path = written(tmp_path / "fox.safetensors", {f"transformer.{name}.diff": added})
    plain, worn = draw(model), draw(model, path)
    transformer.load_state_dict({**before, f"{name}.weight": before[f"{name}.weight"] + added})
    other = draw(model)
    transformer.load_state_dict(before)
    assert apart(worn, other) <= 1
    assert apart(worn, plain) > 1


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"diff": noise(3)}, "norm1 is 3, and the model's layer .*norm1 is 8"),
        ({"diff_b": noise(3)}, "the bias of .*norm1 is 3, the model's 8"),
        (
            {"lora_up.weight": noise(8, 2), "lora_down.weight": noise(2, 8)},
            "norm1 is a norm of the model's, which takes a full difference alone, no LoRA",
        ),
    ],
)
def test_what_does_not_fit_a_norm_is_told(tmp_path: Path, tensors: Tensors, reason: str) -> None:
    flat = f"lora_unet_{BLOCK.replace('.', '_')}_norm1"
    named = {f"{flat}.{kind}": one for kind, one in tensors.items()}
    with pytest.raises(WeightsRejected, match=reason):
        draw(model_of("sd1"), written(tmp_path / "fox.safetensors", named))


def by_outputs(weight: Any) -> tuple[str, Any, Any]:
    lengths = noise(weight.shape[0]).abs() + 0.5
    norm = weight.flatten(1).norm(dim=1)
    shape = (-1, *(1 for _ in weight.shape[1:]))
    return "dora_scale", lengths.reshape(shape), weight * (lengths / norm).reshape(shape)


def by_inputs(weight: Any) -> tuple[str, Any, Any]:
    lengths = noise(weight.shape[1]).abs() + 0.5
    norm = weight.transpose(0, 1).flatten(1).norm(dim=1)
    shape = (1, -1, *(1 for _ in weight.shape[2:]))
    return "dora_scale", lengths.reshape(shape), weight * (lengths / norm).reshape(shape)


def by_peft(weight: Any) -> tuple[str, Any, Any]:
    _, lengths, whole = by_outputs(weight)
    shape = (1, -1, 1, 1) if weight.ndim == 4 else (-1,)
    return "lora_magnitude_vector.weight", lengths.reshape(shape), whole


MEASURED = [
    *((method, by) for method in ("LoRA", "LoHa", "LoKr") for by in (by_outputs, by_inputs)),
    ("LoRA", by_peft),
]


@pytest.mark.parametrize(("method", "measure"), MEASURED)
@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_dora_gives_every_row_the_length_that_was_learnt(
    tmp_path: Path, method: str, measure: Callable[[Any], tuple[str, Any, Any]], weight: float
) -> None:
    model = model_of("sd1")
    make, layers = METHODS[method]
    tensors: Tensors = {}
    changed: Tensors = {}
    for name in layers:
        parts, added = make(shape_of(name))
        own = unet().get_submodule(name).weight.detach()
        kind, lengths, whole = measure(own + torch.from_numpy(added.astype(np.float32)))
        flat = f"lora_unet_{name.replace('.', '_')}"
        tensors |= {f"{flat}.{one}": part for one, part in parts.items()}
        tensors[f"{flat}.{kind}"] = lengths
        changed[name] = own + weight * (whole - own)
    path = written(tmp_path / "fox.safetensors", tensors)
    plain = draw(model)
    worn = draw(model, path, weight)
    assert apart(worn, by_hand(model, changed)) <= 1
    assert apart(worn, plain) > 1
    assert np.array_equal(draw(model), plain)


@pytest.mark.parametrize("rank_stable", [False, True])
def test_the_header_s_alpha_counts(tmp_path: Path, rank_stable: bool) -> None:
    model, change = model_of("flux"), change_of("flux")
    tensors = adapter_files.peft(change)
    layer = "single_transformer_blocks.0.proj_out"
    said = {
        "transformer.lora_alpha": 4.0,
        "transformer.alpha_pattern": {layer: 1.0},
        "transformer.use_rslora": rank_stable,
    }
    header = {"lora_adapter_metadata": json.dumps(said)}
    stated = written(tmp_path / "stated.safetensors", tensors, header)
    divisor = RANK**0.5 if rank_stable else RANK
    scaled = {
        name: one * ((1.0 if layer in name else 4.0) / divisor)
        if name.startswith("transformer.") and ".lora_B." in name
        else one
        for name, one in tensors.items()
    }
    plain = written(tmp_path / "plain.safetensors", tensors)
    same = written(tmp_path / "same.safetensors", scaled)
    assert apart(draw(model, stated), draw(model, same)) <= 1
    assert apart(draw(model, stated), draw(model, plain)) > 1


def by_diffusers(kind: str, tensors: dict[str, Any]) -> Any:
    """The picture as diffusers draws it with the adapter."""
    model = model_of(kind)
    pipeline = model._first
    draw(model)
    model._forget_words()
    pipeline.load_lora_weights(tensors)
    try:
        return draw(model)
    finally:
        pipeline.unload_lora_weights()
        model._forget_words()


@pytest.mark.parametrize(
    ("kind", "write"),
    [
        ("sd1", adapter_files.peft),
        ("sdxl", adapter_files.peft),
        ("sd3", adapter_files.peft),
        ("flux, attention", adapter_files.xlabs),
        ("flux, attention", adapter_files.peft),
        ("z-image", adapter_files.kohya),
        ("qwen-image", adapter_files.kohya),
        ("krea2", adapter_files.ai_toolkit),
        ("flux2", adapter_files.peft),
    ],
)
def test_diffusers_draws_the_same(
    tmp_path: Path, kind: str, write: Callable[[Any], dict[str, Any]]
) -> None:
    pytest.importorskip("peft", reason="peft comes with the extra [dev]")
    change = change_of(kind)
    if kind == "sd3":  # diffusers leaves out the adapters of T5
        texts = {one: pair for one, pair in change.texts.items() if one[0] != "text_encoder_3"}
        change = replace(change, texts=texts)
    tensors = write(change)
    path = written(tmp_path / "fox.safetensors", tensors)
    worn = draw(model_of(kind), path)
    assert (
        apart(worn, by_diffusers(kind, {name: one.clone() for name, one in tensors.items()})) <= 1
    )


@pytest.mark.parametrize(
    ("method", "kind", "shape", "reason"),
    [
        ("LoHa", "hada_w1_b", (3, 16), "its ranks differ in lora_unet_.*hada_w1_b 3 x 16"),
        ("LoHa", "hada_w1_a", (9, 2), "its ranks differ in lora_unet_"),
        ("LoKr", "lokr_w1", (3, 2), "attn2_to_k is 12 x 16, and the model's layer .* is 8 x 16"),
        ("LoKr, low", "lokr_w2_b", (3, 8), "its ranks differ in lora_unet_"),
        ("full", "diff", (8, 17), "attn2_to_k is 8 x 17, and the model's layer"),
    ],
)
def test_what_has_another_shape_is_named(
    tmp_path: Path, method: str, kind: str, shape: tuple[int, ...], reason: str
) -> None:
    make, _ = METHODS[method]
    parts, _ = make(shape_of(LINEAR))
    flat = f"lora_unet_{LINEAR.replace('.', '_')}"
    tensors = {f"{flat}.{one}": part for one, part in (parts | {kind: torch.ones(shape)}).items()}
    path = written(tmp_path / "fox.safetensors", tensors)
    model = model_of("sd1")
    plain = draw(model)
    with pytest.raises(WeightsRejected, match=reason):
        draw(model, path)
    assert np.array_equal(draw(model), plain)


def test_a_fused_layer_of_another_width_is_named(tmp_path: Path) -> None:
    flat = "lora_unet_double_blocks_0_img_attn_qkv"
    tensors = {f"{flat}.lora_down.weight": noise(2, 16), f"{flat}.lora_up.weight": noise(50, 2)}
    path = written(tmp_path / "fox.safetensors", tensors)
    with pytest.raises(WeightsRejected, match=r"50 rows where those of .*to_q and beside are 48"):
        draw(model_of("flux"), path)


def test_lokr_of_a_fused_layer_is_its_rows(tmp_path: Path) -> None:
    first, second = noise(3, 2), noise(16, 8)
    whole = torch.from_numpy(kron(first.numpy(), second.numpy()))
    fused = "lora_unet_double_blocks_0_img_attn_qkv"
    one = written(
        tmp_path / "a.safetensors", {f"{fused}.lokr_w1": first, f"{fused}.lokr_w2": second}
    )
    split = {
        f"transformer.transformer_blocks.0.attn.to_{side}.diff": rows
        for side, rows in zip("qkv", whole.chunk(3), strict=True)
    }
    other = written(tmp_path / "b.safetensors", split)
    model = model_of("flux")
    assert apart(draw(model, one), draw(model, other)) <= 1
    assert apart(draw(model, one), draw(model)) > 0


def test_dora_needs_weights_that_can_be_read(tmp_path: Path) -> None:
    parts, _ = lora((8, 16))
    flat = f"lora_unet_{LINEAR.replace('.', '_')}"
    tensors = {f"{flat}.{one}": part for one, part in parts.items()}
    tensors[f"{flat}.dora_scale"] = torch.ones(8, 1)
    path = written(tmp_path / "fox.safetensors", tensors)
    pipeline = model_of("sd1")._first
    layer = pipeline.unet.get_submodule(LINEAR)
    weight = layer.weight
    layer.weight = torch.nn.Parameter(weight.to("meta"))
    try:
        with pytest.raises(InvalidOption, match="cannot be put on packed or moving weights"):
            put_on(pipeline, [Worn(path, "fox", 1.0)])
    finally:
        layer.weight = weight


@st.composite
def spoiled(draw_one: st.DrawFn) -> Tensors:
    """The tensors of one layer, of any shapes."""
    make, _ = METHODS[draw_one(st.sampled_from(tuple(METHODS)))]
    name = draw_one(
        st.sampled_from((LINEAR, CONV) if make not in (locon, loha_tucker) else (CONV,))
    )
    parts, _ = make(shape_of(name) if make is not lokr_tucker else shape_of(CONV))
    extra = {"dora_scale": noise(8, 1), "lora_up.bias": noise(8), "diff_b": noise(8)}
    parts |= {one: extra[one] for one in draw_one(st.sets(st.sampled_from(sorted(extra))))}
    for kind in draw_one(st.sets(st.sampled_from(sorted(parts)), max_size=3)):
        shape = draw_one(st.lists(st.integers(0, 9), max_size=5))
        parts[kind] = torch.ones(shape)
    return {f"lora_unet_{name.replace('.', '_')}.{kind}": one for kind, one in parts.items()}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tensors=spoiled())
def test_any_shapes_are_worn_or_named(tmp_path: Path, tensors: Tensors) -> None:
    path = written(tmp_path / "fox.safetensors", tensors)
    pipeline = model_of("sd1")._first
    wearing, refused = None, None
    try:
        wearing = put_on(pipeline, [Worn(path, "fox", 1.0)])
    except WeightsRejected as error:
        refused = str(error)
    assert refused is None or "fox" in refused
    layers = [layer for layer in pipeline.unet.modules() if layer._forward_hooks]
    assert len(layers) == (wearing is not None)
    if wearing is not None:
        layer = pipeline.unet.get_submodule(LINEAR)
        layer(torch.ones(1, 16))
        pipeline.unet.get_submodule(CONV)(torch.ones(1, 8, 4, 4))
        wearing.take_off()


def test_weights_that_lie_in_eight_bits_wear_it_too(tmp_path: Path) -> None:
    path, added = file_of(tmp_path / "fox.safetensors", "LoHa")
    packed = copy.deepcopy(unet())
    packed.enable_layerwise_casting(torch.float8_e4m3fn, torch.float32)
    layer = packed.get_submodule(LINEAR)
    features = noise(3, 16)
    with torch.no_grad():
        plain = layer(features)
        wearing = put_on(
            type("Pipeline", (), {"components": {"unet": packed}})(), [Worn(path, "fox", 1.0)]
        )
        worn = layer(features)
        assert layer.weight.dtype is torch.float8_e4m3fn
        assert torch.allclose(worn - plain, features @ added[LINEAR].T, atol=1e-5)
        wearing.take_off()
        assert torch.equal(layer(features), plain)


def test_half_numbers_stay_half(tmp_path: Path) -> None:
    path, _ = file_of(tmp_path / "fox.safetensors", "LoKr")
    unets = copy.deepcopy(unet()).half()
    pipeline = type("Pipeline", (), {"components": {"unet": unets}})()
    wearing = put_on(pipeline, [Worn(path, "fox", 1.0)])
    layer = unets.get_submodule(LINEAR)
    assert layer(torch.ones(1, 16).half()).dtype is torch.float16
    wearing.take_off()
    assert not layer._forward_hooks
