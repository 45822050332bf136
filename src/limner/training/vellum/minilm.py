"""all-MiniLM-L6-v2 in torch, with the 8-bit weights that ship: what training listens to.

Reimers and Gurevych, Sentence-BERT, 2019; weights by sentence-transformers, Apache-2.0.
"""

import math
from pathlib import Path

import torch.nn.functional as F  # noqa: N812 - the name every torch user reads
from safetensors.torch import load_file
from torch import Tensor, nn

_WIDTH, _HEADS, _LAYERS, _WORDS, _INNER = 384, 12, 6, 30522, 1536
_EPSILON = 1e-12


class Layer(nn.Module):
    """One layer of BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.mix = (nn.Linear(_WIDTH, _WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(_WIDTH, _INNER), nn.Linear(_INNER, _WIDTH)
        self.after_mix, self.after_down = (nn.LayerNorm(_WIDTH, _EPSILON) for _ in range(2))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Map B × T × 384 to the same shape; `bias` (B × 1 × 1 × T) hides padding."""
        batch, tokens, _ = x.shape
        query, key, value = (
            part(x).view(batch, tokens, _HEADS, -1).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(_WIDTH // _HEADS) + bias
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, tokens, _WIDTH)
        x = self.after_mix(x + self.mix(mixed))
        fed: Tensor = self.after_down(x + self.down(F.gelu(self.up(x))))
        return fed


class MiniLM(nn.Module):
    """Token ids to contextual states."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(_WORDS, _WIDTH)
        self.places = nn.Embedding(512, _WIDTH)
        self.kinds = nn.Embedding(2, _WIDTH)
        self.norm = nn.LayerNorm(_WIDTH, _EPSILON)
        self.layers = nn.ModuleList(Layer() for _ in range(_LAYERS))

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return states B × T × 384 and their mean B × 384, of ids and mask B × T."""
        x = self.norm(self.words(ids) + self.places.weight[: ids.shape[1]] + self.kinds.weight[0])
        bias = ((mask - 1) * 1e4)[:, None, None]
        for layer in self.layers:
            x = layer(x, bias)
        return x, (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def load_minilm(weights: Path) -> MiniLM:
    """Return MiniLM from the safetensors of the pinned package, rounded as it ships."""
    found = load_file(weights)
    state: dict[str, Tensor] = {}
    for name, value in found.items():
        ours = _our_name(name)
        if ours and value.is_floating_point():
            full = value.float()
            rounds = full.ndim == 2 and not ours.startswith("kinds")
            state[ours] = in_eight_bits(full) if rounds else full
    model = MiniLM()
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)


def in_eight_bits(matrix: Tensor) -> Tensor:
    """Round a matrix to 8 bits with one scale per row; the result is float32 again."""
    scale = (matrix.abs().amax(1, keepdim=True) / 127).clamp_min(1e-12)
    return (matrix / scale).round().clamp(-127, 127) * scale


_NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "places",
    "embeddings.token_type_embeddings": "kinds",
    "embeddings.LayerNorm": "norm",
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "mix",
    "attention.output.LayerNorm": "after_mix",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "after_down",
}


def _our_name(name: str) -> str:
    """Return our name of a BERT parameter, or an empty text for one that is not used."""
    path, _, kind = name.removeprefix("bert.").rpartition(".")
    layer = ""
    if path.startswith("encoder.layer."):
        number, _, path = path.removeprefix("encoder.layer.").partition(".")
        layer = f"layers.{number}."
    return f"{layer}{_NAMES[path]}.{kind}" if path in _NAMES else ""
