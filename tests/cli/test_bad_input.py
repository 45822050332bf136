"""What cannot be done is refused in words, with an exit status, and nothing is written."""

import io
import os
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from limner.cli import targets
from tests.fakes import FakeEngine

from .conftest import Limner, assets_in, opened, photo

TEXTS = [
    "🦊🚀",
    "à l'œil, Ægir, ñandú",
    "赤い狐",
    "ثعلب أحمر",
    "👩‍🚀 in the rain",
    "[bold]fox[/bold]",
    "a\tb",
]


@pytest.mark.parametrize("prompt", TEXTS)
def test_any_script_is_a_prompt(limner: Limner, folder: Path, prompt: str) -> None:
    ran = limner("generate", prompt, "--seed", "1", "--json")
    assert ran.status == 0
    assert ran.records[0]["prompt"] == prompt
    assert opened(folder / ran.records[0]["path"]).size == (64, 64)
    assert limner("library", "list").status == 0


@pytest.mark.parametrize(
    ("arguments", "status", "code", "word"),
    [
        (("generate",), 2, "invalid_prompt", "fox"),
        (("generate", ""), 2, "invalid_prompt", "fox"),
        (("generate", "  \n "), 2, "invalid_prompt", "fox"),
        (("generate", "x" * 10_000), 2, "invalid_prompt", "10,000"),
        (("generate", "fox\x1b]0;owned\x07"), 2, "invalid_prompt", "control"),
        (("generate", "fox\x9b31m"), 2, "invalid_prompt", "control"),
        (("generate", "fox\udcff"), 2, "invalid_prompt", "broken"),
        (("generate", "fox", "--negative", "a\x1bb"), 2, "invalid_prompt", "control"),
        (("generate", "fox", "--negative", "y" * 10_000), 2, "invalid_prompt", "10,000"),
        (("generate", "fox", "--size", "0x0"), 2, "invalid_size", "512x512"),
        (("generate", "fox", "--size", "large"), 2, "invalid_size", "512x512"),
        (("generate", "fox", "--size", "-5x5"), 2, "invalid_size", "512x512"),
        (("generate", "fox", "--size", "99999x99999"), 2, "invalid_size", "512x512"),
        (("generate", "fox", "--size", "60000x60000"), 2, "invalid_size", "pixels"),
        (("generate", "fox", "--size", "8000x8000"), 2, "invalid_size", "megapixels"),
        (("generate", "fox", "--size", "1x1"), 2, "invalid_size", "pixels"),
        (("generate", "fox", "--style", "cubist"), 2, "invalid_option", "flat, sticker"),
        (("generate", "fox", "--option", "style=cubist"), 2, "invalid_option", "flat, sticker"),
        (("bench", "model"), 2, "invalid_option", "--model NAME"),
        (("bench", "model", "--model", "none"), 3, "model_not_found", "none"),
        (("bench", "model", "--model", "vellum"), 2, "invalid_option", "no diffusers folder"),
        (("bench", "--model", "none"), 2, "invalid_option", "bench model"),
        (("generate", "fox", "--option", "style"), 2, "invalid_option", "NAME=VALUE"),
        (("generate", "fox", "--option", "=1"), 2, "invalid_option", "NAME=VALUE"),
        (("generate", "fox", "--option", "a=1", "--option", "a=2"), 2, "invalid_option", "twice"),
        (("generate", "fox", "--option", "magic=1"), 2, "invalid_option", "no option “magic”"),
        (("generate", "fox", "--schedule", "magic"), 2, "invalid_option", "schedule"),
        (("generate", "fox", "--adapter", "no.safetensors"), 3, "model_not_found", "no.safet"),
        (("generate", "fox", "--sampler", "magic"), 2, "invalid_option", "euler, heun"),
        (("generate", "fox", "--steps", "0"), 2, "invalid_option", "1 to 200"),
        (("generate", "fox", "--steps", "many"), 2, "invalid_option", "--steps"),
        (("generate", "fox", "--guidance", "1e9"), 2, "invalid_option", "1 to 10"),
        (("generate", "fox", "--guidance", "nan"), 2, "invalid_option", "guidance"),
        (("generate", "fox", "--count", "0"), 2, "invalid_option", "count"),
        (("generate", "fox", "--count", "100000"), 2, "invalid_option", "10,000"),
        (("generate", "fox", "--seed", "-1"), 2, "invalid_option", "seed"),
        (("generate", "fox", "--seed", str(2**64)), 2, "invalid_option", "seed"),
        (
            ("generate", "fox", "--format", "gif"),
            2,
            "invalid_option",
            "png, webp, jpeg, tiff, avif, svg",
        ),
        (
            ("generate", "fox", "--out", "fox.gif"),
            2,
            "invalid_option",
            "png, webp, jpeg, tiff, avif, svg",
        ),
        (("generate", "fox", "--out", "fox.png", "--format", "webp"), 2, "invalid_option", "webp"),
        (("generate", "fox", "--out", "fox.jpg", "--transparent"), 2, "invalid_option", "jpeg"),
        (("generate", "fox", "--out", ""), 2, "invalid_option", "--out"),
        (("generate", "fox", "--out", "n" * 300), 2, "invalid_option", "long"),
        (("generate", "fox", "--out", "/dev/null"), 2, "invalid_option", "picture"),
        (("generate", "fox", "--out", "/dev/null/fox.png"), 2, "invalid_option", "not a folder"),
        (("generate", "fox", "--model", "dall-e"), 3, "model_not_found", "models list"),
        (("generate", "fox", "--model", "./none.onnx"), 3, "model_not_found", "none.onnx"),
        (("generate", "fox", "--model", "u2netp"), 2, "invalid_option", "vellum"),
        (("generate", "fox", "--colour", "red"), 2, "invalid_option", "--colour"),
        (("generate", "fox", "--from", "x.csv"), 2, "invalid_option", "not both"),
        (("edit", "none.png", "a fox"), 3, "not_found", "none.png"),
        (("edit", "none.png"), 2, "invalid_option", "PROMPT"),
        (("upscale", "."), 7, "storage_failed", "directory"),
        (("upscale",), 2, "invalid_option", "FILE"),
        (("cutout", "photo.png", "--mask", "photo.png"), 2, "invalid_option", "--mask"),
        (("edit", "photo.png", ""), 2, "invalid_prompt", "fox"),
        (("edit", "photo.png", "fox", "--strength", "7"), 2, "invalid_option", "strength"),
        (("erase", "photo.png", "--mask", "small.png"), 2, "invalid_image", "32x16"),
        (("edit", "photo.png", "x", "--mask", "small.png"), 2, "invalid_image", "32x16"),
        (("erase", "photo.png", "--mask", "photo.txt"), 2, "invalid_image", "PNG"),
        (("upscale", "photo.png", "--negative", "x"), 2, "invalid_option", "negative words"),
        (("upscale", "photo.png", "--sampler", "euler"), 2, "invalid_option", "no sampler to set"),
        (("upscale", "photo.png", "--option", "a=1"), 2, "invalid_option", "no option “a”"),
        (("upscale", "photo.png", "--guidance", "3"), 2, "invalid_option", "no guidance to set"),
        (("upscale", "photo.png", "--size", "x"), 2, "invalid_size", "512x512"),
        (("upscale", "photo.png", "--model", "vellum"), 2, "invalid_option", "realesr-fast"),
        (("draw", "a fox"), 2, "invalid_option", "draw"),
        (("library", "show", "zzz"), 2, "invalid_request", "6"),
        (("library", "show", "abcdef"), 3, "asset_not_found", "abcdef"),
        (("library", "list", "--limit", "0"), 2, "invalid_request", "limit"),
        (("models", "show", "velum"), 3, "model_not_found", "vellum"),
        (("models", "remove", "vellum"), 2, "invalid_request", "comes with Limner"),
    ],
)
def test_refusals(
    limner: Limner,
    folder: Path,
    engine: FakeEngine,
    arguments: tuple[str, ...],
    status: int,
    code: str,
    word: str,
) -> None:
    photo(folder / "photo.png")
    photo(folder / "small.png", (32, 16), "white")
    (folder / "photo.txt").write_text("no picture")
    before = sorted(folder.iterdir())
    separate = arguments.index("--") if "--" in arguments else len(arguments)
    ran = limner(*arguments[:separate], "--json", *arguments[separate:])
    assert (ran.status, ran.error["code"]) == (status, code)
    assert word in ran.error["message"]
    assert ran.out == ""
    assert sorted(folder.iterdir()) == before
    assert engine.performed == []
    plain = limner(*arguments)
    assert (plain.status, plain.out) == (status, "")
    assert plain.err.startswith("Error: ")
    assert "Traceback" not in plain.err
    assert "\x1b" not in plain.err


