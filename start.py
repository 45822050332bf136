"""Set Limner up from nothing but Python, then draw or test.

python3 start.py draw "a red fox"     a picture in this folder
python3 start.py test                 every check and test
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
HOME = ROOT / ".venv"
PROGRAMS = HOME / ("Scripts" if os.name == "nt" else "bin")

CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("lint-imports",),
    ("typos",),
    ("pytest",),
)


def run(*command: str, cwd: Path = ROOT) -> None:
    """Run a command; leave with its exit status if it fails."""
    done = subprocess.run([str(PROGRAMS / command[0]), *command[1:]], cwd=cwd, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def install(what: str) -> None:
    """Install this folder (with extras) into its own virtual environment."""
    if not (HOME / "pyvenv.cfg").exists():
        print(f"making {HOME.name} …", flush=True)
        venv.create(HOME, with_pip=True)
    print("installing (the first time takes a minute or two) …", flush=True)
    pip = ("python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--constraint", "constraints.txt", what)


def main() -> None:
    """Do what the first argument says."""
    match sys.argv[1:]:
        case ["draw", *words]:
            install(".")
            run("limner", "generate", *(words or ["a red fox"]), cwd=Path.cwd())
        case ["test", *more]:
            install(".[torch,train,dev]")
            for check in CHECKS:
                print("·", " ".join(check), flush=True)
                run(*check, *(more if check[0] == "pytest" else ()))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
