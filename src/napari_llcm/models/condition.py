"""What steers a U-Net: features of the phase, for each way in and for each level.

Most models have one way in: features on the latent grid, concatenated to the noisy latent. For
these a condition is that tensor and nothing else. A model with a control branch has another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Condition:
    """Features for each way into a U-Net.

    Parameters
    ----------
    features : Tensor
        (B, K, z, y, x) on the latent grid: concatenated to the noisy latent, or its tokens.
    control : Tensor, optional
        (B, K, z, y, x), what a control branch reads.
    added : tuple of Tensor
        What the branch makes of that: added to the skip of each level, fine to coarse, and the
        last to the middle.
    """

    features: Tensor
    control: Tensor | None = None
    added: tuple[Tensor, ...] = ()

    @property
    def shape(self) -> torch.Size:
        """Shape of the concatenated features."""
        return self.features.shape

    @property
    def device(self) -> torch.device:
        """Where the features are."""
        return self.features.device

    def __getitem__(self, index: slice) -> Condition:
        """Return some samples of the batch."""
        return self._each(lambda t: t[index])

    def __mul__(self, factor: Tensor | float) -> Condition:
        """Return all features times a factor; 0 hides the condition."""
        return self._each(lambda t: t * factor)

    def detach(self) -> Condition:
        """Return the condition without its gradient."""
        return self._each(Tensor.detach)

    def packed(self) -> Tensor:
        """Return the features for all ways in, one behind the other: (B, channels, z, y, x)."""
        return (
            self.features if self.control is None else torch.cat([self.features, self.control], 1)
        )

    def _each(self, change: Callable[[Tensor], Tensor]) -> Condition:
        control = None if self.control is None else change(self.control)
        return replace(
            self,
            features=change(self.features),
            control=control,
            added=tuple(change(t) for t in self.added),
        )


def features_of(condition: Tensor | Condition) -> Tensor:
    """Return the features that are concatenated: of a plain condition, the whole."""
    return condition.features if isinstance(condition, Condition) else condition


def unpacked(packed: Tensor, features: int) -> Tensor | Condition:
    """Return the condition of what `Condition.packed` gave, the first `features` concatenated."""
    if packed.shape[1] == features:
        return packed
    return Condition(packed[:, :features], packed[:, features:])
