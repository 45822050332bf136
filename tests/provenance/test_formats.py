"""What every format carries: colours that are told, settings others read, marks that stay."""

import io
import json
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from limner.domain.policy import Detail, Mining
from limner.domain.recipe import (
    FileFormat,
    InputRole,
    ModelRef,
    Offset,
    Recipe,
    RecipeInput,
    Size,
    Task,
)
from limner.families import raster
from limner.families.family import Pixels
from limner.provenance.formats import srgb_profile
from limner.provenance.infotext import infotext
from limner.provenance.intake import Picture, read_picture
from limner.provenance.keys import read_anchors
from limner.provenance.manifest import (
    MADE_BY_MODEL,
    Ingredient,
    ModelClaim,
    Standing,
    read_manifest,
)
from limner.provenance.metadata import read_recipe
from limner.provenance.seal import SealTerms, seal
from limner.provenance.signing import LocalSigner
from limner.provenance.texts import read_texts
from tests.provenance.signed import signer_in
from tests.provenance.test_intake import swapped_profile

RASTER = [one for one in FileFormat if one is not FileFormat.SVG]
LOSSLESS = [FileFormat.PNG, FileFormat.WEBP, FileFormat.TIFF]
WORDS = "a fox 🦊, größer & <wild>"
TASKS = (
    *(Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINT, Task.OUTPAINT, Task.EDIT),
    *(Task.ERASE, Task.UPSCALE),
)
ANY_TASK = (*TASKS, Task.CUTOUT)


def picture(side: int = 64) -> Pixels:
    """Return an opaque picture of soft colours."""
    across, down = np.meshgrid(np.linspace(20, 235, side), np.linspace(235, 20, side))
    return np.stack([across, down, across[::-1], across * 0 + 255], axis=-1).astype(np.uint8)


def recipe(file_format: FileFormat, task: Task = Task.TEXT_TO_IMAGE) -> Recipe:
    size = Size(width=64, height=64)
    masked = task in (Task.INPAINT, Task.ERASE)
    roles = () if task is Task.TEXT_TO_IMAGE else (InputRole.INIT, InputRole.MASK)[: 1 + masked]
    return Recipe(
        task=task,
        model=ModelRef(name="vellum", sha256="a" * 64),
        prompt=WORDS if task.takes_words else "",
        seed=7,
        size=size,
        offset=Offset(left=8, top=8) if task is Task.OUTPAINT else None,
        native_size=size,
        steps=20,
        transparent=False,
        inputs=tuple(
            RecipeInput(asset=letter * 64, role=role)
            for letter, role in zip("bc", roles, strict=False)
        ),
        format=file_format,
    )


