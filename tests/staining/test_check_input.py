"""A verdict on a stack before it is stained, by the shipped model: on its own kind, and others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_llcm.events import Finished, Notice, UserError, result_of
from napari_llcm.models import ModelBundle, load_bundle, load_model, save_bundle
from napari_llcm.models.familiarity import Verdict
from napari_llcm.models.taught import Taught
from napari_llcm.nuclei.finding import find_nuclei
from napari_llcm.specimen import make_specimen
from napari_llcm.staining.check_input import check_input
from napari_llcm.volumes import Volume, read
from stains import run, staining

SPACING = (0.8, 0.5, 0.5)


@pytest.fixture(scope="module")
def shipped() -> ModelBundle:
    return load_model("universal-v1", "cpu")


@pytest.fixture(scope="module")
def own() -> Volume:
    """A stack of the kind that the shipped model was trained on."""
    return make_specimen(size=(24, 96, 96), seed=77).qpi


def verdict(volume: Volume, model: ModelBundle) -> Verdict:
    found: Verdict = result_of(check_input(volume, model))
    return found


def test_a_stack_of_the_models_own_kind_is_like_what_it_knows(
    shipped: ModelBundle, own: Volume
) -> None:
    found = verdict(own, shipped)
    assert found.value == "like"
    assert found.f1 is not None
    assert found.f1 > 0.8
    assert "universal-v1" in found.sentence
    # 16-bit counts of any unit are the same stack
    data = own.numpy()
    counts = np.round(1000 + 30000 * (data - data.min()) / np.ptp(data)).astype(np.uint16)
    again = verdict(own.replace(data=counts), shipped)
    assert again.f1 == pytest.approx(found.f1, abs=0.03)


@pytest.mark.slow
def test_noise_and_a_gradient_are_nothing_that_it_can_read(
    shipped: ModelBundle, own: Volume
) -> None:
    rng = np.random.default_rng(0)
    white = rng.standard_normal(own.shape).astype(np.float32)
    ramp = np.linspace(0, 1, own.shape[2], dtype=np.float32) + 0.001 * white
    for data in (white, ramp):
        found = verdict(own.replace(data=data), shipped)
        assert found.value == "unreadable"
        assert found.reasons
        assert "Nothing that universal-v1 can read" in found.sentence


@pytest.mark.slow
def test_the_reason_is_told_in_words(own: Volume) -> None:
    shipped = load_model("specimen-v6", "cpu")  # the other one knows stacks of either sign
    inverted = verdict(own.replace(data=-own.numpy()), shipped)
    assert inverted.value in ("unlike", "unreadable")
    assert "inverted" in inverted.reasons[0]
    wide = make_specimen(size=(30, 160, 160), seed=78, spacing=tuple(s / 3 for s in SPACING)).qpi
    large = verdict(wide.replace(spacing=SPACING), shipped)
    assert large.value in ("unlike", "unreadable")
    assert any("twice as large" in reason for reason in large.reasons)


def test_a_model_that_was_not_calibrated_for_it_says_so(model: ModelBundle, own: Volume) -> None:
    found = verdict(own, model)
    assert found.value == "unknown"
    assert found.f1 is None
    assert "cannot tell" in found.sentence


def test_a_taught_model_says_what_it_was_taught_on_in_place_of_a_verdict(
    model: ModelBundle, own: Volume, tmp_path: Path
) -> None:
    where = "in a held-out part of cells"
    found_there = {"f1": 0.93, "real": 41.0, "reference": {"f1": 0.61}}
    taught = Taught.on(["cells"], where, found_there)
    info = model.info.model_copy(update={"name": "mine", "taught": taught})
    mine = load_bundle(save_bundle(tmp_path / "mine", info, model.networks))
    found = verdict(own, mine)
    assert (found.value, found.f1) == ("taught", None)
    assert found.sentence.startswith(
        "mine was taught on cells: nuclei F1 0.93, 0.61 before, in a held-out part of cells (41 "
        "nuclei). "
    )
    assert "another microscope or scanner there is no verdict" in found.sentence
    path = tmp_path / "stain.ome.tif"
    _, events = run(staining(own, mine, out=path))
    assert found.sentence in [e.text for e in events if isinstance(e, Notice) and not e.warning]
    assert Verdict.kept(read(path).metadata) == found
    assert Verdict.kept({"input_check": {"value": "of a later version"}}) is None
    again = result_of(find_nuclei(read(path), segmenter="classical"))
    assert Verdict.kept(again.settings) == found


@pytest.mark.parametrize(
    ("pairs", "where", "counted", "said"),
    [
        (["a"], "", {"f1": 0.9, "real": 9.0}, "taught on a; nothing was held out"),
        (["a", "b"], "in held-out volumes", {}, "taught on a, b; nuclei were not counted"),
        (["a"], "in held-out volumes", {"f1": 0.9, "real": 4.0}, "too few nuclei"),
        (list("abcde"), "in held-out volumes", {}, "taught on 5 pairs such as a, b, c;"),
    ],
)
def test_no_figure_is_told_that_tells_nothing(
    pairs: list[str], where: str, counted: dict[str, float], said: str
) -> None:
    words = Taught.on(pairs, where, counted).words
    assert said in words
    assert "F1" not in words


class Huge:
    """A stack of 5 teravoxels that repeats a small one, and counts what is read of it."""

    dtype = np.dtype(np.float32)
    shape = (2000, 50_000, 50_000)
    ndim = 3

    def __init__(self, tile: np.ndarray) -> None:
        self.tile, self.read = tile, 0

    def __getitem__(self, index: Any) -> np.ndarray:
        spans = index if isinstance(index, tuple) else (index,)
        spans = (*spans, *[slice(None)] * (3 - len(spans)))
        places = [
            np.arange(*s.indices(n)) if isinstance(s, slice) else np.array([s])
            for s, n in zip(spans, self.shape, strict=True)
        ]
        self.read += int(np.prod([float(len(p)) for p in places]))
        assert self.read < 2e8
        found = self.tile[np.ix_(*(p % n for p, n in zip(places, self.tile.shape, strict=True)))]
        return found if isinstance(spans[0], slice) else found[0]


def test_each_trial_stain_encodes_its_view_once(shipped: ModelBundle, own: Volume) -> None:
    seen: list[bool] = []
    hook = shipped.networks.condition.register_forward_hook(lambda *_: seen.append(True))
    try:
        assert verdict(own, shipped).value == "like"
    finally:
        hook.remove()
    assert len(seen) == 2  # of one part, and of that flipped


def test_a_decoder_that_overflows_gives_no_verdict(shipped: ModelBundle, own: Volume) -> None:
    hook = shipped.networks.autoencoder.decoder.register_forward_hook(lambda *given: given[2] / 0)
    try:
        with pytest.raises(UserError, match=r"The decoder of model universal-v1 gives values"):
            verdict(own, shipped)
    finally:
        hook.remove()


def test_of_a_huge_stack_little_is_read(shipped: ModelBundle, own: Volume) -> None:
    mirrored = np.pad(own.numpy(), [(0, n) for n in own.shape], mode="symmetric")
    stack = Huge(mirrored)
    found = verdict(Volume(stack, SPACING, name="huge"), shipped)
    assert found.value == "like"
    assert stack.read < 1.5e7


def test_what_is_no_stack_is_refused_and_a_job_can_be_stopped(
    shipped: ModelBundle, own: Volume
) -> None:
    with pytest.raises(UserError, match="2D image"):
        verdict(Volume(own.numpy()[0], axes="yx", name="flat"), shipped)
    *_, last = check_input(own, shipped, should_stop=lambda: True)
    assert isinstance(last, Finished)
    assert last.result == {"stopped": True}
    assert last.value is None


@pytest.mark.slow
def test_the_verdict_goes_with_the_stain_into_its_file(
    shipped: ModelBundle, own: Volume, tmp_path: Path
) -> None:
    noise = own.replace(
        data=np.random.default_rng(0).standard_normal(own.shape).astype(np.float32), name="noise"
    )
    path = tmp_path / "stain.ome.tif"
    finished, events = run(staining(noise, shipped, out=path))
    (said,) = [e.text for e in events if isinstance(e, Notice) and "can read" in e.text]
    assert said.startswith("noise: Nothing that universal-v1 can read")
    assert said in finished.result["notices"]
    kept = Verdict.model_validate(read(path).metadata["input_check"])
    assert kept.value == "unreadable"
    assert kept == Verdict.model_validate(finished.result["input_check"])
    silent = run(staining(noise, shipped, check=False))[0]
    assert "input_check" not in silent.result
