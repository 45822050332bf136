"""Layouts: a region is drawn by its own words, what lies outside is not, whatever the family."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from limner.domain.composition import Box, Region
from limner.domain.recipe import Size, Task
from limner.families.diffusion.composition.regions import share_of
from limner.families.diffusion.known.facts import ARCHITECTURES, facts_of
from limner.families.family import Order, Pixels

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

from limner.families.diffusion.drawing.model import DiffusionModel  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402
from tests.families.diffusion.drawing.test_driver import SIDE, Model, Witness, mask, order_of  # noqa: E402

KINDS: Mapping[str, tuple[Callable[[], Any], str, str]] = {
    "sd1": (tiny.sd1, "sd1", "base"),
    "sd2": (tiny.sd2, "sd2", "base"),
    "sdxl": (tiny.sdxl, "sdxl", "base"),
    "sd3": (tiny.sd3, "sd3", "3.5-medium"),
    "flux1": (tiny.flux, "flux1", "dev"),
    "flux2": (tiny.flux2_klein, "flux2", "klein-base-4b"),
    "chroma": (tiny.chroma, "chroma", "base"),
    "pixart": (tiny.pixart, "pixart", "sigma"),
    "qwen-image": (tiny.qwen_image, "qwen-image", "base"),
}
LEFT = Region(prompt="cat cat cat", box=Box(left=0, top=0, right=0.5, bottom=1))
RIGHT = Region(prompt="a photo", box=Box(left=0.5, top=0, right=1, bottom=1))
EVERYWHERE = Box(left=0, top=0, right=1, bottom=1)


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> DiffusionModel:
    make, family, variant = KINDS[request.param]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return Model(facts_of(family, variant), pipeline=make()).load()


def laid(task: Task, *regions: Region, masks: tuple[Pixels | None, ...] = ()) -> Order:
    order = order_of(task, layout=regions)
    return replace(order, regions=masks or (None,) * len(regions))


def draw(model: DiffusionModel, order: Order) -> Pixels:
    return model.perform([order], Witness().watch)[0]


def test_every_laid_out_family_is_tried_here() -> None:
    laid_out = {one.family for one in ARCHITECTURES.values() if one.regions}
    assert {family for _, family, _ in KINDS.values()} == laid_out


def test_a_region_draws_by_its_own_words(model: DiffusionModel) -> None:
    task = Task.TEXT_TO_IMAGE
    plain, left = draw(model, laid(task)), draw(model, laid(task, LEFT))
    assert not np.array_equal(plain, left)
    assert np.array_equal(draw(model, laid(task, LEFT)), left)
    both = draw(model, laid(task, LEFT, RIGHT))
    assert not np.array_equal(both, left)
    # A region of the same words everywhere, at any weight, is the picture itself.
    same = Region(prompt=order_of(task).recipe.prompt, box=EVERYWHERE)
    near = draw(model, laid(task, same)).astype(int) - plain
    assert np.abs(near).max() <= 1
    nothing = draw(model, laid(task, LEFT.model_copy(update={"weight": 0.0}))).astype(int) - plain
    assert np.abs(nothing).max() <= 1
    assert np.array_equal(draw(model, laid(task)), plain)


def test_a_region_that_covers_all_draws_nearly_its_own_picture(model: DiffusionModel) -> None:
    task = Task.TEXT_TO_IMAGE
    alone = draw(model, order_of(task, prompt=LEFT.prompt))
    whole = draw(model, laid(task, Region(prompt=LEFT.prompt, box=EVERYWHERE)))
    plain = draw(model, laid(task))
    far, near = (np.abs(one.astype(int) - alone).mean() for one in (plain, whole))
    assert near < far / 2


@pytest.fixture(scope="module")
def small() -> DiffusionModel:
    torch.manual_seed(0)
    return Model(facts_of("sd1", "base"), pipeline=tiny.sd1()).load()


def test_a_mask_is_a_region_too(small: DiffusionModel) -> None:
    middle = Region(prompt="cat cat cat", mask="a" * 64)
    drawn = draw(small, laid(Task.IMAGE_TO_IMAGE, middle, masks=(mask(),)))
    assert not np.array_equal(drawn, draw(small, laid(Task.IMAGE_TO_IMAGE)))


def test_ways_of_guiding_and_weighted_words_go_with_it(small: DiffusionModel) -> None:
    weighted = Region(prompt="a (red:1.4) fox", box=LEFT.box)
    one = laid(Task.TEXT_TO_IMAGE, weighted)
    extras = (("guidance_method", "adaptive_projected"),)
    recipe = one.recipe.model_copy(update={"extras": extras})
    guided = draw(small, replace(one, recipe=recipe))
    assert not np.array_equal(guided, draw(small, one))


def test_a_region_ends_softly_at_its_rim() -> None:
    share = share_of(LEFT, None, Size(width=SIDE, height=SIDE // 2))
    assert share.shape == (SIDE // 2, SIDE)
    assert share[:, : SIDE // 2 - 4].min() == 1
    assert share[:, SIDE // 2 + 4 :].max() == 0
    assert 0 < share[5, SIDE // 2] < 1


def test_a_box_goes_from_left_to_right() -> None:
    with pytest.raises(ValueError, match="from left to right"):
        Box(left=0.5, top=0, right=0.5, bottom=1)
    with pytest.raises(ValueError, match="either a box or a mask"):
        Region(prompt="a fox")
