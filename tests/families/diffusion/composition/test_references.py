"""References: seen by the model itself or through IP-Adapters, as diffusers sees them."""

import json
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.app.settings import Settings
from limner.app.wiring import open_desk
from limner.domain.composition import Purpose, Reference
from limner.domain.errors import (
    InvalidOption,
    InvalidPrompt,
    InvalidRequest,
    ModelUnavailable,
    WeightsRejected,
)
from limner.domain.recipe import ModelRef, Task
from limner.families.checkpoint import sha256_of
from limner.families.diffusion.companions.reference import ENCODER, FAMILY
from limner.families.diffusion.known.facts import facts_of
from limner.families.family import Order, Pixels, Placement
from tests.families.diffusion import files

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import safetensors.torch  # noqa: E402 - it needs what the line above asks for
import torch  # noqa: E402
import transformers  # noqa: E402
from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder  # noqa: E402

from limner.domain.card import Installed  # noqa: E402
from limner.families.diffusion.drawing.model import DiffusionModel  # noqa: E402
from limner.families.diffusion.loading.pipelines import parts_of  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402
from tests.families.diffusion.drawing.test_driver import (  # noqa: E402
    PROMPT,
    SEED,
    SIDE,
    Model,
    Witness,
    image,
    order_of,
    picture,
)

SEEN = 12


def encoder(folder: Path) -> Path:
    """An encoder that looks at pictures, in a folder."""
    config = transformers.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        projection_dim=SEEN,
    )
    transformers.CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def adapter(unet: Any, path: Path) -> Path:
    """An IP-Adapter for a U-Net."""
    generator = torch.Generator().manual_seed(9)

    def some(*shape: int) -> Any:
        return torch.randn(shape, generator=generator) * 0.2

    width = unet.config.cross_attention_dim
    tensors = {
        "image_proj.proj.weight": some(4 * width, SEEN),
        "image_proj.proj.bias": some(4 * width),
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
    }
    number = 1
    for name, processor in unet.attn_processors.items():
        del processor
        if "attn2" in name:
            inner = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
            tensors[f"ip_adapter.{number}.to_k_ip.weight"] = some(inner, width)
            tensors[f"ip_adapter.{number}.to_v_ip.weight"] = some(inner, width)
            number += 2
    safetensors.torch.save_file(tensors, path)
    return path


def referring(order: Order, path: Path, *references: Reference) -> Order:
    digest = "e" * 64
    ref = ModelRef(name="seen", sha256=digest)
    worn = tuple(one.model_copy(update={"model": ref}) for one in references)
    at = {path.name: path}
    for name in ("config.json", "model.safetensors"):
        at[f"{ENCODER}/{name}"] = path.parent / ENCODER / name
    recipe = order.recipe.model_copy(update={"references": worn})
    pictures = tuple(shoe(number) for number in range(len(references)))
    return replace(order, recipe=recipe, references=pictures, parts={digest: at})


def shoe(number: int) -> Pixels:
    """Another picture each time."""
    return np.rot90(picture(), number + 1).copy()


def draw(model: DiffusionModel, order: Order) -> Pixels:
    return model.perform([order], Witness().watch)[0]


@pytest.fixture(scope="module", params=["sd1", "sdxl"])
def worn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("worn")
    pipeline = getattr(tiny, request.param)()
    model = Model(facts_of(request.param, "base"), tiny.save(pipeline, folder / "model"))
    encoder(folder / ENCODER)
    return model, adapter(pipeline.unet, folder / "ip-adapter.safetensors")


ONE = Reference(asset="a" * 64, weight=0.7)


def test_a_reference_is_seen_as_diffusers_sees_it(worn: tuple[Model, Path]) -> None:
    one, path = worn
    model = one.load()
    pipeline = one.made(one.facts.pipelines[Task.TEXT_TO_IMAGE])
    eyes = transformers.CLIPVisionModelWithProjection.from_pretrained(path.parent / ENCODER)
    pipeline.register_modules(image_encoder=eyes)
    pipeline.load_ip_adapter(
        str(path.parent), subfolder="", weight_name=path.name, image_encoder_folder=None
    )
    pipeline.set_ip_adapter_scale(0.7)
    expected = np.asarray(
        pipeline(
            PROMPT,
            num_inference_steps=4,
            height=SIDE,
            width=SIDE,
            guidance_scale=3.0,
            ip_adapter_image=image(shoe(0)),
            generator=torch.Generator("cpu").manual_seed(SEED),
        )
        .images[0]
        .convert("RGBA")
    )
    plain = draw(model, order_of(Task.TEXT_TO_IMAGE))
    seen = draw(model, referring(order_of(Task.TEXT_TO_IMAGE), path, ONE))
    assert np.array_equal(seen, expected)
    assert not np.array_equal(seen, plain)
    assert np.array_equal(draw(model, order_of(Task.TEXT_TO_IMAGE)), plain)


