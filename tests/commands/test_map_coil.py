"""Map_coil.py from images and from tables: files, exit codes, and what each bad input says."""

import errno
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

import Map_coil
from config import MapCoilConfig, PackConfig
from tests.coil.test_defect_table import write_parts
from utils.commands.map_coil import map_coil
from utils.data.annotation_table import write_annotations
from utils.data.annotations import make_rows
from utils.data.packing import pack
from utils.errors import InputError

FILES = {"coil.html", "coil.png", "defects.csv", "repeats.csv", "groups.csv", "artefacts.csv", "warnings.csv"}
FILES |= {"grade.json", "summary.json"}
TABLE = "image,class_id,name,area_px,x,y,width,height,mean_probability\n"
MM = "mm_per_pixel: 0.5\nrules: [{name: any, verdict: hold, classes: [pits]}]\n"


@pytest.fixture
def coil(tmp_path):
    """A coil of four images, one broken, of which 2 and 3 share a defect that their border cuts."""
    folder = tmp_path / "coil"
    folder.mkdir()
    random = np.random.default_rng(2)
    for number in range(1, 5):
        cv2.imwrite(str(folder / f"{number}.png"), random.integers(90, 160, (64, 96), dtype=np.uint8))
    rows = ["1.png,1,pits,20,5,5,5,5,0.9", "2.png,1,pits,40,50,54,4,10,0.9", "3.png,1,pits,40,50,0,4,10,0.9"]
    (tmp_path / "defects.csv").write_text(TABLE + "\n".join(rows) + "\n")
    return folder


def run(*words):
    return Map_coil.main([str(word) for word in words])


def test_map_from_a_table_with_images(coil, tmp_path, capsys):
    (tmp_path / "coil.yaml").write_text(MM)
    out = tmp_path / "map"
    assert run("-dir", coil, "-defects", tmp_path / "defects.csv", "-coil", tmp_path / "coil.yaml", "-out", out) == 0
    printed = capsys.readouterr().out
    assert "0.13 m of strip, 4 images: 2 defects" in printed
    assert "verdict: hold" in printed
    assert {path.name for path in out.iterdir()} - {"defects.parquet"} == FILES
    table = pd.read_csv(out / "defects.csv")
    assert table[["along0", "along1"]].to_numpy().tolist() == [[2.5, 5.0], [59.0, 69.0]]
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["unit"], summary["images"], summary["defects"], summary["verdict"]) == ("mm", 4, 2, "hold")
    assert "base64" in (out / "coil.html").read_text()


def test_map_from_a_table_alone_is_in_pixels_and_says_what_it_guessed(coil, tmp_path, capsys):
    assert run("-defects", tmp_path / "defects.csv") == 0
    printed = capsys.readouterr().out
    assert "192 px of strip, 3 images: 2 defects" in printed
    assert "tells no size of the images" in printed
    out = tmp_path / "coil_map"
    assert pd.read_csv(out / "defects.csv")["along0"].tolist() == [5, 118]
    for name in ("coil.html", "grade.json", "defects.csv", "summary.json"):
        assert " mm" not in (out / name).read_text()
        assert "_mm" not in (out / name).read_text()


def test_what_a_table_has_wrong_is_said_on_the_page_too(coil, tmp_path):
    (tmp_path / "coil.yaml").write_text(MM.replace("pits", "pit"))
    (tmp_path / "boxes.csv").write_text(
        "image,x0,y0,x1,y1,class\n1.png,5,5,9,9,pits\n2.png,90,5,97,9,pits\n3.png,90,5,120,9,pits\n1.png,200,5,209,9,pits\n"
    )
    out = tmp_path / "map"
    map_coil(MapCoilConfig(dir=coil, coil=tmp_path / "coil.yaml", defects=tmp_path / "boxes.csv", out=out))
    notes = " ".join(json.loads((out / "grade.json").read_text())["notes"])
    assert "has no class pit, did you mean pits?; its classes are pits; the rule counts nothing of it" in notes
    assert "boxes.csv: 1 defect outside of their image left out (the first: 1.png)" in notes
    assert "boxes.csv: 1 defect beyond the borders of the images, cut there (the first: 3.png)" in notes


