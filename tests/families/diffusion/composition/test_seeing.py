"""Networks that see depths and poses, from tiny ones of the real classes."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from limner.domain.card import ModelCard
from limner.domain.composition import Control, ControlKind
from limner.domain.errors import InvalidImage, InvalidRequest, WeightsRejected
from limner.domain.recipe import Size
from limner.families.checkpoint import local_file
from limner.families.diffusion.companions.sight import CONFIG, FAMILY, FINDER, WEIGHTS, sight_of
from limner.families.family import Pixels, Placement
from tests.families.pictures import photo

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the lines above ask for
import transformers  # noqa: E402

from limner.families.diffusion.composition import poses  # noqa: E402
from limner.families.diffusion.composition.poses import Box, PoseNetworks, drawn, from_heat  # noqa: E402
from limner.families.diffusion.composition.seeing import Eyes  # noqa: E402
from limner.families.diffusion.loading.pipelines import Device  # noqa: E402

DEVICE = Device("cpu", "float32")
NETWORKS: Any = transformers
"""Without its types, which know not all that its configurations take."""


def dpt(folder: Path) -> Path:
    config = NETWORKS.DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=384,
        patch_size=32,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        is_hybrid=False,
    )
    return contrasting(NETWORKS.DPTForDepthEstimation(config), folder)


def depth_anything(folder: Path) -> Path:
    backbone = NETWORKS.Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=1,
        image_size=518,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = NETWORKS.DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
    )
    return contrasting(NETWORKS.DepthAnythingForDepthEstimation(config), folder)


def contrasting(network: Any, folder: Path) -> Path:
    """Keep a network with random weights, its answers spread as a trained one's are."""
    last: Any = [one for one in network.head.modules() if isinstance(one, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight.mul_(1e6)
        last.bias.fill_(1e3)
    network.save_pretrained(folder)
    return folder


def vitpose(folder: Path, *, heat: float = 0.0, experts: int = 1) -> Path:
    """A network whose maps are all about as hot as `heat`."""
    backbone = NETWORKS.VitPoseBackboneConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_experts=experts,
        part_features=8,
        out_indices=[2],
        image_size=[256, 192],
    )
    config = NETWORKS.VitPoseConfig(
        backbone_config=backbone, num_labels=17, use_simple_decoder=True
    )
    network = NETWORKS.VitPoseForPoseEstimation(config)
    with torch.no_grad():
        network.head.conv.bias.fill_(heat)
        network.head.conv.weight.mul_(0.01)
    network.save_pretrained(folder)
    return folder


def described(folder: Path, kind: str) -> Path:
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(json.dumps({"model_type": kind}))
    return folder


def recognised(folder: Path) -> ModelCard | None:
    return FAMILY.recognise(folder, local_sha)


def local_sha(path: Path) -> str:
    return f"{path.stat().st_size:064x}"


def seen(folder: Path, kind: ControlKind, picture: Pixels) -> Pixels:
    card = recognised(folder)
    assert card is not None
    assert card.capability.prepares == (kind,)
    control = Control(asset="a" * 64, kind=kind, preparer=card.ref)
    files = {file.name: folder / file.name for file in card.files}
    return Eyes(DEVICE).see(control, picture, files)


@pytest.mark.parametrize("make", [dpt, depth_anything])
def test_depths_are_seen_from_black_to_white(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    torch.manual_seed(0)
    picture = photo(120, 90)
    depths = seen(make(tmp_path / "net"), ControlKind.DEPTH, picture)
    assert depths.shape == picture.shape
    assert (depths[..., 3] == 255).all()
    assert (depths[..., 0].min(), depths[..., 0].max()) == (0, 255)
    assert (depths[..., 0] == depths[..., 1]).all()


def test_what_sees_draws_nothing(tmp_path: Path) -> None:
    card = recognised(dpt(tmp_path / "dpt"))
    assert card is not None
    installed: Any = SimpleNamespace(card=card)
    with pytest.raises(InvalidRequest, match="sees depths and draws nothing"):
        FAMILY.load(installed, Placement(1))


@pytest.mark.parametrize("kind", ["dpt", "depth_anything", "vitpose"])
def test_a_network_without_safetensors_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(WeightsRejected, match=WEIGHTS):
        recognised(described(tmp_path / "net", kind))


def test_other_folders_are_others(tmp_path: Path) -> None:
    assert recognised(described(tmp_path / "bert", "bert")) is None
    assert recognised(tmp_path) is None


def test_what_lies_as_finder_must_be_one(tmp_path: Path) -> None:
    folder = vitpose(tmp_path / "pose")
    described(folder / FINDER, "bert")
    with pytest.raises(WeightsRejected, match="RT-DETR"):
        recognised(folder)


def test_nobody_seen_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidImage, match="Nobody is seen"):
        seen(vitpose(tmp_path / "pose"), ControlKind.POSE, photo(96, 128))


@pytest.mark.parametrize("experts", [1, 3])
def test_a_pose_is_drawn_on_black(tmp_path: Path, experts: int) -> None:
    torch.manual_seed(0)
    folder = vitpose(tmp_path / "pose", heat=0.9, experts=experts)
    pose = seen(folder, ControlKind.POSE, photo(96, 128))
    assert pose.shape == (128, 96, 4)
    assert (pose[..., 3] == 255).all()
    assert 0 < (pose[..., :3].max(-1) > 0).mean() < 0.6


def test_a_finder_lies_inside_and_is_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = vitpose(tmp_path / "pose", heat=0.9)
    finder(folder / FINDER)
    card = recognised(folder)
    assert card is not None
    assert f"{FINDER}/{WEIGHTS}" in {file.name for file in card.files}
    with pytest.raises(InvalidImage, match="Nobody is seen"):
        seen(folder, ControlKind.POSE, photo(96, 128))


def finder(folder: Path) -> None:
    """A tiny RT-DETR that is sure of nobody."""
    backbone = NETWORKS.RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 8, 8],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = NETWORKS.RTDetrConfig(
        backbone_config=backbone,
        encoder_in_channels=[8, 8, 8],
        encoder_hidden_dim=16,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        d_model=16,
        decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
        decoder_layers=1,
        num_queries=10,
        num_denoising=0,
        id2label={0: "person", 1: "bicycle"},
        label2id={"person": 0, "bicycle": 1},
    )
    network = NETWORKS.RTDetrForObjectDetection(config)
    network.save_pretrained(folder)


