"""What was found in a file, in words that anyone understands."""

from collections.abc import Iterator

from limner.app.verdict import Declared, Integrity, Looked, Match, Verdict
from limner.provenance.manifest import CHANGED_BY_MODEL, MADE_BY_MODEL, Manifest, Standing


def summary(verdict: Verdict) -> str:
    """Return what a verdict means, in a few sentences."""
    return " ".join(_sentences(verdict))


def _sentences(verdict: Verdict) -> Iterator[str]:
    manifest, declared = verdict.manifest, verdict.declared
    if manifest is not None:
        yield _on_manifest(manifest)
    yield from _on_library(verdict)
    if verdict.unasked is not None:
        yield "Your library could not be asked whether it knows this picture."
    if verdict.looked is Looked.DAMAGED:
        yield "Its pixels are damaged and could not be looked at."
    is_bare = verdict.integrity is Integrity.UNPROVEN and manifest is None
    if is_bare and declared is not None and declared.says_generated:
        yield (
            f"The file says of itself that {_said(declared)}, in plain metadata that anyone can "
            "write; no signature proves it."
        )
    if manifest is None and declared is not None and declared.manifest_at:
        yield (
            f"It names a manifest that is kept elsewhere, at {declared.manifest_at}. Limner "
            "fetches nothing from there, so what that says was not checked."
        )
    if verdict.integrity is Integrity.UNMARKED:
        yield (
            "No mark was found. That does not show that no AI made it: marks can be missing or "
            "removed."
        )
        if declared is not None and declared.source_type:
            yield f"It says of itself: {declared.source_type}."


def _on_library(verdict: Verdict) -> Iterator[str]:
    """Yield what the library knows: the surest of what was made here, and what was brought in."""
    sure = next((one for one in verdict.matches if one.sure), None)
    named = next((one for one in verdict.matches if one.by == "mark"), None)
    if sure is not None:
        yield _on_sure(sure)
        if sure.by == "file" and verdict.manifest is None:
            yield "It was made with AI here; it is not signed, so only this library knows."
    elif named is not None:
        yield (
            f"It carries the invisible watermark of {_named(named)}, but {_looks(named)}: it may "
            "be a part of that picture, turned or drawn over, or another picture that the mark "
            "was put onto."
        )
    elif verdict.mark is not None:
        yield (
            f"It carries Limner's invisible watermark with the id {verdict.mark}"
            f"{', not of this library' if verdict.unasked is None else ''}."
        )
    is_ours = verdict.manifest is None or verdict.manifest.state is Standing.TRUSTED
    if sure is not None and sure.by != "file" and not is_ours:
        yield "So it is not the file that was signed here, and what it says now is not ours."
    brought = next((one for one in verdict.matches if not one.made), None)
    if brought is not None and (sure is None or brought.by == "file"):
        yield _on_brought(brought)
    if sure is None:
        alike = (one for one in verdict.matches if one.by == "fingerprint")
        similar = next((one for one in alike if one.made), None)
        if similar is not None and (brought is None or brought.by == "fingerprint"):
            yield (
                f"It looks similar to {_named(similar)} ({similar.distance} of 256 bits differ), "
                "which proves nothing."
            )


def _on_manifest(manifest: Manifest) -> str:
    who = manifest.issuer or manifest.common_name or "someone unnamed"
    if manifest.state is Standing.INVALID:
        reasons = " ".join(dict.fromkeys(one.message for one in manifest.failures))
        return f"It carries a signed manifest that does not hold: {reasons}"
    if manifest.state is Standing.EXPIRED:
        return (
            "It carries a signed manifest, and nothing was changed since it was signed; but when "
            f"that was cannot be proven: the certificate of the signer, named {who}, has ended, "
            "and there is no time stamp that you trust."
        )
    with_what = f" with {manifest.generator}" if manifest.generator else ""
    said = f"{_made(manifest, with_what)}. Picture and statements are unchanged since signed by"
    if manifest.own:
        return f"{said} you, as {who}."
    if manifest.state is Standing.TRUSTED:
        return f"{said} {who}, whom you trust."
    return (
        f"{said} someone who goes by the name of {who}, whom you have not trusted: anyone can sign "
        "in any name, and say anything."
    )


def _made(manifest: Manifest, with_what: str) -> str:
    """Return how a picture came to be, by the actions in its manifest and those before it."""
    kind = manifest.source_type
    if kind not in (MADE_BY_MODEL, CHANGED_BY_MODEL):
        if any(one.by_model for one in manifest.ingredients):
            return f"It was made with AI, in whole or in part, and then worked on{with_what}"
        return f"It was signed{with_what}"
    names = {action.name for action in manifest.actions}
    done = "enlarged" if "c2pa.resized" in names else "edited"
    if any(one.by_model for one in manifest.ingredients if one.relationship == "parentOf"):
        return f"It was made with AI, then {done} with AI{with_what}"
    if kind == MADE_BY_MODEL:
        return f"It was made with AI{with_what}"
    return f"It is a picture that was there before, {done} with AI{with_what}"


def _said(declared: Declared) -> str:
    if declared.source_type == CHANGED_BY_MODEL:
        return "it is a picture that was edited or enlarged with AI"
    if declared.source_type and declared.source_type.lower() == "compositesynthetic":
        return "a part of it was made with AI"
    return "it was made with AI"


def _on_sure(match: Match) -> str:
    name = _named(match)
    return {
        "file": f"It is the file {name}, byte for byte.",
        "pixels": f"Its pixels are those of {name}.",
        "mark": f"Its invisible watermark says that it comes from {name}, and it looks like it "
        f"({match.distance} of 256 bits differ).",
        "fingerprint": f"It is a copy of {name}, by what it looks like.",
    }[match.by]


def _on_brought(match: Match) -> str:
    when = f"{match.since:%Y-%m-%d}"
    if match.by == "file":
        return (
            f"This library has it as brought in on {when}, which says nothing of how it was made."
        )
    if match.by == "pixels":
        return f"Its pixels are those of {match.asset[:12]}, brought into this library on {when}."
    return f"It looks similar to {match.asset[:12]}, brought into this library on {when}."


def _looks(match: Match) -> str:
    if match.distance is None:
        return "whether it looks like it is not known"
    return f"the picture looks different ({match.distance} of 256 bits differ)"


def _named(match: Match) -> str:
    return (
        f"{match.asset[:12]} {'of this library' if match.here else 'that this library once held'}"
    )
