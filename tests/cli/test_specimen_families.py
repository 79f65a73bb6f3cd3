"""`napari-llcm specimen --families`."""

import json

import numpy as np
import pytest

from napari_llcm.specimen import draw_specimen
from napari_llcm.volumes import find_pairs, read

SIZE = (8, 64, 64)


def test_pairs_are_written_with_their_tags(cli, tmp_path):
    command = ("specimen", tmp_path, "--families", "--n", 2, "--size", "8,64,64")
    code, out, err = cli(*command, "--leave-out", "modality:dic", "--leave-out", "cells:tissue")
    assert code == 0, err
    assert "Made 2 specimens" in out
    assert [pair.name for pair in find_pairs(tmp_path)] == ["family-0000", "family-0001"]
    table = json.loads((tmp_path / "specimens.json").read_text())
    for number, name in enumerate(("family-0000", "family-0001")):
        made = draw_specimen(number, size=SIZE, leave_out=["modality:dic", "cells:tissue"])
        assert table[name]["tags"] == made.qpi.metadata["tags"]
        stack = read(tmp_path / "qpi" / f"{name}.ome.tif")
        np.testing.assert_array_equal(stack.numpy(), made.qpi.numpy())
        assert stack.spacing == pytest.approx(made.qpi.spacing)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--families", "--leave-out", "modality:xray"), "no tag 'modality:xray'"),
        (("--leave-out", "modality:dic"), "--leave-out goes with --families"),
        (("--families", "--spacing", "1,1,1"), "--spacing does not go with --families"),
        (("--families", "--difficulty", "hard"), "--difficulty does not go with --families"),
        (("--families", "--modality", "dic"), "--modality does not go with --families"),
    ],
)
def test_what_cannot_be_is_told(cli, tmp_path, options, message):
    code, _, err = cli("specimen", tmp_path / "out", *options)
    assert code == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "out").exists()
