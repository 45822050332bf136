"""Every variant that recognition names has facts, and diffusers has the classes they name."""

import re
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limner.domain.recipe import Size, Task
from limner.families.diffusion.family import _capability
from limner.families.diffusion.known.facts import ARCHITECTURES, FACTS, Facts, facts_of, title_of
from limner.families.diffusion.recognition import denoisers
from limner.families.diffusion.recognition.finding import Finding, Kind
from limner.families.diffusion.recognition.layouts import recognise
from limner.families.diffusion.recognition.learnt import Learnt
from limner.families.diffusion.recognition.tensors import Header, Tensor
from limner.families.diffusion.sampling.samplers import samplers_for, schedules_for
from tests.families.diffusion import published as pub

EXTRA_INPUTS = (4, 5, 7, 8, 9)

SHAPES: tuple[pub.Shapes, ...] = (
    *(pub.sd_unet(channels=one) for one in EXTRA_INPUTS),
    *(pub.sd_unet(1024, one, flat=True) for one in EXTRA_INPUTS),
    *(pub.xl_unet(one) for one in EXTRA_INPUTS),
    *(pub.xl_unet(middle=False, depth=depth) for depth in (2, 4, 10)),
    {**pub.sd_unet(), **pub.linear("label_emb.0.0", 1280, 768)},
    {**pub.sd_unet(1024, flat=True), **pub.linear("label_emb.0.0", 1280, 768)},
    {**pub.sd_unet_diffusers(), **pub.linear("time_embedding.cond_proj", 320, 256)},
    {**pub.xl_unet_diffusers(), **pub.linear("time_embedding.cond_proj", 320, 256)},
    {
        **pub.sd_unet_diffusers(1024, flat=True),
        **pub.linear("time_embedding.cond_proj", 320, 256),
    },
    pub.xl_refiner(),
    pub.sd3(),
    pub.sd3(style="normed"),
    pub.sd3(style="dual"),
    *(pub.flux(channels) for channels in (64, 128, 384)),
    pub.flux(guided=False),
    *(pub.flux2(4096, context) for context in (7_680, 12_288, 15_360)),
    pub.chroma(),
    {**pub.chroma(), **pub.linear("nerf_image_embedder", 64, 3)},
    pub.krea2(),
    pub.qwen_image(),
    {**pub.qwen_image(), **pub.linear("time_text_embed.addition_t_embedding", 3072, 2)},
    {**pub.linear("img_in", 4096, 64), "txt_in.text_norm.weight": (4096,)},
    pub.z_image(),
    {**pub.z_image(), **pub.linear("siglip_embedder.1", 3840, 1152)},
    *(
        pub.sana(width, blocks, guided)
        for (width, blocks), guided in product(((1152, 28), (2240, 20), (2240, 60)), (True, False))
    ),
    pub.pixart(),
    {**pub.pixart(), **pub.linear("csize_embedder.mlp.0", 384, 256)},
)


def every_word() -> list[str]:
    """Return every text in the source that could be a word of a name, and none."""
    source = Path(denoisers.__file__).read_text(encoding="utf-8")
    return ["", *sorted(set(re.findall(r'"([a-z0-9-]+)"', source)))]


def test_recognition_names_what_has_facts_and_nothing_else() -> None:
    words = every_word()
    assert {"kontext", "lightning", "2511"} <= set(words)
    named = set()
    for shapes, word in product(SHAPES, words):
        tensors = {name: Tensor("F16", shape) for name, shape in shapes.items()}
        found = recognise(Header("safetensors", tensors), word)
        assert found.kind is Kind.DENOISER, (word, found)
        named.add((found.family, found.variant))
    assert named == set(FACTS)


