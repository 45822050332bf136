"""Layouts: parts of a picture with prompts of their own, for any denoiser that is told by words.

At each step the denoiser is asked once more for each region, with that region's words; inside the
region its answer counts, around it that of the whole prompt (MultiDiffusion, arXiv 2302.08113).
The whole prompt keeps a share everywhere, which holds light and style together. Each region adds
about the time of a picture drawn without negative words.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from limner.domain.composition import Region
from limner.domain.errors import InvalidOption
from limner.domain.recipe import Size
from limner.families import raster
from limner.families.diffusion.sampling.guidance import second_half
from limner.families.family import Pixels

_WORDS = (
    "encoder_hidden_states",
    "encoder_attention_mask",
    "encoder_hidden_states_mask",
    "attention_mask",
    "pooled_projections",
    "added_cond_kwargs",
    "txt_ids",
    "txt_seq_lens",
)
"""The arguments by which denoisers of diffusers are told words."""

_WHOLE = 0.2
"""The share of the whole prompt inside a region of weight 1."""

_SOFT = 1 / 32
"""How wide a region's rim is, as a part of the picture's longer side."""


@dataclass(frozen=True)
class Told:
    """The words of one region as a denoiser is told them, and where they count."""

    words: Mapping[str, Any]
    share: npt.NDArray[np.float32]


class _HeardEnough(Exception):
    """Raised inside a pipeline at its first question to the denoiser."""


def told(
    pipeline: Any, call: Callable[[], Any], region: Region, mask: Pixels | None, size: Size
) -> Told:
    """Return what a pipeline tells its denoiser when `call` calls it with a region's prompt."""
    heard: dict[str, Any] = {}

    def hear(_: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        del arguments
        heard.update({name: named[name] for name in _WORDS if name in named})
        raise _HeardEnough

    handle = _denoiser(pipeline).register_forward_pre_hook(hear, with_kwargs=True)
    try:
        call()
    except _HeardEnough:
        return Told(heard, share_of(region, mask, size))
    finally:
        handle.remove()
    raise InvalidOption("This strength leaves nothing to draw, and so no layout to keep to.")


def share_of(region: Region, mask: Pixels | None, size: Size) -> npt.NDArray[np.float32]:
    """Return how much a region counts at each pixel, height × width: its weight, 0 far outside."""
    inside = np.zeros((size.height, size.width), np.uint8)
    if region.box is not None:
        box = region.box
        rows = slice(round(box.top * size.height), max(1, round(box.bottom * size.height)))
        columns = slice(round(box.left * size.width), max(1, round(box.right * size.width)))
        inside[rows, columns] = 255
    elif mask is not None:
        inside[raster.region(mask)] = 255
    radius = max(1, round(max(size.width, size.height) * _SOFT / 2))
    soft = Image.fromarray(inside).filter(ImageFilter.BoxBlur(radius))
    return raster.to_unit(np.asarray(soft)) * np.float32(region.weight)


@contextmanager
def laid_out(pipeline: Any, regions: Sequence[Told], size: Size) -> Iterator[None]:
    """Let each region's words count in its place, in all that a pipeline draws meanwhile."""
    if not regions:
        yield
        return
    layout = _Layout(regions, size)
    handle = _denoiser(pipeline).register_forward_hook(layout.hear, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


class _Layout:
    """Asks a denoiser again for each region, and mixes the answers."""

    def __init__(self, regions: Sequence[Told], size: Size) -> None:
        self._regions = regions
        self._size = size
        self._words: Any = None

    def hear(
        self, denoiser: Any, arguments: tuple[Any, ...], named: dict[str, Any], output: Any
    ) -> Any:
        """Return the mixed answer to a question that was asked with the whole prompt.

        A question without the words, that some pipelines ask by itself, keeps its answer.
        """
        words = named["encoder_hidden_states"]
        if self._words is None:
            self._words = words
        answer = output[0]
        batch = len(answer)
        if batch == 1 and words is not self._words:
            return output
        # Without the words comes first in a batch of both; only what is behind is asked again.
        asked = slice(batch // 2, None) if batch > 1 else slice(None)
        answers = []
        for one in self._regions:
            question = (arguments, {**named, **one.words})
            given, by_name = second_half(question, batch) if batch > 1 else question
            answers.append(denoiser.forward(*given, **by_name)[0])
        mixed = answer.clone()
        mixed[asked] = self._mixed(answer[asked], answers)
        return (mixed, *output[1:])

    def _mixed(self, whole: Any, answers: Sequence[Any]) -> Any:
        shares = [_placed(one.share, whole, self._size) for one in self._regions]
        total = sum(shares)
        # Where regions count less than fully together, the whole prompt takes up the rest.
        base = (1 - total).clamp(min=_WHOLE)
        mixed = whole * base
        for share, answer in zip(shares, answers, strict=True):
            mixed = mixed + answer * share
        return mixed / (base + total)


def _placed(share: npt.NDArray[np.float32], like: Any, size: Size) -> Any:
    """Return shares at the places of a denoiser's answer: of a grid, or of a row of tokens."""
    if like.ndim == 4:
        height, width = like.shape[-2:]
        return like.new_tensor(_shrunk(share, width, height))[None, None]
    count = like.shape[1]
    columns = round((count * size.width / size.height) ** 0.5)
    if columns * (count // max(columns, 1)) != count:
        raise InvalidOption("A layout cannot be placed at this size. Ask for another one.")
    return like.new_tensor(_shrunk(share, columns, count // columns)).reshape(1, count, 1)


def _shrunk(share: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.float32]:
    rows = np.array_split(share, height, axis=0)
    means = np.stack([row.mean(axis=0) for row in rows])
    columns = np.array_split(means, width, axis=1)
    return np.stack([column.mean(axis=1) for column in columns], axis=1).astype(np.float32)


def _denoiser(pipeline: Any) -> Any:
    return getattr(pipeline, "unet", None) or pipeline.transformer
