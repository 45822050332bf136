"""Ways of guiding besides the plain one, by the guiders of diffusers, in its ordinary pipelines.

Guiders belong to diffusers' modular pipelines; an ordinary pipeline adds up its two predictions
by itself: without + guidance · (with - without). Here a guider is asked as soon as the denoiser
has both, and both are replaced by its answer: what the pipeline adds up is then that answer, to
the bit. The denoiser is asked for both in one batch, or one after the other.

    method               what it does                                         denoisers
    classifier_free      the plain way, for a part of the steps only          all below
    adaptive_projected   without what only saturates (arXiv 2410.02416)       all below
    tangential           without what the two disagree in (arXiv 2503.18137)  all below
    zero_star            scaled, and no first step (arXiv 2503.18886)         flow matching
    perturbed_attention  away from flat attention too (arXiv 2403.17377)      U-Net

Not here, for what they do in diffusers 0.42: the guider of smoothed energy never smooths (it does
not count its passes); that of MAMBO-G fails for pictures of channels; skipping whole layers mixes
up words and picture in joint blocks, but Stable Diffusion 3's own pipeline takes
`skip_guidance_layers`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from types import MappingProxyType
from typing import Any

from limner.domain.errors import InvalidOption


class Method(StrEnum):
    """How the predictions with and without the words are put together."""

    CLASSIFIER_FREE = "classifier_free"
    ADAPTIVE_PROJECTED = "adaptive_projected"
    TANGENTIAL = "tangential"
    ZERO_STAR = "zero_star"
    PERTURBED_ATTENTION = "perturbed_attention"


@dataclass(frozen=True)
class Guidance:
    """A way of guiding: how far, and from which to which part of the steps (0 to 1)."""

    method: Method
    scale: float
    start: float = 0.0
    stop: float = 1.0


_FOR_ALL = (Method.CLASSIFIER_FREE, Method.ADAPTIVE_PROJECTED, Method.TANGENTIAL)

_IN_ONE_BATCH: Mapping[str, tuple[Method, ...]] = MappingProxyType(
    {
        "UNet2DConditionModel": (*_FOR_ALL, Method.PERTURBED_ATTENTION),
        "PixArtTransformer2DModel": _FOR_ALL,
        "SD3Transformer2DModel": (*_FOR_ALL, Method.ZERO_STAR),
        "SanaTransformer2DModel": (*_FOR_ALL, Method.ZERO_STAR),
    }
)
"""Denoisers whose pipelines ask for both at once, without the words first."""

_IN_TURN: Mapping[str, tuple[Method, ...]] = MappingProxyType(
    {
        "ChromaTransformer2DModel": (*_FOR_ALL, Method.ZERO_STAR),
        "Flux2Transformer2DModel": (*_FOR_ALL, Method.ZERO_STAR),
    }
)
"""Denoisers whose pipelines ask with the words, then without."""

_GUIDERS: Mapping[Method, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        Method.CLASSIFIER_FREE: ("ClassifierFreeGuidance", {}),
        Method.ADAPTIVE_PROJECTED: (
            "AdaptiveProjectedGuidance",
            {"adaptive_projected_guidance_momentum": -0.5, "eta": 0.0},
        ),
        Method.TANGENTIAL: ("TangentialClassifierFreeGuidance", {}),
        Method.ZERO_STAR: ("ClassifierFreeZeroStarGuidance", {}),
        Method.PERTURBED_ATTENTION: ("PerturbedAttentionGuidance", {}),
    }
)


def methods_for(denoiser: str) -> tuple[str, ...]:
    """Return our words for the ways of guiding a denoiser, by the name of its class."""
    methods = _IN_ONE_BATCH.get(denoiser) or _IN_TURN.get(denoiser, ())
    return tuple(method.value for method in methods)


@contextmanager
def guided(pipeline: Any, guidance: Guidance) -> Iterator[None]:
    """Guide what a pipeline draws meanwhile; its own `guidance_scale` must be above 1.

    Raises InvalidOption for what its denoiser or the numbers do not allow.
    """
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    name = type(denoiser).__name__
    if guidance.method not in methods_for(name):
        can = ", ".join(methods_for(name)) or "only the plain way"
        raise InvalidOption(f"This model is not guided by “{guidance.method}”. It has: {can}.")
    if guidance.scale <= 1:
        raise InvalidOption("Ways of guiding need a guidance above 1.")
    if not 0 <= guidance.start < guidance.stop <= 1:
        raise InvalidOption("Guidance goes from a part of the steps to a later one, 0 to 1.")
    ear = (_Batch if name in _IN_ONE_BATCH else _Turns)(pipeline, _guider(guidance, denoiser))
    handle = denoiser.register_forward_hook(ear.hear, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
    if not ear.answered:
        raise InvalidOption(_UNGUIDED)


_UNGUIDED = (
    "This model draws without guidance, or was asked to: there is nothing to guide another way. "
    "Leave the way of guiding out, or ask for a guidance above 1."
)


def _guider(guidance: Guidance, denoiser: Any) -> Any:
    guiders: Any = import_module("diffusers.guiders")
    name, settings = _GUIDERS[guidance.method]
    window = {"start": guidance.start, "stop": guidance.stop}
    if guidance.method is Method.PERTURBED_ATTENTION:
        hooks: Any = import_module("diffusers.hooks")
        middle = hooks.LayerSkipConfig(
            indices=list(range(len(denoiser.mid_block.attentions[0].transformer_blocks))),
            fqn="mid_block.attentions.0.transformer_blocks",
            skip_attention=False,
            skip_ff=False,
            skip_attention_scores=True,
        )
        settings = {
            "perturbed_guidance_scale": 3.0,
            "perturbed_guidance_start": guidance.start,
            "perturbed_guidance_stop": guidance.stop,
            "perturbed_guidance_config": middle,
        }
    return getattr(guiders, name)(guidance_scale=guidance.scale, **window, **settings)


class _Ear:
    """Hears what a denoiser answers and puts a guider's answer in its place."""

    def __init__(self, pipeline: Any, guider: Any) -> None:
        self._pipeline = pipeline
        self._guider = guider
        self.answered = 0

    def _answer(self, with_words: Any, without: Any, again: Callable[[], Any] | None) -> Any:
        """Return the guider's answer; `again` asks the denoiser with the words once more."""
        guider = self._guider
        times = getattr(self._pipeline, "_num_timesteps", None) or len(
            self._pipeline.scheduler.timesteps
        )
        guider.set_state(step=self.answered % times, num_inference_steps=times, timestep=None)
        self.answered += 1
        guider.prepare_inputs({})
        given = {"pred_cond": with_words, "pred_uncond": without}
        if again is not None and guider.num_conditions == 3:
            given["pred_cond_skip"] = again()
        return guider.forward(**given).pred

    def _perturbed(self, denoiser: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Ask once more, as a guider changes the denoiser for its third prediction."""
        for _ in range(3):
            self._guider.prepare_models(denoiser)
        try:
            return denoiser.forward(*arguments, **named)[0]
        finally:
            self._guider.cleanup_models(denoiser)


class _Batch(_Ear):
    """For pipelines that ask for both in one batch, without the words first."""

    def hear(
        self, denoiser: Any, arguments: tuple[Any, ...], named: dict[str, Any], output: Any
    ) -> Any:
        """Replace both halves of the batch."""
        torch: Any = import_module("torch")
        latents = arguments[0] if arguments else named["hidden_states"]
        half = len(latents) // 2
        if len(latents) % 2 or not torch.equal(latents[:half], latents[half:]):
            raise InvalidOption(_UNGUIDED)
        without, with_words = output[0].chunk(2)
        answer = self._answer(
            with_words,
            without,
            lambda: self._perturbed(
                denoiser, second_half(arguments, 2 * half), second_half(named, 2 * half)
            ),
        )
        return (torch.cat([answer, answer]), *output[1:])


class _Turns(_Ear):
    """For pipelines that ask with the words, then without."""

    words: Any = None
    heard: Any = None

    def hear(
        self, denoiser: Any, arguments: tuple[Any, ...], named: dict[str, Any], output: Any
    ) -> Any:
        """Keep the first answer; at the second, overwrite the first and replace this one."""
        del denoiser, arguments
        words = named["encoder_hidden_states"]
        if self.heard is None:
            self.words, self.heard = words, output[0]
            return output
        if words is self.words:
            raise InvalidOption(_UNGUIDED)
        answer = self._answer(self.heard, output[0], None)
        self.heard.copy_(answer)
        self.heard = None
        return (answer, *output[1:])


def second_half(value: Any, batch: int) -> Any:
    """Return the second half of every tensor that has a batch, however deep it lies."""
    if isinstance(value, dict):
        return {key: second_half(one, batch) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(second_half(one, batch) for one in value)
    shape = tuple(getattr(value, "shape", ()))
    return value[batch // 2 :] if shape[:1] == (batch,) else value
