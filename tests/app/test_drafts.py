"""Drafts from loose options: samplers by the names of any tool."""

import pytest

from limner.app.drafts import make_draft


@pytest.mark.parametrize(
    ("given", "sampler", "schedule"),
    [
        ({"sampler": "euler"}, "euler", None),
        ({"sampler": "Euler a"}, "euler_ancestral", None),
        ({"sampler": "DPM++ 2M"}, "dpmpp_2m", None),
        ({"sampler": "DPM++ 2M Karras"}, "dpmpp_2m", "karras"),
        ({"sampler": "dpmpp_2m_sde_gpu", "schedule": "sgm_uniform"}, "dpmpp_2m_sde", "sgm_uniform"),
        ({"sampler": "DPM++ 2M Karras", "schedule": "SGM Uniform"}, "dpmpp_2m", "sgm_uniform"),
        ({"sampler": "euler/beta"}, "euler", "beta"),
        ({"sampler": "uni_pc", "schedule": "Align Your Steps"}, "uni_pc", "align_your_steps"),
        ({"sampler": "Automatic", "schedule": "Automatic"}, None, None),
        ({"schedule": "Karras"}, None, "karras"),
        ({"sampler": "brush", "schedule": "brush"}, "brush", "brush"),
        ({"sampler": "karras"}, "karras", None),
        ({}, None, None),
    ],
)
def test_samplers_are_known_by_any_tools_names(
    given: dict[str, str], sampler: str | None, schedule: str | None
) -> None:
    draft = make_draft({"prompt": "a fox", **given})
    assert (draft.sampler, draft.schedule) == (sampler, schedule)
