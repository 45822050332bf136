"""ControlNets that learnt several kinds, and those in one file, draw what diffusers draws."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.domain.composition import Control, ControlKind
from limner.domain.errors import InvalidOption, WeightsRejected
from limner.domain.recipe import ModelRef, Task
from limner.families.checkpoint import sha256_of
from limner.families.diffusion.companions.control import FAMILY
from limner.families.diffusion.known.facts import facts_of
from limner.families.family import Order, Pixels

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytest.importorskip("cv2", reason="OpenCV comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import diffusers  # noqa: E402 - it needs what the lines above ask for
import safetensors.torch  # noqa: E402
import torch  # noqa: E402

from limner.families.diffusion.composition import alone as one_file  # noqa: E402
from limner.families.diffusion.composition.maps import lines_of  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402
from tests.families.diffusion.composition.test_steering import (  # noqa: E402
    draw,
    drawing,
    followed,
    shaken,
    written,
)
from tests.families.diffusion.drawing.test_driver import (  # noqa: E402
    SEED,
    Model,
    asked_of,
    image,
    order_of,
    picture,
)


def control(kind: ControlKind, **changes: Any) -> Control:
    return Control(asset="a" * 64, kind=kind, prepared=True, **changes)


def one_net(order: Order) -> Order:
    """The order with the first ControlNet for every control."""
    first = order.recipe.controls[0].model
    controls = tuple(one.model_copy(update={"model": first}) for one in order.recipe.controls)
    return Order(
        order.recipe.model_copy(update={"controls": controls}),
        order.inputs,
        order.controls,
        parts=order.parts,
    )


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("union")
    pipeline = tiny.sdxl()
    model = Model(facts_of("sdxl", "base"), tiny.save(pipeline, folder / "model"))
    return model, written(shaken(tiny.sdxl_union(pipeline)), folder / "union")


CANNY, POSE = ControlKind.CANNY, ControlKind.POSE
KINDS = {"one": ((CANNY, 0.8),), "two": ((CANNY, 0.8), (POSE, 0.5))}


@pytest.mark.parametrize("task", [Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINT])
@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_a_union_takes_all_pictures_by_itself(
    sdxl: tuple[Model, Path], kinds: tuple[tuple[ControlKind, float], ...], task: Task
) -> None:
    one, net = sdxl
    model = one.load()
    maps = [drawing(picture()), picture()][: len(kinds)]
    asked = [
        (net, control(kind, weight=weight, end=0.75), pixels)
        for (kind, weight), pixels in zip(kinds, maps, strict=True)
    ]
    order = one_net(Order(**vars(followed(task, *asked))))
    drawn = draw(model, order)
    wanted: Any = getattr(diffusers, one.facts.unions[task])
    plain = one.made(one.facts.pipelines[task])
    loaded = model._nets.of(order)[0]
    assert type(loaded).__name__ == "ControlNetUnionModel"
    pipeline = wanted(**{**plain.components, "controlnet": loaded})
    given = asked_of(task, one.facts, pipeline)
    expected = pipeline(
        **given,
        control_image=[image(pixels) for pixels in maps],
        control_mode=[{CANNY: 3, POSE: 0}[kind] for kind, _ in kinds],
        controlnet_conditioning_scale=[weight for _, weight in kinds],
        control_guidance_start=[0.0] * len(kinds),
        control_guidance_end=[0.75] * len(kinds),
        generator=torch.Generator("cpu").manual_seed(SEED),
    ).images[0]
    assert np.array_equal(drawn, np.asarray(expected.convert("RGBA")))
    assert not np.array_equal(drawn, draw(model, order_of(task)))


def test_two_unions_are_two_nets(sdxl: tuple[Model, Path], tmp_path: Path) -> None:
    one, net = sdxl
    model = one.load()
    other = written(shaken(tiny.sdxl_union(model._first)), tmp_path / "other")
    asked = [(net, control(CANNY), picture()), (other, control(POSE), drawing(picture()))]
    both = draw(model, followed(Task.TEXT_TO_IMAGE, *asked))
    assert not np.array_equal(both, draw(model, followed(Task.TEXT_TO_IMAGE, asked[0])))


def test_a_union_says_what_it_was_not_taught(sdxl: tuple[Model, Path], tmp_path: Path) -> None:
    one, net = sdxl
    model = one.load()
    for kind in (ControlKind.GREY, ControlKind.TILE):
        with pytest.raises(InvalidOption, match=f"union was not taught {kind}. It was taught: po"):
            draw(model, followed(Task.TEXT_TO_IMAGE, (net, control(kind), picture())))
    plain = written(shaken(tiny.unet_control(model._first)), tmp_path / "plain")
    asked = [(net, control(CANNY), picture()), (plain, control(CANNY), picture())]
    with pytest.raises(InvalidOption, match="does not go together with plain"):
        draw(model, followed(Task.TEXT_TO_IMAGE, *asked))


def test_a_union_in_one_file(
    sdxl: tuple[Model, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, net = sdxl
    model = one.load()
    loaded = model._nets.of(followed(Task.TEXT_TO_IMAGE, (net, control(CANNY), picture())))[0]
    shape = {**loaded.config}
    monkeypatch.setattr(one_file, "PARTS", {"sdxl": {"unet": _without(shape, "num_control_type")}})
    path = tmp_path / "xinsir_promax.safetensors"
    safetensors.torch.save_file(loaded.state_dict(), path)
    assert_same(model, net, path, "sdxl")


def _without(settings: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != name and key[0] != "_"}


def assert_same(model: Any, folder: Path, path: Path, family: str) -> None:
    """Assert that a ControlNet in one file is known, and draws what its folder draws."""
    card = FAMILY.recognise(path, sha256_of)
    assert card is not None
    assert (card.capability.steers, card.files[0].name) == (family, "controlnet.safetensors")
    order = followed(Task.TEXT_TO_IMAGE, (folder, control(CANNY), drawing(picture())))
    assert np.array_equal(draw(model, alone(order, path)), draw(model, order))
    assert not np.array_equal(draw(model, order), draw(model, order_of(Task.TEXT_TO_IMAGE)))


def alone(order: Order, path: Path) -> Order:
    """The order with the file in place of its ControlNet's folder."""
    ref = ModelRef(name="one", sha256="9" * 64)
    changed = order.recipe.controls[0].model_copy(update={"model": ref})
    recipe = order.recipe.model_copy(update={"controls": (changed,)})
    parts = {ref.sha256: {"controlnet.safetensors": path}}
    return Order(recipe, order.inputs, order.controls, parts=parts)


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Model:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("flux") / "model"
    return Model(facts_of("flux1", "dev"), tiny.save(tiny.flux(), folder))


