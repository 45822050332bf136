"""What verify says of our own files, of others', and of damaged ones."""

import html
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.app.desk import Desk
from limner.app.settings import Settings
from limner.app.verdict import Integrity, Looked, Verdict
from limner.domain.asset import Relation
from limner.domain.errors import InvalidImage
from limner.domain.policy import Detail, Policy
from limner.domain.recipe import FileFormat, Recipe
from limner.families.family import Pixels
from limner.provenance.keys import read_signer
from limner.provenance.manifest import Claim, Standing, sign_file
from limner.provenance.metadata import read_recipe, recipe_text
from tests import fakes
from tests.fakes import fake_desk, set_policy
from tests.provenance.containers import png

SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
Change = Callable[[Image.Image], Image.Image]


def pixels_of(file: bytes) -> Image.Image:
    return Image.open(io.BytesIO(file)).convert("RGBA")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image)
    ground.convert("RGB").save(file, kind, **options)
    return file.getvalue()


def hills(recipe: Recipe) -> Pixels:
    """A picture with something in it everywhere, as the fake engine's gradients have not."""
    down, across = np.mgrid[: recipe.size.height, : recipe.size.width] / recipe.size.height
    random = np.random.default_rng(recipe.seed)
    pixels = np.full((recipe.size.height, recipe.size.width, 4), 255, np.uint8)
    for channel in range(3):
        waves = sum(
            np.sin(6.3 * (random.uniform(1, 6) * down + random.uniform(1, 6) * across))
            for _ in range(12)
        )
        pixels[..., channel] = np.clip(128 + 14 * np.asarray(waves), 0, 255)
    return pixels


def by(verdict: Verdict) -> list[str]:
    return [match.by for match in verdict.matches]


@pytest.mark.parametrize("file_format", FileFormat)
def test_our_own_file_is_intact_in_every_format(desk: Desk, file_format: FileFormat) -> None:
    (made,) = desk.generate("a fox", seed=1, format=file_format, transparent=False)
    verdict = desk.verify(made.file)
    assert verdict.integrity is Integrity.INTACT
    assert verdict.integrity.exit_status == 0
    assert verdict.manifest is not None
    assert verdict.manifest.state is Standing.TRUSTED
    assert verdict.declared is not None
    assert verdict.declared.recipe_digest == made.recipe.digest
    assert (by(verdict), verdict.matches[0].asset) == (["file"], made.asset.id)
    assert "byte for byte" in verdict.summary


def test_a_changed_byte_is_told(desk: Desk) -> None:
    (made,) = desk.generate("a fox", seed=1, format=FileFormat.JPEG)
    file = bytearray(made.file)
    file[-400] ^= 4
    verdict = desk.verify(bytes(file))
    assert verdict.integrity is Integrity.CHANGED
    assert verdict.integrity.exit_status == 1
    assert "changed after it was signed" in verdict.summary


def test_a_broken_file_with_a_manifest_is_changed_not_unreadable(desk: Desk) -> None:
    (made,) = desk.generate("a fox", seed=1)
    verdict = desk.verify(made.file[:-60])
    assert verdict.integrity is Integrity.CHANGED


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: image.resize((380, 380)),
        lambda image: image.point(lambda value: min(255, round(value * 1.1))),
    ],
    ids=["as it is", "smaller", "brighter"],
)
def test_a_stripped_copy_is_recognised(
    desk: Desk, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes, "gradient", hills)
    (other, original) = desk.generate("hills", count=2, seed=5, size="512x512")
    copy = saved(change(pixels_of(original.file)), "JPEG", quality=70)
    verdict = desk.verify(copy)
    assert verdict.integrity is Integrity.CHANGED
    assert verdict.manifest is None
    assert verdict.mark == original.asset.mark
    assert verdict.matches[0].asset == original.asset.id
    assert other.asset.id not in [match.asset for match in verdict.matches]


def test_what_was_removed_is_still_recognised(desk: Desk) -> None:
    (made,) = desk.generate("a fox", seed=1, size="256x256")
    desk.studio.library.remove(desk.workspace, made.asset.id)
    verdict = desk.verify(made.file)
    assert verdict.integrity is Integrity.INTACT
    assert not verdict.matches[0].here
    assert "once held" in verdict.summary