class Finder:
    """Finds two people in any picture, and one of whom it is not sure."""

    config = SimpleNamespace(id2label={0: "dog", 7: "person"})

    def __call__(self, batch: Any) -> Any:
        assert batch.shape == (1, 3, 640, 640)
        logits = torch.full((1, 3, 8), -9.0)
        logits[0, :, 7] = torch.tensor([2.0, 4.0, -1.0])
        logits[0, :, 0] = 9.0
        boxes = torch.tensor([[[0.25, 0.5, 0.2, 0.8], [0.75, 0.5, 0.3, 0.6], [0.5, 0.5, 1, 1]]])
        return SimpleNamespace(logits=logits, pred_boxes=boxes)


def test_people_are_where_they_are_found_the_surest_first() -> None:
    first, second = poses._boxes(Finder(), photo(200, 100), DEVICE)
    assert (first.left, first.top) == pytest.approx((120, 20), abs=0.1)
    assert (first.width, first.height) == pytest.approx((60, 60), abs=0.1)
    assert second.left == pytest.approx(30, abs=0.1)


def test_without_a_finder_the_whole_picture_is_one_person() -> None:
    assert poses._boxes(None, photo(200, 100), DEVICE) == [Box(0, 0, 200, 100)]


def test_a_roomy_box_has_the_shape_that_is_shown_around_the_same_middle() -> None:
    for box in (Box(10, 20, 30, 100), Box(10, 20, 300, 100)):
        roomy = box.roomy
        assert roomy.height / roomy.width == pytest.approx(256 / 192)
        assert roomy.width >= 1.25 * box.width - 1e-6
        assert roomy.height >= 1.25 * box.height - 1e-6
        assert roomy.left + roomy.width / 2 == pytest.approx(box.left + box.width / 2)
        assert roomy.top + roomy.height / 2 == pytest.approx(box.top + box.height / 2)


def heat_at(points: dict[int, tuple[int, int]]) -> np.ndarray:
    """Maps of heat with one hot cell (column, row) for some of COCO's points."""
    heat = np.zeros((17, 64, 48), np.float32)
    for number, (column, row) in points.items():
        heat[number, row, column] = 0.9
    return heat


def test_points_are_the_hottest_cells_in_the_order_of_openpose() -> None:
    heat = heat_at({0: (24, 10), 5: (34, 20), 6: (14, 20), 9: (40, 40)})
    points = from_heat(heat, Box(100, 50, 96, 128))
    assert points.shape == (18, 2)
    assert points[0].tolist() == [149, 71]
    assert points[5].tolist() == [169, 91]
    assert points[2].tolist() == [129, 91]
    assert points[1].tolist() == [149, 91]
    assert points[7].tolist() == [181, 131]
    assert np.isnan(points[[3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]]).all()


def test_a_point_leans_to_the_hotter_neighbour_and_cold_ones_are_none() -> None:
    heat = heat_at({0: (24, 10), 1: (5, 5)})
    heat[0, 10, 25] = 0.5
    heat[1] *= 0.2
    points = from_heat(heat, Box(0, 0, 48, 64))
    assert points[0].tolist() == [24.75, 10.5]
    assert np.isnan(points[15]).all()


def test_points_and_limbs_have_the_colours_of_openpose() -> None:
    points = np.full((18, 2), np.nan, np.float32)
    points[1], points[2], points[3] = (100, 50), (40, 50), (40, 110)
    picture = drawn([points], Size(width=200, height=150))
    assert picture[50, 100, :3].tolist() == [255, 85, 0]
    assert picture[50, 40, :3].tolist() == [255, 170, 0]
    assert picture[50, 70, :3].tolist() == [153, 0, 0]
    assert picture[80, 40, :3].tolist() == [153, 102, 0]
    assert not picture[:, 150:, :3].any()


def test_points_grow_with_the_picture() -> None:
    points = np.full((18, 2), np.nan, np.float32)
    points[0] = (1000, 1000)
    small, large = (drawn([points], Size(width=side, height=side)) for side in (1024, 2048))
    assert (large[..., 0] > 0).sum() > 3 * (small[..., 0] > 0).sum()


def test_everybody_is_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = vitpose(tmp_path / "pose")

    def points(_network: Any, _sight: Any, _plain: Pixels, box: Box, _device: Device) -> Any:
        found = np.full((18, 2), np.nan, np.float32)
        found[0] = (box.left + box.width / 2, box.top + box.height / 2)
        return found

    monkeypatch.setattr(poses, "_points", points)
    sight = sight_of({CONFIG: folder / CONFIG})
    networks = PoseNetworks(None, Finder())
    picture = poses.people_of(networks, sight, photo(200, 100), DEVICE)
    assert picture[50, 150, 0] == 255
    assert picture[50, 50, 0] == 255


def test_a_file_is_named_by_its_place(tmp_path: Path) -> None:
    folder = vitpose(tmp_path / "pose")
    card = recognised(folder)
    assert card is not None
    assert {file.name for file in card.files} == {CONFIG, WEIGHTS}
    assert card.files[0].sha256 == local_file(folder / CONFIG, local_sha).sha256
