"""The use cases on the fake engine: what is drawn, kept, refused, stopped."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from limner.app.desk import Desk
from limner.app.studio import MOST_PICTURES, Made, Progress, init_input
from limner.domain.asset import Relation
from limner.domain.errors import (
    AccessDenied,
    AssetNotFound,
    Cancelled,
    InvalidImage,
    InvalidOption,
    InvalidPrompt,
    InvalidRequest,
    InvalidSize,
    LimnerError,
    ModelNotFound,
    ModelUnavailable,
    NotFound,
)
from limner.domain.event import CancelToken, Happening, Notice, Step
from limner.domain.recipe import MAX_SEED, Draft, FileFormat, InputRole, ModelRef, Size, Task
from limner.domain.workspace import Actor, Role
from limner.families.raster import pixel_digest
from limner.provenance.formats import encode_png
from limner.provenance.intake import read_picture
from limner.provenance.metadata import read_recipe
from tests.fakes import ENVIRONMENT, NATIVE, FakeEngine, gradient


@dataclass
class Follower:
    """Keeps what is told, and asks for a stop at one of the steps."""

    stop_at: Step | None = None
    told: list[Happening] = field(default_factory=list)
    token: CancelToken = field(default_factory=CancelToken)

    @property
    def progress(self) -> Progress:
        return Progress(self._tell, self.token)

    def _tell(self, happening: Happening) -> None:
        self.told.append(happening)
        if happening == self.stop_at:
            self.token.cancel()


def photo(width: int = 40, height: int = 20, shade: int = 90) -> bytes:
    return encode_png(np.full((height, width, 4), (shade, 60, 30, 255), np.uint8))


def mask(width: int = 40, height: int = 20, white: int = 8) -> bytes:
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[:white, :white, :3] = 255
    return encode_png(pixels)


def kept(desk: Desk) -> int:
    return desk.studio.library.sizes(desk.workspace).assets


def test_a_picture_is_kept_with_all_that_made_it(desk: Desk) -> None:
    [made] = desk.generate("a red fox", seed=5, style="flat", steps=3, negative_prompt="text")
    asset = desk.studio.library.get(desk.workspace, made.asset.id)
    assert asset == made.asset
    recipe = made.recipe
    assert (recipe.prompt, recipe.negative_prompt) == ("a red fox", "text")
    assert (recipe.seed, recipe.steps, recipe.extra("style")) == (5, 3, "flat")
    assert (asset.environment, asset.created_by, asset.parents) == (ENVIRONMENT, "local", ())
    assert asset.seconds is not None
    assert desk.studio.library.read(desk.workspace, asset.id) == made.file
    assert read_recipe(made.file) == recipe
    assert asset.pixel_digest == pixel_digest(gradient(recipe))
    assert (asset.size, asset.media_type) == (NATIVE, "image/png")


def test_a_count_is_as_many_pictures_with_rising_seeds(desk: Desk) -> None:
    made = desk.generate("a fox", count=5, seed=7)
    assert [one.recipe.seed for one in made] == [7, 8, 9, 10, 11]
    assert len({one.asset.pixel_digest for one in made}) == 5
    assert kept(desk) == 5


def test_without_a_seed_one_is_chosen(desk: Desk) -> None:
    seeds = {desk.generate("a fox")[0].recipe.seed for _ in range(5)}
    assert len(seeds) == 5
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


@pytest.mark.parametrize("count", [0, -1, MOST_PICTURES + 1])
def test_counts_have_bounds(desk: Desk, count: int) -> None:
    with pytest.raises(InvalidOption, match=r"1 to 10,000"):
        desk.generate("a fox", count=count)


def test_seeds_do_not_rise_beyond_the_last(desk: Desk) -> None:
    assert desk.generate("a fox", seed=MAX_SEED)[0].recipe.seed == MAX_SEED
    with pytest.raises(InvalidOption, match="seed must be at most"):
        desk.generate("a fox", seed=MAX_SEED, count=2)


def test_the_same_request_is_the_same_picture_and_kept_once(desk: Desk) -> None:
    one, other = desk.generate("a fox", seed=1)[0], desk.generate("a fox", seed=1)[0]
    assert one.asset == other.asset
    assert kept(desk) == 1


@pytest.mark.parametrize("wanted", FileFormat)
def test_every_format_is_what_it_says(desk: Desk, wanted: FileFormat) -> None:
    [made] = desk.generate("a fox", seed=1, format=wanted)
    assert made.asset.media_type == wanted.media_type
    assert read_recipe(made.file) == made.recipe
    if wanted is not FileFormat.SVG:
        assert read_picture(made.file).media_type == wanted.media_type


def test_pictures_come_as_soon_as_they_are_kept(desk: Desk, engine: FakeEngine) -> None:
    pictures = desk.draw(Draft(prompt="a fox", seed=1), count=3)
    assert engine.performed == []
    for number, made in enumerate(pictures, start=1):
        assert len(engine.performed) == kept(desk) == number
        assert made.recipe.seed == number


def test_editing_names_its_parents(desk: Desk) -> None:
    picture = desk.bring(photo())
    made = desk.edit(picture, "a blue fox", strength=0.7, seed=3)
    assert made.recipe.task is Task.IMAGE_TO_IMAGE
    assert made.recipe.size == Size(width=40, height=20)
    [parent] = made.asset.parents
    assert (parent.asset, parent.relation) == (picture.id, Relation.INIT)
    init = made.recipe.input(InputRole.INIT)
    assert init is not None
    assert init.strength == 0.7
    assert desk.studio.library.children(desk.workspace, picture.id) == (made.asset,)


def test_a_mask_makes_it_inpainting(desk: Desk) -> None:
    made = desk.edit(photo(), "a hat", mask=mask())
    assert made.recipe.task is Task.INPAINT
    assert [one.relation for one in made.asset.parents] == [Relation.INIT, Relation.MASK]
    assert kept(desk) == 3


def test_strength_with_a_mask_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidOption, match="no strength"):
        desk.edit(photo(), "a hat", mask=mask(), strength=0.5)


def test_upscaling_erasing_and_cutting_out_take_any_picture(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(photo())
    larger = desk.upscale(file)
    assert larger.asset.size == Size(width=160, height=80)
    erased = desk.erase(str(file), mask())
    assert erased.asset.size == Size(width=40, height=20)
    cut = desk.cutout(desk.bring(file))
    assert cut.recipe.task is Task.CUTOUT
    assert {one.recipe.seed for one in (larger, erased, cut)} == {0}
    again = desk.cutout(photo())
    assert again.recipe.digest == cut.recipe.digest


@pytest.mark.parametrize(
    ("asked", "size"), [("100x100", "100x50"), ("80x1000", "80x40"), ("40x20", "40x20")]
)
def test_upscaling_keeps_the_shape(desk: Desk, asked: str, size: str) -> None:
    assert str(desk.upscale(photo(), size=asked).asset.size) == size


def test_erasing_cutting_out_and_inpainting_keep_the_size(desk: Desk) -> None:
    for task in (Task.ERASE, Task.CUTOUT, Task.INPAINT):
        inputs = [init_input(desk.bring(photo()))]
        draft = Draft(task=task, inputs=tuple(inputs), size=Size(width=64, height=64))
        with pytest.raises(InvalidSize, match="keeps the size of the picture, 40x20"):
            list(desk.draw(draft))


def test_what_is_brought_is_kept_byte_for_byte(desk: Desk) -> None:
    file = photo()
    asset = desk.bring(file)
    assert desk.studio.library.read(desk.workspace, asset.id) == file
    assert (asset.recipe, asset.environment, asset.parents) == (None, None, ())
    assert desk.bring(file) == asset
    assert desk.bring(asset) is asset


def test_recipes_are_drawn_again_to_the_same_pixels(desk: Desk, engine: FakeEngine) -> None:
    made = [*desk.generate("a fox", count=2), desk.edit(photo(), "a hat", mask=mask())]
    before = len(engine.performed)
    again = desk.perform([one.recipe for one in made])
    assert len(engine.performed) == before + 3
    assert [one.asset for one in again] == [one.asset for one in made]


def test_a_recipe_of_other_weights_is_refused(desk: Desk) -> None:
    [made] = desk.generate("a fox")
    other = made.recipe.model.model_copy(update={"sha256": "9" * 64})
    with pytest.raises(ModelUnavailable, match="other weights of vellum"):
        desk.perform([made.recipe.model_copy(update={"model": other})])
    unknown = other.model_copy(update={"name": "brushy"})
    with pytest.raises(ModelNotFound):
        desk.perform([made.recipe.model_copy(update={"model": unknown})])


def test_sizes_above_native_are_enlarged_and_said(desk: Desk) -> None:
    follower = Follower()
    [made] = desk.generate("a fox", size="256x128", progress=follower.progress)
    assert made.recipe.upscaler is not None
    assert made.asset.size == Size(width=256, height=128)
    [notice] = [event for event in follower.told if isinstance(event, Notice)]
    assert (notice.code, "64x64" in notice.message, "256x128" in notice.message) == (
        "enlarged",
        True,
        True,
    )


def test_sizes_far_below_native_are_reduced_and_said(desk: Desk) -> None:
    follower = Follower()
    [made] = desk.generate("a fox", size="32x32", progress=follower.progress)
    assert made.asset.size == Size(width=32, height=32)
    told = [(one.code, one.message) for one in follower.told if isinstance(one, Notice)]
    assert [code for code, _ in told] == ["reduced"]
    assert told[0][1].endswith("reduced to 32x32.")


def test_an_upscaler_that_is_not_here_is_found_out_before_drawing(
    desk: Desk, engine: FakeEngine
) -> None:
    [made] = desk.generate("a fox", size="256x256", seed=1)
    gone = ModelRef(name="glass", sha256="9" * 64)
    engine.performed.clear()
    with pytest.raises(ModelNotFound, match="glass"):
        desk.perform([made.recipe.model_copy(update={"upscaler": gone})])
    assert engine.performed == []


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"prompt": ""}, InvalidPrompt, "empty"),
        ({"prompt": "x" * 10_000}, InvalidPrompt, "10,000 characters"),
        ({"prompt": "fox \udcff"}, InvalidPrompt, "broken"),
        ({"style": "cubist"}, InvalidOption, "flat, sticker"),
        ({"colour": "flat"}, InvalidOption, "colour"),
        ({"style": "fl\udcff"}, InvalidOption, "style"),
        ({"style": ["flat"]}, InvalidOption, r"style cannot be “\['flat'\]”"),
        ({"steps": 0}, InvalidOption, "steps"),
        ({"steps": "many"}, InvalidOption, "steps cannot be “many”"),
        ({"guidance": float("nan")}, InvalidOption, "guidance"),
        ({"seed": -1}, InvalidOption, "seed cannot be “-1”"),
        ({"seed": 2**53}, InvalidOption, "seed"),
        ({"size": "8x8"}, InvalidSize, "16 to 8192"),
        ({"size": "9000x9000"}, InvalidSize, "16 to 8192"),
        ({"size": "big"}, InvalidSize, "512x512"),
        ({"size": 512}, InvalidOption, "size cannot be “512”"),
        ({"format": "gif"}, InvalidOption, "png, webp, jpeg, tiff, avif, svg"),
        ({"format": "jpeg", "transparent": True}, InvalidOption, "transparency"),
        ({"sampler": "spiral"}, InvalidOption, "euler, heun"),
        ({"extras": "style"}, InvalidOption, "pairs"),
        ({"extras": (("style", "flat"),), "style": "flat"}, InvalidOption, "twice"),
        ({"model": "velum"}, ModelNotFound, "Did you mean vellum"),
        ({"model": "u2netp"}, InvalidOption, "These do: vellum"),
        ({"task": "upscale"}, InvalidRequest, "init"),
        ({"inputs": ({"asset": "0" * 64, "role": "init"},)}, AssetNotFound, "0000"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_refused_and_nothing_is_kept(
    desk: Desk,
    engine: FakeEngine,
    options: dict[str, object],
    kind: type[LimnerError],
    says: str,
) -> None:
    with pytest.raises(LimnerError, match=says) as raised:
        desk.generate(**{"prompt": "a fox", **options})  # type: ignore[arg-type]  # bad on purpose
    assert raised.type is kind
    assert engine.performed == []
    assert kept(desk) == 0


def test_options_given_as_extras_are_heard(desk: Desk) -> None:
    [made] = desk.generate("a fox", extras=[("style", "sticker")])
    assert made.recipe.extra("style") == "sticker"


@pytest.mark.parametrize(
    ("picture", "given", "kind", "says"),
    [
        (b"", mask(), InvalidImage, "empty"),
        (b"not a picture", mask(), InvalidImage, "no picture"),
        (photo()[:60], mask(), InvalidImage, "damaged"),
        (photo(), mask(41, 20), InvalidImage, "mask is 41x20 and the picture 40x20"),
        (photo(), mask(white=0), InvalidImage, "marks nothing"),
        ("/nowhere/fox.png", mask(), NotFound, "no file /nowhere/fox.png"),
    ],
    ids=["empty", "text", "cut off", "other size", "empty mask", "no file"],
)
def test_pictures_that_cannot_be_used_are_refused(
    desk: Desk, picture: bytes | str, given: bytes, kind: type[LimnerError], says: str
) -> None:
    with pytest.raises(kind, match=says):
        desk.erase(picture, given)
    with pytest.raises(kind, match=says):
        desk.edit(picture, "a hat", mask=given)


def as_role(desk: Desk, role: Role | None) -> Desk:
    roles = () if role is None else ((desk.workspace.id, role),)
    return replace(desk, actor=Actor(id="eve", name="Eve", roles=roles))


@pytest.mark.parametrize("role", [None, Role.VIEWER])
def test_who_may_not_make_makes_nothing(desk: Desk, engine: FakeEngine, role: Role | None) -> None:
    [made] = desk.generate("a fox")
    engine.performed.clear()
    eve = as_role(desk, role)
    draft = Draft(prompt="a fox")
    with pytest.raises(AccessDenied, match="Eve"):
        eve.generate("a fox")
    with pytest.raises(AccessDenied):
        eve.studio.resolve(eve.actor, eve.workspace, draft)
    with pytest.raises(AccessDenied):
        eve.perform([made.recipe])
    with pytest.raises(AccessDenied):
        eve.bring(photo())
    with pytest.raises(AccessDenied):
        eve.cutout(made.asset)
    assert engine.performed == []
    assert kept(desk) == 1


def test_who_may_look_finds_what_was_made(desk: Desk) -> None:
    [made] = desk.generate("a fox")
    viewer = as_role(desk, Role.VIEWER)
    assert desk.studio.find_made(viewer.actor, desk.workspace, made.recipe) == replace(
        made, seconds=made.asset.seconds or 0
    )
    stranger = as_role(desk, None)
    with pytest.raises(AccessDenied):
        desk.studio.find_made(stranger.actor, desk.workspace, made.recipe)


def test_a_damaged_file_is_found_no_more_and_mended_by_drawing(desk: Desk, home: Path) -> None:
    [made] = desk.generate("a fox", seed=1)
    path = desk.studio.library.blobs.path(made.asset.id)
    path.write_bytes(b"damaged")
    assert desk.studio.find_made(desk.actor, desk.workspace, made.recipe) is None
    desk.perform([made.recipe])
    again = desk.studio.find_made(desk.actor, desk.workspace, made.recipe)
    assert again is not None
    assert again.asset.pixel_digest == made.asset.pixel_digest
    assert again.asset.id != made.asset.id  # another signature


def drawn_until_stopped(desk: Desk, prompt: str, follower: Follower) -> list[Made]:
    finished: list[Made] = []
    with pytest.raises(Cancelled):
        finished.extend(desk.draw(Draft(prompt=prompt, seed=1), 5, follower.progress))
    return finished


def test_a_stop_keeps_the_pictures_that_are_finished(desk: Desk) -> None:
    follower = Follower(stop_at=Step(2, "draw", 2, 4))
    finished = drawn_until_stopped(desk, "a fox", follower)
    assert [one.recipe.seed for one in finished] == [1, 2]
    assert kept(desk) == 2
    assert desk.studio.library.check() == ()
    assert len(desk.generate("a fox", count=5, seed=1)) == 5


def test_a_stop_before_the_start_draws_nothing(desk: Desk, engine: FakeEngine) -> None:
    follower = Follower()
    follower.token.cancel()
    assert drawn_until_stopped(desk, "a fox", follower) == []
    assert engine.performed == []


def test_an_unforeseen_error_loses_nothing(
    desk: Desk, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = [one.recipe for one in desk.generate("a fox", count=2, seed=1)]
    bad = recipes[0].model_copy(update={"prompt": "crash"})
    fresh = recipes[0].model_copy(update={"seed": 50})
    with pytest.raises(ZeroDivisionError):
        desk.perform([fresh, bad, recipes[1]])
    assert kept(desk) == 3
    assert desk.studio.find_made(desk.actor, desk.workspace, fresh) is not None
    assert len(desk.generate("a hen")) == 1


def test_a_desk_lets_everything_go(desk: Desk, engine: FakeEngine) -> None:
    with desk as opened:
        opened.generate("a fox")
    assert engine.closed


def test_a_picture_is_saved_where_asked(desk: Desk, tmp_path: Path) -> None:
    [made] = desk.generate("a fox")
    path = made.save(tmp_path / "new" / "fox.png")
    assert path.read_bytes() == made.file
    assert [one.name for one in path.parent.iterdir()] == ["fox.png"]


def test_a_picture_is_replayed_traced_and_imported(desk: Desk, tmp_path: Path) -> None:
    (made,) = desk.generate("a fox", seed=1)
    path = tmp_path / "fox.png"
    path.write_bytes(desk.studio.library.read(desk.workspace, made.asset.id))
    for picture in (made.asset, path, str(path), path.read_bytes()):
        again = desk.replay(picture)
        assert (again.likeness.value, again.changes) == ("identical", ())
        assert desk.lineage(picture).asset == made.asset
        assert desk.import_picture(picture).asset == made.asset
    edited = desk.edit(path, "a cat")
    assert [one.id for one in desk.lineage(path).descendants] == [edited.asset.id]
    with pytest.raises(AssetNotFound, match="does not know this picture"):
        desk.lineage(photo())