def test_the_file_of_another_maker_is_valid_but_not_trusted(desk: Desk, tmp_path: Path) -> None:
    with fake_desk(Settings(home=tmp_path / "other")) as other:
        (made,) = other.generate("a cat", seed=2)
    verdict = desk.verify(made.file)
    assert verdict.integrity is Integrity.INTACT
    assert verdict.manifest is not None
    assert verdict.manifest.state is Standing.VALID
    assert "not trusted" in verdict.summary


def test_a_root_that_is_given_is_trusted(desk: Desk, home: Path, tmp_path: Path) -> None:
    with fake_desk(Settings(home=tmp_path / "other")) as other:
        (made,) = other.generate("a cat", seed=2)
        anchor = (other.studio.keyring.folder / "anchor.pem").read_bytes()
    trusted = desk.studio.keyring.trusted
    trusted.mkdir()
    (trusted / "other.pem").write_bytes(anchor)
    verdict = desk.verify(made.file)
    assert verdict.manifest is not None
    assert verdict.manifest.state is Standing.TRUSTED


def test_a_plain_picture_has_no_mark(desk: Desk) -> None:
    verdict = desk.verify(saved(Image.new("RGBA", (300, 200), "tomato"), "PNG"))
    assert verdict.integrity is Integrity.UNMARKED
    assert verdict.integrity.exit_status == 2
    assert "does not show that no AI made it" in verdict.summary


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (f"Iptc4xmpExt:DigitalSourceType='{SOURCE}compositeSynthetic'", "a part of it was made"),
        (f"Iptc4xmpExt:DigitalSourceType='{SOURCE}TrainedAlgorithmicMedia'", "it was made with AI"),
        ("Iptc4xmpExt:AISystemUsed='Another Studio'", "it was made with AI"),
    ],
)
def test_any_word_of_ai_in_metadata_counts(desk: Desk, said: str, words: str) -> None:
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        f'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" {said}/>'
        "</rdf:RDF></x:xmpmeta>"
    )
    file = io.BytesIO()
    Image.new("RGB", (300, 200), "tomato").save(file, "JPEG", xmp=packet.encode())
    verdict = desk.verify(file.getvalue())
    assert verdict.integrity is Integrity.UNPROVEN
    assert words in verdict.summary


def test_metadata_alone_proves_nothing(tmp_path: Path, desk: Desk) -> None:
    with fake_desk(Settings(home=tmp_path / "unsigned", signing=False)) as other:
        (made,) = other.generate("a cat", seed=2)
    verdict = desk.verify(made.file)
    assert verdict.integrity is Integrity.UNPROVEN
    assert verdict.integrity.exit_status == 1
    assert "no signature proves it" in verdict.summary


@pytest.mark.parametrize("detail", Detail)
def test_as_much_is_said_as_the_workspace_wants(desk: Desk, detail: Detail) -> None:
    set_policy(desk.studio.library, desk.workspace, Policy(detail=detail))
    (made,) = desk.generate("a secret fox", seed=1)
    assert (b"secret" in made.file) is (detail is Detail.FULL)
    assert (b"limner:recipe" in made.file) is (detail is not Detail.NONE)
    assert desk.verify(made.file).integrity is Integrity.INTACT


@pytest.mark.parametrize("file", [b"", b"words", b"\x89PNG\r\n\x1a\n", b"<svg", b"II*\x00junk"])
def test_what_is_no_picture_is_told(desk: Desk, file: bytes) -> None:
    with pytest.raises(InvalidImage):
        desk.verify(file)


def photo_of(size: int = 320) -> Image.Image:
    """What a camera might have seen: waves, and grain."""
    random = np.random.default_rng(4)
    down, across = np.mgrid[:size, :size] / size
    pixels = np.full((size, size, 4), 255, np.uint8)
    for channel in range(3):
        waves = sum(
            np.sin(6.3 * (random.uniform(-6, 6) * down + random.uniform(-6, 6) * across))
            for _ in range(9)
        )
        grain = random.normal(0, 6, (size, size))
        pixels[..., channel] = np.clip(128 + 14 * np.asarray(waves) + grain, 0, 255)
    return Image.fromarray(pixels)


def enlarged(recipe: Recipe) -> Pixels:
    size = (recipe.size.width, recipe.size.height)
    return np.asarray(photo_of().resize(size, Image.Resampling.LANCZOS))


