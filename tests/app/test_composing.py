"""Pictures composed by controls, references and layouts, as people ask for them and get them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from limner.app.composing import read_control, read_layout, read_reference
from limner.app.desk import Desk
from limner.app.lineage import lineage_of
from limner.app.replay import Likeness, replay
from limner.app.settings import Settings
from limner.app.wiring import open_desk
from limner.domain.asset import Relation
from limner.domain.composition import ControlKind, Purpose
from limner.domain.errors import InvalidOption, LimnerError, ModelUnavailable
from limner.provenance.foreign.reading import read_settings

pytestmark = pytest.mark.filterwarnings("ignore")


class Brought:
    """An asset by its file's name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name.encode().hex().ljust(64, "0")[:64]


def bring(path: Path) -> Any:
    return Brought(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("canny=a.png", (ControlKind.CANNY, False, None, "a.png", 1.0, 0.0, 1.0)),
        ("canny=a.png:0.8", (ControlKind.CANNY, False, None, "a.png", 0.8, 0.0, 1.0)),
        ("depth-map=b.png:1:0-0.6", (ControlKind.DEPTH, True, None, "b.png", 1.0, 0.0, 0.6)),
        ("tile@net/x=c=d.png:.5", (ControlKind.TILE, False, "net/x", "c=d.png", 0.5, 0.0, 1.0)),
        ("lineart=C:/pics/a.png", (ControlKind.LINEART, False, None, "C:/pics/a.png", 1, 0, 1)),
    ],
)
def test_a_control_is_read(text: str, expected: tuple[object, ...]) -> None:
    seen: list[Path] = []

    def brought(path: Path) -> Any:
        seen.append(path)
        return Brought(path)

    one = read_control(text, brought)
    file = seen[0].as_posix()
    assert (one.kind, one.prepared, one.model, file, one.weight, one.start, one.end) == expected


@pytest.mark.parametrize(
    "text",
    ["", "canny", "nonsense=a.png", "canny=", "canny=a.png:3", "canny=a.png:1:0.5-0.5", "=a.png"],
)
def test_what_is_no_control_is_said_so(text: str) -> None:
    with pytest.raises(InvalidOption):
        read_control(text, bring)


def test_a_number_that_is_too_large_is_told_with_the_most() -> None:
    with pytest.raises(InvalidOption, match=r"weight: it must be at most 2\."):
        read_control("canny=a.png:3", bring)


def test_a_reference_is_read() -> None:
    plain = read_reference("shoe.png", bring)
    assert (plain.purpose, plain.weight, plain.model) == (Purpose.SUBJECT, 1.0, None)
    style = read_reference("@ip/adapter.safetensors=shoe.png:style:0.6", bring)
    assert (style.purpose, style.weight, style.model) == (
        Purpose.STYLE,
        0.6,
        "ip/adapter.safetensors",
    )
    with pytest.raises(InvalidOption):
        read_reference("shoe.png:style:7", bring)


