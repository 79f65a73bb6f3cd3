"""The benchmark: every method trained on the same pairs with the same budget, judged alike."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..events import Event, Finished, Job, Meter, Notice, ShouldStop, Started, UserError, relay
from ..models.config import MethodName
from ..models.methods import AUTOENCODER, METHODS
from ..volumes import Pair, PairReadOptions, find_pairs, notices
from ..volumes.apart import check_apart
from ..volumes.sole_writer import sole_writer
from .judging import Remembering, judge_all
from .quality_report import write_quality_report
from .ways import VAE_SHARE, WAYS

if TYPE_CHECKING:
    from ..models import ModelBundle
    from ..nuclei import Segmenter
    from ..training import TrainJob

# seeds of the specimens made for the benchmark; no shipped model was trained on any of them
_TRAIN_SEED, _TEST_SEED = 300_000, 9_200_000


@dataclass(frozen=True)
class QualityBenchmark:
    """What to measure on what.

    Parameters
    ----------
    out : Path
        Folder for runs, stains and report; a second call goes on with what is there.
    methods : sequence of str
        Of `METHODS`.
    minutes : float
        Training time of each method, the autoencoder's share included.
    train : sequence of Path
        Pairs to train on; simulated specimens, medium and hard, if none.
    test : sequence of Path
        Pairs to judge on, one group for each folder; held-out specimens if none.
    specimens : tuple of int
        How many specimens of each difficulty to make to train and to test on.
    size : tuple of int
        Of these specimens, voxels (z, y, x).
    device : str
        Where to train and stain.
    job : dict
        Fields of the training jobs that differ from the defaults.
    reading : PairReadOptions
        How the files of `train` and `test` are read.
    ways : sequence of str
        Of `WAYS`: other ways to steer the LLCM, trained and judged as methods are.
    """

    out: Path
    methods: Sequence[MethodName] = tuple(METHODS)
    minutes: float = 30.0
    train: Sequence[Path] = ()
    test: Sequence[Path] = ()
    specimens: tuple[int, int] = (40, 4)
    size: tuple[int, int, int] = (48, 192, 192)
    device: str = "auto"
    job: dict[str, Any] = field(default_factory=dict)
    reading: PairReadOptions = field(default_factory=PairReadOptions)
    ways: Sequence[str] = ()


def benchmark_quality(
    benchmark: QualityBenchmark, *, segmenter: Segmenter, should_stop: ShouldStop | None = None
) -> Job:
    """Train every method, stain the held-out pairs with it, and write one report.

    Parameters
    ----------
    benchmark : QualityBenchmark
        What to measure on what.
    segmenter : Segmenter
        Finds the nuclei of real and virtual DAPI, by the same settings.
    should_stop : callable, optional
        On True what is done is kept; the same call goes on from there.

    Yields
    ------
    Event
        At the end `Finished` with the report; `value` is the path of report.html.

    Raises
    ------
    UserError
        If a method is unknown, or training and test pairs overlap.
    """
    unknown = [m for m in benchmark.methods if m not in METHODS]
    if unknown:
        raise UserError(f"There is no method {unknown[0]!r}: choose from {', '.join(METHODS)}.")
    if other := [w for w in benchmark.ways if w not in WAYS]:
        raise UserError(f"There is no way {other[0]!r} to steer: choose from {', '.join(WAYS)}.")
    yield Started(job="benchmark", settings={"methods": list(benchmark.methods)})
    for folder in (*benchmark.train, *benchmark.test):
        check_apart(benchmark.out, [folder])
    with sole_writer(benchmark.out, folder=True) as notice:
        yield from [Notice(text=notice, warning=False)] if notice else []
        yield from _benchmark(benchmark, segmenter, should_stop)


def _benchmark(
    benchmark: QualityBenchmark, segmenter: Segmenter, should_stop: ShouldStop | None
) -> Job:
    train, test = yield from _data(benchmark, should_stop)
    _check_apart(train, test)
    remembering = Remembering(segmenter)
    models = yield from _train_all(benchmark, train, remembering, should_stop)
    judged = models is not None and (
        yield from judge_all(
            benchmark.out, models, test, remembering, benchmark.device, should_stop
        )
    )
    if not judged or models is None:
        yield Finished(result={"stopped": True})
        return
    report = write_quality_report(benchmark.out, models, test, benchmark.minutes)
    yield Finished(result=report, value=benchmark.out / "report.html")


def _data(
    benchmark: QualityBenchmark, should_stop: ShouldStop | None
) -> Generator[Event, None, tuple[list[Path], dict[str, list[Pair]]]]:
    """Return the folders to train on and the pairs to judge on, by group."""
    from ..specimen import write_specimens

    train, tests = list(benchmark.train), list(benchmark.test)
    count = benchmark.specimens
    for role, folders, n, seed in (
        ("train", train, count[0], _TRAIN_SEED),
        ("test", tests, count[1], _TEST_SEED),
    ):
        if folders:
            continue
        for offset, difficulty in enumerate(("medium", "hard")):
            folder = benchmark.out / "data" / role / difficulty
            if not (folder / "complete").exists():
                yield Notice(text=f"Making {n} {difficulty} specimens ({role}).", warning=False)
                yield from relay(
                    write_specimens(
                        folder,
                        n,
                        benchmark.size,
                        seed + offset * 10_000,
                        difficulty,  # type: ignore[arg-type]
                        overwrite=True,
                        should_stop=should_stop,
                    ),
                    f"{role} {difficulty}:",
                )
                if should_stop is None or not should_stop():
                    (folder / "complete").touch()
            folders.append(folder)
    found = {folder.name: find_pairs(folder, benchmark.reading) for folder in tests}
    yield from notices(*found.values())
    return train, dict(found)


def _check_apart(train: Iterable[Path], test: dict[str, list[Pair]]) -> None:
    known = {pair.dapi.resolve() for folder in train for pair in find_pairs(folder)}
    for pairs in test.values():
        for pair in pairs:
            if pair.dapi.resolve() in known:
                raise UserError(f"{pair.name} is to be trained on and judged on: remove it.")


def _jobs(benchmark: QualityBenchmark, train: list[Path]) -> dict[str, TrainJob]:
    """Return the training jobs by name, the autoencoder's first."""
    from ..training import make_job

    endless = {"steps": 10_000_000}  # the minutes end them
    common: dict[str, Any] = {
        "pairs": train,
        "reading": benchmark.reading,
        "device": benchmark.device,
        "vae_phase": endless,
        "method_phase": endless,
        **benchmark.job,
    }
    vae = AUTOENCODER.name
    folder = benchmark.out / "runs" / vae
    jobs: dict[str, TrainJob] = {}
    methods = [METHODS[name] for name in benchmark.methods]
    if benchmark.ways or any(method.latent for method in methods):
        minutes = benchmark.minutes * VAE_SHARE
        jobs[vae] = make_job("full", **common, out=folder, phase=vae, max_minutes=minutes, name=vae)
    for method in methods:
        fields = {**common, "out": benchmark.out / "runs" / method.name, "name": method.name}
        fields |= {"method": method.name, "phase": method.phase.name}
        fields["max_minutes"] = benchmark.minutes
        if method.latent:
            fields |= {"init": str(folder), "max_minutes": benchmark.minutes * (1 - VAE_SHARE)}
        jobs[method.name] = make_job("full", **fields)
    for name in benchmark.ways:
        jobs |= WAYS[name].jobs(common, benchmark.out / "runs", benchmark.minutes)
    return jobs


