"""What a person sees while work goes on: one bar, fed by what really happens."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

from limner.cli.output import Output
from limner.domain.event import Happening, Hashing, Loading, Notice, Pulling, Step

if TYPE_CHECKING:
    from rich.progress import Progress

_DOING = MappingProxyType(
    {"draw": "drawing", "upscale": "enlarging", "erase": "erasing", "cutout": "cutting out"}
)
"""Stages as people call them; a stage of some other family is shown as it is."""


class Screen:
    """Shows events as a bar on a terminal's stderr, and notices as lines, each once.

    `total` is how many pictures were asked for. Elsewhere than on a terminal there is no bar.
    """

    def __init__(self, output: Output, total: int = 1) -> None:
        self.total = total
        self.finished = 0
        self._output = output
        self._said: set[str] = set()
        self._bar = _new_bar() if output.lively else None

    def tell(self, happening: Happening) -> None:
        """Show one event."""
        match happening:
            case Pulling(model=model, done=done, total=total):
                count = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
                self._show(f"pulling {model}", done, total, count)
            case Hashing(file=file, done=done, total=total):
                self._show(f"reading {file} once", done, total, f"of {total / 1e9:.1f} GB")
            case Loading(model=model):
                self._show(f"loading {model}", 0, None, "")
            case Step(stage=stage, step=step, steps=steps):
                self._show(_DOING.get(stage, stage), step, steps, f"{step} of {steps}")
            case Notice(message=message):
                self.say(message)
            case _:
                return

    def say(self, text: str) -> None:
        """Print a line for people above the bar, unless it was printed before."""
        if text not in self._said:
            self._said.add(text)
            with self.aside():
                self._output.say(text)

    def doing(self, what: str) -> None:
        """Show that something goes on whose end cannot be told."""
        self._show(what, 0, None, "")

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar away while something else is printed."""
        if self._bar is None or not self._bar.live.is_started:
            yield
            return
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _show(self, what: str, done: int, total: int | None, count: str) -> None:
        if self._bar is None:
            return
        pictures = f"{self.finished} of {self.total} pictures" if self.total > 1 else ""
        [task] = self._bar.task_ids or [self._bar.add_task("")]
        self._bar.update(
            task, description=what, completed=done, total=total, count=count, pictures=pictures
        )
        self._bar.start()


def _new_bar() -> "Progress | None":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False, emoji=False)
    if not console.is_interactive:
        return None
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[count]}", markup=False),
        TextColumn("{task.fields[pictures]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
