"""Whole pipelines at tiny size draw through the driver exactly what diffusers draws."""

import inspect
import itertools
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.domain.errors import Cancelled, InvalidOption, ModelUnavailable, WeightsRejected
from limner.domain.event import CancelToken, Happening, Notice, Preview, Step
from limner.domain.recipe import Extra, InputRole, ModelRef, Recipe, RecipeInput, Size, Task
from limner.families.diffusion.calls.arguments import manner_of
from limner.families.diffusion.drawing.model import DiffusionModel
from limner.families.diffusion.drawing.previews import LatentMap
from limner.families.diffusion.known.facts import Facts, facts_of
from limner.families.diffusion.loading.pipelines import Device, libraries, load_pipeline
from limner.families.diffusion.recognition.folders import read_pipeline, recognise_folder
from limner.families.family import Order, Pixels, Watch

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import diffusers  # noqa: E402 - it needs what the line above asks for
import safetensors.torch  # noqa: E402
import torch  # noqa: E402

from tests.families.diffusion import tiny  # noqa: E402

CPU = Device("cpu", "float32")
SIDE = 64
SEED = 7
PROMPT = "a red fox"
MODEL = ModelRef(name="tiny", sha256="0" * 64)


@dataclass
class Witness:
    """Hears what happens, and stops the work at a step."""

    stop_at: int | None = None
    token: CancelToken = field(default_factory=CancelToken)
    heard: list[Happening] = field(default_factory=list)

    def tell(self, event: Happening) -> None:
        self.heard.append(event)
        if isinstance(event, Step) and event.step == self.stop_at:
            self.token.cancel()

    @property
    def watch(self) -> Watch:
        return Watch(self.tell, self.token)


def picture() -> Pixels:
    """A picture with something to see in it."""
    generator = np.random.default_rng(5)
    small = generator.integers(0, 255, (8, 8, 3), np.uint8)
    large = Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(large.convert("RGBA")).copy()


def mask() -> Pixels:
    """White in the middle."""
    marked = np.zeros((SIDE, SIDE, 4), np.uint8)
    marked[..., 3] = 255
    marked[16:48, 16:48] = 255
    return marked


def image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels[..., :3]))


ROLES: Mapping[Task, tuple[InputRole, ...]] = {
    Task.TEXT_TO_IMAGE: (),
    Task.IMAGE_TO_IMAGE: (InputRole.INIT,),
    Task.EDIT: (InputRole.INIT,),
    Task.INPAINT: (InputRole.INIT, InputRole.MASK),
}


def order_of(task: Task, **changes: object) -> Order:
    inputs = {InputRole.INIT: picture(), InputRole.MASK: mask()}
    size = Size(width=SIDE, height=SIDE)
    strength = 0.75 if task is Task.IMAGE_TO_IMAGE else None
    recipe = Recipe(
        task=task,
        model=MODEL,
        prompt=PROMPT,
        seed=SEED,
        size=size,
        native_size=size,
        steps=4,
        guidance=3.0,
        inputs=tuple(
            RecipeInput(
                asset=role.value[0].encode().hex()[0] * 64,
                role=role,
                strength=strength if role is InputRole.INIT else None,
            )
            for role in ROLES[task]
        ),
    )
    return Order(
        recipe.model_copy(update=changes),
        {role: inputs[role] for role in ROLES[task]},
    )


def asked_of(task: Task, facts: Facts, pipeline: Any) -> dict[str, Any]:
    """The arguments a person would call diffusers with for the order above."""
    given: dict[str, Any] = {"prompt": PROMPT, "num_inference_steps": 4, "height": SIDE}
    given["width"] = SIDE
    guidance = facts.guidance_argument
    if guidance:
        given[guidance] = 3.0
    if guidance == "true_cfg_scale":
        given["negative_prompt"] = " "
    if task is not Task.TEXT_TO_IMAGE:
        given["image"] = image(picture())
    if task is Task.INPAINT:
        given["mask_image"] = Image.fromarray(mask()[..., 0])
        given["strength"] = 1.0
    if task is Task.IMAGE_TO_IMAGE:
        given["strength"] = 0.75
    name = type(pipeline).__name__
    if name.startswith("FluxKontext"):
        given["max_area"] = SIDE * SIDE
    if name.startswith("Flux") and facts.variant == "schnell":
        given["max_sequence_length"] = 256
    if name.startswith(("PixArt", "Sana")):
        given["use_resolution_binning"] = False
    given["intermediate_timesteps"] = None  # diffusers knows those of two steps alone
    taken = inspect.signature(type(pipeline).__call__).parameters
    return {key: value for key, value in given.items() if key in taken}


