"""napari-llcm: virtual DAPI from label-free 3D stacks in one network step."""

__version__ = "0.1.0"
