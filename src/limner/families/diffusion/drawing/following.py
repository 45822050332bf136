"""What a pipeline is followed by while it draws: told of each step, it tells on, and stops it."""

from collections.abc import Callable
from typing import Any

from limner.domain.event import Preview, Step
from limner.domain.recipe import Recipe
from limner.families.diffusion.drawing.previews import LatentMap, spread
from limner.families.diffusion.drawing.tiny_decoder import TinyDecoder
from limner.families.diffusion.loading.pipelines import check_numbers
from limner.families.family import Watch


class Follower:
    """Told of each step by a pipeline; tells the watch, and stops when it is asked to.

    Draws previews of each of the pictures that are drawn at once.
    """

    def __init__(
        self,
        latent_map: Callable[[], LatentMap | TinyDecoder],
        pipeline: Any,
        recipe: Recipe,
        watch: Watch,
    ) -> None:
        self._latent_map, self._pipeline = latent_map, pipeline
        self._recipe, self._watch = recipe, watch
        self._checked = False

    def __call__(self, _: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """Follow a pipeline of today's kind."""
        self.after(step, time, tensors["latents"])
        return {}

    def after(self, step: int, _time: Any, latents: Any) -> None:
        """Follow a pipeline of the older kind."""
        watch = self._watch
        watch.token.check()
        self._check(latents)
        steps = int(getattr(self._pipeline, "num_timesteps", None) or self._recipe.steps or 1)
        for place in range(len(latents)):
            watch.tell(Step(watch.first + place, "draw", step + 1, steps))
        if step + 1 >= steps:
            return
        for place in range(len(latents)):
            one = spread(self._pipeline, latents[place : place + 1], self._recipe.native_size)
            pixels = self._latent_map().look(one)
            height, width = pixels.shape[:2]
            watch.tell(Preview(watch.first + place, width, height, pixels.tobytes()))

    def _check(self, latents: Any) -> None:
        """Where latents are no numbers, find out whether weights are why."""
        if not (self._checked or latents.isfinite().all()):
            self._checked = True
            check_numbers(self._recipe.model.name, self._pipeline)
