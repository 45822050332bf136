"""Damaged picture files, thousands of them, through all of `verify`.

    python -m tests.fuzz --files 10000

Real sealed files of every format, and files as other tools write them, are damaged in ways that
hurt: bits, lengths, missing ends, parts doubled or swapped between files. Each goes through
`Desk.verify` in a process of its own kind, with a limit of time and memory. Whatever is neither a
verdict nor an error of ours is a crash; whatever takes too long, a hang. Files that did it are
kept. File number n is the same in every run with the same seed and corpus.
"""

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from limner.app.desk import Desk
from limner.app.drafts import make_draft
from limner.app.settings import Settings
from limner.domain.errors import LimnerError
from limner.domain.recipe import FileFormat
from limner.provenance.foreign.reading import read_settings
from limner.provenance.xmp import read_statement
from tests.fakes import fake_desk
from tests.provenance.containers import bombed_png, deep_json, png, with_comment, with_tags

_MEMORY = 4 * 1024**3
_FRESH_AFTER = 500
"""Files after which a worker is replaced, so that one file's harm does not hide another's."""

_SETTINGS = "a fox\nNegative prompt: dog\nSteps: 9, Sampler: Euler a, CFG scale: 4, Seed: 1"
_GRAPH = '{"3": {"class_type": "KSampler", "inputs": {"seed": 1, "positive": ["3", 0]}}}'


@dataclass
class Report:
    """What became of the files."""

    outcomes: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    slowest: float = 0.0
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether nothing crashed and nothing hung."""
        return not (self.crashes or self.hangs)

    def __str__(self) -> str:
        lines = [f"{count:7,}  {name}" for name, count in self.outcomes.most_common()]
        lines.append(f"{sum(self.outcomes.values()):7,}  files in {self.seconds:.0f} s, "
                     f"the slowest {self.slowest:.1f} s")  # fmt: skip
        lines += [f"CRASH {one}" for one in self.crashes]
        lines += [f"HANG {one}" for one in self.hangs]
        return "\n".join(lines)


def make_corpus(home: Path) -> list[bytes]:
    """Return whole files: sealed ones of every format, signed with keys in `home`, and others'."""
    files: list[bytes] = []
    with fake_desk(Settings(home=home)) as desk:
        for kind in FileFormat:
            draft = make_draft({"prompt": "a red fox", "format": kind.value, "size": "160x128"})
            files += [made.file for made in desk.draw(draft)]
        edited = desk.edit(files[0], "a blue fox", format="jpeg")
        files.append(edited.file)
    files += [
        png(parameters=_SETTINGS),
        png(packed=True, parameters=_SETTINGS, prompt=_GRAPH, invokeai_metadata='{"steps": 3}'),
        png(parameters=deep_json(5_000)),
        bombed_png("parameters", 20_000_000),
        *(with_comment(kind, _SETTINGS) for kind in ("JPEG", "WEBP", "TIFF", "AVIF")),
        with_tags("WEBP", {0x0110: f"prompt:{_GRAPH}"}),
    ]
    return files


def damaged(corpus: Sequence[bytes], number: int, seed: int) -> bytes:
    """Return file `number`: one of the corpus with one to eight things done to it."""
    chance = random.Random(f"{seed}-{number}")
    file = bytearray(corpus[number % len(corpus)])
    for _ in range(chance.choice((1, 1, 2, 3, 5, 8))):
        if file:
            chance.choice(_DAMAGES)(chance, file, corpus)
    if chance.random() < 0.7:
        _mend_sums(file)
    return bytes(file)


def _mend_sums(file: bytearray) -> None:
    """Make the checksums of a PNG's chunks right again, so that damage reaches further in."""
    place = 8
    while file[:4] == b"\x89PNG" and place + 12 <= len(file):
        end = place + 8 + int.from_bytes(file[place : place + 4], "big")
        if end + 4 > len(file):
            return
        file[end : end + 4] = zlib.crc32(file[place + 4 : end]).to_bytes(4, "big")
        place = end + 4


