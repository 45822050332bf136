"""Where a picture comes from, as far as it can be told: one verdict per mark, and one in all."""

from collections.abc import Iterator
from enum import StrEnum
from hashlib import sha256
from typing import Literal

from limner.app.keys import Keyring
from limner.domain.canonical import Frozen
from limner.domain.errors import InvalidImage
from limner.domain.recipe import FileFormat, Sha256
from limner.domain.workspace import Actor, Role, Workspace
from limner.families.raster import pixel_digest
from limner.provenance.fingerprint import ALIKE, fingerprint
from limner.provenance.foreign.reading import read_settings
from limner.provenance.intake import Picture, read_picture
from limner.provenance.manifest import Manifest, Standing, read_manifest
from limner.provenance.metadata import read_recipe
from limner.provenance.watermark import detect
from limner.provenance.xmp import read_statement
from limner.store.library import Library

_SVG = FileFormat.SVG.media_type
_AI = "trainedalgorithmicmedia"
_MAGIC = (
    (0, b"\x89PNG", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (8, b"WEBP", "image/webp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (4, b"ftypavi", "image/avif"),
)
"""(offset, bytes, media type) of the formats that can hold a manifest."""


class Integrity(StrEnum):
    """What all marks together say.

    `intact`: marked, and proven to be as it was when it was marked. `changed`: marked, and not
    the file that was marked any more. `unproven`: it says that AI made it, but nothing shows who
    says so and whether it was changed. `unmarked`: no mark was found, which proves nothing.
    """

    INTACT = "intact"
    CHANGED = "changed"
    UNPROVEN = "unproven"
    UNMARKED = "unmarked"

    @property
    def exit_status(self) -> int:
        """0 marked and intact, 1 marked but changed or unproven, 2 no mark found."""
        return {"intact": 0, "unmarked": 2}.get(self.value, 1)


class Match(Frozen):
    """A picture of the library that this one is or comes from, and how it was recognised.

    `distance` is how many of 256 bits of the fingerprint differ; `here` whether the library
    still has it.
    """

    asset: Sha256
    by: Literal["file", "pixels", "mark", "fingerprint"]
    here: bool
    distance: int = 0


class Declared(Frozen):
    """What a file says of itself in plain metadata, which anyone can write or remove."""

    source_type: str | None = None
    system: str | None = None
    recipe_digest: Sha256 | None = None
    settings_of: str | None = None


class Verdict(Frozen):
    """What was found in a file. Layers that hold nothing are None or empty."""

    integrity: Integrity
    summary: str
    media_type: str
    manifest: Manifest | None = None
    declared: Declared | None = None
    mark: str | None = None
    matches: tuple[Match, ...] = ()


class Verifier:
    """Examines files against the registry of a workspace and the keys of a studio."""

    def __init__(self, library: Library, keyring: Keyring) -> None:
        self._library = library
        self._keyring = keyring

    def verify(self, actor: Actor, workspace: Workspace, file: bytes) -> Verdict:
        """Return the verdict on a picture file, ours or anyone's.

        Raises InvalidImage for what is no picture or cannot be read; never fails otherwise,
        whatever is in the file.
        """
        actor.require(workspace, Role.VIEWER)
        media_type = _media_type(file)
        manifest = read_manifest(file, media_type, self._keyring.anchors()) if media_type else None
        if media_type == _SVG and not file.rstrip().endswith(b"</svg>"):
            raise InvalidImage("The drawing is cut off: it has no end. Export it again.")
        try:
            picture = None if media_type == _SVG else read_picture(file)
        except InvalidImage:
            if manifest is None:
                raise
            picture = None  # what is left of it is marked, and that it is broken is the verdict
        declared = _declared(file)
        found = detect(picture.pixels) if picture else None
        mark = found.mark if found else None
        matches = tuple(self._matches(workspace, file, picture, mark))
        integrity = _integrity(manifest, declared, mark, matches)
        return Verdict(
            integrity=integrity,
            summary=" ".join(_sentences(integrity, manifest, declared, mark, matches)),
            media_type=media_type or (picture.media_type if picture else ""),
            manifest=manifest,
            declared=declared,
            mark=mark,
            matches=matches,
        )

    def _matches(
        self, workspace: Workspace, file: bytes, picture: Picture | None, mark: str | None
    ) -> Iterator[Match]:
        """Yield every asset that this file matches, once, by the strongest of its matches."""
        library, seen = self._library, set[str]()
        found = [("file", library.find_file(workspace, sha256(file).hexdigest()))]
        if picture is not None:
            digest = pixel_digest(picture.pixels)
            found.append(("pixels", library.find_by_pixels(workspace, digest)))
        if mark is not None:
            found.append(("mark", library.find_by_mark(workspace, mark)))
        if picture is not None:
            near = library.find_by_fingerprint(workspace, fingerprint(picture.pixels), ALIKE)
            found.append(("fingerprint", near))
        for how, known in found:
            for one in known:
                if one.asset not in seen:
                    seen.add(one.asset)
                    yield Match.model_validate(
                        {
                            "asset": one.asset,
                            "by": how,
                            "here": one.here,
                            "distance": one.distance,
                        }
                    )


def _media_type(file: bytes) -> str:
    """Return the media type that a file's first bytes say, of those that can hold a manifest."""
    start = file[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<?xml", b"<svg", b"<!doctype svg")) and b"<svg" in file[:4096].lower():
        return _SVG
    for offset, magic, media_type in _MAGIC:
        if file[offset : offset + len(magic)] == magic:
            return media_type
    return ""


def _declared(file: bytes) -> Declared | None:
    statement, recipe, settings = read_statement(file), read_recipe(file), read_settings(file)
    declared = Declared(
        source_type=statement.digital_source_type if statement else None,
        system=statement.system if statement else None,
        recipe_digest=recipe.digest if recipe else None,
        settings_of=settings.tool if settings else None,
    )
    return None if declared == Declared() else declared


def _integrity(
    manifest: Manifest | None,
    declared: Declared | None,
    mark: str | None,
    matches: tuple[Match, ...],
) -> Integrity:
    if any(match.by == "file" for match in matches):
        return Integrity.INTACT
    if manifest is not None:
        return Integrity.CHANGED if manifest.state is Standing.INVALID else Integrity.INTACT
    if mark is not None or matches:
        return Integrity.CHANGED
    if declared is None:
        return Integrity.UNMARKED
    said = (declared.source_type or "").lower()
    is_marked = said.endswith(_AI) or declared.recipe_digest or declared.settings_of
    return Integrity.UNPROVEN if is_marked else Integrity.UNMARKED


def _sentences(
    integrity: Integrity,
    manifest: Manifest | None,
    declared: Declared | None,
    mark: str | None,
    matches: tuple[Match, ...],
) -> Iterator[str]:
    if manifest is not None:
        yield _on_manifest(manifest)
    best = matches[0] if matches else None
    if best is not None:
        yield _on_match(best)
    elif mark is not None:
        yield f"It carries Limner's invisible watermark with the id {mark}, not of this library."
    if integrity is Integrity.UNPROVEN:
        yield (
            "The file says of itself that it was made with AI, in plain metadata that anyone can "
            "write; no signature proves it."
        )
    if integrity is Integrity.UNMARKED:
        yield (
            "No mark was found. That does not show that no AI made it: marks can be missing or "
            "removed."
        )
        if declared is not None and declared.source_type:
            yield f"It says of itself: {declared.source_type}."


def _on_manifest(manifest: Manifest) -> str:
    who = manifest.issuer or manifest.common_name or "someone unnamed"
    if manifest.state is Standing.INVALID:
        reasons = " ".join(dict.fromkeys(one.message for one in manifest.failures))
        return f"It carries a signed manifest that does not hold: {reasons}"
    made = "It was made with AI" if _is_ai(manifest) else "It was signed"
    trust = "whom you trust" if manifest.state is Standing.TRUSTED else "whom you have not trusted"
    with_what = f" with {manifest.generator}" if manifest.generator else ""
    return f"{made}{with_what}, and is unchanged since it was signed by {who}, {trust}."


def _is_ai(manifest: Manifest) -> bool:
    return (manifest.source_type or "").lower().endswith(_AI)


def _on_match(match: Match) -> str:
    where = "of this library" if match.here else "that this library once held"
    name = match.asset[:12]
    return {
        "file": f"It is the file {name} {where}, byte for byte.",
        "pixels": f"Its pixels are those of {name} {where}.",
        "mark": f"Its invisible watermark says that it comes from {name} {where}.",
        "fingerprint": f"It looks like {name} {where} ({match.distance} of 256 bits differ).",
    }[match.by]
