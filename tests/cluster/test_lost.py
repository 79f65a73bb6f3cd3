"""A worker, the scheduler or the one who asked is killed at any moment: the same bytes come out."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from napari_llcm.models import save_bundle
from napari_llcm.volumes import write
from stains import make_model, make_volume
from workstation import Workstation

pytestmark = pytest.mark.slow
ROUNDS = int(os.environ.get("KILL_ROUNDS", "1"))  # of each
STAIN = """
import sys
from pathlib import Path
from napari_llcm.events import Notice
from napari_llcm.models import load_model
from napari_llcm.staining import StainOptions, Tiling, stain
from napari_llcm.volumes import read
source, model, out, key = sys.argv[1:]
tiling = Tiling((8, 16, 16), (8, 64, 64))
options = StainOptions(cluster=key, tiling=tiling, check=False)
for event in stain(read(Path(source)), load_model(model), options, out=Path(out)):
    if isinstance(event, Notice):
        print(event.text, flush=True)
"""


class Client:
    """Who asks for a stain, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "out.ome.zarr"
        write(folder / "in.ome.tif", make_volume((16, 192, 192)))
        made = make_model()
        save_bundle(folder / "model", made.info, made.networks)

    def start(self) -> subprocess.Popen[bytes]:
        key = self.folder / "keys" / "laptop.pem"
        given = (self.folder / "in.ome.tif", self.folder / "model", self.out, key)
        command = [sys.executable, "-c", STAIN, *map(str, given)]
        with (self.folder / "client.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def finish(self, process: subprocess.Popen[bytes]) -> None:
        said = self.folder / "client.log"
        assert process.wait(150) == 0, said.read_text()

    def result(self) -> str:
        """Return the digest of all voxels as they lie on the disk; remove them."""
        files = sorted(p for p in self.out.rglob("*") if p.is_file() and p.name != "zarr.json")
        assert files
        digest = hashlib.sha256()
        for path in files:
            digest.update(str(path.relative_to(self.out)).encode() + path.read_bytes())
        shutil.rmtree(self.out)
        return digest.hexdigest()

    def begun(self) -> bool:
        """Return whether a tile is there."""
        record = self.folder / ".out.ome.zarr.staining.jsonl"
        return record.exists() and record.read_bytes().count(b"\n") > 1


def test_whoever_is_killed_the_same_bytes_come_out(tmp_path: Path) -> None:
    station = Workstation(tmp_path, "--keys", tmp_path / "keys", workers=2)
    client, chance = Client(tmp_path), random.Random(os.environ.get("KILL_SEED", "1"))
    try:
        station.wait()
        client.finish(client.start())  # workers are warm, and import nothing any more
        expected = client.result()
        began = time.monotonic()
        client.finish(client.start())
        assert client.result() == expected
        took = time.monotonic() - began
        for _ in range(ROUNDS):
            for what in ("worker", "scheduler", "client"):
                process = client.start()
                while process.poll() is None and not client.begun() and chance.random() < 0.99:
                    time.sleep(0.1)  # mostly with tiles there already, else at any moment before
                time.sleep(chance.uniform(0, took / 4))
                with_it = process.poll() is None
                if what != "client":
                    chance.choice(station.children(what)).kill()
                elif with_it:
                    process.kill()
                    process.wait()
                    process = client.start()
                client.finish(process)
                print(f"{what} killed {'while it ran' if with_it else 'too late'}", flush=True)
                assert client.result() == expected, what
    finally:
        station.end()