KINDS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "sd1": (tiny.sd1, "sd1", "base"),
    "sd1-inpainting": (
        lambda: tiny.sd1_of("StableDiffusionInpaintPipeline", 9),
        "sd1",
        "inpainting",
    ),
    "sd1-edit": (lambda: tiny.sd1_of("StableDiffusionInstructPix2PixPipeline", 8), "sd1", "edit"),
    "sd1-lcm": (tiny.sd1_lcm, "sd1", "lcm"),
    "sd2": (tiny.sd2, "sd2", "base"),
    "sdxl": (tiny.sdxl, "sdxl", "base"),
    "sdxl-inpainting": (
        lambda: tiny.sdxl_of("StableDiffusionXLInpaintPipeline", 9),
        "sdxl",
        "inpainting",
    ),
    "sdxl-edit": (
        lambda: tiny.sdxl_of("StableDiffusionXLInstructPix2PixPipeline", 8),
        "sdxl",
        "edit",
    ),
    "sd3": (tiny.sd3, "sd3", "3.5-medium"),
    "flux-dev": (tiny.flux, "flux1", "dev"),
    "flux-de-distilled": (tiny.flux, "flux1", "de-distilled"),
    "flux-schnell": (lambda: tiny.flux(guided=False), "flux1", "schnell"),
    "flux-kontext": (tiny.flux_kontext, "flux1", "kontext-dev"),
    "flux-fill": (tiny.flux_fill, "flux1", "fill-dev"),
    "flux2": (tiny.flux2, "flux2", "dev"),
    "flux2-klein": (tiny.flux2_klein, "flux2", "klein-base-4b"),
    "chroma": (tiny.chroma, "chroma", "base"),
    "z-image": (tiny.z_image, "z-image", "base"),
    "qwen-image": (tiny.qwen_image, "qwen-image", "base"),
    "qwen-image-edit": (tiny.qwen_edit, "qwen-image", "edit"),
    "qwen-image-edit-2509": (lambda: tiny.qwen_edit(plus=True), "qwen-image", "edit-2509"),
    "sana": (tiny.sana, "sana", "1.6b"),
    "sana-sprint": (lambda: tiny.sana(sprint=True), "sana", "sprint-1.6b"),
    "krea2": (tiny.krea2, "krea2", "raw"),
    "pixart": (tiny.pixart, "pixart", "sigma"),
}
"""How a tiny model is made, and whose facts it is drawn by: its sizes tell no variant."""


UNSAVED = ("qwen-image-edit", "qwen-image-edit-2509")
"""Their processors read videos by torchvision, and cannot be written without it."""


@dataclass(frozen=True)
class Model:
    """A tiny model, on the disk or only in memory, and its facts."""

    facts: Facts
    folder: Path | None = None
    pipeline: Any = None

    def load(self) -> DiffusionModel:
        facts, prediction = self.facts, ""
        if self.folder is not None:
            prediction = read_pipeline(self.folder).prediction
        manner = manner_of(facts, "v" if prediction == "v_prediction" else "")
        pipeline = load_pipeline(self.folder, CPU) if self.folder else self.pipeline
        return DiffusionModel(pipeline, manner, CPU, threads=1)

    def made(self, name: str) -> Any:
        """The pipeline as a user of diffusers makes it."""
        wanted: Any = getattr(diffusers, name)
        if self.folder is not None:
            return wanted.from_pretrained(self.folder)
        return wanted(**self.pipeline.components)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    make, family, variant = KINDS[request.param]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    facts = facts_of(family, variant)
    if request.param in UNSAVED:
        return Model(facts, pipeline=make())
    return Model(facts, tiny.save(make(), tmp_path_factory.mktemp("models") / request.param))


def test_every_task_is_what_diffusers_draws(kind: Model) -> None:
    facts, model = kind.facts, kind.load()
    assert facts.pipelines
    for task, name in facts.pipelines.items():
        pipeline = kind.made(name)
        generator = torch.Generator("cpu").manual_seed(SEED)
        asked = asked_of(task, facts, pipeline)
        expected = np.asarray(pipeline(**asked, generator=generator).images[0].convert("RGBA"))
        witness = Witness()
        (drawn,) = model.perform([order_of(task)], witness.watch)
        assert drawn.shape == expected.shape, task
        assert np.array_equal(drawn, expected), task
        steps = [event for event in witness.heard if isinstance(event, Step)]
        assert [one.step for one in steps] == list(range(1, len(steps) + 1))
        assert steps[-1].step == steps[-1].steps
        previews = [event for event in witness.heard if isinstance(event, Preview)]
        assert len(previews) == len(steps) - 1
        assert drawn[..., :3].std() > 1
        again = model.perform([order_of(task)], Witness().watch)[0]
        assert np.array_equal(again, drawn), task
    model.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return tiny.save(tiny.sd1(), tmp_path_factory.mktemp("small") / "sd1")


