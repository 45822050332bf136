"""The registry, the journal and the rules of a workspace."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from limner.domain.asset import Asset, Terms
from limner.domain.errors import InvalidRequest, NotFound, StorageFailed
from limner.domain.policy import Detail, Label, Mining, Policy, PromptRule, Safety
from limner.domain.record import Record, RecordKind
from limner.domain.workspace import LOCAL_WORKSPACE, Workspace
from limner.store.library import Library
from limner.store.opening import for_writing

from .samples import make_asset

OTHER = Workspace(id="other", name="Other")
TERMS = Terms(
    model="vellum",
    spdx="Apache-2.0",
    commercial=True,
    attribution="Limner authors",
    url="https://example.org",
)


def keep(library: Library, number: int, **more: object) -> Asset:
    asset, file = make_asset(number)
    return library.keep(asset.model_copy(update=more), file)


def fingerprint(*bits: int) -> str:
    """A fingerprint with these bits set, of 256."""
    return f"{sum(1 << bit for bit in bits):064x}"


def test_marks_licences_and_safety_come_back(library: Library) -> None:
    kept = keep(
        library,
        1,
        terms=(TERMS,),
        mark="0123456789ab",
        fingerprint=fingerprint(3, 200),
        drift=0.25,
        unsafe=0.875,
        blurred=True,
    )
    assert library.get(LOCAL_WORKSPACE, kept.id) == kept
    plain = keep(library, 2)
    assert library.get(LOCAL_WORKSPACE, plain.id) == plain


def test_a_picture_is_found_by_mark_pixels_and_file(library: Library) -> None:
    fox = keep(library, 1, mark="0123456789ab")
    keep(library, 2, mark="ffffffffffff")
    [by_mark] = library.find_by_mark(LOCAL_WORKSPACE, "0123456789ab")
    [by_pixels] = library.find_by_pixels(LOCAL_WORKSPACE, fox.pixel_digest)
    [by_file] = library.find_file(LOCAL_WORKSPACE, fox.id)
    assert by_mark == by_pixels == by_file
    assert (by_mark.asset, by_mark.here, by_mark.distance) == (fox.id, True, 0)
    assert library.find_by_mark(LOCAL_WORKSPACE, "000000000000") == ()
    assert library.find_by_mark(OTHER, "0123456789ab") == ()


def test_alike_pictures_come_nearest_first(library: Library) -> None:
    exact = keep(library, 1, fingerprint=fingerprint(0, 64, 128, 255))
    near = keep(library, 2, fingerprint=fingerprint(0, 64, 128))
    far = keep(library, 3, fingerprint=fingerprint(*range(0, 120, 2)))
    keep(library, 4)
    found = library.find_by_fingerprint(LOCAL_WORKSPACE, fingerprint(0, 64, 128, 255), 31)
    assert [(one.asset, one.distance) for one in found] == [(exact.id, 0), (near.id, 1)]
    wider = library.find_by_fingerprint(LOCAL_WORKSPACE, fingerprint(0, 64, 128, 255), 256)
    assert wider[-1].asset == far.id
    assert library.find_by_fingerprint(OTHER, fingerprint(0), 256) == ()


def test_what_was_removed_is_still_known(library: Library) -> None:
    fox = keep(library, 1, mark="0123456789ab", fingerprint=fingerprint(7))
    library.remove(LOCAL_WORKSPACE, fox.id)
    for found in (
        library.find_by_mark(LOCAL_WORKSPACE, "0123456789ab"),
        library.find_by_pixels(LOCAL_WORKSPACE, fox.pixel_digest),
        library.find_by_fingerprint(LOCAL_WORKSPACE, fingerprint(7), 0),
        library.find_file(LOCAL_WORKSPACE, fox.id),
    ):
        assert [(one.asset, one.here) for one in found] == [(fox.id, False)]
    assert keep(library, 1, mark="0123456789ab").id == fox.id
    [again] = library.find_by_mark(LOCAL_WORKSPACE, "0123456789ab")
    assert again.here


def test_rules_are_kept(library: Library) -> None:
    assert library.policy(LOCAL_WORKSPACE) == Policy()
    strict = Policy(
        detail=Detail.DIGEST,
        watermark=False,
        label=Label(language="de"),
        mining=Mining.ALLOWED,
        commercial=True,
        safety=Safety.REFUSE,
        prompt_rules=(PromptRule(pattern="logo", message="No logos."),),
    )
    library.set_policy(LOCAL_WORKSPACE, strict)
    assert library.policy(LOCAL_WORKSPACE) == strict
    assert library.policy(OTHER) == Policy()
    with pytest.raises(NotFound):
        library.set_policy(OTHER, strict)


def test_rules_that_cannot_be_read_are_not_taken_for_none(library: Library) -> None:
    with for_writing(library._reading).begin() as connection:
        connection.execute(text('UPDATE workspaces SET policy = \'{"safety": "unheard of"}\''))
    with pytest.raises(StorageFailed, match="rules"):
        library.policy(LOCAL_WORKSPACE)


def test_the_journal_is_read_newest_first(library: Library) -> None:
    fox = keep(library, 1)
    lines = [
        Record(
            workspace="local",
            actor="local",
            kind=kind,
            at=datetime(2026, 11, 23, 12, minute, tzinfo=UTC),
            asset=asset,
            detail=(("why", "“quoted” words"), ("model", "vellum")),
        )
        for minute, (kind, asset) in enumerate(
            [(RecordKind.POLICY_CHANGED, None), (RecordKind.PICTURE_FLAGGED, fox.id)]
        )
    ]
    for line in lines:
        library.record(line)
    assert library.records(LOCAL_WORKSPACE) == tuple(reversed(lines))
    assert library.records(LOCAL_WORKSPACE, asset=fox.id) == (lines[1],)
    assert library.records(LOCAL_WORKSPACE, limit=1) == (lines[1],)
    assert library.records(OTHER) == ()
    with pytest.raises(InvalidRequest):
        library.records(LOCAL_WORKSPACE, limit=0)
    with pytest.raises(NotFound):
        library.record(lines[0].model_copy(update={"workspace": "other"}))


def test_a_library_of_the_first_tables_is_brought_up_to_date(home: Path) -> None:
    """What 0.1.0 kept stays as it was, and is recognised by its pixels."""
    from alembic import command
    from alembic.config import Config

    from limner.store.opening import _engine, _use_log
    from limner.store.rows import asset_row, environment_row, recipe_row

    home.mkdir()
    engine = _engine(home / "library.sqlite", "mode=rwc")
    _use_log(engine)
    config = Config()
    config.set_main_option("script_location", "limner.store:migrations")
    asset, file = make_asset(7)
    with for_writing(engine).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        rows = (
            ("recipes", recipe_row(asset.recipe)) if asset.recipe else ("", {}),
            ("environments", environment_row(asset.environment)) if asset.environment else ("", {}),
            ("assets", {k: v for k, v in asset_row(asset).items() if k != "provenance"}),
        )
        for table, row in rows:
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
    engine.dispose()
    with Library.open(home) as library:
        library.blobs.put(file)
        assert library.get(LOCAL_WORKSPACE, asset.id) == asset
        assert library.policy(LOCAL_WORKSPACE) == Policy()
        [known] = library.find_by_pixels(LOCAL_WORKSPACE, asset.pixel_digest)
        assert (known.asset, known.here) == (asset.id, True)
        assert library.check() == ()
