"""Pictures drawn along controls are those of diffusers' own ControlNet pipelines, to the bit."""

import inspect
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.domain.capability import Company
from limner.domain.card import UNSTATED
from limner.domain.composition import Control, ControlDraft, ControlKind
from limner.domain.errors import InvalidOption, InvalidRequest, WeightsRejected
from limner.domain.recipe import Draft, ModelRef, Recipe, Task
from limner.families.checkpoint import sha256_of
from limner.families.diffusion.companions.control import FAMILY
from limner.families.diffusion.family import _capability
from limner.families.diffusion.known.facts import Facts, facts_of
from limner.families.diffusion.recognition.finding import Finding, Kind
from limner.families.family import Order, Pixels, Placement

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytest.importorskip("cv2", reason="OpenCV comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import diffusers  # noqa: E402 - it needs what the lines above ask for
import safetensors.torch  # noqa: E402
import torch  # noqa: E402

from limner.domain.card import Installed  # noqa: E402
from limner.families.diffusion.composition import alone as one_file  # noqa: E402
from limner.families.diffusion.composition.maps import lines_of  # noqa: E402
from limner.families.diffusion.drawing.model import DiffusionModel  # noqa: E402
from limner.families.diffusion.loading.pipelines import bytes_in, parts_of  # noqa: E402
from tests.families.diffusion import original, tiny  # noqa: E402
from tests.families.diffusion.drawing.test_driver import (  # noqa: E402
    SEED,
    SIDE,
    Model,
    Witness,
    asked_of,
    image,
    order_of,
    picture,
)

KINDS: Mapping[str, tuple[Callable[[], Any], str, str, Callable[[Any], Any]]] = {
    "sd1": (tiny.sd1, "sd1", "base", tiny.unet_control),
    "sdxl": (tiny.sdxl, "sdxl", "base", tiny.unet_control),
    "flux1": (tiny.flux, "flux1", "dev", tiny.flux_control),
    "sd3": (lambda: tiny.sd3(layers=2), "sd3", "3.5-medium", tiny.sd3_control),
    "qwen-image": (tiny.qwen_image, "qwen-image", "base", tiny.qwen_control),
    "sana": (lambda: tiny.sana(layers=2), "sana", "1.6b", tiny.sana_control),
    "z-image": (tiny.z_image, "z-image", "turbo", tiny.z_image_control),
}


def shaken(net: Any) -> Any:
    """The net with weights that do something: a new one begins by changing nothing."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for one in net.parameters():
            one.add_(torch.randn(one.shape, generator=generator) * 0.05)
    return net.eval()


def written(net: Any, folder: Path) -> Path:
    net.save_pretrained(folder)
    return folder


def drawing(pixels: Pixels) -> Pixels:
    """Another picture, to be followed."""
    turned = np.rot90(pixels).copy()
    turned[20:40, 20:40, :3] = 255
    return turned


def followed(task: Task, *controls: tuple[Path, Control, Pixels]) -> Order:
    order = order_of(task)
    parts, asked = {}, []
    for number, (folder, control, _) in enumerate(controls):
        ref = ModelRef(name=folder.name, sha256=f"{number}" * 64)
        asked.append(control.model_copy(update={"model": ref}))
        parts[ref.sha256] = {one.name: one for one in folder.iterdir()}
    recipe = order.recipe.model_copy(update={"controls": tuple(asked)})
    pictures = tuple(pixels for _, _, pixels in controls)
    return replace(order, recipe=recipe, controls=pictures, parts=parts)


def canny(**changes: Any) -> Control:
    return Control(asset="a" * 64, kind=ControlKind.CANNY, **changes)


def draw(model: DiffusionModel, order: Order) -> Pixels:
    return model.perform([order], Witness().watch)[0]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    make, family, variant, steer = KINDS[request.param]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("steered")
    pipeline = make()
    model = Model(facts_of(family, variant), tiny.save(pipeline, folder / "model"))
    nets = [written(shaken(steer(pipeline)), folder / f"net-{one}-canny") for one in "ab"]
    return model, nets


def test_every_task_is_what_diffusers_draws(kind: tuple[Model, list[Path]]) -> None:
    one, (net, _) = kind
    model = one.load()
    for task, name in one.facts.controls.items():
        wanted: Any = getattr(diffusers, name)
        loaded = model._nets.of(followed(task, (net, canny(), picture())))[0]
        plain = one.made(one.facts.pipelines[task])
        known = inspect.signature(wanted.__init__).parameters
        parts = {key: part for key, part in plain.components.items() if key in known}
        pipeline = wanted(**{**parts, "controlnet": loaded})
        edges = image(lines_of(ControlKind.CANNY, drawing(picture())))
        asked = asked_of(task, one.facts, pipeline)
        taken = inspect.signature(type(pipeline).__call__).parameters
        asked["control_image" if "control_image" in taken else "image"] = edges
        timed = "control_guidance_end" in taken
        asked |= {"controlnet_conditioning_scale": 0.8}
        asked |= {"control_guidance_end": 0.75} if timed else {}
        generator = torch.Generator("cpu").manual_seed(SEED)
        torch.manual_seed(SEED)
        expected = np.asarray(pipeline(**asked, generator=generator).images[0].convert("RGBA"))
        control = canny(weight=0.8, end=0.75 if timed else 1.0)
        drawn = draw(model, followed(task, (net, control, drawing(picture()))))
        assert np.array_equal(drawn, expected), task
        without = draw(model, order_of(task))
        assert not np.array_equal(drawn, without), task


def test_a_closed_model_gives_all_its_memory_back(kind: tuple[Model, list[Path]]) -> None:
    one, (net, _) = kind
    model = one.load()
    alone = model.bytes
    draw(model, order_of(Task.TEXT_TO_IMAGE))
    order = followed(Task.TEXT_TO_IMAGE, (net, canny(), picture()))
    draw(model, order)
    shared = 0 if one.facts.family != "z-image" else bytes_in(_shared(model._first.transformer))
    assert model.bytes == alone + bytes_in(model._nets.of(order)) - shared
    left = [
        weakref.ref(part) for part in (*parts_of(model._first).values(), *model._nets.of(order))
    ]
    model.close()
    assert len(left) > 3
    assert [one() for one in left] == [None] * len(left)


def _shared(transformer: Any) -> list[Any]:
    """What ControlNets of Z-Image share with the denoiser."""
    names = ["t_embedder", "all_x_embedder", "cap_embedder", "noise_refiner", "context_refiner"]
    pads = [torch.nn.ParameterList([transformer.x_pad_token, transformer.cap_pad_token])]
    return [*(getattr(transformer, name) for name in names), *pads]


def test_several_at_once_and_a_map_as_it_is(kind: tuple[Model, list[Path]]) -> None:
    one, (net, other) = kind
    if one.facts.family in ("qwen-image", "sana", "z-image"):
        with pytest.raises(InvalidOption, match="at most 1 at once"):
            resolved(one.facts, canny(), canny())
        return
    model = one.load()
    task = Task.TEXT_TO_IMAGE
    first, second = drawing(picture()), picture()
    both = draw(model, followed(task, (net, canny(), first), (other, canny(weight=0.5), second)))
    alone = draw(model, followed(task, (net, canny(), first)))
    assert not np.array_equal(both, alone)
    edges = lines_of(ControlKind.CANNY, first)
    ready = draw(model, followed(task, (net, canny(prepared=True), edges)))
    assert np.array_equal(ready, alone)
    if one.facts.family == "sd1":  # FLUX.1's pipeline differs a little from the plain one
        nothing = draw(model, followed(task, (net, canny(weight=0), first)))
        assert np.array_equal(nothing, draw(model, order_of(task)))


def resolved(facts: Facts, *controls: Control) -> Recipe:
    """The Recipe of a Draft with controls, as a model of these facts completes it."""
    asset, net = "a" * 64, ModelRef(name="net", sha256="b" * 64)
    draft = Draft(
        prompt="a fox", controls=tuple(ControlDraft(asset=asset, kind=one.kind) for one in controls)
    )
    able = _capability(facts, Finding(Kind.PIPELINE, ""))
    named = tuple(one.model_copy(update={"model": net}) for one in controls)
    return able.resolve(draft, net, 1, Company(controls=named))


def test_a_family_that_follows_in_every_step_says_so() -> None:
    assert resolved(facts_of("sana", "1.6b"), canny()).controls
    with pytest.raises(InvalidOption, match="in every step"):
        resolved(facts_of("sana", "1.6b"), canny(end=0.5))
    assert resolved(facts_of("qwen-image", "base"), canny(end=0.5)).controls
    assert len(resolved(facts_of("flux1", "dev"), canny(), canny()).controls) == 2


def test_its_card_says_whom_it_steers_and_what_it_was_taught(
    kind: tuple[Model, list[Path]],
) -> None:
    one, (net, _) = kind
    if one.facts.family == "sd1":  # the width of a tiny one is nobody's
        with pytest.raises(WeightsRejected, match="does not know"):
            FAMILY.recognise(net, sha256_of)
        return
    card = FAMILY.recognise(net, sha256_of)
    assert card is not None
    assert card.capability.steers == one.facts.family
    assert card.capability.controls == (ControlKind.CANNY,)
    assert card.licence.spdx == UNSTATED
    (net / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    stated = FAMILY.recognise(net, sha256_of)
    (net / "README.md").unlink()
    assert stated is not None
    assert (stated.licence.spdx, stated.licence.commercial) == ("Apache-2.0", True)
    assert [file.name for file in card.files] == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]
    installed = Installed(card, {file.name: net / file.name for file in card.files})
    with pytest.raises(InvalidRequest, match="--control"):
        FAMILY.load(installed, Placement(threads=1))


def test_what_is_no_controlnet_is_left_to_others_or_refused(tmp_path: Path) -> None:
    assert FAMILY.recognise(tmp_path, sha256_of) is None
    (tmp_path / "config.json").write_text('{"_class_name": "ControlNetModel"}')
    with pytest.raises(WeightsRejected, match="Get the ControlNet again"):
        FAMILY.recognise(tmp_path, sha256_of)
    (tmp_path / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(WeightsRejected, match="pickled"):
        FAMILY.recognise(tmp_path, sha256_of)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(WeightsRejected, match="damaged"):
        FAMILY.recognise(tmp_path, sha256_of)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pipeline = tiny.sd1()
    model = Model(facts_of("sd1", "base"), tiny.save(pipeline, tmp_path / "model")).load()
    net = written(tiny.unet_control(pipeline), tmp_path / "canny")
    config = net / "config.json"
    config.write_text(
        config.read_text().replace('"cross_attention_dim": 16', '"cross_attention_dim": 24')
    )
    with pytest.raises(WeightsRejected, match="could not be loaded"):
        draw(model, followed(Task.TEXT_TO_IMAGE, (net, canny(), picture())))


def test_a_model_that_follows_by_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    facts = facts_of("flux1", "canny-dev")
    one = Model(facts, tiny.save(tiny.flux_following(), tmp_path / "FLUX.1-Canny-dev"))
    model = one.load()
    control = Control(asset="a" * 64, kind=ControlKind.CANNY)
    for task, name in facts.controls.items():
        pipeline = one.made(name)
        asked = asked_of(task, facts, pipeline)
        asked["control_image"] = image(lines_of(ControlKind.CANNY, drawing(picture())))
        generator = torch.Generator("cpu").manual_seed(SEED)
        expected = np.asarray(pipeline(**asked, generator=generator).images[0].convert("RGBA"))
        order = order_of(task, controls=(control,))
        drawn = draw(model, replace(order, controls=(drawing(picture()),)))
        assert np.array_equal(drawn, expected), task


def test_lines_are_white_where_a_picture_has_edges() -> None:
    square = np.full((64, 96, 4), 255, np.uint8)
    square[16:48, 32:64, :3] = 0
    inside = (slice(24, 40), slice(40, 56))
    for kind in (ControlKind.CANNY, ControlKind.SOFT_EDGE, ControlKind.SCRIBBLE):
        lines = lines_of(kind, square)
        assert lines.shape == square.shape
        assert (lines[..., 3] == 255).all()
        assert lines[14:18, 40:56, 0].max() == 255, kind
        assert lines[inside].max(axis=-1).min() == 255  # alpha alone
        assert lines[inside][..., :3].max() == 0, kind
    pen = np.full((64, 96, 4), 255, np.uint8)
    pen[30:32, 10:80, :3] = 0
    assert lines_of(ControlKind.LINEART, pen)[30:32, 20:70, 0].min() > 100
    assert lines_of(ControlKind.LINEART, pen)[:20].max(axis=(0, 1))[0] < 30
    assert np.array_equal(lines_of(ControlKind.TILE, square), square)


def test_a_plain_or_clear_picture_has_no_lines() -> None:
    clear = np.zeros((SIDE, SIDE, 4), np.uint8)
    for kind in (ControlKind.CANNY, ControlKind.LINEART, ControlKind.SOFT_EDGE):
        assert lines_of(kind, clear)[..., :3].max() == 0
    assert Image.fromarray(lines_of(ControlKind.GREY, clear)).getpixel((0, 0)) == (255,) * 4


@pytest.mark.parametrize("naming", ["original", "prefixed", "diffusers"])
def test_a_controlnet_in_one_file_is_that_of_its_folder(
    naming: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    pipeline = tiny.sd1(width=768)
    pipeline.register_modules(vae=tiny.wide_vae())
    monkeypatch.setattr(one_file, "PARTS", {"sd1": {"unet": dict(pipeline.unet.config)}})
    net = tiny.diffusers.ControlNetModel.from_unet(pipeline.unet)
    folder = written(shaken(net), tmp_path / "folder-canny")
    tensors = net.state_dict()
    if naming != "diffusers":
        tensors = original_control(tensors)
    if naming == "prefixed":
        tensors = {f"control_model.{name}": one for name, one in tensors.items()}
    path = tmp_path / "control_v11p_sd15_canny.safetensors"
    safetensors.torch.save_file({name: one.clone() for name, one in tensors.items()}, path)
    card = FAMILY.recognise(path, sha256_of)
    assert card is not None
    assert (card.capability.steers, card.files[0].name) == ("sd1", "controlnet.safetensors")
    assert card.capability.controls == (ControlKind.CANNY,)
    model = Model(facts_of("sd1", "base"), tiny.save(pipeline, tmp_path / "model")).load()
    order = followed(Task.TEXT_TO_IMAGE, (folder, canny(), picture()))
    expected = draw(model, order)
    ref = order.recipe.controls[0].model
    assert ref is not None
    alone = ModelRef(name="one", sha256="9" * 64)
    recipe = order.recipe.model_copy(
        update={"controls": (order.recipe.controls[0].model_copy(update={"model": alone}),)}
    )
    parts = {alone.sha256: {"controlnet.safetensors": path}}
    drawn = draw(model, replace(order, recipe=recipe, parts=parts))
    assert np.abs(drawn.astype(int) - expected).max() <= 1


def original_control(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors under the names that ControlNets were first published with."""
    made = {}
    layers = tiny.diffusers.loaders.single_file_utils.DIFFUSERS_TO_LDM_MAPPING["controlnet"][
        "layers"
    ]
    for name, one in tensors.items():
        if name in layers:
            made[layers[name]] = one
        else:
            made[control_name(name)] = one
    return made


def control_name(name: str) -> str:
    """The original name of a block's tensor: two blocks of one layer each, one going down."""
    if name.startswith("controlnet_down_blocks."):
        number, rest = name.removeprefix("controlnet_down_blocks.").split(".", 1)
        return f"zero_convs.{number}.0.{rest}"
    if name.startswith("controlnet_cond_embedding.blocks."):
        number, rest = name.removeprefix("controlnet_cond_embedding.blocks.").split(".", 1)
        return f"input_hint_block.{2 * int(number) + 2}.{rest}"
    if name.startswith("controlnet_mid_block."):
        return name.replace("controlnet_mid_block.", "middle_block_out.0.")
    return original.unet_name(name, layers=1)
