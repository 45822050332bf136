"""C2PA manifests: what is claimed of a picture under a signature, written and read.

C2PA Technical Specification 2.2, https://spec.c2pa.org. No prompt and nothing about a person is
written into a manifest.
"""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from typing import Any, Literal

from limner.domain.canonical import Frozen
from limner.domain.errors import SigningFailed
from limner.domain.policy import Mining
from limner.provenance.padding import is_padding_touched
from limner.provenance.signing import Signer

RECIPE_ASSERTION = "org.limner.recipe"
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_MINING = (
    "cawg.ai_generative_training",
    "cawg.ai_training",
    "cawg.ai_inference",
    "cawg.data_mining",
)
_NO_THUMBNAIL = {"builder": {"thumbnail": {"enabled": False}}}
"""A thumbnail would put a second, unmarked copy of the picture into its own file."""

MADE_BY_MODEL = "trainedAlgorithmicMedia"
CHANGED_BY_MODEL = "compositeWithTrainedAlgorithmicMedia"
"""Digital source types (IPTC): all of a picture, and a picture that was there before."""

_BASE = "parentOf"
_PARENT = "parent"


@dataclass(frozen=True)
class ModelClaim:
    """A model that took part: its name, the digest of its weights, its licence (SPDX)."""

    name: str
    sha256: str
    licence: str


@dataclass(frozen=True)
class Ingredient:
    """A picture that went into another: what was edited (parent), or a mask or reference."""

    file: bytes
    media_type: str
    role: Literal["parent", "component"]
    title: str


@dataclass(frozen=True)
class Claim:
    """What a manifest says of a picture.

    `composite`: a picture that no model made is the base of this one. `recipe_digest` is None
    where the workspace keeps it to itself. `action` is the C2PA name of what was
    done, such as `c2pa.created`; with a parent the picture was opened first.
    """

    title: str
    composite: bool
    action: str
    recipe_digest: str | None
    models: tuple[ModelClaim, ...] = ()
    mining: Mining = Mining.NOT_ALLOWED
    ingredients: tuple[Ingredient, ...] = ()


class Standing(StrEnum):
    """What the reader makes of a manifest.

    `expired`: nothing was changed, but the signer's certificate has ended, and nothing proves
    that it had not when it signed.
    """

    TRUSTED = "trusted"
    VALID = "valid"
    EXPIRED = "expired"
    INVALID = "invalid"


class Failure(Frozen):
    """Why a manifest is not trusted or not valid: the C2PA status code, and plain words."""

    code: str
    message: str


class Action(Frozen):
    """Something that was done, and the digital source type that came of it."""

    name: str
    source_type: str | None = None


class Source(Frozen):
    """An ingredient as a manifest names it, and what its own manifest is worth, if it has one.

    `by_model`: that manifest, or one further back, says that a model made the picture.
    """

    title: str
    relationship: str
    state: Standing | None = None
    by_model: bool = False


class Manifest(Frozen):
    """What a file's manifest says, and whether it holds.

    `own`: signed with the keys of the studio that looks at it.
    """

    state: Standing
    own: bool = False
    failures: tuple[Failure, ...] = ()
    issuer: str | None = None
    common_name: str | None = None
    signed_at: str | None = None
    generator: str | None = None
    title: str | None = None
    actions: tuple[Action, ...] = ()
    ingredients: tuple[Source, ...] = ()
    recipe_digest: str | None = None
    models: tuple[str, ...] = ()
    mining: str | None = None

    @property
    def source_type(self) -> str | None:
        """The digital source type of the last action that has one."""
        found = [action.source_type for action in self.actions if action.source_type]
        return found[-1] if found else None


def sign_file(file: bytes, media_type: str, claim: Claim, signer: Signer) -> bytes:
    """Return the file with a signed manifest in it.

    Raises SigningFailed where the signer fails or the format cannot hold a manifest.
    """
    from c2pa import Builder, C2paError, C2paSigningAlg, Context
    from c2pa import Signer as C2paSigner

    failed: list[Exception] = []

    def sign(content: bytes) -> bytes:
        try:
            return signer.sign(content)
        except SigningFailed as error:  # the library would replace it by one without its reason
            failed.append(error)
            raise

    signed = io.BytesIO()
    try:
        context = Context.from_dict(_NO_THUMBNAIL)
        with (
            C2paSigner.from_callback(
                sign, C2paSigningAlg.ES256, signer.certificates.decode(), signer.time_authority
            ) as key,
            Builder(json.dumps(_definition(claim)), context=context) as builder,
        ):
            for label, ingredient in _labelled(claim):
                about = {
                    "title": ingredient.title,
                    "label": label,
                    "relationship": _BASE if ingredient.role == "parent" else "inputTo",
                }
                builder.add_ingredient(about, ingredient.media_type, io.BytesIO(ingredient.file))
            builder.sign(key, media_type, io.BytesIO(file), signed)
    except C2paError as error:
        if failed:
            raise failed[0] from error
        reason = str(error).partition("\n")[0]
        stamp = " or time authority" if signer.time_authority else ""
        raise SigningFailed(
            f"The picture could not be signed: {reason}. Check the keys{stamp}: limner keys show."
        ) from error
    return signed.getvalue()


