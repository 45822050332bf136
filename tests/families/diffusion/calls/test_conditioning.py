"""Prompts as pipelines of diffusers are given them, on the real encoders at tiny size."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from limner.domain.errors import InvalidOption

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402  (it needs what the line above asks for)

from limner.families.diffusion.calls.conditioning import Conditioning, condition  # noqa: E402
from limner.families.diffusion.calls.reach import limit_of, out_of_reach  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402

Make = Callable[[], Any]
CLIP: list[Make] = [tiny.sd1, tiny.sdxl, tiny.sd3]
LONG = "red fox, " * 40
"""120 tokens."""


def ask(pipeline: Any, prompt: str, negative: str = "", **options: int) -> Conditioning:
    given = {"limit": None, "clip_skip": None, **options}
    return condition(pipeline, [prompt], [negative], given["limit"], given["clip_skip"])


def encoded(pipeline: Any, prompt: str, negative: str | None = None) -> list[Any]:
    """What diffusers makes of words: states, negative states, and the pooled ones."""
    names = inspect.signature(pipeline.encode_prompt).parameters
    every = {
        "prompt": prompt,
        "prompt_2": None,
        "prompt_3": None,
        "negative_prompt": negative,
        "device": "cpu",
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": True,
    }
    with torch.no_grad():
        return list(pipeline.encode_prompt(**{k: v for k, v in every.items() if k in names}))


def codes(conditioning: Conditioning) -> list[str]:
    return [notice.code for notice in conditioning.notices]


@pytest.mark.parametrize("make", CLIP)
def test_plain_words_stay_words(make: Make) -> None:
    made = ask(make(), r"a (red:1.0) fox \(painted\)")
    assert made == Conditioning({"prompt": "a red fox (painted)"}, ())
    made = ask(make(), "a red fox", "bird")
    assert made.arguments == {"prompt": "a red fox", "negative_prompt": "bird"}
    two = condition(make(), ["a fox", "a bird"], ["", ""], None, None)
    assert two.arguments == {"prompt": ["a fox", "a bird"]}
    assert condition(make(), ["a fox"], [], None, None).arguments == {"prompt": "a fox"}


@pytest.mark.parametrize("make", CLIP)
def test_seventy_five_tokens_are_read_at_once(make: Make) -> None:
    assert "prompt" in ask(make(), "fox " * 75).arguments
    assert "prompt_embeds" in ask(make(), "fox " * 76).arguments
    assert "prompt_embeds" in ask(make(), "fox", "fox " * 76).arguments


@pytest.mark.parametrize("make", [tiny.sd1, tiny.sdxl])
def test_each_chunk_is_what_diffusers_makes_of_it(make: Make) -> None:
    pipeline = make()
    made = ask(pipeline, "a red fox BREAK blue bird", "snow").arguments
    first, second = (encoded(pipeline, words, "snow") for words in ("a red fox", "blue bird"))
    assert torch.equal(made["prompt_embeds"], torch.cat([first[0], second[0]], dim=1))
    empty = encoded(pipeline, "", "")
    assert torch.equal(made["negative_prompt_embeds"], torch.cat([first[1], empty[1]], dim=1))
    if len(first) > 2:
        assert torch.equal(made["pooled_prompt_embeds"], first[2])
        assert torch.equal(made["negative_pooled_prompt_embeds"], first[3])


def test_stable_diffusion_3_reads_with_t5_too() -> None:
    pipeline = tiny.sd3()
    made = ask(pipeline, "a red fox BREAK (blue:1.3) bird", "snow").arguments
    clip = encoded(pipeline, "a red fox", "snow")
    whole = encoded(pipeline, "a red fox blue bird", "snow")
    assert made["prompt_embeds"].shape == (1, 77 + 77 + 256, 32)
    assert torch.equal(made["prompt_embeds"][:, :77], clip[0][:, :77])
    assert torch.equal(made["prompt_embeds"][:, 154:], whole[0][:, 77:])
    assert torch.equal(made["negative_prompt_embeds"][:, :77], clip[1][:, :77])
    assert torch.equal(made["negative_prompt_embeds"][:, 154:], clip[1][:, 77:])
    assert torch.equal(made["pooled_prompt_embeds"], clip[2])


def test_no_negative_prompt_means_nothing_at_all_to_sdxl() -> None:
    pipeline = tiny.sdxl()
    made = ask(pipeline, "a (red:1.3) fox").arguments
    assert not made["negative_prompt_embeds"].any()
    assert not made["negative_pooled_prompt_embeds"].any()
    assert ask(pipeline, "a (red:1.3) fox", " ").arguments["negative_prompt_embeds"].any()
    pipeline.register_to_config(force_zeros_for_empty_prompt=False)
    made = ask(pipeline, "a (red:1.3) fox").arguments
    assert torch.equal(made["negative_prompt_embeds"], encoded(pipeline, "a", "")[1])


def test_a_weight_multiplies_and_the_mean_stays() -> None:
    pipeline = tiny.sd1()
    with torch.no_grad():  # random weights have a mean of nothing, and nothing cannot stay
        for name, values in pipeline.text_encoder.named_parameters():
            if name.endswith("final_layer_norm.bias"):
                values.fill_(0.3)
    made = ask(pipeline, "a (red:1.5) [fox]", "(snow:0.5)").arguments
    before, negative = encoded(pipeline, "a red fox", "snow")
    weights = torch.ones(77)
    weights[2], weights[3] = 1.5, 1 / 1.1
    expected = before * weights[None, :, None]
    expected = expected * before.mean() / expected.mean()
    assert torch.allclose(made["prompt_embeds"], expected, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(made["prompt_embeds"], before, rtol=1e-2)
    assert torch.allclose(made["prompt_embeds"].mean(), before.mean(), rtol=1e-3)
    assert not torch.allclose(made["negative_prompt_embeds"], negative, rtol=1e-2)


def test_each_encoder_of_sdxl_keeps_its_own_mean() -> None:
    pipeline = tiny.sdxl()
    made = ask(pipeline, "a (red:1.5) fox").arguments["prompt_embeds"]
    before = encoded(pipeline, "a red fox")[0]
    for part in (slice(0, 16), slice(16, 32)):
        assert torch.allclose(made[..., part].mean(), before[..., part].mean(), rtol=1e-3)
    ratio = made / before
    assert torch.allclose(ratio[0, 2, :16] / ratio[0, 1, :16], torch.tensor(1.5), rtol=1e-3)


def test_weights_of_half_precision_stay_numbers() -> None:
    pipeline = tiny.sdxl().to(dtype=torch.bfloat16)
    made = ask(pipeline, "a (red:99) (fox:-99)", "(snow:0)").arguments
    assert all(tensor.dtype == torch.bfloat16 for tensor in made.values())
    assert all(torch.isfinite(tensor).all() for tensor in made.values())


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("fox " * 80, ["fox " * 75, "fox " * 5]),
        ("fox " * 60 + ", " + "red " * 20, ["fox " * 60 + ",", "red " * 20]),
        ("fox " * 74 + ", red", ["fox " * 74 + ",", "red"]),
        ("fox " * 75 + ", red", ["fox " * 75, ", red"]),
        ("fox " * 54 + ", " + "red " * 30, ["fox " * 54 + "," + " red" * 20, "red " * 10]),
        ("fox " * 55 + ", " + "red " * 30, ["fox " * 55 + ",", "red " * 30]),
        ("fox " * 80 + "BREAK red", ["fox " * 75, "fox " * 5, "red"]),
    ],
)
def test_long_prompts_end_their_chunks_at_commas(prompt: str, parts: list[str]) -> None:
    pipeline = tiny.sd1()
    made = ask(pipeline, prompt).arguments
    expected = torch.cat([encoded(pipeline, part)[0] for part in parts], dim=1)
    assert torch.equal(made["prompt_embeds"], expected)
    assert made["negative_prompt_embeds"].shape == expected.shape


def test_a_batch_has_as_many_chunks_as_its_longest() -> None:
    pipeline = tiny.sdxl()
    made = condition(pipeline, ["fox", LONG], ["snow", "(bird:1.2)"], None, None).arguments
    assert made["prompt_embeds"].shape == made["negative_prompt_embeds"].shape == (2, 154, 32)
    assert made["pooled_prompt_embeds"].shape == (2, 16)
    alone = ask(pipeline, LONG, "(bird:1.2)").arguments
    for name, tensor in alone.items():
        assert torch.equal(made[name][1:], tensor)
    mixed = condition(pipeline, ["fox", "bird"], ["snow", ""], None, None).arguments
    assert mixed["negative_prompt_embeds"][0].any()
    assert not mixed["negative_prompt_embeds"][1].any()


@pytest.mark.parametrize("make", CLIP)
@pytest.mark.parametrize("prompt", ["a (red:1.3) fox", LONG])
def test_pipelines_draw_with_embeddings(make: Make, prompt: str) -> None:
    pipeline = make()
    pipeline.set_progress_bar_config(disable=True)
    drawn = [
        pipeline(
            **ask(pipeline, words, "snow").arguments,
            height=32,
            width=32,
            num_inference_steps=1,
            generator=torch.manual_seed(0),
            output_type="pt",
        ).images
        for words in (prompt, "a bird")
    ]
    assert drawn[0].shape == (1, 3, 32, 32)
    assert not torch.equal(*drawn)


def test_skipped_layers() -> None:
    pipeline = tiny.sd1()
    made = ask(pipeline, "a red fox", "snow", clip_skip=1).arguments
    for name, words in (("prompt_embeds", "a red fox"), ("negative_prompt_embeds", "snow")):
        given = pipeline.tokenizer(words, padding="max_length", return_tensors="pt").input_ids
        states = pipeline.text_encoder(given, output_hidden_states=True).hidden_states[-2]
        assert torch.equal(made[name], pipeline.text_encoder.final_layer_norm(states))
    assert ask(pipeline, "a red fox", clip_skip=0).arguments == {"prompt": "a red fox"}


def test_skipped_layers_of_sdxl() -> None:
    pipeline = tiny.sdxl()
    with pytest.raises(InvalidOption, match="layers for 0 to 0"):
        ask(pipeline, "fox", clip_skip=1)
    for part in (pipeline.text_encoder, pipeline.text_encoder_2):
        part.config.num_hidden_layers = 3  # as if it were deeper: the first states are there
    made = ask(pipeline, "a red fox", clip_skip=1).arguments["prompt_embeds"]
    names = {"device": "cpu", "do_classifier_free_guidance": False, "clip_skip": 1}
    assert torch.equal(made, pipeline.encode_prompt("a red fox", **names)[0])


@pytest.mark.parametrize("skip", [2, -1, 99])
def test_more_layers_than_there_are_cannot_be_skipped(skip: int) -> None:
    with pytest.raises(InvalidOption, match=f"clip_skip is {skip}; this model has layers for 0 to"):
        ask(tiny.sd1(), "fox", clip_skip=skip)


def test_layers_are_skipped_in_clip_alone() -> None:
    with pytest.raises(InvalidOption, match="Leave clip_skip away"):
        ask(tiny.flux(), "fox", clip_skip=1)
    assert ask(tiny.flux(), "fox", clip_skip=0).arguments == {"prompt": "fox"}


def test_learned_words_are_written_out() -> None:
    pipeline = tiny.sd1()
    learned = {"mine": torch.randn(3, 16)}
    pipeline.load_textual_inversion(learned["mine"], token="<mine>")
    made = ask(pipeline, "a <mine> fox BREAK (bird:1.2)").arguments["prompt_embeds"]
    assert torch.equal(made[:, :77], encoded(pipeline, "a <mine> fox")[0])


OTHERS: list[Make] = [
    tiny.flux,
    tiny.flux_kontext,
    tiny.chroma,
    tiny.pixart,
    tiny.sana,
    tiny.z_image,
    tiny.qwen_image,
    tiny.flux2,
    tiny.flux2_klein,
    tiny.krea2,
]


@pytest.mark.parametrize("make", OTHERS)
def test_encoders_without_weights_get_the_words_alone(make: Make) -> None:
    pipeline = make()
    made = ask(pipeline, "a (red:1.3) [fox] BREAK (bird", "((snow))")
    assert made.arguments["prompt"] == "a red fox (bird"
    assert made.arguments.get("negative_prompt", "snow") == "snow"
    assert codes(made) == ["weights_ignored"]
    assert r"\( and \)" in made.notices[0].message
    assert not ask(pipeline, r"a red fox \(bird\)").notices


@pytest.mark.parametrize("make", [*OTHERS, tiny.sd3])
def test_the_words_that_are_lost_are_quoted(make: Make) -> None:
    """Held against what the encoders make of the words that are read and of those that are not."""
    pipeline = make()
    limit = 500
    words = [("fox", "bird", "snow")[place % 3] for place in range(600)]
    made = ask(pipeline, " ".join(words), limit=limit)
    assert codes(made) == ["prompt_cut"]
    lost = out_of_reach(pipeline, " ".join(words), limit).split()
    assert f"“{' '.join(lost)}”"[:300] in made.notices[0].message
    assert 0 < len(lost) < 600
    assert words[-len(lost) :] == lost

    def read(changed: list[str]) -> Any:
        states = pipeline.encode_prompt(
            " ".join(changed),
            **({"prompt_2": None} if hasattr(pipeline, "tokenizer_2") else {}),
            **({"prompt_3": None} if hasattr(pipeline, "tokenizer_3") else {}),
            max_sequence_length=limit,
            **_instruction(pipeline),
        )[0]
        return states[0] if isinstance(states, list) else states

    with torch.no_grad():
        kept = len(words) - len(lost)
        assert torch.equal(read(words), read([*words[:kept], *["red"] * len(lost)]))
        assert not torch.equal(read(words), read([*words[: kept - 1], "red", *lost]))


def _instruction(pipeline: Any) -> dict[str, Any]:
    name = "complex_human_instruction"
    parameter = inspect.signature(type(pipeline).__call__).parameters.get(name)
    return {name: parameter.default} if parameter else {}


@pytest.mark.parametrize("make", OTHERS)
def test_limits_are_those_of_the_pipeline_unless_given(make: Make) -> None:
    pipeline = make()
    most = limit_of(pipeline)
    assert most in (300, 512)
    assert codes(ask(pipeline, "fox " * 520)) == ["prompt_cut"]
    assert not ask(pipeline, "fox " * 100).notices
    if "max_sequence_length" in inspect.signature(type(pipeline).__call__).parameters:
        assert ask(pipeline, "fox", limit=99).arguments["max_sequence_length"] == 99


def test_negative_prompts_are_measured_too() -> None:
    made = ask(tiny.chroma(), "fox", "snow " * 600)
    assert codes(made) == ["prompt_cut"]
    assert "“snow snow" in made.notices[0].message
    assert made.notices[0].message.count("snow") < 120


def test_a_word_is_never_quoted_by_half() -> None:
    assert out_of_reach(tiny.flux(), "a fox strawberry", 8) == "strawberry"
    assert out_of_reach(tiny.flux(), "strawberry", 4) == "strawberry"
    assert out_of_reach(tiny.flux(), "fox", 1) == "fox"
    assert out_of_reach(tiny.flux(), "", 1) == ""


def test_an_editor_that_sees_the_picture_reads_everything() -> None:
    assert out_of_reach(tiny.qwen_edit(), "fox " * 3000, None) == ""


def test_clip_has_read_what_t5_has_not() -> None:
    made = ask(tiny.sd3(), "fox " * 300)
    assert codes(made) == ["prompt_cut"]
    assert "CLIP has read them" in made.notices[0].message
    pipeline = tiny.sd3()
    pipeline.register_modules(text_encoder_3=None, tokenizer_3=None)
    made = ask(pipeline, "fox " * 300)
    assert not made.notices
    assert made.arguments["prompt_embeds"].shape[1] == 77 * 4
