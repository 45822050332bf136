"""MI-GAN: around the network every promise is kept; with the real one, holes are filled well."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from limner.domain.card import Installed
from limner.domain.errors import Cancelled, InvalidImage, InvalidRequest, WeightsRejected
from limner.domain.event import Step
from limner.domain.recipe import Task
from limner.families.checkpoint import sha256_of
from limner.families.family import LoadedModel, Pixels, Placement
from limner.families.migan import FAMILY
from limner.families.migan.holes import Box, boxes, continue_into
from tests.families.pictures import Witness, files_of, mask_of, order, photo

(CARD,) = FAMILY.cards()


def write_stand_in(path: Path, output: str = "result") -> Path:
    """Write a network with MI-GAN's inputs that fills holes, and changes all else, to 77."""
    shape: list[str | int | None] = ["n", 3, "h", "w"]
    single: list[str | int | None] = ["n", 1, "h", "w"]
    graph = helper.make_graph(
        [
            helper.make_node("And", ["of_image", "of_mask"], ["both"]),
            helper.make_node("Not", ["both"], ["none"]),
            helper.make_node("Or", ["both", "none"], ["all"]),
            helper.make_node("Cast", ["image"], ["of_image"], to=TensorProto.BOOL),
            helper.make_node("Cast", ["mask"], ["of_mask"], to=TensorProto.BOOL),
            helper.make_node("Where", ["all", "fill", "image"], [output]),
        ],
        "stand-in",
        [
            helper.make_tensor_value_info("image", TensorProto.UINT8, shape),
            helper.make_tensor_value_info("mask", TensorProto.UINT8, single),
        ],
        [helper.make_tensor_value_info(output, TensorProto.UINT8, shape)],
        [helper.make_tensor("fill", TensorProto.UINT8, [1], [77])],
    )
    ordered = [graph.node[index] for index in (3, 4, 0, 1, 2, 5)]
    del graph.node[:]
    graph.node.extend(ordered)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    path = write_stand_in(tmp_path_factory.mktemp("weights") / "stand-in.onnx")
    return FAMILY.load(Installed(CARD, {path.name: path}), Placement(1))


@pytest.fixture(scope="module")
def real() -> LoadedModel:
    return FAMILY.load(Installed(CARD, files_of(CARD)), Placement(1))


def erase(model: LoadedModel, pixels: Pixels, region: np.ndarray) -> Pixels:
    return model.perform([order(Task.ERASE, pixels, mask_of(region))], Witness().watch())[0]


def hole(height: int, width: int, *spans: tuple[slice, slice]) -> np.ndarray:
    region = np.zeros((height, width), bool)
    for span in spans:
        region[span] = True
    return region


def test_only_what_is_marked_changes_and_never_alpha(stand_in: LoadedModel) -> None:
    picture = photo(300, 200)
    picture[:90, :, 3] = np.arange(300, dtype=np.uint8)
    region = hole(200, 300, (slice(50, 120), slice(20, 90)), (slice(199, 200), slice(299, 300)))
    before = picture.copy()
    erased = erase(stand_in, picture, region)
    assert np.array_equal(erased[~region], before[~region])
    assert (erased[region][:, :3] == 77).all()
    assert np.array_equal(erased[..., 3], before[..., 3])
    assert np.array_equal(picture, before)


@pytest.mark.parametrize(("width", "height"), [(2, 1), (1, 2), (5, 3), (900, 1), (1, 700)])
def test_any_size(stand_in: LoadedModel, width: int, height: int) -> None:
    region = hole(height, width, (slice(0, 1), slice(0, 1)))
    erased = erase(stand_in, photo(width, height), region)
    assert (erased[0, 0, :3] == 77).all()
    assert erased.shape == (height, width, 4)


def test_every_hole_of_a_large_picture_is_filled(stand_in: LoadedModel) -> None:
    generator = np.random.default_rng(0)
    region = generator.random((1_100, 1_300)) < 0.0005
    region[900:, 1_000:1_200] = True
    erased = erase(stand_in, photo(1_300, 1_100), region)
    assert (erased[region][:, :3] == 77).all()


def test_steps_count_the_windows_and_a_stop_is_heard(stand_in: LoadedModel) -> None:
    region = hole(900, 900, (slice(0, 20), slice(0, 20)), (slice(800, 820), slice(800, 820)))
    given = order(Task.ERASE, photo(900, 900), mask_of(region))
    witness = Witness()
    stand_in.perform([given], witness.watch(first=3))
    assert witness.told == [Step(3, "erase", 1, 2), Step(3, "erase", 2, 2)]
    stopped = Witness(stop_after=1)
    with pytest.raises(Cancelled):
        stand_in.perform([given], stopped.watch())
    assert len(stopped.told) == 1


