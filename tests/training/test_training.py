"""Training: both phases end to end, exact resume, stopping, fine-tuning, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_llcm.events import (
    Checkpoint,
    Finished,
    Notice,
    Preview,
    Step,
    UserError,
    parse_event,
    result_of,
)
from napari_llcm.models import PRESETS, NetworkConfig, load_bundle
from napari_llcm.models.samplers import predict
from napari_llcm.models.taught import ENOUGH
from napari_llcm.specimen import make_specimen, write_specimens
from napari_llcm.specimen.truth import nucleus_width
from napari_llcm.training import load_job, train
from napari_llcm.training.estimate import estimate
from napari_llcm.volumes import Volume, find_pairs, write
from tiny import NETWORK, job


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    result_of(write_specimens(folder, 4, (16, 48, 48), 500, "easy"))
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_bundle(folder / "model").networks.state_dict()


@pytest.mark.versions
def test_training_makes_a_model_logs_and_previews(pairs: Path, tmp_path: Path) -> None:
    events = list(train(job(pairs, tmp_path / "run", tensorboard=True)))
    assert isinstance(events[-1], Finished)
    steps = [e for e in events if isinstance(e, Step)]
    assert {e.phase for e in steps} == {"vae", "consistency"}
    assert any("val_psnr" in e.values for e in steps)
    assert any(
        isinstance(e, Preview) and set(e.images) == {"input", "real", "virtual"} for e in events
    )
    bundle = load_bundle(tmp_path / "run" / "model")
    assert bundle.info.spacing == pytest.approx((0.8, 0.5, 0.5))
    assert bundle.info.provenance["consistency_steps"] == 6
    assert float(bundle.networks.latent_std.min()) > 0
    lines = (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    assert [type(parse_event(line)) for line in lines] == [type(e) for e in events]
    table = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert table[0] == "phase,step,name,value"
    assert len(table) > 5
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_autoencoder_learns(pairs: Path, tmp_path: Path) -> None:
    run = job(pairs, tmp_path / "run", phase="vae", vae_phase={"steps": 60}, validations=6)
    values = [e.values for e in train(run) if isinstance(e, Step)]
    psnr = [v["val_vae_psnr"] for v in values if "val_vae_psnr" in v]
    assert psnr[-1] > psnr[0] + 1


def test_the_consistency_term_joins_the_direct_one(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_llcm.training.trainer._LOG_SECONDS", 0.0)
    steps = [e for e in train(job(pairs, tmp_path / "run")) if isinstance(e, Step)]
    losses = {e.step: e.values for e in steps if e.phase == "consistency" and "loss" in e.values}
    assert sorted(losses) == [1, 2, 3, 4, 5, 6]
    assert all("direct" in values for values in losses.values())
    assert [step for step in losses if "ect" in losses[step]] == [4, 5, 6]


@pytest.mark.parametrize("phase", ["vae", "all"])
def test_resumed_run_is_the_uninterrupted_run(pairs: Path, tmp_path: Path, phase: str) -> None:
    whole = job(pairs, tmp_path / "whole", phase=phase, name="m")
    result_of(train(whole))
    broken = job(pairs, tmp_path / "broken", phase=phase, name="m")
    asked = iter([False] * 3 + [True] * 9)
    stopped = result_of(train(broken, should_stop=lambda: next(asked)))
    assert stopped == tmp_path / "broken" / "model"  # what was trained is kept as a model
    asked = iter([False] * 5 + [True] * 9)  # through the rest of the first phase, into the second
    result_of(train(broken, resume=True, should_stop=lambda: next(asked)))
    result_of(train(broken, resume=True))
    a, b = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_an_encoded_view_serves_several_steps(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_llcm.training.data import POOL, SERVES
    from napari_llcm.training.latents import Latents

    views: list[tuple[int, int]] = []
    encode = Latents._encode

    def counting(self: Latents, index: int, view: int) -> torch.Tensor:
        views.append((index, view))
        return encode(self, index, view)

    monkeypatch.setattr(Latents, "_encode", counting)
    steps = POOL * SERVES
    result_of(train(job(pairs, tmp_path / "run", method_phase={"steps": steps})))
    statistics = 4 - 1  # of each volume that is trained on
    assert 1 < len(set(views)) <= len(views) <= POOL + statistics


def test_killed_run_resumes_from_its_checkpoint(pairs: Path, tmp_path: Path) -> None:
    run = job(pairs, tmp_path / "run", phase="vae", vae_phase={"steps": 40})
    events = train(run)
    for event in events:
        if isinstance(event, Checkpoint):
            break
    events.close()  # as a killed process: nothing more is written
    result = [e for e in train(run, resume=True) if isinstance(e, Finished)]
    assert result[0].result["stopped"] is False


def test_fine_tuning_starts_from_the_model(pairs: Path, tmp_path: Path) -> None:
    result_of(train(job(pairs, tmp_path / "first")))
    tuned = job(
        pairs,
        tmp_path / "second",
        init=str(tmp_path / "first"),
        method_phase={"steps": 1, "learning_rate": 1e-12},
        phase="consistency",
    )
    first = tmp_path / "first" / "model" / "model.json"
    first.write_text(first.read_text().replace('"metrics": {', '"metrics": {"f1": 0.99, ', 1))
    before = tuned.model_copy(deep=True)
    result_of(estimate(tuned))
    result_of(train(tuned))
    assert tuned == before  # neither changes the caller's job
    described = load_bundle(tmp_path / "second" / "model").info
    assert "f1" not in described.metrics  # the figures of the first are not the second's
    assert described.provenance["init"] == str(tmp_path / "first")
    a, b = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.allclose(a[k], b[k], atol=1e-3) for k in a if not k.startswith("latent"))


def test_a_wider_network_goes_on_from_a_narrower_one(pairs: Path, tmp_path: Path) -> None:
    result_of(train(job(pairs, tmp_path / "first")))
    wide = NETWORK.model_copy(update={"unet_widths": (16, 32), "condition_widths": (16, 16)})
    further = {"init": str(tmp_path / "first"), "network": wide, "phase": "consistency"}
    tuned = job(
        pairs,
        tmp_path / "second",
        method_phase={"steps": 4, "learning_rate": 1e-12},
        **further,
    )
    asked = iter([False] * 2 + [True] * 9)
    result_of(train(tuned, should_stop=lambda: next(asked)))
    result_of(train(tuned, resume=True))
    first, second = (load_bundle(tmp_path / name / "model") for name in ("first", "second"))
    assert second.info.network == wide
    qpi = torch.randn(1, 1, 8, 32, 32)
    with torch.no_grad():
        a, b = (predict(bundle.info, bundle.networks, qpi) for bundle in (first, second))
    # weights are saved as float16, and the statistics of the latents are measured anew
    assert float((a - b).abs().mean() / a.std()) < 0.05
    narrow = NETWORK.model_copy(update={"unet_widths": (8, 8)})
    with pytest.raises(UserError, match="leave network out"):
        result_of(train(job(pairs, tmp_path / "third", **further | {"network": narrow})))


@pytest.mark.versions
def test_monai_networks_and_gradient_checkpointing_train(pairs: Path, tmp_path: Path) -> None:
    network = NetworkConfig(
        autoencoder="monai",
        unet="monai",
        condition="vector",
        factor=(4, 4, 4),
        encoder_widths=(8, 8, 8),
        condition_widths=(8, 8),
        unet_widths=(16, 16),
    )
    run = job(pairs, tmp_path / "run", network=network, recompute=True, patch=(8, 16, 16))
    result_of(train(run))
    assert load_bundle(tmp_path / "run" / "model").info.network == network


def test_job_files_and_their_mistakes(pairs: Path, tmp_path: Path) -> None:
    text = f"pairs: {json.dumps(str(pairs))}\nout: {json.dumps(str(tmp_path / 'r'))}\n"
    path = tmp_path / "job.yaml"
    path.write_text(text + "preset: quick\n")
    assert load_job(path).vae_phase.steps == 300
    path.write_text(text + "network: plan\n")
    assert load_job(path).network == PRESETS["plan"]
    path.write_text(text + "consistency_phase: {steps: 7}\n")  # of an earlier version
    assert load_job(path).method_phase.steps == 7
    assert load_job(path).instance_weight > 0
    every = job(pairs, tmp_path / "r").model_dump(mode="json", exclude={"instance_weight"})
    path.write_text(json.dumps(every))  # a run of an earlier version goes on as it began
    assert load_job(path).instance_weight == 0
    for wrong, word in [
        ("preset: huge\n", "huge"),
        ("crops: -1\n", "crops"),
        ("colour: 1\n", "colour"),
        ("network: huge\n", "choose one of default, plan"),
    ]:
        path.write_text(text + wrong)
        with pytest.raises(UserError, match=word):
            load_job(path)
    path.write_text("- 1")
    with pytest.raises(UserError, match="settings"):
        load_job(path)


def test_refusals(pairs: Path, tmp_path: Path) -> None:
    run = job(pairs, tmp_path / "run", phase="vae", vae_phase={"steps": 1})
    result_of(train(run))
    with pytest.raises(UserError, match="--resume"):
        result_of(train(run))
    (tmp_path / "run" / "checkpoints" / "vae.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="damaged"):
        result_of(train(run, resume=True))
    with pytest.raises(UserError, match="no folder"):
        result_of(train(job(tmp_path / "nowhere", tmp_path / "new")))
    assert not (tmp_path / "new").exists()


def test_pairs_that_do_not_match_end_before_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for kind, depth in [("qpi", 12), ("dapi", 10)]:
        data = rng.normal(size=(depth, 32, 32)).astype(np.float32)
        write(tmp_path / "pairs" / kind / "a.ome.tif", Volume(data, spacing=(1, 0.5, 0.5)))
    with pytest.raises(UserError, match="one shape"):
        result_of(train(job(tmp_path / "pairs", tmp_path / "run")))


@pytest.mark.parametrize(
    "changes",
    [{"root": False}, {"consistency": {"objective": "adjacent", "direct_weight": 0.0}}],
    ids=["linear", "adjacent"],
)
def test_the_choices_that_are_measured_can_be_trained(
    pairs: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    result_of(train(job(pairs, tmp_path / "run", **changes)))
    bundle = load_bundle(tmp_path / "run" / "model")
    assert bundle.info.scalings["dapi"].root is changes.get("root", True)
    assert bundle.info.provenance["consistency_steps"] == 6


def test_linear_intensities_come_back_as_they_were() -> None:
    from napari_llcm.tasks.normalise import Scaling, stabilise, unstabilise

    counts = np.linspace(100, 900, 50, dtype=np.float32)
    for root in (True, False):
        scaling = Scaling(low=100, high=700, root=root)
        back = unstabilise(stabilise(counts, scaling), scaling)
        np.testing.assert_allclose(back, counts, rtol=1e-4)


def test_nuclei_are_counted_while_it_trains_beside_those_of_the_shipped_model(
    pairs: Path, tmp_path: Path
) -> None:
    from napari_llcm.evaluation.while_training import NucleiJudge
    from napari_llcm.models.library import DEFAULT_MODEL

    judge = NucleiJudge("cpu")
    assert judge.name == DEFAULT_MODEL
    qpi, real, _ = find_pairs(pairs)[0].read()
    same = judge([(real, real)])
    assert same["recall"] == same["f1"] == 1
    assert same["found"] == same["real"] > 0
    assert ("width" in same) is (same["real"] >= ENOUGH)
    field = make_specimen(size=(24, 112, 112), seed=502)
    many = judge([(field.dapi, field.dapi)])
    assert many["width"] == pytest.approx(nucleus_width(field.labels.numpy()), rel=0.1)
    noise = real.replace(data=np.random.default_rng(0).normal(size=real.shape).astype(np.float32))
    assert judge([(real, noise)]).get("f1", 0.0) < 0.2
    virtual = judge.stain(qpi)
    assert virtual is not None
    assert judge([(real, virtual)])["recall"] > 0.5

    class Counting:
        """Finds a quarter of what the model to be compared with finds."""

        name = "other"
        judges = "nuclei"

        def __call__(self, volumes: Any) -> dict[str, float]:
            reference = bool((volumes[0][1].numpy() == 7).all())
            return {"recall": 0.5, "f1": 1.0 if reference else 0.25, "found": 2.0, "real": 4.0}

        def stain(self, qpi: Any) -> Any:
            return qpi.replace(data=np.full(qpi.shape, 7, np.float32))

    events = list(train(job(pairs, tmp_path / "run"), judge=Counting()))
    steps = [e.values for e in events if isinstance(e, Step)]
    assert {v["val_f1"] for v in steps if "val_f1" in v} == {0.25}
    assert [v["reference_f1"] for v in steps if "reference_f1" in v] == [1.0]
    assert load_bundle(tmp_path / "run" / "model").info.metrics["val_recall"] == 0.5
    told = events[-1].result["nuclei"]  # type: ignore[union-attr]
    assert (told["f1"], told["found"], told["real"], told["held_out"]) == (0.25, 2.0, 4.0, True)
    assert told["reference"] == {"name": "other", "recall": 0.5, "f1": 1.0, "found": 2, "real": 4}


@pytest.mark.parametrize("teller", ["qpi", "dapi"])
def test_both_stacks_of_a_pair_are_resampled_where_one_tells_its_spacing(
    tmp_path: Path, teller: str
) -> None:
    """Paired patches show one place: 0.97 correlated; each resampled by itself, -0.08."""
    from napari_llcm.training.data import Batches, load_pairs

    rng = np.random.default_rng(0)
    for name, zoom in (("a", 1), ("b", 1), ("fine", 2)):
        image = ndimage.gaussian_filter(rng.normal(size=(16, 48, 48)), (1, 3, 3)).astype("f4")
        image = image.repeat(zoom, 1).repeat(zoom, 2)
        spacing = (0.8, 0.5 / zoom, 0.5 / zoom)
        for kind in ("qpi", "dapi"):
            known = name != "fine" or kind == teller
            volume = Volume(image - image.min(), spacing=spacing if known else None)
            write(tmp_path / "p" / kind / f"{name}.ome.tif", volume)
    run = job(tmp_path / "p", tmp_path / "run", root=False)
    data = load_pairs(find_pairs(tmp_path / "p"), run, (0.8, 0.5, 0.5), 10**5, tmp_path)
    assert {tuple(item[key].shape) for item in data for key in ("inputs", "outputs")} == {
        (1, 16, 48, 48)
    }
    batches = [Batches(data, run).at(step) for step in range(8)]
    both = [torch.cat([b[key].flatten() for b in batches]) for key in ("inputs", "outputs")]
    assert torch.corrcoef(torch.stack(both))[0, 1] > 0.9
    told = [e.text for e in train(run) if isinstance(e, Notice)]
    assert any("does not tell its voxel size" in text and "fine" in text for text in told)
    assert any("voxels of 0.8 × 0.5 × 0.5 µm" in t and "Resampled to them: fine" in t for t in told)


def test_pairs_that_tell_no_spacing_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, spacing in (("known", (1, 0.5, 0.5)), ("unknown", None)):
        for kind in ("qpi", "dapi"):
            data = rng.random((8, 32, 32)).astype(np.float32)
            write(tmp_path / "p" / kind / f"{name}.ome.tif", Volume(data, spacing=spacing))
    told = [e.text for e in train(job(tmp_path / "p", tmp_path / "r")) if isinstance(e, Notice)]
    assert any("taken as they are: unknown." in text for text in told)


@pytest.mark.parametrize("told", [True, False])
def test_pairs_are_resampled_by_the_width_of_their_nuclei(tmp_path: Path, told: bool) -> None:
    """Nuclei of 12 µm, or 24 pixels, become as wide as the 6 µm and 12 voxels of the start."""
    rng = np.random.default_rng(0)
    spacing = (0.8, 0.5, 0.5)
    for folder, known in (("first", spacing), ("wide", spacing if told else None)):
        for kind in ("qpi", "dapi"):
            data = rng.random((16, 64, 64)).astype(np.float32)
            write(tmp_path / folder / kind / "a.ome.tif", Volume(data, spacing=known))
    start, out = tmp_path / "start", tmp_path / "out"
    result_of(train(job(tmp_path / "first", start, nucleus_um=6.0)))
    assert load_bundle(start / "model").info.nucleus_um == 6.0
    wide = {"init": str(start), "nucleus_um": 12.0 if told else 24.0, "phase": "consistency"}
    events = list(train(job(tmp_path / "wide", out, **wide)))
    info = load_bundle(out / "model").info
    seen = (1.6, 1.0, 1.0) if told else spacing
    assert info.spacing == pytest.approx(seen)
    assert info.nucleus_um == (12.0 if told else 6.0)
    said = [e.text for e in events if isinstance(e, Notice)]
    assert any("Resampled to them: a" in text for text in said)
    assert any("as wide as those that the model it starts from" in t for t in said) is told
    result_of(estimate(job(tmp_path / "wide", out, **wide)))


def test_a_width_that_no_pair_or_model_can_be_scaled_by_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, spacing in (("known", (1, 0.5, 0.5)), ("unknown", None)):
        for kind in ("qpi", "dapi"):
            data = rng.random((8, 32, 32)).astype(np.float32)
            write(tmp_path / "p" / kind / f"{name}.ome.tif", Volume(data, spacing=spacing))
    with pytest.raises(UserError, match="but unknown does not tell"):
        result_of(train(job(tmp_path / "p", tmp_path / "a", nucleus_um=6.0)))
    result_of(train(job(tmp_path / "p", tmp_path / "b")))
    for kind in ("qpi", "dapi"):
        (tmp_path / "p" / kind / "unknown.ome.tif").unlink()
    with pytest.raises(UserError, match="does not tell how wide"):
        result_of(
            train(job(tmp_path / "p", tmp_path / "c", init=str(tmp_path / "b"), nucleus_um=6.0))
        )


def test_a_trained_model_tells_how_far_it_sees(tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    result_of(write_specimens(folder, 2, (16, 128, 144), 500, "easy"))
    list(train(job(folder, tmp_path / "run")))
    reach = load_bundle(tmp_path / "run" / "model").info.reach
    assert reach is not None
    unet = reach.unet
    assert unet[0] == 16  # too few planes to tell: the whole halo
    assert 0 < max(unet[1:]) <= 16
    assert 0 < min(reach.decoder) <= max(reach.decoder) <= 9