def _train_all(
    benchmark: QualityBenchmark,
    train: list[Path],
    segmenter: Segmenter,
    should_stop: ShouldStop | None,
) -> Generator[Event, None, dict[str, ModelBundle] | None]:
    """Train what is not trained yet; return the models, or None where it was stopped."""
    from ..models import load_bundle
    from ..training import train_or_go_on
    from ..training.runs import run_state

    jobs = _jobs(benchmark, train)
    meter, models = Meter(float(len(jobs))), {}
    for number, (name, job) in enumerate(jobs.items()):
        if run_state(job.out) != "finished":
            yield Notice(text=f"Training {name} for {job.max_minutes:.3g} minutes.", warning=False)
        yield from relay(train_or_go_on(job, should_stop), f"{name}:")
        if should_stop is not None and should_stop():
            return None
        yield meter.at(number + 1.0, f"{name} is trained")
        model = load_bundle(job.out / "model")
        if name != AUTOENCODER.name:
            calibrated = yield from _calibrated(model, job, segmenter, should_stop)
            if calibrated is None:
                return None
            model = calibrated
        models[name] = model
    return models


def _calibrated(
    model: ModelBundle, job: TrainJob, segmenter: Segmenter, should_stop: ShouldStop | None
) -> Generator[Event, None, ModelBundle | None]:
    """Return a model with its confidence fitted on the run's validation pairs."""
    from ..models import load_bundle
    from ..models.bundle import write_info
    from .calibration import calibrate

    tried = job.out / "calibrated"
    if tried.exists():
        return model
    held_out = job.split([p for source in job.pairs for p in find_pairs(source, job.reading)])[1]
    try:
        confidence = yield from relay(
            # several views of every method would cost more than its training
            calibrate(
                model,
                held_out,
                segmenter=segmenter,
                device=job.device,
                views=False,
                should_stop=should_stop,
            ),
            f"{model.info.name}: confidence:",
        )
    except UserError as error:
        yield Notice(text=f"{model.info.name} has no confidence. {error}")
    else:
        if confidence is None:
            return None
        info = model.info.model_copy(update={"confidence": confidence})
        write_info(job.out / "model", info)
    tried.touch()
    return load_bundle(job.out / "model")
