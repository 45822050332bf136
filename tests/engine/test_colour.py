"""Colour differences, against the pairs that Sharma, Wu and Dalal published with the formula."""

import numpy as np
import pytest

from limner.engine.colour import ciede2000, differences, lab

PAIRS = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
    ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
    ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (61, -5, 29), 22.8977),
    ((50, 2.5, 0), (56, -27, -3), 31.9030),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("one", "other", "apart"), PAIRS)
def test_published_pairs(one: tuple[float, ...], other: tuple[float, ...], apart: float) -> None:
    first, second = np.array(one, float), np.array(other, float)
    assert ciede2000(first, second) == pytest.approx(apart, abs=5e-5)
    assert ciede2000(second, first) == pytest.approx(apart, abs=5e-5)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
    ],
)
def test_colours_of_srgb(colour: tuple[int, int, int], expected: tuple[float, ...]) -> None:
    pixel = np.array([[[*colour, 255]]], np.uint8)
    assert lab(pixel)[0, 0] == pytest.approx(expected, abs=0.02)


def test_transparency_is_seen_on_white() -> None:
    clear = np.zeros((2, 2, 4), np.uint8)
    white = np.full((2, 2, 4), 255, np.uint8)
    assert differences(clear, white).max() == 0
    assert differences(clear, white * np.array([0, 0, 0, 1], np.uint8)).min() > 90
