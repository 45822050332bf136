"""What the planner predicts, and what drawing really held."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from limner.domain.recipe import Size
from limner.families.diffusion.loading.pipelines import quiet
from limner.families.diffusion.planning.activations import Work
from limner.families.diffusion.planning.demand import Way, demand_of
from limner.families.diffusion.planning.inventory import take_inventory

pytest.importorskip("diffusers", reason="diffusers comes with the extra [torch]")

from tests.families.diffusion import middling, tiny

WITHIN = 0.15
ROOT = Path(__file__).parents[4]

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a stage"
)


CASES = [
    ("sd1", "float32", "256x256"),
    ("sd1", "float32", "384x512"),
    ("sd1", "float16", "512x512"),
    ("sdxl", "float32", "512x256"),
    ("sdxl", "float32", "512x384"),
    ("flux", "bfloat16", "256x512"),
    ("flux", "bfloat16", "640x640"),
]
"""A model, the number format of its files, and a size it draws in float32."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    import torch

    made: dict[tuple[str, str], Path] = {}
    for name, stored, _ in CASES:
        if (name, stored) not in made:
            with quiet():
                pipeline = getattr(middling, name)().to(dtype=getattr(torch, stored))
                folder = tmp_path_factory.mktemp(f"{name}-{stored}")
                made[name, stored] = tiny.save(pipeline, folder)
    return made


@pytest.fixture(scope="module")
def measured(folders: dict[tuple[str, str], Path]) -> dict[tuple[str, str, str], dict[str, int]]:
    asked = [(str(folders[name, stored]), "float32", size) for name, stored, size in CASES]
    run = subprocess.run(
        [sys.executable, "-m", "tests.families.diffusion.peaks", *itertools.chain(*asked)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return dict(zip(CASES, json.loads(run.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_peaks_are_as_predicted(
    case: tuple[str, str, str],
    folders: dict[tuple[str, str], Path],
    measured: dict[tuple[str, str, str], dict[str, int]],
) -> None:
    name, stored, size = case
    width, height = (int(side) for side in size.split("x"))
    work = Work(Size(width=width, height=height))
    demand = demand_of(take_inventory(folders[name, stored]), work, "cpu", Way("float32"))
    compared = {
        stage: ((most - demand.runtime) // 2**20, measured[case][stage] // 2**20)
        for stage, most in demand.stages
    }
    for stage, (predicted, held) in compared.items():
        if stage != "load":
            assert predicted == pytest.approx(held, rel=WITHIN), f"{stage}: {compared} MiB"
    most, held = (max(one) for one in zip(*compared.values(), strict=True))
    assert most == pytest.approx(held, rel=WITHIN), f"{compared} MiB"
