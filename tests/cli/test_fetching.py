"""Published weights are downloaded when asked for: from a server on this computer that is the Hub.

It answers as the Hub does: HEAD with size, version and checksum; GET with ranges.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import safetensors.torch  # noqa: F401  diffusers 0.31 saves with it, but leaves its import to others
import torch

from napari_llcm.models.autoencoders.config import KIND
from napari_llcm.models.autoencoders.fetch import fetch_published, offers
from napari_llcm.models.autoencoders.networks import make_published
from napari_llcm.models.autoencoders.saved import load_autoencoder
from tiny import AUTOENCODERS

from .conftest import Run

pytestmark = pytest.mark.versions
MAISI = "/MONAI/maisi_ct_generative/resolve/1.0.0/models/autoencoder.pt"
MRI = "/microsoft/mri-autoencoder-v0.1/resolve/main/"


class Hub:
    """Files by address, and what is asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.told: dict[str, str] = {}  # checksums that are not those of the files
        self.asked: list[tuple[str, str, str | None]] = []
        self.breaks_after: int | None = None
        self.ranges = True


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            asked = self.headers.get("Range")
            state.asked.append((self.command, self.path, asked))
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = int(asked.split("=")[1].rstrip("-")) if asked and state.ranges else 0
            checksum = state.told.get(self.path, hashlib.sha256(content).hexdigest())
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.send_header("ETag", f'"{checksum}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()
            if body:
                rest = content[start:]
                self.wfile.write(rest[: state.breaks_after])
                if state.breaks_after is not None:
                    self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    file = tmp_path / "weights.pt"
    torch.save({"weights": torch.rand(1_000_000)}, file)  # 4 MB: some pieces
    return file.read_bytes()


def test_size_and_licence_are_told_and_nothing_is_downloaded_unasked(
    hub: Hub, cli: Run, weights: bytes, tmp_path: Path
) -> None:
    hub.files[MAISI] = weights
    out = tmp_path / "out"
    code, said, _ = cli("model", "fetch", "maisi", "--out", out)  # nobody says yes
    assert code != 0
    assert "4 MB" in said
    assert "non-commercial" in said
    assert not out.exists()
    assert [verb for verb, path, _ in hub.asked if path == MAISI] == ["HEAD"]
    code, said, _ = cli("model", "fetch", "maisi", "--out", out, "--yes")
    assert code == 0
    assert (out / "autoencoder.pt").read_bytes() == weights
    assert "import-vae" in said
    assert sorted(p.name for p in out.iterdir()) == ["autoencoder.pt"]
    asked = len([1 for verb, *_ in hub.asked if verb == "GET"])
    code, _, told = cli("model", "fetch", "maisi", "--out", out, "--yes")
    assert code == 0
    assert "there already" in told
    assert len([1 for verb, *_ in hub.asked if verb == "GET"]) == asked


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_where_it_was(
    hub: Hub, cli: Run, weights: bytes, tmp_path: Path, ranges: bool
) -> None:
    hub.files[MAISI], hub.breaks_after, hub.ranges = weights, 1_500_000, ranges
    arguments = ("model", "fetch", "maisi", "--out", tmp_path / "out", "--yes")
    code, _, told = cli(*arguments)
    assert code == 2
    assert "the same command goes on from there" in told
    assert not (tmp_path / "out" / "autoencoder.pt").exists()
    hub.breaks_after = None
    code, _, told = cli(*arguments)
    assert code == 0
    assert "Going on" in told
    assert hub.asked[-1][2] == "bytes=1500000-"
    assert (tmp_path / "out" / "autoencoder.pt").read_bytes() == weights


def test_a_stopped_download_goes_on_where_it_was(hub: Hub, weights: bytes, tmp_path: Path) -> None:
    hub.files[MAISI] = weights
    found = offers("maisi")
    events = list(fetch_published(found, tmp_path / "out", lambda: True))
    assert events[-1].kind == "progress"
    assert 0 < events[-1].done < events[-1].total
    last = list(fetch_published(found, tmp_path / "out"))[-1]
    assert last.value == [tmp_path / "out" / "autoencoder.pt"]
    assert last.value[0].read_bytes() == weights


def test_what_is_not_what_was_promised_is_removed(
    hub: Hub, cli: Run, weights: bytes, tmp_path: Path
) -> None:
    hub.files[MAISI], hub.told[MAISI] = weights, hashlib.sha256(b"other").hexdigest()
    code, _, told = cli("model", "fetch", "maisi", "--out", tmp_path / "out", "--yes")
    assert code == 2
    assert "checksum differs" in told
    assert list((tmp_path / "out").iterdir()) == []


def test_what_cannot_be_had_is_told_in_one_sentence(
    hub: Hub, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, told = cli("model", "fetch", "cogvideox", "--yes")
    assert code == 2
    assert "404" in told
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    code, _, told = cli("model", "fetch", "cogvideox", "--yes")
    assert code == 2
    assert "cannot be reached" in told
    assert len(told.strip().splitlines()) == 1


def test_what_was_fetched_is_imported(hub: Hub, cli: Run, tmp_path: Path) -> None:
    network = make_published(KIND.validate_python(AUTOENCODERS["planes"])).eval()
    network.net.save_pretrained(tmp_path / "theirs")
    for file in (tmp_path / "theirs").iterdir():
        hub.files[MRI + file.name] = file.read_bytes()
    out = tmp_path / "out"
    assert cli("model", "fetch", "mri", "--out", out, "--yes")[0] == 0
    weights, sizes = out / "diffusion_pytorch_model.safetensors", out / "config.json"
    assert json.loads(sizes.read_text())["in_channels"] == 2
    code, said, _ = cli("model", "import-vae", weights, "--kind", "mri", "--sizes", sizes)
    assert code == 0
    assert "was not measured" in said
    assert load_autoencoder("mri").info.autoencoder.channels == (8, 8, 16)
