"""Reading the network description of an enlarging model: ncnn's `.param` text."""

from dataclasses import dataclass
from pathlib import Path

_MAGIC = "7767517"
_MOST_BYTES = 4_000_000


@dataclass(frozen=True)
class Architecture:
    """How many times the network enlarges, and how many convolutions it has."""

    scale: int
    convolutions: int


def read_architecture(path: Path) -> Architecture | None:
    """Return what a `.param` file describes, or None if it is no enlarging network.

    An enlarging network reads a blob named `data` and writes one named `output`.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            return None
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    if len(lines) < 4 or lines[0].strip() != _MAGIC:
        return None
    layers = [line.split() for line in lines[2:] if line.strip()]
    if layers[0][0] != "Input" or "data" not in layers[0] or "output" not in layers[-1]:
        return None
    shuffled = _product(layers, "PixelShuffle", "0=")
    scale = shuffled if shuffled != 1 else _product(layers, "Interp", "1=")
    convolutions = sum(layer[0] == "Convolution" for layer in layers)
    return Architecture(scale, convolutions)


def _product(layers: list[list[str]], kind: str, key: str) -> int:
    product = 1.0
    for layer in layers:
        for word in layer:
            if layer[0] == kind and word.startswith(key):
                product *= _number(word.removeprefix(key))
    return round(min(product, 1_000.0))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 < value < 100 else 0.0
