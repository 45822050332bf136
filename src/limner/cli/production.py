"""Mass production: every row of a table, into one folder with one manifest."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from limner.cli.targets import read_target
from limner.cli.work import Finishing, at_work
from limner.domain.errors import InvalidOption


def produce_table(table: Path, asked: Finishing, options: Mapping[str, object], count: int) -> None:
    """Draw every row of a CSV; `options` and `count` hold for rows that leave them open.

    Raises InvalidTable, naming every row that cannot be drawn, before anything is.
    """
    from limner.app.table import MANIFEST, plan, produce, read_table

    out = asked.out or (f"{table.stem}/" if table.stem else None)
    target = read_target(out, picture_format=asked.format)
    if target.is_file:
        raise InvalidOption(f"A table fills a folder, and {asked.out} is a file. Name a folder.")
    with at_work(replace(asked, out=out)) as work:
        desk = work.desk
        rows = read_table(table, desk.drafted({**options, "format": target.format}), count)
        work.check_target()
        planned = plan(desk.studio, desk.actor, desk.workspace, rows)
        work.screen.total = len(planned)
        there = 0
        for produced in produce(
            desk.studio, desk.actor, desk.workspace, planned, target.path, work.progress
        ):
            there += produced.was_there
            path = target.path / str(produced.entry["path"])
            work.report({**produced.entry, "path": str(path)})
        work.screen.say(
            f"{len(planned)} pictures in {target.path}, {there} of them there before; "
            f"listed in {target.path / MANIFEST}."
        )
