"""From prompts to what a pipeline is given to be guided by: words, or what CLIP made of them.

CLIP honours weights and reads prompts of any length in chunks. Other text encoders read plain
words up to a limit; what they do not honour or do not reach is told.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from limner.domain.errors import InvalidOption
from limner.domain.event import Notice
from limner.domain.prompting import is_weighted, parse, plain
from limner.families.diffusion.calls.chunks import Clip
from limner.families.diffusion.calls.reach import limit_of, out_of_reach

_QUOTED = 500
"""Letters of a quotation before it is shortened."""


@dataclass(frozen=True)
class Conditioning:
    """Arguments for a pipeline's call, and what the maker should be told."""

    arguments: dict[str, Any]
    notices: tuple[Notice, ...]


def condition(
    pipeline: Any,
    prompts: Sequence[str],
    negatives: Sequence[str],
    limit: int | None,
    clip_skip: int | None,
) -> Conditioning:
    """Return the arguments that give a pipeline of diffusers its words.

    An empty negative prompt is none; there are as many as prompts, or none at all. Without
    weights and within CLIP's 75 tokens the words themselves are given, so that pictures are
    those of the pipeline bit by bit. `limit` is the tokens a T5 or a language model reads (None:
    as the pipeline has it), `clip_skip` the layers of CLIP that are left out, for both prompts.
    Raises InvalidOption where it has fewer.
    """
    words = _Words(pipeline, tuple(prompts), tuple(negatives) or ("",) * len(prompts))
    clips = _clips(pipeline, clip_skip or 0)
    arguments: dict[str, Any] = {}
    if limit is not None and _takes(pipeline, "max_sequence_length"):
        arguments["max_sequence_length"] = limit
    if clips and (clip_skip or words.ask_much_of(clips[0])):
        torch: Any = import_module("torch")
        with torch.no_grad():
            arguments |= _embeddings(words, clips, limit, torch)
    else:
        arguments |= words.as_they_are()
    return Conditioning(arguments, tuple(dict.fromkeys(_notices(words, bool(clips), limit))))


@dataclass(frozen=True)
class _Words:
    """What a pipeline is to be given: as many prompts as negative prompts."""

    pipeline: Any
    prompts: tuple[str, ...]
    negatives: tuple[str, ...]

    @property
    def every(self) -> tuple[str, ...]:
        return (*self.prompts, *self.negatives)

    def ask_much_of(self, clip: Clip) -> bool:
        """Whether there are weights, or more words than are read at once."""
        mixed = any(self.negatives) and not all(self.negatives)
        return mixed or any(
            is_weighted(prompt) or len(clip.chunks(parse(prompt))) > 1 for prompt in self.every
        )

    def as_they_are(self) -> dict[str, Any]:
        arguments = {"prompt": _one_or_list(self.prompts)}
        if any(self.negatives) and _takes(self.pipeline, "negative_prompt"):
            arguments["negative_prompt"] = _one_or_list(self.negatives)
        return arguments


def _clips(pipeline: Any, skip: int) -> tuple[Clip, ...]:
    """Return the CLIP encoders that guide a pipeline word by word: none but Stable Diffusion's."""
    name = type(pipeline).__name__
    if not name.startswith("StableDiffusion"):
        if skip:
            raise InvalidOption(
                "Layers can only be skipped in CLIP, and this model is not guided by it. Leave "
                "clip_skip away."
            )
        return ()
    normed = not name.startswith(("StableDiffusionXL", "StableDiffusion3"))
    clips = []
    for ending in ("", "_2"):
        encoder = getattr(pipeline, f"text_encoder{ending}", None)
        if encoder is None:
            continue
        most = int(encoder.config.num_hidden_layers) - (1 if normed else 2)
        if not 0 <= skip <= most:
            raise InvalidOption(
                f"clip_skip is {skip}; this model has layers for 0 to {most}. Ask for fewer."
            )
        device = pipeline._execution_device  # noqa: SLF001 - none is public
        tokenizer = getattr(pipeline, f"tokenizer{ending}")
        spell = getattr(pipeline, "maybe_convert_prompt", None)
        clips.append(Clip(tokenizer, encoder, device, skip, normed, spell))
    return tuple(clips)