FLUX: dict[str, dict[str, Any]] = {
    "plain": {},
    "union": {"num_mode": 10},
    "deep": {"num_layers": 3, "num_single_layers": 0, "guidance_embeds": False},
}


@pytest.mark.parametrize("made", FLUX.values(), ids=FLUX)
def test_flux_in_one_file(flux: Model, made: dict[str, Any], tmp_path: Path) -> None:
    model = flux.load()
    net = shaken(tiny.flux_control(model._first, **made))
    folder = written(net, tmp_path / "FLUX.1-dev-ControlNet")
    path = tmp_path / "FLUX.1-dev-ControlNet-Union-Pro.safetensors"
    safetensors.torch.save_file(net.state_dict(), path)
    assert_same(model, folder, path, "flux1")
    assert shape_of(one_file.read_alone(path, model._first)) == shape_of(net)


def shape_of(net: Any) -> dict[str, Any]:
    """What a net was made with; a tuple is a list once it was written."""
    shape = {key: one for key, one in net.config.items() if key[0] != "_"}
    return {**shape, "axes_dims_rope": list(shape["axes_dims_rope"])}


def test_flux_that_reads_pictures_by_a_net_in_one_file(flux: Model, tmp_path: Path) -> None:
    pipeline = flux.load()._first
    net = shaken(tiny.flux_control(pipeline, conditioning_embedding_channels=16, patch_size=2))
    path = tmp_path / "flux-canny-controlnet-diffusers.safetensors"
    safetensors.torch.save_file(net.state_dict(), path)
    loaded = one_file.read_alone(path, pipeline)
    assert shape_of(loaded) == shape_of(net)
    assert all(torch.equal(one, net.state_dict()[key]) for key, one in loaded.state_dict().items())


