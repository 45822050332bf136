"""Profiles change pixels a little and are taken back to the bit."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from limner.domain.recipe import Task
from limner.families.diffusion.drawing import profiles
from limner.families.diffusion.drawing.extras import extras_of
from limner.families.diffusion.drawing.profiles import Tuning, profiles_of
from limner.families.diffusion.known.facts import architecture_of, facts_of
from limner.families.family import Pixels

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

from limner.families.diffusion.drawing import eight_bits  # noqa: E402
from limner.families.diffusion.drawing.eight_bits import EightBitLinear  # noqa: E402
from limner.families.diffusion.drawing.model import DiffusionModel  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402
from tests.families.diffusion.drawing.test_driver import Model, Witness, order_of  # noqa: E402

KINDS: Mapping[str, tuple[Callable[[], Any], str, str]] = {
    "sd1": (tiny.sd1, "sd1", "base"),
    "sdxl": (tiny.sdxl, "sdxl", "base"),
    "sd3": (tiny.sd3, "sd3", "3.5-medium"),
    "flux1": (tiny.flux, "flux1", "dev"),
    "flux2": (tiny.flux2_klein, "flux2", "klein-base-4b"),
    "chroma": (tiny.chroma, "chroma", "base"),
    "pixart": (tiny.pixart, "pixart", "sigma"),
    "qwen-image": (lambda: tiny.qwen_image(layers=3), "qwen-image", "base"),
    "z-image": (tiny.z_image, "z-image", "base"),
    "sana": (tiny.sana, "sana", "1.6b"),
    "krea2": (tiny.krea2, "krea2", "raw"),
}


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> DiffusionModel:
    make, family, variant = KINDS[request.param]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return Model(facts_of(family, variant), pipeline=make()).load()


def draw(model: DiffusionModel, profile: str, task: Task = Task.TEXT_TO_IMAGE) -> Pixels:
    order = order_of(task, steps=8, extras=(("profile", profile),))
    return model.perform([order], Witness().watch)[0]


def family_of(request: pytest.FixtureRequest) -> str:
    return str(KINDS[request.node.callspec.params["model"]][1])


def test_fast_is_nearly_exact_and_is_taken_back(model: DiffusionModel) -> None:
    exact = draw(model, "exact")
    fast = draw(model, "fast").astype(int)
    assert np.abs(fast - exact).max() <= 12
    assert np.abs(fast - exact).mean() < 1
    assert np.array_equal(draw(model, "fast"), fast)
    assert np.array_equal(draw(model, "exact"), exact)


def test_faster_skips_what_changes_little(
    model: DiffusionModel, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not architecture_of(family_of(request)).first_block_tells:
        return
    monkeypatch.setattr(profiles, "_THRESHOLD", 0.5)  # random weights change much in a step
    exact = draw(model, "exact")
    counted = []
    block = _last_block(model._tuning._denoiser)
    inner = next(one for one in block.modules() if isinstance(one, torch.nn.Linear))
    handle = inner.register_forward_hook(lambda *_: counted.append(1))
    every = draw(model, "fast") is not None and len(counted)
    counted.clear()
    faster = draw(model, "faster")
    handle.remove()
    assert len(counted) < int(every)
    assert faster.shape == exact.shape
    assert np.array_equal(draw(model, "faster"), faster)
    assert np.array_equal(draw(model, "exact"), exact)


def _last_block(denoiser: Any) -> Any:
    for name in ("single_transformer_blocks", "transformer_blocks"):
        blocks = getattr(denoiser, name, None)
        if blocks:
            return blocks[-1]
    raise AssertionError("no blocks")


def test_every_family_says_its_profiles() -> None:
    for _, family, variant in KINDS.values():
        spec = next(one for one in extras_of(facts_of(family, variant)) if one.name == "profile")
        assert spec.kind == "choice"
        assert spec.choices[:2] == ("exact", "fast")
        shared = architecture_of(family)
        quickened = shared.first_block_tells or shared.large_layers
        assert ("faster" in spec.choices) is quickened


def test_faster_without_a_gpu_is_fast_where_no_step_can_be_skipped(
    model: DiffusionModel, request: pytest.FixtureRequest
) -> None:
    family = family_of(request)
    if "faster" in profiles_of(family) and not architecture_of(family).first_block_tells:
        assert np.array_equal(draw(model, "faster"), draw(model, "fast"))


def test_blocks_are_compiled_on_a_gpu_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    pipeline = tiny.flux()
    compiled: list[str] = []
    blocks = [
        one for one in pipeline.transformer.modules() if "TransformerBlock" in type(one).__name__
    ]
    for block in blocks:
        monkeypatch.setattr(block, "compile", lambda **_: compiled.append("block"))
    tuning = Tuning(pipeline, "cuda")
    tuning._compile(True)
    assert len(compiled) == len(blocks)
    tuning._compile(False)
    assert all(block._compiled_call_impl is None for block in blocks)


def test_large_layers_multiply_in_8_bits_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eight_bits, "LEAST", 16)
    monkeypatch.setattr(profiles, "multiplies_fp8", lambda _: True)
    torch.manual_seed(0)
    model = Model(facts_of("flux1", "dev"), pipeline=tiny.flux()).load()
    denoiser = model._tuning._denoiser
    exact = draw(model, "exact")
    narrow = draw(model, "faster")
    layers = [one for one in denoiser.modules() if isinstance(one, EightBitLinear)]
    assert len(layers) >= 8
    assert not any("norm" in name for name, one in denoiser.named_modules() if one in layers)
    assert 0 < np.abs(narrow.astype(int) - exact).mean() < 24
    assert np.array_equal(draw(model, "faster"), narrow)
    assert np.array_equal(draw(model, "exact"), exact)
    assert not any(isinstance(one, EightBitLinear) for one in denoiser.modules())


def test_an_8_bit_layer_is_near_the_one_it_stands_for() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(256, 64)
    with torch.no_grad():
        layer.weight[3] *= 100  # a row of large weights costs the others nothing
    x = torch.randn(2, 5, 256)
    x[1, 4] *= 1000  # nor does a token of large values
    want, found = layer(x), EightBitLinear(layer)(x)
    assert found.shape == want.shape
    assert found.dtype == want.dtype
    others = [column for column in range(64) if column != 3]
    for part in (others, [3]):
        apart = (found - want)[..., part].norm(dim=-1)
        assert float((apart / want[..., others].norm(dim=-1)).min()) > 0
        assert float((apart / x.norm(dim=-1) / layer.weight[part].norm()).max()) < 0.05


@pytest.mark.parametrize(
    ("device", "capability", "does"),
    [
        ("cuda", (9, 0), True),
        ("cuda", (8, 9), True),
        ("cuda", (8, 0), False),
        ("cpu", (9, 0), False),
    ],
)
def test_only_gpus_that_gain_by_it_multiply_in_8_bits(
    monkeypatch: pytest.MonkeyPatch, device: str, capability: tuple[int, int], does: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert profiles.multiplies_fp8(device) is does


def test_attention_is_given_to_a_kernel_told_and_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(profiles, "attention_kernel", lambda _: "_native_math")
    torch.manual_seed(0)
    model = Model(facts_of("flux1", "dev"), pipeline=tiny.flux()).load()
    exact = draw(model, "exact")
    assert model.fitting == ""
    fast = draw(model, "fast")
    assert model.fitting == "attention by native_math"
    assert np.abs(fast.astype(int) - exact).max() <= 12
    assert np.array_equal(draw(model, "exact"), exact)
    assert model.fitting == ""


@pytest.mark.parametrize(("device", "capability"), [("cpu", (9, 0)), ("cuda", (8, 9))])
def test_other_devices_keep_their_own_kernel(
    monkeypatch: pytest.MonkeyPatch, device: str, capability: tuple[int, int]
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert profiles.attention_kernel(device) is None


def test_a_kernel_that_does_not_compute_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def zeros(*shape: int, **_: object) -> torch.Tensor:
        return torch.full(shape, 0.0, dtype=torch.bfloat16)

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch, "zeros", zeros)
    assert profiles.attention_kernel("cuda") is None
