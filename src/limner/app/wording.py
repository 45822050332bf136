"""The final words of a Draft: choices made, adapters taken out, nothing left that is no word."""

from dataclasses import dataclass

from limner.app.wildcard_files import WildcardFiles
from limner.app.wildcards import expand
from limner.domain.card import ModelCard
from limner.domain.errors import InvalidOption, InvalidPrompt
from limner.domain.prompting import changing
from limner.domain.recipe import Draft
from limner.domain.tags import tags_in, take_out


@dataclass(frozen=True)
class Wording:
    """Words Drafts for one model."""

    files: WildcardFiles
    card: ModelCard

    def of(self, draft: Draft, seed: int, prompt: str | None = None) -> Draft:
        """Return a Draft with final words: made by a seed, or those given as its prompt.

        Adapters in the prompt become the Draft's. One whose words are literal stays as it is.
        Raises InvalidPrompt for what cannot be read or would change between steps, and
        InvalidOption for adapters where the model takes none.
        """
        if draft.literal:
            return draft
        words = expand(draft.prompt, seed, self.files) if prompt is None else prompt
        words, adapters = take_out(words)
        if adapters and not self.card.capability.adapters:
            written = next(iter(tags_in(draft.prompt)), adapters[0])
            raise InvalidOption(
                f"{self.card.name} takes no adapters. Take {written} out of the prompt, or choose "
                "another model."
            )
        negative = expand(draft.negative_prompt, seed, self.files)
        for name, text in (
            ("negative prompt", negative),
            *(("prompt of a region", one.prompt) for one in draft.layout),
        ):
            _check_bare(name, text)
        for text in (words, negative, *(one.prompt for one in draft.layout)):
            _check_still(text)
        made = {
            "prompt": words,
            "negative_prompt": negative,
            "adapters": (*draft.adapters, *adapters),
        }
        return draft.model_copy(update=made)


def _check_bare(name: str, text: str) -> None:
    found = next(iter(tags_in(text)), None)
    if found is not None:
        raise InvalidPrompt(
            f"An adapter counts for the whole picture: take {found} out of the {name} and write "
            "it into the prompt."
        )


def _check_still(text: str) -> None:
    piece = next(changing(text), None)
    if piece is not None:
        raise InvalidPrompt(
            f"“{piece[:80]}” would change the words from step to step; here they are the same in "
            "every step. Write {cat|dog} for one of them by the seed, draw the one and make it the "
            "other with limner edit, or write \\[ for a bracket that is meant."
        )
