r"""The files that wildcards are read from, in one folder and those below it.

    animals.txt         a text: an entry a line; what follows “ # ” is a remark
    clothes.yaml        lists by their keys, whatever the file is called: `clothes: {hats: [cap]}`
                        is __clothes/hats__; a file that is one list goes by its name
    __clothes/*__       all entries of what is called so; ** reaches across folders, too

YAML is read as sd-dynamic-prompts reads it (dynamicprompts 0.31, `collection/structured.py`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import yaml

from limner.domain.errors import InvalidPrompt

_FILE_BYTES = 4_000_000
_MOST_ENTRIES = 200_000
_DEEPEST = 20
_LISTS = ("*.yaml", "*.yml")
_REMARK = re.compile(r"(?:^|\s)#(?:\s.*)?$|^#.*$")


class _UnfitError(Exception):
    """Why what a file holds are no lists."""


@dataclass
class WildcardFiles:
    """What the wildcards in a folder stand for, each file read when it is first asked for."""

    folder: Path
    _texts: dict[str, list[str]] = field(default_factory=dict)

    def lines(self, name: str) -> list[str]:
        """Return the entries of a wildcard, or of all that a name with stars stands for.

        Raises InvalidPrompt where there are none, or where a file cannot be read.
        """
        if "*" in name:
            return self._matching(name)
        if name not in self._texts:
            path = self._path(name)
            if not path.exists() and name in self._listed:
                return self._listed[name]
            self._texts[name] = self._text(name, path)
        return self._texts[name]

    def _matching(self, name: str) -> list[str]:
        parts = (
            ".*" if part == "**" else "[^/]*" if part == "*" else re.escape(part)
            for part in re.split(r"(\*+)", re.sub(r"\*{2,}", "**", name))
        )
        wanted = re.compile("".join(parts))
        texts = (
            path.relative_to(self.folder).with_suffix("").as_posix()
            for path in self.folder.rglob("*.txt")
        )
        found = sorted(one for one in {*texts, *self._listed} if wanted.fullmatch(one))
        if not found:
            raise InvalidPrompt(
                f"There is no wildcard like __{name}__ in {self.folder}. Make files there, with "
                "one entry a line, or write \\__ for underscores that are meant."
            )
        return [line for one in found for line in self.lines(one)]

    def _path(self, name: str) -> Path:
        parts = name.split("/")
        return self.folder.joinpath(*parts[:-1], f"{parts[-1]}.txt")

    def _text(self, name: str, path: Path) -> list[str]:
        try:
            text = _read(path)
        except FileNotFoundError as error:
            raise InvalidPrompt(
                f"There is no wildcard __{name}__. Make the file {path} with one entry a line, or "
                "write \\__ for underscores that are meant."
            ) from error
        lines = (_REMARK.sub("", line.strip()).strip() for line in text.splitlines())
        entries = [line for line in lines if line]
        if not entries:
            raise InvalidPrompt(f"{path} has no entries. Write one a line.")
        return entries

    @cached_property
    def _listed(self) -> dict[str, list[str]]:
        """The lists of all YAML files, by their keys."""
        found: dict[str, list[str]] = {}
        for path in sorted(one for ending in _LISTS for one in self.folder.rglob(ending)):
            count = 0
            try:
                for name, entries in _lists(_loaded(path), path.stem):
                    count += len(entries) + 1
                    if count > _MOST_ENTRIES:
                        raise InvalidPrompt(f"{path} has more than {_MOST_ENTRIES:,} entries.")
                    found.setdefault(name, []).extend(entries)
            except _UnfitError as error:
                raise InvalidPrompt(
                    f"{path} is no list of wildcards: {error}. Write keys with lists of words "
                    "below them, or take it out of that folder."
                ) from error
        return found


def _read(path: Path) -> str:
    """Return a file's text; raises FileNotFoundError, and InvalidPrompt for all else."""
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES + 1)
        if len(content) > _FILE_BYTES:
            raise InvalidPrompt(f"{path} is larger than {_FILE_BYTES:,} bytes. Split it.")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InvalidPrompt(
            f"The wildcards in {path} could not be read: {error.strerror or error}. Check the file."
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidPrompt(f"{path} is no text in UTF-8. Save it as UTF-8.") from error


def _loaded(path: Path) -> object:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        loaded: object = yaml.load(_read(path), loader)  # noqa: S506 - either is a safe one
    except (yaml.YAMLError, RecursionError) as error:
        raise _UnfitError("it is no YAML") from error
    return loaded


def _lists(given: object, name: str, keys: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """Yield the lists in what a YAML file holds, by their keys; `name` is for one without any."""
    if len(keys) > _DEEPEST:
        raise _UnfitError(f"its keys are more than {_DEEPEST} deep")
    if isinstance(given, list):
        entries = [_entry(one) for one in given if one not in (None, "")]
        if entries:
            yield "/".join(keys) or name, entries
    elif isinstance(given, dict):
        for key, inner in given.items():
            yield from _lists(inner, name, (*keys, str(key)))
    elif given is not None:
        raise _UnfitError(f"“{'/'.join(keys) or str(given)[:40]}” is no list")


def _entry(given: object) -> str:
    """Return an entry as our grammar has it; a dictionary tells its words and its weight."""
    if isinstance(given, dict):
        words, weight = given.get("text") or given.get("content"), given.get("weight", 1)
        if not isinstance(words, str) or not isinstance(weight, int | float):
            raise _UnfitError(f"“{str(given)[:40]}” has no text")
        return f"{weight:f}::{words}"
    if isinstance(given, list):
        raise _UnfitError("it has lists in lists")
    return str(given)