def test_several_references_each_with_its_weight(worn: tuple[Model, Path]) -> None:
    one, path = worn
    model = one.load()
    for task in (Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINT):
        alone = draw(model, referring(order_of(task), path, ONE))
        other = ONE.model_copy(update={"weight": 1.5})
        both = draw(model, referring(order_of(task), path, ONE, other))
        assert not np.array_equal(alone, both), task
        assert np.array_equal(draw(model, referring(order_of(task), path, ONE)), alone), task
    # Without a second prediction there is nothing to see without words, either.
    unguided = draw(model, referring(order_of(Task.TEXT_TO_IMAGE, guidance=1.0), path, ONE))
    assert not np.array_equal(unguided, draw(model, order_of(Task.TEXT_TO_IMAGE, guidance=1.0)))


def test_style_alone_is_less_than_all(worn: tuple[Model, Path]) -> None:
    one, path = worn
    if one.facts.family != "sdxl":
        return
    model = one.load()
    task = order_of(Task.TEXT_TO_IMAGE)
    style = draw(model, referring(task, path, ONE.model_copy(update={"purpose": Purpose.STYLE})))
    assert not np.array_equal(style, draw(model, referring(task, path, ONE)))
    assert not np.array_equal(style, draw(model, task))


def test_a_closed_model_keeps_nothing_that_it_wore(worn: tuple[Model, Path]) -> None:
    one, path = worn
    model = one.load()
    alone = model.bytes
    draw(model, order_of(Task.TEXT_TO_IMAGE, extras=(("profile", "fast"),)))
    draw(model, referring(order_of(Task.TEXT_TO_IMAGE), path, ONE))
    assert model.bytes > alone
    left = [weakref.ref(part) for part in parts_of(model._first).values()]
    model.close()
    assert [one() for one in left] == [None] * len(left)


def test_an_adapter_that_does_not_fit_is_refused(worn: tuple[Model, Path], tmp_path: Path) -> None:
    one, path = worn
    model = one.load()
    other = tmp_path / "other.safetensors"
    tensors = safetensors.torch.load_file(path)
    short = {key: value for key, value in tensors.items() if "to_v_ip" not in key}
    safetensors.torch.save_file(short, other)
    encoder(tmp_path / ENCODER)
    with pytest.raises(WeightsRejected, match="could not be put on"):
        draw(model, referring(order_of(Task.TEXT_TO_IMAGE), other, ONE))
    plain = draw(one.load(), order_of(Task.TEXT_TO_IMAGE))
    assert np.array_equal(draw(model, order_of(Task.TEXT_TO_IMAGE)), plain)


@pytest.mark.parametrize("kind", ["flux2", "kontext"])
def test_models_that_see_are_shown_pictures(kind: str) -> None:
    torch.manual_seed(0)
    make, family, variant = {
        "flux2": (tiny.flux2_klein, "flux2", "klein-base-4b"),
        "kontext": (tiny.flux_kontext, "flux1", "kontext-dev"),
    }[kind]
    one = Model(facts_of(family, variant), pipeline=make())
    model = one.load()
    task = order_of(Task.TEXT_TO_IMAGE)
    recipe = task.recipe.model_copy(update={"references": (Reference(asset="a" * 64),)})
    seen = replace(task, recipe=recipe, references=(shoe(0),))
    assert not np.array_equal(draw(model, seen), draw(model, task))


def shapes(width: int) -> dict[str, tuple[int, ...]]:
    return {
        "image_proj.proj.weight": (4 * 768, width),
        "image_proj.norm.weight": (768,),
        "ip_adapter.1.to_k_ip.weight": (320, 768),
        "ip_adapter.1.to_v_ip.weight": (320, 768),
    }


