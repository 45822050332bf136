"""Options of diffusion models that other models do not have: what a Recipe may say of them."""

from limner.domain.capability import ChoiceExtra, ExtraSpec, NumberExtra
from limner.domain.recipe import Recipe
from limner.families.diffusion.drawing.profiles import Profile, profiles_of
from limner.families.diffusion.known.facts import Facts, architecture_of
from limner.families.diffusion.sampling.guidance import Guidance, Method, methods_for

METHOD, START, STOP = "guidance_method", "guidance_start", "guidance_stop"
CLIP_SKIP = "clip_skip"
PROFILE = "profile"

_SPARED = 11
"""The most layers of CLIP that may be left out: the smaller of the two in use has 12."""


def extras_of(facts: Facts) -> tuple[ExtraSpec, ...]:
    """Return the options of a variant."""
    extras: list[ExtraSpec] = []
    shared = architecture_of(facts.family)
    methods = methods_for(shared.denoiser)
    if methods and facts.guidance_kind == "classifier-free" and facts.guidance is not None:
        extras += (
            ChoiceExtra(
                name=METHOD,
                summary="how predictions with and without the words are put together",
                choices=methods,
            ),
            NumberExtra(name=START, summary="the part of the steps that is over", low=0, high=1),
            NumberExtra(name=STOP, summary="the part of the steps it ends at", low=0, high=1),
        )
    if shared.clip:
        extras.append(
            NumberExtra(
                name=CLIP_SKIP,
                summary="how many of CLIP's last layers are left out",
                low=0,
                high=_SPARED,
            )
        )
    extras.append(
        ChoiceExtra(
            name=PROFILE,
            summary="how far pixels may differ from plain diffusers, for speed",
            choices=profiles_of(facts.family),
        )
    )
    return tuple(extras)


def profile_of(recipe: Recipe) -> Profile:
    """Return the profile that a Recipe asks for: exact where nothing is said."""
    return Profile(str(recipe.extra(PROFILE) or Profile.EXACT))


def guidance_of(recipe: Recipe) -> Guidance | None:
    """Return the way of guiding that a Recipe asks for; None for the pipeline's own."""
    method, start, stop = (recipe.extra(name) for name in (METHOD, START, STOP))
    if method is None and start is None and stop is None:
        return None
    return Guidance(
        Method(str(method or Method.CLASSIFIER_FREE)),
        recipe.guidance or 1.0,
        float(start or 0.0),
        1.0 if stop is None else float(stop),
    )


def clip_skip_of(recipe: Recipe) -> int | None:
    """Return how many of CLIP's last layers are left out; None where nothing is said."""
    skipped = recipe.extra(CLIP_SKIP)
    return None if skipped is None else int(skipped)
