"""Whoever names the layers, the same change draws the same picture."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.domain.errors import WeightsRejected
from limner.domain.recipe import AdapterRef, Task
from limner.families.diffusion.adapters.layouts import unet_names
from limner.families.diffusion.known.facts import facts_of
from limner.families.family import Order, Pixels

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import safetensors.torch  # noqa: E402 - it needs what the lines above ask for
import torch  # noqa: E402

from limner.families.diffusion.drawing.model import DiffusionModel  # noqa: E402
from tests.families.diffusion import adapter_files, tiny  # noqa: E402
from tests.families.diffusion.adapter_files import KINDS, LAYOUTS, XLABS, Change  # noqa: E402
from tests.families.diffusion.drawing.test_driver import Model, Witness, order_of  # noqa: E402

CASES = [
    (kind, layout) for kind in KINDS for layout in (XLABS if kind == "flux, attention" else LAYOUTS)
]


@cache
def model_of(kind: str) -> DiffusionModel:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    found = KINDS[kind]
    pipeline = getattr(tiny, found.make)()
    return Model(facts_of(found.family, found.variant), pipeline=pipeline).load()


@cache
def change_of(kind: str) -> Change:
    return adapter_files.change_of(KINDS[kind], model_of(kind)._first)


def written(path: Path, tensors: Mapping[str, Any], metadata: dict[str, str] | None = None) -> Path:
    whole = {name: one.clone().contiguous() for name, one in tensors.items()}
    safetensors.torch.save_file(whole, path, metadata)
    return path


def draw(
    model: DiffusionModel,
    path: Path | None = None,
    weight: float = 1.0,
    text_weight: float | None = None,
) -> Pixels:
    if path is None:
        return model.perform([order_of(Task.TEXT_TO_IMAGE)], Witness().watch)[0]
    digest = f"{abs(hash(path)):064x}"[-64:]
    ref = AdapterRef(name=path.stem, sha256=digest, weight=weight, text_weight=text_weight)
    plain = order_of(Task.TEXT_TO_IMAGE, adapters=(ref,))
    parts = {ref.sha256: {path.name: path}}
    return model.perform([Order(plain.recipe, plain.inputs, parts=parts)], Witness().watch)[0]


def apart(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


def by_hand(
    model: DiffusionModel, change: Change, weight: float = 1.0, text_weight: float = 1.0
) -> Pixels:
    """The picture of weights that were changed by the formula."""
    draw(model)  # it wears nothing now
    pipeline, kind = model._first, change.kind
    changed = [
        (adapter_files.layer_of(pipeline, kind.denoiser, name), pair, weight)
        for published, names in kind.names.items()
        for name, pair in zip(names, change.pairs[published], strict=True)
    ] + [
        (adapter_files.layer_of(pipeline, part, name), pair, text_weight)
        for (part, name), pair in change.texts.items()
    ]
    before = [layer.weight.detach().clone() for layer, _, _ in changed]
    with torch.no_grad():
        for layer, (down, up), strength in changed:
            delta = (up.flatten(1) @ down.flatten(1)).reshape(layer.weight.shape)
            layer.weight += strength * delta
    model._forget_words()
    picture = draw(model)
    with torch.no_grad():
        for (layer, _, _), weights in zip(changed, before, strict=True):
            layer.weight.copy_(weights)
    model._forget_words()
    return picture


@pytest.mark.parametrize("kind", KINDS)
def test_it_does_what_its_formula_says(kind: str, tmp_path: Path) -> None:
    model, change = model_of(kind), change_of(kind)
    plain = draw(model)
    worn = draw(model, written(tmp_path / "fox.safetensors", adapter_files.peft(change)), 0.5)
    assert apart(worn, by_hand(model, change, 0.5, 0.5)) <= 1
    assert apart(worn, plain) > 1
    assert np.array_equal(draw(model), plain)


@pytest.mark.parametrize(("kind", "layout"), CASES)
def test_every_layout_draws_the_same(kind: str, layout: str, tmp_path: Path) -> None:
    model, change = model_of(kind), change_of(kind)
    write: Callable[[Change], dict[str, Any]] = {**LAYOUTS, **XLABS}[layout]
    same = draw(model, written(tmp_path / "peft.safetensors", adapter_files.peft(change)))
    worn = draw(model, written(tmp_path / "fox.safetensors", write(change)))
    assert apart(worn, same) <= 1


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.texts])
def test_text_encoders_have_a_weight_of_their_own(kind: str, tmp_path: Path) -> None:
    model, change = model_of(kind), change_of(kind)
    path = written(tmp_path / "fox.safetensors", adapter_files.kohya_published(change))
    pictures = {
        weights: draw(model, path, *weights) for weights in ((1.0, 0.0), (0.0, 1.0), (1.0, 0.5))
    }
    for (weight, text_weight), picture in pictures.items():
        assert apart(picture, by_hand(model, change, weight, text_weight)) <= 1
    assert apart(pictures[1.0, 0.0], draw(model, path, 1.0)) > 0
    assert apart(pictures[0.0, 1.0], draw(model)) > 0
    assert np.array_equal(draw(model, path, 0.5), draw(model, path, 0.5, 0.5))


@pytest.mark.parametrize(
    ("kind", "other", "share", "made"),
    [
        ("sd1", "flux", "none of its 15 layers is one", "It was made for FLUX.1."),
        ("flux", "sdxl", "none of its 7 layers is one", ""),
        ("sdxl", "sd3", "none of its 8 layers is one", "It was made for SD 3."),
        ("sd3", "flux", "13 of its 15 layers are none", "It was made for FLUX.1."),
    ],
)
def test_an_adapter_for_another_family_is_told(
    kind: str, other: str, share: str, made: str, tmp_path: Path
) -> None:
    model = model_of(kind)
    plain = draw(model)
    stranger = replace(change_of(other), texts={})
    path = written(tmp_path / "fox.safetensors", adapter_files.kohya_published(stranger))
    with pytest.raises(WeightsRejected) as told:
        draw(model, path)
    said = str(told.value)
    assert f"fox does not fit this model: {share} of the model's with weights: lora_unet_" in said
    assert re.search(r" and \d+ more\.", said)
    assert made in said
    assert np.array_equal(draw(model), plain)


def test_the_second_of_two_does_not_fit_and_none_is_put_on(tmp_path: Path) -> None:
    model = model_of("sd1")
    plain = draw(model)
    fits = written(tmp_path / "one.safetensors", adapter_files.peft(change_of("sd1")))
    other = written(tmp_path / "two.safetensors", adapter_files.peft(change_of("sdxl")))
    refs = tuple(
        AdapterRef(name=path.stem, sha256=f"{number}" * 64)
        for number, path in enumerate((fits, other))
    )
    order = order_of(Task.TEXT_TO_IMAGE, adapters=refs)
    parts = {ref.sha256: {"a": path} for ref, path in zip(refs, (fits, other), strict=True)}
    with pytest.raises(WeightsRejected, match="two does not fit this model"):
        model.perform([Order(order.recipe, order.inputs, parts=parts)], Witness().watch)
    assert np.array_equal(draw(model), plain)
    for part in model._first.components.values():
        if isinstance(part, torch.nn.Module):
            assert not any(layer._forward_hooks for layer in part.modules())


def test_a_u_net_s_steps_are_counted_as_stability_counts_them() -> None:
    """The real SDXL: three blocks of two, and where its published checkpoint has their layers."""
    known = {
        "down_blocks.1.attentions.0.proj_in": "input_blocks.4.1.proj_in",
        "down_blocks.2.attentions.1.proj_in": "input_blocks.8.1.proj_in",
        "down_blocks.0.resnets.1.conv1": "input_blocks.2.0.in_layers.2",
        "down_blocks.1.downsamplers.0.conv": "input_blocks.6.0.op",
        "mid_block.attentions.0.proj_in": "middle_block.1.proj_in",
        "up_blocks.0.attentions.2.proj_in": "output_blocks.2.1.proj_in",
        "up_blocks.0.upsamplers.0.conv": "output_blocks.2.2.conv",
        "up_blocks.1.attentions.0.proj_in": "output_blocks.3.1.proj_in",
        "up_blocks.2.resnets.2.conv_shortcut": "output_blocks.8.0.skip_connection",
    }
    counted = ("down_blocks.0.resnets.0", "down_blocks.0.resnets.1")
    named = unet_names([*counted, *known])
    assert {name: original for original, (name,) in named.items() if name in known} == known
