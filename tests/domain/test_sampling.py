"""Samplers and schedules by our words and by the names of other tools."""

import re

import pytest

from limner.domain.sampling import (
    NEAREST,
    SAMPLER_NAMES,
    SCHEDULE_NAMES,
    Sampler,
    Schedule,
    common_sampler,
    common_schedule,
    is_left_open,
    read_sampler,
    read_sampling,
    read_schedule,
)

S, H = Sampler, Schedule


@pytest.mark.parametrize(
    ("text", "sampler", "schedule"),
    [
        ("dpmpp_2m", S.DPMPP_2M, None),
        ("DPM++ 2M Karras", S.DPMPP_2M, H.KARRAS),
        ("DPM++ 2M SDE Karras", S.DPMPP_2M_SDE, H.KARRAS),
        ("DPM++ 2M SDE Heun Exponential", S.DPMPP_2M_SDE_HEUN, H.EXPONENTIAL),
        ("DPM++ 2S a", S.DPMPP_2S_ANCESTRAL, None),
        ("DPM++ 3M SDE SGM Uniform", S.DPMPP_3M_SDE, H.SGM_UNIFORM),
        ("DPM2 a Karras", S.DPM_2_ANCESTRAL, H.KARRAS),
        ("Euler a", S.EULER_ANCESTRAL, None),
        ("dpmpp_2m + karras", S.DPMPP_2M, H.KARRAS),
        ("DPM++ 2M + Karras", S.DPMPP_2M, H.KARRAS),
        ("euler/beta", S.EULER, H.BETA),
        ("dpmpp_2m_sde_gpu karras", S.DPMPP_2M_SDE, H.KARRAS),
        ("dpmpp_2m_sde_gpu", S.DPMPP_2M_SDE, None),
        ("dpmpp_sde_k", S.DPMPP_SDE, H.KARRAS),
        ("kdpm_2_a_k", S.DPM_2_ANCESTRAL, H.KARRAS),
        ("dpmpp_2s", S.DPMPP_2S, None),
        ("dpmpp_3m", S.DPMPP_3M, None),
        ("unipc", S.UNI_PC, None),
        ("uni_pc_bh2 simple", S.UNI_PC_BH2, H.SIMPLE),
        ("ays", None, H.ALIGN_YOUR_STEPS),
        ("linear_quadratic", None, H.LINEAR_QUADRATIC),
        ("DDIM", S.DDIM, None),
        ("EulerDiscreteScheduler", S.EULER, None),
        ("UniPCMultistepScheduler", S.UNI_PC_BH2, None),
        ("res_multistep", S.RES_MULTISTEP, None),
        ("euler_cfg_pp beta57", S.EULER_CFG_PP, H.BETA57),
        ("ipndm_v", S.IPNDM_V, None),
        ("sa_solver_pece", S.SA_SOLVER_PECE, None),
        ("Euler Align Your Steps GITS", S.EULER, H.ALIGN_YOUR_STEPS_GITS),
        ("  eULER  ", S.EULER, None),
        ("", None, None),
        ("+", None, None),
        ("Dream Weaver", None, None),
        ("Dream Weaver Karras", None, None),
        ("Karras Karras", None, None),
        ("euler karras karras", None, None),
        ("Ёлка", None, None),
    ],
)
def test_read_sampling(text: str, sampler: Sampler | None, schedule: Schedule | None) -> None:
    assert read_sampling(text) == (sampler, schedule)


def test_every_word_has_names_and_no_name_means_two_things() -> None:
    assert set(SAMPLER_NAMES) == set(Sampler)
    assert set(SCHEDULE_NAMES) == set(Schedule)
    for names in (SAMPLER_NAMES, SCHEDULE_NAMES):
        seen: dict[str, str] = {}
        for word, others in names.items():
            for name in (word.value, *others):
                plain = re.sub(r"[^a-z0-9]", "", name.lower().replace("+", "p"))
                assert seen.setdefault(plain, word) == word, name


@pytest.mark.parametrize("sampler", Sampler)
@pytest.mark.parametrize("schedule", [None, *Schedule])
def test_both_words_come_back_from_their_names(sampler: Sampler, schedule: Schedule | None) -> None:
    ours = " ".join(word for word in (sampler, schedule) if word)
    theirs = " ".join(
        (common_sampler(sampler), *((common_schedule(schedule),) if schedule else ()))
    )
    assert read_sampling(ours) == (sampler, schedule)
    assert read_sampling(theirs) == (sampler, schedule)


@pytest.mark.parametrize("schedule", Schedule)
def test_schedules_by_all_their_names(schedule: Schedule) -> None:
    for name in (schedule.value, *SCHEDULE_NAMES[schedule]):
        assert read_schedule(name) is schedule


@pytest.mark.parametrize("sampler", Sampler)
def test_samplers_by_all_their_names(sampler: Sampler) -> None:
    for name in (sampler.value, *SAMPLER_NAMES[sampler]):
        assert read_sampler(name) == (sampler, None)


def test_what_a_tool_left_open() -> None:
    assert is_left_open("Automatic")
    assert is_left_open("use default")
    assert not is_left_open("normal")


def test_what_is_not_there_has_a_nearest_that_may_be() -> None:
    for word, nearest in NEAREST.items():
        assert type(word) is type(nearest)
        assert nearest not in NEAREST
