"""The pictures that Recipes are drawn from, read from the library."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from limner.domain.recipe import InputRole, Recipe, Size
from limner.domain.workspace import Workspace
from limner.families.family import Order, Pixels
from limner.provenance.intake import read_mask, read_picture
from limner.store.library import Library


@dataclass
class Pictures:
    """Reads each picture of a request once, however many Recipes are drawn from it."""

    library: Library
    workspace: Workspace
    _read: dict[str, Pixels] = field(default_factory=dict)
    _masks: dict[tuple[str, Size], Pixels] = field(default_factory=dict)

    def orders(self, recipes: Sequence[Recipe]) -> list[Order]:
        """Return the orders for Recipes; raises InvalidImage for what is no picture or mask."""
        return [self._order(recipe) for recipe in recipes]

    def _order(self, recipe: Recipe) -> Order:
        return Order(
            recipe,
            inputs={
                one.role: self._mask(one.asset, recipe)
                if one.role is InputRole.MASK
                else self._pixels(one.asset)
                for one in recipe.inputs
            },
            controls=tuple(self._pixels(one.asset) for one in recipe.controls),
            references=tuple(self._pixels(one.asset) for one in recipe.references),
            regions=tuple(self._pixels(one.mask) if one.mask else None for one in recipe.layout),
        )

    def _pixels(self, asset: str) -> Pixels:
        if asset not in self._read:
            file = self.library.read(self.workspace, asset)
            self._read[asset] = read_picture(file).pixels
        return self._read[asset]

    def _mask(self, asset: str, recipe: Recipe) -> Pixels:
        init = recipe.input(InputRole.INIT)
        if init is None:
            raise AssertionError("a mask belongs to a picture")
        size = self.library.get(self.workspace, init.asset).size
        if (asset, size) not in self._masks:
            file = self.library.read(self.workspace, asset)
            self._masks[asset, size] = read_mask(file, size)
        return self._masks[asset, size]
