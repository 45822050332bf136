"""Where other programs keep their models: the folders within theirs, and those they list."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from limner.domain.errors import InvalidRequest

LISTED = "extra_model_paths.yaml"
"""The file in which ComfyUI is told of models in other places."""

_LONGEST = 200_000
"""Bytes of such a file."""

_MOST_ALIASES = 20
"""Aliases in it. Some dozens, each merging ten others, would fill the memory."""

_MARKS = ("folder_paths.py", "invokeai.yaml", "launch.py", "webui.bat", "webui.py", "webui.sh")
"""Files in the folder of ComfyUI, of InvokeAI, of the web UIs."""

_OWN = ("models", "Models", "embeddings")
"""Folders of a program's that hold models."""

_NO_MODELS = frozenset({"base_path", "configs", "custom_nodes", "is_default"})
"""Entries of a list of folders that name none with models."""


def is_folder(path: Path) -> bool:
    """Whether this is a folder that can be told to be one."""
    try:
        return path.is_dir()
    except OSError:
        return False


def roots_of(folder: Path) -> tuple[Path, ...]:
    """Return the folders of models within the folder of a program; other folders as they are."""
    own = [folder / name for name in _OWN if is_folder(folder / name)]
    if not own or not any((folder / mark).exists() for mark in _MARKS):
        return (folder,)
    return (*own, *sorted(folder.glob("extensions/*/models")))


def folders_of(path: Path) -> tuple[Path, ...]:
    """Return the folders that an `extra_model_paths.yaml` lists and that are here, each once.

    Those of a section with `is_default` come first, as they do for ComfyUI, whose
    `utils/extra_config.py` is what this follows: an entry has a folder a line, below the
    section's `base_path`, or else below the folder of the file. Raises InvalidRequest for a file
    that cannot be read.
    """
    here = (next(filter(is_folder, named), None) for named in _named(path))
    return tuple(dict.fromkeys(folder for folder in here if folder is not None))


def missing_of(path: Path) -> tuple[Path, ...]:
    """Return the folders that such a file lists and that are not here; raises as `folders_of`."""
    missing = (named[-1] for named in _named(path) if not any(map(is_folder, named)))
    return tuple(dict.fromkeys(missing))


def _named(path: Path) -> tuple[tuple[Path, ...], ...]:
    """Return what each line of a list may name, default sections first."""
    first: list[tuple[Path, ...]] = []
    others: list[tuple[Path, ...]] = []
    for section in _sections(path).values():
        if isinstance(section, dict):
            base = _below(path.parent, str(section.get("base_path") or ""))
            (first if section.get("is_default") is True else others).extend(_lines(section, base))
    return (*first, *others)


def _sections(path: Path) -> dict[object, object]:
    import yaml

    try:
        if path.stat().st_size > _LONGEST:
            raise InvalidRequest(f"{path} is too long for a list of folders. It was not read.")
        raw = path.read_bytes()
        if b"<<" in raw and raw.count(b"*") > _MOST_ALIASES:
            raise InvalidRequest(f"{path} merges more aliases than a list of folders needs.")
        sections = yaml.safe_load(raw)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"{path} is no YAML that could be read{_place(error)}.") from error
    if sections is None:
        return {}
    if not isinstance(sections, dict):
        raise InvalidRequest(f"{path} is no list of folders: it has no sections with a base_path.")
    return sections


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f" (see line {mark.line + 1})" if mark is not None else ""


def _lines(section: dict[object, object], base: Path) -> Iterator[tuple[Path, ...]]:
    """Yield what each line of a section may name; what follows a ` #` may be a remark."""
    for key, value in section.items():
        if key in _NO_MODELS or not isinstance(value, str):
            continue
        for line in value.splitlines():
            texts = (line.strip(), line.partition(" #")[0].strip())
            found = tuple(_below(base, text) for text in texts if text)
            if found:
                yield found


def _below(base: Path, text: str) -> Path:
    """Return a path that may begin with `~`, hold variables, or be whole by itself."""
    written = Path(os.path.expandvars(text))
    with suppress(RuntimeError):  # nobody of that name has a home
        written = written.expanduser()
    return Path(os.path.normpath(base / written))
