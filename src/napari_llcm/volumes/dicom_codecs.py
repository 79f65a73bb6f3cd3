"""Compressed DICOM pixels (JPEG, JPEG-LS, JPEG 2000) by imagecodecs, which TIFF needs anyway.

pydicom asks a decoder plugin for `is_available`, `DECODER_DEPENDENCIES` and the function. Its other
plugins are each a further package, one of them under the GPL.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# transfer syntax (PS3.5, annex A.4) to imagecodecs' name of it
_CODECS = {
    "1.2.840.10008.1.2.4.50": "jpeg8",
    "1.2.840.10008.1.2.4.51": "jpeg8",
    "1.2.840.10008.1.2.4.57": "ljpeg",
    "1.2.840.10008.1.2.4.70": "ljpeg",
    "1.2.840.10008.1.2.4.80": "jpegls",
    "1.2.840.10008.1.2.4.81": "jpegls",
    "1.2.840.10008.1.2.4.90": "jpeg2k",
    "1.2.840.10008.1.2.4.91": "jpeg2k",
}
DECODER_DEPENDENCIES = dict.fromkeys(_CODECS, ("imagecodecs",))
LABEL = "imagecodecs"


def is_available(uid: str) -> bool:
    """Tell whether the pixels of a transfer syntax can be decoded here."""
    return uid in _CODECS


def decode_frame(src: bytes, runner: Any) -> bytearray:
    """Return the pixels of one grey frame, low byte first.

    Raises
    ------
    NotImplementedError
        If it is in colour, so that pydicom goes on to the next plugin: other programs in this
        process have it read photographs, whose colours it would convert a second time.
    """
    import imagecodecs

    if runner.samples_per_pixel != 1:
        raise NotImplementedError("grey frames only")
    pixels = getattr(imagecodecs, f"{_CODECS[runner.transfer_syntax]}_decode")(src)
    size = pixels.dtype.itemsize
    runner.set_option("bits_allocated", 8 * size)
    return bytearray(np.ascontiguousarray(pixels, f"<{pixels.dtype.kind}{size}").tobytes())


def add_decoders() -> None:
    """Let pydicom use this module, after its own plugins."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    for uid in _CODECS:
        decoder = get_decoder(UID(uid))
        if LABEL not in decoder.available_plugins:
            decoder.add_plugin(LABEL, (__name__, "decode_frame"))