def test_a_mask_of_another_size_is_refused_with_both_sizes(stand_in: LoadedModel) -> None:
    given = order(Task.ERASE, photo(30, 20), mask_of(hole(30, 20, (slice(0, 9), slice(0, 9)))))
    with pytest.raises(InvalidImage, match=r"20x30.*30x20"):
        stand_in.perform([given], Witness().watch())


@pytest.mark.parametrize("value", [False, True])
def test_a_mask_of_nothing_or_everything_is_refused(stand_in: LoadedModel, value: bool) -> None:
    with pytest.raises(InvalidImage, match="nothing"):
        erase(stand_in, photo(30, 20), np.full((20, 30), value))


def test_missing_pictures_are_refused(stand_in: LoadedModel) -> None:
    for given in (order(Task.ERASE, photo(9, 9)), order(Task.ERASE, None, photo(9, 9))):
        with pytest.raises(InvalidRequest):
            stand_in.perform([given], Witness().watch())


def test_boxes_cover_everything_and_far_holes_stay_apart() -> None:
    region = hole(
        2_000,
        3_000,
        (slice(10, 20), slice(10, 20)),
        (slice(40, 60), slice(30, 50)),
        (slice(1_900, 1_990), slice(2_900, 3_000)),
        (slice(500, 1_500), slice(1_000, 1_100)),
    )
    found = boxes(region)
    assert len(found) == 3
    covered = np.zeros_like(region)
    for box in found:
        covered[box.slices] = True
        assert box.extent <= 1_100
    assert covered[region].all()


def test_a_sprinkled_mask_needs_few_windows() -> None:
    region = np.zeros((3_000, 4_000), bool)
    region[::100, ::100] = True
    assert len(boxes(region)) <= 100


def test_windows_show_what_is_around_and_stay_inside() -> None:
    window = Box(0, 900, 40, 1_000).window(1_000, 1_000)
    assert (window.top, window.right) == (0, 1_000)
    assert window.bottom >= 200
    assert window.left <= 740
    assert Box(0, 0, 1, 1).window(1, 1) == Box(0, 0, 1, 1)


def test_colours_are_continued_ring_by_ring() -> None:
    colours = np.full((9, 9, 3), 10, np.uint8)
    region = hole(9, 9, (slice(1, 8), slice(1, 8)))
    colours[region] = 250
    carried = continue_into(colours, region, 2)
    assert (carried[1:8, 1:3] == 10).all()
    assert (carried[3:6, 3:6] == 250).all()
    assert (continue_into(colours, region, 50) == 10).all()


def test_the_shape_of_the_network_is_recognised(tmp_path: Path) -> None:
    card = FAMILY.recognise(write_stand_in(tmp_path / "mine.onnx"), sha256_of)
    assert card is not None
    assert (card.name, card.family, card.licence.spdx) == ("mine", "migan", "NOASSERTION")
    assert FAMILY.recognise(write_stand_in(tmp_path / "other.onnx", "elsewhere"), sha256_of) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"hello" * 100,
        b"\x3a\xff\xff\xff\xff\x7f",
        b"\x3a" * 64,
        b"\x80" * 64,
        b"\x3a\x02\x5a\x00",
    ],
)
def test_other_files_are_not_recognised_or_loaded(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(content)
    assert FAMILY.recognise(path, sha256_of) is None
    with pytest.raises(WeightsRejected):
        FAMILY.load(Installed(CARD, {path.name: path}), Placement(1))


def test_missing_files_are_not_recognised(tmp_path: Path) -> None:
    assert FAMILY.recognise(tmp_path, sha256_of) is None
    assert FAMILY.recognise(tmp_path / "missing.onnx", sha256_of) is None


def test_the_real_network_continues_a_ground_over_an_object(real: LoadedModel) -> None:
    rows = np.linspace(60, 200, 300)[:, None]
    columns = np.linspace(0, 30, 400)[None]
    ground = np.dstack([rows + columns, rows * 0.8 + columns, rows * 0.5 + columns])
    clean = np.dstack([ground, np.full((300, 400), 255.0)]).astype(np.uint8)
    region = hole(300, 400, (slice(100, 180), slice(150, 260)))
    picture = clean.copy()
    picture[region] = (255, 0, 0, 255)
    erased = erase(real, picture, region)
    assert np.array_equal(erased[~region], clean[~region])
    wrong = np.abs(erased[region].astype(int) - clean[region])
    assert wrong.mean() < 8
    rim = region & ~hole(300, 400, (slice(102, 178), slice(152, 258)))
    assert np.abs(erased[rim].astype(int) - clean[rim]).max() < 24


def test_the_real_network_gives_the_same_bytes_again(real: LoadedModel) -> None:
    region = hole(80, 100, (slice(20, 60), slice(20, 60)))
    assert np.array_equal(erase(real, photo(100, 80), region), erase(real, photo(100, 80), region))


def test_the_real_network_is_recognised() -> None:
    (path,) = files_of(CARD).values()
    card = FAMILY.recognise(path, sha256_of)
    assert card is not None
    assert card.ref == CARD.ref
