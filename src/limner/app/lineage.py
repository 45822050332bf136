"""Where a picture came from and what was made of it: the use case behind `lineage`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from limner.domain.asset import Asset, Relation
from limner.domain.workspace import Actor, Role, Workspace
from limner.store.library import Library

_FARTHEST = 200
"""Generations that are followed."""


@dataclass(frozen=True)
class Relative:
    """An asset in a family tree, and what lies behind it.

    `asset` is None where only the id is known, the asset itself having been removed. `relation`
    is how the younger of the two came from the older. `repeated` marks an asset whose own
    relatives are listed where it was met first, `cut` one whose own are too far away to be listed.
    """

    id: str
    relation: Relation
    asset: Asset | None
    repeated: bool = False
    cut: bool = False
    relatives: tuple["Relative", ...] = ()


@dataclass(frozen=True)
class Lineage:
    """An asset with everything it was made from and everything made from it."""

    asset: Asset
    ancestors: tuple[Relative, ...]
    descendants: tuple[Relative, ...]


def lineage_of(library: Library, actor: Actor, workspace: Workspace, asset: str) -> Lineage:
    """Return the whole lineage of an asset, named by its id or the first digits of it.

    Raises AssetNotFound, AccessDenied, or InvalidRequest for what is no id.
    """
    actor.require(workspace, Role.VIEWER)
    found = library.get(workspace, asset)

    def older(one: Asset) -> Sequence[tuple[str, Relation, Asset | None]]:
        here = {parent.id: parent for parent in library.parents(workspace, one.id)}
        return [(link.asset, link.relation, here.get(link.asset)) for link in one.parents]

    def younger(one: Asset) -> Sequence[tuple[str, Relation, Asset | None]]:
        return [
            (child.id, link.relation, child)
            for child in library.children(workspace, one.id)
            for link in child.parents
            if link.asset == one.id
        ]

    return Lineage(found, _tree(found, older, {found.id}), _tree(found, younger, {found.id}))


def _tree(
    asset: Asset,
    links: Callable[[Asset], Sequence[tuple[str, Relation, Asset | None]]],
    met: set[str],
    away: int = 1,
) -> tuple[Relative, ...]:
    """Follow links from an asset; what was met before is named again but not followed again.

    `away` is how many generations lie between what is found here and where it began.
    """
    relatives = []
    for name, relation, one in links(asset):
        repeated = name in met
        met.add(name)
        cut, further = False, tuple[Relative, ...]()
        if one is not None and not repeated:
            cut = away >= _FARTHEST and bool(links(one))
            further = () if away >= _FARTHEST else _tree(one, links, met, away + 1)
        relatives.append(Relative(name, relation, one, repeated, cut, further))
    return tuple(relatives)