def test_a_layout_is_read(tmp_path: Path) -> None:
    path = tmp_path / "layout.yaml"
    path.write_text("- prompt: a fox\n  box: [0, 0.5, 0.5, 1]\n- {prompt: sky, mask: sky.png}\n")
    fox, sky = read_layout(path, bring)
    assert fox.box is not None
    assert (fox.box.left, fox.box.top, fox.box.right, fox.box.bottom) == (0, 0.5, 0.5, 1)
    assert sky.mask == Brought(tmp_path / "sky.png").id
    path.write_text(json.dumps({"regions": [{"prompt": "a fox", "box": [0, 0, 1, 1]}]}))
    assert len(read_layout(path, bring)) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe\x00", "neither JSON nor YAML"),
        (b"[1, 2]", "a list of regions"),
        (b"just words", "a list of regions"),
        (b'[{"prompt": "a fox", "where": [0, 0, 1, 1]}]', "has no “where”"),
        (b'[{"prompt": "a fox", "box": [0.5, 0, 0.5, 1]}]', "from left to right"),
        (b'[{"prompt": "", "box": [0, 0, 1, 1]}]', "prompt"),
        (b'[{"prompt": "a fox"}]', "either a box or a mask"),
        (b'[{"prompt": "a fox", "box": [0, 0, 1]}]', "bottom"),
    ],
)
def test_what_is_no_layout_is_said_so(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "layout.json"
    path.write_bytes(content)
    with pytest.raises(InvalidOption, match=message):
        read_layout(path, bring)


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    with open_desk(Settings(home=tmp_path / "home", offline=True, threads=1)) as opened:
        yield opened


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.full((300, 450, 3), 230, np.uint8)
    pixels[100:200, 150:300] = (200, 40, 30)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def test_vellum_says_what_it_does_not_follow(desk: Desk, photo: Path) -> None:
    with pytest.raises(InvalidOption, match="vellum"):
        desk.generate("a fox", controls=[f"canny={photo}"])
    with pytest.raises(InvalidOption, match="vellum"):
        desk.generate("a fox", references=[str(photo)])


def test_vellum_keeps_to_a_layout(desk: Desk, tmp_path: Path) -> None:
    layout = tmp_path / "layout.json"
    layout.write_text('[{"prompt": "a fox", "box": [0, 0, 0.5, 1]}]')
    [made] = desk.generate("", layout=layout, steps=1, size="128x128")
    [region] = made.recipe.layout
    assert region.prompt == "a fox"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of Stable Diffusion 1 and two ControlNets for it, all tiny."""
    pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
    pytest.importorskip("cv2", reason="OpenCV comes with the extra [torch]")
    import torch

    from tests.families.diffusion import tiny
    from tests.families.diffusion.composition.test_steering import shaken

    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("composed")
    pipeline = tiny.sd1(width=768)
    pipeline.register_modules(vae=tiny.wide_vae())
    tiny.save(pipeline, folder / "paint")
    for name in ("canny", "lineart"):
        net = tiny.diffusers.ControlNetModel.from_unet(
            pipeline.unet, conditioning_embedding_out_channels=(4, 4, 8, 8)
        )
        shaken(net).save_pretrained(folder / "nets" / f"control-{name}")
    return folder


def test_a_picture_follows_another_and_says_so(desk: Desk, made: Path, photo: Path) -> None:
    asked: dict[str, Any] = {"model": str(made / "paint"), "steps": 2, "seed": 3}
    controls = [f"canny={photo}:0.8:0-0.9"]
    with pytest.raises(ModelUnavailable, match="no ControlNet for sd1 and canny here"):
        desk.generate("a hall", controls=controls, **asked)
    desk.studio.models.catalog.collection.add(made / "nets")
    (plain,) = desk.generate("a hall", size="672x448", **asked)
    (one,) = desk.generate("a hall", controls=controls, **asked)
    control = one.recipe.controls[0]
    assert control.model is not None
    assert (control.model.name, control.weight, control.end) == ("control-canny", 0.8, 0.9)
    assert one.asset.size.width / one.asset.size.height == pytest.approx(1.5, abs=0.05)
    assert one.asset.pixel_digest != plain.asset.pixel_digest
    assert [parent.relation for parent in one.asset.parents] == [Relation.CONTROL]
    assert "control-canny" in [terms.model for terms in one.asset.terms]
    answer = replay(desk.studio, desk.actor, desk.workspace, one.asset)
    assert answer.likeness is Likeness.IDENTICAL
    declared = desk.verify(one.file).declared
    assert declared is not None
    assert declared.recipe == one.recipe
    settings = read_settings(one.file)
    assert settings is not None
    assert settings.draft.controls[0].model == "control-canny"
    tree = lineage_of(desk.studio.library, desk.actor, desk.workspace, one.asset.id)
    assert [relative.relation for relative in tree.ancestors] == [Relation.CONTROL]


def test_layouts_and_masks_are_drawn_and_kept(
    desk: Desk, made: Path, photo: Path, tmp_path: Path
) -> None:
    layout = tmp_path / "layout.json"
    Image.new("L", (30, 20), 255).save(tmp_path / "sky.png")
    regions = [
        {"prompt": "a fox", "box": [0, 0, 0.5, 1]},
        {"prompt": "the sky", "mask": "sky.png", "weight": 0.5},
    ]
    layout.write_text(json.dumps(regions))
    asked: dict[str, Any] = {"model": str(made / "paint"), "steps": 2, "seed": 3}
    (one,) = desk.generate("a field", layout=layout, **asked)
    assert [region.prompt for region in one.recipe.layout] == ["a fox", "the sky"]
    assert [parent.relation for parent in one.asset.parents] == [Relation.REGION]
    (plain,) = desk.generate("a field", **asked)
    assert one.asset.pixel_digest != plain.asset.pixel_digest
    edited = desk.edit(photo, "a field", layout=layout, **asked)
    assert {parent.relation for parent in edited.asset.parents} == {Relation.INIT, Relation.REGION}


def test_a_picture_is_redrawn_larger_with_all_that_redrawing_takes(
    desk: Desk, made: Path, photo: Path
) -> None:
    asked: dict[str, Any] = {"model": str(made / "paint"), "steps": 2, "seed": 3, "strength": 0.5}
    net = made / "nets" / "control-canny"
    asked |= {"size": "700x460", "prompt": "a hall"}
    plain = desk.upscale(photo, **asked)
    for more in (
        {"controls": [f"canny@{net}={photo}:0.8"]},
        {"negative_prompt": "snow"},
        {"sampler": "heun"},
        {"guidance": 2.0},
        {"clip_skip": 1},
    ):
        one = desk.upscale(photo, **asked, **more)
        assert one.asset.size == plain.asset.size, more
        assert one.asset.pixel_digest != plain.asset.pixel_digest, more
    followed = desk.upscale(photo, **asked, controls=[f"canny@{net}={photo}"])
    assert [one.kind for one in followed.recipe.controls] == ["canny"]
    answer = replay(desk.studio, desk.actor, desk.workspace, followed.asset)
    assert answer.likeness is Likeness.IDENTICAL


def test_what_cannot_be_followed_is_said(desk: Desk, made: Path, photo: Path) -> None:
    asked: dict[str, Any] = {"model": str(made / "paint"), "steps": 1, "seed": 3}
    nets = made / "nets"
    for control, message in (
        (f"canny@{made / 'paint'}={photo}", "needs a ControlNet for sd1"),
        (f"depth={photo}", "no ControlNet for sd1 and depth here"),
        (f"depth@{nets / 'control-canny'}={photo}", "no model here that sees depth"),
        (f"canny@{nets / 'nothing'}={photo}", "no file or folder"),
        (f"canny={photo.with_name('none.png')}", "none.png"),
    ):
        with pytest.raises(LimnerError, match=message):
            desk.generate("a hall", controls=[control], **asked)
    with pytest.raises(LimnerError, match="draws nothing by itself: it is control for sd1"):
        desk.generate("a hall", model=str(nets / "control-canny"))