@pytest.fixture
def model(small: Path) -> DiffusionModel:
    return Model(facts_of("sd1", "base"), small).load()


@pytest.fixture
def folder(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "mine"))


@pytest.mark.parametrize("step", [1, 3])
def test_it_stops_within_a_step_and_draws_on_afterwards(model: DiffusionModel, step: int) -> None:
    witness = Witness(stop_at=step)
    with pytest.raises(Cancelled):
        model.perform([order_of(Task.TEXT_TO_IMAGE)], witness.watch)
    assert max(one.step for one in witness.heard if isinstance(one, Step)) == step
    assert model.perform([order_of(Task.TEXT_TO_IMAGE)], Witness().watch)[0].std() > 0


def test_nothing_is_drawn_once_it_was_stopped(model: DiffusionModel) -> None:
    witness = Witness()
    witness.token.cancel()
    with pytest.raises(Cancelled):
        model.perform([order_of(Task.TEXT_TO_IMAGE)], witness.watch)
    assert witness.heard == []


def test_orders_do_not_touch_each_other(model: DiffusionModel) -> None:
    orders = [order_of(Task.TEXT_TO_IMAGE, seed=seed) for seed in (1, 2)]
    orders.append(order_of(Task.TEXT_TO_IMAGE, prompt="a blue bird", negative_prompt="red"))
    witness = Witness()
    together = model.perform(orders, witness.watch)
    alone = [model.perform([order], Witness().watch)[0] for order in reversed(orders)]
    assert all(np.array_equal(a, b) for a, b in zip(together, reversed(alone), strict=True))
    assert not np.array_equal(together[0], together[1])
    assert {event.index for event in witness.heard if isinstance(event, Step)} == {0, 1, 2}


def test_a_sampler_draws_another_picture_and_the_own_one_again(model: DiffusionModel) -> None:
    def draw(**changes: object) -> Pixels:
        return model.perform([order_of(Task.TEXT_TO_IMAGE, **changes)], Witness().watch)[0]

    first = draw(sampler="own", schedule="own")
    other = draw(sampler="dpmpp_2m", schedule="karras")
    noisy = draw(sampler="euler_ancestral")
    assert not np.array_equal(first, other)
    assert np.array_equal(noisy, draw(sampler="euler_ancestral"))
    assert np.array_equal(first, draw())
    with pytest.raises(InvalidOption, match="no sampler “brush”"):
        draw(sampler="brush")


def test_no_strength_leaves_the_picture(model: DiffusionModel) -> None:
    order = order_of(Task.IMAGE_TO_IMAGE)
    init = order.recipe.inputs[0].model_copy(update={"strength": 0.1})
    recipe = order.recipe.model_copy(update={"inputs": (init,)})
    (drawn,) = model.perform([Order(recipe, order.inputs)], Witness().watch)
    assert np.array_equal(drawn, order.inputs[InputRole.INIT])


def test_the_same_words_are_read_once(model: DiffusionModel, monkeypatch: Any) -> None:
    encoder = type(model._first.text_encoder)
    calls: list[int] = []
    forward = encoder.forward

    def counted(self: Any, *given: Any, **named: Any) -> Any:
        calls.append(1)
        return forward(self, *given, **named)

    monkeypatch.setattr(encoder, "forward", counted)
    for seed in (1, 2, 3):
        model.perform([order_of(Task.TEXT_TO_IMAGE, seed=seed)], Witness().watch)
    assert len(calls) == 2, "the words, and the negative ones"


def test_it_says_what_it_is(model: DiffusionModel, small: Path) -> None:
    assert (model.dtype, model.device) == ("float32", "cpu")
    assert dict(model.libraries)["diffusers"] == diffusers.__version__
    files = sum(path.stat().st_size for path in small.rglob("*.safetensors"))
    assert abs(model.bytes - files) / files < 0.2


