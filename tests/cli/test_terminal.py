"""What a person at a terminal sees: the bar, notices, previews."""

import base64
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.cli.output import Output
from limner.cli.preview import Graphics, graphics_of, render
from limner.cli.screen import Screen
from limner.domain.event import Hashing, Loading, Notice, Pulling, Step
from limner.provenance.formats import encode_png

from .conftest import opened

PROGRAM = str(Path(__file__).with_name("program.py"))
KITTY = re.compile(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\")


class Terminal:
    """The program in a terminal of its own."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self._outer, inner = pty.openpty()
        given = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
        given |= {"LIMNER_HOME": str(folder / "home"), "TERM": "xterm-256color", "COLUMNS": "100"}
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM, *arguments],
            cwd=folder,
            env=given | environment,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        self._bytes = b""

    @property
    def seen(self) -> str:
        return self._bytes.decode(errors="replace")

    def read_until(self, text: str) -> None:
        """Read until the text is seen or the program ends."""
        deadline = time.monotonic() + 60
        while text not in self.seen and time.monotonic() < deadline:
            if not select.select([self._outer], [], [], 1)[0]:
                continue
            try:
                piece = os.read(self._outer, 65_536)
            except OSError:  # how Linux says that the other side is closed
                return
            if not piece:
                return
            self._bytes += piece

    def finish(self) -> str:
        """Read to the end and return all that was seen."""
        self.read_until("\0")
        assert self.process.wait(timeout=30) is not None
        os.close(self._outer)
        return self.seen


def test_a_bar_shows_the_steps_and_how_many_are_done(tmp_path: Path) -> None:
    terminal = Terminal(
        tmp_path, "generate", "fox", "--seed", "1", "--count", "3", FAKE_DELAY="0.1"
    )
    seen = terminal.finish()
    assert terminal.process.returncode == 0
    assert "drawing" in seen
    assert re.search(r"[1234] of 4", seen)
    assert "1 of 3 pictures" in seen
    assert "━" in seen
    assert "fox-1.png  64x64, seed 1, " in seen
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h")


def test_quiet_shows_no_bar(tmp_path: Path) -> None:
    seen = Terminal(tmp_path, "generate", "fox", "--quiet", "--seed", "1").finish()
    assert re.fullmatch(r"fox-1\.png  64x64, seed 1, \d\.\d s\r\n", seen)


def test_json_on_a_terminal_is_nothing_but_json(tmp_path: Path) -> None:
    seen = Terminal(
        tmp_path, "generate", "unheard fox", "--json", COLORTERM="truecolor", FAKE_DELAY="0.02"
    ).finish()
    assert seen.startswith('{"path"')
    assert len(seen.splitlines()) == 1


def test_ctrl_c_gives_the_cursor_back(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "generate", "fox", "--count", "9", FAKE_DELAY="0.2")
    terminal.read_until("drawing")
    terminal.process.send_signal(signal.SIGINT)
    seen = terminal.finish()
    assert terminal.process.returncode == 130
    assert seen.rstrip().endswith("finished and kept.")
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")


def test_a_dumb_terminal_gets_words_only(tmp_path: Path) -> None:
    seen = Terminal(
        tmp_path, "generate", "unheard fox", TERM="dumb", COLORTERM="truecolor"
    ).finish()
    assert "\x1b" not in seen
    assert "not known to this model" in seen


def test_a_preview_in_blocks(tmp_path: Path) -> None:
    seen = Terminal(tmp_path, "generate", "fox", "--opaque", COLORTERM="truecolor").finish()
    lines = [line for line in seen.splitlines() if "▀" in line]
    assert len(lines) == 14
    assert all(line.count("▀") == 28 for line in lines)
    without = Terminal(tmp_path, "generate", "fox", "--no-preview", COLORTERM="truecolor").finish()
    assert "▀" not in without


def test_a_preview_in_kitty_is_the_picture(tmp_path: Path) -> None:
    seen = Terminal(tmp_path, "generate", "fox", "--seed", "1", TERM="xterm-kitty").finish()
    content = base64.b64decode("".join(piece for _, piece in KITTY.findall(seen)))
    (tmp_path / "seen.png").write_bytes(content)
    shown = np.asarray(opened(tmp_path / "seen.png"))
    assert np.array_equal(shown, np.asarray(opened(tmp_path / "fox-1.png")))


def test_no_preview_of_svg(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "generate", "fox", "--format", "svg", COLORTERM="truecolor")
    assert "▀" not in terminal.finish()
    assert terminal.process.returncode == 0


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Graphics.NONE),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, Graphics.NONE),
        ({"TERM": "xterm-256color"}, Graphics.NONE),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, Graphics.BLOCKS),
        ({"TERM": "xterm-256color", "COLORTERM": "24bit", "NO_COLOR": "1"}, Graphics.NONE),
        ({"TERM": "xterm-kitty"}, Graphics.KITTY),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, Graphics.KITTY),
        ({"TERM": "xterm-ghostty"}, Graphics.KITTY),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"}, Graphics.KITTY),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, Graphics.ITERM),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, Graphics.ITERM),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, Graphics.ITERM),
        (
            {"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1", "COLORTERM": "truecolor"},
            Graphics.BLOCKS,
        ),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux,1,0"}, Graphics.NONE),
    ],
)
def test_what_a_terminal_can_show(environment: Mapping[str, str], expected: Graphics) -> None:
    assert graphics_of(environment) is expected


def _noise(width: int, height: int) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    return encode_png(pixels)


def test_kitty_gets_pieces_of_4096(tmp_path: Path) -> None:
    pieces = KITTY.findall(render(_noise(600, 300), Graphics.KITTY))
    assert len(pieces) > 2
    assert all(len(piece) == 4096 for _, piece in pieces[:-1])
    assert [control for control, _ in pieces[1:]] == ["m=1"] * (len(pieces) - 2) + ["m=0"]
    assert pieces[0][0] == "a=T,f=100,q=2,m=1"
    (tmp_path / "seen.png").write_bytes(base64.b64decode("".join(text for _, text in pieces)))
    assert opened(tmp_path / "seen.png").size == (256, 128)


def test_iterm_gets_one_picture(tmp_path: Path) -> None:
    text = render(_noise(30, 20), Graphics.ITERM)
    match = re.fullmatch(r"\x1b\]1337;File=inline=1;size=(\d+):([^\x07]*)\x07\n", text)
    assert match is not None
    content = base64.b64decode(match[2])
    assert len(content) == int(match[1])
    (tmp_path / "seen.png").write_bytes(content)
    assert opened(tmp_path / "seen.png").size == (30, 20)


def test_blocks_leave_out_what_is_transparent() -> None:
    image = Image.new("RGBA", (2, 3), (255, 0, 0, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    image.putpixel((1, 1), (0, 0, 0, 0))
    image.putpixel((0, 2), (9, 9, 9, 9))
    text = render(encode_png(np.asarray(image)), Graphics.BLOCKS)
    assert text == (
        "\x1b[0;38;2;255;0;0m▄\x1b[0;38;2;255;0;0m▀\x1b[0m\n\x1b[0m \x1b[0;38;2;255;0;0m▀\x1b[0m\n"
    )
    assert render(encode_png(np.asarray(image)), Graphics.NONE) == ""


def test_elsewhere_than_on_a_terminal_only_notices_are_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Screen(Output(), 2) as screen:
        for happening in (
            Pulling("vellum", 1, 2),
            Hashing("vellum.onnx", 1, 2),
            Loading("vellum"),
            Step(0, "drawing", 1, 4),
            Notice("a", "A plain word."),
            Notice("a", "A plain word."),
        ):
            screen.tell(happening)
    assert capsys.readouterr() == ("", "A plain word.\n")
