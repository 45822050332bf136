"""The size that a model was trained at is that of its card, whoever tells it."""

import json
from pathlib import Path

import pytest

from limner.domain.recipe import Size
from limner.families.diffusion.family import _capability
from limner.families.diffusion.known.facts import FACTS, facts_of
from limner.families.diffusion.recognition.finding import Finding, Kind
from limner.families.diffusion.recognition.sides import as_trained
from tests.families.diffusion import published as pub
from tests.families.diffusion.files import save


@pytest.mark.parametrize(
    ("family", "variant", "name", "side"),
    [
        ("sana", "1.6b", "Sana_1600M_4Kpx_BF16", 4096),
        ("sana", "1.6b", "Sana_1600M_2Kpx_BF16", 2048),
        ("sana", "1.6b", "Sana_1600M_512px", 512),
        ("sana", "1.6b", "mine", 1024),
        ("sana", "600m", "Sana_600M_512px", 512),
        ("sana", "600m", "Sana_600M_4Kpx", 1024),
        ("pixart", "sigma", "PixArt-Sigma-XL-2-2K-MS", 2048),
        ("pixart", "sigma", "PixArt-Sigma-XL-2-512-MS", 512),
        ("pixart", "alpha", "PixArt-XL-2-256x256", 256),
        ("sd1", "base", "paint_512", 512),
    ],
)
def test_names_tell_the_side(
    tmp_path: Path, family: str, variant: str, name: str, side: int
) -> None:
    path = save(tmp_path / f"{name}.safetensors", pub.sana())
    facts = as_trained(path, facts_of(family, variant))
    assert (facts.size.width, facts.size.height) == (side, side)
    least, most = facts.area
    assert least <= facts.size.pixels <= most


def test_metadata_tells_the_side(tmp_path: Path) -> None:
    said = {"modelspec.resolution": "2048x2048"}
    path = save(tmp_path / "mine.safetensors", pub.sana(), said)
    assert as_trained(path, facts_of("sana", "1.6b")).size.width == 2048


@pytest.mark.parametrize(
    ("family", "variant", "latents", "side"),
    [("sana", "1.6b", 128, 4096), ("pixart", "sigma", 256, 2048), ("pixart", "sigma", 8, 1024)],
)
def test_the_settings_of_a_folder_tell_the_side(
    tmp_path: Path, family: str, variant: str, latents: int, side: int
) -> None:
    folder = tmp_path / "mine_512px"
    save(folder / "transformer" / "diffusion_pytorch_model.safetensors", pub.sana())
    index = {"_class_name": "SanaPipeline", "transformer": ["diffusers", "SanaTransformer2DModel"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "transformer" / "config.json").write_text(json.dumps({"sample_size": latents}))
    facts = as_trained(folder, facts_of(family, variant))
    assert facts.size.width == side
    sizes = _capability(facts, Finding(Kind.PIPELINE, "")).sizes
    asked = Size(width=side, height=side)
    assert sizes.native_for(asked) == sizes.default == asked


def test_every_side_is_one_that_can_be_drawn() -> None:
    for facts in FACTS.values():
        assert all(side % facts.multiple == 0 for side in facts.sides)
        assert not facts.sides or facts.size.width in facts.sides
