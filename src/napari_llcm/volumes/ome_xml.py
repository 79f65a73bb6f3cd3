"""What the XML of an OME-TIFF says."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

from .units import FileGrid, Length
from .volume import Volume

Element = ElementTree.Element


def with_ome(volume: Volume, xml: str, image: int = 0) -> Volume:
    """Return the volume with channel names, grid and record of one image of OME-XML.

    Parameters
    ----------
    volume : Volume
        The pixels of the image.
    xml : str
        OME-XML.
    image : int
        Which of its images with pixels.
    """
    found = images(xml)
    if not image < len(found):
        return volume
    element, pixels = found[image]
    channels = tuple(c.get("Name") or "" for c in pixels.findall("{*}Channel"))
    return volume.replace(
        channels=channels if all(channels) else (),
        metadata=_provenance(element.findtext("{*}Description")),
        file_grid=FileGrid(
            {a: _length(pixels, f"PhysicalSize{a.upper()}", "µm") for a in "zyx"},
            _position(pixels),
        ),
    )


def images(xml: str) -> list[tuple[Element, Element]]:
    """Return the images of OME-XML that have pixels, each with its pixels."""
    found = []
    for image in ElementTree.fromstring(xml).findall("{*}Image"):
        pixels = image.find("{*}Pixels")
        if pixels is not None:
            found.append((image, pixels))
    return found


def companion_name(xml: str | None) -> str | None:
    """Return the file that holds the description in place of this XML, if another does."""
    only = None if not xml else ElementTree.fromstring(xml).find("{*}BinaryOnly")
    return None if only is None else only.get("MetadataFile") or "another file"


def file_names(xml: str | None) -> list[str]:
    """Return the names of the files that OME-XML names for its planes, each once."""
    if not xml:
        return []
    names = (
        u.get("FileName") for u in ElementTree.fromstring(xml).iter() if u.tag.endswith("UUID")
    )
    return list(dict.fromkeys(n for n in names if n))


def _position(pixels: Element) -> dict[str, Length]:
    """Return the position of the plane with the lowest z; OME has no other place for it."""
    planes = sorted(
        pixels.findall("{*}Plane"), key=lambda p: [int(p.get(f"The{a}") or 0) for a in "TCZ"]
    )
    # The schema's unit in the absence of one is its "reference frame", which is no length.
    return {a: _length(planes[0], f"Position{a.upper()}", None) for a in "zyx"} if planes else {}


def _length(element: Element, key: str, unit: str | None) -> Length:
    try:
        return float(element.get(key, "")), element.get(f"{key}Unit", unit)
    except ValueError:
        return None, None  # not told


def _provenance(description: str | None) -> dict[str, Any]:
    try:
        record = json.loads(description or "")
    except ValueError:
        return {}  # a description in words, not ours
    return record.get("napari_llcm", {}) if isinstance(record, dict) else {}
