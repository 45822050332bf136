"""Fast paths leave nothing behind, and keep their hands off what they cannot change."""

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.domain.event import Notice
from limner.domain.recipe import AdapterRef, Task
from limner.families.diffusion.companions.reference import ENCODER
from limner.families.diffusion.drawing import profiles
from limner.families.diffusion.known.facts import facts_of
from limner.families.family import Order, Pixels

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import accelerate  # noqa: E402 - it needs what the line above asks for
import safetensors.torch  # noqa: E402
import torch  # noqa: E402
from diffusers.models.attention_dispatch import _AttentionBackendRegistry  # noqa: E402
from diffusers.models.modeling_utils import ModelMixin  # noqa: E402

from limner.families.diffusion.calls.arguments import manner_of  # noqa: E402
from limner.families.diffusion.drawing.model import DiffusionModel  # noqa: E402
from limner.families.diffusion.loading import ways  # noqa: E402
from limner.families.diffusion.planning.demand import Way  # noqa: E402
from limner.families.diffusion.planning.inventory import take_inventory  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402
from tests.families.diffusion.composition import test_references as references  # noqa: E402
from tests.families.diffusion.drawing.test_driver import (  # noqa: E402
    CPU,
    Model,
    Witness,
    order_of,
)

MANY: dict[str, tuple[Callable[[], Any], str, str]] = {
    "sd1": (tiny.sd1, "sd1", "base"),
    "sdxl": (tiny.sdxl, "sdxl", "base"),
    "sd3": (tiny.sd3, "sd3", "3.5-medium"),
    "flux1": (tiny.flux, "flux1", "dev"),
    "flux2-dev": (tiny.flux2, "flux2", "dev"),
    "klein": (tiny.flux2_klein, "flux2", "klein-base-4b"),
    "chroma": (tiny.chroma, "chroma", "base"),
    "pixart": (tiny.pixart, "pixart", "sigma"),
    "qwen-image": (tiny.qwen_image, "qwen-image", "base"),
    "z-image": (tiny.z_image, "z-image", "base"),
    "sana": (tiny.sana, "sana", "1.6b"),
    "krea2": (tiny.krea2, "krea2", "raw"),
}


def draw(model: DiffusionModel, profile: str, order: Order | None = None) -> Pixels:
    plain = order or order_of(Task.TEXT_TO_IMAGE, steps=3)
    recipe = plain.recipe.model_copy(update={"extras": (("profile", profile),)})
    asked = Order(
        recipe, plain.inputs, plain.controls, plain.references, plain.regions, plain.parts
    )
    return model.perform([asked], Witness().watch)[0]


def model_of(name: str) -> DiffusionModel:
    make, family, variant = MANY[name]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return Model(facts_of(family, variant), pipeline=make()).load()


@pytest.mark.parametrize("quantisation", ["half", "fp8"])
@pytest.mark.parametrize("name", MANY)
def test_narrow_weights_draw_and_fast_leaves_them(
    name: str, quantisation: Any, tmp_path: Path
) -> None:
    make, family, variant = MANY[name]
    torch.manual_seed(0)
    folder = tiny.save(make().to(torch.bfloat16), tmp_path / name)
    way = Way("float32", quantisation)
    pipeline = ways.load_way(folder, take_inventory(folder), way, CPU)
    model = DiffusionModel(pipeline, manner_of(facts_of(family, variant), ""), CPU, 1, way)
    exact = draw(model, "exact")
    untouched = not profiles.is_whole(model._tuning._denoiser)
    assert untouched or name == "pixart"  # all of its few layers are spared
    apart = np.abs(draw(model, "fast").astype(int) - exact)
    assert apart.max() <= (0 if untouched else 12)
    assert np.array_equal(draw(model, "exact"), exact)


@pytest.mark.parametrize("name", ["flux1", "sdxl", "klein"])
def test_layers_that_wait_elsewhere_draw_the_same(name: str) -> None:
    exact = draw(model_of(name), "exact")
    waiting = model_of(name)
    for part in waiting._first.components.values():
        if isinstance(part, torch.nn.Module):  # on the CPU, for want of a GPU
            accelerate.cpu_offload(
                part, torch.device("cpu"), offload_buffers=bool(part._parameters)
            )
    assert waiting._first.vae.device.type == "meta"
    assert np.array_equal(draw(waiting, "exact"), exact)
    assert np.array_equal(draw(waiting, "fast"), exact)


