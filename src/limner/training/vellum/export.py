"""From a checkpoint to the files that ship: small on disk, float32 at run time."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from limner.families.vellum.facts import (
    DENOISER,
    ENCODER,
    FACTS,
    LEXICON,
    TOKENIZER,
    WEIGHTS,
    Facts,
    fact_of,
)
from limner.families.vellum.network import VellumNetwork
from limner.families.vellum.vocabulary import VOCABULARY
from limner.training.vellum.checkpoint import Checkpoint, read_checkpoint
from limner.training.vellum.corpus import Corpus, read_corpus
from limner.training.vellum.denoiser import denoiser

AGREEMENT = 1e-3
"""The most that the graph may differ from torch with the same 16-bit weights, relative."""


@dataclass(frozen=True)
class ExportConfig:
    """What to export: a checkpoint, to a folder. `encoder` holds the text encoder to go with it.

    With `corpus`, the words that the model was trained on are written beside it.
    """

    checkpoint: Path
    target: Path
    encoder: Path = WEIGHTS
    corpus: Path | None = None


def export(config: ExportConfig) -> float:
    """Write the weights that ship and their facts; return how far they are from torch, relative.

    Raises ValueError where that is more than `AGREEMENT`; nothing is replaced then.
    """
    checkpoint = read_checkpoint(config.checkpoint)
    network = in_sixteen_bits(checkpoint.averaged())
    config.target.mkdir(parents=True, exist_ok=True)
    fresh = config.target / f"{DENOISER}.new"
    onnx.save(denoiser(network.config, weights_of(network)), fresh)
    difference = disagreement(network, fresh)
    if difference > AGREEMENT:
        fresh.unlink()
        raise ValueError(f"the export differs from the network by {difference:.1e}")
    fresh.replace(config.target / DENOISER)
    if config.encoder.resolve() != config.target.resolve():
        for name in (ENCODER, TOKENIZER):
            shutil.copyfile(config.encoder / name, config.target / name)
    if config.corpus is not None:
        _write_vocabulary(config.target, read_corpus(config.corpus))
    _write_facts(config.target, checkpoint)
    return difference


def in_sixteen_bits(network: VellumNetwork) -> VellumNetwork:
    """Round a network's parameters to those that ship; they are float32 again."""
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(weights.half().float())
    return network


def weights_of(network: VellumNetwork) -> dict[str, np.ndarray]:
    """Return the network's parameters and rotation tables by name."""
    named = {**network.state_dict(), **dict(network.named_buffers())}
    return {name: value.detach().numpy() for name, value in named.items()}


def disagreement(network: VellumNetwork, path: Path) -> float:
    """Return the largest difference between graph and network, relative to the largest output."""
    config = network.config
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    mask = torch.tensor([[1.0, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]])
    count = len(mask)
    inputs = {
        "z": drawn(count, config.channels, config.pixels, config.pixels),
        "t": torch.tensor([0.0, 0.5, 0.95]),
        "text": drawn(count, mask.shape[1], config.text_width) * mask[..., None],
        "text_mask": mask,
        "pooled": drawn(count, config.text_width) * mask[:, :1],
        "style": torch.tensor([0, 1, config.styles]),
    }
    with torch.no_grad():
        expected = network(**inputs).numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(["clean"], {name: value.numpy() for name, value in inputs.items()})[0]
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _write_vocabulary(folder: Path, corpus: Corpus) -> None:
    """Write `concepts.json`: what the model can draw, by the words that mean or hint at it."""
    known = [
        {
            "names": list(concept.names),
            "keywords": list(concept.keywords),
            "common": concept.common,
        }
        for concept in corpus.concepts
    ]
    content = json.dumps({"concepts": known}, indent=1, ensure_ascii=False)
    (folder / VOCABULARY).write_text(content + "\n", "utf-8")


def _write_facts(folder: Path, checkpoint: Checkpoint) -> None:
    present = [LEXICON] if (folder / LEXICON).exists() else []
    files = tuple(fact_of(folder / name) for name in (DENOISER, ENCODER, TOKENIZER, *present))
    facts = Facts(
        pixels=checkpoint.config.pixels,
        styles=checkpoint.styles,
        samples=checkpoint.samples,
        minutes=round(checkpoint.seconds / 60, 1),
        files=files,
    )
    (folder / FACTS).write_text(facts.model_dump_json(indent=2) + "\n", "utf-8")