def read_manifest(file: bytes, media_type: str, anchors: bytes = b"") -> Manifest | None:
    """Return what the manifest in a file says, or None where there is none.

    `anchors` are root certificates as PEM whose signatures are trusted. A manifest that is
    there but cannot be read is returned as invalid.
    """
    from c2pa import C2paError, Context, Reader

    trust = {"trust": {"trust_anchors": anchors.decode()}} if anchors else {}
    settings = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    try:
        context = Context.from_dict({**settings, **trust})
        reader = Reader.try_create(media_type, io.BytesIO(file), context=context)
        if reader is None:
            return None
        with reader:
            stored: dict[str, Any] = json.loads(reader.json())
            state = str(reader.get_validation_state() or "Invalid")
    except C2paError:
        return Manifest(state=Standing.INVALID, failures=(_BROKEN,)) if has_manifest(file) else None
    try:
        manifest = _manifest(stored, _standing(stored, Standing(state.lower())))
    except (AttributeError, KeyError, TypeError, ValueError):
        return Manifest(state=Standing.INVALID, failures=(_SENSELESS,))
    if manifest.state is not Standing.INVALID and is_padding_touched(file):
        return manifest.model_copy(update={"state": Standing.INVALID, "failures": (_TOUCHED,)})
    return manifest


def has_manifest(file: bytes) -> bool:
    """Whether a file holds the mark of a C2PA manifest store, readable or not."""
    return any(mark in file for mark in _MARKS) or b"caBX" in file[:65_536]


def _definition(claim: Claim) -> dict[str, Any]:
    kind = CHANGED_BY_MODEL if claim.composite else MADE_BY_MODEL
    agent = {"name": "Limner", "version": version("limner")}
    done: dict[str, Any] = {
        "action": claim.action,
        "digitalSourceType": f"{_SOURCE_TYPES}{kind}",
        "softwareAgent": agent,
    }
    actions = [done]
    labels = [label for label, _ in _labelled(claim)]
    if _PARENT in labels:
        actions.insert(0, {"action": "c2pa.opened", "parameters": {"ingredientIds": [_PARENT]}})
    others = [label for label in labels if label != _PARENT]
    if others:
        done["parameters"] = {"ingredientIds": others}
    use = {"use": claim.mining.value}
    models = [
        {"name": one.name, "sha256": one.sha256, "licence": one.licence} for one in claim.models
    ]
    digest = {"digest": claim.recipe_digest} if claim.recipe_digest else {}
    return {
        "title": claim.title,
        "claim_generator_info": [agent],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": RECIPE_ASSERTION, "data": {**digest, "models": models}},
            {
                "label": "cawg.training-mining",
                "data": {"entries": {name: dict(use) for name in _MINING}},
            },
        ],
    }


def _labelled(claim: Claim) -> Iterator[tuple[str, Ingredient]]:
    """Yield every ingredient with the name that actions know it by; there is one parent."""
    for number, ingredient in enumerate(claim.ingredients):
        label = _PARENT if ingredient.role == "parent" else f"input{number}"
        yield label, ingredient


def _manifest(stored: Mapping[str, Any], state: Standing) -> Manifest:
    active: Mapping[str, Any] = stored.get("manifests", {}).get(stored.get("active_manifest"), {})
    signature = active.get("signature_info") or {}
    assertions = {one.get("label"): one.get("data") for one in active.get("assertions", [])}
    recipe = assertions.get(RECIPE_ASSERTION) or {}
    results = (stored.get("validation_results") or {}).get("activeManifest") or {}
    entries = (assertions.get("cawg.training-mining") or {}).get("entries") or {}
    return Manifest(
        state=state,
        failures=tuple(_failures(results)),
        issuer=signature.get("issuer"),
        common_name=signature.get("common_name"),
        signed_at=signature.get("time"),
        generator=_generator(active),
        title=active.get("title"),
        actions=tuple(_actions(assertions)),
        ingredients=tuple(
            _source(one, stored.get("manifests", {})) for one in active.get("ingredients", [])
        ),
        recipe_digest=recipe.get("digest"),
        models=tuple(str(one.get("name")) for one in recipe.get("models", [])),
        mining=next((str(one.get("use")) for one in entries.values()), None),
    )