def test_previews_look_like_the_picture(tmp_path: Path) -> None:
    latents = np.random.default_rng(1).normal(size=(4, 12, 12)).astype(np.float32)
    mixing = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32) * 0.1
    colours = (np.tensordot(mixing, latents, 1) + 0.5).astype(np.float32)
    seen = LatentMap(latents, colours).look(latents)
    expected = np.clip(colours, 0, 1).transpose(1, 2, 0) * 255
    assert seen.shape == (12, 12, 4)
    assert np.abs(seen[..., :3] - expected).max() <= 1


def damaged(folder: Path, value: float, part: str = "unet", start: str = "") -> None:
    path = next((folder / part).glob("*.safetensors"))
    tensors = safetensors.torch.load_file(path)
    name = next(one for one in tensors if one.startswith(start))
    tensors[name].fill_(value)
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(folder: Path, value: float) -> None:
    damaged(folder, value)
    with pytest.raises(WeightsRejected, match=r"in the part unet of mine holds numbers"):
        load_pipeline(folder, CPU)


@pytest.mark.parametrize(
    ("task", "part", "start"),
    [
        (Task.TEXT_TO_IMAGE, "text_encoder", "embeddings.token_embedding"),
        (Task.TEXT_TO_IMAGE, "vae", "encoder."),  # previews are fitted with it
        (Task.IMAGE_TO_IMAGE, "vae", "encoder."),
    ],
)
def test_weights_that_no_loading_reads_are_refused_when_they_take_part(
    folder: Path, task: Task, part: str, start: str
) -> None:
    damaged(folder, float("nan"), part, start)
    pipeline = load_pipeline(folder, CPU)
    model = DiffusionModel(pipeline, manner_of(facts_of("sd1", "base"), "epsilon"), CPU, 2)
    with pytest.raises(WeightsRejected, match=rf"in the part {part} of [\w ]+ holds"):
        model.perform([order_of(task)], Witness().watch)


def test_weights_cut_short_are_refused(folder: Path) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)
    with pytest.raises(WeightsRejected, match=r"mine could not be loaded: .+ Get the model again"):
        load_pipeline(folder, CPU)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    config = json.loads((folder / "unet" / "config.json").read_text())
    config["cross_attention_dim"] = 24
    (folder / "unet" / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsRejected, match="could not be loaded"):
        load_pipeline(folder, CPU)


