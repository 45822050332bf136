"""A denoiser in one file draws with the other parts of a folder what the whole folder draws."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.app.plan import plan_for
from limner.app.settings import Settings
from limner.app.wiring import open_desk
from limner.domain.card import Installed
from limner.domain.errors import ModelUnavailable, WeightsRejected
from limner.domain.recipe import Task
from limner.families.diffusion import family
from limner.families.diffusion.family import DiffusionFamily
from limner.families.diffusion.loading.lending import borrowed
from limner.families.diffusion.loading.numbers import converters
from limner.families.diffusion.planning.demand import Machine
from limner.families.diffusion.recognition.files import SINGLE
from limner.families.diffusion.recognition.finding import Kind
from limner.families.diffusion.recognition.layouts import recognise_file
from limner.families.family import Pixels, Placement
from tests.families.diffusion import files, published

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

from limner.families.diffusion.loading import ways  # noqa: E402
from limner.families.diffusion.loading.pipelines import parts_of  # noqa: E402
from tests.families.diffusion import original, tiny  # noqa: E402
from tests.families.diffusion import original_transformers as named  # noqa: E402
from tests.families.diffusion.drawing.test_driver import Witness, order_of  # noqa: E402

Naming = Callable[[Any], dict[str, Any]]
COMFY = "model.diffusion_model."


def as_is(state: Any) -> dict[str, Any]:
    return dict(state)


def comfy(state: Any) -> dict[str, Any]:
    return original.under(COMFY, dict(state))


@dataclass(frozen=True)
class Case:
    """A tiny model, the family that knows it, and what its tensors are called in a file."""

    make: Callable[[], Any]
    family: DiffusionFamily
    naming: Naming


CASES = {
    "sd3": Case(
        lambda: tiny.sd3(layers=2), family.STABLE_DIFFUSION_3, partial(named.sd3, layers=2)
    ),
    "flux1, diffusers": Case(tiny.flux, family.FLUX_1, as_is),
    "flux1, prefixed": Case(tiny.flux, family.FLUX_1, comfy),
    "flux2": Case(tiny.flux2, family.FLUX_2, named.flux2),
    "flux2, diffusers": Case(tiny.flux2, family.FLUX_2, as_is),
    "chroma": Case(tiny.chroma, family.CHROMA, as_is),
    "krea2": Case(tiny.krea2, family.KREA_2, named.krea2),
    "qwen-image": Case(tiny.qwen_image, family.QWEN_IMAGE, comfy),
    "z-image": Case(
        tiny.z_image, family.Z_IMAGE, lambda state: original.under(COMFY, named.z_image(state))
    ),
    "sdxl": Case(
        tiny.sdxl, family.STABLE_DIFFUSION_XL, lambda state: comfy(original.unet(state, layers=1))
    ),
}


@pytest.fixture(autouse=True)
def one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that computes in float32, whatever weights are stored in."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    here = Machine("cpu", "this processor", 2**36, 2**36)
    monkeypatch.setattr(ways, "machine_here", lambda: here)


def denoiser(pipeline: Any) -> Any:
    parts = pipeline.components
    return parts.get("transformer") or parts["unet"]


def drawn(one: DiffusionFamily, path: Path, *folders: Path) -> Pixels:
    """What a family draws with the model at a path, its weights laid out as in memory."""
    card = one.recognise(path, lambda _: "a" * 64)
    assert card is not None
    found = {file.name: path / file.name if path.is_dir() else path for file in card.files}
    model: Any = one.load(Installed(card, found, lambda: folders), Placement(threads=1))
    for part in parts_of(model._first).values():
        for tensor in (*part.parameters(), *part.buffers()):
            tensor.data = tensor.data.clone()
    (picture,) = model.perform([order_of(Task.TEXT_TO_IMAGE)], Witness().watch)
    return np.asarray(picture)


@pytest.mark.parametrize("name", CASES)
def test_a_denoiser_draws_with_what_a_folder_lends(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    pipeline = case.make()
    folder = tiny.save(pipeline, tmp_path / "whole")
    state = denoiser(pipeline).state_dict()
    path = original.save(tmp_path / "alone.safetensors", case.naming(state))
    other = tiny.save(tiny.sd1(), tmp_path / "other")
    expected = drawn(case.family, folder)
    assert np.array_equal(drawn(case.family, path, tmp_path / "nowhere", other, folder), expected)


@pytest.mark.parametrize(
    ("kind", "converter", "changes"),
    [
        ("FluxTransformer2DModel", "flux", {"guidance_embeds": True}),
        ("FluxTransformer2DModel", "flux", {"guidance_embeds": False}),
        ("ChromaTransformer2DModel", "chroma", {"approximator_layers": 2}),
    ],
)
def test_names_of_black_forest_labs_become_those_of_diffusers(
    kind: str, converter: str, changes: dict[str, Any]
) -> None:
    """At its true height: the converter knows how high these matrices are, not how wide."""
    with torch.device("meta"):
        shape = {"num_layers": 1, "num_single_layers": 1, **changes}
        model = getattr(tiny.diffusers, kind)(**shape)
    state = {
        name: torch.randn(one.shape[0], *(1,) * (one.dim() - 1))
        for name, one in model.state_dict().items()
    }
    convert = getattr(converters(), f"convert_{converter}_transformer_checkpoint_to_diffusers")
    back = convert(named.flux1(state))
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], one) for name, one in state.items())


def test_without_the_other_parts_it_says_which_and_where(tmp_path: Path) -> None:
    path = files.save(tmp_path / "flux1-dev.safetensors", published.flux(), dtype="BF16")
    other = tiny.save(tiny.sd1(), tmp_path / "other")
    with pytest.raises(ModelUnavailable) as raised:
        borrowed(path, recognise_file(path), [other])
    for word in ("CLIP-L", "T5-XXL", "autoencoder", "FLUX.1-dev", "limner models add"):
        assert word in raised.value.message


def test_another_variant_of_flux_lends_and_the_file_stays_itself(tmp_path: Path) -> None:
    torch.manual_seed(1)
    fast = tiny.flux(guided=False)
    fast.scheduler = tiny.diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0)
    expected = drawn(family.FLUX_1, tiny.save(fast, tmp_path / "schnell"))
    path = original.save(tmp_path / "schnell.safetensors", fast.transformer.state_dict())
    guided = tiny.flux()
    guided.register_modules(
        **{name: fast.components[name] for name in ("vae", "text_encoder", "text_encoder_2")},
        scheduler=tiny.diffusers.FlowMatchEulerDiscreteScheduler(
            shift=3.0, use_dynamic_shifting=True
        ),
    )
    lender = tiny.save(guided, tmp_path / "dev")
    assert np.array_equal(drawn(family.FLUX_1, path, lender), expected)


@pytest.mark.parametrize("ending", [".scale_weight", ".weight_scale"])
def test_fp8_is_widened_by_its_scale(ending: str, tmp_path: Path) -> None:
    pipeline = tiny.z_image()
    state = pipeline.transformer.state_dict()
    packed: dict[str, Any] = {"scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn)}
    for name, tensor in state.items():
        if name.endswith(".weight") and tensor.dim() == 2:
            rows = tensor.abs().amax(1) if ending == ".weight_scale" else tensor.abs().max()
            scale = rows / 400
            narrow = (tensor / (scale[:, None] if scale.dim() else scale)).to(torch.float8_e4m3fn)
            packed[name] = narrow
            packed[name.removesuffix(".weight") + ending] = scale
            packed[name.removesuffix(".weight") + ".scale_input"] = torch.ones(())
            wide = narrow.float() * (scale[:, None] if scale.dim() else scale)
            tensor.copy_(wide)
        else:
            packed[name] = tensor
    folder = tiny.save(pipeline, tmp_path / "wide")
    path = original.save(tmp_path / "narrow.safetensors", packed)
    expected = drawn(family.Z_IMAGE, folder)
    assert np.array_equal(drawn(family.Z_IMAGE, path, folder), expected)


def test_fp8_without_a_scale_is_widened(tmp_path: Path) -> None:
    pipeline = tiny.chroma()
    narrow = {
        name: one.to(torch.float8_e5m2) for name, one in pipeline.transformer.state_dict().items()
    }
    pipeline.transformer.load_state_dict({name: one.float() for name, one in narrow.items()})
    folder = tiny.save(pipeline, tmp_path / "wide")
    path = original.save(tmp_path / "narrow.safetensors", narrow)
    expected = drawn(family.CHROMA, folder)
    assert np.array_equal(drawn(family.CHROMA, path, folder), expected)


def test_packed_numbers_that_nobody_else_reads_are_refused(tmp_path: Path) -> None:
    shapes = {**published.flux(), "img_in.weight_scale_2": (1,)}
    path = files.save(tmp_path / "flux-nvfp4.safetensors", shapes)
    with pytest.raises(WeightsRejected, match="nvfp4"):
        family.FLUX_1.recognise(path, lambda _: "a" * 64)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda one: one.pop("layers.0.attention.to_q.weight"), "the part transformer"),
        (
            lambda one: one.update({"layers.0.attention.to_q.weight": torch.zeros(3, 3)}),
            "could not be loaded",
        ),
        (lambda one: one["cap_embedder.1.bias"].fill_(float("inf")), "NaN or infinity"),
    ],
)
def test_bad_files_are_refused_with_a_reason(
    damage: Callable[[dict[str, Any]], object], told: str, tmp_path: Path
) -> None:
    pipeline = tiny.z_image()
    folder = tiny.save(pipeline, tmp_path / "whole")
    state = dict(pipeline.transformer.state_dict())
    damage(state)
    path = original.save(tmp_path / "bad.safetensors", state)
    with pytest.raises(WeightsRejected, match=told):
        drawn(family.Z_IMAGE, path, folder)


def test_the_card_is_that_of_one_file(tmp_path: Path) -> None:
    path = files.save(tmp_path / "z image turbo.safetensors", published.z_image())
    card = family.Z_IMAGE.recognise(path, lambda _: "a" * 64)
    assert card is not None
    assert (card.name, card.variant) == ("z-image-turbo", "turbo")
    assert [file.name for file in card.files] == [SINGLE]
    assert card.capability.supports(Task.TEXT_TO_IMAGE)


def packed(path: Path, state: Any, flat: bool = False) -> dict[str, Any]:
    """Write a GGUF file: matrices in 8 bits, the rest wide. Returns what its numbers stand for.

    With `flat`, what has no rows of whole blocks is flattened into some, as ComfyUI-GGUF does.
    """
    gguf: Any = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, "lumina2")
    stands_for = {}
    for name, tensor in state.items():
        numbers = tensor.float().numpy()
        if flat and tensor.dim() > 1 and tensor.numel() % 32 == 0 and tensor.shape[-1] % 32:
            writer.add_array(f"comfy.gguf.orig_shape.{name}", list(tensor.shape))
            numbers = numbers.reshape(-1, 32)
        narrow = numbers.ndim == 2 and numbers.shape[1] % 32 == 0
        kind = gguf.GGMLQuantizationType.Q8_0 if narrow else gguf.GGMLQuantizationType.F32
        blocks = gguf.quants.quantize(numbers, kind)
        writer.add_tensor(name, blocks, raw_dtype=kind)
        meant = torch.from_numpy(gguf.quants.dequantize(blocks, kind))
        stands_for[name] = meant.reshape(tensor.shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return stands_for


@pytest.mark.parametrize("naming", [as_is, named.z_image])
def test_gguf_draws_what_its_numbers_stand_for(naming: Naming, tmp_path: Path) -> None:
    pipeline = tiny.z_image()
    stands_for = packed(tmp_path / "z.gguf", naming(pipeline.transformer.state_dict()))
    assert recognise_file(tmp_path / "z.gguf").precision == "Q8_0"
    path = original.save(tmp_path / "z.safetensors", stands_for)
    folder = tiny.save(pipeline, tmp_path / "whole")
    expected = drawn(family.Z_IMAGE, path, folder).astype(int)
    picture = drawn(family.Z_IMAGE, tmp_path / "z.gguf", folder)
    assert np.abs(picture - expected).max() <= 1
    assert not np.array_equal(drawn(family.Z_IMAGE, folder), picture)
    assert np.ptp(picture[..., :3]) > 30


@pytest.mark.parametrize("name", ["sdxl", "sd1"])
def test_flattened_gguf_draws_what_its_numbers_stand_for(name: str, tmp_path: Path) -> None:
    one = {"sdxl": family.STABLE_DIFFUSION_XL, "sd1": family.STABLE_DIFFUSION_1}[name]
    pipeline = {"sdxl": tiny.sdxl, "sd1": tiny.sd1}[name]()
    state = original.unet(pipeline.unet.state_dict(), layers=1)
    stands_for = packed(tmp_path / "it.gguf", state, flat=True)
    found = recognise_file(tmp_path / "it.gguf")
    assert (found.kind, found.family) == (Kind.DENOISER, name)
    path = original.save(tmp_path / "it.safetensors", stands_for)
    folder = tiny.save(pipeline, tmp_path / "whole")
    expected = drawn(one, path, folder).astype(int)
    picture = drawn(one, tmp_path / "it.gguf", folder)
    assert np.abs(picture - expected).max() <= 1
    assert not np.array_equal(drawn(one, folder), picture)


def test_gguf_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    packed(tmp_path / "z.gguf", tiny.z_image().transformer.state_dict())
    with (tmp_path / "z.gguf").open("r+b") as file:
        file.truncate((tmp_path / "z.gguf").stat().st_size // 2)
    with pytest.raises(WeightsRejected, match="not copied whole"):
        family.Z_IMAGE.recognise(tmp_path / "z.gguf", lambda _: "a" * 64)


def test_a_person_draws_with_a_denoiser_and_a_folder_that_was_added(tmp_path: Path) -> None:
    pipeline = tiny.sd1()
    autoencoder: Any = tiny.diffusers.AutoencoderKL(
        block_out_channels=(4,) * 4,
        norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    pipeline.register_modules(vae=autoencoder.eval())
    folder = tiny.save(pipeline, tmp_path / "models" / "whole")
    state = comfy(original.unet(pipeline.unet.state_dict(), layers=1))
    path = original.save(tmp_path / "my unet.safetensors", state)
    options: dict[str, Any] = {"seed": 3, "steps": 2, "size": "448x448"}
    with open_desk(Settings(home=tmp_path / "home", offline=True, threads=1)) as desk:
        with pytest.raises(ModelUnavailable, match="autoencoder"):
            desk.generate("a red fox", model=str(path), **options)
        catalog = desk.studio.models.catalog
        with pytest.raises(ModelUnavailable, match="autoencoder"):
            plan_for(catalog, str(path), None)
        desk.studio.models.add(folder.parent)
        (made,) = desk.generate("a red fox", model=str(path), **options)
        (whole,) = desk.generate("a red fox", model=str(folder), **options)
        (other,) = desk.generate("a red fox", model=str(folder), **{**options, "seed": 4})
        lines = plan_for(catalog, str(path), None)
        expected = plan_for(catalog, str(folder), None)
    assert made.recipe.model.name == "my-unet"
    assert made.asset.environment is not None
    assert made.asset.environment.fitting.startswith("other parts of whole (")
    # The mark in each picture is its own: pictures that are the same differ by so much.
    assert np.abs(seen(made.file) - seen(whole.file)).mean() < 4
    assert np.abs(seen(made.file) - seen(other.file)).mean() > 8
    assert lines == expected


def seen(file: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int)
