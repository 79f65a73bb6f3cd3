"""Pairs are found by name or list; wrong ones are named."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_llcm.events import UserError, result_of
from napari_llcm.volumes import Volume, find_pairs, find_stacks, write
from napari_llcm.volumes.pair_check import check_pairs

SPACING = (0.5, 0.25, 0.25)


def _save(path: Path, shape: tuple[int, ...] = (4, 8, 8), **fields: object) -> Path:
    data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, Volume(data, **{"spacing": SPACING, **fields}))


def test_a_folder_is_matched_by_stem(tmp_path: Path) -> None:
    _save(tmp_path / "Phase" / "b.ome.tif")
    _save(tmp_path / "Phase" / "a.tif")
    _save(tmp_path / "DAPI" / "a.ome.zarr", spacing=None)
    _save(tmp_path / "DAPI" / "b.nii.gz")
    _save(tmp_path / "labels" / "a.ome.tif")
    a, b = find_pairs(tmp_path)
    assert (a.name, b.name) == ("a", "b")
    assert b.labels is None
    qpi, dapi, labels = a.read()
    assert labels is not None
    assert qpi.shape == dapi.shape == labels.shape == (4, 8, 8)
    assert dapi.spacing == SPACING  # told by its partner


@pytest.mark.parametrize("kind", ["csv", "yaml"])
def test_a_list_is_read_relative_to_itself(tmp_path: Path, kind: str) -> None:
    _save(tmp_path / "data" / "one.tif")
    _save(tmp_path / "data" / "two.tif")
    text = {
        "csv": "\ufeffQPI, dapi, labels, name\ndata/one.tif, data/two.tif,, field 7\n",
        "yaml": "- {qpi: data/one.tif, dapi: data/two.tif, name: field 7}\n",
    }[kind]
    listing = tmp_path / f"pairs.{kind}"
    listing.write_text(text, encoding="utf-8")
    (pair,) = find_pairs(listing)
    assert pair.name == "field 7"
    assert pair.labels is None
    assert pair.read()[1].name == "two"


def test_folders_of_planes_are_one_pair(tmp_path: Path) -> None:
    for kind in ("qpi", "dapi"):
        (tmp_path / kind).mkdir()
        for z in range(5):
            tifffile.imwrite(tmp_path / kind / f"{kind}_{z}.tif", np.full((8, 9), z, "u2"))
    found = find_pairs(tmp_path)
    (pair,) = found
    assert "single planes" in found.notes[0]
    for volume in pair.read()[:2]:
        assert volume.numpy()[:, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_files_without_a_partner_are_named(tmp_path: Path) -> None:
    _save(tmp_path / "qpi" / "a.tif")
    _save(tmp_path / "qpi" / "alone.tif")
    _save(tmp_path / "dapi" / "a.tif")
    with pytest.raises(UserError, match=r"No partner.*alone\.tif"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"shape": (4, 8, 9)}, r"4 × 8 × 8.*4 × 8 × 9"),
        ({"spacing": (0.5, 0.3, 0.3)}, r"0\.25.*0\.3 "),
    ],
)
def test_grids_that_differ_are_named_with_their_figures(
    tmp_path: Path, changed: dict[str, object], words: str
) -> None:
    _save(tmp_path / "qpi" / "a.tif")
    _save(tmp_path / "dapi" / "a.tif", **changed)
    with pytest.raises(UserError, match=words) as error:
        find_pairs(tmp_path)[0].read()
    assert str(tmp_path / "qpi" / "a.tif") in str(error.value)
    assert str(tmp_path / "dapi" / "a.tif") in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.csv", "", "holds no pairs"),
        ("p.csv", "qpi,dapi\na.tif,\n", "Entry 1 .* needs qpi and dapi"),
        ("p.csv", "qpi,dapi\na.tif,gone.tif\n", "gone.tif, which does not exist"),
        ("p.csv", "qpi,dapi\na.tif,a.tif\na.tif,a.tif\n", "more than one pair named a"),
        ("p.yaml", "{", "not a list of pairs in YAML"),
        ("p.yaml", "qpi: a.tif", "must be a list"),
        ("p.doc", "x", "neither a folder nor"),
    ],
)
def test_wrong_lists_are_one_sentence(tmp_path: Path, name: str, text: str, words: str) -> None:
    _save(tmp_path / "a.tif")
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=words):
        find_pairs(tmp_path / name)


def test_a_folder_without_the_two_folders_says_what_to_make(tmp_path: Path) -> None:
    (tmp_path / "qpi").mkdir()
    with pytest.raises(UserError, match="no folder dapi"):
        find_pairs(tmp_path)


@pytest.mark.parametrize("teller", ["qpi", "dapi", "labels"])
def test_a_spacing_that_one_file_tells_is_that_of_all(tmp_path: Path, teller: str) -> None:
    for kind in ("qpi", "dapi", "labels"):
        told = {"origin": (0.0, 5.0, 5.0)} if kind == teller else {"spacing": None}
        _save(tmp_path / kind / "a.ome.tif", **told)
    qpi, dapi, labels = find_pairs(tmp_path)[0].read()
    assert labels is not None
    for kind, volume in (("qpi", qpi), ("dapi", dapi), ("labels", labels)):
        assert volume.spacing == SPACING
        assert volume.origin == (0.0, 5.0, 5.0)
        said = [note for note in volume.notes if "does not tell its voxel size" in note]
        assert len(said) == (kind != teller)


def test_positions_that_differ_are_told(tmp_path: Path) -> None:
    _save(tmp_path / "qpi" / "a.ome.tif", origin=(0.0, 10.0, 10.0))
    _save(tmp_path / "dapi" / "a.ome.tif", origin=(0.0, 10.0, 90.0))
    dapi = find_pairs(tmp_path)[0].read()[1]
    assert "different positions" in dapi.notes[0]


def test_names_match_however_their_accents_are_written(tmp_path: Path) -> None:
    """A Mac writes "ö" in two characters, others in one."""
    short, long = (unicodedata.normalize(form, "Größe 3") for form in ("NFC", "NFD"))
    assert short != long
    _save(tmp_path / "qpi" / f"{short}.tif")
    _save(tmp_path / "dapi" / f"{long}.tif")
    (pair,) = find_pairs(tmp_path)
    assert pair.name == short
    listing = tmp_path / "p.csv"
    listing.write_text(f"qpi;dapi\nqpi\\{long}.tif;dapi/{short}.tif\n", encoding="utf-8")
    (listed,) = find_pairs(listing)
    assert (listed.name, listed.dapi.exists()) == (short, True)


def test_what_is_no_stack_is_passed_over_and_named(tmp_path: Path) -> None:
    stray = [
        "report.docx",
        "paper.pdf",
        "Thumbs.db",
        "._a.tif",
        "a.tif.xml",
        "a_seg.npy",
        "a.companion.ome",
    ]
    for kind in ("qpi", "dapi"):
        _save(tmp_path / kind / "a.ome.tif")
        for name in stray:
            (tmp_path / kind / name).write_bytes(b"x")
        (tmp_path / kind / "a.png").write_bytes(b"a picture beside the stack")
        (tmp_path / kind / "old").mkdir()
        (tmp_path / kind / "old" / "notes.txt").write_text("x")
    found = find_pairs(tmp_path)
    assert [pair.name for pair in found] == ["a"]
    assert len(found.notes) == 2
    assert "Passed over" in found.notes[0]
    assert "Thumbs.db" in found.notes[0]
    assert "._a" not in found.notes[0]
    assert [f.name for f in find_stacks(tmp_path / "qpi")] == ["a.ome.tif"]
    _save(tmp_path / "qpi" / "b.tif")
    (tmp_path / "dapi" / "b.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"No partner.*b\.tif\. Passed over"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    "name", ["../../out", "/tmp/out", "a/b", "..", "a\\b", "NUL", "c:d", "x" * 300]
)
def test_the_name_of_a_pair_is_one_plain_part_of_a_path(tmp_path: Path, name: str) -> None:
    _save(tmp_path / "a.tif")
    listing = tmp_path / "p.yaml"
    listing.write_text(json.dumps([{"qpi": "a.tif", "dapi": "a.tif", "name": name}]))
    with pytest.raises(UserError, match="name of entry 1"):
        find_pairs(listing)


def test_results_may_lie_beside_the_stacks_but_not_among_them(tmp_path: Path) -> None:
    for kind in ("qpi", "dapi"):
        _save(tmp_path / kind / "a.ome.tif")
    before = (tmp_path / "dapi" / "a.ome.tif").read_bytes()
    result_of(check_pairs(tmp_path, out=tmp_path / "figures", apply=tmp_path / "mended"))
    assert (tmp_path / "figures" / "a.png").exists()
    for apply in (tmp_path, tmp_path / "qpi", tmp_path / "dapi" / "mended"):
        with pytest.raises(UserError, match="input"):
            result_of(check_pairs(tmp_path, apply=apply))
    assert (tmp_path / "dapi" / "a.ome.tif").read_bytes() == before


def test_one_stack_cannot_be_both_sides_of_a_pair(tmp_path: Path) -> None:
    _save(tmp_path / "a.ome.tif")
    _save(tmp_path / "both.ome.tif", (2, 4, 8, 8), axes="czyx", channels=("phase", "DAPI"))
    (tmp_path / "pairs.csv").write_text(
        "name,qpi,dapi\nsame,a.ome.tif,a.ome.tif\ntwo,both.ome.tif,both.ome.tif\n"
    )
    same, two = find_pairs(tmp_path / "pairs.csv")
    with pytest.raises(UserError, match="both the label-free stack and the DAPI of pair same"):
        same.read()
    qpi, dapi, _ = two.read()
    assert not np.array_equal(qpi.numpy(), dapi.numpy())


def test_names_that_one_file_would_have_are_refused(tmp_path: Path) -> None:
    for name in "pqrs":
        _save(tmp_path / f"{name}.ome.tif")
    (tmp_path / "pairs.csv").write_text(
        "name,qpi,dapi\nA,p.ome.tif,q.ome.tif\na,r.ome.tif,s.ome.tif\n"
    )
    with pytest.raises(UserError, match="more than one pair named A"):
        find_pairs(tmp_path / "pairs.csv")
