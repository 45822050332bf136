"""A process of its own that keeps assets: `python -m store.keeper HOME FIRST COUNT`.

It says "ready", waits for a line, and prints the id of each asset once it is kept.
"""

import sys
from pathlib import Path

from limner.store.library import Library

from .samples import make_asset


def main(home: Path, first: int, count: int) -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    with Library.open(home) as library:
        for number in range(first, first + count):
            print(library.keep(*make_asset(number)).id, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
