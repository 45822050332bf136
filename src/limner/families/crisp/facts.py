"""The file of Crisp's weights, and what an export says of itself."""

from pathlib import Path

from limner.domain.canonical import Frozen
from limner.domain.recipe import Sha256

WEIGHTS = Path(__file__).parent / "weights"
NETWORK, FACTS = "crisp.onnx", "facts.json"


class Facts(Frozen):
    """What an export says of itself: see `training.vellum.upscaling`."""

    sha256: Sha256
    bytes: int
    minutes: float


def read_facts(folder: Path) -> Facts:
    """Return the facts beside the weights; raise OSError or ValueError if there are none."""
    return Facts.model_validate_json((folder / FACTS).read_bytes())