def _place(chance: random.Random, file: bytearray) -> int:
    """Return a place; half of them near the start, where the headers are."""
    return chance.randrange(min(len(file), 2_000) if chance.random() < 0.5 else len(file))


def _set_byte(chance: random.Random, file: bytearray, _: Sequence[bytes]) -> None:
    file[_place(chance, file)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))


def _flip_bit(chance: random.Random, file: bytearray, _: Sequence[bytes]) -> None:
    file[_place(chance, file)] ^= 1 << chance.randrange(8)


def _set_length(chance: random.Random, file: bytearray, _: Sequence[bytes]) -> None:
    place, width = _place(chance, file), chance.choice((2, 4, 8))
    number = chance.choice((0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63, len(file)))
    file[place : place + width] = (number % 2 ** (8 * width)).to_bytes(
        width, chance.choice(("big", "little"))
    )


def _remove(chance: random.Random, file: bytearray, _: Sequence[bytes]) -> None:
    place = _place(chance, file)
    del file[place : place + chance.choice((1, 2, 4, 100, 5_000))]


def _insert(chance: random.Random, file: bytearray, _: Sequence[bytes]) -> None:
    place = _place(chance, file)
    file[place:place] = chance.choice((b"\x00" * 64, chance.randbytes(32), b"\xff" * 8, b"&a;<"))


def _cut(chance: random.Random, file: bytearray, _: Sequence[bytes]) -> None:
    del file[_place(chance, file) :]


def _double(chance: random.Random, file: bytearray, _: Sequence[bytes]) -> None:
    start = _place(chance, file)
    part = file[start : start + chance.choice((4, 64, 1_000, 20_000))]
    times = chance.choice((1, 1, 50))
    if len(file) + times * len(part) < 5_000_000:
        file[start:start] = part * times


def _transplant(chance: random.Random, file: bytearray, corpus: Sequence[bytes]) -> None:
    other = chance.choice(corpus)
    start = chance.randrange(len(other))
    place = _place(chance, file)
    length = chance.choice((16, 500, 20_000))
    file[place : place + length] = other[start : start + length]


def _swap_head(chance: random.Random, file: bytearray, corpus: Sequence[bytes]) -> None:
    file[:12] = chance.choice(corpus)[:12]


_DAMAGES: tuple[Callable[[random.Random, bytearray, Sequence[bytes]], None], ...] = (
    _set_byte, _set_byte, _flip_bit, _flip_bit, _set_length, _set_length, _remove, _insert, _cut,
    _double, _transplant, _swap_head,
)  # fmt: skip


def examine(desk: Desk, file: bytes) -> str:
    """Verify a file, as people do; return what came of it in two words."""
    read_settings(file)
    read_statement(file)
    try:
        return f"verdict {desk.verify(file).integrity.value}"
    except LimnerError as error:
        return f"error {error.code}"


def _work(pipe: Connection) -> None:
    """Take a job and numbers of files from the pipe; answer each with what came of it."""
    job: Job = pipe.recv()
    # Decoders complain on stderr about every damaged file.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        import resource
    except ImportError:  # Windows has no such limits
        pass
    else:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    os.environ["LIMNER_OFFLINE"] = "1"
    with fake_desk(Settings(home=job.home, offline=True)) as desk:
        pipe.send(("ready", "", 0.0))
        while True:
            number = pipe.recv()
            if number is None:
                return
            file = damaged(job.corpus, number, job.seed)
            began = time.monotonic()
            fault = ""
            try:
                outcome = job.examine(desk, file)
            except BaseException:  # noqa: BLE001 - this is what the program looks for
                outcome, fault = "crash", traceback.format_exc()
            pipe.send((outcome, fault, time.monotonic() - began))


