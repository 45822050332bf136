"""The program as it ships, drawing with the embedded models."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from .conftest import opened


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "LIMNER_HOME": str(folder / "home"), "LIMNER_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "limner.cli.main", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def records_of(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    process = start(folder, *arguments, "--json")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def test_draw_cut_out_and_enlarge(tmp_path: Path) -> None:
    drawing = ("generate", "a red fox", "--size", "64x64", "--steps", "4", "--seed", "1")
    first, second = records_of(tmp_path, *drawing, "--count", "2")
    assert first["pixel_digest"] != second["pixel_digest"]
    again = records_of(tmp_path, *drawing, "--out", "again.png")[0]
    assert again["pixel_digest"] == first["pixel_digest"]
    [larger] = records_of(tmp_path, "upscale", first["path"])
    assert opened(tmp_path / larger["path"]).size == (256, 256)
    ball = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(ball).ellipse((30, 30, 98, 98), fill="crimson")
    ball.save(tmp_path / "ball.png")
    [cut] = records_of(tmp_path, "cutout", "ball.png")
    alpha = opened(tmp_path / cut["path"]).getchannel("A")
    assert (alpha.getpixel((64, 64)), alpha.getpixel((4, 4))) == (255, 0)
    [traced] = records_of(tmp_path, *drawing, "--format", "svg")
    assert "<svg" in (tmp_path / traced["path"]).read_text(encoding="utf-8")


def test_ctrl_c_while_a_network_computes(tmp_path: Path) -> None:
    process = start(tmp_path, "generate", "a red fox", "--steps", "100", "--count", "40")
    deadline = time.monotonic() + 60
    while not (tmp_path / "home" / "library.sqlite").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - sent < 10
    assert process.returncode == 130
    assert "finished and kept" in err
    left = [path.name for path in tmp_path.rglob("*") if path.name.startswith(".limner")]
    assert left == []


def test_an_unknown_style_lists_those_there_are(tmp_path: Path) -> None:
    process = start(tmp_path, "generate", "a red fox", "--style", "cubist")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "flat" in err


@pytest.mark.parametrize("name", ["vellum", "realesr-fast", "u2netp"])
def test_embedded_models_are_whole(tmp_path: Path, name: str) -> None:
    assert {one["state"] for one in records_of(tmp_path, "models", "verify", name)} == {"good"}
