"""Keeping, finding, listing and removing assets."""

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limner.domain.asset import Asset, Environment, Parent, Relation
from limner.domain.errors import AssetNotFound, InvalidRequest, NotFound, StorageFailed
from limner.domain.recipe import (
    MAX_SEED,
    AdapterRef,
    FileFormat,
    InputRole,
    ModelRef,
    Recipe,
    RecipeInput,
    Size,
    Task,
)
from limner.domain.workspace import LOCAL_WORKSPACE, Workspace
from limner.store.library import Library

from .samples import START, make_asset

OTHER = Workspace(id="other", name="Other")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
digests = st.binary(max_size=8).map(lambda seed: hashlib.sha256(seed).hexdigest())
sides = st.integers(1, 65_535)
sizes = st.builds(Size, width=sides, height=sides)
numbers = st.floats(allow_nan=False, allow_infinity=False)
unit = st.floats(0, 1)
models = st.builds(ModelRef, name=texts, sha256=digests)
zones = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(timezone)

recipes = st.builds(
    Recipe,
    task=st.sampled_from(Task),
    model=models,
    adapters=st.lists(
        st.builds(AdapterRef, name=texts, sha256=digests, weight=st.floats(-10, 10)), max_size=2
    ).map(tuple),
    prompt=texts,
    negative_prompt=texts,
    seed=st.integers(0, MAX_SEED),
    size=sizes,
    native_size=sizes,
    steps=st.none() | st.integers(1, 1_000),
    guidance=st.none() | numbers,
    sampler=st.none() | texts,
    schedule=st.none() | texts,
    inputs=st.lists(
        st.builds(
            RecipeInput,
            asset=digests,
            role=st.sampled_from(InputRole),
            strength=st.none() | unit,
        ),
        max_size=2,
    ).map(tuple),
    transparent=st.booleans(),
    format=st.sampled_from(FileFormat),
    upscaler=st.none() | models,
    extras=st.dictionaries(
        texts, st.booleans() | st.integers(-MAX_SEED, MAX_SEED) | numbers | texts, max_size=3
    ).map(lambda values: tuple(values.items())),
)
environments = st.builds(
    Environment,
    limner=texts,
    python=texts,
    platform=texts,
    processor=texts,
    device=texts,
    dtype=texts,
    threads=st.integers(0, 512),
    libraries=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
)
times = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=zones)


@st.composite
def kept(draw: st.DrawFn) -> tuple[Asset, bytes]:
    file = draw(st.binary(max_size=200))
    parents = st.builds(Parent, asset=digests, relation=st.sampled_from(Relation))
    asset = Asset(
        id=hashlib.sha256(file).hexdigest(),
        workspace="local",
        media_type=draw(texts),
        bytes=len(file),
        size=draw(sizes),
        pixel_digest=draw(digests),
        created=draw(times),
        created_by=draw(texts),
        parents=tuple(draw(st.lists(parents, max_size=3))),
        recipe=draw(st.none() | recipes),
        environment=draw(st.none() | environments),
        seconds=draw(st.none() | numbers),
    )
    return asset, file


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(kept(), min_size=1, max_size=5, unique_by=lambda one: one[1]))
def test_every_asset_comes_back_as_it_was(given_assets: list[tuple[Asset, bytes]]) -> None:
    with TemporaryDirectory() as folder:
        with Library.open(Path(folder)) as library:
            for asset, file in given_assets:
                assert library.keep(asset, file) == asset
        with Library.open(Path(folder)) as library:
            for asset, file in given_assets:
                found = library.get(LOCAL_WORKSPACE, asset.id)
                assert found == asset
                assert found.created.utcoffset() == timedelta(0)
                if asset.recipe and found.recipe:
                    assert found.recipe.digest == asset.recipe.digest
                if asset.environment and found.environment:
                    assert found.environment.digest == asset.environment.digest
                assert library.read(LOCAL_WORKSPACE, asset.id) == file
            assert library.check() == ()


