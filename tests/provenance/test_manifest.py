"""Manifests: written under a signature into every format, and read from any file."""

import io
import platform
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from limner.domain.errors import SigningFailed
from limner.domain.policy import Mining
from limner.provenance.keys import read_anchors
from limner.provenance.manifest import Claim, Ingredient, Standing, read_manifest, sign_file
from limner.provenance.signing import CallbackSigner, LocalSigner, Signer

from .signed import FORMATS, claim, picture, signer_in

ALL = (*FORMATS, "image/svg+xml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signed") / "keys"


@pytest.fixture(scope="module")
def local(folder: Path) -> LocalSigner:
    return signer_in(folder)


@pytest.fixture(params=["local", "callback"])
def signer(request: pytest.FixtureRequest, local: LocalSigner) -> Signer:
    """Every kind of signer: what follows holds for all of them."""
    return local if request.param == "local" else CallbackSigner(local.sign, local.certificates)


@pytest.mark.parametrize("media_type", ALL)
def test_a_drawn_picture_is_trusted_with_its_root(
    signer: Signer, folder: Path, media_type: str
) -> None:
    signed = sign_file(picture(media_type), media_type, claim(), signer)
    found = read_manifest(signed, media_type, read_anchors(folder))
    assert found is not None
    assert (found.state, found.failures) == (Standing.TRUSTED, ())
    assert found.issuer == "Test studio"
    assert found.generator is not None
    assert found.generator.startswith("Limner ")
    assert [(one.name, one.source_type) for one in found.actions] == [
        ("c2pa.created", "trainedAlgorithmicMedia")
    ]
    assert (found.recipe_digest, found.models) == ("ab" * 32, ("vellum",))
    assert found.mining == "notAllowed"


@pytest.mark.parametrize("media_type", ALL)
def test_an_edited_picture_keeps_what_it_was_made_from(
    local: LocalSigner, folder: Path, media_type: str
) -> None:
    source = sign_file(picture("image/png", 1), "image/png", claim(), local)
    ingredients = (
        Ingredient(source, "image/png", "parent", "before"),
        Ingredient(picture("image/png", 2), "image/png", "component", "mask"),
    )
    signed = sign_file(picture(media_type), media_type, claim(*ingredients), local)
    found = read_manifest(signed, media_type, read_anchors(folder))
    assert found is not None
    assert found.state is Standing.TRUSTED
    assert [one.name for one in found.actions] == ["c2pa.opened", "c2pa.edited"]
    assert found.source_type == "compositeWithTrainedAlgorithmicMedia"
    told = [(one.title, one.relationship, one.state) for one in found.ingredients]
    assert told == [("before", "parentOf", Standing.VALID), ("mask", "inputTo", None)]


def test_without_its_root_a_picture_is_valid_but_not_trusted(local: LocalSigner) -> None:
    signed = sign_file(picture("image/png"), "image/png", claim(), local)
    found = read_manifest(signed, "image/png")
    assert found is not None
    assert found.state is Standing.VALID
    [failure] = found.failures
    assert failure.code == "signingCredential.untrusted"
    assert "not one you trust" in failure.message


@pytest.mark.parametrize("media_type", ALL)
def test_one_flipped_byte_is_found(local: LocalSigner, folder: Path, media_type: str) -> None:
    plain = picture(media_type)
    signed = sign_file(plain, media_type, claim(), local)
    content = plain[len(plain) // 2 :][:24]
    place = signed.index(content) + 8
    changed = signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :]
    found = read_manifest(changed, media_type, read_anchors(folder))
    assert found is not None
    assert found.state is Standing.INVALID
    assert any("changed after it was signed" in one.message for one in found.failures)


@pytest.mark.parametrize("media_type", FORMATS)
def test_a_picture_saved_again_has_no_manifest(local: LocalSigner, media_type: str) -> None:
    signed = sign_file(picture(media_type), media_type, claim(), local)
    again = io.BytesIO()
    Image.open(io.BytesIO(signed)).save(again, FORMATS[media_type])
    assert read_manifest(again.getvalue(), media_type) is None


@pytest.mark.parametrize("media_type", ALL)
@pytest.mark.parametrize(
    "damage", [lambda file: b"", lambda file: b"junk" * 9, lambda file: file[: len(file) // 2]]
)
def test_damaged_files_are_no_crash(
    local: LocalSigner, media_type: str, damage: Callable[[bytes], bytes]
) -> None:
    signed = sign_file(picture(media_type), media_type, claim(), local)
    found = read_manifest(damage(signed), media_type)
    assert found is None or found.state is Standing.INVALID


def test_a_cut_off_manifest_is_invalid_not_absent(local: LocalSigner) -> None:
    signed = sign_file(picture("image/png"), "image/png", claim(), local)
    found = read_manifest(signed[:6000], "image/png")
    assert found is not None
    assert found.state is Standing.INVALID


def test_nothing_of_words_or_persons_is_in_the_manifest(local: LocalSigner) -> None:
    signed = sign_file(picture("image/png"), "image/png", claim(), local)
    for words in ("prompt", platform.node(), str(Path.home())):
        assert words.encode() not in signed


@pytest.mark.parametrize("mining", Mining)
def test_whether_others_may_train_on_it(local: LocalSigner, mining: Mining) -> None:
    said = Claim("picture", False, "c2pa.created", "ab" * 32, mining=mining)
    found = read_manifest(sign_file(picture("image/png"), "image/png", said, local), "image/png")
    assert found is not None
    assert found.mining == mining.value


def test_what_cannot_hold_a_manifest_is_told(local: LocalSigner) -> None:
    with pytest.raises(SigningFailed, match="could not be signed"):
        sign_file(b"plain text", "text/plain", claim(), local)
    with pytest.raises(SigningFailed, match="could not be signed"):
        sign_file(b"not a picture", "image/png", claim(), local)


def test_a_failing_key_service_is_told_with_its_reason(local: LocalSigner) -> None:
    def refuse(_: bytes) -> bytes:
        raise TimeoutError("no answer from the vault")

    with pytest.raises(SigningFailed, match="no answer from the vault"):
        sign_file(
            picture("image/png"), "image/png", claim(), CallbackSigner(refuse, local.certificates)
        )


def test_a_signature_of_the_wrong_form_is_told(local: LocalSigner) -> None:
    wrong = CallbackSigner(lambda _: b"\x30" * 70, local.certificates)
    with pytest.raises(SigningFailed, match="64 bytes"):
        sign_file(picture("image/png"), "image/png", claim(), wrong)


def test_another_ones_key_does_not_fit_the_certificate(
    local: LocalSigner, tmp_path: Path, folder: Path
) -> None:
    stranger = signer_in(tmp_path / "keys")
    forged = CallbackSigner(stranger.sign, local.certificates)
    try:
        signed = sign_file(picture("image/png"), "image/png", claim(), forged)
    except SigningFailed:
        return
    found = read_manifest(signed, "image/png", read_anchors(folder))
    assert found is not None
    assert found.state is Standing.INVALID
