"""Adapters change what they say they change, leave nothing behind, and leave nothing out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.domain.errors import InvalidOption, WeightsRejected
from limner.domain.recipe import AdapterRef, Task
from limner.families.diffusion.known.facts import facts_of
from limner.families.family import Order, Pixels

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import safetensors.torch  # noqa: E402 - it needs what the lines above ask for
import torch  # noqa: E402

from limner.families.diffusion.drawing.model import DiffusionModel  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402
from tests.families.diffusion.drawing.test_driver import Model, Witness, order_of  # noqa: E402

LAYERS = ("attn1.to_q", "attn2.to_k", "attn2.to_out.0")
BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
RANK = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return tiny.save(tiny.sd1(), tmp_path_factory.mktemp("worn") / "sd1")


@pytest.fixture
def model(folder: Path) -> DiffusionModel:
    return Model(facts_of("sd1", "base"), folder).load()


def unet(model: DiffusionModel) -> Any:
    return model._first.unet


def matrices(model: DiffusionModel) -> dict[str, tuple[Any, Any]]:
    """Down and up of each layer, from a seed."""
    generator = torch.Generator().manual_seed(3)
    made = {}
    for layer in LAYERS:
        name = f"{BLOCK}.{layer}"
        outputs, inputs = unet(model).get_submodule(name).weight.shape
        made[name] = (
            torch.randn(RANK, inputs, generator=generator),
            torch.randn(outputs, RANK, generator=generator),
        )
    return made


def kohya(layers: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, (down, up) in layers.items():
        flat = "lora_unet_" + name.replace(".", "_")
        made |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up}
        made[f"{flat}.alpha"] = torch.tensor(float(RANK))
    return made


def peft(layers: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    return {
        f"unet.{name}.lora_{side}.weight": tensor.contiguous()
        for name, pair in layers.items()
        for side, tensor in zip("AB", pair, strict=True)
    }


def old(layers: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    return {
        f"unet.{name}.lora.{side}.weight": tensor.contiguous()
        for name, pair in layers.items()
        for side, tensor in zip(("down", "up"), pair, strict=True)
    }


WRITERS = {"kohya": kohya, "PEFT": peft, "diffusers": old}


def written(path: Path, tensors: Mapping[str, Any]) -> Path:
    safetensors.torch.save_file({name: one.contiguous() for name, one in tensors.items()}, path)
    return path


def order(*worn: tuple[Path, float]) -> Order:
    refs = tuple(
        AdapterRef(name=path.stem, sha256=f"{number}" * 64, weight=weight)
        for number, (path, weight) in enumerate(worn)
    )
    plain = order_of(Task.TEXT_TO_IMAGE, adapters=refs)
    parts = {ref.sha256: {path.name: path} for ref, (path, _) in zip(refs, worn, strict=True)}
    return Order(plain.recipe, plain.inputs, parts=parts)


def draw(model: DiffusionModel, *worn: tuple[Path, float]) -> Pixels:
    return model.perform([order(*worn)], Witness().watch)[0]


def changed(model: DiffusionModel, weight: float) -> Pixels:
    """The picture of weights that were changed by hand."""
    draw(model)  # it wears nothing now
    before = {name: one.clone() for name, one in unet(model).state_dict().items()}
    with torch.no_grad():
        for name, (down, up) in matrices(model).items():
            unet(model).get_submodule(name).weight += weight * (up @ down)
    picture = draw(model)
    unet(model).load_state_dict(before)
    return picture


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("weight", [1.0, 0.5, -0.5])
def test_every_layout_does_what_its_formula_says(
    model: DiffusionModel, tmp_path: Path, layout: str, weight: float
) -> None:
    path = written(tmp_path / "fox.safetensors", WRITERS[layout](matrices(model)))
    plain = draw(model)
    worn = draw(model, (path, weight))
    assert np.abs(worn.astype(int) - changed(model, weight).astype(int)).max() <= 1
    assert not np.array_equal(worn, plain)


def test_without_it_everything_is_as_before(model: DiffusionModel, tmp_path: Path) -> None:
    path = written(tmp_path / "fox.safetensors", kohya(matrices(model)))
    plain = draw(model)
    worn = draw(model, (path, 1.0))
    assert np.array_equal(draw(model), plain)
    assert np.array_equal(draw(model, (path, 0.0)), plain)
    assert np.array_equal(draw(model, (path, 1.0)), worn)


def test_two_adapters_add_up_in_any_order(model: DiffusionModel, tmp_path: Path) -> None:
    layers = matrices(model)
    one = written(tmp_path / "one.safetensors", kohya(layers))
    turned = {name: (down.flip(0), up.flip(1)) for name, (down, up) in layers.items()}
    other = written(tmp_path / "two.safetensors", peft(turned))
    both = draw(model, (one, 0.6), (other, 0.4))
    swapped = draw(model, (other, 0.4), (one, 0.6))
    assert np.abs(both.astype(int) - swapped.astype(int)).max() <= 1
    # The second is the first with its ranks in another order: together they are the whole.
    assert np.abs(both.astype(int) - changed(model, 1.0).astype(int)).max() <= 1


def spoiled(kind: str, tensors: dict[str, Any]) -> dict[str, Any]:
    first = next(iter(tensors))
    if kind == "an unknown layer":
        name = "lora_unet_down_blocks_7_attentions_0_proj_in"
        down, up = torch.ones(2, 8), torch.ones(8, 2)
        return {**tensors, f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
    if kind == "another shape":
        return {**tensors, first: torch.ones(2, 3)}
    if kind == "another rank":
        return {**tensors, first: torch.ones(3, 8)}
    if kind == "a side missing":
        return {name: tensor for name, tensor in tensors.items() if name != first}
    if kind == "more than an adapter":
        return {**tensors, "conv_in.weight": torch.ones(2)}
    return {**tensors, first: torch.full_like(tensors[first], float("nan"))}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("an unknown layer", "1 of its 4 layers are none of the model's with weights: lora_unet_"),
        ("another shape", "attn1_to_q is 8 x 3, and the model's layer down_blocks.* is 8 x 8"),
        ("another rank", "its ranks differ in lora_unet_.*attn1_to_q, whose sides are 3 x 8 and 8"),
        (
            "a side missing",
            "not whole: of the layer lora_unet_.*attn1_to_q it holds only alpha, up",
        ),
        (
            "more than an adapter",
            "holds 1 tensors that are no part of an adapter .*: conv_in.weight",
        ),
        ("no numbers", "numbers that are none"),
    ],
)
def test_what_does_not_fit_is_named_and_does_no_harm(
    model: DiffusionModel, tmp_path: Path, kind: str, reason: str
) -> None:
    plain = draw(model)
    path = written(tmp_path / "fox.safetensors", spoiled(kind, kohya(matrices(model))))
    with pytest.raises(WeightsRejected, match=reason):
        draw(model, (path, 1.0))
    assert np.array_equal(draw(model), plain)


def test_a_file_cut_short_is_told(model: DiffusionModel, tmp_path: Path) -> None:
    path = written(tmp_path / "fox.safetensors", kohya(matrices(model)))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 50)
    with pytest.raises(WeightsRejected, match="not copied whole"):
        draw(model, (path, 1.0))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (
            {"bundle_emb.fox.string_to_param.*": torch.ones(2, 8)},
            r"kind LoRA with textual inversions, which is not put on\. .* are not read",
        ),
        (
            {
                "double_blocks.0.img_mod.lin.lora_A.weight": torch.ones(2, 3072),
                "double_blocks.0.img_attn.norm.key_norm.scale": torch.ones(128),
            },
            r"kind control LoRA, which is not put on\. .* FLUX\.1 Canny \[dev\]",
        ),
        (
            {f"lora_unet_fox.{one}.weight": torch.ones(2, 2) for one in ("a1", "a2", "b1", "b2")},
            "kind GLoRA, which is not put on",
        ),
    ],
    ids=["textual inversions", "control", "GLoRA"],
)
def test_what_is_no_plain_adapter_says_so(
    model: DiffusionModel, tmp_path: Path, more: dict[str, Any], reason: str
) -> None:
    alone = "bundle_emb.fox.string_to_param.*" not in more
    tensors = more if alone else {**kohya(matrices(model)), **more}
    with pytest.raises(InvalidOption, match=reason):
        draw(model, (written(tmp_path / "fox.safetensors", tensors), 1.0))


def test_kinds_that_are_not_put_on_are_told(model: DiffusionModel, tmp_path: Path) -> None:
    name = f"lora_unet_{BLOCK.replace('.', '_')}_attn1_to_q.oft_blocks"
    path = written(tmp_path / "fox.safetensors", {name: torch.ones(2, 4, 4)})
    with pytest.raises(InvalidOption, match="of the kind OFT, which is not put on"):
        draw(model, (path, 1.0))


def test_words_are_read_again_only_where_their_readers_wear_something(
    model: DiffusionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []
    encoder = model._first.text_encoder
    encoder.register_forward_hook(lambda *_: read.append(1))
    drawing = written(tmp_path / "drawing.safetensors", kohya(matrices(model)))
    name = next(name for name, one in encoder.named_modules() if isinstance(one, torch.nn.Linear))
    width = encoder.get_submodule(name).weight.shape
    pair = {f"text_encoder.{name}": (torch.ones(2, width[1]), torch.ones(width[0], 2))}
    reading = written(
        tmp_path / "reading.safetensors",
        {
            f"{layer}.lora_{side}.weight": tensor
            for layer, both in pair.items()
            for side, tensor in zip("AB", both, strict=True)
        },
    )
    draw(model)
    first = len(read)
    assert first
    draw(model, (drawing, 1.0))
    draw(model)
    assert len(read) == first
    draw(model, (reading, 1.0))
    assert len(read) == 2 * first
    draw(model, (drawing, 1.0))
    assert len(read) == 3 * first
    draw(model)
    assert len(read) == 3 * first
