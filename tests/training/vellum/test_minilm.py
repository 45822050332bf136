"""The text encoder is made of its package, and reads as MiniLM does."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx comes with the extra [train]")

import onnxruntime
from safetensors.numpy import save

from limner.families.vellum.facts import ENCODER, TOKENIZER
from limner.training.vellum.minilm import build_text_encoder
from limner.training.vellum.sources import Package, Shelf
from tests.training.vellum import tiny

WIDTH, INNER, WORDS, PLACES, LAYERS = 384, 1536, 40, 32, 6


def weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * 0.02).astype(np.float16)

    made = {
        "embeddings.word_embeddings.weight": normal(WORDS, WIDTH),
        "embeddings.position_embeddings.weight": normal(PLACES, WIDTH),
        "embeddings.token_type_embeddings.weight": normal(2, WIDTH),
        "embeddings.LayerNorm.weight": normal(WIDTH) + np.float16(1),
        "embeddings.LayerNorm.bias": normal(WIDTH),
    }
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        for name, out, inward in (
            ("attention.self.query", WIDTH, WIDTH),
            ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", INNER, WIDTH),
            ("output.dense", WIDTH, INNER),
        ):
            made |= {f"{at}{name}.weight": normal(out, inward), f"{at}{name}.bias": normal(out)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            made |= {f"{at}{name}.weight": normal(WIDTH) + np.float16(1)}
            made |= {f"{at}{name}.bias": normal(WIDTH)}
    return made


def test_it_is_built_of_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {
        "model/model.fp16.safetensors": save(weights()),
        "model/tokenizer.json": b'{"truncation": {"max_length": 128}, "padding": {}, "model": {}}',
    }
    shelf = Shelf(tmp_path / "archives")
    path = tmp_path / "made.tgz"
    digest = tiny.archive(path, members)
    package = Package("embed", "1.0.0", digest, "Apache-2.0", "somebody", "MiniLM", "")
    monkeypatch.setattr(shelf, "fetch", lambda _: path)
    build_text_encoder(shelf, package, tmp_path / "weights")
    assert '"truncation":null' in (tmp_path / "weights" / TOKENIZER).read_text("utf-8")
    session = onnxruntime.InferenceSession(str(tmp_path / "weights" / ENCODER))
    ids = np.array([[1, 5, 7, 2]], np.int64)
    mask = np.ones((1, 4), np.float32)
    states, pooled = session.run(["states", "pooled"], {"ids": ids, "mask": mask})
    assert states.shape == (1, 4, WIDTH)
    assert pooled == pytest.approx(states.mean(1), abs=1e-5)
    ended = session.run(["pooled"], {"ids": ids, "mask": np.array([[1, 1, 0, 0]], np.float32)})[0]
    assert np.abs(ended - pooled).max() > 1e-3
