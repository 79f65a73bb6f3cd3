"""Train a model for many kinds of label-free stacks on one GPU, while other processes make them.

    python benchmarks/train_universal.py make POOL --processes 14 --first-seed 50000000 &
    python benchmarks/train_universal.py train POOL --init specimen-v6 --seconds 480 --out OUT

`make` draws specimens of all families (`napari_llcm.specimen.draw_views`) until it is stopped, each
under several microscopes, and writes each, standardised as for training, as one file. `train`
starts as soon as there are some, takes each new one as it comes, and holds all of them in the GPU's
memory: crops, augmentation and latents are computed there, since one CPU thread feeds a GPU too
slowly. The autoencoder goes first, then the whole objective, both by the losses of
`napari_llcm.training`. Weights are written every minute. `--leave-out` trains without some
families, to be judged by them.

    python benchmarks/train_universal.py mix OUT/universal-v1 --with specimen-v6 --out OUT/mixed

`mix` returns some of what a wide training forgot of the model that it began with: the mean of both
models' weights (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from told_optics import Told, optics_of
from torch import Tensor

from napari_llcm.models import load_bundle
from napari_llcm.models.bundle import save_bundle
from napari_llcm.models.device import autocast
from napari_llcm.models.info import ModelInfo
from napari_llcm.models.library import find_model
from napari_llcm.models.stainer import StainerNetworks
from napari_llcm.models.widening import widened
from napari_llcm.specimen import Specimen, make_specimen
from napari_llcm.specimen.optics import Modality
from napari_llcm.tasks.normalise import HOT, dapi_scaling, qpi_scaling, stabilise
from napari_llcm.training import make_job
from napari_llcm.training.augment import AUGMENTATIONS, augmented
from napari_llcm.training.config import TrainJob
from napari_llcm.training.latents import variant
from napari_llcm.training.losses import LossInputs, image_loss
from napari_llcm.training.objectives import make_objective, with_decoder
from napari_llcm.training.state import PhaseState

SIZE = (40, 160, 160)  # voxels of a specimen
PATCH = (32, 64, 64)
WIDER = {"condition_widths": (48, 96), "unet_widths": (80, 112, 144)}
FIRST_SEED = 50_000_000
VIEWS = 3  # microscopes for each specimen
USUAL = 4  # each fourth is of the kind that the first models knew, so that it is not forgotten
USUAL_TAGS = ["cells:tissue", "size:medium", "sign:mixed", "planes:many", "texture:fine"]
CLEAN = 8  # patches of a step from whose true latent the decoder gives the DAPI back, too
GENTLE = 0.5  # share of patches that are augmented gently
KEYS = ("inputs", "outputs", "instances", "latent")


def make(options: argparse.Namespace) -> None:
    """Write specimens until stopped, in several processes."""
    options.pool.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    work = partial(_make_some, options.pool, options.first_seed, options.processes, options.count)
    workers = [context.Process(target=work, args=(k,)) for k in range(options.processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _make_some(pool: Path, first_seed: int, processes: int, count: int, which: int) -> None:
    from napari_llcm.specimen import draw_views
    from napari_llcm.training.instances import instance_targets

    os.nice(5)
    for seed in range(first_seed + which, first_seed + count, processes):
        path = pool / f"{seed}.npz"
        if path.exists():
            continue
        usual = seed % USUAL == 0
        views = [_usual(seed)] if usual else draw_views(seed, VIEWS, size=SIZE)
        stacks = [view.qpi.numpy() for view in views]
        dapi, labels = views[0].dapi.numpy(), views[0].labels
        arrays = {
            "inputs": np.stack([np.clip(qpi_scaling(q).apply(q), -HOT, HOT) for q in stacks]),
            "outputs": stabilise(dapi, dapi_scaling(dapi)),
        }
        arrays = {name: array.astype(np.float16) for name, array in arrays.items()}
        arrays["instances"] = np.asarray(instance_targets(labels.numpy(), labels.spacing))
        arrays["optics"] = np.stack([optics_of(view) for view in views])
        arrays["tags"] = np.array(json.dumps([v.qpi.metadata["tags"] for v in views]))
        partial_path = path.with_suffix(".partial.npz")
        np.savez(partial_path, **arrays)
        partial_path.replace(path)


def _usual(seed: int) -> Specimen:
    rng = np.random.default_rng([seed, 0x05A1])
    difficulty: Any = str(rng.choice(["easy", "medium", "hard", "varied"], p=[0.1, 0.3, 0.3, 0.3]))
    modality: Modality = "qobm" if rng.random() < 0.6 else "transmission"
    specimen = make_specimen(SIZE, seed, difficulty, modality=modality)
    specimen.qpi.metadata["tags"] = [f"modality:{modality}", *USUAL_TAGS]
    return specimen


class Pool:
    """Specimens in the device's memory; new files of the folder join as they come.

    Parameters
    ----------
    folder : Path
        Written by `make`.
    device : torch.device
        Where the specimens lie.
    factor : tuple of int
        Voxels (z, y, x) of a latent site: crops begin at one.
    leave_out : list of str
        Tags of specimens that are left out.
    held : int
        Specimens that are watched, never trained on: those of the first seeds.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        factor: tuple[int, int, int],
        leave_out: list[str],
        held: int,
    ) -> None:
        self.folder, self.device, self.factor = folder, device, factor
        self.leave_out, self.most_held = set(leave_out), held
        self.items: list[dict[str, Tensor]] = []
        self.held: list[dict[str, Tensor]] = []
        self.encode: Any = None  # from DAPI to latent, once the autoencoder is trained
        self._seen: set[str] = set()
        self._rng = np.random.default_rng(0)

    def grow(self, most: int = 64) -> None:
        """Take at most so many new specimens."""
        names = sorted(p.name for p in self.folder.glob("*.npz") if ".partial" not in p.name)
        for name in [n for n in names if n not in self._seen][:most]:
            self._seen.add(name)
            with np.load(self.folder / name, allow_pickle=False) as arrays:
                tags = json.loads(str(arrays["tags"]))
                kept = [n for n, own in enumerate(tags) if not self.leave_out.intersection(own)]
                if not kept:
                    continue
                item = {k: torch.from_numpy(arrays[k]) for k in KEYS if k in arrays}
                item["inputs"] = item["inputs"][kept]
                optics = torch.from_numpy(arrays["optics"][kept]).to(self.device)
            # one view of the eight for each: specimens are many, and latents are kept
            view = int(self._rng.integers(8))
            item = {
                k: variant(v if v.ndim == 4 else v[None], view).contiguous().to(self.device)
                for k, v in item.items()
            }
            item["optics"] = optics
            if self.encode is not None:
                item["latent"] = self.encode(item["outputs"])
            held = int(name.split(".")[0]) < FIRST_SEED + self.most_held
            (self.held if held else self.items).append(item)

    def start_latents(self, encode: Any) -> None:
        """Encode every specimen, and from now on each new one."""
        self.encode = encode
        for item in (*self.items, *self.held):
            item["latent"] = encode(item["outputs"])

    def batch(self, count: int, held: bool = False) -> dict[str, Tensor]:
        """Return random crops (count, channels, z, y, x), float32."""
        items = self.held if held else self.items
        rng = np.random.default_rng(0) if held else self._rng  # always the same of those watched
        parts: dict[str, list[Tensor]] = {k: [] for k in (*KEYS, "optics")}
        sites = [p // f for p, f in zip(PATCH, self.factor, strict=True)]
        for index in rng.integers(len(items), size=count):
            item = items[index]
            shape = [n // f for n, f in zip(SIZE, self.factor, strict=True)]
            # as in `training.data.Batches`: the border is met as often as the rest
            starts = [
                int(np.clip(int(rng.integers(n)) - s // 2, 0, n - s))
                for n, s in zip(shape, sites, strict=True)
            ]
            for key in KEYS:
                if (whole := item.get(key)) is not None:
                    if key == "inputs":  # by one of the microscopes
                        which = int(rng.integers(len(whole)))
                        whole = whole[which : which + 1]
                        parts["optics"].append(item["optics"][which])
                    scale = [n / m for n, m in zip(whole.shape[1:], shape, strict=True)]
                    parts[key].append(whole[_box(starts, sites, scale)])
        whole = {k: torch.stack(v) for k, v in parts.items() if v}
        # targets stay bytes, as `instance_loss` takes them
        return {k: v if v.dtype == torch.uint8 else v.float() for k, v in whole.items()}


def _box(starts: list[int], sites: list[int], scale: list[float]) -> tuple[slice, ...]:
    boxes = zip(starts, sites, scale, strict=True)
    return (slice(None), *(slice(int(a * s), int((a + n) * s)) for a, n, s in boxes))


def train(options: argparse.Namespace) -> None:
    """Train the autoencoder, then what maps a label-free stack to its latents."""

    torch.backends.cudnn.benchmark = True
    torch.manual_seed(options.seed)
    device = torch.device(options.device)
    bundle = load_bundle(find_model(options.init))
    sizes: dict[str, Any] = (WIDER if options.wider else {}) | json.loads(options.network)
    sizes = sizes | ({"decoder_skip": True} if options.skip else {})
    job = make_job(
        pairs=[options.pool],
        out=options.out,
        name=options.name,
        network=bundle.info.network.model_copy(update=sizes),
        patch=PATCH,
        crops=options.batch,
        seed=options.seed,
        consistency={"consistency_start": 0.7, "image_share": options.image_share},
        instance_weight=options.instance_weight,
        vae_phase={"steps": 10**7, "learning_rate": 5e-4},
        method_phase={"steps": 10**7, "learning_rate": options.learning_rate, "warmup_steps": 100},
    )
    networks = StainerNetworks(bundle.info.network, job.consistency, "llcm")
    networks.load_state_dict(bundle.networks.state_dict())
    networks = widened(networks, job.network) if sizes else networks
    if options.told:
        features = job.network.condition_widths[-1]
        networks.condition = Told(networks.condition, features, options.told)
    networks.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    pool = Pool(options.pool, device, job.network.factor, options.leave_out, options.held)
    while len(pool.items) < options.least:
        pool.grow()
        time.sleep(1)
    print(f"{len(pool.items)} specimens to start with", flush=True)
    amp = partial(autocast, device)
    steps: dict[str, int] = {}
    print(sum(p.numel() for p in networks.parameters()), "parameters", flush=True)
    if options.vae_seconds:
        steps["vae"] = _phase("vae", options.vae_seconds, networks, job, pool, amp, None, options)

    @torch.no_grad()
    def encode(dapi: Tensor) -> Tensor:
        with amp():
            one = dapi[None].float()
            return networks.encode(one, one)[0].half()  # inputs have no part where none is coded

    with torch.no_grad():
        networks.latent_mean.zero_()
        networks.latent_std.fill_(1.0)
        some = torch.cat(
            [encode(item["outputs"]).float().flatten(1) for item in pool.items[:64]], 1
        )
        networks.latent_mean.copy_(some.mean(1).view_as(networks.latent_mean))
        networks.latent_std.copy_(some.std(1).clamp_min(1e-6).view_as(networks.latent_std))
    pool.start_latents(encode)
    args = (networks, job, pool, amp, _augmented, options)
    steps["consistency"] = _phase("consistency", options.seconds, *args)
    _save(networks, job, bundle.info, options, steps | {"specimens": len(pool.items)})


def _augmented(qpi: Tensor, generator: torch.Generator) -> Tensor:
    gentle, strong = (augmented(qpi, AUGMENTATIONS[how], generator) for how in ("gentle", "strong"))
    kept = torch.rand((len(qpi), 1, 1, 1, 1), generator=generator, device=qpi.device) < GENTLE
    return torch.where(kept, gentle, strong)


def _phase(
    phase: Any,
    seconds: float,
    networks: StainerNetworks,
    job: TrainJob,
    pool: Pool,
    amp: Any,
    augment: Any,
    options: argparse.Namespace,
) -> int:
    """Train one phase for so many seconds; its averaged weights stay in the networks."""
    objective = make_objective(phase, networks, job)
    if phase != "vae" and options.decoder:
        objective = with_decoder(objective, networks)
    for module in objective.modules.values():
        module.to(pool.device)
    state = PhaseState(objective.modules, job, job.settings(phase), objective.rates)
    state.ema.to(pool.device)
    began = shown = saved = time.monotonic()
    before = 0
    on_device = torch.Generator(pool.device).manual_seed(options.seed)
    while (progress := (time.monotonic() - began) / seconds) < 1:
        batch = pool.batch(options.batch)
        if augment is not None:
            batch["inputs"] = augment(batch["inputs"], on_device)
        batch = _with_optics(batch, options)
        generator = torch.Generator().manual_seed(state.step)
        with amp():
            loss, parts = objective.loss(
                _inputs(objective, networks, batch, job, progress, generator)
            )
            if "decoder" in objective.modules:  # still an autoencoder
                few = {k: v[:CLEAN] for k, v in batch.items()}
                clean = networks.decode(few["latent"], few["inputs"][:, :1])
                loss = loss + image_loss(clean, few["outputs"])
        norm = state.update([loss], progress)
        now = time.monotonic()
        if state.step % 8 == 0:
            pool.grow(16)
        if now - shown > 10:
            rate = round((state.step - before) * options.batch / (now - shown))
            shown, before = now, state.step
            watched = _watch(objective, networks, job, pool, amp, state, progress, options)
            figures = {k: round(float(v.detach()), 4) for k, v in parts.items()} | watched
            figures["rate"] = rate
            print(phase, state.step, round(now - began), len(pool.items), norm, figures, flush=True)
        if now - saved > 60 and phase != "vae":
            saved = now
            with state.averaged():
                info = load_bundle(find_model(options.init)).info
                _save(networks, job, info, options, {phase: state.step})
    state.ema.copy_to(state.parameters)
    print(phase, "steps", state.step, "skipped", state.skipped, flush=True)
    return state.step


def _with_optics(batch: dict[str, Tensor], options: argparse.Namespace) -> dict[str, Tensor]:
    """Return a batch whose inputs have what is told of the optics as further channels."""
    optics = batch.pop("optics")
    if options.told == "optics":
        told = optics[:, :, None, None, None].expand(-1, -1, *PATCH)
        batch["inputs"] = torch.cat([batch["inputs"], told.to(batch["inputs"])], 1)
    return batch


def _inputs(objective: Any, networks: Any, batch: Any, job: Any, progress: float, g: Any) -> Any:
    return LossInputs(objective.modules, networks, batch, job, progress, g)


@torch.no_grad()
def _watch(
    objective: Any, networks: Any, job: Any, pool: Pool, amp: Any, state: Any, p: float, o: Any
) -> dict[str, float]:
    """Return the losses of specimens that are not trained on, by the averaged weights."""
    batch = _with_optics(pool.batch(o.batch, held=True), o)
    with state.averaged(), amp():
        generator = torch.Generator().manual_seed(0)
        _, parts = objective.loss(_inputs(objective, networks, batch, job, p, generator))
    return {f"held_{k}": round(float(v), 4) for k, v in parts.items()}


def _save(
    networks: StainerNetworks,
    job: TrainJob,
    start: ModelInfo,
    options: argparse.Namespace,
    steps: dict[str, int],
) -> None:
    if options.told:
        return  # to be measured alone: no stain is told anything
    info = ModelInfo(
        name=options.name,
        network=job.network,
        consistency=job.consistency,
        scalings=start.scalings,
        spacing=start.spacing,
        nucleus_um=7.6,
        provenance={
            "script": Path(__file__).name,
            "init": options.init,
            "leave_out": options.leave_out,
            "seconds": {"vae": options.vae_seconds, "consistency": options.seconds},
            "steps": steps,
            "batch": options.batch,
            "learning_rate": options.learning_rate,
            "first_seed": FIRST_SEED,
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
            "torch": torch.__version__,
        },
    )
    save_bundle(options.out / options.name, info, networks)


def mix(options: argparse.Namespace) -> None:
    """Write the weighted mean of a model and of the one that it was trained from."""
    trained = load_bundle(find_model(options.model))
    start = widened(load_bundle(find_model(options.other)).networks, trained.info.network)
    known, share = start.state_dict(), options.share
    mean = {k: (1 - share) * v + share * known[k] for k, v in trained.networks.state_dict().items()}
    trained.networks.load_state_dict(mean)
    made = {**trained.info.provenance, "mixed_with": options.other, "share": share}
    save_bundle(options.out, trained.info.model_copy(update={"provenance": made}), trained.networks)


def main() -> None:
    """Make specimens, train on them, or mix two models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    making = verbs.add_parser("make")
    making.set_defaults(run=make)
    making.add_argument("pool", type=Path)
    making.add_argument("--processes", type=int, default=14)
    making.add_argument("--first-seed", type=int, default=FIRST_SEED)
    making.add_argument("--count", type=int, default=100_000)
    training = verbs.add_parser("train")
    training.set_defaults(run=train)
    training.add_argument("pool", type=Path)
    training.add_argument("--out", type=Path, required=True)
    training.add_argument("--name", default="universal-v1")
    training.add_argument("--init", default="specimen-v6")
    training.add_argument("--wider", action="store_true")
    training.add_argument("--skip", action="store_true", help="label-free detail to the decoder")
    training.add_argument("--decoder", action="store_true", help="train the decoder to the end")
    training.add_argument("--told", choices=["optics", "stack"], help="as in told_optics.py")
    training.add_argument("--network", default="{}", help="sizes to widen it to, JSON")
    training.add_argument("--instance-weight", type=float, default=0.5)
    training.add_argument("--image-share", type=float, default=0.25)
    training.add_argument("--leave-out", nargs="*", default=[])
    training.add_argument("--seconds", type=float, default=400)
    training.add_argument("--vae-seconds", type=float, default=45)
    training.add_argument("--batch", type=int, default=64)
    training.add_argument("--least", type=int, default=64)
    training.add_argument("--held", type=int, default=32)
    training.add_argument("--learning-rate", type=float, default=1.5e-3)
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--device", default="cuda")
    mixing = verbs.add_parser("mix")
    mixing.set_defaults(run=mix)
    mixing.add_argument("model", type=Path)
    mixing.add_argument("--with", dest="other", default="specimen-v6")
    mixing.add_argument("--share", type=float, default=0.25)
    mixing.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
