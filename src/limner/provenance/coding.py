"""The code of the watermark: 48 bits and their check, spread so that noise can be undone.

72 bits (the id and a CRC-24) go through a tail-biting convolutional code of constraint length 9
and rate 1/3; its generators 557, 663 and 711 (octal) are the strongest known of that length
(Larsen, Short convolutional codes with maximal free distance, 1973). It is decoded by the
Viterbi algorithm from soft values, going round the circle of bits until start and end agree.
"""

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[np.floating[Any]]

DIGITS = 12
"""Hexadecimal digits of a mark."""

_CHECK_BITS = 24
_BITS = 4 * DIGITS + _CHECK_BITS
_MEMORY = 8
_STATES = 1 << _MEMORY
_GENERATORS = (0o557, 0o663, 0o711)

LENGTH = _BITS * len(_GENERATORS)
"""Values of a code word."""

_LAPS = 3
"""Of this many rounds of the circle, the middle one is read: by then its ends agree."""

_CRC_START = 0xB704CE
_CRC_POLYNOMIAL = 0x1864CFB
"""CRC-24 of OpenPGP, RFC 9580."""


def encode(mark: str) -> Values:
    """Return the code word of a mark of 12 hexadecimal digits: `LENGTH` values, +1 or -1."""
    word = (int(mark, 16) << _CHECK_BITS) | _check(int(mark, 16))
    return _encode_bits([(word >> place) & 1 for place in reversed(range(_BITS))])


def decode(values: Values) -> tuple[str, float] | None:
    """Return the mark in noisy values and how alike its code word is to them, or None.

    The likeness is the cosine of the angle between the two, from 0 to 1. Without a mark, one in
    sixteen million passes the check.
    """
    length = float(np.linalg.norm(values))
    if length == 0:
        return None
    bits = _likeliest(values.reshape(_BITS, -1))
    word = int("".join(map(str, bits)), 2)
    number = word >> _CHECK_BITS
    if _check(number) != word & ((1 << _CHECK_BITS) - 1):
        return None
    alike = float(_encode_bits(bits) @ values) / (length * LENGTH**0.5)
    return f"{number:0{DIGITS}x}", alike


def _check(number: int) -> int:
    check = _CRC_START
    for byte in number.to_bytes(DIGITS // 2, "big"):
        check ^= byte << 16
        for _ in range(8):
            check <<= 1
            if check >> _CHECK_BITS:
                check ^= _CRC_POLYNOMIAL
    return check


def _encode_bits(bits: list[int]) -> Values:
    state = 0
    for bit in bits[-_MEMORY:]:
        state = _step(state, bit)
    word = []
    for bit in bits:
        word.append(_outputs()[bit, state])
        state = _step(state, bit)
    return np.concatenate(word)


def _step(state: int, bit: int) -> int:
    return bit << (_MEMORY - 1) | state >> 1


@lru_cache(maxsize=1)
def _outputs() -> Values:
    """Return what is sent for a bit in a state: 2 × states × generators, +1 or -1."""
    registers = np.arange(2 * _STATES)[:, None] & np.array(_GENERATORS)
    parity = np.zeros_like(registers)
    for place in range(_MEMORY + 1):
        parity ^= registers >> place & 1
    sent: Values = (1 - 2 * parity).astype(np.float32).reshape(2, _STATES, -1)
    return sent


def _likeliest(values: Values) -> list[int]:
    """Return the bits whose code word lies closest to the values (bits × generators)."""
    states = np.arange(_STATES)
    bits = states >> (_MEMORY - 1)
    before = np.stack([(states << 1) & (_STATES - 1), (states << 1) & (_STATES - 1) | 1])
    sent = _outputs()[bits, before]
    steps = sent @ values.T
    scores = np.zeros(_STATES, np.float32)
    chosen = []
    for place in range(_LAPS * _BITS):
        ways = scores[before] + steps[..., place % _BITS]
        second = ways[1] > ways[0]
        chosen.append(second)
        scores = np.where(second, ways[1], ways[0])
    state = int(scores.argmax())
    found = []
    for second in reversed(chosen):
        found.append(state >> (_MEMORY - 1))
        state = int(before[int(second[state]), state])
    middle = (_LAPS // 2) * _BITS
    return found[::-1][middle : middle + _BITS]
