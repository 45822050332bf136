"""Tokenizers of the real kinds with small vocabularies: bytes, and a few whole words."""

from importlib import import_module
from typing import Any

from tokenizers import pre_tokenizers

transformers: Any = import_module("transformers")

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
WORDS = ("red", "fox", "blue", "bird", "snow", "forest", "light")
START, END = "<|startoftext|>", "<|endoftext|>"

_QWEN_SPECIAL = (
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
)
_MISTRAL_SPECIAL = ("<pad>", "<s>", "</s>", "[IMG]", "[IMG_BREAK]", "[IMG_END]")
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MISTRAL_CHAT = (
    "<s>{% for message in messages %}{% for part in message['content'] %}"
    "{{ part['text'] }}{% endfor %}{% endfor %}"
)


def clip(pad: str = END) -> Any:
    """CLIP's: each word of WORDS is one token, any other letter is one."""
    merges, products = _merges("</w>")
    vocab = [*BYTES, *(f"{byte}</w>" for byte in BYTES), *products, START, END]
    return transformers.CLIPTokenizer(
        vocab={token: number for number, token in enumerate(vocab)},
        merges=merges,
        pad_token=pad,
        model_max_length=77,
    )


def t5() -> Any:
    """T5's: printable ASCII and the words of WORDS."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = [(piece, -10.0) for piece in ["▁", *letters]]
    words = [(f"▁{word}", -2.0) for word in WORDS]
    return transformers.T5Tokenizer(
        vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0), *pieces, *words],
        extra_ids=0,
        model_max_length=512,
    )


def qwen() -> Any:
    """Qwen's, with the marks of its chats."""
    return _byte_level(END, _QWEN_SPECIAL, CHAT)


class _Eyes(transformers.Qwen2VLProcessor):  # type: ignore[misc]  # untyped library
    """Qwen2-VL's processor without its part for films, which would need torchvision."""

    def check_argument_for_proper_class(self, name: str, part: Any) -> Any:
        return type(part)


def qwen_eyes() -> Any:
    """The processor of Qwen2-VL: words and pictures."""
    return _Eyes(transformers.Qwen2VLImageProcessorPil(), qwen(), None)


def mistral() -> Any:
    """Stands for Mistral's, which is of the same kind."""
    return _byte_level("<pad>", _MISTRAL_SPECIAL, MISTRAL_CHAT)


def gemma() -> Any:
    """Gemma's: bytes and the words of WORDS."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    pieces = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    letters = sorted({letter for word in WORDS for letter in word})
    merges, products = _merges("")
    return transformers.GemmaTokenizer(
        vocab={token: number for number, token in enumerate([*pieces, *letters, *products])},
        merges=merges,
        model_max_length=512,
    )


def _byte_level(pad: str, special: tuple[str, ...], chat: str) -> Any:
    merges, products = _merges("")
    vocab = [*BYTES, *products, pad, *(token for token in special if token != pad)]
    made = transformers.Qwen2Tokenizer(
        vocab={token: number for number, token in enumerate(vocab)},
        merges=merges,
        unk_token=pad,
        eos_token=pad,
        pad_token=pad,
        model_max_length=4096,
    )
    made.add_special_tokens({"additional_special_tokens": list(special)})
    made.chat_template = chat
    return made


def _merges(ending: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the merges that build each word from its left, and what they come to."""
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        letters = [*word[:-1], word[-1] + ending]
        so_far = letters[0]
        for letter in letters[1:]:
            merges.append((so_far, letter))
            so_far += letter
    unique = list(dict.fromkeys(merges))
    return unique, list(dict.fromkeys("".join(merge) for merge in unique))
