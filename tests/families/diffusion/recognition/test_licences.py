"""Licences of models people bring: what the files state, in the words they use for it."""

from pathlib import Path

import pytest

from limner.domain.card import UNSTATED
from limner.domain.licensing import named
from limner.families.diffusion.known.facts import facts_of
from limner.families.diffusion.recognition.licences import licence_of, stated
from tests.families.diffusion.files import save


@pytest.mark.parametrize(
    ("said", "spdx", "commercial"),
    [
        ("apache-2.0", "Apache-2.0", True),
        ("Apache License 2.0", "Apache-2.0", True),
        ("CreativeML Open RAIL++-M License", "LicenseRef-CreativeML-Open-RAIL++-M", True),
        ("CreativeML Open RAIL-M", "LicenseRef-CreativeML-Open-RAIL-M", True),
        ("cc-by-nc-4.0", "CC-BY-NC-4.0", False),
        ("my terms!", "LicenseRef-my-terms", False),
        ("LicenseRef-Bought", "LicenseRef-Bought", False),
        ("", UNSTATED, False),
        ("  ", UNSTATED, False),
    ],
)
def test_names_are_brought_to_spdx(said: str, spdx: str, commercial: bool) -> None:
    found = named(said)
    assert (found.spdx, found.commercial) == (spdx, commercial)
    assert not found.attribution


@pytest.mark.parametrize(
    ("readme", "spdx"),
    [
        ("---\nlicense: mit\ntags:\n- art\n---\n# Fox\n", "MIT"),
        ('---\ntags: x\nlicense: "openrail++"\n---\n', "LicenseRef-CreativeML-Open-RAIL++-M"),
        ("---\nlicense: other\nlicense_name: fox-terms\n---\n", "LicenseRef-fox-terms"),
        ("---\r\nlicense: mit # yes\r\n---\r\n", "MIT"),
        ("---\nlicense: other\n---\n", "LicenseRef-other"),
        ("# Fox\nlicense: mit\n", UNSTATED),
        ("", UNSTATED),
    ],
)
def test_a_folder_states_it_in_its_readme(tmp_path: Path, readme: str, spdx: str) -> None:
    (tmp_path / "README.md").write_text(readme, newline="")
    assert stated(tmp_path).spdx == spdx


def test_without_a_word_of_it_there_is_none(tmp_path: Path) -> None:
    assert stated(tmp_path).spdx == UNSTATED
    file = save(tmp_path / "fox.safetensors", {"a": (1,)}, {"modelspec.license": "MIT"})
    assert stated(file).spdx == "MIT"
    (tmp_path / "fox.gguf").write_bytes(b"GGUF nonsense")
    assert stated(tmp_path / "fox.gguf").spdx == UNSTATED


def test_nobody_allows_more_than_the_makers_of_what_theirs_was_made_from(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    dev, base = facts_of("flux1", "dev"), facts_of("sdxl", "base")
    assert licence_of(tmp_path, dev) == dev.licence
    assert not licence_of(tmp_path, dev).commercial
    assert licence_of(tmp_path, base).spdx == "MIT"
    (tmp_path / "README.md").unlink()
    assert licence_of(tmp_path, dev) == dev.licence
    assert (base.licence.commercial, licence_of(tmp_path, base).commercial) == (True, False)
