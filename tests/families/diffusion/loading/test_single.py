"""Stable Diffusion in one file draws what its folder draws, and bad files say why they do not."""

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.domain.errors import ModelUnavailable, WeightsRejected
from limner.domain.recipe import Task
from limner.families.checkpoint import sha256_of
from limner.families.diffusion.calls.arguments import manner_of
from limner.families.diffusion.family import FLUX_1, STABLE_DIFFUSION_1, STABLE_DIFFUSION_XL
from limner.families.diffusion.known.facts import facts_of
from limner.families.diffusion.known.stable_parts import PARTS, noise_of
from limner.families.diffusion.loading import single
from limner.families.diffusion.loading.clip_words import write_clip
from limner.families.diffusion.loading.lending import loan_of, opened
from limner.families.diffusion.loading.single import check_single, whole
from limner.families.diffusion.recognition.finding import Finding, Kind, Prediction
from limner.families.diffusion.recognition.layouts import recognise_file
from limner.families.family import Pixels
from tests.families.diffusion import files, published

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

from limner.families.diffusion.drawing.model import DiffusionModel  # noqa: E402
from limner.families.diffusion.loading.pipelines import load_pipeline, parts_of  # noqa: E402
from limner.families.diffusion.loading.ways import load_fitting  # noqa: E402
from limner.families.family import Placement  # noqa: E402
from tests.families.diffusion import original, tiny  # noqa: E402
from tests.families.diffusion.drawing.test_driver import CPU, Witness, order_of  # noqa: E402
from tests.families.diffusion.loading.test_single_denoisers import packed  # noqa: E402
from tests.families.diffusion.loading.test_ways import WORK  # noqa: E402

