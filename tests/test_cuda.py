"""What a graphics card must do as a processor does; skipped where there is none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from napari_llcm import Stainer
from napari_llcm.events import Finished, Step, result_of
from napari_llcm.models import load_bundle
from napari_llcm.models.library import find_model
from napari_llcm.specimen import Specimen, make_specimen, write_specimens
from napari_llcm.training import train
from tiny import job

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card"),
]


@pytest.fixture(autouse=True)
def kernel_cache(own_home: Path) -> None:
    """Make the folder of torch's kernel cache, which it makes the last level of alone."""
    Path(os.environ["XDG_CACHE_HOME"], "torch").mkdir(parents=True)


@pytest.fixture(scope="module")
def field() -> Specimen:
    return make_specimen((32, 128, 128), 9_000_001)


def test_a_stain_is_that_of_the_processor(field: Specimen) -> None:
    model = load_bundle(find_model(None))
    there = Stainer(model, device="cuda").stain(field.qpi).numpy()
    here = Stainer(model, device="cpu").stain(field.qpi).numpy()
    difference = np.abs(there - here)
    assert difference.mean() < 0.02 * here.std()  # bfloat16 rounds differently, no more
    assert np.corrcoef(there.ravel(), here.ravel())[0, 1] > 0.998


def test_a_stain_does_not_depend_on_its_tiles_on_the_card_either(field: Specimen) -> None:
    stainer = Stainer(device="cuda")
    whole = stainer.stain(field.qpi).numpy()
    tiled = stainer.stain(field.qpi, memory_share=0.002).numpy()
    assert np.abs(whole - tiled).mean() < 0.02 * whole.std()


def test_training_runs_and_resumes(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    result_of(write_specimens(pairs, 4, (16, 48, 48), 500, "easy"))
    first = job(pairs, tmp_path / "run", device="cuda", mixed_precision=True)
    events = list(train(first))
    assert isinstance(events[-1], Finished)
    losses = [e.values["loss"] for e in events if isinstance(e, Step) and "loss" in e.values]
    assert losses
    assert np.isfinite(losses).all()
    more = first.method_phase.model_copy(update={"steps": 12})
    again = list(train(first.model_copy(update={"method_phase": more}), resume=True))
    assert isinstance(again[-1], Finished)
    bundle = load_bundle(tmp_path / "run" / "model", "cuda")
    assert all(bool(v.isfinite().all()) for v in bundle.networks.state_dict().values())