def one_way_profile() -> bytes:
    """Return an RGB profile as scanners have them: a table to Lab and none back (ICC.1:2022)."""
    corners = [
        (255 * 257 * (red + green + blue) // 3, 0x8080, 0x8080)
        for red in (0, 1)
        for green in (0, 1)
        for blue in (0, 1)
    ]
    line = struct.pack(">6H", 0, 65_535, 0, 65_535, 0, 65_535)
    table = (
        b"mft2\0\0\0\0\3\3\2\0"
        + struct.pack(">9i", *(65_536 if place % 4 == 0 else 0 for place in range(9)))
        + struct.pack(">2H", 2, 2)
        + line
        + b"".join(struct.pack(">3H", *corner) for corner in corners)
        + line
    )
    words = b"text\0\0\0\0scan\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"scan\0" + bytes(78)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63_190, 65_536, 54_061)
    body, tags = b"", b""
    items = {b"A2B0": table, b"cprt": words, b"desc": description, b"wtpt": white}
    for name, content in items.items():
        tags += name + struct.pack(">2I", 132 + 12 * len(items) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    content = struct.pack(">I", len(items)) + tags + body
    head = struct.pack(">I", 128 + len(content)) + bytes(4) + b"\2\x20\0\0scnrRGB Lab "
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63_190, 65_536, 54_061)
    return head.ljust(128, b"\0") + content


def based_on(pixels: Pixels, profile: bytes) -> Picture:
    """Return a picture as it is read from a file in a profile."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", icc_profile=profile)
    return read_picture(file.getvalue())


def raw(file: bytes) -> tuple[Pixels, bytes]:
    """Return the values in a file as they are, and the profile they are in."""
    with Image.open(io.BytesIO(file)) as image:
        image.load()
        return np.array(image.convert("RGBA")), image.info.get("icc_profile", b"")


@pytest.mark.parametrize("file_format", RASTER)
def test_every_file_says_that_its_colours_are_srgb(file_format: FileFormat) -> None:
    file = seal(picture(), recipe(file_format), SealTerms()).file
    if file_format is FileFormat.PNG:
        assert b"sRGB\x00" in file
        return
    profile = raw(file)[1]
    assert profile == srgb_profile()
    assert len(profile) < 1_000
    named = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    assert "sRGB" in ImageCms.getProfileDescription(named)
    assert read_picture(file).own is None


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_lossless_files_hold_exactly_the_pixels(file_format: FileFormat) -> None:
    for pixels in (picture(), np.where(np.arange(4) == 3, np.uint8(90), picture())):
        sealed = seal(pixels, recipe(file_format), SealTerms())
        assert np.array_equal(read_picture(sealed.file).pixels, pixels)
        assert sealed.pixel_digest == raster.pixel_digest(pixels)


@pytest.mark.parametrize("file_format", [FileFormat.JPEG, FileFormat.AVIF])
def test_lossy_files_look_the_same(file_format: FileFormat) -> None:
    file = seal(picture(), recipe(file_format), SealTerms()).file
    assert np.abs(read_picture(file).pixels.astype(int) - picture()).mean() < 2


@pytest.mark.parametrize("file_format", [FileFormat.WEBP, FileFormat.TIFF, FileFormat.AVIF])
def test_transparency_is_kept(file_format: FileFormat) -> None:
    pixels = picture()
    pixels[:20, :, 3] = 0
    pixels[20:40, :, 3] = 120
    found = read_picture(seal(pixels, recipe(file_format), SealTerms()).file).pixels
    assert np.abs(found[..., 3].astype(int) - pixels[..., 3]).max() <= 4


@pytest.mark.parametrize("file_format", RASTER)
def test_an_edited_picture_keeps_its_profile(file_format: FileFormat) -> None:
    own = picture()
    base = based_on(own, swapped_profile())
    edited = base.pixels.copy()
    edited[10:30, 10:30, :3] = (200, 60, 30)
    made = recipe(file_format, Task.INPAINT)
    file = seal(edited, made, SealTerms(base=base)).file
    values, profile = raw(file)
    assert profile == swapped_profile()
    if file_format in LOSSLESS:
        outside = np.ones((64, 64), bool)
        outside[10:30, 10:30] = False
        assert np.array_equal(values[outside], own[outside])
    assert np.abs(values[20, 20].astype(int) - (30, 60, 200, 255)).max() <= 6
    assert np.abs(read_picture(file).pixels[20, 20].astype(int) - edited[20, 20]).max() <= 6
    assert read_recipe(file) == made


def test_a_larger_picture_keeps_the_profile_too() -> None:
    base = based_on(picture(), swapped_profile())
    larger = raster.resize(base.pixels, Size(width=128, height=128))
    file = seal(larger, recipe(FileFormat.PNG, Task.UPSCALE), SealTerms(base=base)).file
    assert raw(file)[1] == swapped_profile()
    assert np.abs(read_picture(file).pixels.astype(int) - larger).max() <= 2


def test_a_drawing_of_a_picture_in_another_profile_is_in_srgb() -> None:
    red = np.full((64, 64, 4), (255, 0, 0, 255), np.uint8)
    base = based_on(red[..., [2, 1, 0, 3]], swapped_profile())
    assert base.own is not None
    assert np.abs(base.pixels.astype(int) - red).max() <= 2
    file = seal(base.pixels, recipe(FileFormat.SVG, Task.UPSCALE), SealTerms(base=base)).file
    assert b'fill="#FF0000"' in file or b'fill="#FE0000"' in file


def test_a_profile_that_leads_only_one_way_gives_way_to_srgb() -> None:
    base = based_on(picture(), one_way_profile())
    assert base.own is not None
    file = seal(base.pixels, recipe(FileFormat.PNG, Task.UPSCALE), SealTerms(base=base)).file
    values, profile = raw(file)
    assert np.array_equal(values, base.pixels)
    assert profile == b""
    assert b"sRGB\x00" in file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def signer(folder: Path) -> LocalSigner:
    return signer_in(folder)


@pytest.mark.parametrize("file_format", FileFormat)
@pytest.mark.parametrize("task", ANY_TASK)
def test_every_task_is_signed_in_every_format(
    signer: LocalSigner, folder: Path, task: Task, file_format: FileFormat
) -> None:
    made = recipe(file_format, task)
    source = seal(picture(), recipe(FileFormat.PNG), SealTerms(signer=signer)).file
    parent = Ingredient(source, "image/png", "parent", "init")
    mask = Ingredient(source, "image/png", "component", "mask")
    terms = SealTerms(
        signer=signer,
        models=(ModelClaim("vellum", "a" * 64, "Apache-2.0"),),
        ingredients=(parent, mask)[: len(made.inputs)],
        composite=task is Task.INPAINT,
    )
    sealed = seal(picture(), made, terms)
    found = read_manifest(sealed.file, sealed.media_type, read_anchors(folder))
    assert found is not None
    assert found.state is Standing.TRUSTED
    assert found.recipe_digest == made.digest
    kind = "compositeWithTrainedAlgorithmicMedia" if terms.composite else MADE_BY_MODEL
    assert found.source_type == kind
    assert len(found.ingredients) == len(made.inputs)
    assert read_recipe(sealed.file) == made


@pytest.mark.parametrize("file_format", FileFormat)
def test_a_workspace_decides_how_much_is_told(file_format: FileFormat, signer: LocalSigner) -> None:
    made = recipe(file_format)
    full, digest, none = (
        seal(picture(), made, SealTerms(signer=signer, detail=detail)).file
        for detail in (Detail.FULL, Detail.DIGEST, Detail.NONE)
    )
    assert read_recipe(full) == made
    assert read_recipe(digest) is None
    assert read_recipe(none) is None
    for file in (digest, none):
        assert b"fox" not in file
        assert "fox".encode("utf-16-be") not in file
        assert b"trainedAlgorithmicMedia" in file
    assert made.digest.encode() in digest
    said = read_manifest(none, file_format.media_type)
    assert said is not None
    assert said.recipe_digest is None
    assert made.digest.encode() not in none


@pytest.mark.parametrize("file_format", FileFormat)
@pytest.mark.parametrize(
    ("mining", "word"),
    [(Mining.ALLOWED, b"DMI-ALLOWED"), (Mining.NOT_ALLOWED, b"DMI-PROHIBITED-AIMLTRAINING")],
)
def test_whether_others_may_train_on_it(
    file_format: FileFormat, mining: Mining, word: bytes
) -> None:
    assert word in seal(picture(), recipe(file_format), SealTerms(mining=mining)).file


@pytest.mark.skipif(
    shutil.which("exiftool") is None,
    reason="exiftool is not installed (Debian: libimage-exiftool-perl)",
)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("file_format", FileFormat)
def test_exiftool_reads_what_is_written(
    file_format: FileFormat, signed: bool, signer: LocalSigner, tmp_path: Path
) -> None:
    made = recipe(file_format)
    path = tmp_path / f"picture.{file_format.value}"
    terms = SealTerms(signer=signer if signed else None)
    path.write_bytes(seal(picture(), made, terms).file)
    run = subprocess.run(["exiftool", "-j", "-G1", path], capture_output=True, check=True)
    [told] = json.loads(run.stdout)
    found = {name.rpartition(":")[2]: value for name, value in told.items()}
    source = str(told["XMP-iptcExt:DigitalSourceType"])
    assert source.endswith(("trainedAlgorithmicMedia", "Trained Algorithmic Media"))
    assert found["AISystemUsed"] == "Limner, vellum"
    assert "DataMining" in found
    assert "Error" not in found
    if file_format is FileFormat.PNG:
        assert found["Parameters"] == infotext(made)
    elif file_format is FileFormat.TIFF:
        assert found["ImageDescription"] == infotext(made)
    elif file_format is not FileFormat.SVG:
        assert found["UserComment"] == infotext(made)


@pytest.mark.parametrize("file_format", RASTER)
def test_other_tools_find_the_settings(file_format: FileFormat) -> None:
    made = recipe(file_format)
    texts = read_texts(seal(picture(), made, SealTerms()).file)
    found = texts.chunks.get("parameters") or texts.comment or "".join(texts.exif)
    assert found == infotext(made)
