"""The program as a process: signals, pipes, and nothing but results on stdout."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from .conftest import assets_in

PROGRAM = str(Path(__file__).with_name("program.py"))


def start(
    folder: Path, arguments: Sequence[str], delay: float = 0.0, unread: bool = False
) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "LIMNER_HOME": str(folder / "home"),
        "FAKE_DELAY": str(delay),
    }
    return subprocess.Popen(
        [sys.executable, PROGRAM, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != "home")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_within_a_step_and_keeps_what_is_finished(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start(tmp_path, ["generate", "a fox", "--seed", "1", "--count", "50"], delay=0.05)
    assert first_line(process) == b"a-fox-1.png\n"
    process.send_signal(number)
    sent = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - sent < 5
    assert process.returncode == 130
    names = ["a-fox-1.png", *out.decode().split()]
    assert [path.name for path in pictures_in(tmp_path)] == sorted(names)
    assert 1 <= len(names) < 50
    assert len(assets_in(tmp_path / "home")) == len(names)
    assert f"Stopped. {len(names)} of 50 finished and kept." in err.decode()
    assert "Traceback" not in err.decode()


def test_stopping_a_script_is_one_json_object(tmp_path: Path) -> None:
    process = start(tmp_path, ["generate", "a fox", "--count", "50", "--json"], delay=0.05)
    assert json.loads(first_line(process))["model"] == "vellum"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(err)["error"]["code"] == "cancelled"
    assert all(json.loads(line) for line in out.splitlines())


def test_the_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, ["generate", "a fox", "--steps", "1"], delay=60)
    time.sleep(0.1)
    assert process.stderr is not None
    deadline = time.monotonic() + 30
    while not (tmp_path / "home" / "library.sqlite").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert b"once more" in process.stderr.readline()
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=5)
    assert process.returncode == 130
    assert pictures_in(tmp_path) == []


def test_ctrl_c_while_a_table_is_drawn_and_going_on_later(tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text(
        "prompt\n" + "".join(f"thing {n}\n" for n in range(20)), encoding="utf-8"
    )
    process = start(tmp_path, ["generate", "--from", "prompts.csv"], delay=0.05)
    first_line(process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    finished = 1 + len(out.splitlines())
    assert len(list((tmp_path / "prompts").glob("*.png"))) == finished < 20
    process = start(tmp_path, ["generate", "--from", "prompts.csv"])
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(out.splitlines()) == 20
    assert f"20 pictures in prompts, {finished} of them there before" in err.decode()
    manifest = (tmp_path / "prompts" / "manifest.jsonl").read_text(encoding="utf-8")
    assert len(manifest.splitlines()) == 20


def test_nobody_reads_stdout(tmp_path: Path) -> None:
    process = start(tmp_path, ["generate", "a fox", "--count", "5", "--json"], delay=0.02)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(timeout=30) == 0
    assert len(pictures_in(tmp_path)) == 5
    process.stderr.close()


def test_only_records_are_on_stdout(tmp_path: Path) -> None:
    process = start(
        tmp_path, ["generate", "an unheard fox", "--size", "128x128", "--count", "2", "--json"]
    )
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert [json.loads(line)["size"] for line in out.splitlines()] == ["128x128"] * 2
    assert err == b""


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    name = b"f\xffx.png"
    made = start(tmp_path, ["generate", "a fox", "--out", os.fsdecode(name)])
    out, _ = made.communicate(timeout=30)
    assert out == name + b"\n"
    assert (tmp_path / os.fsdecode(name)).is_file()
    ran = start(tmp_path, ["upscale", os.fsdecode(name), "--json"])
    out, _ = ran.communicate(timeout=30)
    assert (tmp_path / json.loads(out)["path"]).is_file()
    prompt = start(tmp_path, ["generate", os.fsdecode(b"fox\xff"), "--json"])
    _, err = prompt.communicate(timeout=30)
    assert (prompt.returncode, "error" in json.loads(err)) == (2, True)


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams(tmp_path: Path, streams: str) -> None:
    environment = {**os.environ, "LIMNER_HOME": str(tmp_path / "home")}
    command = f'exec "$0" "$1" generate "an unheard fox" --seed 1 {streams}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, PROGRAM],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0
    assert [path.name for path in pictures_in(tmp_path)] == ["an-unheard-fox-1.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_behind_stdout(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, PROGRAM, "models", "list", "--json"],
            cwd=tmp_path,
            env={**os.environ, "LIMNER_HOME": str(tmp_path / "home")},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 7
    assert json.loads(done.stderr)["error"]["code"] == "storage_failed"
