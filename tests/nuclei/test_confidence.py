"""Nuclei without a real stain, what is left above a confidence, and the one-page report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from napari_llcm.events import Notice, result_of
from napari_llcm.models.familiarity import Verdict
from napari_llcm.nuclei import Comparison, compare_nuclei
from napari_llcm.nuclei.figures import COLOURS, draw_comparison
from napari_llcm.nuclei.finding import Findings, find_nuclei
from napari_llcm.nuclei.page import draw_page, write_page
from napari_llcm.nuclei.provenance import caption
from napari_llcm.nuclei.report import write_rows
from napari_llcm.nuclei.thresholding import at_confidence, confidences, counts_of
from napari_llcm.specimen import Specimen
from napari_llcm.volumes import Volume


def boxes(*labels: tuple[int, int, int]) -> Volume:
    """Return labels: (label, first, last column) of bars in one row."""
    data = np.zeros((4, 8, 100), np.uint32)
    for label, start, stop in labels:
        data[1:3, 2:6, start:stop] = label
    return Volume(data, (1.0, 0.5, 0.5), name="some labels")


@pytest.fixture
def comparison() -> Comparison:
    """Found 1, misshapen 2, missed 3, merged 4 and 5, hallucinated 9."""
    truth = boxes((1, 0, 10), (2, 20, 30), (3, 40, 50), (4, 60, 66), (5, 66, 72))
    stain = boxes((1, 0, 10), (2, 24, 40), (6, 60, 72), (9, 80, 90))
    made = {"model": "m-1", "notices": ["Look twice."]}
    stain = stain.replace(name="virtual labels", metadata={**stain.metadata, **made})
    truth = truth.replace(name="real labels")
    options: dict[str, Any] = {"truth_is_labels": True, "stain_is_labels": True}
    return result_of(compare_nuclei(truth, stain, **options))


def test_counts_of_a_table_are_those_of_the_matching(comparison: Comparison) -> None:
    counted, known = counts_of(comparison.table), comparison.counts
    for name in ("truth", "found", "misshapen", "merged", "split", "missed", "hallucinated"):
        assert getattr(counted, name) == getattr(known, name), name
    assert counted.stain == known.stain
    assert counted.detected == known.detected


def test_nuclei_below_a_confidence_are_taken_away(comparison: Comparison) -> None:
    rows: list[dict[str, Any]] = []
    for row in comparison.table:
        made_up = row["verdict"] == "hallucinated"
        missed = row["verdict"] == "missed"
        rows.append({**row, "confidence": None if missed else 0.2 if made_up else 0.8})
    assert len(confidences(rows)) == len(rows) - 1
    assert confidences(comparison.table) == []
    assert at_confidence(rows, 0.0) == rows
    left = counts_of(at_confidence(rows, 0.5))
    assert (left.hallucinated, left.found) == (0, comparison.counts.found)
    assert left.precision > comparison.counts.precision
    none = counts_of(at_confidence(rows, 0.9))
    assert (none.found, none.stain, none.missed, none.truth) == (0, 0, 5, 5)


def test_nuclei_are_listed_without_a_real_stain(specimen: Specimen) -> None:
    events = list(find_nuclei(specimen.dapi, segmenter="classical"))
    assert any(isinstance(e, Notice) and "µm wide (estimated" in e.text for e in events)
    found = events[-1].value
    assert isinstance(found, Findings)
    assert len(found.table) == int(found.stain_labels.numpy().max()) > 0
    assert all(row["brightness"] > 0 and row["verdict"] == "nucleus" for row in found.table)
    given = result_of(find_nuclei(specimen.labels, is_labels=True))
    assert given.stain is None
    assert [row["id"] for row in given.table] == np.unique(specimen.labels.numpy())[1:].tolist()
    assert result_of(find_nuclei(specimen.labels, should_stop=lambda: True)) is None


@pytest.mark.parametrize("name", ["page.pdf", "page.png"])
def test_the_report_is_one_page(comparison: Comparison, tmp_path: Path, name: str) -> None:
    path = write_page(tmp_path / name, comparison, notes="A note.")
    assert path.stat().st_size > 5000
    assert path.read_bytes()[:4] in (b"%PDF", b"\x89PNG")


def test_page_figure_and_table_name_what_was_checked(
    comparison: Comparison, tmp_path: Path
) -> None:
    named = caption(comparison.settings)
    assert named == "virtual labels against real labels (model m-1)"
    assert any(named in text for text in _texts(draw_page(comparison)))
    assert any(named in text for text in _texts(draw_comparison(comparison)))
    assert any("Warning: Look twice." in text for text in _texts(draw_page(comparison)))
    verdict = {"value": "taught", "model": "m-1", "knows": "taught on cells; and so on"}
    judged = replace(comparison, settings={**comparison.settings, "input_check": verdict})
    assert any("The stack: m-1 was taught on cells" in text for text in _texts(draw_page(judged)))
    told = [*comparison.settings["notices"], f"s: {Verdict(**verdict).sentence}"]
    warned = replace(judged, settings={**judged.settings, "notices": told})  # not said twice
    assert not any("The stack:" in text for text in _texts(draw_page(warned)))
    write_rows(tmp_path / "n.csv", comparison.table, comparison.settings)
    rows = (tmp_path / "n.csv").read_text().splitlines()
    assert rows[0].endswith(",check")
    assert all(row.endswith(f",{named}") for row in rows[1:])


def test_a_figure_shows_the_nuclei_that_are_filtered(comparison: Comparison) -> None:
    def colours(figure: Any) -> set[str]:
        overlays = [i.get_array() for a in figure.axes for i in a.images if i.get_array().ndim == 3]
        return {to_hex(c).upper() for o in overlays for c in np.unique(o[o[..., 3] > 0], axis=0)}

    assert colours(draw_comparison(comparison)) >= {COLOURS["found"], COLOURS["missed"]}
    only = draw_comparison(comparison, verdicts=["missed"])
    assert colours(only) == {COLOURS["missed"]}
    assert any("not coloured: found, hallucinated" in text for text in _texts(only))
    rows = [r for r in comparison.table if r["verdict"] != "hallucinated"]
    assert COLOURS["hallucinated"] not in colours(draw_comparison(comparison, rows=rows))
    assert any("hallucinated 0" in text for text in _texts(draw_comparison(comparison, rows=rows)))


def _texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]