@dataclass(frozen=True)
class Job:
    """What every worker does: the files, and what is done with each."""

    home: Path
    corpus: Sequence[bytes]
    seed: int
    examine: Callable[[Desk, bytes], str] = examine


@dataclass
class _Worker:
    """A process that verifies, and the file it has before it."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection
    number: int | None = None
    since: float = 0.0
    done: int = 0

    @classmethod
    def start(cls, job: Job) -> "_Worker":
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        ours.send(job)
        return cls(process, ours, since=time.monotonic())

    def give(self, number: int | None) -> None:
        self.number, self.since = number, time.monotonic()
        self.pipe.send(number)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Fuzzing:
    """One run: numbers go to workers, outcomes come back, faulty files are kept."""

    def __init__(self, job: Job, kept: Path, limit: float) -> None:
        self.job = job
        self.kept = kept
        self.limit = limit
        self.report = Report()

    def run(self, files: int, workers: int) -> Report:
        """Verify this many files and return what became of them."""
        began = time.monotonic()
        numbers = iter(range(files))
        crew = [_Worker.start(self.job) for _ in range(min(workers, files))]
        while crew:
            wait([worker.pipe for worker in crew], timeout=0.5)
            crew = [one for worker in crew if (one := self._attend(worker, numbers)) is not None]
        self.report.seconds = time.monotonic() - began
        return self.report

    def _attend(self, worker: _Worker, numbers: Iterator[int]) -> _Worker | None:
        """Take a worker's answer, if it has one; return who goes on, None if nobody has to."""
        if worker.pipe.poll():
            try:
                outcome, fault, seconds = worker.pipe.recv()
            except EOFError:
                worker.process.join()
                self._fault(worker, "died", f"exit status {worker.process.exitcode}")
                return self._replaced(worker)
            self._count(worker, outcome, fault, seconds)
            return self._next(worker, numbers)
        # A worker that is only starting may take its time: the machine may be busy.
        if worker.number is not None and time.monotonic() - worker.since > self.limit:
            self._fault(worker, "hang", f"more than {self.limit:g} s")
            return self._replaced(worker)
        return worker

    def _next(self, worker: _Worker, numbers: Iterator[int]) -> _Worker | None:
        number = next(numbers, None)
        if number is None:
            worker.end()
            return None
        if worker.done >= _FRESH_AFTER:
            worker.end()
            worker = _Worker.start(self.job)
            worker.pipe.recv()
        worker.give(number)
        return worker

    def _replaced(self, worker: _Worker) -> _Worker:
        if worker.number is None:
            raise RuntimeError("a worker could not start; run the command with --workers 1 to see")
        worker.end()
        return _Worker.start(self.job)

    def _count(self, worker: _Worker, outcome: str, fault: str, seconds: float) -> None:
        if worker.number is None:
            return
        worker.done += 1
        self.report.slowest = max(self.report.slowest, seconds)
        if fault:
            self._fault(worker, outcome, fault)
        else:
            self.report.outcomes[outcome] += 1

    def _fault(self, worker: _Worker, outcome: str, fault: str) -> None:
        self.report.outcomes[outcome] += 1
        if worker.number is None:
            return
        self.kept.mkdir(parents=True, exist_ok=True)
        path = self.kept / f"{outcome}-{self.job.seed}-{worker.number}.bin"
        path.write_bytes(damaged(self.job.corpus, worker.number, self.job.seed))
        told = self.report.hangs if outcome == "hang" else self.report.crashes
        told.append(f"{path}: {fault.strip()}")


def main(arguments: Sequence[str]) -> int:
    """Run from the command line; 0 if nothing crashed and nothing hung."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=30.0, help="seconds a file may take")
    parser.add_argument("--keep", type=Path, default=Path("fuzz"), help="where faulty files go")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        job = Job(home, make_corpus(home), asked.seed)
        report = Fuzzing(job, asked.keep, asked.limit).run(asked.files, asked.workers)
    print(report)
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