def test_a_changed_file_stays_changed_when_it_is_brought_in(desk: Desk) -> None:
    (made,) = desk.generate("a fox", seed=1, format=FileFormat.JPEG)
    file = bytearray(made.file)
    file[-400] ^= 4
    desk.bring(bytes(file))
    verdict = desk.verify(bytes(file))
    assert verdict.integrity is Integrity.CHANGED
    assert not verdict.matches[0].made
    assert "brought in on" in verdict.summary
    assert "byte for byte" not in verdict.summary


def test_a_photograph_that_was_brought_in_is_unmarked(desk: Desk) -> None:
    file = saved(photo_of(), "PNG")
    desk.bring(file)
    verdict = desk.verify(file)
    assert verdict.integrity is Integrity.UNMARKED
    assert "as brought in on" in verdict.summary
    assert not verdict.matches[0].sure


def test_what_was_brought_in_is_forgotten_when_it_is_removed(desk: Desk) -> None:
    file = saved(photo_of(), "PNG")
    desk.studio.library.remove(desk.workspace, desk.bring(file).id)
    assert desk.verify(file).matches == ()


def test_our_own_file_that_was_removed_and_brought_back_is_ours(desk: Desk) -> None:
    (made,) = desk.generate("a fox", seed=1)
    desk.studio.library.remove(desk.workspace, made.asset.id)
    desk.bring(made.file)
    desk.studio.library.remove(desk.workspace, made.asset.id)
    verdict = desk.verify(made.file)
    assert verdict.integrity is Integrity.INTACT


def test_a_stripped_copy_stays_changed_when_it_is_brought_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes, "gradient", hills)
    (original,) = desk.generate("hills", seed=5, size="512x512")
    copy = saved(pixels_of(original.file), "JPEG", quality=70)
    asset = desk.bring(copy)
    assert desk.verify(copy).integrity is Integrity.CHANGED
    assert [(one.asset, one.relation) for one in asset.parents] == [
        (original.asset.id, Relation.COPY)
    ]


def test_a_copy_without_its_watermark_is_recognised_by_its_looks(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes, "gradient", hills)
    set_policy(desk.studio.library, desk.workspace, Policy(watermark=False))
    (original,) = desk.generate("hills", seed=5, size="512x512")
    copy = saved(pixels_of(original.file), "JPEG", quality=80)
    for _ in range(2):
        verdict = desk.verify(copy)
        assert (verdict.integrity, verdict.mark) == (Integrity.CHANGED, None)
        assert "is a copy of" in verdict.summary
        desk.bring(copy)


def test_the_photograph_that_was_enlarged_is_not_taken_for_what_came_of_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes, "gradient", enlarged)
    made = desk.upscale(saved(photo_of(), "PNG"))
    again = saved(photo_of(), "JPEG", quality=80)
    verdict = desk.verify(again)
    assert made.asset.id in [match.asset for match in verdict.matches]
    assert verdict.integrity is Integrity.UNMARKED
    assert "brought into this library" in verdict.summary


def test_what_looks_similar_decides_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def tilted(recipe: Recipe) -> Pixels:
        pixels = np.asarray(photo_of()).astype(float)
        pixels[..., :3] += np.linspace(-70, 70, 320)[:, None, None]
        kept: Pixels = np.clip(pixels, 0, 255).astype(np.uint8)
        return kept

    monkeypatch.setattr(fakes, "gradient", tilted)
    set_policy(desk.studio.library, desk.workspace, Policy(watermark=False))
    (made,) = desk.generate("hills", seed=5, size="320x320")
    verdict = desk.verify(saved(photo_of(), "JPEG", quality=80))
    assert [match.asset for match in verdict.matches] == [made.asset.id]
    assert not verdict.matches[0].sure
    assert verdict.integrity is Integrity.UNMARKED
    assert "looks similar to" in verdict.summary


def test_a_picture_that_was_only_enlarged_is_not_said_to_be_made_with_ai(desk: Desk) -> None:
    made = desk.upscale(saved(photo_of(64), "PNG"))
    assert "there before, enlarged with AI" in desk.verify(made.file).summary
    (drawn,) = desk.generate("a fox", seed=1)
    twice = desk.upscale(drawn.asset)
    assert "made with AI, then enlarged with AI" in desk.verify(twice.file).summary


