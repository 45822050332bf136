"""The same words are encoded once."""

from typing import Any

import pytest

from limner.families.diffusion.calls.memo import Answers, Memo, manner_of


class Encoder:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __call__(self, *given: Any, **named: Any) -> object:
        self.asked.append((given, named))
        return object()


def test_the_same_words_are_encoded_once() -> None:
    encoder = Encoder()
    memo = Memo(encoder, Answers())
    first = memo(prompt=["a fox"], negative_prompt=None, length=512)
    assert memo(length=512, negative_prompt=None, prompt=["a fox"]) is first
    assert len(encoder.asked) == 1


def test_any_difference_is_heard() -> None:
    encoder = Encoder()
    memo = Memo(encoder, Answers())
    asked: list[dict[str, Any]] = [
        {"prompt": "a fox"},
        {"prompt": ["a fox"]},
        {"prompt": ("a fox",)},
        {"prompt": "a fox", "guided": True},
        {"prompt": "a fox", "guided": 1},
        {"prompt": "a fox", "guided": 1.0},
        {"prompt": "a fox", "negative": None},
        {"prompt": "a fox", "negative": "None"},
    ]
    answers = [memo(**one) for one in asked]
    assert len(set(map(id, answers))) == len(asked)


def test_tensors_go_through() -> None:
    encoder = Encoder()
    memo = Memo(encoder, Answers())
    tensor = object()
    assert memo(prompt="a fox", embeds=tensor) is not memo(prompt="a fox", embeds=tensor)
    assert memo(prompt="a fox", embeds=[tensor]) is not memo(prompt="a fox", embeds=[tensor])
    assert len(encoder.asked) == 4


def test_the_oldest_words_are_forgotten_first() -> None:
    encoder, answers = Encoder(), Answers()
    memo = Memo(encoder, answers)
    first = memo("0")
    for number in range(1, 16):
        memo(str(number))
    assert memo("0") is first
    memo("16")
    assert memo("0") is first
    memo("1")
    assert len(encoder.asked) == 18
    answers.forget()
    assert memo("0") is not first


def test_pipelines_that_encode_alike_share_what_they_know() -> None:
    encoder, answers = Encoder(), Answers()
    first, alike, other = (Memo(encoder, answers, manner) for manner in ("a", "a", "b"))
    known = first("a fox")
    assert alike("a fox") is known
    assert other("a fox") is not known


def test_copies_of_code_encode_alike() -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")

    def made(name: str) -> Any:
        kind = getattr(diffusers, name)
        return kind.__new__(kind)

    drawing, redrawing, other = (
        manner_of(made(name))
        for name in ("FluxPipeline", "FluxImg2ImgPipeline", "StableDiffusionXLPipeline")
    )
    assert drawing == redrawing != other