def test_a_folder_with_a_part_cut_short_or_missing_is_refused(folder: Path) -> None:
    encoder = folder / "text_encoder" / "model.safetensors"
    whole = encoder.read_bytes()
    encoder.write_bytes(whole[: len(whole) // 2])
    assert "“text_encoder” of mine was not copied whole" in recognise_folder(folder).reason
    with pytest.raises(WeightsRejected, match="could not be loaded"):
        load_pipeline(folder, CPU)
    encoder.write_bytes(whole)
    shutil.rmtree(folder / "tokenizer")
    assert "“tokenizer” of mine is not here" in recognise_folder(folder).reason


def test_a_tensor_that_is_not_there_is_named(folder: Path) -> None:
    path = next((folder / "unet").glob("*.safetensors"))
    tensors = safetensors.torch.load_file(path)
    gone = sorted(tensors)[40]
    del tensors[gone]
    safetensors.torch.save_file(tensors, path, {"format": "pt"})
    with pytest.raises(WeightsRejected, match=f"“{gone}” is missing in the part unet of mine"):
        load_pipeline(folder, CPU)


def test_code_of_others_is_not_run(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index["unet"] = ["os", "system"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsRejected, match="wants code of “os” for its part unet"):
        load_pipeline(folder, CPU)


FULL = (
    "DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes",
    "[enforce fail at alloc_cpu.cpp:128] . DefaultCPUAllocator: can't allocate memory: you tried",
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
)


@pytest.mark.parametrize("said", FULL)
def test_a_full_memory_is_told(model: DiffusionModel, monkeypatch: Any, said: str) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(type(model._first.unet), "forward", full)
    with pytest.raises(MemoryError):
        model.perform([order_of(Task.TEXT_TO_IMAGE)], Witness().watch)


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ModelUnavailable, match=r"limner\[torch\]"):
        libraries()


def test_ways_of_guiding_and_skipped_layers_draw_other_pictures(model: DiffusionModel) -> None:
    def draw(*extras: tuple[str, Extra]) -> Pixels:
        order = order_of(Task.TEXT_TO_IMAGE, extras=tuple(sorted(extras)))
        return model.perform([order], Witness().watch)[0]

    pictures = [
        draw(),
        draw(("guidance_method", "adaptive_projected")),
        draw(("guidance_stop", 0.5)),
        draw(("guidance_start", 0.5)),
        draw(("clip_skip", 1)),
    ]
    for one, other in itertools.combinations(pictures, 2):
        assert not np.array_equal(one, other)
    assert np.array_equal(pictures[0], draw(("clip_skip", 0)))


def test_words_are_weighed_where_clip_reads_them(model: DiffusionModel) -> None:
    def draw(prompt: str) -> Pixels:
        witness = Witness()
        drawn = model.perform([order_of(Task.TEXT_TO_IMAGE, prompt=prompt)], witness.watch)[0]
        assert not [event for event in witness.heard if isinstance(event, Notice)]
        return drawn

    assert not np.array_equal(draw("a (red:1.5) fox"), draw("a red fox"))
    assert not np.array_equal(draw("a red fox" + " snow" * 90), draw("a red fox" + " snow" * 80))


def test_what_is_not_heard_is_told(tmp_path: Path) -> None:
    torch.manual_seed(0)
    flux = Model(facts_of("flux1", "dev"), tiny.save(tiny.flux(), tmp_path / "flux")).load()
    witness = Witness()
    order = order_of(Task.TEXT_TO_IMAGE, prompt="a (red:1.5) fox")
    (drawn,) = flux.perform([order], witness.watch)
    (notice,) = (event for event in witness.heard if isinstance(event, Notice))
    assert notice.code == "weights_ignored"
    (plain,) = flux.perform([order_of(Task.TEXT_TO_IMAGE)], Witness().watch)
    assert np.array_equal(drawn, plain)


def fails(times: int, monkeypatch: Any, model: DiffusionModel) -> list[int]:
    """Let the autoencoder run out of memory so many times; count how often it is asked."""
    autoencoder = type(model._first.vae)
    decode, asked = autoencoder.decode, []

    def decoded(self: Any, *given: Any, **named: Any) -> Any:
        asked.append(1)
        if len(asked) <= times:
            raise RuntimeError("CUDA out of memory. Tried to allocate 9.00 GiB")
        return decode(self, *given, **named)

    monkeypatch.setattr(autoencoder, "decode", decoded)
    return asked


def test_where_memory_runs_out_it_draws_again_with_less(
    model: DiffusionModel, monkeypatch: Any
) -> None:
    expected = model.perform([order_of(Task.TEXT_TO_IMAGE)], Witness().watch)[0]
    assert model.fitting == ""
    asked = fails(1, monkeypatch, model)
    witness = Witness()
    drawn = model.perform([order_of(Task.TEXT_TO_IMAGE)], witness.watch)[0]
    assert len(asked) == 2
    (notice,) = (event for event in witness.heard if isinstance(event, Notice))
    assert (notice.code, model.fitting) == ("less_memory", "tiled decoder")
    assert model._first.vae.use_tiling
    assert np.abs(drawn.astype(int) - expected.astype(int)).max() <= 1, "it is less than a tile"
    other = order_of(Task.IMAGE_TO_IMAGE)
    assert model.perform([other], Witness().watch)[0].std() > 0


def test_where_nothing_helps_the_process_lives_on(model: DiffusionModel, monkeypatch: Any) -> None:
    asked = fails(2, monkeypatch, model)
    with pytest.raises(MemoryError):
        model.perform([order_of(Task.TEXT_TO_IMAGE)], Witness().watch)
    assert len(asked) == 2
    assert model.perform([order_of(Task.TEXT_TO_IMAGE)], Witness().watch)[0].std() > 0


def test_what_a_pipeline_knows_better_than_its_scheduler_counts(tmp_path: Path) -> None:
    """Stable Diffusion corrects an old scheduler's settings when it is put together."""
    torch.manual_seed(0)
    folder = tiny.save(tiny.sd1(), tmp_path / "sd1")
    settings = folder / "scheduler" / "scheduler_config.json"
    settings.write_text('{"_class_name": "DDIMScheduler", "_diffusers_version": "0.6.0"}')
    one = Model(facts_of("sd1", "base"), folder)
    pipeline = one.made("StableDiffusionPipeline")
    assert pipeline.scheduler.config.steps_offset == 1
    asked = asked_of(Task.TEXT_TO_IMAGE, one.facts, pipeline)
    generator = torch.Generator("cpu").manual_seed(SEED)
    expected = np.asarray(pipeline(**asked, generator=generator).images[0].convert("RGBA"))
    (drawn,) = one.load().perform([order_of(Task.TEXT_TO_IMAGE)], Witness().watch)
    assert np.array_equal(drawn, expected)
