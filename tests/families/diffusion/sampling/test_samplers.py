"""Samplers on schedules: against a denoiser whose answer is known, and in real pipelines."""

import math
from importlib import import_module
from itertools import pairwise
from typing import Any

import pytest

pytest.importorskip("diffusers", reason="the samplers are those of diffusers")

import torch

from limner.domain.errors import InvalidOption
from limner.domain.sampling import NEAREST, Sampler, Schedule
from limner.families.diffusion.recognition.finding import Prediction
from limner.families.diffusion.recognition.learnt import Learnt
from limner.families.diffusion.sampling import samplers
from limner.families.diffusion.sampling.samplers import give_noise, samplers_for
from tests.families.diffusion import tiny
from tests.families.diffusion.toy import CONFIGS, FLOW_CONFIG, MEAN, NOISE_CONFIG, SPREAD, draw

diffusers: Any = import_module("diffusers")

pytestmark = [
    # diffusers hands tensors to numpy in ways that numpy 2 warns of.
    pytest.mark.filterwarnings("ignore:__array:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`FluxPosEmbed` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The configuration file of this scheduler:FutureWarning"),
]

PREDICTIONS: tuple[Prediction, ...] = ("epsilon", "v", "flow")
NOISY = {
    "euler_ancestral",
    "dpm_2_ancestral",
    "dpmpp_sde",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_heun",
    "dpmpp_3m_sde",
    "sa_solver",
    "ddpm",
    "lcm",
    "tcd",
}
DISTILLED = {"lcm", "tcd"}
FIRST_ORDER = {"euler", "ddim"}
ON_OWN_TIMES = {"ddpm", "plms", "lcm", "tcd"}


def build(
    config: dict[str, Any], sampler: str | None, schedule: str | None, prediction: Prediction
) -> Any:
    return samplers.build(config, sampler, schedule, Learnt(prediction))


def schedules_for(prediction: Prediction) -> tuple[str, ...]:
    return samplers.schedules_for(Learnt(prediction))


def pairs(prediction: Prediction) -> list[tuple[Prediction, str, str | None]]:
    return [
        (prediction, sampler, schedule)
        for sampler in samplers_for(prediction)
        for schedule in (None, *schedules_for(prediction))
        if schedule is None or prediction == "flow" or sampler not in ON_OWN_TIMES
    ]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_what_is_said_to_be_there_for_no_model_is_there_for_none() -> None:
    for prediction in PREDICTIONS:
        assert not {*samplers_for(prediction), *schedules_for(prediction)} & set(NEAREST)
    offered = {word for prediction in PREDICTIONS for word in samplers_for(prediction)}
    assert set(Sampler) == {*offered, *(word for word in NEAREST if word in set(Sampler))}


def test_what_is_listed_is_of_our_words() -> None:
    for prediction in PREDICTIONS:
        assert {Sampler(word) for word in samplers_for(prediction)}
        assert {Schedule(word) for word in schedules_for(prediction)}
    assert samplers_for("") == schedules_for("") == ()
    assert samplers_for("epsilon") == samplers_for("v")
    assert "linear_quadratic" not in schedules_for("epsilon")
    assert "ddim_uniform" not in schedules_for("flow")


@pytest.mark.parametrize(("prediction", "sampler", "schedule"), [*pairs("epsilon"), *pairs("flow")])
def test_any_number_of_steps_comes_to_numbers(
    prediction: Prediction, sampler: str, schedule: str | None
) -> None:
    counts = (1, 2, 3, 20) if schedule in (None, "karras") else (1, 4)
    scheduler = build(CONFIGS[prediction], sampler, schedule, prediction)
    for steps in counts:
        picture = draw(scheduler, steps, prediction).picture
        assert torch.isfinite(picture).all(), steps