@pytest.mark.parametrize("key", FACTS, ids="/".join)
def test_facts_agree_with_each_other(key: tuple[str, str]) -> None:
    facts = facts_of(*key)
    assert (facts.family, facts.variant) == key
    assert facts.title
    assert title_of(facts.family) != facts.family
    least, most = facts.area
    assert least <= facts.size.pixels <= most
    assert facts.size.width % facts.multiple == facts.size.height % facts.multiple == 0
    assert facts.multiple in (8, 16, 32, 64)
    assert facts.steps.low <= facts.steps.default <= facts.steps.high
    assert facts.prompt_tokens >= 77
    assert facts.text_encoders
    assert (facts.sampler is None) == (facts.schedule is None)
    usual = _capability(facts, Finding(Kind.PIPELINE, "")).usual
    if usual is not None:
        assert usual[0] in samplers_for(facts.prediction)
        assert usual[1] in schedules_for(Learnt(facts.prediction, facts.family))
    assert 0 < facts.strength <= 1


@pytest.mark.parametrize("key", FACTS, ids="/".join)
def test_guidance_is_whole_or_absent(key: tuple[str, str]) -> None:
    facts = facts_of(*key)
    if facts.guidance is None:
        assert (facts.guidance_kind, facts.guidance_argument) == ("none", "")
        assert facts.guidance_meaning == ""
        assert not facts.negative_prompt
        return
    assert facts.guidance_kind != "none"
    assert facts.guidance_argument in ("guidance_scale", "true_cfg_scale")
    assert facts.guidance.low <= facts.guidance.default <= facts.guidance.high
    assert "{" not in facts.guidance_meaning
    assert facts.guidance_meaning
    if facts.guidance_kind == "embedded":
        assert not facts.negative_prompt


@pytest.mark.parametrize("key", FACTS, ids="/".join)
def test_licences_say_where_their_terms_are(key: tuple[str, str]) -> None:
    licence = facts_of(*key).licence
    assert re.fullmatch(r"(LicenseRef-)?[A-Za-z0-9.+-]+", licence.spdx)
    assert licence.url.startswith("https://")
    assert licence.attribution
    assert licence.commercial is (
        licence.spdx in ("Apache-2.0", "MIT") or "Open-RAIL" in licence.spdx
    )


@pytest.mark.parametrize("key", FACTS, ids="/".join)
def test_repositories_are_names_of_repositories(key: tuple[str, str]) -> None:
    facts = facts_of(*key)
    for repository in facts.repositories:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", repository.name)
    assert bool(facts.homepage) == bool(facts.repositories)


def test_published_facts_of_flux1_krea() -> None:
    facts = facts_of("flux1", "krea-dev")
    least, most = facts.area
    assert least <= 832 * 1216
    assert most >= 1280 * 1280
    assert (facts.size.width, facts.steps.default) == (1024, 28)
    assert facts.guidance is not None
    assert facts.guidance.default == 4.5
    assert facts.guidance_kind == "embedded"
    assert not facts.licence.commercial
    assert facts.repositories[0].gated


AS_ASKED = {
    ("sd1", "base"): ((512, 512), (512, 768), (768, 512), (768, 768), (448, 640)),
    ("sd2", "base"): ((768, 768), (512, 768), (896, 768)),
    ("sd2", "512-base"): ((512, 512), (512, 768), (768, 768)),
    ("sdxl", "base"): ((1024, 1024), (832, 1216), (768, 1024), (1024, 1536), (1536, 640)),
    ("sdxl", "edit"): ((768, 768), (1024, 1024)),
    ("flux1", "dev"): ((1024, 1024), (512, 512), (1408, 1408), (1920, 1088)),
    ("flux1", "krea-dev"): ((832, 1216), (1024, 768), (1440, 1440)),
    ("krea2", "turbo"): ((832, 1216), (2048, 2048)),
    ("krea2", "raw"): ((832, 1216),),
    ("qwen-image", "base"): ((1664, 928), (1328, 1328)),
}


@pytest.mark.parametrize("key", AS_ASKED, ids="/".join)
def test_what_people_draw_is_drawn_as_asked(key: tuple[str, str]) -> None:
    sizes = _capability(facts_of(*key), Finding(Kind.PIPELINE, "")).sizes
    for width, height in AS_ASKED[key]:
        size = Size(width=width, height=height)
        assert sizes.native_for(size) == size


