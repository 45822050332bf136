"""Vellum in memory: ONNX Runtime sessions of denoiser and text encoder."""

import math
from collections.abc import Sequence

import numpy as np
import onnxruntime

from limner.domain.card import Installed
from limner.domain.event import Notice, Preview, Step
from limner.domain.recipe import InputRole, Recipe, Task
from limner.families import raster
from limner.families.family import LoadedModel, Order, Pixels, Placement, Watch
from limner.families.session import Session, open_session
from limner.families.vellum.facts import DENOISER, ENCODER, LEXICON, NOISE, TOKENIZER
from limner.families.vellum.job import Job, Row
from limner.families.vellum.lexicon import Lexicon, Reading, read_lexicon
from limner.families.vellum.sampler import Floats, Start, draw_noise, sample
from limner.families.vellum.scene import read_scene
from limner.families.vellum.text import (
    TextEncoder,
    TextStates,
    is_foreign,
    load_tokenizer,
    spell_out,
)
from limner.families.vellum.vocabulary import Vocabulary, read_vocabulary

_PREVIEW_EVERY = 4
_PLAINEST = "flat"
"""The style that is drawn where neither option nor words say which."""
_CLEAR, _SOLID = 0.06, 0.94
"""Alphas beyond these count as none and full: a sticker has a clean ground and body."""
_ROWS = 24
"""How many pictures are drawn at once at most, where they belong to several orders."""


