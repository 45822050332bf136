"""The command that tells where pictures come from."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli.command import Scripted, command
from limner.cli.output import Output, output_of
from limner.domain.errors import InvalidImage, LimnerError, NotFound, StorageFailed

if TYPE_CHECKING:
    from limner.app.verdict import Match, Verdict

UNREADABLE = 3


_ROLES = {
    "parentOf": "what was changed",
    "componentOf": "a part of it",
    "inputTo": "shown to the model",
}
"""How an ingredient belongs to a picture (C2PA), in words."""


@dataclass(frozen=True, kw_only=True)
class Verify(Scripted):
    """Options of `verify`."""

    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Pictures, anyone's.")]


def verify(asked: Verify) -> None:
    """Tell where pictures come from, and whether they were changed.

    Looks for a signed manifest, metadata, an invisible watermark, and a likeness to what this
    library made. Ends with 0 for marked and intact, 1 for marked but changed or not proven, 2
    where no mark was found, 3 for a file that cannot be read; of several files, the highest.
    """
    from limner.app.files import read_file
    from limner.app.keys import Keyring
    from limner.app.settings import read_settings
    from limner.app.verify import Verifier
    from limner.domain.workspace import LOCAL_ACTOR, LOCAL_WORKSPACE
    from limner.store.library import Library

    output = output_of(asked)
    settings = read_settings(asked.home)
    status = 0
    with ExitStack() as stack:
        library, unasked = None, ""
        try:
            library = stack.enter_context(Library.open(settings.home, reading=True))
        except StorageFailed as failure:
            unasked = failure.message
        verifier = Verifier(library, Keyring(settings), unasked)
        for path in asked.files:
            try:
                verdict = verifier.verify(LOCAL_ACTOR, LOCAL_WORKSPACE, read_file(path))
            except (NotFound, StorageFailed, InvalidImage) as error:
                _unreadable(output, path, error)
                status = UNREADABLE
                continue
            _tell(output, path, verdict)
            status = max(status, verdict.integrity.exit_status)
    if status:
        raise typer.Exit(status)


def add_to(app: typer.Typer) -> None:
    """Add this command to the program."""
    command(app, Verify, "limner verify fox.png", "limner verify *.jpg --json")(verify)


def _unreadable(output: Output, path: Path, error: LimnerError) -> None:
    if output.json:
        output.record({"path": str(path), "integrity": "unreadable", "summary": error.message})
    else:
        output.line(f"{path}: unreadable")
        output.line(f"  {error.message}")


def _tell(output: Output, path: Path, verdict: "Verdict") -> None:
    if output.json:
        output.record({"path": str(path), **verdict.model_dump(mode="json")})
        return
    output.line(f"{path}: {verdict.integrity.value}")
    output.line(f"  {verdict.summary}")
    for line in _layers(verdict):
        output.line(f"  · {line}")


def _layers(verdict: "Verdict") -> Iterator[str]:
    manifest, declared = verdict.manifest, verdict.declared
    if manifest is None:
        yield "manifest: none"
    else:
        when = f", {manifest.signed_at}" if manifest.signed_at else ""
        named = manifest.issuer or manifest.common_name or "someone who gives no name"
        signer = f"signed by {named}{when}"
        yield f"manifest: {manifest.state.value}, {signer}"
        for action in manifest.actions:
            kind = f" ({action.source_type})" if action.source_type else ""
            yield f"action: {action.name}{kind}"
        for source in manifest.ingredients:
            own = f", its own manifest {source.state.value}" if source.state else ""
            what = _ROLES.get(source.relationship, source.relationship)
            yield f"made from: {source.title} ({what}{own})"
        for failure in manifest.failures:
            yield f"{failure.code}: {failure.message}"
    if declared is None:
        yield "metadata: none"
    else:
        said = (
            declared.source_type,
            declared.system,
            declared.settings_of and f"settings of {declared.settings_of}",
            declared.manifest_at and f"a manifest at {declared.manifest_at}",
            declared.recipe_digest and f"its Recipe {declared.recipe_digest[:12]}",
        )
        yield f"metadata: {', '.join(one for one in said if one)}"
    unseen = {
        "damaged": "could not be looked at, the pixels being damaged",
        "drawing": "a drawing (SVG) has none",
    }.get(verdict.looked.value)
    yield f"watermark: {unseen or verdict.mark or 'none'}"
    if verdict.unasked is not None:
        yield f"library: {verdict.unasked}"
    elif not verdict.matches and unseen:
        yield "library: not this file; what it looks like could not be compared"
    elif not verdict.matches:
        yield "library: nothing like it"
    for match in verdict.matches[:5]:
        yield f"library: {_matched(match)}"


def _matched(match: "Match") -> str:
    how = f"by its {match.by}"
    if match.by == "mark" and match.distance is not None:
        how = f"by its mark, {match.distance} of 256 bits apart"
    if match.by == "fingerprint":
        how = f"{'a copy' if match.sure else 'similar'}, {match.distance} of 256 bits apart"
    whence = "" if match.made else f", brought in on {match.since:%Y-%m-%d}"
    gone = "" if match.here else ", removed since"
    return f"{match.asset[:12]}, {how}{whence}{gone}"