@pytest.fixture
def compiling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks are compiled as on a GPU, their code left as it is."""
    plain = ModelMixin.compile_repeated_blocks
    torch._dynamo.reset()
    monkeypatch.setattr(ModelMixin, "compile_repeated_blocks", partial_method(plain))
    monkeypatch.setattr(profiles, "multiplies_fp8", lambda _: False)
    monkeypatch.setattr(profiles, "attention_kernel", lambda _: None)
    yield
    torch._dynamo.reset()


def partial_method(plain: Callable[..., Any]) -> Callable[..., Any]:
    def compiled(self: Any) -> Any:
        return plain(self, backend="eager")

    return compiled


def with_adapter(path: Path, weight: float = 1.0) -> Order:
    ref = AdapterRef(name="a", sha256="a" * 64, weight=weight)
    plain = order_of(Task.TEXT_TO_IMAGE, steps=3, adapters=(ref,))
    return Order(plain.recipe, plain.inputs, parts={ref.sha256: {path.name: path}})


BLOCKS = {
    "flux1": "transformer_blocks.0.ff",
    "klein": "transformer_blocks.0.ff",
    "qwen-image": "transformer_blocks.0.img_mlp",
    "z-image": "layers.0.feed_forward",
    "krea2": "transformer_blocks.0.ff",
}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("first", [True, False], ids=["adapter first", "plain first"])
@pytest.mark.usefixtures("compiling")
def test_compiled_blocks_hear_of_adapters(name: str, first: bool, tmp_path: Path) -> None:
    model = model_of(name)
    layers = [
        (path, layer)
        for path, layer in model._first.transformer.named_modules()
        if isinstance(layer, torch.nn.Linear) and path.startswith(BLOCKS[name])
    ]
    generator = torch.Generator().manual_seed(3)
    path, layer = layers[0]
    made = {
        f"transformer.{path}.lora_A.weight": torch.randn(2, layer.in_features, generator=generator),
        f"transformer.{path}.lora_B.weight": torch.randn(
            layer.out_features, 2, generator=generator
        ),
    }
    file = tmp_path / "one.safetensors"
    safetensors.torch.save_file(made, file)
    orders = {"none": None, "worn": with_adapter(file), "half": with_adapter(file, 0.4)}
    expected = {which: draw(model, "exact", order) for which, order in orders.items()}
    assert not np.array_equal(expected["none"], expected["worn"])
    model._tuning._device = "cuda"
    for which in ("worn", "half", "none") if first else ("none", "worn", "none", "half"):
        drawn = draw(model, "fast", orders[which])
        assert model._tuning._compiled is (which == "none")
        assert np.abs(drawn.astype(int) - expected[which]).max() <= 3


@pytest.mark.parametrize("name", ["sd1", "sdxl"])
def test_what_saw_references_is_taken_off_before_layers_are_joined(
    name: str, tmp_path: Path
) -> None:
    model = model_of(name)
    references.encoder(tmp_path / ENCODER)
    path = references.adapter(model._first.unet, tmp_path / "ip-adapter.safetensors")
    seen = references.referring(order_of(Task.TEXT_TO_IMAGE, steps=3), path, references.ONE)
    plain, looking = draw(model, "exact"), draw(model, "exact", seen)
    for profile, order, expected in (
        ("fast", seen, looking),
        ("fast", None, plain),
        ("exact", None, plain),
        ("exact", seen, looking),
        ("fast", None, plain),
        ("exact", None, plain),
    ):
        apart = np.abs(draw(model, profile, order).astype(int) - expected)
        assert apart.max() <= (0 if profile == "exact" else 8)


def test_a_kernel_is_that_of_one_model_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = _AttentionBackendRegistry._active_backend
    monkeypatch.setattr(profiles, "attention_kernel", lambda _: "_native_math")
    model, other = model_of("flux1"), model_of("sd1")
    draw(model, "fast")
    assert _AttentionBackendRegistry._active_backend == before
    assert model.fitting == "attention by native_math"
    draw(other, "fast")
    assert other.fitting == ""  # its attention has no choice of kernels


def test_what_a_machine_cannot_do_is_left_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "attention_kernel", lambda _: "_native_math")
    monkeypatch.setattr(profiles, "multiplies_fp8", lambda _: False)
    model = model_of("flux1")
    exact = draw(model, "exact")
    kind = type(model._first)
    plain = kind.__call__

    @wraps(plain)
    def failing(self: Any, *given: Any, **named: Any) -> Any:
        if model._tuning._compiled:
            raise RuntimeError("Cannot find a working triton installation.\nMore about it")
        return plain(self, *given, **named)

    monkeypatch.setattr(kind, "__call__", failing)
    monkeypatch.setattr(ModelMixin, "compile_repeated_blocks", lambda _: None)
    model._tuning._device = "cuda"
    witness = Witness()
    order = order_of(Task.TEXT_TO_IMAGE, steps=3, extras=(("profile", "fast"),))
    (drawn,) = model.perform([order], witness.watch)
    assert np.abs(drawn.astype(int) - exact).max() <= 12
    told = [one for one in witness.heard if isinstance(one, Notice)]
    assert [one.code for one in told] == ["slower"]
    assert "(Cannot find a working triton installation.)" in told[0].message
    assert model.fitting == ""
    assert not model._tuning._compiled
    again = Witness()
    model.perform([order], again.watch)
    assert not [one for one in again.heard if isinstance(one, Notice)]
