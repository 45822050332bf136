"""Which files of a model decide its pictures."""

import re
from pathlib import Path

from limner.domain.card import WeightFile
from limner.families.checkpoint import local_file
from limner.families.diffusion.recognition.folders import INDEX, read_pipeline
from limner.families.family import Hash

DESCRIBING = frozenset({".json", ".txt", ".model", ".jinja"})
"""Endings of descriptions, vocabularies and templates."""

LARGEST = 64 * 1024 * 1024
"""Bytes of a description; what is larger is something else."""

SINGLE = "model.safetensors"
"""What a model in one file is called in its card, whatever it is called on the disk."""


def file_of(path: Path, sha256_of: Hash) -> WeightFile:
    """Describe a model in one file."""
    return local_file(path, sha256_of).model_copy(update={"name": SINGLE})


def files_of(folder: Path, sha256_of: Hash) -> tuple[WeightFile, ...]:
    """Return every file of a diffusers folder that decides its pictures, in order of their names.

    The description, the weights that are loaded, and the settings and vocabularies of each part;
    neither other precisions of the same weights nor pictures and notes beside them.
    """
    pipeline = read_pipeline(folder)
    weights = [path for part in pipeline.components.values() for path in part.weights]
    described = [
        path
        for name, entry in sorted(pipeline.settings.items())
        if isinstance(entry, list) and re.fullmatch(r"\w{1,60}", name) and (folder / name).is_dir()
        for path in sorted((folder / name).iterdir())
        if path.suffix.lower() in DESCRIBING and path.is_file()
    ]
    small = [path for path in described if path.stat().st_size <= LARGEST]
    named = {path.relative_to(folder).as_posix(): path for path in (*weights, *small)}
    named[INDEX] = folder / INDEX
    return tuple(
        local_file(path, sha256_of).model_copy(update={"name": name})
        for name, path in sorted(named.items())
    )