def _embeddings(
    words: _Words, clips: Sequence[Clip], limit: int | None, torch: Any
) -> dict[str, Any]:
    """Return the embeddings of prompts and negative prompts, in as many chunks as the longest."""
    pipeline = words.pipeline
    count = max(len(clip.chunks(parse(prompt))) for clip in clips for prompt in words.every)
    # SDXL means nothing at all, not an encoded emptiness, where there is no negative prompt.
    void = bool(pipeline.config.get("force_zeros_for_empty_prompt", False))
    arguments: dict[str, Any] = {}
    for name, prompts in (("", words.prompts), ("negative_", words.negatives)):
        made = [_encoded(clips, prompt, count, torch) for prompt in prompts]
        if name and void:
            made = [
                one if prompt else tuple(torch.zeros_like(tensor) for tensor in one)
                for prompt, one in zip(prompts, made, strict=True)
            ]
        states = torch.cat([one[0] for one in made])
        if _has_t5(pipeline):
            states = _with_t5(pipeline, states, prompts, limit, torch)
        arguments[f"{name}prompt_embeds"] = states
        if len(made[0]) > 1:
            arguments[f"{name}pooled_prompt_embeds"] = torch.cat([one[1] for one in made])
    return arguments


def _encoded(clips: Sequence[Clip], prompt: str, count: int, torch: Any) -> tuple[Any, ...]:
    """Return the states of a prompt, 1 x 77 count x width, and the pooled output if there is one.

    The pooled output is that of the first chunk.
    """
    phrases = parse(prompt)
    states, pooled = [], []
    for clip in clips:
        chunks = clip.chunks(phrases)
        padded = [*chunks, *[()] * (count - len(chunks))]
        made = [clip.encode(chunk, torch) for chunk in padded]
        states.append(torch.cat([one[0] for one in made], dim=1))
        if made[0][1].ndim == 2:
            pooled.append(made[0][1])
    joined = torch.cat(states, dim=-1).to(clips[-1].encoder.dtype)
    return (joined, torch.cat(pooled, dim=-1)) if pooled else (joined,)


def _with_t5(
    pipeline: Any, states: Any, prompts: Sequence[str], limit: int | None, torch: Any
) -> Any:
    """Return CLIP's states with those of T5 behind them, as Stable Diffusion 3 takes them."""
    options = {} if limit is None else {"max_sequence_length": limit}
    words = [plain(prompt) for prompt in prompts]
    both = pipeline.encode_prompt(
        prompt=words, prompt_2=None, prompt_3=None, do_classifier_free_guidance=False, **options
    )[0]
    t5 = both[:, pipeline.tokenizer_max_length :]
    wide = torch.nn.functional.pad(states, (0, t5.shape[-1] - states.shape[-1]))
    return torch.cat([wide, t5], dim=1)


def _notices(words: _Words, clip: bool, limit: int | None) -> Iterator[Notice]:
    pipeline = words.pipeline
    if not clip and any(is_weighted(prompt) for prompt in words.every):
        yield Notice(
            "weights_ignored",
            "This model’s text encoder knows no weights: brackets and numbers like those of "
            "(word:1.3) were left out, and the words kept. Write \\( and \\) for brackets that "
            "are meant.",
        )
    if clip and not _has_t5(pipeline):
        return
    who = "T5 in this model" if clip else "This model"
    also = " CLIP has read them, T5 has not." if clip else " Say it in fewer words."
    for prompt in words.every:
        lost = out_of_reach(pipeline, plain(prompt), limit)
        if lost:
            most = limit_of(pipeline) if limit is None else limit
            yield Notice(
                "prompt_cut",
                f"{who} reads the first {most} tokens of a prompt. These words were beyond them: "
                f"“{_shortened(lost)}”.{also}",
            )


def _has_t5(pipeline: Any) -> bool:
    return getattr(pipeline, "text_encoder_3", None) is not None


def _takes(pipeline: Any, name: str) -> bool:
    return name in inspect.signature(type(pipeline).__call__).parameters


def _one_or_list(prompts: Sequence[str]) -> str | list[str]:
    words = [plain(prompt) for prompt in prompts]
    return words[0] if len(words) == 1 else words


def _shortened(text: str) -> str:
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
