"""`python -m napari_llcm` is `napari-llcm`."""

from .cli import main

main()
