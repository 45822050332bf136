"""Previews by a tiny decoder, where one lies in or beside a model's folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limner.domain.event import Preview
from limner.domain.recipe import Task
from limner.families.diffusion.drawing.tiny_decoder import tiny_decoder_of
from limner.families.diffusion.known.facts import facts_of

diffusers: Any = pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")
pytestmark = pytest.mark.filterwarnings("ignore")

import torch  # noqa: E402 - it needs what the lines above ask for

from limner.families.diffusion.calls.arguments import manner_of  # noqa: E402
from limner.families.diffusion.drawing.model import Beside, DiffusionModel  # noqa: E402
from limner.families.diffusion.drawing.previews import LatentMap  # noqa: E402
from limner.families.diffusion.drawing.tiny_decoder import read_tiny_decoder  # noqa: E402
from tests.families.diffusion import tiny  # noqa: E402
from tests.families.diffusion.drawing.test_driver import CPU, SIDE, Witness, order_of  # noqa: E402


def kept(folder: Path, channels: int = 4, blocks: int = 2) -> Path:
    torch.manual_seed(0)
    widths = (8,) * blocks
    made = diffusers.AutoencoderTiny(
        latent_channels=channels,
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=(1,) * blocks,
        num_decoder_blocks=(1,) * blocks,
    )
    made.save_pretrained(folder)
    return folder


def previews(model: DiffusionModel) -> list[Preview]:
    witness = Witness()
    model.perform([order_of(Task.TEXT_TO_IMAGE)], witness.watch)
    return [event for event in witness.heard if isinstance(event, Preview)]


@pytest.mark.parametrize(
    ("family", "name"), [("sd1", "taesd"), ("sdxl", "taesdxl"), ("flux1", "taef1")]
)
def test_it_is_found_in_a_models_folder_and_beside_a_file(
    tmp_path: Path, family: str, name: str
) -> None:
    assert tiny_decoder_of(family, tmp_path / "model") is None
    beside = kept(tmp_path / name)
    assert tiny_decoder_of(family, tmp_path / "model") == beside
    assert tiny_decoder_of(family, tmp_path / "model.safetensors") == beside
    within = kept(tmp_path / "model" / name)
    assert tiny_decoder_of(family, tmp_path / "model") == within
    assert tiny_decoder_of("krea2", tmp_path / "model") is None


def test_previews_are_as_large_as_it_decodes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pipeline, manner = tiny.sd1(), manner_of(facts_of("sd1", "base"), "")
    plain = previews(DiffusionModel(pipeline, manner, CPU, threads=1))
    folder = kept(tmp_path / "taesd")
    seen = previews(DiffusionModel(pipeline, manner, CPU, threads=1, beside=Beside(tiny=folder)))
    assert len(seen) == len(plain) > 0
    assert {(one.width, one.height) for one in seen} == {(SIDE, SIDE)}
    assert all(one.width < SIDE for one in plain)


def test_what_it_shows_is_what_diffusers_decodes(tmp_path: Path) -> None:
    folder = kept(tmp_path / "taesd")
    decoder = read_tiny_decoder(folder, CPU)
    assert decoder is not None
    latents = np.random.default_rng(0).standard_normal((4, 6, 8)).astype(np.float32)
    picture = decoder.look(latents)
    network = diffusers.AutoencoderTiny.from_pretrained(folder)
    with torch.no_grad():
        wanted = network.decode(torch.from_numpy(latents)[None]).sample[0]
    expected = ((wanted.clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).numpy()
    assert picture.shape == (12, 16, 4)
    assert np.array_equal(picture[..., :3], expected.astype(np.uint8))


def test_one_that_is_broken_gives_way_to_the_map(tmp_path: Path) -> None:
    folder = kept(tmp_path / "taesd")
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"nothing")
    torch.manual_seed(0)
    manner = manner_of(facts_of("sd1", "base"), "")
    model = DiffusionModel(tiny.sd1(), manner, CPU, threads=1, beside=Beside(tiny=folder))
    assert previews(model)
    assert isinstance(model.latent_map(), LatentMap)
