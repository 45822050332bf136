"""Rules of the house that no other tool holds."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST, LONGEST_TEST = 500, 800


@pytest.mark.parametrize(("folder", "most"), [("src", LONGEST), ("tests", LONGEST_TEST)])
def test_no_file_is_too_long(folder: str, most: int) -> None:
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / folder).rglob("*.py")
    }
    assert lengths
    assert {path: count for path, count in lengths.items() if count > most} == {}


def test_no_room_is_empty() -> None:
    rooms = [room for room in (ROOT / "src" / "limner").iterdir() if room.is_dir()]
    empty = [room.name for room in rooms if room.name != "__pycache__" and not any(room.iterdir())]
    assert empty == []


def test_every_dependency_is_explained() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {line.split(">")[0].split("=")[0].split("<")[0] for lines in lists for line in lines}
    explained = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    assert {name for name in names if name not in explained} == set()
