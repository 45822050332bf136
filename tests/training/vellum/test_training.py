"""The loop, its checkpoint, and the export that ships."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from limner.families.vellum.facts import ENCODER, FACTS, TOKENIZER, WEIGHTS, read_facts
from limner.families.vellum.network import VellumNetwork
from limner.families.vellum.text import TextEncoder, load_tokenizer
from limner.training.vellum import corpus as corpora
from limner.training.vellum.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from limner.training.vellum.export import (
    ExportConfig,
    disagreement,
    export,
    in_sixteen_bits,
    weights_of,
)
from limner.training.vellum.listening import Listener
from limner.training.vellum.loop import LOG, TrainConfig, train, whiten
from limner.training.vellum.optimiser import Optimiser, Rates, orthogonal, scale_at
from limner.training.vellum.widening import widen
from tests.training.vellum import tiny

RATES = Rates(decay=0.5, warm_up=10)


@pytest.fixture
def network() -> VellumNetwork:
    """A tiny network with random weights everywhere, as 16 bits can hold them."""
    torch.manual_seed(0)
    made = VellumNetwork(tiny.NETWORK)
    with torch.no_grad():
        for weights in made.parameters():
            weights.add_(torch.randn_like(weights) * 0.1)
    whiten(made, torch.randn(50, made.config.text_width))
    return in_sixteen_bits(made.eval())


@pytest.fixture
def checkpoint(network: VellumNetwork, tmp_path: Path) -> Path:
    path = tmp_path / "ck.pt"
    weights = network.state_dict()
    write_checkpoint(path, Checkpoint(network.config, ("flat", "soft"), weights, weights, 64, 90.0))
    return path


def test_the_exported_graph_is_the_network(network: VellumNetwork, tmp_path: Path) -> None:
    import onnx

    from limner.training.vellum.denoiser import denoiser

    path = tmp_path / "vellum.onnx"
    onnx.save(denoiser(network.config, weights_of(network)), path)
    assert disagreement(network, path) < 1e-5


def test_rows_do_not_depend_on_their_batch(checkpoint: Path, tmp_path: Path) -> None:
    export(ExportConfig(checkpoint, tmp_path / "weights"))
    session = onnxruntime.InferenceSession(
        str(tmp_path / "weights" / "vellum.onnx"), providers=["CPUExecutionProvider"]
    )
    draw = np.random.default_rng(0)
    inputs = {
        "z": draw.standard_normal((4, 4, 16, 16), np.float32),
        "t": draw.random(4, np.float32),
        "text": draw.standard_normal((4, 5, 384), np.float32),
        "text_mask": np.ones((4, 5), np.float32),
        "pooled": draw.standard_normal((4, 384), np.float32),
        "style": np.array([0, 1, 2, 0]),
    }
    together = session.run(["clean"], inputs)[0]
    alone = [
        session.run(["clean"], {name: value[[row]] for name, value in inputs.items()})[0]
        for row in range(4)
    ]
    assert (np.concatenate(alone) == together).all()


def test_an_export_says_what_it_is(checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "weights"
    assert export(ExportConfig(checkpoint, target)) < 1e-3
    facts = read_facts(target)
    assert (facts.pixels, facts.styles, facts.samples, facts.minutes) == (
        16,
        ("flat", "soft"),
        64,
        1.5,
    )
    assert {file.name for file in facts.files} | {FACTS} == {path.name for path in target.iterdir()}


def test_an_export_lists_the_words_it_knows(checkpoint: Path, tmp_path: Path) -> None:
    corpora._write(tmp_path / "corpus", tiny.corpus())
    export(ExportConfig(checkpoint, tmp_path / "weights", corpus=tmp_path / "corpus"))
    known = json.loads((tmp_path / "weights" / "concepts.json").read_text("utf-8"))["concepts"]
    assert known[0] == {"names": ["fox", "red fox"], "keywords": ["animal"], "common": True}
    assert len(known) == 3


def test_a_checkpoint_comes_back(network: VellumNetwork, checkpoint: Path) -> None:
    again = read_checkpoint(checkpoint)
    assert again.config == tiny.NETWORK
    assert again.seconds == 90
    drawn = again.averaged().state_dict()
    assert all((drawn[name] == value).all() for name, value in network.state_dict().items())


def test_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    made = tiny.corpus()
    corpora._write(tmp_path / "corpus", made)
    config = TrainConfig(
        tmp_path / "corpus",
        WEIGHTS,
        tmp_path / "run",
        minutes=0.02,
        batch=4,
        slice_seconds=0.4,
        compiled=False,
        nice=0,
        network=tiny.NETWORK,
    )
    first = train(config)
    second = train(config)
    assert first.styles == ("flat", "soft")
    assert 0 < first.samples < second.samples
    assert first.seconds < second.seconds
    lines = [json.loads(line) for line in (config.run / LOG).read_text().splitlines()]
    assert [line["samples"] for line in lines] == sorted(line["samples"] for line in lines)
    assert "hold" in lines[-1]
    assert all(value.isfinite().all() for value in second.mean.values())


def test_workers_average_their_weights(tmp_path: Path) -> None:
    corpora._write(tmp_path / "corpus", tiny.corpus())
    config = TrainConfig(
        tmp_path / "corpus",
        WEIGHTS,
        tmp_path / "run",
        minutes=0.01,
        workers=2,
        batch=4,
        slice_seconds=0.3,
        compiled=False,
        nice=0,
        network=tiny.NETWORK,
    )
    reached = train(config)
    assert reached.samples >= 2 * config.batch
    assert (config.run / "opt1.pt").exists()


def test_the_rate_warms_up_stays_and_falls() -> None:
    assert scale_at(RATES, 0.1, 4) == pytest.approx(0.5)
    assert scale_at(RATES, 0.5, 1000) == 1
    assert scale_at(RATES, 0.75, 1000) == pytest.approx(0.5)
    assert scale_at(RATES, 1.0, 1000) == pytest.approx(0.02)


@pytest.mark.parametrize("shape", [(8, 8), (24, 8), (8, 24)])
def test_updates_are_nearly_orthogonal(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    found = orthogonal(torch.randn(3, *shape))
    assert found.shape == (3, *shape)
    sizes = torch.linalg.svdvals(found)
    assert 0.3 < sizes.min() < sizes.max() < 1.4


def test_a_step_lowers_the_loss_and_its_state_goes_on(network: VellumNetwork) -> None:
    def loss_of(model: VellumNetwork) -> object:
        inputs = (torch.ones(2, 4, 16, 16), torch.full((2,), 0.5), torch.zeros(2, 1, 384))
        found = model(
            *inputs, torch.zeros(2, 1), torch.zeros(2, 384), torch.zeros(2, dtype=torch.long)
        )
        return (found - 0.3).square().mean()

    optimiser = Optimiser(network, Rates(matrices=1e-3, rest=1e-3))
    before = loss_of(network)
    for _ in range(5):
        loss = loss_of(network)
        loss.backward()  # type: ignore[attr-defined]
        optimiser.step(1.0)
        network.zero_grad()
    assert loss_of(network) < before  # type: ignore[operator]
    other = Optimiser(network, Rates())
    other.load(optimiser.state())
    assert all(
        (left == right).all()
        for left, right in zip(other.state()["bufs"], optimiser.state()["bufs"], strict=True)
    )


def test_whitening_evens_the_strong_directions() -> None:
    network = VellumNetwork(replace(tiny.NETWORK, gist_width=4))
    draw = torch.Generator().manual_seed(0)
    strong = torch.randn(400, 384, generator=draw) * torch.cat(
        [torch.full((2,), 9.0), torch.full((382,), 0.1)]
    )
    whiten(network, strong + 3)
    gist = (strong + 3 - network.layout.mean) @ network.layout.whitening
    assert gist[:, :2].std(0).allclose(torch.ones(2), atol=0.05)
    assert gist.mean(0).abs().max() < 1e-4


def test_training_hears_words_as_the_product_does() -> None:
    captions = ["a fox", "", "a blue dog on a pink background"]
    session = onnxruntime.InferenceSession(
        str(WEIGHTS / ENCODER), providers=["CPUExecutionProvider"]
    )
    product = TextEncoder(session, load_tokenizer(WEIGHTS / TOKENIZER)).encode(captions)
    heard = Listener(WEIGHTS, product.mask.shape[1]).hear(captions)
    assert (heard.mask == product.mask).all()
    assert np.abs(heard.states - product.states).max() < 2e-3  # kept in 16 bits
    assert np.abs(heard.pooled - product.pooled).max() < 1e-4


def test_a_widened_network_draws_the_same(network: VellumNetwork) -> None:
    weights = network.state_dict()
    before = Checkpoint(network.config, ("flat", "soft"), weights, weights, 64, 90.0)
    after = widen(before, ("flat", "soft", "bold"), finer=True)
    wide = after.averaged()
    assert (wide.config.pixels, wide.config.patch, wide.config.noise) == (32, 16, 4.0)
    torch.manual_seed(1)
    z, t = torch.randn(2, 4, 32, 32), torch.tensor([0.2, 0.8])
    told = (torch.randn(2, 3, 384), torch.ones(2, 3), torch.randn(2, 384))
    with torch.no_grad():
        for part in network.detail.leave.parameters():
            part.zero_()
    coarse = network(torch.nn.functional.avg_pool2d(z, 2), t, *told, torch.tensor([1, 2]))
    fine = wide(z, t, *told, torch.tensor([1, 2]))
    assert torch.nn.functional.avg_pool2d(fine, 2).allclose(coarse, atol=1e-4)
    new = wide(z, t, *told, torch.tensor([2, 3]))
    assert new[0].allclose(wide(z, t, *told, torch.tensor([3, 3]))[0])


def test_widening_keeps_the_order_of_styles(network: VellumNetwork) -> None:
    weights = network.state_dict()
    before = Checkpoint(network.config, ("flat", "soft"), weights, weights, 64, 90.0)
    with pytest.raises(ValueError, match="begin with"):
        widen(before, ("soft", "flat"), finer=False)
