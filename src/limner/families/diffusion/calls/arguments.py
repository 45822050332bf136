"""From Recipes to the arguments that a pipeline of diffusers is called with.

Pipelines share most names, not all: what a pipeline does not take is told by its signature.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from limner.domain.recipe import InputRole, Recipe, Task
from limner.families import raster
from limner.families.diffusion.known.facts import Facts
from limner.families.diffusion.recognition.finding import Prediction
from limner.families.diffusion.recognition.learnt import Learnt
from limner.families.family import Order, Pixels

OWN = "own"
"""The sampler and the schedule that the model's own files describe."""


@dataclass(frozen=True)
class Manner:
    """How a model is called.

    `pipelines` names the class of diffusers that does each task, `controls` the one that does it
    with ControlNets, `unions` with those that learnt several kinds. `guidance` is the argument that
    holds it (empty where there is none), `prediction` what the denoiser learnt, `limit` how many
    tokens of a prompt are read by an encoder other than CLIP (None: as the pipeline has it),
    `references` how pictures are told: as words or, if empty, as the pipeline does it.
    """

    pipelines: Mapping[Task, str]
    guidance: str
    prediction: Learnt
    limit: int | None = None
    controls: Mapping[Task, str] = field(default_factory=dict)
    references: str = ""
    unions: Mapping[Task, str] = field(default_factory=dict)


def manner_of(facts: Facts, prediction: Prediction) -> Manner:
    """Return how a variant is called; `prediction` is what its files say, empty for nothing."""
    return Manner(
        facts.pipelines or facts.controls,
        facts.guidance_argument,
        Learnt(prediction or facts.prediction, facts.family),
        facts.prompt_tokens,
        facts.controls if facts.pipelines else {},
        "words" if facts.told_pictures else "",
        facts.unions,
    )


_SPRINT = 2
"""The steps of SANA-Sprint for which diffusers knows the time between; others find their own."""

_NEVER: Mapping[str, object] = {"use_resolution_binning": False, "clean_caption": False}
"""Arguments that would change the size asked for, or the words."""


def arguments_of(order: Order, pipeline: Any, guidance: str) -> dict[str, Any]:
    """Return what a pipeline is called with for an order, but for seed, words and callback.

    `guidance` is the name of the argument that holds it, empty where there is none.
    """
    recipe = order.recipe
    given: dict[str, Any] = {
        "num_inference_steps": recipe.steps,
        "output_type": "pil",
        **_NEVER,
        **_size(recipe, pipeline),
        **_pictures(order),
    }
    if recipe.steps != _SPRINT:
        given["intermediate_timesteps"] = None
    if guidance and recipe.guidance is not None:
        given[guidance] = recipe.guidance
    init = recipe.input(InputRole.INIT)
    if init is not None and init.strength is not None:
        given["strength"] = init.strength
    elif recipe.task is Task.INPAINT:
        given["strength"] = 1.0
    taken = takes(pipeline)
    return {name: value for name, value in given.items() if name in taken}


def takes(pipeline: Any) -> frozenset[str]:
    """Return the names of the arguments a pipeline takes."""
    return frozenset(inspect.signature(type(pipeline).__call__).parameters)


def negative_of(recipe: Recipe, pipeline: Any, guidance: str) -> str:
    """Return the negative prompt that a pipeline is given; empty for none."""
    if "negative_prompt" not in takes(pipeline):
        return ""
    unsaid = guidance == _TRUE and (recipe.guidance or 1.0) > 1
    return recipe.negative_prompt or (" " if unsaid else "")


_TRUE = "true_cfg_scale"
"""The argument of pipelines that leave guidance off unless there is a negative prompt."""


def to_image(pixels: Pixels) -> Image.Image:
    """Return straight RGBA as an RGB picture, on white where it is clear."""
    return Image.fromarray(np.ascontiguousarray(raster.over(pixels)[..., :3]))


def to_pixels(image: Image.Image) -> Pixels:
    """Return a picture as straight RGBA."""
    return np.asarray(image.convert("RGBA")).copy()


def _size(recipe: Recipe, pipeline: Any) -> dict[str, Any]:
    size: dict[str, Any] = {
        "height": recipe.native_size.height,
        "width": recipe.native_size.width,
    }
    if "max_area" in takes(pipeline):
        # FLUX.1 Kontext scales the size it is given to this area.
        size["max_area"] = recipe.native_size.pixels
    return size


def _pictures(order: Order) -> dict[str, Any]:
    pictures: dict[str, Any] = {}
    if InputRole.INIT in order.inputs:
        pictures["image"] = to_image(order.inputs[InputRole.INIT])
    if InputRole.MASK in order.inputs:
        hole = raster.region(order.inputs[InputRole.MASK])
        pictures["mask_image"] = Image.fromarray(hole.astype(np.uint8) * 255)
    return pictures