@pytest.mark.parametrize("schedule", [None, "karras", "sgm_uniform"])
@pytest.mark.parametrize(
    ("prediction", "sampler"),
    [
        (prediction, sampler)
        for prediction in PREDICTIONS
        for sampler in samplers_for(prediction)
        if sampler not in NOISY and (prediction != "v" or sampler in ("euler", "dpmpp_2m"))
    ],
)
def test_without_noise_the_exact_picture_comes_nearer(
    prediction: Prediction, sampler: str, schedule: str | None
) -> None:
    if sampler == "plms" and schedule:
        schedule = None
    config = CONFIGS[prediction]
    scheduler = build(config, sampler, schedule, prediction)
    coarse, fine = (draw(scheduler, steps, prediction) for steps in (10, 60))
    assert fine.error < (0.13 if schedule != "karras" or sampler in FIRST_ORDER else 0.012)
    assert fine.error < coarse.error + 0.01


@pytest.mark.parametrize(
    ("prediction", "sampler"),
    [
        (prediction, sampler)
        for prediction in ("epsilon", "flow")
        for sampler in samplers_for(prediction)
    ],
)
def test_from_a_picture_too_the_end_is_the_exact_one(prediction: Prediction, sampler: str) -> None:
    schedules = (None,) if sampler in ON_OWN_TIMES and prediction != "flow" else (None, "karras")
    for schedule in schedules:
        scheduler = build(CONFIGS[prediction], sampler, schedule, prediction)
        drawn = draw(scheduler, 40, prediction, start=20)
        if sampler in NOISY:
            assert torch.isfinite(drawn.picture).all()
        else:
            assert drawn.error < (0.15 if schedule is None or sampler in FIRST_ORDER else 0.02)


@pytest.mark.parametrize("prediction", ["epsilon", "flow"])
@pytest.mark.parametrize("sampler", sorted(NOISY))
def test_with_noise_pictures_come_again_from_their_seed(
    prediction: Prediction, sampler: str
) -> None:
    if sampler not in samplers_for(prediction):
        pytest.skip("models of this kind have no such sampler")
    schedule = None if sampler in ON_OWN_TIMES else "karras"
    once, again, other = (
        draw(build(CONFIGS[prediction], sampler, schedule, prediction), 30, prediction, seed)
        for seed in (1, 1, 2)
    )
    assert torch.equal(once.picture, again.picture)
    assert not torch.equal(once.picture, other.picture)
    # Restarting from the mean of what is seen, as a distilled model does, loses spread.
    low = 0.25 if sampler in DISTILLED else SPREAD - 0.09
    assert low < float(once.picture.std()) < SPREAD + 0.09
    assert float(once.picture.mean()) == pytest.approx(MEAN, abs=0.12)


