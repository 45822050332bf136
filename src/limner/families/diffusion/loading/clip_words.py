"""The words of CLIP: its vocabulary, for models that bring none along.

The list of merges is that of open_clip, as OpenAI published it; every CLIP that draws shares it.
"""

import gzip
import json
from importlib.resources import files
from pathlib import Path

_MERGES = 49_152 - 256 - 2
"""How many merges CLIP learnt; the list goes on after them."""

_START, _END = "<|startoftext|>", "<|endoftext|>"

LONGEST = 77
"""Tokens that CLIP reads at once."""


def write_clip(folder: Path, pad: str = _END) -> None:
    """Write the tokenizer of CLIP into a new folder, as transformers reads it.

    `pad` fills up short prompts: CLIP-L was trained with its end, OpenCLIP with `!`.
    """
    merges = _merges()
    letters = _letters()
    tokens = [*letters, *(f"{one}</w>" for one in letters), *("".join(one) for one in merges)]
    vocabulary = {token: number for number, token in enumerate([*tokens, _START, _END])}
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": _START,
        "eos_token": _END,
        "unk_token": _END,
        "pad_token": pad,
        "model_max_length": LONGEST,
        "do_lower_case": True,
    }
    folder.mkdir(parents=True)
    _write(folder / "vocab.json", json.dumps(vocabulary, ensure_ascii=False))
    _write(folder / "merges.txt", "\n".join(["#version: 0.2", *map(" ".join, merges), ""]))
    _write(folder / "tokenizer_config.json", json.dumps(settings))


def _merges() -> list[tuple[str, str]]:
    packed = files(__package__).joinpath("words", "bpe_simple_vocab_16e6.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode().split("\n")[1 : _MERGES + 1]
    pairs = (line.split() for line in lines)
    return [(first, second) for first, second in pairs]


def _letters() -> list[str]:
    """Return a letter for each byte in CLIP's order: printable ones first, as themselves."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = 256 - len(printable)
    return [chr(code) for code in (*printable, *range(256, 256 + others))]


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
