"""How much of a prompt a text encoder reads, and which words it does not reach.

CLIP is not met here: its prompts are read in chunks, however long (see `conditioning`).
"""

import inspect
from typing import Any

_MARK = "limner"
"""Stands for the prompt when a chat is written to see what comes before it."""


def limit_of(pipeline: Any) -> int | None:
    """Return how many tokens a pipeline reads unless it is told otherwise; None: all."""
    parameter = inspect.signature(type(pipeline).__call__).parameters.get("max_sequence_length")
    if parameter is None or not isinstance(parameter.default, int):
        return None
    return parameter.default


def out_of_reach(pipeline: Any, prompt: str, limit: int | None) -> str:
    """Return the end of a prompt that the encoder does not read, from the start of a word.

    `limit` is the pipeline's `max_sequence_length`; None asks the pipeline itself.
    """
    most = limit_of(pipeline) if limit is None else limit
    tokenizer = _tokenizer(pipeline)
    # Editors that look at the picture with the prompt cut neither.
    if most is None or tokenizer is None or getattr(pipeline, "processor", None) is not None:
        return ""
    room = max(0, _room(pipeline, tokenizer, most))
    read = tokenizer(
        prompt,
        add_special_tokens=False,
        truncation=False,
        return_offsets_mapping=True,
        verbose=False,
    )
    places = read["offset_mapping"]
    if len(places) <= room:
        return ""
    start = int(places[room][0])
    while start > 0 and not any(letter.isspace() for letter in prompt[start - 1 : start + 1]):
        start -= 1
    return prompt[start:].strip()


def _tokenizer(pipeline: Any) -> Any:
    """Return the tokenizer of the encoder that reads whole sentences, the last one."""
    for name in ("tokenizer_3", "tokenizer_2", "tokenizer"):
        found = getattr(pipeline, name, None)
        if found is not None:
            # FLUX.2's tokenizer is a processor of words and pictures with the tokenizer inside.
            return getattr(found, "tokenizer", found)
    return None


def _room(pipeline: Any, tokenizer: Any, most: int) -> int:
    """Return the tokens that are left for words."""
    if hasattr(pipeline, "prompt_template_encode_start_idx"):
        return most + _spared(pipeline, tokenizer)
    if "complex_human_instruction" in inspect.signature(type(pipeline).__call__).parameters:
        return most - 2  # Sana's instruction comes before the prompt and has room of its own
    if getattr(pipeline.tokenizer, "chat_template", None):
        return most - _count(tokenizer, _chat(pipeline).partition(_MARK)[0])
    return most - int(tokenizer.num_special_tokens_to_add())


def _spared(pipeline: Any, tokenizer: Any) -> int:
    """Return the tokens cut off a template's start, less those it needs: Qwen-Image and Krea 2."""
    ending = int(getattr(pipeline, "prompt_template_encode_num_suffix_tokens", 0))
    if hasattr(pipeline, "prompt_template_encode_prefix"):
        before = pipeline.prompt_template_encode_prefix
    else:
        before = pipeline.prompt_template_encode.partition("{}")[0]
    return int(pipeline.prompt_template_encode_start_idx) - _count(tokenizer, before) - ending


def _count(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _chat(pipeline: Any) -> str:
    """Return the chat that a pipeline puts a prompt into."""
    system = getattr(pipeline, "system_message", None)  # FLUX.2
    if system is None:
        chat: list[dict[str, Any]] = [{"role": "user", "content": _MARK}]
    else:
        chat = [
            {"role": role, "content": [{"type": "text", "text": text}]}
            for role, text in (("system", system), ("user", _MARK))
        ]
    return str(
        pipeline.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    )