def test_map_from_images_is_that_of_their_prediction(coil, tmp_path, make_weights):
    from config import PredictConfig
    from utils.commands.predict import predict

    weights = make_weights(min_area=4)
    predict(PredictConfig(images=coil, weights_dir=weights, out=tmp_path / "out", save=("defects",), device="cpu"))
    flags = ("-dir", coil, "-weights_dir", weights, "-device", "cpu")
    assert run(*flags, "-out", tmp_path / "a") == 0
    assert run("-dir", coil, "-defects", tmp_path / "out/defects.csv", "-out", tmp_path / "b") == 0
    first, second = (pd.read_csv(tmp_path / name / "defects.csv") for name in "ab")
    assert len(first) > 5
    columns = [name for name in first if name != "probability"]
    pd.testing.assert_frame_equal(first[columns], second[columns])


def test_image_that_cannot_be_read_is_a_gap(coil, tmp_path, make_weights, capsys):
    whole = (coil / "3.png").read_bytes()
    (coil / "3.png").write_bytes(whole[: len(whole) // 2])
    (coil / "2.png").write_bytes(b"no image")
    (coil / "coil_map").mkdir()
    shutil.copy(coil / "1.png", coil / "coil_map/coil.png")  # an earlier map's picture is no image of the coil
    assert run("-dir", coil, "-weights_dir", make_weights(), "-device", "cpu") == 3
    printed = capsys.readouterr().out
    assert "2 images not on the map, named in" in printed
    summary = json.loads((coil / "coil_map/summary.json").read_text())
    assert sorted(one["image"] for one in summary["skipped"]) == ["2.png", "3.png"]
    assert summary["images"] == 2
    grade = json.loads((coil / "coil_map/grade.json").read_text())
    assert grade["not_seen"] == [[64, 192]]


def test_cameras_in_folders_lie_side_by_side(coil, tmp_path):
    for camera in ("cam1", "cam2"):
        (coil / camera).mkdir()
        for number in range(1, 5):
            shutil.copy(coil / f"{number}.png", coil / camera)
    for path in coil.glob("*.png"):
        path.unlink()
    (tmp_path / "defects.csv").write_text(TABLE + "cam2/2.png,1,pits,40,50,4,4,10,0.9\n")
    result = map_coil(MapCoilConfig(dir=coil, defects=tmp_path / "defects.csv", out=tmp_path / "a"))
    assert result.coil.defects[["along0", "across0"]].to_numpy().tolist() == [[68, 146]]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({}, "give -dir FOLDER of the coil's images, or -defects TABLE"),
        ({"dir": "nowhere"}, "-dir nowhere: no such folder"),
        ({"defects": "nothing.csv"}, "nothing.csv: no such file"),
        ({"dir": "empty"}, "-dir empty: holds no images"),
        ({"dir": "packed"}, "-dir packed: is packed; give the folder that it was made of"),
        ({"defects": "defects.csv", "join_mm": 5.0}, "-join_mm: needs mm_per_pixel"),
        ({"defects": "defects.csv", "coil": "none.yaml"}, "none.yaml: No such file"),
        ({"defects": "defects.csv", "truth": "none.json"}, "none.json: no such file"),
        ({"defects": "defects.csv", "against": "empty"}, "-against empty: no defects.csv"),
        ({"dir": "coil", "defects": "other.csv"}, "other.csv: none of its images is in coil"),
        ({"defects": "other.csv", "coil": "found.yaml"}, "edges: found in coil.yaml needs the images"),
    ],
)
def test_what_cannot_be_mapped_is_one_line_and_nothing_is_written(coil, tmp_path, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_annotations(make_rows([]), tmp_path / "train.csv")
    (tmp_path / "classes.txt").write_text("pits\n")
    shutil.copytree(coil, tmp_path / "train_images")
    pack(PackConfig(dir=tmp_path, out=tmp_path / "packed"), progress=False)
    (tmp_path / "other.csv").write_text(TABLE + "9.png,1,pits,20,5,5,5,5,0.9\n")
    (tmp_path / "found.yaml").write_text("edges: found\n")
    there = sorted(tmp_path.rglob("*"))
    paths = {name: tmp_path.joinpath(value).relative_to(tmp_path) for name, value in flags.items() if name != "join_mm"}
    with pytest.raises(InputError, match=said) as error:
        map_coil(MapCoilConfig(**{**flags, **paths}))
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == there


def test_rule_about_a_class_that_the_weights_lack_is_refused(coil, tmp_path, make_weights):
    (tmp_path / "coil.yaml").write_text("rules: [{name: any, verdict: hold, classes: [pit]}]\n")
    with pytest.raises(InputError, match=r"rule any: unet-.*pth has no class pit, did you mean pits\?"):
        map_coil(MapCoilConfig(dir=coil, coil=tmp_path / "coil.yaml", weights_dir=make_weights(), device="cpu"))


def test_a_map_does_not_overwrite_the_one_that_it_is_compared_with(coil, tmp_path):
    out = tmp_path / "map"
    words = ("-dir", coil, "-defects", tmp_path / "defects.csv", "-out", out, "-crops", 0)
    assert run(*words) == 0
    before = (out / "defects.csv").read_bytes()
    with pytest.raises(InputError, match="would be lost"):
        run(*words, "-against", out)
    assert (out / "defects.csv").read_bytes() == before


def test_a_file_as_out_and_a_folder_in_use_are_refused(coil, tmp_path):
    from utils.files import alone_in

    words = ("-dir", coil, "-defects", tmp_path / "defects.csv", "-crops", 0)
    with pytest.raises(InputError, match="is a file"):
        run(*words, "-out", tmp_path / "defects.csv" / "map")
    (tmp_path / "busy").mkdir()
    with alone_in(tmp_path / "busy"), pytest.raises(InputError, match="another map is written there"):
        run(*words, "-out", tmp_path / "busy")
    assert not list((tmp_path / "busy").iterdir())


@pytest.mark.parametrize("name", ["coil.png", "coil.html", "defects.csv", "summary.json"])
def test_a_full_disk_leaves_the_earlier_map_as_it_was(coil, tmp_path, monkeypatch, capsys, name):
    out = tmp_path / "map"
    words = ("-dir", coil, "-defects", tmp_path / "defects.csv", "-out", out, "-crops", 0)
    assert run(*words) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    write = Path.write_bytes, Path.write_text, pd.DataFrame.to_csv

    def full(old):
        def write(self, target, *more, **settings):
            path = self if isinstance(self, Path) else target
            if name.split(".")[0] in str(getattr(path, "name", path)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return old(self, target, *more, **settings)

        return write

    for kind, attribute, old in zip(
        (Path, Path, pd.DataFrame), ("write_bytes", "write_text", "to_csv"), write, strict=True
    ):
        monkeypatch.setattr(kind, attribute, full(old))
    with pytest.raises(OSError, match="No space left"):
        run(*words)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_map_of_the_first_images_is_as_long_as_these(coil, tmp_path, make_weights):
    rows = "".join(f"{number}.png,{(number - 1) * 64}\n" for number in range(1, 5))
    (coil / "positions.csv").write_text("ImageId,start_px\n" + rows)
    result = map_coil(
        MapCoilConfig(dir=coil, weights_dir=make_weights(), device="cpu", num_of_images=2, out=tmp_path / "map")
    )
    assert (result.coil.length, len(result.coil.gaps)) == (128.0, 0)
    assert result.coil.notes[0].startswith("-num_of_images: the first 2 of 4 images alone")
    settings = json.loads((tmp_path / "map/summary.json").read_text())["settings"]
    assert (settings["num_of_images"], settings["crops"], settings["dir"]) == (2, 300, str(coil))


def test_map_from_a_prediction_in_shards(tmp_path, capsys):
    write_parts(tmp_path / "out")
    assert run("-defects", tmp_path / "out", "-where", "coil=7") == 3
    printed = capsys.readouterr().out
    assert "128 px of strip, 2 images: 1 defect" in printed
    summary = json.loads((tmp_path / "coil_map/summary.json").read_text())
    assert summary["skipped"] == [{"image": "c2/1.png", "reason": "truncated image"}]
