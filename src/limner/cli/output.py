"""What is printed: results on stdout, everything said to people on stderr."""

import json
import os
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from limner.cli.command import Options, Scripted
from limner.domain.errors import StorageFailed


@dataclass(frozen=True)
class Output:
    """The two streams of one command."""

    json: bool = False
    quiet: bool = False

    @property
    def lively(self) -> bool:
        """Whether a person watches stderr: bars and previews may be shown."""
        return not (self.json or self.quiet) and sys.stderr.isatty()

    def say(self, text: str) -> None:
        """Tell a person something, unless only errors are wanted."""
        if not (self.json or self.quiet):
            write_error(printable(text))

    def record(self, entry: Mapping[str, object]) -> None:
        """Print one JSON object on a line."""
        # A lone surrogate (from a broken file name) becomes \\udc.., which JSON reads back.
        text = json.dumps(entry, ensure_ascii=False, allow_nan=False)
        _write(sys.stdout.buffer, text.encode(errors="backslashreplace"))

    def line(self, text: str) -> None:
        """Print one line of results."""
        _write(sys.stdout.buffer, os.fsencode(printable(text) if sys.stdout.isatty() else text))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows under headings; the last column takes the room that is left."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns[:-1]:
            table.add_column(column, no_wrap=True)
        table.add_column(columns[-1], overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        console = Console(highlight=False, emoji=False, soft_wrap=not sys.stdout.isatty())
        if not sys.stdout.isatty():
            console.width = 10_000
        with console.capture() as captured:
            console.print(table)
        for line in captured.get().splitlines():
            _write(sys.stdout.buffer, line.rstrip().encode())


def output_of(asked: Options) -> Output:
    """Return the streams as the options of a command want them."""
    return Output(json=isinstance(asked, Scripted) and asked.json, quiet=asked.quiet)


def printable(text: str) -> str:
    """Return text without control characters, which could take over a terminal."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\n\t"
        else letter
        for letter in text
    )


def write_error(text: str) -> None:
    """Print a line on stderr."""
    _write(sys.stderr.buffer, text.encode(errors="backslashreplace"))


def _write(stream: BinaryIO, line: bytes) -> None:
    """Write a line at once. When nobody reads any more, what follows goes nowhere, quietly."""
    try:
        stream.write(line + b"\n")
        stream.flush()
    except OSError as error:
        # Else Python would try to write the rest once more when it ends, and complain.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            raise StorageFailed(f"Results cannot be printed: {error.strerror}.") from error
