"""Train: a model from pairs; here a minute's worth, to show the way."""

from pathlib import Path

from napari_llcm import result_of, train
from napari_llcm.specimen import write_specimens
from napari_llcm.training import make_job

folder = Path("napari-llcm-examples")
if not (folder / "pairs").exists():
    result_of(write_specimens(folder / "pairs", 2, (16, 48, 48), seed=500, difficulty="easy"))

job = make_job(
    "quick",
    pairs=[folder / "pairs"],
    out=folder / "run",
    name="example",
    max_minutes=1,
    patch=(16, 32, 32),
    vae_phase={"steps": 4},
    method_phase={"steps": 4},  # leave both out to train in earnest
)
model = result_of(train(job))
print(f"The model is in {model}")
