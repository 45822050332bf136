"""Long and weighted prompts for CLIP, which reads 75 tokens at a time.

Weights and chunks as AUTOMATIC1111's web UI has them, so that prompts mean the same here:
every chunk is encoded by itself between the marks of start and end, chunks follow each other
along the tokens, and a weight multiplies what the encoder made of a token before the mean of
the chunk is set back to what it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from limner.domain.prompting import Phrase

_SIZE = 75
_BACK = 20
"""A full chunk ends at a comma where one is among its last tokens, this many."""


@dataclass(frozen=True)
class Token:
    """A token of the vocabulary and what it weighs."""

    number: int
    weight: float


Chunk = Sequence[Token]


@dataclass(frozen=True)
class Clip:
    """A CLIP text encoder with its tokenizer, where it computes, and how its states are taken.

    `spell` writes learned words out as the tokens they were learned as. `skip` layers are left
    out at the end; `normed` where the last norm follows (Stable Diffusion 1 and 2), otherwise
    one layer more is left out (SDXL, Stable Diffusion 3).
    """

    tokenizer: Any
    encoder: Any
    device: Any
    skip: int
    normed: bool
    spell: Callable[[str, Any], str] | None

    def chunks(self, phrases: Sequence[Phrase]) -> list[Chunk]:
        """Return the chunks of a prompt: at least one, none longer than 75 tokens."""
        parts: list[list[Token]] = [[]]
        for phrase in phrases:
            if phrase.apart:
                parts.append([])
            text = self.spell(phrase.text, self.tokenizer) if self.spell else phrase.text
            read = self.tokenizer(text, add_special_tokens=False, verbose=False)
            parts[-1].extend(Token(number, phrase.weight) for number in read["input_ids"])
        comma = self.tokenizer.convert_tokens_to_ids(",</w>")
        return [chunk for part in parts for chunk in _cut(part, comma)]

    def encode(self, chunk: Chunk, torch: Any) -> tuple[Any, Any]:
        """Return the states of a chunk (1 x 77 x width) and its pooled output as `encoder[0]`."""
        tokenizer, padding = self.tokenizer, _SIZE - len(chunk)
        numbers = [
            tokenizer.bos_token_id,
            *(token.number for token in chunk),
            tokenizer.eos_token_id,
            *([tokenizer.pad_token_id] * padding),
        ]
        given = torch.tensor([numbers], device=self.device)
        made = self.encoder(given, output_hidden_states=True)
        weights = [1.0, *(token.weight for token in chunk), *([1.0] * (padding + 1))]
        return _weigh(self._states(made), weights, torch), made[0]

    def _states(self, made: Any) -> Any:
        if not self.normed:
            return made.hidden_states[-2 - self.skip]
        if not self.skip:
            return made[0]
        # Older and newer transformers differ in where the norm is.
        inner = getattr(self.encoder, "text_model", self.encoder)
        return inner.final_layer_norm(made.hidden_states[-1 - self.skip])


def _cut(tokens: Sequence[Token], comma: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    start = 0
    while len(tokens) - start > _SIZE:
        end = start + _SIZE
        places = range(end, end - _BACK - 1, -1)
        found = next((place for place in places if tokens[place].number == comma), end - 1)
        # A comma that no longer fits begins the next chunk.
        end = min(found + 1, end)
        chunks.append(tokens[start:end])
        start = end
    chunks.append(tokens[start:])
    return chunks


def _weigh(states: Any, weights: list[float], torch: Any) -> Any:
    if all(weight == 1.0 for weight in weights):
        return states
    whole = states.float()
    by = torch.tensor(weights, device=states.device).reshape(1, -1, 1)
    weighed = whole * by
    mean = weighed.mean()
    if mean != 0:
        weighed = weighed * (whole.mean() / mean)
    return weighed.to(states.dtype)
