"""The error tree is the one drawn at the top of its file, and scripts can rely on it."""

import re
from collections.abc import Iterator

import pytest

from limner.domain import errors
from limner.domain.errors import LimnerError

EXIT_STATUSES = {
    "LimnerError": 1,
    "InvalidRequest": 2,
    "NotFound": 3,
    "AccessDenied": 4,
    "ModelUnavailable": 5,
    "WeightsRejected": 6,
    "StorageFailed": 7,
    "OutOfMemory": 8,
    "PictureRefused": 9,
    "SigningFailed": 10,
    "Cancelled": 130,
}
"""What each kind and its own kinds give back: fixed, since scripts test for it."""


def tree(kind: type[LimnerError] = LimnerError, depth: int = 0) -> Iterator[tuple[int, str]]:
    yield depth, kind.__name__
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:  # a room may have private kinds of its own
            yield from tree(child, depth + 1)


def drawn() -> Iterator[tuple[int, str]]:
    for line in (errors.__doc__ or "").splitlines():
        match = re.fullmatch(r"    ((?:│   |    )*)(?:[├└]── )?(\w+)(?: {2,}.*)?", line)
        if match:
            branch = "── " in line
            yield len(match[1]) // 4 + branch, match[2]


def kinds() -> list[type[LimnerError]]:
    return [getattr(errors, name) for _, name in tree()]


def test_the_drawn_tree_is_the_real_one() -> None:
    assert list(drawn()) == list(tree())
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert defined == {name for _, name in tree()}


def test_codes_are_unique_and_named_like_their_class() -> None:
    codes = [kind.code for kind in kinds()]
    assert len(set(codes)) == len(codes)
    for kind in kinds()[1:]:
        assert kind.code == re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_exit_statuses_are_fixed(kind: type[LimnerError]) -> None:
    nearest = next(one.__name__ for one in kind.__mro__ if one.__name__ in EXIT_STATUSES)
    assert kind.exit_status == EXIT_STATUSES[nearest]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_an_error_is_its_message_and_says_what_it_is(kind: type[LimnerError]) -> None:
    error = kind("It broke. Mend it.")
    assert (error.message, str(error)) == ("It broke. Mend it.",) * 2
    assert kind.__doc__