def _bomb() -> bytes:
    """A PNG of a few bytes that says it is 60,000 pixels wide and high."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1_000_000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def _cut_off() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(file, "PNG")
    return file.getvalue()[:700]


class _Harmful:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (os.system, ("touch owned",))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 1000,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        _bomb(),
        _cut_off(),
        pickle.dumps(_Harmful()),
        b"GIF89a" + b"\xff" * 40,
    ],
    ids=["empty", "zeros", "svg", "bomb", "cut off", "pickle", "broken gif"],
)
@pytest.mark.parametrize("command", ["upscale", "cutout", "erase", "edit"])
def test_hostile_pictures(limner: Limner, folder: Path, command: str, content: bytes) -> None:
    (folder / "bad.png").write_bytes(content)
    photo(folder / "mask.png")
    more = {"erase": ["--mask", "mask.png"], "edit": ["a fox"]}.get(command, [])
    ran = limner(command, "bad.png", *more, "--json")
    assert (ran.status, ran.error["code"]) == (2, "invalid_image")
    assert sorted(path.name for path in folder.iterdir()) == ["bad.png", "mask.png"]


def test_a_tampered_model_is_not_used(limner: Limner, folder: Path, home: Path) -> None:
    pulled = home / "models" / "brush" / "brush.onnx"
    pulled.parent.mkdir(parents=True)
    pulled.write_bytes(b"not much of a model!")
    ran = limner("models", "verify", "brush", "--json")
    assert (ran.status, ran.records[0]["state"]) == (6, "differs")


def test_a_model_that_cannot_be_had(limner: Limner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_OFFLINE", "1")
    ran = limner("models", "pull", "brush", "--json")
    assert (ran.status, ran.out, ran.error["code"]) == (5, "", "pull_failed")


def test_the_unexpected_is_one_plain_line(limner: Limner, home: Path) -> None:
    ran = limner("generate", "a crash")
    assert (ran.status, ran.out) == (70, "")
    assert len(ran.err.splitlines()) == 1
    assert "ZeroDivisionError" in ran.err
    assert "--debug" in ran.err
    assert "Traceback" in limner("generate", "a crash", "--debug").err
    assert limner("generate", "a crash", "--json").error["code"] == "unexpected"
    assert assets_in(home) == ()


def test_a_home_that_is_a_file(limner: Limner, home: Path) -> None:
    home.write_text("here first")
    ran = limner("generate", "a fox", "--json")
    assert (ran.status, ran.out) == (7, "")
    assert ran.error["code"].startswith("storage")
    assert home.read_text() == "here first"


def test_a_bad_setting_is_named(limner: Limner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMNER_THREADS", "several")
    ran = limner("generate", "a fox", "--json")
    assert (ran.status, ran.error["code"]) == (2, "invalid_option")
    assert "LIMNER_THREADS" in ran.error["message"]


def test_a_folder_that_cannot_be_written(
    limner: Limner, folder: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # chmod does not stop root, so the system's answer is changed instead.
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(targets, "TemporaryFile", refuse)
    (folder / "locked").mkdir()
    ran = limner("generate", "a fox", "--out", "locked", "--json")
    assert (ran.status, ran.error["code"]) == (2, "invalid_option")
    assert engine.performed == []