def _standing(stored: Mapping[str, Any], state: Standing) -> Standing:
    """Return the reader's state, but for one that is invalid for certificates that ended alone."""
    results = stored.get("validation_results") or {}
    own = {str(one.get("code")) for one in (results.get("activeManifest") or {}).get("failure", [])}
    before = {
        str(one.get("code"))
        for delta in results.get("ingredientDeltas") or ()
        for one in (delta.get("validationDeltas") or {}).get("failure", [])
    }
    if state is not Standing.INVALID or _ENDED not in own | before or not own | before <= _LAPSES:
        return state
    if _ENDED in own:
        return Standing.EXPIRED
    return Standing.VALID if _UNTRUSTED in own else Standing.TRUSTED


def _failures(results: Mapping[str, Any]) -> Iterator[Failure]:
    for one in results.get("failure", []):
        code = str(one.get("code"))
        yield Failure(code=code, message=_PLAIN.get(code, "It breaks a rule of signed manifests."))


def _generator(manifest: Mapping[str, Any]) -> str | None:
    """Return the program that made the manifest, with its version."""
    for one in manifest.get("claim_generator_info") or ():
        return f"{one.get('name', '')} {one.get('version', '')}".strip() or None
    generator = manifest.get("claim_generator")
    return str(generator) if generator else None


def _actions(assertions: Mapping[str, Any]) -> Iterator[Action]:
    for label, content in assertions.items():
        if str(label).startswith("c2pa.actions"):
            for one in (content or {}).get("actions", []):
                kind = one.get("digitalSourceType")
                yield Action(
                    name=str(one.get("action")),
                    source_type=str(kind).rpartition("/")[2] if kind else None,
                )


def _source(ingredient: Mapping[str, Any], manifests: Mapping[str, Any]) -> Source:
    state = None
    if ingredient.get("active_manifest"):
        results = (ingredient.get("validation_results") or {}).get("activeManifest") or {}
        codes = {str(one.get("code")) for one in results.get("failure", [])}
        state = Standing.INVALID if codes - _LAPSES else Standing.VALID
    return Source(
        title=str(ingredient.get("title") or "untitled"),
        relationship=str(ingredient.get("relationship")),
        state=state,
        by_model=_by_model(ingredient, manifests),
    )


def _by_model(ingredient: Mapping[str, Any], manifests: Mapping[str, Any]) -> bool:
    """Whether an ingredient, or what it was made from, is said to be made by a model."""
    for _ in manifests:  # no more steps than there are manifests, however they name each other
        own: Mapping[str, Any] = manifests.get(str(ingredient.get("active_manifest")), {})
        assertions = {one.get("label"): one.get("data") for one in own.get("assertions", [])}
        if any(action.source_type == MADE_BY_MODEL for action in _actions(assertions)):
            return True
        parents = (one for one in own.get("ingredients", []) if one.get("relationship") == _BASE)
        ingredient = next(parents, {})
    return False


_MARKS = (b"jumdc2pa", b"<c2pa:manifest")
_BROKEN = Failure(code="unreadable", message="The file or its manifest is too damaged to read.")
_SENSELESS = Failure(code="malformed", message="What the manifest says makes no sense.")
_TOUCHED = Failure(
    code="padding",
    message="Bytes of the manifest that no signature covers, and that are zero when it is "
    "written, were changed.",
)

_UNTRUSTED, _ENDED = "signingCredential.untrusted", "signingCredential.expired"
_LAPSES = frozenset({_UNTRUSTED, _ENDED})
"""What says of a signer, not of a file, that it cannot be relied on."""

_PLAIN = {
    "signingCredential.untrusted": "The signature is intact, but its issuer is not one you trust.",
    "signingCredential.expired": "The signer's certificate has ended, and no trusted "
    "time stamp proves that the picture was signed before.",
    "signingCredential.revoked": "The signer's certificate was withdrawn by its issuer.",
    "signingCredential.invalid": "The signer's certificate may not sign pictures.",
    "assertion.dataHash.mismatch": "The file was changed after it was signed.",
    "assertion.bmffHash.mismatch": "The file was changed after it was signed.",
    "assertion.boxesHash.mismatch": "The file was changed after it was signed.",
    "assertion.hashedURI.mismatch": "What the manifest claims was changed after it was signed.",
    "claimSignature.mismatch": "The signature does not belong to this manifest.",
    "timeStamp.mismatch": "The time stamp does not belong to this signature.",
    "timeStamp.untrusted": "The time stamp is intact, but its issuer is not one you trust.",
}
"""Status codes of the C2PA specification in plain words."""