def test_its_card_names_the_encoder_too(tmp_path: Path) -> None:
    path = files.save(tmp_path / "ip-adapter_sd15.safetensors", shapes(1024))
    with pytest.raises(WeightsRejected, match="the folder image_encoder"):
        FAMILY.recognise(path, sha256_of)
    (tmp_path / ENCODER).mkdir()
    config = tmp_path / ENCODER / "config.json"
    config.write_text(json.dumps({"projection_dim": 768}))
    (tmp_path / ENCODER / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(WeightsRejected, match="another adapter"):
        FAMILY.recognise(path, sha256_of)
    config.write_text(json.dumps({"projection_dim": 1024}))
    card = FAMILY.recognise(path, sha256_of)
    assert card is not None
    assert card.capability.refers == "sd1"
    assert len(card.files) == 3
    with pytest.raises(InvalidRequest, match="--reference"):
        FAMILY.load(Installed(card, {}), Placement(threads=1))
    assert FAMILY.recognise(config, sha256_of) is None


def test_a_set_is_held_together_by_its_first_picture(tmp_path: Path) -> None:
    torch.manual_seed(0)
    with open_desk(Settings(home=tmp_path / "home", offline=True, threads=1)) as desk:
        with pytest.raises(InvalidOption, match="held together by references"):
            next(desk.draw_set(["a fox reads", "the fox cooks"]))
        with pytest.raises(InvalidPrompt, match="two prompts"):
            next(desk.draw_set(["a fox reads"]))
        pipeline = tiny.sd1(width=768)
        pipeline.register_modules(vae=tiny.wide_vae())
        folder = tiny.save(pipeline, tmp_path / "paint")
        drawn = len(desk.studio.library.list(desk.workspace))
        with pytest.raises(ModelUnavailable, match="sees references through an adapter"):
            next(desk.draw_set(["a fox", "a dog"], model=str(folder), steps=2))
        assert len(desk.studio.library.list(desk.workspace)) == drawn
        encoder(tmp_path / "ip" / ENCODER)
        desk.studio.models.add(adapter(pipeline.unet, tmp_path / "ip" / "ip-adapter.safetensors"))
        asked: dict[str, Any] = {"model": str(folder), "steps": 2, "seed": 3}
        prompts = ["a fox reads", "the fox cooks", "the fox sleeps"]
        first, second, third = desk.draw_set(prompts, **asked)
        assert not first.recipe.references
        for one in (second, third):
            assert [held.asset for held in one.recipe.references] == [first.asset.id]
            assert one.recipe.seed == first.recipe.seed
        (plain,) = desk.generate(prompts[1], **asked)
        assert plain.asset.pixel_digest != second.asset.pixel_digest


def redux(folder: Path) -> Path:
    """FLUX.1 Redux for the tiny FLUX.1."""
    torch.manual_seed(5)
    config = transformers.SiglipVisionConfig(
        hidden_size=SEEN,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    embedder: Any = ReduxImageEncoder(redux_dim=SEEN, txt_in_features=16)
    eyes: Any = transformers.SiglipVisionModel(config)
    prior = tiny.diffusers.FluxPriorReduxPipeline(
        image_encoder=eyes.eval(),
        feature_extractor=transformers.SiglipImageProcessor(size={"height": 32, "width": 32}),
        image_embedder=embedder.eval(),
    )
    return tiny.save(prior, folder)


def test_redux_tells_pictures_as_diffusers_does(tmp_path: Path) -> None:
    folder = redux(tmp_path / "redux")
    card = FAMILY.recognise(folder, sha256_of)
    assert card is not None
    assert card.capability.refers == "flux1"
    torch.manual_seed(0)
    one = Model(facts_of("flux1", "dev"), tiny.save(tiny.flux(), tmp_path / "flux"))
    model, pipeline = one.load(), one.made("FluxPipeline")
    prior = tiny.diffusers.FluxPriorReduxPipeline.from_pretrained(
        folder,
        text_encoder=pipeline.text_encoder,
        tokenizer=pipeline.tokenizer,
        text_encoder_2=pipeline.text_encoder_2,
        tokenizer_2=pipeline.tokenizer_2,
    )
    told = prior(image(shoe(0)), prompt=PROMPT)
    expected = np.asarray(
        pipeline(
            prompt_embeds=told.prompt_embeds,
            pooled_prompt_embeds=told.pooled_prompt_embeds,
            num_inference_steps=4,
            height=SIDE,
            width=SIDE,
            guidance_scale=3.0,
            generator=torch.Generator("cpu").manual_seed(SEED),
        )
        .images[0]
        .convert("RGBA")
    )
    digest = "f" * 64
    seen = Reference(asset="a" * 64, model=ModelRef(name="redux", sha256=digest))
    task = order_of(Task.TEXT_TO_IMAGE)
    recipe = task.recipe.model_copy(update={"references": (seen,)})
    parts = {digest: {file.name: folder / file.name for file in card.files}}
    order = replace(task, recipe=recipe, references=(shoe(0),), parts=parts)
    assert np.array_equal(draw(model, order), expected)
    assert not np.array_equal(expected, draw(model, task))
    quiet = recipe.model_copy(update={"references": (seen.model_copy(update={"weight": 0.2}),)})
    assert not np.array_equal(draw(model, replace(order, recipe=quiet)), expected)
    (folder / "image_embedder" / "config.json").unlink()
    with pytest.raises(WeightsRejected, match="has no image_embedder"):
        FAMILY.recognise(folder, sha256_of)