def test_qwen_image_in_one_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pipeline = tiny.qwen_image(layers=2)
    model = Model(facts_of("qwen-image", "base"), tiny.save(pipeline, tmp_path / "model")).load()
    net = shaken(tiny.qwen_control(pipeline, num_layers=2))
    folder = written(net, tmp_path / "net")
    path = tmp_path / "Qwen-Image-InstantX-ControlNet-Union.sft"
    safetensors.torch.save_file(net.state_dict(), path)
    assert_same(model, folder, path, "qwen-image")
    assert shape_of(one_file.read_alone(path, model._first)) == shape_of(net)


@pytest.mark.parametrize("task", [Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINT])
@pytest.mark.parametrize("modes", [(None, None), (0, None), (None, 4), (0, 4)])
def test_unions_and_others_of_flux_steer_together(
    flux: Model, modes: tuple[int | None, int | None], task: Task, tmp_path: Path
) -> None:
    model = flux.load()
    maps = [drawing(picture()), picture()]
    kinds = (CANNY, POSE)
    asked = []
    for place, (mode, kind) in enumerate(zip(modes, kinds, strict=True)):
        union = {} if mode is None else {"num_mode": 5}
        net = shaken(tiny.flux_control(model._first, **union))
        folder = written(net, tmp_path / f"net-{place}")
        asked.append((folder, control(kind, weight=0.8, end=0.75), maps[place]))
    order = followed(task, *asked)
    drawn = draw(model, order)
    wanted: Any = getattr(diffusers, flux.facts.controls[task])
    parts = dict(flux.made(flux.facts.pipelines[task]).components)
    known = wanted._get_signature_keys(wanted)[0]
    parts = {name: one for name, one in parts.items() if name in known}
    pipeline = wanted(**parts, controlnet=list(model._nets.of(order)))
    expected = pipeline(
        **asked_of(task, flux.facts, pipeline),
        control_image=[image(pixels) for pixels in maps],
        control_mode=list(modes),
        controlnet_conditioning_scale=[0.8, 0.8],
        control_guidance_end=[0.75, 0.75],
        generator=torch.Generator("cpu").manual_seed(SEED),
    ).images[0]
    assert np.array_equal(drawn, np.asarray(expected.convert("RGBA")))


def test_a_union_of_flux_takes_all_lines_for_edges_and_refuses_what_it_was_not_taught(
    flux: Model, tmp_path: Path
) -> None:
    model = flux.load()
    net = written(shaken(tiny.flux_control(model._first, num_mode=2)), tmp_path / "union")
    task, lines = Task.TEXT_TO_IMAGE, drawing(picture())
    edges = draw(model, followed(task, (net, control(CANNY), lines)))
    for kind in (ControlKind.LINEART, ControlKind.SOFT_EDGE, ControlKind.SCRIBBLE):
        assert np.array_equal(draw(model, followed(task, (net, control(kind), lines))), edges)
    tiled = draw(model, followed(task, (net, control(ControlKind.TILE), lines)))
    assert not np.array_equal(tiled, edges)
    taught = "canny, lineart, softedge, scribble, tile"
    with pytest.raises(InvalidOption, match=f"union was not taught pose. It was taught: {taught}."):
        draw(model, followed(task, (net, control(POSE), lines)))


