"""The commands on models, against a hub on this machine."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from limner.catalog.catalog import Catalog
from limner.domain.errors import Cancelled
from tests.fakes import WEIGHTS

from .conftest import Limner


class _Hub(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.path == "/some/brush/resolve/abc/brush.onnx"
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(WEIGHTS) if known else 0))
        self.end_headers()
        if known:
            self.wfile.write(WEIGHTS)

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


def test_list(limner: Limner) -> None:
    ran = limner("models", "list")
    assert ran.status == 0
    cells = {line.split("  ")[0]: line for line in ran.lines}
    names = {"vellum (demo)", "realesr-fast", "migan", "u2netp", "open-nsfw", "brush"}
    assert set(cells) == {"name", *names}
    assert cells["open-nsfw"].endswith("safety check")
    assert "built in" in cells["vellum (demo)"]
    assert "Apache-2.0    yes" in cells["vellum (demo)"]
    assert "text_to_image, image_to_image, inpaint" in cells["vellum (demo)"]
    assert "can be pulled" in cells["brush"]
    assert "CC-BY-NC-4.0  no" in cells["brush"]


def test_the_shape_of_list_json(limner: Limner) -> None:
    brush = limner("models", "list", "--json").records[-1]
    weights = brush.pop("weights_digest")
    assert len(weights) == 64
    assert brush == {
        "name": "brush",
        "title": "Brush",
        "tasks": ["text_to_image"],
        "judges": False,
        "status": "stable",
        "state": "can be pulled",
        "bytes": len(WEIGHTS),
        "licence": "CC-BY-NC-4.0",
        "commercial": False,
    }


def test_show(limner: Limner) -> None:
    ran = limner("models", "show", "vellum")
    assert ran.status == 0
    for word in ("flat, sticker", "1 to 200, 4 if left out", "euler, heun", "demo", "vellum.onnx"):
        assert word in ran.out
    [record] = limner("models", "show", "vellum", "--json").records
    assert record["card"]["capability"]["negative_prompt"] is True


def test_pull_verify_remove(limner: Limner, home: Path, hub: None) -> None:
    ran = limner("models", "pull", "brush")
    assert (ran.status, ran.out) == (0, "brush is here (Brush), 0.0 kB.\n")
    assert "CC-BY-NC-4.0, commercial use is not allowed" in ran.err
    pulled = home / "models" / "brush" / "brush.onnx"
    assert pulled.read_bytes() == WEIGHTS
    verified = limner("models", "verify", "--json")
    assert verified.status == 0
    assert {record["model"]: record["state"] for record in verified.records} == dict.fromkeys(
        ("vellum", "realesr-fast", "migan", "u2netp", "open-nsfw", "brush"), "good"
    )
    removed = limner("models", "remove", "brush", "--json").records
    assert (removed[0]["name"], removed[0]["state"]) == ("brush", "can be pulled")
    assert not pulled.exists()
    assert limner("models", "remove", "brush").status == 5
    assert limner("models", "verify", "brush").status == 5


def test_what_a_picture_needs_is_pulled(limner: Limner, hub: None) -> None:
    ran = limner("generate", "a fox", "--model", "brush", "--json")
    assert (ran.status, ran.records[0]["model"]) == (0, "brush")


def test_tampered_weights(limner: Limner, home: Path, hub: None) -> None:
    assert limner("models", "pull", "brush").status == 0
    pulled = home / "models" / "brush" / "brush.onnx"
    pulled.chmod(0o600)
    pulled.write_bytes(WEIGHTS[::-1])
    verified = limner("models", "verify", "brush")
    assert verified.status == 6
    assert "differs" in verified.out
    ran = limner("models", "pull", "brush", "--json")
    assert (ran.status, ran.out, ran.error["code"]) == (6, "", "weights_rejected")
    assert limner("models", "pull", "brush", "--again", "--json").status == 0
    assert pulled.read_bytes() == WEIGHTS


def test_a_hub_that_does_not_have_it(
    limner: Limner, hub: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    ran = limner("generate", "a fox", "--model", "brush", "--json")
    assert (ran.status, ran.out, ran.error["code"]) == (5, "", "pull_failed")


def test_a_pull_that_is_stopped(limner: Limner, monkeypatch: pytest.MonkeyPatch) -> None:
    def pull(*_: object, **__: object) -> None:
        raise Cancelled("Stopped.")

    monkeypatch.setattr(Catalog, "pull", pull)
    ran = limner("models", "pull", "brush")
    assert (ran.status, ran.out) == (130, "")
    assert ran.err == "Stopped. Pull it again to go on from what is here.\n"