@given(st.sampled_from(list(FACTS)), st.integers(1, 300), st.integers(1, 300))
def test_multiples_within_the_area_are_never_changed(
    key: tuple[str, str], columns: int, rows: int
) -> None:
    facts = facts_of(*key)
    size = Size(width=columns * facts.multiple, height=rows * facts.multiple)
    sizes = _capability(facts, Finding(Kind.PIPELINE, "")).sizes
    least, most = facts.area
    assert (sizes.native_for(size) == size) or not least <= size.pixels <= most


@pytest.mark.parametrize(
    ("variant", "side", "prediction"),
    [
        ("base", 768, "v"),
        ("512-base", 512, "epsilon"),
        ("turbo", 512, "epsilon"),
        ("inpainting", 512, "epsilon"),
        ("unclip", 768, "v"),
    ],
)
def test_stable_diffusion_2_was_published_in_two_sizes(
    variant: str, side: int, prediction: str
) -> None:
    facts = facts_of("sd2", variant)
    assert (facts.size.width, facts.prediction) == (side, prediction)


def test_klein_sees_four_references() -> None:
    klein = [facts for facts in FACTS.values() if facts.variant.startswith("klein-")]
    assert [facts.most_seen for facts in klein] == [4] * 4


def test_consistency_models_are_of_two_kinds() -> None:
    for family in ("sd1", "sdxl"):
        whole, merged = facts_of(family, "lcm"), facts_of(family, "lcm-lora")
        assert whole.guidance is not None
        assert (whole.guidance.default, whole.guidance_kind) == (8.0, "embedded")
        assert merged.guidance is not None
        assert 1.0 <= merged.guidance.default <= 2.0
        assert merged.guidance_kind == "classifier-free"
        assert not merged.repositories


def test_what_was_distilled_without_guidance_is_not_guided_by_default() -> None:
    fast = ("turbo", "lightning", "hyper", "dmd2", "3.5-large-turbo", "2.1-turbo", "flash")
    for facts in FACTS.values():
        if facts.variant in fast:
            assert facts.guidance is not None
            assert facts.guidance.default <= 1.0, facts.title
            assert facts.steps.default <= 9
            assert not facts.negative_prompt


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_diffusers_has_the_networks_of_every_family(family: str) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
    shared = ARCHITECTURES[family]
    assert hasattr(diffusers, shared.denoiser)
    variants = [facts for facts in FACTS.values() if facts.family == family]
    steered = any(facts.pipelines and facts.controls for facts in variants)
    assert steered is bool(shared.controlnet)
    assert not shared.controlnet or hasattr(diffusers, shared.controlnet)
    assert [f.title for f in variants if bool(f.sees_in) != bool(f.most_seen)] == []


def test_an_unknown_variant_has_no_facts() -> None:
    with pytest.raises(KeyError):
        facts_of("sd1", "of-nobody")


CONTROLLED = {"control-dev", "canny-dev", "depth-dev"}


def test_diffusers_has_every_class_and_it_takes_what_the_task_needs() -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
    import inspect

    needed = {
        Task.TEXT_TO_IMAGE: {"prompt"},
        Task.IMAGE_TO_IMAGE: {"prompt", "image", "strength"},
        Task.INPAINT: {"prompt", "image", "mask_image"},
        Task.EDIT: {"prompt", "image"},
    }

    def lacking(facts: Facts, task: Task, name: str) -> set[str]:
        taken = set(inspect.signature(getattr(diffusers, name).__call__).parameters)
        wanted = needed[task] | {"num_inference_steps", "generator"}
        wanted |= {facts.guidance_argument} if facts.guidance_argument else set()
        wanted |= {"negative_prompt"} if facts.negative_prompt else set()
        return wanted - taken

    problems = [
        (facts.title, name, missing)
        for facts in FACTS.values()
        for task, name in facts.pipelines.items()
        if (missing := lacking(facts, task, name))
    ]
    assert problems == []
    controls = {name for facts in FACTS.values() for name in facts.controls.values()}
    assert [name for name in controls if not hasattr(diffusers, name)] == []
    drawn = {facts.variant for facts in FACTS.values() if facts.pipelines}
    assert not drawn & CONTROLLED
