"""The registry, the journal and the rules of a workspace."""

import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import OperationalError

from limner.domain.asset import Asset, Terms
from limner.domain.errors import AssetNotFound, InvalidRequest, NotFound, StorageFailed
from limner.domain.policy import Detail, Label, Mining, Policy, PromptRule, Safety
from limner.domain.record import Record, RecordKind
from limner.domain.workspace import LOCAL_WORKSPACE, Workspace
from limner.store.library import Library
from limner.store.opening import for_writing
from limner.store.registry import MOST_ALIKE
from limner.store.tables import registry
from tests.fakes import set_policy

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
    set_policy(library, LOCAL_WORKSPACE, strict)
    assert library.policy(LOCAL_WORKSPACE) == strict
    assert library.policy(OTHER) == Policy()
    with pytest.raises(NotFound):
        set_policy(library, OTHER, strict)


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
    lines = [line.model_copy(update={"number": n}) for n, line in enumerate(lines, start=1)]
    assert library.records(LOCAL_WORKSPACE) == tuple(reversed(lines))
    assert library.records(LOCAL_WORKSPACE, asset=fox.id) == (lines[1],)
    assert library.records(LOCAL_WORKSPACE, limit=1) == (lines[1],)
    assert library.records(OTHER) == ()
    with pytest.raises(InvalidRequest):
        library.records(LOCAL_WORKSPACE, limit=0)
    with pytest.raises(NotFound):
        library.record(lines[0].model_copy(update={"workspace": "other"}))


def first_library(home: Path) -> sqlite3.Connection:
    """A library file as it was before there were rules, a registry and a journal."""
    home.mkdir()
    connection = sqlite3.connect(home / "library.sqlite")
    connection.executescript((Path(__file__).parent / "library-0001.sql").read_text())
    return connection


FOX = "8c418a9574ec80eef4637cbc0f26672ec1af7a4a54915e7dcafb9337b4cc6824"
CUTOUT = "3da79ef502f1f458a374128f5c963117165fe5f77f697c6c3bcb0370273af6d7"
FOX_RECIPE = "07efee6eb1717751c5e556b24ef85f5130e880f0e51dc0d9dd98d98ca0336891"


def test_a_library_of_the_first_tables_is_brought_up_to_date(home: Path) -> None:
    """What was kept stays as it was, and is recognised by its pixels."""
    first_library(home).close()
    with Library.open(home) as library:
        cutout, fox = library.list(LOCAL_WORKSPACE)
        assert (cutout.id, fox.id) == (CUTOUT, FOX)
        assert library.parents(LOCAL_WORKSPACE, CUTOUT) == (fox,)
        assert library.find_by_recipe(LOCAL_WORKSPACE, FOX_RECIPE) == (fox,)
        assert fox.recipe is not None
        assert (fox.recipe.digest, fox.recipe.prompt) == (FOX_RECIPE, "a red fox")
        assert fox.environment is not None
        assert fox.environment.device == "cpu"
        assert (fox.seconds, fox.mark, fox.terms, fox.blurred) == (2.428, None, (), False)
        assert library.policy(LOCAL_WORKSPACE) == Policy()
        assert library.records(LOCAL_WORKSPACE) == ()
        [known] = library.find_by_pixels(LOCAL_WORKSPACE, fox.pixel_digest)
        assert (known.asset, known.here) == (FOX, True)
        assert library.find_by_fingerprint(LOCAL_WORKSPACE, fingerprint(0), 256) == ()
        library.remove(LOCAL_WORKSPACE, FOX)
        [known] = library.find_by_pixels(LOCAL_WORKSPACE, fox.pixel_digest)
        assert (known.asset, known.here) == (FOX, False)
        set_policy(library, LOCAL_WORKSPACE, Policy(commercial=True))
    with Library.open(home) as library:
        assert library.policy(LOCAL_WORKSPACE) == Policy(commercial=True)
        assert library.list(LOCAL_WORKSPACE) == (cutout,)


def test_bringing_it_up_to_date_is_done_whole_or_not_at_all(home: Path) -> None:
    """The last table is in the way: what came before it is not left behind."""
    connection = first_library(home)
    connection.execute("CREATE TABLE journal (id INTEGER)")
    connection.commit()
    with pytest.raises(OperationalError, match="journal"):
        Library.open(home)
    names = {row[1] for row in connection.execute("PRAGMA table_info(assets)")}
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert "provenance" not in names
    assert "registry" not in tables
    connection.execute("DROP TABLE journal")
    connection.commit()
    connection.close()
    with Library.open(home) as library:
        assert len(library.list(LOCAL_WORKSPACE)) == 2