class VellumModel:
    """Draws batches of orders; see `families.family.LoadedModel`."""

    def __init__(
        self,
        denoiser: Session,
        encoder: TextEncoder,
        styles: tuple[str, ...],
        vocabulary: Vocabulary | None,
        lexicon: Lexicon | None,
        size: int,
    ) -> None:
        self._denoiser = denoiser
        self._noise = noise_of(denoiser)
        self._encoder = encoder
        self._styles = styles
        self._vocabulary = vocabulary
        self._lexicon = lexicon
        self.bytes = size

    @property
    def libraries(self) -> tuple[tuple[str, str], ...]:
        """The libraries that decide its numbers."""
        return (("numpy", np.__version__), ("onnxruntime", onnxruntime.__version__))

    @property
    def dtype(self) -> str:
        """The number format it computes in."""
        return "float32"

    @property
    def device(self) -> str:
        """Where it computes."""
        return "cpu"

    @property
    def fitting(self) -> str:
        """How it was made to fit into memory: it needs little."""
        return ""

    def perform(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        """Draw orders of one native size, task and step count."""
        first = orders[0].recipe
        strengths = [_strength(order.recipe) for order in orders]
        jobs = [self._job(order) for order in orders]
        rows = [row for job in jobs for row in job.rows]
        apart = len(set(strengths)) > 1 or len(rows) > _ROWS
        if apart and len(orders) > 1:
            return [
                self.perform([order], Watch(watch.tell, watch.token, watch.first + position))[0]
                for position, order in enumerate(orders)
            ]
        for job in {job.order.recipe.prompt: job for job in jobs}.values():
            self._tell_unheard(job, watch)
        watch.token.check()
        time = 1 - strengths[0]
        if time == 1:
            return [order.inputs[InputRole.INIT].copy() for order in orders]
        if not rows:
            return [job.finished([]) for job in jobs]
        steps = math.ceil((first.steps or 1) * strengths[0])
        start = _start(rows, time, self._noise)
        condition = self._condition(rows)
        guidance = np.array([row.guidance for row in rows], np.float32)

        def denoise(z: Floats, time: float) -> Floats:
            watch.token.check()
            return self._guided(z, time, condition, guidance)

        def report(step: int, of: int, clean: Floats) -> None:
            _report(watch, step, of, jobs, clean)

        drawn = sample(denoise, start, first.sampler or "euler", steps, report)
        return _finished(jobs, drawn)

    def close(self) -> None:
        """Give the memory back."""
        del self._denoiser, self._encoder

    def _guided(
        self, z: Floats, time: float, condition: dict[str, np.ndarray], guidance: Floats
    ) -> Floats:
        """Evaluate with and without the words, and lean towards the words by `guidance`.

        A guidance of 1 is the evaluation with the words itself, alone or in a batch.
        """
        if (guidance == 1).all():
            half = {name: values[: len(z)] for name, values in condition.items()}
            return self._evaluate(z, time, half)
        with_words, without = np.split(self._evaluate(np.concatenate([z, z]), time, condition), 2)
        lean = guidance[:, None, None, None]
        return np.where(lean == 1, with_words, without + lean * (with_words - without))

    def _evaluate(self, z: Floats, time: float, condition: dict[str, np.ndarray]) -> Floats:
        times = np.full(len(z), time, np.float32)
        clean: Floats = self._denoiser.run(["clean"], {"z": z, "t": times, **condition})[0]
        return clean

    def _condition(self, rows: Sequence[Row]) -> dict[str, np.ndarray]:
        """Return the denoiser's other inputs: with the words, then without (or against) them."""
        against = [self._heard(row.order.recipe.negative_prompt).text for row in rows]
        texts: TextStates = self._encoder.encode([*(row.words for row in rows), *against])
        styles = np.array([self._style(row.order.recipe) for row in rows], np.int64)
        return {
            "text": texts.states,
            "text_mask": texts.mask,
            "pooled": texts.pooled,
            "style": np.concatenate([styles, styles]),
        }

    def _job(self, order: Order) -> Job:
        """Return what is drawn for an order: one picture, or one for each thing of a scene."""
        recipe = order.recipe
        scene = None
        if self._lexicon is not None and recipe.task is Task.TEXT_TO_IMAGE:
            scene = read_scene(spell_out(recipe.prompt), self._lexicon, self._styles)
        placed = [self._heard(region.prompt).text for region in recipe.layout]
        return Job.of(order, self._heard(recipe.prompt), scene, placed)

    def _heard(self, prompt: str) -> Reading:
        """Return the words that the encoder gets for a prompt."""
        spelled = spell_out(prompt)
        return Reading(spelled) if self._lexicon is None else self._lexicon.read(spelled)

    def _style(self, recipe: Recipe) -> int:
        """Return the index of a Recipe's style: as chosen, as its words say, else the plainest."""
        chosen = recipe.extra("style")
        if chosen is not None:
            return self._styles.index(str(chosen))
        words = set(recipe.prompt.lower().replace(",", " ").split())
        return next(
            (number for number, style in enumerate(self._styles) if style in words),
            self._styles.index(_PLAINEST) if _PLAINEST in self._styles else 0,
        )

    def _tell_unknown(self, prompt: str, watch: Watch) -> None:
        if self._vocabulary is None or self._vocabulary.knows(prompt):
            return
        near = self._vocabulary.nearest(prompt, lambda texts: self._encoder.encode(texts).pooled)
        watch.tell(
            Notice(
                "unknown",
                f"Vellum has learned {len(self._vocabulary)} names of things and finds none of "
                f"them here; the picture may show something else. Nearest: {', '.join(near)}.",
            )
        )

    def _tell_unheard(self, job: Job, watch: Watch) -> None:
        if job.replaced:
            read_as = ", ".join(f"“{word}” is drawn as “{name}”" for word, name in job.replaced)
            watch.tell(Notice("read_as", f"Vellum does not know every word: {read_as}."))
        if job.scene is not None:
            if job.scene.unread:
                watch.tell(Notice("unheard", f"Vellum draws things, and not “{job.scene.unread}”."))
            return
        prompt = job.text
        if is_foreign(prompt):
            watch.tell(
                Notice("language", "Vellum understands English words; this prompt has few or none.")
            )
            return
        self._tell_unknown(prompt, watch)
        rest = self._encoder.unheard(prompt)
        if rest:
            shown = rest if len(rest) <= 80 else f"{rest[:79]}…"
            watch.tell(
                Notice(
                    "unheard",
                    f"Vellum did not read “{shown}”: it reads some twenty words, and none that "
                    "is unknown to it.",
                )
            )


def load_model(installed: Installed, placement: Placement) -> LoadedModel:
    """Load verified weights with as many threads as the placement gives."""
    files = installed.files
    encoder = TextEncoder(
        open_session(files[ENCODER], placement.threads), load_tokenizer(files[TOKENIZER])
    )
    [style] = installed.card.capability.extras
    styles = style.choices if style.kind == "choice" else ()
    held = 4 * installed.card.bytes  # weights are stored in 8 and 16 bits and held in 32
    denoiser = open_session(files[DENOISER], placement.threads)
    vocabulary = read_vocabulary(files[DENOISER].parent)
    lexicon = read_lexicon(files[LEXICON]) if LEXICON in files else None
    return VellumModel(denoiser, encoder, styles, vocabulary, lexicon, held)


def noise_of(denoiser: Session | onnxruntime.InferenceSession) -> float:
    """Return the standard deviation of the noise that a denoiser was trained with."""
    return float(denoiser.get_modelmeta().custom_metadata_map.get(NOISE, "1"))


def to_pixels(picture: Floats) -> Pixels:
    """Return straight RGBA bytes of a premultiplied picture, 4 × N × N in [-1, 1], cleaned."""
    pixels = raster.from_planes(picture)
    alpha = np.clip((picture[3] + 1) / 2, 0, 1)
    cleaned = np.clip((alpha - _CLEAR) / (_SOLID - _CLEAR), 0, 1)
    pixels[..., 3] = np.rint(cleaned * 255).astype(np.uint8)
    pixels[pixels[..., 3] == 0] = 0
    return pixels


def _strength(recipe: Recipe) -> float:
    if recipe.task is not Task.IMAGE_TO_IMAGE:
        return 1.0
    init = recipe.input(InputRole.INIT)
    return 1.0 if init is None or init.strength is None else init.strength


def _start(rows: Sequence[Row], time: float, scale: float) -> Start:
    pixels = rows[0].order.recipe.native_size.width
    noise = np.stack([scale * draw_noise(row.seed, pixels) for row in rows])
    inputs = [row.order.inputs for row in rows]
    if InputRole.INIT not in inputs[0]:
        return Start(noise)
    picture = np.stack([raster.to_planes(one[InputRole.INIT]) for one in inputs])
    if InputRole.MASK not in inputs[0]:
        return Start(noise, picture, time)
    masks = [one[InputRole.MASK][None, ..., 0] for one in inputs]
    kept: Floats = (1 - np.stack(masks) / 255).astype(np.float32)
    return Start(noise, picture, time, kept)


def _finished(jobs: Sequence[Job], drawn: Floats) -> list[Pixels]:
    """Return the picture of each job from those of all rows."""
    pictures = iter([to_pixels(one) for one in drawn])
    return [job.finished([next(pictures) for _ in job.rows]) for job in jobs]


def _report(watch: Watch, step: int, steps: int, jobs: Sequence[Job], clean: Floats) -> None:
    for position in range(len(jobs)):
        watch.tell(Step(watch.first + position, "draw", step, steps))
    if step % _PREVIEW_EVERY == 0 and step < steps:
        for position, pixels in enumerate(_finished(jobs, clean)):
            height, width = pixels.shape[:2]
            watch.tell(Preview(watch.first + position, width, height, pixels.tobytes()))
