"""Which machines compute: one typed value for the Python API, command line and panels."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field


class ClusterOptions(BaseModel):
    """Which machines compute, where it is not this one."""

    cluster: str | None = Field(
        default=None,
        description="Compute on other machines: the key file that `napari-llcm worker` has made "
        "there, the address of a dask scheduler, such as tls://host:8786, or local or slurm, which "
        "start workers for this job.",
    )
    cluster_key: Path | None = Field(
        default=None,
        description="The key file for a tls:// address, where it is another one than the file "
        "tells, as through SSH.",
    )
    cluster_workers: int = Field(
        default=2, ge=1, description="How many workers local and slurm start."
    )
    unencrypted: bool = Field(
        default=False,
        description="Connect to another machine though everybody on the way can read, and change, "
        "what is sent.",
    )