def test_nets_of_flux_that_were_not_taught_alike_do_not_mix(flux: Model, tmp_path: Path) -> None:
    model = flux.load()
    one = written(shaken(tiny.flux_control(model._first)), tmp_path / "guided")
    other = written(
        shaken(tiny.flux_control(model._first, guidance_embeds=False)), tmp_path / "free"
    )
    asked = [(net, control(CANNY), picture()) for net in (one, other)]
    with pytest.raises(InvalidOption, match="guided and free do not steer together"):
        draw(model, followed(Task.TEXT_TO_IMAGE, *asked))


def test_a_net_of_z_image_without_a_mask_does_not_inpaint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pipeline = tiny.z_image()
    model = Model(facts_of("z-image", "turbo"), tiny.save(pipeline, tmp_path / "model")).load()
    net = written(shaken(tiny.z_image_control(pipeline, "1.0")), tmp_path / "old")
    with pytest.raises(InvalidOption, match="old knows nothing of masks"):
        draw(model, followed(Task.INPAINT, (net, control(CANNY), picture())))


def test_a_folder_in_half_precision_is_read(flux: Model, tmp_path: Path) -> None:
    model = flux.load()
    net = shaken(tiny.flux_control(model._first)).half()
    net.save_pretrained(tmp_path / "half", variant="fp16")
    whole = written(net.float(), tmp_path / "whole")
    half, same = (
        draw(model, followed(Task.TEXT_TO_IMAGE, (one, control(CANNY), picture())))
        for one in (tmp_path / "half", whole)
    )
    assert np.array_equal(half, same)


@pytest.mark.parametrize("version", ["1.0", "2.0", "2.1"])
def test_z_image_in_one_file(version: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    pipeline = tiny.z_image()
    model = Model(facts_of("z-image", "turbo"), tiny.save(pipeline, tmp_path / "model")).load()
    net = shaken(tiny.z_image_control(pipeline, version))
    folder = written(net, tmp_path / "net")
    tensors = dict(net.state_dict())
    if version == "2.0":  # what was never trained is still in the file
        spare = tiny.z_image_control(pipeline).state_dict()
        tensors |= {
            name: torch.zeros_like(one)
            for name, one in spare.items()
            if name.startswith("control_noise_refiner.")
        }
    path = tmp_path / "Z-Image-Turbo-Fun-Controlnet-Union.safetensors"
    safetensors.torch.save_file(tensors, path)
    assert_same(model, folder, path, "z-image")


def test_a_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pipeline = tiny.z_image()
    model = Model(facts_of("z-image", "turbo"), tiny.save(pipeline, tmp_path / "model")).load()
    net = shaken(tiny.z_image_control(pipeline))
    tensors = {name: one for name, one in net.state_dict().items() if "to_q" not in name}
    path = tmp_path / "cut.safetensors"
    safetensors.torch.save_file(tensors, path)
    order = followed(Task.TEXT_TO_IMAGE, (written(net, tmp_path / "net"), control(CANNY), _any()))
    with pytest.raises(WeightsRejected, match="does not fit a ControlNet of Z-Image"):
        draw(model, alone(order, path))


def _any() -> Pixels:
    return lines_of(CANNY, picture())


def test_a_net_of_another_shape_is_told_apart(sdxl: tuple[Model, Path], tmp_path: Path) -> None:
    one, _ = sdxl
    model = one.load()
    net = shaken(
        diffusers.ControlNetModel.from_unet(
            model._first.unet, conditioning_embedding_out_channels=(4, 8, 16)
        )
    )
    order = followed(
        Task.TEXT_TO_IMAGE, (written(net, tmp_path / "odd"), control(CANNY), picture())
    )
    with pytest.raises(InvalidOption, match="odd does not fit this model"):
        draw(model, order)
