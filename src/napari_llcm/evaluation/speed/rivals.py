"""What else could stain: networks of published sizes, and twenty steps of diffusion.

Speed does not depend on the weights: none is trained. A rival network's time is that of its bare
forward pass over the whole volume in one piece, where ours is that of the whole job (reading,
scaling, tiles, noise, result in memory): what a tool around the rival would add is not counted.
"""

from __future__ import annotations

from importlib.util import find_spec
from math import prod
from typing import TYPE_CHECKING, Any

from .clock import in_turns
from .networks import NETWORKS, OPTIONAL, bare, diffusion_of, flop_of_network, flop_of_ours, forward

if TYPE_CHECKING:
    from .bench import Bench


def against_rivals(bench: Bench) -> dict[str, Any]:
    """Return how many times faster a staining job is than each rival, measured in turns."""
    shape = bench.affordable(0.25, cost=18.0 * (bench.repeats + 1))
    volume, device = bench.volume(shape), bench.device
    works = {"ours": bench.job(volume), "ours, bare": bare(bench.model, shape, device)}
    titles = {"ours": "LLCM, one step, the whole job", "ours, bare": "LLCM, bare networks"}
    flop = {"ours, bare": flop_of_ours(bench.model)}
    missing = [n for n, package in OPTIONAL.items() if find_spec(package) is None]
    for name, (title, make) in NETWORKS.items():
        if name in missing:
            continue
        flop[name] = flop_of_network(make)
        works[name], titles[name] = forward(make(), shape, device), title
    diffusion = diffusion_of(bench.model, device)
    works["ddim20"] = bench.job(volume, diffusion, steps=20)
    titles["ddim20"] = "latent diffusion of the same networks, 20 steps of DDIM, the whole job"
    seconds = dict(zip(works, in_turns(list(works.values()), bench.repeats, device), strict=True))
    voxels = prod(shape)
    rows = {
        name: {
            "title": titles[name],
            "seconds": taken,
            "voxels_per_second": voxels / taken,
            "times_slower_than_ours": taken / seconds["ours"],
            **({"flop_per_voxel": flop[name]} if name in flop else {}),
        }
        for name, taken in seconds.items()
    }
    ratios = {f"ratio_vs_{name}": row["times_slower_than_ours"] for name, row in rows.items()}
    wanted = {k: v for k, v in ratios.items() if "ours" not in k}
    not_there = [f"{NETWORKS[n][0]}: needs the package {OPTIONAL[n]}" for n in missing]
    return {"rivals": {"shape": shape, "rows": rows, "missing": not_there}, **wanted}
