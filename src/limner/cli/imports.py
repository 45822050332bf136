"""The command that brings in pictures other tools made, with their settings."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.cli.command import command
from limner.cli.work import Finishing, Work, at_work
from limner.domain.errors import InvalidOption

if TYPE_CHECKING:
    from limner.app.imports import Imported
    from limner.provenance.foreign.settings import ForeignModel


@dataclass(frozen=True, kw_only=True)
class Import(Finishing):
    """Options of `import`."""

    file: Annotated[Path, typer.Argument(metavar="FILE", help="The picture.")]
    draw: Annotated[
        bool, typer.Option("--draw", metavar="", help="Draw it again with the settings in it.")
    ] = False


def import_file(asked: Import) -> None:
    """Bring a picture into the library and show how it was made.

    Reads the settings that AUTOMATIC1111 and its kin, ComfyUI, InvokeAI, SwarmUI and Limner
    write, and says what cannot be taken over.
    """
    from limner.app.files import read_file
    from limner.app.imports import draw_imported, import_picture

    with at_work(asked) as work:
        studio, actor, workspace = work.desk.studio, work.desk.actor, work.desk.workspace
        imported = import_picture(studio, actor, workspace, read_file(asked.file), asked.model)
        if asked.draw:
            imported = _in_format(imported, work.target.format)
            work.check_target()
        with work.screen.aside():
            _tell(work, imported)
        if asked.draw:
            for made in draw_imported(studio, actor, workspace, imported, work.progress):
                work.write(made, f"{asked.file.stem}-again")


def add_to(app: typer.Typer) -> None:
    """Add this command to the program."""
    command(
        app,
        Import,
        "limner import fox.png",
        "limner import fox.png --draw --out again.png",
        "limner import fox.png --json",
        name="import",
    )(import_file)


def _in_format(imported: "Imported", chosen: str | None) -> "Imported":
    """Return the same with the format that was asked for."""
    if chosen is None or imported.draft is None:
        return imported
    from limner.app.drafts import read_format

    file_format = read_format(chosen)
    recipe = imported.settings.recipe if imported.settings else None
    if recipe is None:
        changed = {"format": file_format, "transparent": None}
        return replace(imported, draft=imported.draft.model_copy(update=changed))
    if recipe.format is not file_format:
        raise InvalidOption(
            f"This picture is drawn again exactly as it was, as {recipe.format.value}. Ask for "
            "that format, or leave it out."
        )
    return imported


def _tell(work: Work, imported: "Imported") -> None:
    settings = imported.settings
    if work.output.json:
        work.output.record(_entry(imported))
        return
    asset = imported.asset
    if asset is None:
        work.output.say(
            "Read, not kept: the library holds drawings (SVG) that were made here, and of others "
            "pixels alone. Its signature is read by limner verify."
        )
    if settings is None:
        if asset is not None:
            work.output.line(f"{asset.id[:12]}  {asset.size}")
        what = "carries no settings that Limner can read"
        if imported.damaged:
            what = f"carries settings of {imported.damaged}, but they are damaged: what was written"
            what += " is cut off or was changed, and cannot be read"
        work.output.say(f"Kept. It {what}." if asset is not None else f"It {what}.")
        return
    rows = [("made with", settings.tool)]
    if settings.model is not None:
        rows.append(("model", settings.model.name or settings.model.hash or ""))
    given = _given(imported) or {}
    if settings.model is not None:
        given.pop("model", None)
    rows += [(name.replace("_", " "), _said(value)) for name, value in given.items()]
    if imported.card is not None:
        rows.append(("drawn by", imported.card.name))
    work.output.table(("asset", asset.id if asset else "not kept"), rows)
    if imported.unmapped:
        lost = [(one.name, one.value, one.reason) for one in imported.unmapped]
        work.output.table(("not taken over", "value", "why"), lost)


def _given(imported: "Imported") -> dict[str, object] | None:
    """Return what the Draft says, less how it is to be read."""
    if imported.draft is None:
        return None
    return imported.draft.model_dump(mode="json", exclude_defaults=True, exclude={"literal"})


def _said(value: object) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    if isinstance(value, dict) and {"width", "height"} == value.keys():
        return f"{value['width']}x{value['height']}"
    return " ".join(str(value).split())


def _entry(imported: "Imported") -> dict[str, object]:
    settings = imported.settings
    return {
        "asset": imported.asset.id if imported.asset else None,
        "size": str(imported.asset.size) if imported.asset else None,
        "tool": settings.tool if settings else imported.damaged,
        "damaged": imported.damaged is not None,
        "draft": _given(imported),
        "recipe_digest": settings.recipe.digest if settings and settings.recipe else None,
        "model": _model(settings.model) if settings and settings.model else None,
        "adapters": [_model(one) for one in settings.adapters] if settings else [],
        "strength": settings.strength if settings else None,
        "drawn_by": imported.card.name if imported.card else None,
        "unmapped": [
            {"name": one.name, "value": one.value, "reason": one.reason}
            for one in imported.unmapped
        ],
    }


def _model(model: "ForeignModel") -> dict[str, object]:
    return {
        "name": model.name,
        "hash": model.hash,
        "weight": model.weight,
        "text_weight": model.text_weight,
    }
