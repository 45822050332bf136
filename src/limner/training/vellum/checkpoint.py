"""What a training run keeps: enough to go on from, or to export."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from limner.families.vellum.network import NetworkConfig, VellumNetwork

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """Weights as trained (`raw`) and averaged over time (`mean`), and what they have seen.

    `seconds` is the wall-clock time of training, all runs together.
    """

    config: NetworkConfig
    styles: tuple[str, ...]
    raw: Weights
    mean: Weights
    samples: int
    seconds: float

    def averaged(self) -> VellumNetwork:
        """Return the averaged network: the one that draws."""
        network = VellumNetwork(self.config)
        network.load_state_dict(self.mean)
        return network.eval().requires_grad_(False)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; only tensors and plain values are unpickled."""
    kept = torch.load(path, map_location="cpu", weights_only=True)
    return Checkpoint(
        NetworkConfig(**kept["config"]),
        tuple(kept["styles"]),
        kept["model"],
        kept["ema"],
        int(kept["samples"]),
        float(kept["seconds"]),
    )


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, all of it or nothing."""
    content = {
        "config": asdict(checkpoint.config),
        "styles": list(checkpoint.styles),
        "model": checkpoint.raw,
        "ema": checkpoint.mean,
        "samples": checkpoint.samples,
        "seconds": checkpoint.seconds,
    }
    write_whole(path, content)


def write_whole(path: Path, content: object) -> None:
    """Save with torch beside the target, then rename: a crash leaves the old file."""
    fresh = path.with_name(f"{path.name}.new")
    torch.save(content, fresh)
    fresh.replace(path)
