"""Fine-tuning: what is implied, what is held out of one volume, never worse than the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_llcm.events import Finished, Notice, Step, result_of
from napari_llcm.models import find_model, load_bundle
from napari_llcm.models.nucleus_width import in_plane
from napari_llcm.models.taught import Taught
from napari_llcm.specimen import write_specimens
from napari_llcm.training import TrainJob, make_job, train
from napari_llcm.training.held_out import Part, fitting_patch
from napari_llcm.training.jobs import load_job, save_job
from napari_llcm.volumes import Pair, Volume, find_pairs, read, write
from tiny import job


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one pair."""
    folder = tmp_path_factory.mktemp("one")
    result_of(write_specimens(folder, 1, (16, 48, 96), 500, "easy"))
    return folder


@pytest.fixture(scope="module")
def start(one: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned a little."""
    out = tmp_path_factory.mktemp("start") / "run"
    steps = {"steps": 60, "warmup_steps": 5}
    return Path(result_of(train(job(one, out, vae_phase=steps, method_phase=steps))))


def tuned(one: Path, out: Path, start: Path | str, **changes: Any) -> TrainJob:
    return job(one, out, init=str(start), **changes)


def weights(model: Path) -> dict[str, torch.Tensor]:
    return load_bundle(model).networks.state_dict()


class Counts:
    """Counts nuclei by how like the truth the stain is: a judge that takes no Cellpose."""

    name = "start"
    judges = "nuclei"

    def __call__(self, pairs: Any) -> dict[str, float]:
        r = [np.corrcoef(a.numpy().ravel(), b.numpy().ravel())[0, 1] for a, b in pairs]
        found = max(float(np.mean(r)), 0.0)
        return {"f1": found, "recall": found, "real": 10.0, "found": 10 * found}

    def stain(self, qpi: Volume) -> Volume:
        raise AssertionError("the start is validated as it is, not stained anew")


def test_a_model_to_start_from_implies_fine_tuning(tmp_path: Path) -> None:
    plain = make_job("standard", pairs=[tmp_path], out=tmp_path)
    assert plain.phases() == ("vae", "consistency")
    assert not plain.never_worse
    assert plain.max_minutes is None
    tuning = make_job("standard", pairs=[tmp_path], out=tmp_path, init="specimen-v6")
    assert tuning.phases() == ("consistency",)
    assert tuning.never_worse
    assert tuning.max_minutes == 5
    assert tuning.method_phase.steps == plain.method_phase.steps
    assert tuning.method_phase.warmup_steps < plain.method_phase.warmup_steps
    other = make_job(pairs=[tmp_path], out=tmp_path, init="specimen-v6", max_minutes=2)
    assert other.max_minutes == 2
    again = make_job(pairs=[tmp_path], out=tmp_path, init="specimen-v6", phase="all")
    assert again.phases() == plain.phases()  # who names a phase knows what is wanted
    assert not again.never_worse
    save_job(tuning, tmp_path / "job.yaml")
    assert load_job(tmp_path / "job.yaml") == tuning


def test_one_volume_holds_out_a_part_that_no_patch_touches(
    one: Path, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Voxels are marked by their place: patches and the validated part have no place in common."""
    from napari_llcm.training import data, trainer, training

    qpi, dapi, _ = find_pairs(one)[0].read()
    place = np.broadcast_to(np.arange(96, dtype=np.float32), qpi.shape)
    write(tmp_path / "pairs" / "qpi" / "a.ome.tif", qpi.replace(data=place.copy()))
    write(tmp_path / "pairs" / "dapi" / "a.ome.tif", dapi)
    assert np.ptp(read(tmp_path / "pairs" / "qpi" / "a.ome.tif").numpy()) == 95

    seen: dict[str, list[Any]] = {"batches": [], "validators": []}

    class Batches(trainer.Batches):
        def at(self, step: int) -> Any:
            batch = super().at(step)
            seen["batches"].append(batch["inputs"])
            return batch

    class Validator(training.Validator):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            seen["validators"].append(self)

    monkeypatch.setattr(data, "augmented", lambda qpi, *_: qpi)
    monkeypatch.setattr(trainer, "Batches", Batches)
    monkeypatch.setattr(training, "Validator", Validator)
    steps = {"steps": 24, "warmup_steps": 1}
    run = tuned(tmp_path / "pairs", tmp_path / "run", start, method_phase=steps, patch=(8, 16, 16))
    events = list(train(run))
    told = [e.text for e in events if isinstance(e, Notice)]
    assert any("validate in a held-out part of a" in text for text in told), told
    trained = torch.cat([b.flatten() for b in seen["batches"]])
    validated = seen["validators"][0].pairs[0][0]
    # 96 voxels: 24 are held out, a gap of 12 is neither
    scale = (float(validated.max()) - float(trained.min())) / 95  # from the first voxel to the last
    gap = (float(validated.min()) - float(trained.max())) / scale
    assert gap == pytest.approx(12 + 1, abs=0.1)
    assert float(validated.max() - validated.min()) / scale == pytest.approx(23, abs=0.1)
    assert any("val_psnr" in e.values for e in events if isinstance(e, Step))


def test_a_patch_is_no_larger_than_the_stacks(tmp_path: Path) -> None:
    usual = make_job(pairs=[tmp_path], out=tmp_path)
    a, b = (Pair(name, (tmp_path,), (tmp_path,)) for name in "ab")
    part = Part(b, 2, 0, 30)

    def fits(job: TrainJob, trained: list[Any], *shapes: tuple[int, int, int]) -> Any:
        return fitting_patch(job, trained, [a, b], shapes)

    assert fits(usual, [a], (48, 200, 200), (1, 1, 1)) == usual.patch == (32, 64, 64)
    assert fits(usual, [a], (9, 200, 200), (99, 99, 99)) == (16, 64, 64)  # padded to 16
    assert fits(usual, [a, b], (9, 200, 40), (20, 30, 40)) == (24, 48, 48)  # transposed, too
    assert fits(usual, [part], (99, 99, 99), (40, 80, 80)) == (32, 32, 32)
    rival = make_job(pairs=[tmp_path], out=tmp_path, method="pix2pix")
    assert fits(rival, [a], (5, 80, 80), (1, 1, 1)) == (16, 64, 64)  # its PatchGAN takes no less


@pytest.mark.parametrize("judge", [None, Counts()], ids=["psnr", "nuclei"])
def test_a_hurtful_rate_keeps_the_start_and_says_so(one: Path, tmp_path: Path, judge: Any) -> None:
    hurtful = {"steps": 4, "warmup_steps": 1, "learning_rate": 3.0}
    tiny = {"patch": (8, 32, 32), "crops": 1, "method_phase": hurtful, "tensorboard": False}
    run = make_job(
        pairs=[one], out=tmp_path / "run", init="specimen-v6", name="mine", device="cpu", **tiny
    )
    events = list(train(run, judge=judge))
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.result["kept_start"] is True
    assert any("it is kept" in e.text for e in events if isinstance(e, Notice) and e.warning)
    a, b = weights(find_model("specimen-v6")), weights(tmp_path / "run" / "model")
    assert all(torch.equal(a[key], b[key]) for key in a)
    info = load_bundle(tmp_path / "run" / "model").info
    assert (info.name, info.provenance["kept"]) == ("mine", "specimen-v6")
    if judge is not None:  # the figures are those of what is kept
        assert last.result["nuclei"]["f1"] == last.result["nuclei"]["reference"]["f1"]


def test_what_was_better_is_kept_though_it_was_not_the_last(
    one: Path, start: Path, tmp_path: Path
) -> None:
    class Scripted(Counts):
        scores = iter([0.2, 0.5, 0.8, 0.4])  # the start, and after 4, 8 and 12 steps

        def __call__(self, pairs: Any) -> dict[str, float]:
            return {"f1": next(self.scores), "real": 10.0, "found": 5.0, "width": 12.0}

    steps = {"steps": 12, "warmup_steps": 1}
    run = tuned(one, tmp_path / "run", start, method_phase=steps, validations=3)
    last = list(train(run, judge=Scripted()))[-1]
    assert isinstance(last, Finished)
    assert last.result["kept_start"] is False
    assert last.result["nuclei"]["f1"] == 0.8
    assert last.result["metrics"]["val_f1"] == 0.8
    assert last.result["nuclei"]["reference"]["f1"] == 0.2
    assert "a held-out part" in last.result["nuclei"]["where"]
    info = load_bundle(tmp_path / "run" / "model").info
    (name,) = [pair.name for pair in find_pairs(one)]
    where = f"in a held-out part of {name}"
    assert info.taught == Taught(pairs=(name,), where=where, f1=0.8, nuclei=10, before=0.2)
    assert info.nucleus_um == pytest.approx(12 * in_plane(info.spacing))  # of the real DAPI there
    shorter = tuned(one, tmp_path / "short", start, method_phase=steps, validations=3)
    asked = iter([False] * 9 + [True] * 9)  # once for the registration
    Scripted.scores = iter([0.2, 0.5, 0.8, 0.8])
    result_of(train(shorter, judge=Scripted(), should_stop=lambda: next(asked)))
    a, b = weights(tmp_path / "run" / "model"), weights(tmp_path / "short" / "model")
    assert all(torch.equal(a[key], b[key]) for key in a)
    Scripted.scores = iter([0.2, 0.4])  # resumed: the best of before is remembered
    result_of(train(shorter, resume=True, judge=Scripted()))
    b = weights(tmp_path / "short" / "model")
    assert all(torch.equal(a[key], b[key]) for key in a)
    level = tuned(one, tmp_path / "level", start, method_phase=steps, validations=3)
    Scripted.scores = iter([0.5, 0.5, 0.5, 0.5])  # no better is not better
    assert list(train(level, judge=Scripted()))[-1].result["kept_start"] is True