@pytest.mark.parametrize(
    ("prediction", "name", "more"),
    [
        ("epsilon", "PNDMScheduler", {"skip_prk_steps": True}),
        ("epsilon", "EulerDiscreteScheduler", {"use_karras_sigmas": True}),
        ("v", "DDIMScheduler", {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}),
        ("flow", "FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
        ("flow", "UniPCMultistepScheduler", {"use_flow_sigmas": True, "flow_shift": 3.0}),
        ("epsilon", "EDMEulerScheduler", {}),
    ],
)
def test_left_open_it_is_the_models_own(
    prediction: Prediction, name: str, more: dict[str, Any]
) -> None:
    own = getattr(diffusers, name)
    config = {**own(**more).config, "_class_name": name}
    built = build(config, None, None, prediction)
    assert type(built) is own
    theirs, ours = (
        {key: value for key, value in one.items() if not key.startswith("_")}
        for one in (config, built.config)
    )
    assert theirs == ours


def by_hand(levels: list[float], order: int, kind: str) -> torch.Tensor:
    """DPM-Solver++ as an SDE of two or three steps back, as k-diffusion writes it."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 4, 12, 12, generator=generator)
    picture: torch.Tensor = noise.double() * math.hypot(1, levels[0])
    clean = picture
    before: list[tuple[torch.Tensor, float]] = []
    for here, there in pairwise(levels):
        clean = MEAN + SPREAD**2 / (SPREAD**2 + here**2) * (picture - MEAN)
        noise = torch.randn(1, 4, 12, 12, generator=generator).double()
        if there == 0:
            break
        h = math.log(here / there)
        picture = math.exp(-2 * h) * picture - math.expm1(-2 * h) * clean
        phi_2 = math.expm1(-2 * h) / (2 * h) + 1
        share = -math.expm1(-2 * h) / 2 if kind == "midpoint" else phi_2
        if before:
            slope = (clean - before[-1][0]) * h / before[-1][1]
            if order == 3 and len(before) > 1:
                r_0, r_1 = before[-1][1] / h, before[-2][1] / h
                bend = (slope - (before[-1][0] - before[-2][0]) / r_1) / (r_0 + r_1)
                slope = slope + bend * r_0
                picture = picture - (phi_2 / (2 * h) - 0.5) * bend
            picture = picture + share * slope
        picture = picture + noise * there * (-math.expm1(-2 * h)) ** 0.5
        before.append((clean, h))
    return clean


@pytest.mark.parametrize(
    ("sampler", "order", "kind"),
    [
        ("dpmpp_2m_sde", 2, "midpoint"),
        ("dpmpp_2m_sde_heun", 2, "heun"),
        ("dpmpp_3m_sde", 3, "heun"),
    ],
)
@pytest.mark.parametrize("schedule", ["karras", "exponential", "sgm_uniform", "normal"])
@pytest.mark.parametrize("steps", [2, 3, 16, 25])
def test_steps_back_with_noise_are_those_of_k_diffusion(
    sampler: str, order: int, kind: str, schedule: str, steps: int
) -> None:
    scheduler = build(NOISE_CONFIG, sampler, schedule, "epsilon")
    picture = draw(scheduler, steps, "epsilon").picture
    wanted = by_hand([float(level) for level in scheduler.sigmas], order, kind)
    torch.testing.assert_close(picture.double(), wanted, atol=5e-3, rtol=5e-3)


@pytest.mark.parametrize("prediction", ["epsilon", "flow"])
def test_the_own_sampler_by_its_name_draws_the_same(prediction: Prediction) -> None:
    config = CONFIGS[prediction]
    own = draw(build(config, None, None, prediction), 7, prediction)
    named = draw(build(config, "euler", None, prediction), 7, prediction)
    assert torch.equal(own.picture, named.picture)


@pytest.mark.parametrize("sampler", ["heun", "dpm_2", "lcm", "dpmpp_2m"])
def test_what_a_configuration_leaves_out_means_what_it_means_to_its_own_class(sampler: str) -> None:
    """The first betas that classes assume are 0.0001 for some and 0.00085 for others."""
    own = diffusers.DDIMScheduler()
    for config in (
        {"_class_name": "DDIMScheduler"},
        {**own.config, "_class_name": "DDIMScheduler"},
    ):
        built = build(config, sampler, None, "epsilon")
        torch.testing.assert_close(built.alphas_cumprod, own.alphas_cumprod)


def test_ddim_with_a_schedule_is_itself_on_its_own_levels() -> None:
    """DDIM's levels by name and DDIM's own differ only where they end: at 0 and at time 0."""
    own = draw(build(NOISE_CONFIG, "ddim", None, "epsilon"), 20, "epsilon")
    named = draw(build(NOISE_CONFIG, "ddim", "ddim_uniform", "epsilon"), 20, "epsilon")
    torch.testing.assert_close(own.picture, named.picture, atol=0.02, rtol=0)


def test_a_schedule_alone_keeps_the_models_sampler() -> None:
    config = {**NOISE_CONFIG, "_class_name": "DPMSolverMultistepScheduler", "solver_order": 3}
    built = build(config, None, "karras", "epsilon")
    assert isinstance(built, diffusers.DPMSolverMultistepScheduler)
    assert built.config.solver_order == 3
    ddim = build({**NOISE_CONFIG, "_class_name": "DDIMScheduler"}, None, "karras", "epsilon")
    assert draw(ddim, 60, "epsilon").error < 0.1


@pytest.mark.parametrize("sampler", ["heun", "dpmpp_2s", "dpm_2", "dpmpp_2m", "euler"])
def test_models_that_start_from_noise_alone_do(sampler: str) -> None:
    config = {**CONFIGS["v"], "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    for schedule in (None, "sgm_uniform"):
        built = build(config, sampler, schedule, "v")
        built.set_timesteps(8)
        assert float(built.sigmas[0]) > 1000


@pytest.mark.parametrize(
    ("family", "name"), [("sd1", "StableDiffusionSigmas"), ("sdxl", "StableDiffusionXLSigmas")]
)
def test_aligned_steps_are_those_of_diffusers(family: str, name: str) -> None:
    levels = diffusers.schedulers.AysSchedules[name]
    theirs = diffusers.EulerDiscreteScheduler.from_config(NOISE_CONFIG)
    theirs.set_timesteps(sigmas=levels)
    ours = samplers.build(NOISE_CONFIG, "euler", "align_your_steps", Learnt("epsilon", family))
    ours.set_timesteps(10)
    assert torch.equal(ours.sigmas, theirs.sigmas)
    torch.testing.assert_close(ours.timesteps, theirs.timesteps[:10], atol=0.5, rtol=0)
    for sampler in samplers_for("epsilon"):
        if sampler not in ON_OWN_TIMES:
            learnt = Learnt("epsilon", family)
            built = samplers.build(NOISE_CONFIG, sampler, "align_your_steps", learnt)
            assert torch.isfinite(draw(built, 7, "epsilon").picture).all(), sampler


def test_steps_are_aligned_where_they_were_measured_alone() -> None:
    word = Schedule.ALIGN_YOUR_STEPS
    assert word in samplers.schedules_for(Learnt("epsilon", "sdxl"))
    for learnt in (Learnt("epsilon", "sd2"), Learnt("v", "sdxl"), Learnt("flow", "flux.1")):
        assert word not in samplers.schedules_for(learnt)
        with pytest.raises(InvalidOption, match="no schedule “align_your_steps”"):
            samplers.build(CONFIGS[learnt.prediction], None, word, learnt)


def refused(
    sampler: str | None,
    schedule: str | None,
    config: dict[str, Any] = NOISE_CONFIG,
    by: Prediction = "epsilon",
) -> str:
    with pytest.raises(InvalidOption) as caught:
        build(config, sampler, schedule, by)
    return caught.value.message


def test_what_does_not_go_together_is_refused() -> None:
    for sampler in ON_OWN_TIMES:
        assert f"“{sampler}”" in refused(sampler, "karras")
    assert "PNDM" in refused(
        None, "karras", config={**NOISE_CONFIG, "_class_name": "PNDMScheduler"}
    )
    assert "It has: euler," in refused("dpm_fast", None)
    assert "“restart”" in refused("restart", None)
    assert "“nonsense”" in refused("nonsense", "karras")
    assert "“linear_quadratic”" in refused("euler", "linear_quadratic")
    assert "“ddim”" in refused("ddim", None, config=FLOW_CONFIG, by="flow")
    assert "“ddim_uniform”" in refused("euler", "ddim_uniform", config=FLOW_CONFIG, by="flow")
    edm = {**NOISE_CONFIG, "_class_name": "EDMEulerScheduler"}
    assert "(EDMEuler)" in refused("euler", None, config=edm)
    assert "own kind" in refused("euler", None, config={"_class_name": "SCMScheduler"}, by="flow")
    assert "own kind" in refused("euler", None, by="")
    continuous = {**NOISE_CONFIG, "timestep_type": "continuous"}
    assert "own kind" in refused("heun", None, config=continuous)


@pytest.mark.parametrize("sampler", sorted(DISTILLED))
def test_distilled_samplers_have_only_so_many_steps(sampler: str) -> None:
    built = build(NOISE_CONFIG, sampler, None, "epsilon")
    built.set_timesteps(50)
    with pytest.raises(InvalidOption, match="at most 50 steps"):
        built.set_timesteps(51)


def test_levels_that_a_model_tells_in_its_own_way_stay() -> None:
    """CogView4's pipeline gives times and levels that do not belong to each other."""
    config = {**FLOW_CONFIG, "use_dynamic_shifting": True, "time_shift_type": "linear"}
    given: dict[str, Any] = {"sigmas": [1.0, 0.5], "timesteps": [1000.0, 500.0], "mu": 0.75}
    built, own = build(config, "heun", None, "flow"), build(config, None, None, "flow")
    built.set_timesteps(**given)
    own.set_timesteps(**given)
    assert built.sigmas[1] == own.sigmas[1]
    assert built.timesteps[1] == own.timesteps[1] == 500
    with pytest.raises(InvalidOption, match="Leave the schedule out"):
        build(config, "heun", "karras", "flow").set_timesteps(**given)


def test_shifts_with_the_size_reach_every_sampler() -> None:
    config = {**FLOW_CONFIG, "use_dynamic_shifting": True, "shift": 1.0, "max_image_seq_len": 99}
    own = build(config, None, None, "flow")
    own.set_timesteps(sigmas=[1.0, 0.5], mu=1.0)
    for sampler in samplers_for("flow"):
        built = build(config, sampler, None, "flow")
        assert built.config.max_image_seq_len == 99
        built.set_timesteps(sigmas=[1.0, 0.5], mu=1.0)
        assert float(built.timesteps[-1]) == pytest.approx(float(own.timesteps[-1]))
        simple = build(config, sampler, "simple", "flow")
        simple.set_timesteps(2, mu=1.0)
        assert float(simple.timesteps[-1]) == pytest.approx(float(own.timesteps[-1]), rel=1e-3)


def test_pictures_are_mixed_with_noise_as_much_as_at_their_step() -> None:
    picture, noise = torch.zeros(1, 4, 2, 2), torch.ones(1, 4, 2, 2)
    for sampler in samplers_for("flow"):
        built = build(FLOW_CONFIG, sampler, "simple", "flow")
        built.set_timesteps(4)
        start = 2 * built.order
        time = built.timesteps[start]
        built.set_begin_index(start)
        mixed = built.scale_noise(picture, time.reshape(1), noise)
        torch.testing.assert_close(mixed, noise * time / 1000)


@pytest.mark.parametrize("start", range(19))
def test_heun_starts_anywhere_that_a_pipeline_counts_to(start: int) -> None:
    """Ten levels are given, 19 evaluations counted; from any of them the end is the picture."""
    built = build(FLOW_CONFIG, "heun", None, "flow")
    built.set_timesteps(sigmas=[1 - i / 10 for i in range(10)])
    times = built.timesteps[start * built.order :]
    assert len(times) == 19 - start
    built.set_begin_index(start)
    noise = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    sample = built.scale_noise(torch.full_like(noise, 0.3), times[:1], noise)
    for time in times:
        sigma = float(time) / 1000
        flow = (sample - 0.3) / sigma  # of a model that knows one picture only
        sample = built.step(flow, time, sample, return_dict=False)[0]
    torch.testing.assert_close(sample, torch.full_like(noise, 0.3), atol=1e-5, rtol=0)


def test_noise_is_drawn_where_a_pipeline_gives_no_generator() -> None:
    def once(seed: int) -> torch.Tensor:
        built = build(FLOW_CONFIG, "euler_ancestral", None, "flow")
        give_noise(built, torch.Generator().manual_seed(seed))
        built.set_timesteps(3)
        sample = torch.zeros(1, 1, 2, 2)
        [stepped] = built.step(
            torch.ones(1, 1, 2, 2), built.timesteps[0], sample, return_dict=False
        )
        assert isinstance(stepped, torch.Tensor)
        return stepped

    assert torch.equal(once(3), once(3))
    assert not torch.equal(once(3), once(4))
    plain = build(NOISE_CONFIG, "heun", None, "epsilon")
    give_noise(plain, torch.Generator())
    assert "step" not in vars(plain)


def embeddings(*sizes: int) -> torch.Tensor:
    return torch.randn(sizes, generator=torch.Generator().manual_seed(5))


def asked(pipeline: Any) -> dict[str, Any]:
    """What a tiny pipeline needs beside a size and steps."""
    if isinstance(pipeline, diffusers.FluxPipeline | diffusers.FluxImg2ImgPipeline):
        return {"prompt_embeds": embeddings(1, 4, 16), "pooled_prompt_embeds": embeddings(1, 16)}
    if isinstance(pipeline, diffusers.StableDiffusion3Pipeline):
        return {
            "prompt_embeds": embeddings(1, 4, 32),
            "pooled_prompt_embeds": embeddings(1, 32),
            "guidance_scale": 0.0,
        }
    if isinstance(pipeline, diffusers.ChromaPipeline):
        words, mask = embeddings(1, 4, 16), torch.ones(1, 4)
        return {"prompt_embeds": words, "prompt_attention_mask": mask, "guidance_scale": 0.0}
    return {"prompt_embeds": embeddings(1, 4, 16), "guidance_scale": 1.0}


def drawn(pipeline: Any, steps: int = 3, **more: Any) -> torch.Tensor:
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(8)
    latents = pipeline(
        **asked(pipeline),
        **more,
        height=16,
        width=16,
        num_inference_steps=steps,
        generator=generator,
        output_type="latent",
    ).images
    assert isinstance(latents, torch.Tensor)
    return latents


def own(pipeline: Any, **more: Any) -> dict[str, Any]:
    kept = {k: v for k, v in pipeline.scheduler.config.items() if k != "_use_default_values"}
    return {**kept, "_class_name": type(pipeline.scheduler).__name__, **more}


@pytest.mark.parametrize("make", [tiny.flux, tiny.sd3, tiny.chroma], ids=["flux", "sd3", "chroma"])
def test_flow_pipelines_take_every_sampler(make: Any) -> None:
    pipeline = make()
    shifting = make is not tiny.sd3
    config = own(pipeline, use_dynamic_shifting=shifting, shift=1.0 if shifting else 3.0)
    pipeline.scheduler = build(config, None, None, "flow")
    first = drawn(pipeline)
    for sampler in samplers_for("flow"):
        for schedule in (None, "karras", "beta"):
            pipeline.scheduler = build(config, sampler, schedule, "flow")
            give_noise(pipeline.scheduler, torch.Generator().manual_seed(8))
            latents = drawn(pipeline)
            assert torch.isfinite(latents).all(), (sampler, schedule)
            assert torch.equal(latents, first) == ((sampler, schedule) == ("euler", None))


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m", "uni_pc", "euler_ancestral"])
def test_flow_pipelines_start_from_a_picture(sampler: str) -> None:
    words = tiny.flux()
    pipeline = diffusers.FluxImg2ImgPipeline(**words.components)
    config = own(words)
    picture = embeddings(1, 3, 16, 16).clamp(0, 1)
    results = []
    for strength in (0.3, 0.9):
        pipeline.scheduler = build(config, sampler, "simple", "flow")
        give_noise(pipeline.scheduler, torch.Generator().manual_seed(8))
        results.append(drawn(pipeline, 10, image=picture, strength=strength))
    assert all(torch.isfinite(one).all() for one in results)
    assert not torch.equal(*results)


@pytest.mark.parametrize("make", [tiny.sd1, tiny.sd2], ids=["epsilon", "v"])
def test_pipelines_of_noise_take_every_sampler(make: Any) -> None:
    pipeline = make()
    prediction: Prediction = "v" if make is tiny.sd2 else "epsilon"
    config = CONFIGS[prediction]
    for sampler in samplers_for(prediction):
        scheduler = build(config, sampler, None, prediction)
        pipeline.scheduler = scheduler
        latents = drawn(pipeline, 2)
        assert torch.isfinite(latents).all(), sampler
        assert torch.equal(latents, drawn(pipeline, 2)), sampler
        if sampler not in ON_OWN_TIMES:
            pipeline.scheduler = build(config, sampler, "karras", prediction)
            assert torch.isfinite(drawn(pipeline, 2)).all(), sampler
