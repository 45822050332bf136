"""A small picture in the terminal, where the terminal can show one."""

import base64
import io
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE = 256
"""Pixels of the longer side where the terminal shows pixels."""

_ROWS = 14
"""Lines of the terminal that a preview takes at most."""

_KITTY_CHUNK = 4096
_VISIBLE = 128


class Graphics(StrEnum):
    """How a terminal shows pictures."""

    KITTY = "kitty"
    ITERM = "iterm"
    BLOCKS = "blocks"
    NONE = "none"


def graphics_of(environment: Mapping[str, str]) -> Graphics:
    """Tell from environment variables alone how the terminal shows pictures.

    Inside tmux and screen the outer terminal's abilities are out of reach. WezTerm knows both
    protocols, but only iTerm2's without being configured.
    """
    terminal = environment.get("TERM", "")
    program = environment.get("TERM_PROGRAM", "")
    if terminal in ("", "dumb", "linux"):
        return Graphics.NONE
    nested = "TMUX" in environment or terminal.startswith(("screen", "tmux"))
    if not nested:
        if "KITTY_WINDOW_ID" in environment or terminal in ("xterm-kitty", "xterm-ghostty"):
            return Graphics.KITTY
        if program == "ghostty":
            return Graphics.KITTY
        if program in ("WezTerm", "iTerm.app") or environment.get("LC_TERMINAL") == "iTerm2":
            return Graphics.ITERM
    if environment.get("COLORTERM") in ("truecolor", "24bit") and not environment.get("NO_COLOR"):
        return Graphics.BLOCKS
    return Graphics.NONE


def render(file: bytes, graphics: Graphics) -> str:
    """Return what shows a picture file (not SVG) when it is written to such a terminal."""
    from PIL import Image

    with Image.open(io.BytesIO(file)) as opened:
        image = opened.convert("RGBA")
    match graphics:
        case Graphics.KITTY:
            return _kitty(_thumbnail(image, _SIDE))
        case Graphics.ITERM:
            return _iterm(_thumbnail(image, _SIDE))
        case Graphics.BLOCKS:
            return "".join(_blocks(_thumbnail(image, 2 * _ROWS)))
        case Graphics.NONE:
            return ""


def _thumbnail(image: "Image", side: int) -> "Image":
    small = image.copy()
    small.thumbnail((side, side))
    return small


def _encoded(image: "Image") -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue())


def _kitty(image: "Image") -> str:
    """The kitty graphics protocol: https://sw.kovidgoyal.net/kitty/graphics-protocol/."""
    content = _encoded(image).decode()
    starts = range(0, len(content), _KITTY_CHUNK)
    pieces = [content[start : start + _KITTY_CHUNK] for start in starts]
    commands = ["a=T,f=100,q=2,", *[""] * (len(pieces) - 1)]
    more = [1] * (len(pieces) - 1) + [0]
    return (
        "".join(
            f"\x1b_G{command}m={left};{piece}\x1b\\"
            for command, left, piece in zip(commands, more, pieces, strict=True)
        )
        + "\n"
    )


def _iterm(image: "Image") -> str:
    """The inline images of iTerm2: https://iterm2.com/documentation-images.html."""
    content = _encoded(image)
    return f"\x1b]1337;File=inline=1;size={len(base64.b64decode(content))}:{content.decode()}\x07\n"


def _blocks(image: "Image") -> Iterator[str]:
    """Two pixels per character: the upper half in one colour, the lower in another."""
    for top in range(0, image.height, 2):
        for left in range(image.width):
            upper = _colour(image, left, top)
            lower = _colour(image, left, top + 1) if top + 1 < image.height else None
            yield _block(upper, lower)
        yield "\x1b[0m\n"


def _colour(image: "Image", left: int, top: int) -> str | None:
    """Return a pixel's colour as `r;g;b`, None where it is more transparent than not."""
    pixel = image.getpixel((left, top))
    if not isinstance(pixel, tuple) or pixel[3] < _VISIBLE:
        return None
    return ";".join(str(value) for value in pixel[:3])


def _block(upper: str | None, lower: str | None) -> str:
    if upper and lower:
        return f"\x1b[38;2;{upper};48;2;{lower}m▀"
    if upper:
        return f"\x1b[0;38;2;{upper}m▀"
    if lower:
        return f"\x1b[0;38;2;{lower}m▄"
    return "\x1b[0m "
