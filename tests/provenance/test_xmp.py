"""What the XMP of anyone's picture says of how it came to be."""

import io
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from limner.provenance.texts import read_texts
from limner.provenance.xmp import Statement, read_statement

from .containers import bombed_png, picture, with_xmp

KINDS = ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"]
SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def packet(inside: str = "", attributes: str = "", *, head: str = "") -> str:
    return (
        f'{head}<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about=""'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        f' xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/" {attributes}>'
        f"{inside}</rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    )


WHOLE = packet(
    f"<Iptc4xmpExt:DigitalSourceType>{SOURCE}trainedAlgorithmicMedia"
    "</Iptc4xmpExt:DigitalSourceType>"
    "<Iptc4xmpExt:AISystemUsed>Limner, vellum</Iptc4xmpExt:AISystemUsed>"
    "<Iptc4xmpExt:AISystemVersionUsed>0.1.0</Iptc4xmpExt:AISystemVersionUsed>"
    "<Iptc4xmpExt:AIPromptInformation>ein Fuchs &amp; ein 狐</Iptc4xmpExt:AIPromptInformation>"
    "<Iptc4xmpExt:AIPromptWriterName>A. Painter</Iptc4xmpExt:AIPromptWriterName>"
    "<plus:DataMining>http://ns.useplus.org/ldf/vocab/DMI-ALLOWED</plus:DataMining>"
    "<xmp:CreatorTool>Limner</xmp:CreatorTool>"
)
SAID = Statement(
    digital_source_type="trainedAlgorithmicMedia",
    system="Limner, vellum",
    system_version="0.1.0",
    prompt="ein Fuchs & ein 狐",
    prompt_writer="A. Painter",
    data_mining="DMI-ALLOWED",
    tool="Limner",
)


def read(text: str) -> Statement | None:
    return read_statement(with_xmp("PNG", text))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_read_from_every_format(kind: str) -> None:
    assert read_statement(with_xmp(kind, WHOLE)) == SAID


def test_it_is_read_from_a_drawing() -> None:
    inside = WHOLE[WHOLE.index("<rdf:RDF") : WHOLE.index("</x:xmpmeta>")]
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg"><metadata>{inside}</metadata></svg>'
    assert read_statement(drawing.encode()) == SAID


def test_attributes_say_the_same_as_elements() -> None:
    said = read(packet(attributes=f'Iptc4xmpExt:DigitalSourceType="{SOURCE}digitalCapture"'))
    assert said == Statement(digital_source_type="digitalCapture")
    assert not said.says_generated


@pytest.mark.parametrize(
    "inside",
    [
        "<Iptc4xmpExt:AISystemUsed><rdf:Bag><rdf:li>X</rdf:li></rdf:Bag></Iptc4xmpExt:AISystemUsed>",
        '<Iptc4xmpExt:AISystemUsed rdf:resource="X"/>',
        "<Iptc4xmpExt:AISystemUsed>\n  X\n</Iptc4xmpExt:AISystemUsed>",
    ],
)
def test_values_are_found_however_they_are_written(inside: str) -> None:
    assert read(packet(inside)) == Statement(system="X")


@pytest.mark.parametrize("start", ["http://", "https://"])
@pytest.mark.parametrize(
    ("kind", "generated"),
    [
        ("trainedAlgorithmicMedia", True),
        ("compositeWithTrainedAlgorithmicMedia", True),
        ("compositeSynthetic", True),
        ("digitalCapture", False),
        ("algorithmicMedia", False),
    ],
)
def test_what_counts_as_generated(start: str, kind: str, generated: bool) -> None:
    source = f"{start}cv.iptc.org/newscodes/digitalsourcetype/{kind}"
    said = read(packet(f"<Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>"))
    assert said is not None
    assert said.digital_source_type == kind
    assert said.says_generated is generated


def test_a_picture_without_it_says_nothing() -> None:
    file = io.BytesIO()
    picture().save(file, "JPEG")
    assert read_statement(file.getvalue()) is None
    assert read(packet("<xmp:Rating>5</xmp:Rating>")) is None
    assert read_statement(b"") is None
    assert read_statement(b"no picture") is None


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(10))
    + "]>"
)


@pytest.mark.parametrize(
    "text",
    [
        packet("<xmp:CreatorTool>&k;</xmp:CreatorTool>", head=BOMB),
        packet(
            "<xmp:CreatorTool>&f;</xmp:CreatorTool>",
            head='<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>',
        ),
        packet("<a>" * 10_000 + "</a>" * 10_000),
        packet("<a/>" * 200_000),
        packet("<xmp:CreatorTool>x"),
        "<x:xmpmeta>",
        "",
    ],
)
def test_hostile_and_broken_packets_say_nothing(text: str) -> None:
    began = time.monotonic()
    assert read(text) is None
    assert time.monotonic() - began < 10


def test_a_long_value_is_cut() -> None:
    said = read(packet(f"<xmp:CreatorTool>{'x' * 1_000_000}</xmp:CreatorTool>"))
    assert said is not None
    assert said.tool is not None
    assert len(said.tool) == 20_000


def test_packed_packets_are_unpacked_so_far_and_no_further() -> None:
    assert read_texts(bombed_png("XML:com.adobe.xmp", 50_000_000, count=40)).xmp is None


SAMPLES = [with_xmp(kind, WHOLE) for kind in KINDS]
CHANGES = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255), st.integers(0, 2)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(SAMPLES), CHANGES, st.booleans())
def test_no_damage_makes_it_fall(
    file: bytes, changes: list[tuple[float, int, int]], early: bool
) -> None:
    damaged = bytearray(file)
    for place, value, what in changes:
        index = int(place * min(len(damaged), 300 if early else len(damaged)))
        if what == 0 and len(damaged) > 1:
            del damaged[index]
        elif what == 1:
            damaged[index] = value
        else:
            damaged[index:index] = bytes([value]) * 4
    read_texts(bytes(damaged))
    read_statement(bytes(damaged))


@given(st.sampled_from([file[:12] for file in SAMPLES]), st.binary(max_size=300))
def test_no_bytes_make_it_fall(start: bytes, rest: bytes) -> None:
    read_texts(start + rest)


@pytest.mark.parametrize("kind", KINDS)
def test_exiftool_reads_the_same(kind: str, tmp_path: Path) -> None:
    program = shutil.which("exiftool")
    if program is None:
        pytest.skip("exiftool is not installed")
    path = tmp_path / f"picture.{kind.lower()}"
    path.write_bytes(with_xmp(kind, WHOLE))
    tags = ["-XMP-iptcExt:DigitalSourceType", "-XMP-iptcExt:AISystemUsed"]
    ran = subprocess.run([program, "-s3", *tags, path], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [f"{SOURCE}trainedAlgorithmicMedia", "Limner, vellum"]


def test_the_pixels_are_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a decoder was asked")

    files = [with_xmp(kind, WHOLE) for kind in KINDS]
    monkeypatch.setattr(Image, "open", refuse)
    assert all(read_statement(file) == SAID for file in files)