def test_the_nearest_of_very_many_alike_are_returned(library: Library) -> None:
    """More than SQLite takes as parameters at once; the same fingerprint may stand twice."""
    count = 40_000
    rows = [
        {
            "workspace": "local",
            "asset": f"{number:064x}",
            "pixel_digest": "0" * 64,
            "fingerprint": (number // 2).to_bytes(32, "big"),
            "created": number,
        }
        for number in range(count)
    ]
    with library._write() as connection:
        connection.execute(insert(registry), rows)
    found = library.find_by_fingerprint(LOCAL_WORKSPACE, fingerprint(), 256)
    assert len(found) == MOST_ALIKE
    assert [int(one.asset, 16) for one in found[:2]] == [1, 0]
    assert [one.distance for one in found] == sorted(one.distance for one in found)
    assert found[-1].distance == 2


def test_a_page_of_the_journal_ends_where_the_next_begins(library: Library) -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    for name in "abcde":
        library.record(Record(workspace="local", actor=name, kind=RecordKind.POLICY_CHANGED, at=at))
    first = library.records(LOCAL_WORKSPACE, limit=2)
    assert first[-1].number is not None
    rest = library.records(LOCAL_WORKSPACE, before=first[-1].number)
    assert "".join(one.actor for one in (*first, *rest)) == "edcba"
    assert library.records(LOCAL_WORKSPACE, before=2**80, limit=1) == first[:1]
    assert library.records(LOCAL_WORKSPACE, before=-(2**80)) == ()


def change_to(policy: Policy) -> Callable[[Policy], tuple[Policy, Record | None]]:
    line = Record(
        workspace="local",
        actor="local",
        kind=RecordKind.POLICY_CHANGED,
        at=datetime(2026, 11, 23, tzinfo=UTC),
    )
    return lambda _: (policy, line)


def test_rules_change_with_their_line_of_the_journal_or_not_at_all(library: Library) -> None:
    changed = library.change_policy(LOCAL_WORKSPACE, change_to(Policy(commercial=True)))
    assert changed == library.policy(LOCAL_WORKSPACE) == Policy(commercial=True)
    assert [one.kind for one in library.records(LOCAL_WORKSPACE)] == [RecordKind.POLICY_CHANGED]
    with library._write() as connection:
        connection.execute(text("DROP TABLE journal"))
    with pytest.raises(OperationalError, match="journal"):
        library.change_policy(LOCAL_WORKSPACE, change_to(Policy()))
    assert library.policy(LOCAL_WORKSPACE) == Policy(commercial=True)


def test_rules_changed_by_two_at_once_are_both_kept(home: Path, library: Library) -> None:
    """Each change sees what the other has left."""
    with Library.open(home) as other:
        entered = threading.Event()

        def slowly(policy: Policy) -> tuple[Policy, None]:
            entered.set()
            time.sleep(0.2)
            return policy.model_copy(update={"commercial": True}), None

        thread = threading.Thread(target=library.change_policy, args=(LOCAL_WORKSPACE, slowly))
        thread.start()
        assert entered.wait(5)
        other.change_policy(
            LOCAL_WORKSPACE,
            lambda policy: (policy.model_copy(update={"watermark": False}), None),
        )
        thread.join()
        assert other.policy(LOCAL_WORKSPACE) == Policy(commercial=True, watermark=False)


def test_a_removal_and_its_line_are_written_together(library: Library) -> None:
    fox = keep(library, 1)

    def removal(asset: Asset) -> Record:
        return Record(
            workspace="local",
            actor="local",
            kind=RecordKind.ASSET_REMOVED,
            at=datetime(2026, 11, 23, tzinfo=UTC),
            asset=asset.id,
        )

    def failing(asset: Asset) -> Record:
        raise ZeroDivisionError(asset.id)

    with pytest.raises(ZeroDivisionError):
        library.remove(LOCAL_WORKSPACE, fox.id, failing)
    assert library.read(LOCAL_WORKSPACE, fox.id)
    library.remove(LOCAL_WORKSPACE, fox.id[:8], removal)
    [line] = library.records(LOCAL_WORKSPACE, asset=fox.id)
    assert (line.kind, line.asset) == (RecordKind.ASSET_REMOVED, fox.id)
    with pytest.raises(AssetNotFound):
        library.remove(LOCAL_WORKSPACE, fox.id, removal)
    assert len(library.records(LOCAL_WORKSPACE)) == 1
