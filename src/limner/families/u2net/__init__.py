"""U²-Net: cuts the subject of a picture out of its background, on the CPU."""

from pathlib import Path

from limner.domain.capability import Capability, Sizes, TaskInputs
from limner.domain.card import (
    Installed,
    Licence,
    ModelCard,
    NpmSource,
    PackagedSource,
    Source,
    WeightFile,
)
from limner.domain.recipe import InputRole, Task
from limner.families.checkpoint import card_of, local_file, read_onnx_graph
from limner.families.family import Hash, LoadedModel, Placement

_OUTPUTS = 7
_CAPABILITY = Capability(
    tasks=(TaskInputs(task=Task.CUTOUT, required=(InputRole.INIT,)),),
    sizes=Sizes(smallest=1, largest=65_535, most_pixels=64_000_000),
    alpha=True,
)


def _card(title: str, summary: str, file: WeightFile) -> ModelCard:
    name = Path(file.name).stem
    return ModelCard(
        name=name,
        title=title,
        summary=summary,
        family="u2net",
        variant=name,
        files=(file,),
        licence=Licence(
            spdx="Apache-2.0",
            commercial=True,
            attribution="U²-Net, Qin, Zhang, Huang, Dehghan, Zaiane and Jagersand, 2020",
            url="https://github.com/xuebinqin/U-2-Net/blob/master/LICENSE",
        ),
        homepage="https://github.com/xuebinqin/U-2-Net",
        capability=_CAPABILITY,
    )


def _file(name: str, sha256: str, size: int, source: Source) -> WeightFile:
    return WeightFile(name=name, sha256=sha256, bytes=size, sources=(source,))


_CARDS = (
    _card(
        "U²-Net small",
        "Cuts out the subject in about a second; comes with Limner.",
        _file(
            "u2netp.onnx",
            "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
            4_574_861,
            PackagedSource(path="families/u2net/weights/u2netp.onnx"),
        ),
    ),
    _card(
        "U²-Net pruned",
        "Nearly as sure of the subject as the full network at a quarter of its size.",
        _file(
            "silueta.onnx",
            "75da6c8d2f8096ec743d071951be73b4a8bc7b3e51d9a6625d63644f90ffeedb",
            44_173_029,
            NpmSource(
                package="@harshit_01/ai-bg-remover",
                version="1.0.2",
                member="src/model/silueta.onnx",
                archive_bytes=26_560_370,
            ),
        ),
    ),
    _card(
        "U²-Net",
        "The full network, surest of the subject.",
        _file(
            "u2net.onnx",
            "8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491",
            175_997_641,
            NpmSource(
                package="sharp-remove-bg-ai",
                version="2.0.5",
                member="dist/u2net.onnx",
                archive_bytes=164_800_320,
            ),
        ),
    ),
)


class U2Net:
    """The family of U²-Net networks at 320 × 320, in ONNX form."""

    name = "u2net"

    def cards(self) -> tuple[ModelCard, ...]:
        """Return the small network, the pruned and the full one."""
        return _CARDS

    def recognise(self, path: Path, sha256_of: Hash) -> ModelCard | None:
        """Return the card of an ONNX file with one input and the seven maps of U²-Net."""
        graph = read_onnx_graph(path)
        if graph is None or graph.inputs != ("input.1",) or len(graph.outputs) != _OUTPUTS:
            return None
        return card_of((local_file(path, sha256_of),), _CARDS)

    def load(self, installed: Installed, placement: Placement) -> LoadedModel:
        """Load a network; raises WeightsRejected if it is none."""
        from limner.families.u2net.cutter import Cutter

        (weights,) = installed.files.values()
        return Cutter(weights, placement.threads)


FAMILY = U2Net()
