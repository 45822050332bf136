"""Where a picture comes from, as far as it can be told: one verdict per mark, and one in all."""

import re
from types import MappingProxyType

from limner.app.keys import Keyring
from limner.app.recognition import Recognition
from limner.app.summary import summary
from limner.app.verdict import Declared, Integrity, Looked, Match, Verdict
from limner.domain.errors import InvalidImage, StorageFailed
from limner.domain.recipe import FileFormat
from limner.domain.workspace import Actor, Role, Workspace
from limner.provenance.foreign.reading import read_settings
from limner.provenance.intake import (
    Picture,
    brands_of,
    check_bytes,
    is_drawing,
    is_heic,
    read_picture,
)
from limner.provenance.manifest import Failure, Manifest, Standing, has_manifest, read_manifest
from limner.provenance.metadata import read_digest, read_recipe
from limner.provenance.watermark import detect
from limner.provenance.xmp import Statement, read_statement
from limner.store.library import Library

_SVG = FileFormat.SVG.media_type
_MAGIC = (
    (0, b"\x89PNG", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (8, b"WEBP", "image/webp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"GIF8", "image/gif"),
    (4, b"ftypavi", "image/avif"),
)
"""(offset, bytes, media type) of the formats that can hold a manifest."""

_SIGNED = MappingProxyType(
    {
        Standing.TRUSTED: Integrity.INTACT,
        Standing.VALID: Integrity.INTACT,
        Standing.EXPIRED: Integrity.UNPROVEN,
        Standing.INVALID: Integrity.CHANGED,
    }
)
_END = re.compile(rb"</(?:[A-Za-z_][\w.-]{0,60}:)?svg\s*>(?:\s|<!--(?:(?!-->).)*-->)*\Z", re.DOTALL)
"""The end of a drawing: only blanks and comments may follow (XML 1.0, 2.1)."""

_OTHER_RECIPE = Failure(
    code="recipe", message="The Recipe in its metadata is not the one that was signed."
)


class Verifier:
    """Examines files against the registry of a workspace and the keys of a studio.

    Where there is no library, or one that cannot be read, `unasked` tells why; the rest of what
    is in a file is examined all the same.
    """

    def __init__(self, library: Library | None, keyring: Keyring, unasked: str = "") -> None:
        self._library = library
        self._keyring = keyring
        self._unasked = unasked

    def verify(self, actor: Actor, workspace: Workspace, file: bytes) -> Verdict:
        """Return the verdict on a picture file, ours or anyone's.

        Raises InvalidImage for what is no picture or cannot be read; never fails otherwise,
        whatever is in the file.
        """
        actor.require(workspace, Role.VIEWER)
        check_bytes(file)
        if is_heic(file):
            raise InvalidImage(_heic(file))
        media_type = _media_type(file)
        manifest = self._manifest(file, media_type)
        if media_type == _SVG and not _END.search(file):
            raise InvalidImage(_unended(file))
        looked = Looked.DRAWING if media_type == _SVG else Looked.SEEN
        try:
            picture = None if looked is Looked.DRAWING else read_picture(file)
        except InvalidImage:
            if manifest is None:
                raise
            # What is left of it is marked, and that it is broken is the verdict.
            picture, looked = None, Looked.DAMAGED
        declared = _declared(file)
        manifest = _agreeing(manifest, declared)
        found = detect(picture.pixels) if picture else None
        mark = found.mark if found else None
        matches, unasked = self._matches(workspace, file, picture, mark)
        verdict = Verdict(
            integrity=_integrity(manifest, declared, mark, matches),
            summary="",
            media_type=media_type or (picture.media_type if picture else ""),
            looked=looked,
            manifest=manifest,
            declared=declared,
            mark=mark,
            matches=matches,
            unasked=unasked or None,
        )
        return verdict.model_copy(update={"summary": summary(verdict)})

    def _manifest(self, file: bytes, media_type: str) -> Manifest | None:
        """Return the manifest in a file; one that holds under one's own keys alone is one's own."""
        if not media_type:
            return None
        manifest = read_manifest(file, media_type, self._keyring.anchors())
        if manifest is None or manifest.state is not Standing.TRUSTED:
            return manifest
        own = read_manifest(file, media_type, self._keyring.own_anchors())
        is_own = own is not None and own.state is Standing.TRUSTED
        return manifest.model_copy(update={"own": is_own})

    def _matches(
        self, workspace: Workspace, file: bytes, picture: Picture | None, mark: str | None
    ) -> tuple[tuple[Match, ...], str]:
        """Return what the library knows of a file, and why it could not be asked."""
        if self._library is None:
            return (), self._unasked
        recognition = Recognition(self._library, workspace)
        try:
            return recognition.matches(file, picture.pixels if picture else None, mark), ""
        except StorageFailed as failure:
            return (), failure.message


def _media_type(file: bytes) -> str:
    """Return the media type that a file's first bytes say, of those that can hold a manifest."""
    if is_drawing(file):
        return _SVG
    for offset, magic, media_type in _MAGIC:
        if file[offset : offset + len(magic)] == magic:
            return media_type
    return "image/avif" if b"avif" in brands_of(file) else ""


def _unended(file: bytes) -> str:
    """Return what is wrong with a drawing that does not end as it should."""
    if b"</svg" in file or b":svg" in file.rpartition(b"</")[2]:
        return (
            "The drawing has something after its end, so it is not as it was written. Export it "
            "again."
        )
    return "The drawing is cut off: it has no end. Export it again."


def _heic(file: bytes) -> str:
    """Return what can be told of an HEIC picture, and what cannot."""
    declared = _declared(file)
    says = "Its metadata say nothing of how it was made."
    if declared is not None and (declared.source_type or declared.system or declared.settings_of):
        said = (declared.source_type, declared.system, declared.settings_of)
        says = f"Its metadata say: {', '.join(dict.fromkeys(filter(None, said)))}."
    holds = "holds a signed manifest, which any reader of C2PA for HEIC shows"
    if not has_manifest(file):
        holds = "holds no signed manifest"
    return (
        "This is an HEIC picture. Limner cannot read its pixels, so neither a watermark nor a "
        f"likeness can be looked for. {says} It {holds}. Save it as JPEG or PNG and verify that "
        "for the watermark; metadata and manifest are mostly lost on the way."
    )


def _agreeing(manifest: Manifest | None, declared: Declared | None) -> Manifest | None:
    """Return a manifest, as invalid where the file carries another Recipe than it names."""
    said = declared.recipe_digest if declared else None
    if manifest is None or None in (said, manifest.recipe_digest) or said == manifest.recipe_digest:
        return manifest
    failures = (*manifest.failures, _OTHER_RECIPE)
    return manifest.model_copy(update={"state": Standing.INVALID, "failures": failures})


def _declared(file: bytes) -> Declared | None:
    said = read_statement(file) or Statement()
    recipe, settings = read_recipe(file), read_settings(file)
    declared = Declared(
        source_type=said.digital_source_type,
        system=said.system,
        system_version=said.system_version,
        mining=said.data_mining,
        prompt=(settings.draft.prompt if settings else said.prompt) or None,
        recipe_digest=read_digest(file),
        recipe=recipe,
        settings_of=settings.tool if settings else None,
        draft=settings.draft if settings and recipe is None else None,
        manifest_at=said.provenance if _is_address(said.provenance) else None,
    )
    return None if declared == Declared() else declared


def _is_address(text: str | None) -> bool:
    return text is not None and text.lower().startswith(("http://", "https://"))


def _integrity(
    manifest: Manifest | None,
    declared: Declared | None,
    mark: str | None,
    matches: tuple[Match, ...],
) -> Integrity:
    if any(match.by == "file" and match.made for match in matches):
        return Integrity.INTACT
    if manifest is not None:
        if manifest.state is not Standing.TRUSTED and any(match.sure for match in matches):
            return Integrity.CHANGED  # ours, but not as it was signed here
        if manifest.state is Standing.VALID and any(match.by == "mark" for match in matches):
            return Integrity.UNPROVEN
        return _SIGNED[manifest.state]
    if any(match.sure for match in matches):
        return Integrity.CHANGED
    if mark is not None:
        return Integrity.UNPROVEN
    says_so = declared is not None and (declared.says_generated or declared.manifest_at)
    return Integrity.UNPROVEN if says_so else Integrity.UNMARKED
