"""Fingerprints: the bits of the reference implementation, and what they survive."""

import io

import numpy as np
import pytest
from PIL import Image

from limner.families.family import Pixels
from limner.provenance.fingerprint import ALIKE, distance, fingerprint

# Made with the reference implementation in C++ (Python package pdqhash 0.2.8) of waves(…).
REFERENCE = {
    ((64, 64), 1): "fd1093c1fff06aff098a65a33f386b0d2006df19aac30a7ee00535521f5a365d",
    ((100, 80), 2): "538b06814d50aede3404869e17dcf01fabb53260b0fea2af0ab85b4efea84dfa",
    ((333, 517), 3): "1a8dc70e029b48ab119f48fb63b16f6f52b147efad43a885adad009333bed20b",
    ((640, 480), 1): "fc11bdc3fdf06b9b050ac5b33f38ca0d2006cf19aac70a7ee00535529f5a347d",
    ((1024, 700), 5): "85c4686ac037951c3f95952a217e0b99607f0f7b184ff7035f8642536bb931ee",
    ((1300, 900), 6): "342c7dd3242882810528096b3a542ac6be0b397effdc9fb49ba8d7d2e3eb9760",
    ((300, 1_100), 9): "47f9482d51fb742551f054b5548bfe137f38fc1ca932021e934b0137d4e6abc6",
}


def waves(width: int, height: int, seed: int) -> Pixels:
    """Return an opaque picture of many waves, the longer ones the stronger, as in photographs."""
    chance = np.random.RandomState(seed)
    down, across = np.mgrid[0:height, 0:width]
    pixels = np.full((height, width, 4), 255, np.uint8)
    for channel in range(3):
        total = np.zeros((height, width))
        for order in range(1, 30):
            turns = chance.uniform(-order, order, 2)
            angle = turns[0] * down / height + turns[1] * across / width + chance.uniform()
            total += np.cos(2 * np.pi * angle) / order
        pixels[..., channel] = np.rint(np.clip(128 + 40 * total, 0, 255))
    return pixels


@pytest.mark.parametrize(("size", "seed"), REFERENCE)
def test_the_bits_are_those_of_the_reference(size: tuple[int, int], seed: int) -> None:
    assert distance(fingerprint(waves(*size, seed)), REFERENCE[size, seed]) <= 2


@pytest.mark.parametrize("quality", [75, 50])
def test_it_survives_jpeg(quality: int) -> None:
    pixels = waves(640, 480, 1)
    file = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(file, "JPEG", quality=quality)
    again = np.asarray(Image.open(file).convert("RGBA"))
    assert distance(fingerprint(pixels), fingerprint(again)) <= ALIKE // 2


@pytest.mark.parametrize("scale", [0.3, 0.5, 2.0])
def test_it_survives_another_size(scale: float) -> None:
    pixels = waves(640, 480, 2)
    size = (round(640 * scale), round(480 * scale))
    again = np.asarray(Image.fromarray(pixels).resize(size))
    assert distance(fingerprint(pixels), fingerprint(again)) <= ALIKE


def test_other_pictures_are_far() -> None:
    prints = [fingerprint(waves(200, 150, seed)) for seed in range(8)]
    apart = [distance(a, b) for n, a in enumerate(prints) for b in prints[:n]]
    assert min(apart) > 2 * ALIKE


def test_transparency_counts_as_white() -> None:
    shown = waves(96, 96, 3)
    shown[:40] = 255
    hidden = shown.copy()
    hidden[:40] = (90, 20, 200, 0)
    assert fingerprint(hidden) == fingerprint(shown)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (5, 5), (127, 129)])
def test_any_size_has_one(size: tuple[int, int]) -> None:
    found = fingerprint(waves(*size, 4))
    assert len(found) == 64
    assert set(found) <= set("0123456789abcdef")


def test_a_plain_picture_has_one() -> None:
    assert len(fingerprint(np.full((50, 50, 4), 255, np.uint8))) == 64


def test_distance_counts_bits() -> None:
    assert distance("0" * 64, "f" * 64) == 256
    assert distance("0" * 63 + "1", "0" * 63 + "2") == 2
    assert distance("ab" * 32, "ab" * 32) == 0