WORDS = {"vocab_size": 49_408, "eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1}


def encoder(act: str, projected: bool = False) -> Any:
    config = tiny.transformers.CLIPTextConfig(**{**tiny.CLIP, **WORDS, "hidden_act": act})
    kind = "CLIPTextModelWithProjection" if projected else "CLIPTextModel"
    return getattr(tiny.transformers, kind)(config).eval()


def tokenizer(folder: Path, pad: str = "<|endoftext|>") -> Any:
    write_clip(folder, pad)
    return tiny.transformers.CLIPTokenizer.from_pretrained(folder)


def scheduler(family: str, prediction: str, zero_snr: bool) -> Any:
    settings = dict(noise_of(family, "base", prediction, zero_snr))
    return getattr(tiny.diffusers, str(settings["_class_name"])).from_config(settings)


def sd1(folder: Path) -> Any:
    pipeline = tiny.sd1()
    pipeline.register_modules(
        text_encoder=encoder("quick_gelu"),
        tokenizer=tokenizer(folder / "words"),
        scheduler=scheduler("sd1", "epsilon", False),
    )
    return pipeline


def sd2(folder: Path) -> Any:
    pipeline = tiny.sd2()
    pipeline.register_modules(
        text_encoder=encoder("gelu"),
        tokenizer=tokenizer(folder / "words", "!"),
        scheduler=scheduler("sd2", "v", False),
    )
    return pipeline


def sdxl(folder: Path, prediction: str = "epsilon", zero_snr: bool = False) -> Any:
    pipeline = tiny.sdxl()
    pipeline.register_modules(
        text_encoder=encoder("quick_gelu"),
        text_encoder_2=encoder("gelu", projected=True),
        tokenizer=tokenizer(folder / "words"),
        tokenizer_2=tokenizer(folder / "words 2", "!"),
        scheduler=scheduler("sdxl", prediction, zero_snr),
    )
    return pipeline


def in_one(pipeline: Any) -> dict[str, Any]:
    """The tensors of a pipeline as one file of everything has them."""
    parts = pipeline.components
    clip, second = parts["text_encoder"].state_dict(), parts.get("text_encoder_2")
    if second is not None:
        encoders = {
            **original.under("conditioner.embedders.0.transformer.", original.clip(clip)),
            **original.under(
                "conditioner.embedders.1.model.", original.open_clip(second.state_dict())
            ),
        }
    elif parts["text_encoder"].config.hidden_act == "gelu":
        encoders = original.under("cond_stage_model.model.", original.open_clip(clip))
    else:
        encoders = original.under("cond_stage_model.transformer.", original.clip(clip))
    return {
        **original.under(
            "model.diffusion_model.", original.unet(parts["unet"].state_dict(), layers=1)
        ),
        **original.under("first_stage_model.", original.vae(parts["vae"].state_dict(), blocks=2)),
        **encoders,
    }


FOUND = {
    "sd1": Finding(
        Kind.CHECKPOINT,
        "SD 1 (base).",
        "sd1",
        "base",
        "original",
        "model.diffusion_model.",
        ("CLIP-L", "autoencoder"),
        "epsilon",
    ),
    "sd2": Finding(
        Kind.CHECKPOINT,
        "SD 2 (base).",
        "sd2",
        "base",
        "original",
        "model.diffusion_model.",
        ("OpenCLIP-H", "autoencoder"),
        "",
    ),
    "sdxl": Finding(
        Kind.CHECKPOINT,
        "SDXL (base).",
        "sdxl",
        "base",
        "original",
        "model.diffusion_model.",
        ("CLIP-L", "OpenCLIP-G", "autoencoder"),
        "epsilon",
    ),
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def described(pipeline: Any, monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    """Let the family's parts be as small as those of a pipeline."""
    own = {}
    for name, settings in PARTS[family].items():
        config = pipeline.components[name].config
        small = dict(config if hasattr(config, "items") else config.to_dict())
        own[name] = {**settings, **{key: one for key, one in small.items() if key[0] != "_"}}
        kept = ("_class_name", "architectures")
        own[name] |= {key: settings[key] for key in settings if key in kept}
    monkeypatch.setattr(single, "PARTS", {family: own})


def drawn(family: str, pipeline: Any, prediction: Prediction) -> Pixels:
    """What a pipeline draws, its weights where a number begins a line of the processor's cache.

    A matrix that lies otherwise, as in a mapped file, is multiplied in another order.
    """
    for part in parts_of(pipeline).values():
        for tensor in (*part.parameters(), *part.buffers()):
            tensor.data = tensor.data.clone()
    model = DiffusionModel(pipeline, manner_of(facts_of(family, "base"), prediction), CPU, 1)
    (picture,) = model.perform([order_of(Task.TEXT_TO_IMAGE)], Witness().watch)
    return picture


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.mark.parametrize(("family", "make"), [("sd1", sd1), ("sd2", sd2), ("sdxl", sdxl)])
def test_one_file_draws_what_its_folder_draws(
    family: str,
    make: Callable[[Path], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = make(tmp_path)
    found = FOUND[family]
    expected = drawn(
        family,
        load_pipeline(tiny.save(pipeline, tmp_path / "folder"), CPU),
        found.prediction or "v",
    )
    path = original.save(tmp_path / "all of it.safetensors", in_one(pipeline))
    described(pipeline, monkeypatch, family)
    with whole(path, found) as (folder, parts):
        loaded = load_fitting(folder, WORK, Placement(1), parts)
    assert not folder.exists()
    assert np.array_equal(drawn(family, loaded.pipeline, found.prediction or "v"), expected)


def test_a_file_without_an_autoencoder_takes_that_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = sdxl(tmp_path)
    found = replace(FOUND["sdxl"], parts=("CLIP-L", "OpenCLIP-G"))
    expected = drawn(
        "sdxl", load_pipeline(tiny.save(pipeline, tmp_path / "folder"), CPU), "epsilon"
    )
    tensors = {name: one for name, one in in_one(pipeline).items() if "first_stage" not in name}
    path = original.save(tmp_path / "no vae.safetensors", tensors)
    state = original.vae(pipeline.vae.state_dict(), blocks=2)
    fitting = original.save(tmp_path / "sdxl_vae.safetensors", state)
    other = original.save(tmp_path / "another vae.safetensors", state)
    described(pipeline, monkeypatch, "sdxl")
    with (
        pytest.raises(ModelUnavailable, match="“sdxl” in its name"),
        opened(path, found, lambda: [other]),
    ):
        pass
    with opened(path, found, lambda: [other, fitting]) as (folder, parts):
        loaded = load_fitting(folder, WORK, Placement(1), parts)
        assert loan_of(folder, parts, found).startswith("vae of sdxl_vae.safetensors (")
    assert np.array_equal(drawn("sdxl", loaded.pipeline, "epsilon"), expected)


@pytest.mark.parametrize("naming", [lambda state: original.unet(state, layers=1), dict])
def test_a_denoiser_of_few_steps_draws_with_single_files_alone(
    naming: Callable[[Any], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = sdxl(tmp_path)
    noise = dict(noise_of("sdxl", "lightning", "epsilon", False))
    pipeline.scheduler = getattr(tiny.diffusers, str(noise["_class_name"])).from_config(noise)
    expected = drawn(
        "sdxl", load_pipeline(tiny.save(pipeline, tmp_path / "folder"), CPU), "epsilon"
    )
    path = original.save(
        tmp_path / "sdxl_lightning_4step_unet.safetensors", naming(pipeline.unet.state_dict())
    )
    clip = original.clip(pipeline.text_encoder.state_dict())
    parts = [
        original.save(tmp_path / "a clip_l.safetensors", clip),
        original.save(tmp_path / "clip_g.safetensors", dict(pipeline.text_encoder_2.state_dict())),
        original.save(
            tmp_path / "sdxl_vae.safetensors", original.vae(pipeline.vae.state_dict(), blocks=2)
        ),
    ]
    described(pipeline, monkeypatch, "sdxl")
    found = recognise_file(path)
    assert (found.kind, found.variant) == (Kind.DENOISER, "lightning")
    with opened(path, found, lambda: parts) as (folder, single):
        loaded = load_fitting(folder, WORK, Placement(1), single)
        assert "described by Limner (" in loan_of(folder, single, found)
    assert np.array_equal(drawn("sdxl", loaded.pipeline, "epsilon"), expected)
    packed(path.with_suffix(".gguf"), naming(pipeline.unet.state_dict()), flat=True)
    with opened(path.with_suffix(".gguf"), found, lambda: parts) as (folder, single):
        narrow = load_fitting(folder, WORK, Placement(1), single).pipeline
    assert np.abs(drawn("sdxl", narrow, "epsilon").astype(int) - expected).mean() < 10
    with (
        pytest.raises(
            ModelUnavailable, match="Limner describes its other parts; weights of the autoencoder"
        ),
        opened(path, found, lambda: parts[1:2]),
    ):
        pass


def test_a_model_that_says_zero_snr_is_asked_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = sdxl(tmp_path, "v", True)
    tensors = {**in_one(pipeline), "v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    path = original.save(tmp_path / "noob.safetensors", tensors)
    described(pipeline, monkeypatch, "sdxl")
    found = Finding(**{**vars(FOUND["sdxl"]), "prediction": "v"})
    with whole(path, found) as (folder, parts):
        loaded = load_fitting(folder, WORK, Placement(1), parts)
    config = loaded.pipeline.scheduler.config
    assert config.prediction_type == "v_prediction"
    assert config.rescale_betas_zero_snr
    assert config.timestep_spacing == "trailing"
    expected = drawn("sdxl", pipeline, "v")
    assert np.array_equal(drawn("sdxl", loaded.pipeline, "v"), expected)


@pytest.mark.parametrize("head", ["text_model.", ""])
def test_writers_of_other_names_and_leftovers_are_read(
    head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = sd1(tmp_path)
    clip = original.clip(pipeline.text_encoder.state_dict(), head)
    tensors = {
        name: one for name, one in in_one(pipeline).items() if not name.startswith("cond_stage")
    }
    tensors |= original.under("cond_stage_model.transformer.", clip)
    tensors["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77)
    tensors["model_ema.decay"] = torch.ones(())
    path = original.save(tmp_path / "old.safetensors", tensors)
    described(pipeline, monkeypatch, "sd1")
    with whole(path, FOUND["sd1"]) as (folder, parts):
        read = parts.read(folder, torch.float32)
    here, there = read["text_encoder"].state_dict(), pipeline.text_encoder.state_dict()
    assert all(torch.equal(here[name], there[name]) for name in there)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda one: one.pop("model.diffusion_model.out.2.weight"), "the part unet"),
        (lambda one: one.pop("first_stage_model.decoder.conv_in.bias"), "the part vae"),
        (
            lambda one: one.pop("cond_stage_model.transformer.text_model.final_layer_norm.bias"),
            "the part text_encoder",
        ),
        (
            lambda one: one.update({"model.diffusion_model.out.2.weight": torch.zeros(4, 9, 3, 3)}),
            "could not be loaded",
        ),
        (
            lambda one: one["model.diffusion_model.out.2.bias"].fill_(float("nan")),
            "NaN or infinity",
        ),
    ],
)
def test_bad_files_are_refused_with_a_reason(
    damage: Callable[[dict[str, Any]], object],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = sd1(tmp_path)
    tensors = in_one(pipeline)
    damage(tensors)
    path = original.save(tmp_path / "bad.safetensors", tensors)
    described(pipeline, monkeypatch, "sd1")
    with (
        whole(path, FOUND["sd1"]) as (folder, parts),
        pytest.raises(WeightsRejected, match=told),
    ):
        load_fitting(folder, WORK, Placement(1), parts)


def test_the_card_of_one_file_does_not_depend_on_its_name(tmp_path: Path) -> None:
    path = files.save(tmp_path / "dreamshaper 8.safetensors", published.sd1_checkpoint())
    card = STABLE_DIFFUSION_1.recognise(path, lambda _: "a" * 64)
    assert card is not None
    assert (card.name, card.family, card.variant) == ("dreamshaper-8", "sd1", "base")
    assert card.capability.supports(Task.INPAINT)
    renamed = path.rename(tmp_path / "other.safetensors")
    again = STABLE_DIFFUSION_1.recognise(renamed, lambda _: "a" * 64)
    assert again is not None
    assert again.files == card.files
    assert FLUX_1.recognise(renamed, sha256_of) is None
    assert FLUX_1.recognise(Path(__file__), sha256_of) is None


def test_files_that_cannot_be_drawn_with_say_what_is_missing(tmp_path: Path) -> None:
    shapes = published.xl_checkpoint()
    bare = {name: one for name, one in shapes.items() if "embedders.1" not in name}
    path = files.save(tmp_path / "no clip.safetensors", bare)
    with pytest.raises(WeightsRejected, match="OpenCLIP-G are not in it"):
        STABLE_DIFFUSION_XL.recognise(path, sha256_of)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(WeightsRejected, match="not copied whole"):
        STABLE_DIFFUSION_XL.recognise(path, sha256_of)
    odd = Finding(**{**vars(FOUND["sdxl"]), "variant": "ssd-1b"})
    with pytest.raises(WeightsRejected, match="folder"):
        check_single(path, odd)


@pytest.mark.parametrize(
    ("family", "shapes"),
    [
        ("sd1", published.sd1_checkpoint()),
        ("sd2", published.sd2_checkpoint()),
        ("sdxl", published.xl_checkpoint()),
        ("refiner", published.under("model.diffusion_model.", published.xl_refiner())),
    ],
)
def test_described_parts_have_the_shapes_of_published_files(
    family: str, shapes: published.Shapes
) -> None:
    parts = PARTS[family]
    made: dict[str, Any] = {}
    with torch.device("meta"):
        unet = tiny.diffusers.UNet2DConditionModel.from_config({**parts["unet"], "in_channels": 4})
        vae = tiny.diffusers.AutoencoderKL.from_config(dict(parts["vae"]))
    made |= original.under("model.diffusion_model.", original.unet(unet.state_dict(), layers=2))
    made |= original.under("first_stage_model.", original.vae(vae.state_dict(), blocks=4))
    for name, tensor in shapes.items():
        if name.startswith(("model.diffusion_model.", "first_stage_model.")):
            assert tuple(made[name].shape) == tuple(tensor), name


def test_clip_reads_words_by_its_published_numbers(tmp_path: Path) -> None:
    read = tokenizer(tmp_path / "clip", "!")
    assert read("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert len(read) == 49_408
    assert read.model_max_length == 77
    assert read.pad_token_id == 0
    assert tokenizer(tmp_path / "other").pad_token_id == 49_407


def test_what_a_finding_says_decides_how_it_is_asked(tmp_path: Path) -> None:
    path = files.save(
        tmp_path / "sd15-inpainting.safetensors", published.sd1_checkpoint(channels=9)
    )
    found = recognise_file(path)
    with whole(path, found) as (folder, _):
        unet = single._read_json(folder / "unet" / "config.json")
        index = single._read_json(folder / "model_index.json")
    assert unet["in_channels"] == 9
    assert index["_class_name"] == "StableDiffusionInpaintPipeline"


@pytest.mark.parametrize(
    ("family", "millions"),
    [
        ("sd1", {"unet": 859.5, "vae": 83.7, "text_encoder": 123.1}),
        ("sd2", {"unet": 865.9, "vae": 83.7, "text_encoder": 340.4}),
        (
            "sdxl",
            {"unet": 2567.5, "vae": 83.7, "text_encoder": 123.1, "text_encoder_2": 694.7},
        ),
        ("refiner", {"unet": 2259.5, "vae": 83.7, "text_encoder_2": 694.7}),
    ],
)
def test_described_parts_have_as_many_numbers_as_published(
    family: str, millions: dict[str, float]
) -> None:
    counted = {}
    for name, settings in PARTS[family].items():
        with torch.device("meta"):
            part = described_part(dict(settings))
        numbers = sum(tensor.numel() for tensor in part.parameters())
        counted[name] = round(numbers / 1e6, 1)
    assert counted == millions


def described_part(settings: dict[str, Any]) -> Any:
    if "_class_name" in settings:
        settings.setdefault("in_channels", 4 if "cross_attention_dim" in settings else 3)
        return getattr(tiny.diffusers, settings["_class_name"]).from_config(settings)
    (kind,) = settings.pop("architectures")
    settings.pop("model_type")
    return getattr(tiny.transformers, kind)(tiny.transformers.CLIPTextConfig(**settings))
