"""How nuclei are found and compared: one typed value for command line and panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..volumes.flat import Projection

if TYPE_CHECKING:
    from .segmenting import Segmenter


class SegmentOptions(BaseModel):
    """Which segmenter finds the nuclei, and where it runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    segmenter: Literal["cellpose", "classical"] = Field(
        "cellpose",
        title="Find nuclei by",
        description="How nuclei are found, in both images by the same settings: cellpose "
        "separates nuclei that touch; classical (threshold and watershed) is quicker and coarser.",
    )
    weights: str | None = Field(
        None, description="Cellpose weights: a file, or a model in Cellpose's folder."
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps.")

    def make(self) -> Segmenter:
        """Return the segmenter.

        Raises
        ------
        UserError
            If its weights are not there.
        """
        from .segmenting import make_segmenter

        return make_segmenter(self.segmenter, self.weights, self.device)


class FindOptions(SegmentOptions):
    """How the nuclei of an image are found."""

    diameter: float | None = Field(
        None,
        gt=0,
        le=1000,
        title="Nuclei are wide",
        description="How wide a typical nucleus is, in µm (in pixels where the voxel size is "
        "unknown); estimated from the images if not given.",
    )
    projection: Projection = Field(
        "max",
        title="Compare with its",
        description="Where the real stain is one plane or a projection: what of the virtual stack "
        "is compared with it, its maximum or mean projection (max, mean), or its plane of best "
        "focus (focus).",
    )


class CheckOptions(FindOptions):
    """How the nuclei of two images are found and compared."""

    iou: float = Field(
        0.5,
        ge=0.05,
        le=0.95,
        title="Least overlap",
        description="How much a virtual nucleus must overlap with the real one to count as "
        "found: intersection over union, 0.5 by custom.",
    )
