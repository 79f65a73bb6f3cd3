"""What the XML of an OME-TIFF says."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from .units import FileGrid, Length
from .volume import Volume

Element = ElementTree.Element


@dataclass(frozen=True)
class OmeImage:
    """An image of OME-XML.

    Parameters
    ----------
    element, pixels : Element
        Its entry, and that of its pixels.
    files : tuple of str
        The files that hold its planes; empty where they are in the same file as the XML.
    field : str
        Of a plate: row, column and number, such as "B/3/0"; else empty.
    """

    element: Element
    pixels: Element
    files: tuple[str, ...]
    field: str = ""

    @property
    def name(self) -> str:
        """What the file calls it."""
        return self.element.get("Name") or ""


def is_xml(xml: str | None) -> bool:
    """Tell whether a description can be read."""
    try:
        ElementTree.fromstring(xml or "")
    except ElementTree.ParseError:
        return False
    return True


def ome_images(xml: str) -> list[OmeImage]:
    """Return the images of OME-XML that have pixels; none if it is no XML."""
    if not is_xml(xml):
        return []
    root = ElementTree.fromstring(xml)
    fields = _fields(root)
    found = []
    for image in root.findall("{*}Image"):
        pixels = image.find("{*}Pixels")
        if pixels is not None:
            names = (u.get("FileName") for u in pixels.iterfind("{*}TiffData/{*}UUID"))
            files = tuple(dict.fromkeys(n for n in names if n))
            found.append(OmeImage(image, pixels, files, fields.get(image.get("ID", ""), "")))
    return found


def _fields(root: Element) -> dict[str, str]:
    """Return which field of a plate each image is, by its ID."""
    fields = {}
    for plate in root.findall("{*}Plate"):
        for well in plate.findall("{*}Well"):
            row, column = int(well.get("Row", 0)), int(well.get("Column", 0)) + 1
            letter = chr(ord("A") + row) if row < 26 else str(row)
            for number, image in enumerate(well.iterfind("{*}WellSample/{*}ImageRef")):
                fields[image.get("ID", "")] = f"{letter}/{column}/{number}"
    return fields


def with_ome(volume: Volume, image: OmeImage) -> Volume:
    """Return the volume with the channel names, grid and record that its OME-XML tells.

    Parameters
    ----------
    volume : Volume
        The pixels of the image.
    image : OmeImage
        The image.
    """
    channels = tuple(c.get("Name") or "" for c in image.pixels.findall("{*}Channel"))
    return volume.replace(
        channels=channels if all(channels) else (),
        metadata=_provenance(image.element.findtext("{*}Description")),
        file_grid=FileGrid(
            {a: _length(image.pixels, f"PhysicalSize{a.upper()}", "µm") for a in "zyx"},
            _position(image.pixels),
        ),
    )


def companion_name(xml: str | None) -> str | None:
    """Return the file that holds the description in place of this XML, if another does."""
    only = None if not xml else ElementTree.fromstring(xml).find("{*}BinaryOnly")
    return None if only is None else only.get("MetadataFile") or "another file"


def _position(pixels: Element) -> dict[str, Length]:
    """Return the position of the plane with the lowest z; OME has no other place for it."""
    planes = sorted(
        pixels.findall("{*}Plane"), key=lambda p: [int(p.get(f"The{a}") or 0) for a in "TCZ"]
    )
    # The schema's unit in the absence of one is its "reference frame", which is no length.
    return {a: _length(planes[0], f"Position{a.upper()}", None) for a in "zyx"} if planes else {}


def _length(element: Element, key: str, unit: str | None) -> Length:
    value = element.get(key)
    if not value:
        return None, None
    try:
        return float(value), element.get(f"{key}Unit", unit)
    except ValueError:
        return math.nan, unit  # told, but no number


def _provenance(description: str | None) -> dict[str, Any]:
    try:
        record = json.loads(description or "")
    except ValueError:
        return {}  # a description in words, not ours
    return record.get("napari_llcm", {}) if isinstance(record, dict) else {}
