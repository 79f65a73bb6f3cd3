"""Several processes, one training: each takes its share of the batches of a step.

`torchrun` and `accelerate launch` start the processes and tell each its rank, by the environment.
Gradients are added up over all, so the weights are those of one process with `accumulate` times as
many batches a step. Rank 0 leads: it alone validates, writes and tells; the others do its steps.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean

import torch
from torch import Tensor, nn

# the others wait while rank 0 validates, or counts nuclei
_PATIENCE = timedelta(hours=6)


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this one is.

    Parameters
    ----------
    rank : int
        0 leads.
    world : int
        How many there are.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def of_environment(cls, device: torch.device) -> Ranks:
        """Return this process's rank, as `torchrun` tells it, and join the others.

        Parameters
        ----------
        device : torch.device
            Where it trains: "nccl" is between graphics cards, "gloo" between processors.
        """
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        from torch import distributed

        if not distributed.is_initialized():
            distributed.init_process_group(
                "nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE
            )
        return cls(distributed.get_rank(), world)

    @property
    def leads(self) -> bool:
        """Whether this process validates, writes and tells."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """Return which of the batches of a step, `count` for each process, are this one's."""
        return range(self.rank, count * self.world, self.world)

    def told(self, *values: float) -> list[float]:
        """Return the values of rank 0, of as many as are given."""
        if self.world == 1:
            return list(values)
        from torch import distributed

        shared = [list(values)]
        distributed.broadcast_object_list(shared, src=0)
        return shared[0]

    def add_up(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes; those that none has stay away."""
        if self.world == 1:
            return
        from torch import distributed

        learning = [p for p in parameters if p.requires_grad]
        if not learning:
            return
        known = torch.tensor([float(p.grad is not None) for p in learning]).to(learning[0])
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in learning]
        flat = torch.cat([known, *(g.flatten() for g in gradients)])
        distributed.all_reduce(flat)
        known, *sums = flat.split([len(learning), *(g.numel() for g in gradients)])
        for p, own, some, total in zip(learning, gradients, known.tolist(), sums, strict=True):
            # in the memory's order that it had, or its norm is summed in another
            p.grad = own.copy_(total.view_as(p)) if some else None

    def means(self, values: Iterable[Mapping[str, float]]) -> dict[str, float]:
        """Return the mean of each value over all batches of all processes that have it."""
        own = [dict(one) for one in values]
        if self.world > 1:
            from torch import distributed

            of_all: list[list[dict[str, float]]] = [[] for _ in range(self.world)]
            distributed.all_gather_object(of_all, own)
            own = [one for some in of_all for one in some]
        names = dict.fromkeys(name for one in own for name in one)
        return {name: fmean(one[name] for one in own if name in one) for name in names}


ALONE = Ranks()


def own_device(device: torch.device) -> torch.device:
    """Return the card of this process, where there are several processes on a computer."""
    own = os.environ.get("LOCAL_RANK")
    if own is None or device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", int(own))


def same_at_start(modules: Iterable[nn.Module], ranks: Ranks) -> None:
    """Give all processes the weights of rank 0."""
    if ranks.world == 1:
        return
    from torch import distributed

    with torch.no_grad():
        for module in modules:
            tensors: list[Tensor] = [*module.parameters(), *module.buffers()]
            for tensor in tensors:
                distributed.broadcast(tensor, src=0)
