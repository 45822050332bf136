"""Ways of guiding in ordinary pipelines: against the plain way and the papers' formulas."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

pytest.importorskip("diffusers", reason="the guiders are those of diffusers")

import torch

from limner.domain.errors import InvalidOption
from limner.families.diffusion.sampling.guidance import Guidance, Method, guided, methods_for
from tests.families.diffusion import tiny

diffusers: Any = import_module("diffusers")

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`FluxPosEmbed` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The configuration file of this scheduler:FutureWarning"),
]


def some(*sizes: int, seed: int = 5) -> torch.Tensor:
    return torch.randn(sizes, generator=torch.Generator().manual_seed(seed))


def words(width: int, **more: Any) -> dict[str, Any]:
    return {
        "prompt_embeds": some(1, 4, width),
        "negative_prompt_embeds": some(1, 4, width, seed=6),
        **more,
    }


def pooled(width: int, size: int) -> dict[str, Any]:
    return words(
        width,
        pooled_prompt_embeds=some(1, size),
        negative_pooled_prompt_embeds=some(1, size, seed=6),
    )


def masked() -> dict[str, Any]:
    mask = torch.ones(1, 4)
    return words(16, prompt_attention_mask=mask, negative_prompt_attention_mask=mask)


Made = tuple[Callable[[], Any], dict[str, Any]]

PIPELINES: dict[str, Made] = {
    "sd1": (tiny.sd1, words(16)),
    "sdxl": (tiny.sdxl, pooled(32, 16)),
    "sd3": (tiny.sd3, pooled(32, 32)),
    "pixart": (tiny.pixart, masked()),
    "sana": (tiny.sana, {**masked(), "height": 32, "width": 32}),
    "chroma": (tiny.chroma, masked()),
    "klein": (tiny.flux2_klein, words(24)),
}


@pytest.fixture(params=PIPELINES)
def made(request: pytest.FixtureRequest) -> tuple[Any, dict[str, Any]]:
    torch.set_num_threads(1)
    make, asked = PIPELINES[request.param]
    pipeline = make()
    pipeline.set_progress_bar_config(disable=True)
    if request.param in ("pixart", "sana"):
        asked = {**asked, "use_resolution_binning": False, "negative_prompt": None}
    return pipeline, asked


def denoiser_of(pipeline: Any) -> Any:
    return getattr(pipeline, "unet", None) or pipeline.transformer


def draw(pipeline: Any, asked: dict[str, Any], scale: float = 4.0, steps: int = 3) -> torch.Tensor:
    latents = pipeline(
        **{"height": 16, "width": 16, **asked},
        guidance_scale=scale,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(3),
        output_type="latent",
    ).images
    assert isinstance(latents, torch.Tensor)
    return latents


def test_the_plain_way_by_a_guider_is_the_pipelines_own(made: Any) -> None:
    pipeline, asked = made
    plain = draw(pipeline, asked)
    with guided(pipeline, Guidance(Method.CLASSIFIER_FREE, 4.0)):
        torch.testing.assert_close(draw(pipeline, asked), plain, atol=1e-5, rtol=1e-5)
        # The guider's scale counts, whatever the pipeline is told.
        torch.testing.assert_close(draw(pipeline, asked, 9.0), plain, atol=1e-5, rtol=1e-5)
    assert torch.equal(draw(pipeline, asked), plain)


def test_every_way_draws_something_of_its_own_and_the_same_again(made: Any) -> None:
    pipeline, asked = made
    drawn = [draw(pipeline, asked)]
    for method in methods_for(type(denoiser_of(pipeline)).__name__):
        if method == Method.CLASSIFIER_FREE:
            continue
        pair = []
        for _ in range(2):
            with guided(pipeline, Guidance(Method(method), 4.0)):
                pair.append(draw(pipeline, asked))
        assert torch.isfinite(pair[0]).all(), method
        assert torch.equal(*pair), method
        assert not any(torch.equal(pair[0], other) for other in drawn), method
        drawn.append(pair[0])
    assert torch.equal(draw(pipeline, asked), drawn[0])


def test_outside_its_part_of_the_steps_there_is_no_guidance(made: Any) -> None:
    pipeline, asked = made
    drawn = []
    for start, stop in ((0.0, 1.0), (0.5, 1.0), (0.0, 0.5)):
        with guided(pipeline, Guidance(Method.CLASSIFIER_FREE, 4.0, start, stop)):
            drawn.append(draw(pipeline, asked, steps=4))
    whole, late, early = drawn
    assert not torch.equal(late, early)
    assert not torch.equal(late, whole)
    assert not torch.equal(early, whole)


def answers(guidance: Guidance, steps: int = 1) -> tuple[torch.Tensor, ...]:
    """The two predictions of the first step, and what the pipeline is told instead."""
    make, asked = PIPELINES["sd3"]
    pipeline = make()
    pipeline.set_progress_bar_config(disable=True)

    def heard() -> tuple[torch.Tensor, torch.Tensor]:
        outputs: list[torch.Tensor] = []
        handle = pipeline.transformer.register_forward_hook(lambda *g: outputs.append(g[-1][0]))
        draw(pipeline, asked, steps=steps)
        handle.remove()
        first, second = outputs[0].chunk(2)
        return first, second

    without, with_words = heard()
    with guided(pipeline, guidance):
        told, twice = heard()
    assert torch.equal(told, twice)
    return without, with_words, told


def test_before_its_part_of_the_steps_the_words_alone_count() -> None:
    _, with_words, told = answers(Guidance(Method.CLASSIFIER_FREE, 4.0, start=0.5), steps=2)
    assert torch.equal(told, with_words)


def test_adaptive_projection_leaves_out_what_is_parallel() -> None:
    without, with_words, told = answers(Guidance(Method.ADAPTIVE_PROJECTED, 4.0))
    away = with_words - without
    norm = away.norm()
    away = away * min(1.0, 15.0 / float(norm))
    along = (away * with_words).sum() / (with_words * with_words).sum() * with_words
    torch.testing.assert_close(told, without + 4.0 * (away - along), atol=1e-4, rtol=1e-4)


def test_zero_star_takes_no_first_step() -> None:
    *_, told = answers(Guidance(Method.ZERO_STAR, 4.0))
    assert not told.any()


def test_tangential_keeps_what_both_share() -> None:
    without, with_words, told = answers(Guidance(Method.TANGENTIAL, 4.0))
    both = torch.stack([with_words.flatten(), without.flatten()]).double()
    shared = torch.linalg.svd(both, full_matrices=False)[2][0]
    kept = (without.flatten().double() @ shared * shared).reshape(without.shape).float()
    torch.testing.assert_close(told, kept + 4.0 * (with_words - kept), atol=1e-3, rtol=1e-3)


def test_perturbed_attention_asks_a_third_time_and_leaves_no_trace() -> None:
    make, asked = PIPELINES["sd1"]
    pipeline = make()
    pipeline.set_progress_bar_config(disable=True)
    middle = pipeline.unet.mid_block.attentions[0].transformer_blocks[0].attn1
    calls: list[int] = []
    handle = middle.to_q.register_forward_hook(lambda *given: calls.append(len(given[-1])))
    with guided(pipeline, Guidance(Method.PERTURBED_ATTENTION, 4.0)):
        draw(pipeline, asked, steps=3)
    handle.remove()
    # The first step is drawn without the third prediction, as diffusers has it.
    assert calls == [2, 2, 1, 2, 1]


@pytest.mark.parametrize("name", ["sd3", "chroma", "klein"])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_pipeline_that_does_not_guide_says_so(name: str, steps: int) -> None:
    make, asked = PIPELINES[name]
    pipeline = make()
    pipeline.set_progress_bar_config(disable=True)
    with (
        pytest.raises(InvalidOption, match="draws without guidance"),
        guided(pipeline, Guidance(Method.ADAPTIVE_PROJECTED, 4.0)),
    ):
        draw(pipeline, asked, scale=1.0, steps=steps)
    assert not denoiser_of(pipeline)._forward_hooks


def test_what_cannot_be_is_refused_and_nothing_stays() -> None:
    pipeline = tiny.flux()
    assert methods_for("FluxTransformer2DModel") == ()
    with (
        pytest.raises(InvalidOption, match="only the plain way"),
        guided(pipeline, Guidance(Method.TANGENTIAL, 4.0)),
    ):
        pass
    pipeline = tiny.sd1()
    for wrong in (
        Guidance(Method.ZERO_STAR, 4.0),
        Guidance(Method.TANGENTIAL, 1.0),
        Guidance(Method.TANGENTIAL, 4.0, start=0.6, stop=0.5),
        Guidance(Method.TANGENTIAL, 4.0, start=-0.1),
        Guidance(Method.TANGENTIAL, 4.0, stop=1.1),
    ):
        with pytest.raises(InvalidOption), guided(pipeline, wrong):
            pass
    with (
        pytest.raises(RuntimeError, match="stopped"),
        guided(pipeline, Guidance(Method.TANGENTIAL, 4.0)),
    ):
        raise RuntimeError("stopped")
    assert not pipeline.unet._forward_hooks
