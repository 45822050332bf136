"""Adapters named in prompts: taken out of the words, read as AUTOMATIC1111 means them."""

import pytest

from limner.domain.errors import InvalidPrompt
from limner.domain.tags import tags_in, take_out


@pytest.mark.parametrize(
    ("prompt", "words", "adapters"),
    [
        ("a fox", "a fox", ()),
        (" a  fox, ", " a  fox, ", ()),
        ("a fox <lora:ok:0.8>", "a fox", ("ok:0.8",)),
        ("<lora:ok> a fox", "a fox", ("ok:1",)),
        ("a <lora:ok:.5> red fox", "a red fox", ("ok:0.5",)),
        ("a fox, <lora:ok:0.8>, <lyco:ink-2:-1>, oil", "a fox, oil", ("ok:0.8", "ink-2:-1")),
        ("<lora:ok:0.5:0.8>", "", ("ok:0.8:0.5",)),
        ("<lora:ok:0.5:0.5>", "", ("ok:0.5",)),
        ("<lora:ok:te=0.5:unet=0.8>", "", ("ok:0.8:0.5",)),
        ("<lora:ok:unet=0.8>", "", ("ok:0.8:1",)),
        ("<lora:ok:te=0.8>", "", ("ok:0.8",)),
        ("<lora:ok:0.3:unet=0.8>", "", ("ok:0.8:0.3",)),
        ("<LORA: styles/ok.safetensors : 1 > fox", "fox", ("styles/ok.safetensors:1",)),
        ("<lora> a <cat-toy> 1 < 2 <lora:", "<lora> a <cat-toy> 1 < 2 <lora:", ()),
    ],
)
def test_adapters_are_taken_out(prompt: str, words: str, adapters: tuple[str, ...]) -> None:
    assert take_out(prompt) == (words, adapters)
    assert len(tags_in(prompt)) == len(adapters)


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("<lora:ok:abc>", "weight of ok must be a number, not “abc”"),
        ("<lora:ok:>", "must be a number"),
        ("<lora:ok:1:x>", "not “x”"),
        ("<lora::1>", "no adapter that can be read"),
        ("<lora:ok:1:1:1>", "no adapter that can be read"),
        ("<lora:ok:dyn=8>", "no adapter that can be read"),
        ("<hypernet:ok:1>", "no hypernetworks"),
    ],
)
def test_what_cannot_be_read_is_told(prompt: str, reason: str) -> None:
    with pytest.raises(InvalidPrompt, match=reason):
        take_out(prompt)
