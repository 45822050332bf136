"""Time stamps of an RFC 3161 authority: asked for, kept in the manifest, and told where absent."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from limner.domain.errors import SigningFailed
from limner.provenance.keys import read_anchors
from limner.provenance.manifest import Standing, read_manifest, sign_file
from limner.provenance.signing import LocalSigner

from .signed import claim, picture, signer_in

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="needs the program openssl as an authority")

SETTINGS = """
[tsa]
default_tsa = authority
[authority]
dir = .
serial = serial
signer_cert = authority.pem
certs = root.pem
signer_key = authority.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = no
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[stamps]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
"""


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An authority on this machine; its answers are those of `openssl ts`."""
    folder = tmp_path_factory.mktemp("authority")
    (folder / "tsa.cnf").write_text(SETTINGS)
    (folder / "serial").write_text("01\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    root = ("-keyout", "root.key", "-out", "root.pem", "-subj", "/O=Clock/CN=Clock root")
    stamps = ("-keyout", "authority.key", "-out", "request", "-subj", "/O=Clock/CN=Clock")
    openssl(folder, "req", "-x509", *curve, *root, "-days", "30", "-addext", "keyUsage=keyCertSign")
    openssl(folder, "req", *curve, *stamps)
    issue = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "30")
    extensions = ("-extfile", "tsa.cnf", "-extensions", "stamps")
    openssl(folder, "x509", "-req", "-in", "request", *issue, *extensions, "-out", "authority.pem")

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            (folder / "query").write_bytes(body)
            openssl(
                folder, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply"
            )
            reply = (folder / "reply").read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def stamped(folder: Path, address: str) -> LocalSigner:
    signer = signer_in(folder)
    return LocalSigner(signer.key, signer.certificates, address)


def test_a_signature_is_stamped_with_the_time(authority: str, tmp_path: Path) -> None:
    signer = stamped(tmp_path / "keys", authority)
    signed = sign_file(picture("image/png"), "image/png", claim(), signer)
    found = read_manifest(signed, "image/png", read_anchors(tmp_path / "keys"))
    assert found is not None
    assert found.state is Standing.TRUSTED
    assert found.signed_at is not None
    assert found.signed_at.startswith("20")


def test_without_an_authority_no_time_is_claimed(tmp_path: Path) -> None:
    signed = sign_file(picture("image/png"), "image/png", claim(), signer_in(tmp_path / "keys"))
    found = read_manifest(signed, "image/png")
    assert found is not None
    assert found.signed_at is None


def test_an_authority_that_does_not_answer_is_told(tmp_path: Path) -> None:
    signer = stamped(tmp_path / "keys", "http://127.0.0.1:9/")
    with pytest.raises(SigningFailed, match="time authority"):
        sign_file(picture("image/png"), "image/png", claim(), signer)