def test_keeping_twice_returns_what_was_known_first(library: Library) -> None:
    asset, file = make_asset(1)
    later = asset.model_copy(update={"created": START + timedelta(days=1), "recipe": None})
    library.keep(asset, file)
    assert library.keep(later, file) == asset
    assert library.list(LOCAL_WORKSPACE) == (asset,)


def test_keep_refuses_a_file_that_is_another(library: Library, home: Path) -> None:
    asset, file = make_asset(1)
    with pytest.raises(InvalidRequest, match="not the one"):
        library.keep(asset, file[:-1] + b"?")
    with pytest.raises(InvalidRequest, match="not the one"):
        library.keep(asset.model_copy(update={"bytes": 3}), file)
    assert not (home / "blobs").exists()


def test_keep_needs_a_time_zone(library: Library) -> None:
    asset, file = make_asset(1)
    naive = asset.model_copy(update={"created": datetime(2026, 1, 1)})
    with pytest.raises(InvalidRequest, match="time zone"):
        library.keep(naive, file)


def test_the_same_file_lives_in_two_workspaces(library: Library) -> None:
    library.add_workspace(OTHER)
    library.add_workspace(OTHER)
    here, file = make_asset(1)
    there = here.model_copy(update={"workspace": OTHER.id, "recipe": None})
    library.keep(here, file)
    library.keep(there, file)
    assert library.get(LOCAL_WORKSPACE, here.id) == here
    assert library.get(OTHER, here.id) == there
    library.remove(LOCAL_WORKSPACE, here.id)
    assert library.list(LOCAL_WORKSPACE) == ()
    assert library.read(OTHER, here.id) == file
    library.remove(OTHER, here.id)
    assert not library.blobs.exists(here.id)


def test_nothing_is_seen_from_another_workspace(library: Library) -> None:
    library.add_workspace(OTHER)
    parent, parent_file = make_asset(1)
    child, child_file = make_asset(2, parents=(parent,))
    library.keep(parent, parent_file)
    library.keep(child, child_file)
    assert library.list(OTHER) == ()
    assert child.recipe
    assert library.find_by_recipe(OTHER, child.recipe.digest) == ()
    assert library.sizes(OTHER).assets == 0
    for see in (library.get, library.read, library.parents, library.children, library.remove):
        with pytest.raises(AssetNotFound):
            see(OTHER, parent.id)
    assert library.get(LOCAL_WORKSPACE, parent.id) == parent


def test_keep_in_an_unknown_workspace(library: Library) -> None:
    asset, file = make_asset(1, workspace="nowhere")
    with pytest.raises(NotFound, match="nowhere"):
        library.keep(asset, file)


def test_get_by_the_first_digits(library: Library) -> None:
    asset, file = make_asset(1)
    library.keep(asset, file)
    for digits in (6, 7, 63, 64):
        assert library.get(LOCAL_WORKSPACE, asset.id[:digits]) == asset
        assert library.read(LOCAL_WORKSPACE, asset.id[:digits]) == file


@pytest.mark.parametrize(
    "text", ["", "abcde", "fox", "ABCDEF", "abcdeg", "%%%%%%", "../../etc", "a" * 65, "é" * 10]
)
def test_get_refuses_what_is_no_id(library: Library, text: str) -> None:
    with pytest.raises(InvalidRequest, match="first 6"):
        library.get(LOCAL_WORKSPACE, text)


def test_get_what_is_not_there(library: Library) -> None:
    asset, file = make_asset(1)
    library.keep(asset, file)
    absent = "0" * 64 if asset.id[0] != "0" else "1" * 64
    with pytest.raises(AssetNotFound, match="List the library"):
        library.get(LOCAL_WORKSPACE, absent)


