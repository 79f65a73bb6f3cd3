"""The worker process: `python -m napari_llcm.worker PID`, heard through its standard streams."""

import sys

from .serving import main

main(int(sys.argv[1]))