def test_metadata_of_a_changed_photograph_say_no_more(tmp_path: Path, desk: Desk) -> None:
    with fake_desk(Settings(home=tmp_path / "unsigned", signing=False)) as other:
        set_policy(other.studio.library, other.workspace, Policy(watermark=False))
        made = other.upscale(saved(photo_of(64), "PNG"))
    verdict = desk.verify(made.file)
    assert verdict.integrity is Integrity.UNPROVEN
    assert "edited or enlarged with AI" in verdict.summary


def test_all_that_a_file_says_is_in_the_verdict(desk: Desk) -> None:
    (made,) = desk.generate("a secret fox", seed=1)
    declared = desk.verify(made.file).declared
    assert declared is not None
    assert (declared.recipe, declared.prompt) == (made.recipe, "a secret fox")
    set_policy(desk.studio.library, desk.workspace, Policy(detail=Detail.DIGEST))
    (second,) = desk.generate("a secret fox", seed=2)
    declared = desk.verify(second.file).declared
    assert declared is not None
    assert declared.recipe_digest == second.recipe.digest
    assert (declared.recipe, declared.prompt) == (None, None)
    foreign = desk.verify(png(parameters="a red fox\nSteps: 12, Seed: 99, Size: 64x64")).declared
    assert foreign is not None
    assert foreign.draft is not None
    assert (foreign.prompt, foreign.draft.seed) == ("a red fox", 99)


def test_pixels_that_cannot_be_read_are_not_said_to_hold_no_watermark(desk: Desk) -> None:
    (made,) = desk.generate("a fox", seed=1)
    verdict = desk.verify(made.file[: len(made.file) // 2])
    assert verdict.looked is Looked.DAMAGED
    assert "could not be looked at" in verdict.summary
    assert "PNG out of range" not in verdict.summary
    (drawing,) = desk.generate("a fox", seed=1, format=FileFormat.SVG)
    assert desk.verify(drawing.file).looked is Looked.DRAWING


def test_a_copy_of_an_edit_is_not_taken_for_the_photograph_before_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def retouched(recipe: Recipe) -> Pixels:
        pixels = np.array(photo_of())
        pixels[120:180, 120:180, :3] = (200, 40, 40)
        return pixels

    monkeypatch.setattr(fakes, "gradient", retouched)
    mask = Image.new("RGBA", (320, 320), "black")
    mask.paste((255, 255, 255, 255), (120, 120, 180, 180))
    made = desk.edit(saved(photo_of(), "PNG"), "a ball", mask=saved(mask, "PNG"))
    verdict = desk.verify(saved(pixels_of(made.file), "JPEG", quality=80))
    assert verdict.integrity is Integrity.CHANGED
    assert [match.asset for match in verdict.matches if match.sure] == [made.asset.id]
    assert desk.verify(saved(photo_of(), "JPEG", quality=80)).integrity is Integrity.UNMARKED


@pytest.mark.parametrize("file_format", FileFormat)
def test_a_recipe_that_stands_where_nothing_is_signed_is_not_read(
    desk: Desk, file_format: FileFormat
) -> None:
    made, other = (
        desk.generate(words, seed=1, format=file_format, transparent=False)[0]
        for words in ("a fox", "a forged fox")
    )
    element = f"<limner:recipe>{html.escape(recipe_text(other.recipe))}</limner:recipe>".encode()
    chunk = struct.pack(">I4s", 8 + len(element), b"free") + element
    for file in (made.file + chunk, chunk + made.file, made.file + element):
        assert read_recipe(file) in (made.recipe, None)
    padding = made.file.find(bytes(len(element)))
    if padding > 0:
        file = made.file[:padding] + element + made.file[padding + len(element) :]
        assert read_recipe(file) == made.recipe
        assert desk.verify(file).integrity is Integrity.CHANGED


def test_another_recipe_than_the_one_that_was_signed_is_told(desk: Desk) -> None:
    (made,) = desk.generate("a fox", seed=1)
    signer = read_signer(desk.studio.keyring.folder)
    assert signer is not None
    claim = Claim("picture", False, "c2pa.created", "ab" * 32)
    verdict = desk.verify(sign_file(made.file, "image/png", claim, signer))
    assert verdict.integrity is Integrity.CHANGED
    assert "not the one that was signed" in verdict.summary