def test_get_refuses_digits_that_begin_several(library: Library) -> None:
    # Two contents whose sha256 share their first 6 digits, found by trying.
    seen: dict[str, bytes] = {}
    for number in range(100_000):
        file = str(number).encode()
        digits = hashlib.sha256(file).hexdigest()[:6]
        if digits in seen:
            break
        seen[digits] = file
    else:
        pytest.fail("no two contents begin alike")
    pair = (seen[digits], file)
    for content in pair:
        asset, _ = make_asset(1)
        blob = hashlib.sha256(content).hexdigest()
        library.keep(asset.model_copy(update={"id": blob, "bytes": len(content)}), content)
    with pytest.raises(InvalidRequest, match="more of its digits"):
        library.get(LOCAL_WORKSPACE, digits)
    assert library.read(LOCAL_WORKSPACE, hashlib.sha256(file).hexdigest()) == file


def test_pages_are_stable_while_the_library_changes(library: Library) -> None:
    moments = [START + timedelta(seconds=number // 3) for number in range(20)]  # many alike
    made = [make_asset(number, created=moment) for number, moment in enumerate(moments)]
    for asset, file in made:
        library.keep(asset, file)
    expected = sorted((asset for asset, _ in made), key=lambda one: (one.created, one.id))[::-1]
    assert list(library.list(LOCAL_WORKSPACE)) == expected

    first = library.list(LOCAL_WORKSPACE, limit=7)
    newest, newest_file = make_asset(100)
    library.keep(newest, newest_file)
    library.remove(LOCAL_WORKSPACE, first[-1].id)
    second = library.list(LOCAL_WORKSPACE, limit=7, before=first[-1])
    third = library.list(LOCAL_WORKSPACE, limit=7, before=second[-1])
    assert [*first, *second, *third] == expected
    assert library.list(LOCAL_WORKSPACE, before=third[-1]) == ()

    assert library.list(LOCAL_WORKSPACE, limit=7, after=third[0]) == second
    assert library.list(LOCAL_WORKSPACE, limit=6, after=second[0]) == first[:-1]
    assert library.list(LOCAL_WORKSPACE, after=first[0]) == (newest,)
    assert library.list(LOCAL_WORKSPACE, after=third[0], before=first[0]) == (*first[1:-1], *second)


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_list_refuses_absurd_limits(library: Library, limit: int) -> None:
    with pytest.raises(InvalidRequest, match="limit must be"):
        library.list(LOCAL_WORKSPACE, limit=limit)


PROMPTS = ["A red FOX", "a red fox, 100% wool", "Füchse_im Schnee", "赤い狐 🦊", "", "x\0y Straße"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", [5, 4, 3, 2, 1, 0]),
        ("fox", [1, 0]),
        ("FOX red", [1, 0]),
        ("fox wool", [1]),
        ("%", [1]),
        ("_", [2]),
        ("\\", []),
        ("FÜCHSE", [2]),
        ("Fu\u0308chse", [2]),
        ("狐", [3]),
        ("🦊", [3]),
        ("STRASSE", [5]),
        ("x\0y", [5]),
        ("' OR 1=1 --", []),
        ("\udcff", []),
        ("a b c d e f g h i j " * 50, []),
    ],
)
def test_search_by_words(library: Library, words: str, found: list[int]) -> None:
    made = [make_asset(number, prompt=prompt) for number, prompt in enumerate(PROMPTS)]
    for asset, file in made:
        library.keep(asset, file)
    assert library.list(LOCAL_WORKSPACE, words=words) == tuple(made[number][0] for number in found)


def test_search_takes_many_words_but_not_a_novel(library: Library) -> None:
    many = " ".join(chr(0x4E00 + number) for number in range(500))
    assert library.list(LOCAL_WORKSPACE, words=many) == ()
    with pytest.raises(InvalidRequest, match="fewer words"):
        library.list(LOCAL_WORKSPACE, words="fox " * 1_000)


def test_list_by_model(library: Library) -> None:
    vellum, vellum_file = make_asset(1)
    imported, imported_file = make_asset(2)
    imported = imported.model_copy(update={"recipe": None, "environment": None})
    library.keep(vellum, vellum_file)
    library.keep(imported, imported_file)
    assert library.list(LOCAL_WORKSPACE, model="vellum") == (vellum,)
    assert library.list(LOCAL_WORKSPACE, model="other") == ()
    assert library.list(LOCAL_WORKSPACE, model="\udcff") == ()
    assert library.list(LOCAL_WORKSPACE) == (imported, vellum)


def test_find_by_recipe(library: Library) -> None:
    asset, file = make_asset(1)
    assert asset.recipe
    twin, twin_file = make_asset(2)
    twin = twin.model_copy(update={"recipe": asset.recipe})
    other, other_file = make_asset(3)
    for one, content in ((asset, file), (twin, twin_file), (other, other_file)):
        library.keep(one, content)
    assert library.find_by_recipe(LOCAL_WORKSPACE, asset.recipe.digest) == (twin, asset)
    assert library.find_by_recipe(LOCAL_WORKSPACE, "0" * 64) == ()


def test_lineage_outlives_the_parents(library: Library) -> None:
    init, init_file = make_asset(1)
    mask, mask_file = make_asset(2)
    child, child_file = make_asset(3, parents=(mask, init, mask))
    for one, content in ((init, init_file), (mask, mask_file), (child, child_file)):
        library.keep(one, content)
    assert library.parents(LOCAL_WORKSPACE, child.id) == (mask, init)
    assert library.children(LOCAL_WORKSPACE, init.id) == (child,)
    assert library.children(LOCAL_WORKSPACE, child.id) == ()

    assert library.remove(LOCAL_WORKSPACE, mask.id[:12]) == mask
    assert library.get(LOCAL_WORKSPACE, child.id) == child
    assert library.parents(LOCAL_WORKSPACE, child.id) == (init,)
    with pytest.raises(AssetNotFound):
        library.read(LOCAL_WORKSPACE, mask.id)
    library.keep(mask, mask_file)
    assert library.children(LOCAL_WORKSPACE, mask.id) == (child,)


def test_remove_forgets_the_prompt_unless_another_asset_needs_it(
    library: Library, home: Path
) -> None:
    asset, file = make_asset(1, prompt="a secret wedding")
    twin, twin_file = make_asset(2)
    twin = twin.model_copy(update={"recipe": asset.recipe})
    library.keep(asset, file)
    library.keep(twin, twin_file)
    library.remove(LOCAL_WORKSPACE, asset.id)
    assert library.list(LOCAL_WORKSPACE, words="secret") == (twin,)
    library.remove(LOCAL_WORKSPACE, twin.id)
    library.keep(*make_asset(3))
    assert library.list(LOCAL_WORKSPACE, words="secret") == ()
    assert library.check() == ()


def test_sizes(library: Library) -> None:
    assert library.sizes(LOCAL_WORKSPACE).assets == 0
    assert library.sizes(LOCAL_WORKSPACE).asset_bytes == 0
    files = [make_asset(number) for number in range(3)]
    for asset, file in files:
        library.keep(asset, file)
    sizes = library.sizes(LOCAL_WORKSPACE)
    assert (sizes.assets, sizes.asset_bytes) == (3, sum(len(file) for _, file in files))
    assert sizes.database_bytes > 0


def test_a_record_that_makes_no_sense(library: Library) -> None:
    asset, file = make_asset(1)
    library.keep(asset, file)
    with library._write() as connection:
        connection.exec_driver_sql("UPDATE recipes SET json = '{\"version\": 2}'")
    with pytest.raises(StorageFailed, match=asset.id):
        library.get(LOCAL_WORKSPACE, asset.id)


def test_times_are_kept_to_the_microsecond(library: Library) -> None:
    moment = datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    asset, file = make_asset(1, created=moment)
    library.keep(asset, file)
    assert library.get(LOCAL_WORKSPACE, asset.id).created == moment
