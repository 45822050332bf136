"""The same words are read once by a model's text encoders, whatever is drawn with them."""

from typing import Any

import pytest

from limner.domain.recipe import Task
from limner.families.diffusion.known.facts import facts_of

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the line above asks for

from limner.families.diffusion.drawing.model import DiffusionModel  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402
from tests.families.diffusion.drawing.test_driver import Model, Witness, order_of  # noqa: E402


def counted(encoder: Any) -> list[int]:
    reads: list[int] = []
    encoder.register_forward_hook(lambda *_: reads.append(1))
    return reads


def draw(model: DiffusionModel, task: Task, **changes: Any) -> None:
    model.perform([order_of(task, steps=2, **changes)], Witness().watch)


def test_a_second_task_reads_nothing_again() -> None:
    torch.manual_seed(0)
    model = Model(facts_of("flux1", "dev"), pipeline=tiny.flux()).load()
    reads = counted(model._first.text_encoder_2)
    draw(model, Task.TEXT_TO_IMAGE)
    first = len(reads)
    assert first > 0
    draw(model, Task.IMAGE_TO_IMAGE)
    draw(model, Task.TEXT_TO_IMAGE, seed=9)
    assert len(reads) == first


@pytest.mark.parametrize("prompt", ["a fox", "a (red:1.3) fox", "a fox " * 60])
def test_a_second_picture_reads_nothing_again(prompt: str) -> None:
    torch.manual_seed(0)
    model = Model(facts_of("sd1", "base"), pipeline=tiny.sd1()).load()
    reads = counted(model._first.text_encoder)
    draw(model, Task.TEXT_TO_IMAGE, prompt=prompt)
    first = len(reads)
    assert first > 0
    draw(model, Task.TEXT_TO_IMAGE, prompt=prompt, seed=9)
    assert len(reads) == first
    draw(model, Task.TEXT_TO_IMAGE, prompt="a wolf")
    assert len(reads) > first
