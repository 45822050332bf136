"""The program with a fake engine, for tests that need a process of its own.

Each step of a picture takes FAKE_DELAY seconds.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from limner.app import wiring
from limner.cli.main import main
from tests.fakes import FakeEngine, fake_desk, fake_models

if __name__ == "__main__":
    engine = FakeEngine(delay=float(os.environ.get("FAKE_DELAY", "0")))
    wiring.open_desk = lambda settings, signer=None: fake_desk(settings, engine)
    wiring.open_models = fake_models
    main()
