"""What all finishing families share: cheap to import, found by name, sound cards."""

import subprocess
import sys

import pytest

from limner.families import migan, opennsfw, realesrgan, u2net
from limner.families.family import Family, discover

FAMILIES: list[Family] = [migan.FAMILY, opennsfw.FAMILY, realesrgan.FAMILY, u2net.FAMILY]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_families_are_found_by_name(family: Family) -> None:
    assert discover()[family.name] is family


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_cards_say_where_weights_come_from_and_what_they_allow(family: Family) -> None:
    for card in family.cards():
        assert card.family == family.name
        assert card.licence.commercial
        assert card.licence.attribution
        assert card.licence.url.startswith("https://")
        for file in card.files:
            assert file.sources
            assert file.bytes > 0


def test_no_runtime_is_imported_before_a_model_is_loaded() -> None:
    program = (
        "import sys;"
        "from limner.families import migan, opennsfw, realesrgan, u2net;"
        "from limner.provenance import intake, seal;"
        "[f.FAMILY.cards() for f in (migan, opennsfw, realesrgan, u2net)];"
        "print([m for m in ('ncnn', 'onnxruntime', 'vtracer', 'torch') if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert run.stdout.strip() == "[]"
