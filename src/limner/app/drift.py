"""How far a finished file strays from the picture that was edited, where nothing was to change."""

from limner.domain.asset import Asset
from limner.domain.event import Notice
from limner.domain.recipe import FileFormat
from limner.engine.engine import Drawn
from limner.engine.framing import drift, laid_out
from limner.families.family import Order
from limner.provenance.intake import read_picture


def drift_of(order: Order, drawn: Drawn, file: bytes) -> float | None:
    """Return the largest colour difference outside the mask, in the file as it is kept.

    What the format loses and the label count. None without a mask, and for a drawing (SVG),
    whose pixels depend on who draws it.
    """
    if drawn.drift is None or order.recipe.format is FileFormat.SVG:
        return None
    found = drift(laid_out(order), read_picture(file).pixels)
    return drawn.drift if found is None else found


def notice_of(asset: Asset) -> Notice | None:
    """Return what the maker is told where pixels outside the mask did not stay; else None."""
    recipe = asset.recipe
    if recipe is None or not asset.drift or asset.blurred:
        return None
    reason = "the label lies on them, or the format" if recipe.label else "the format"
    return Notice(
        "drift",
        f"Pixels outside the mask changed by up to {asset.drift:.1f} (CIEDE2000): {reason} "
        f"({recipe.format.value}) does not keep them exactly. As PNG without a label they stay "
        "to the byte.",
    )
