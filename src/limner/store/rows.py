"""An Asset as rows, and back again, without loss."""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, select

from limner.domain.asset import Asset, Environment, Parent
from limner.domain.canonical import canonical_json
from limner.domain.errors import InvalidRequest, StorageFailed
from limner.domain.policy import Policy
from limner.domain.recipe import Recipe, Sha256, Size
from limner.domain.record import Record
from limner.domain.workspace import Workspace
from limner.store.tables import asset_parents, assets, environments, recipes

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PROVENANCE = ("terms", "mark", "fingerprint", "drift", "unsafe", "blurred")


def microseconds(moment: datetime) -> int:
    """Return whole microseconds since 1970 UTC; raise InvalidRequest without a time zone."""
    if moment.tzinfo is None:
        raise InvalidRequest("The time an asset was created needs a time zone. Give it in UTC.")
    return (moment - _EPOCH) // _MICROSECOND


def folded(text: str) -> str:
    """Return text as searches compare it: letters alike whatever their case and encoding."""
    return unicodedata.normalize("NFKC", text).casefold().replace("\0", " ")


def asset_row(asset: Asset) -> dict[str, Any]:
    """Return the row of `assets` for an asset."""
    return {
        "workspace": asset.workspace,
        "id": asset.id,
        "media_type": asset.media_type,
        "bytes": asset.bytes,
        "width": asset.size.width,
        "height": asset.size.height,
        "pixel_digest": asset.pixel_digest,
        "created": microseconds(asset.created),
        "created_by": asset.created_by,
        "recipe": asset.recipe.digest if asset.recipe else None,
        "environment": asset.environment.digest if asset.environment else None,
        "seconds": asset.seconds,
        "provenance": _provenance(asset),
    }


def registry_row(asset: Asset) -> dict[str, Any]:
    """Return the row of `registry` for an asset."""
    return {
        "workspace": asset.workspace,
        "asset": asset.id,
        "pixel_digest": asset.pixel_digest,
        "mark": asset.mark,
        "fingerprint": bytes.fromhex(asset.fingerprint) if asset.fingerprint else None,
        "created": microseconds(asset.created),
    }


def journal_row(record: Record) -> dict[str, Any]:
    """Return the row of `journal` for a record."""
    return {
        "workspace": record.workspace,
        "actor": record.actor,
        "kind": record.kind.value,
        "at": microseconds(record.at),
        "asset": record.asset,
        "detail": canonical_json([list(pair) for pair in record.detail]).decode(),
    }


def to_record(row: Row[Any]) -> Record:
    """Return the record of a row of `journal`; raise StorageFailed if it makes no sense."""
    try:
        return Record(
            workspace=row.workspace,
            actor=row.actor,
            kind=row.kind,
            at=to_moment(row.at),
            asset=row.asset,
            detail=json.loads(row.detail),
            number=row.id,
        )
    except ValueError as error:
        raise StorageFailed(
            f"Line {row.id} of the library's journal cannot be understood. If it was written by a "
            "newer Limner, update this one."
        ) from error


def policy_text(policy: Policy) -> str:
    """Return what `workspaces` keeps of a policy."""
    return canonical_json(policy.model_dump(mode="json")).decode()


def to_policy(workspace: Workspace, kept: str | None) -> Policy:
    """Return the policy of what `workspaces` keeps, the default one for None.

    Raises StorageFailed if it makes no sense.
    """
    try:
        return Policy.model_validate_json(kept) if kept else Policy()
    except ValueError as error:
        raise StorageFailed(
            f"The rules of the workspace “{workspace.name}” cannot be understood. If they were "
            "set by a newer Limner, update this one; nothing is made under rules unknown."
        ) from error


def to_moment(value: int) -> datetime:
    """Return the moment of whole microseconds since 1970 UTC."""
    return _EPOCH + timedelta(microseconds=value)


def _provenance(asset: Asset) -> str | None:
    """Return what an asset keeps of marks, licences and safety, or None where that is nothing."""
    kept = asset.model_dump(mode="json", include=set(_PROVENANCE), exclude_defaults=True)
    return canonical_json(kept).decode() if kept else None


def parent_rows(asset: Asset) -> list[dict[str, Any]]:
    """Return the rows of `asset_parents` for an asset."""
    return [
        {
            "workspace": asset.workspace,
            "asset": asset.id,
            "position": position,
            "parent": parent.asset,
            "relation": parent.relation.value,
        }
        for position, parent in enumerate(asset.parents)
    ]


def recipe_row(recipe: Recipe) -> dict[str, Any]:
    """Return the row of `recipes` for a recipe."""
    return {
        "digest": recipe.digest,
        "model": recipe.model.name,
        "words": folded(recipe.prompt),
        "json": canonical_json(recipe.model_dump(mode="json")).decode(),
    }


def environment_row(environment: Environment) -> dict[str, Any]:
    """Return the row of `environments` for an environment."""
    return {
        "digest": environment.digest,
        "json": canonical_json(environment.model_dump(mode="json")).decode(),
    }


def select_assets() -> Select[Any]:
    """Return the query of all assets with recipe and environment, to be narrowed."""
    return (
        select(
            assets,
            recipes.c.json.label("recipe_json"),
            environments.c.json.label("environment_json"),
        )
        .join(recipes, recipes.c.digest == assets.c.recipe, isouter=True)
        .join(environments, environments.c.digest == assets.c.environment, isouter=True)
    )


def select_parents(workspace: str, ids: Sequence[Sha256]) -> Select[Any]:
    """Return the query of the parents of these assets, in the order they were given."""
    return (
        select(asset_parents)
        .where(asset_parents.c.workspace == workspace, asset_parents.c.asset.in_(ids))
        .order_by(asset_parents.c.asset, asset_parents.c.position)
    )


def to_asset(row: Row[Any], parents: Iterable[Row[Any]]) -> Asset:
    """Return the asset of a row of `select_assets` and its rows of `select_parents`.

    Raises StorageFailed if they make no sense.
    """
    try:
        return Asset(
            id=row.id,
            workspace=row.workspace,
            media_type=row.media_type,
            bytes=row.bytes,
            size=Size(width=row.width, height=row.height),
            pixel_digest=row.pixel_digest,
            created=to_moment(row.created),
            created_by=row.created_by,
            parents=tuple(
                Parent.model_validate({"asset": one.parent, "relation": one.relation})
                for one in parents
            ),
            recipe=row.recipe_json and Recipe.model_validate_json(row.recipe_json),
            environment=row.environment_json
            and Environment.model_validate_json(row.environment_json),
            seconds=row.seconds,
            **json.loads(row.provenance or "{}"),
        )
    except (ValueError, TypeError) as error:
        raise StorageFailed(
            f"The library's record of the asset {row.id} cannot be understood. If it was made by "
            "a newer Limner, update this one; else put back a copy of the library."
        ) from error
