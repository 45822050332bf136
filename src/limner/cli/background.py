"""What goes on after a command has ended, in a process of its own that gives way to others."""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_PROGRAM = "import os\ngetattr(os, 'nice', int)(19)\nfrom limner.cli.main import main\nmain()\n"
"""Windows knows no niceness; there `int` stands in and does nothing."""


_GOING: list["subprocess.Popen[bytes]"] = []
"""Nobody waits for them, and Python warns of a process that nobody holds."""


def go_on(home: Path, arguments: Sequence[str]) -> "subprocess.Popen[bytes] | None":
    """Run a command of the program beside this one, unheard; None where that cannot be.

    It outlives this process, and a closed terminal.
    """
    command = [sys.executable, "-c", _PROGRAM, "--quiet", "--home", str(home), *arguments]
    with suppress(OSError):
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _GOING.append(process)
        return process
    return None
