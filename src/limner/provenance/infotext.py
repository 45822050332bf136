"""A Recipe as the settings text that the AUTOMATIC1111 web UI and many others read."""

import json
from importlib.metadata import version

from limner.domain.recipe import AdapterRef, InputRole, Recipe
from limner.domain.sampling import common_sampler, common_schedule


def infotext(recipe: Recipe) -> str:
    """Return a Recipe in the form of the AUTOMATIC1111 web UI's `parameters`.

    The prompt, the negative prompt on a line of its own, then one line of settings under the
    names that others use; what has no such name goes by ours.
    """
    init = recipe.input(InputRole.INIT)
    settings: dict[str, object] = {
        "Steps": recipe.steps,
        "Sampler": common_sampler(recipe.sampler) if recipe.sampler else None,
        "Schedule type": common_schedule(recipe.schedule) if recipe.schedule else None,
        "CFG scale": recipe.guidance,
        "Seed": recipe.seed,
        "Size": recipe.native_size if recipe.upscaler else recipe.size,
        "Model hash": recipe.model.sha256[:10],
        "Model": recipe.model.name,
        "Denoising strength": init.strength if init else None,
        "Hires upscaler": recipe.upscaler.name if recipe.upscaler else None,
        "Hires resize": recipe.size if recipe.upscaler else None,
        "Lora hashes": ", ".join(f"{one.name}: {one.sha256[:12]}" for one in recipe.adapters),
        "Version": f"Limner {version('limner')}",
    }
    own = {name.capitalize(): value for name, value in recipe.extras}
    line = ", ".join(
        f"{name}: {_quoted(value)}"
        for name, value in (settings | own | settings).items()
        if value not in (None, "")
    )
    tags = "".join(f" <lora:{one.name}:{_weights(one)}>" for one in recipe.adapters)
    against = f"Negative prompt: {recipe.negative_prompt}" if recipe.negative_prompt else ""
    return "\n".join(part for part in (f"{recipe.prompt}{tags}", against, line) if part)


def _weights(adapter: AdapterRef) -> str:
    """Return the weight of an adapter; where there are two, that of the text encoders is first."""
    if adapter.text_weight is None:
        return f"{adapter.weight:g}"
    return f"{adapter.text_weight:g}:{adapter.weight:g}"


def _quoted(value: object) -> str:
    """Return a value as the readers of this form split it: in JSON quotes where it must be."""
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if set(text) & set(',:\n"') else text
