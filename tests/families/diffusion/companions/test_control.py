"""Controls have cards where they steer; where they do not, what they are and why not is said."""

import json
from pathlib import Path

import pytest

from limner.catalog.catalog import Catalog
from limner.domain.composition import ControlKind
from limner.domain.errors import ModelNotFound, WeightsRejected
from limner.families.checkpoint import sha256_of
from limner.families.diffusion.companions.control import FAMILY
from limner.families.family import discover
from tests.families.diffusion import published as pub
from tests.families.diffusion.files import Shapes, save, save_gguf

SHORT = {"transformer_blocks.0.norm1.linear.weight": (18, 3)}
FLUX: Shapes = {
    **pub.linear("x_embedder", 24, 64),
    **pub.linear("controlnet_x_embedder", 24, 64),
    **pub.linear("controlnet_blocks.0", 24, 24),
    **SHORT,
}
QWEN: Shapes = {
    **pub.linear("img_in", 24, 64),
    **pub.linear("transformer_blocks.0.img_mod.1", 24, 24),
    **pub.linear("controlnet_x_embedder", 24, 64),
    **pub.linear("controlnet_blocks.0", 24, 24),
}
USABLE = {
    "FLUX.1-dev-ControlNet-Union-Pro.safetensors": (FLUX, "flux1", tuple(ControlKind)),
    "FLUX.1-dev-ControlNet-Canny.sft": (FLUX, "flux1", (ControlKind.CANNY,)),
    "Qwen-Image-InstantX-ControlNet-Union.safetensors": (QWEN, "qwen-image", tuple(ControlKind)),
}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "home", discover(), hub=None)


@pytest.mark.parametrize("name", USABLE)
def test_controlnets_in_one_file_are_listed_as_usable(
    name: str, catalog: Catalog, tmp_path: Path
) -> None:
    shapes, family, kinds = USABLE[name]
    path = save(tmp_path / "controlnet" / name, shapes)
    card = FAMILY.recognise(path, sha256_of)
    assert card is not None
    assert (card.capability.steers, card.capability.controls) == (family, kinds)
    (found,) = catalog.collection.add(path.parent)
    assert (found.usable, found.kind, found.family) == (True, "control", family)


def xlabs() -> Shapes:
    return {
        **pub.conv("input_hint_block.0", 16, 3),
        **pub.linear("controlnet_blocks.0", 24, 24),
        **pub.linear("double_blocks.0.img_attn.proj", 24, 24),
    }


def masked(shapes: Shapes, layer: str, width: int) -> Shapes:
    weight = f"{layer}.weight"
    return {**shapes, weight: (shapes[weight][0], width, *shapes[weight][2:])}


SD3: Shapes = {
    **pub.conv("pos_embed_input.proj", 24, 16, 2),
    **pub.linear("controlnet_blocks.0", 24, 24),
    **pub.linear("transformer_blocks.0.attn.to_q", 24, 24),
}
T2I = pub.conv("adapter.body.0.resnets.0.block1", 24, 24)
LORA: Shapes = {"lora_controlnet": (0,), "label_emb.0.0.weight": (24, 24), "a.up": (2, 2)}
FLUX2: Shapes = {"control_img_in.weight": (8, 8), "control_transformer_blocks.0.a": (8, 8)}
USELESS = {
    "t2i_canny_sdxl": (T2I, "is a T2I-Adapter for SDXL. Limner draws with no T2I-Adapters. Get a"),
    "control-lora": (LORA, "is a Control-LoRA for SDXL. Limner draws with no Control-LoRAs. Get"),
    "xlabs-canny": (xlabs(), "is a ControlNet for FLUX.1. Its tensors are not named as diffusers"),
    "sd3-canny": (SD3, "is a ControlNet for SD 3. One file does not say all of how it was made"),
    "sd3-fill": (masked(SD3, "pos_embed_input.proj", 17), "It fills holes from the picture around"),
    "qwen-fill": (masked(QWEN, "controlnet_x_embedder", 68), "It fills holes from the picture"),
    "flux2-fun": (FLUX2, "is a ControlNet for FLUX.2. Limner steers no models of this kind."),
}


@pytest.mark.parametrize("name", USELESS)
def test_a_file_that_does_not_steer_says_what_it_is_and_why(
    name: str, catalog: Catalog, tmp_path: Path
) -> None:
    shapes, said = USELESS[name]
    path = save(tmp_path / "controlnet" / f"{name}.safetensors", shapes)
    with pytest.raises(WeightsRejected) as refused:
        catalog.find(str(path))
    assert refused.value.message.startswith(f"{name}.safetensors is a Control") or name[:3] == "t2i"
    assert said in refused.value.message
    (found,) = catalog.collection.add(path.parent)
    assert (found.usable, found.reason) == (False, refused.value.message)


def test_a_quantised_net_is_refused(tmp_path: Path) -> None:
    path = save_gguf(tmp_path / "flux-controlnet.gguf", FLUX, dtype="F16")
    with pytest.raises(WeightsRejected, match="reads ControlNets as safetensors"):
        FAMILY.recognise(path, sha256_of)


def test_folders_say_so_too_and_the_weights_in_one_name_it(
    catalog: Catalog, tmp_path: Path
) -> None:
    def folder(kind: str, shapes: Shapes) -> Path:
        made = tmp_path / kind
        save(made / "diffusion_pytorch_model.safetensors", shapes)
        (made / "config.json").write_text(json.dumps({"_class_name": kind}))
        return made

    with pytest.raises(WeightsRejected, match=r"T2IAdapter is a T2I-Adapter\. Limner draws"):
        catalog.find(str(folder("T2IAdapter", T2I)))
    fills = folder("QwenImageControlNetModel", masked(QWEN, "controlnet_x_embedder", 68))
    with pytest.raises(WeightsRejected, match="It fills holes from the picture around"):
        catalog.find(str(fills))
    flux = folder("FluxControlNetModel", FLUX)
    assert catalog.find(str(flux)).capability.steers == "flux1"
    with pytest.raises(WeightsRejected, match=r"give the folder, .*FluxControlNetModel"):
        catalog.find(str(flux / "diffusion_pytorch_model.safetensors"))


def test_a_folder_may_hold_half_precision_alone(catalog: Catalog, tmp_path: Path) -> None:
    folder, name = tmp_path / "net", "diffusion_pytorch_model.fp16.safetensors"
    save(folder / name, FLUX)
    (folder / "config.json").write_text('{"_class_name": "FluxControlNetModel"}')
    card = catalog.find(str(folder))
    assert [one.name for one in card.files] == ["config.json", name]
    assert catalog.locate(card).files[name] == folder / name


def test_other_parts_say_what_they_are(catalog: Catalog, tmp_path: Path) -> None:
    path = save(tmp_path / "ae.safetensors", pub.vae_diffusers())
    with pytest.raises(ModelNotFound, match=r"ae\.safetensors is not usable by itself: An autoenc"):
        catalog.find(str(path))
