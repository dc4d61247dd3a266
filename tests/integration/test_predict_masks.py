"""Predict_masks.py on small images and a random network: files, exit codes, and what each bad input says."""

import csv
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import Predict_masks
from config import PredictConfig
from utils.commands.predict import predict
from utils.data.rle import decode
from utils.errors import InputError
from utils.inference.outputs import Submission

pytestmark = pytest.mark.usefixtures("own_networks")

EVERYTHING = ("overlays", "masks", "submission", "defects")


def read_submission(path: Path) -> dict[str, str]:
    with open(path, newline="") as file:
        return {row["ImageId_ClassId"]: row["EncodedPixels"] for row in csv.DictReader(file)}


def read_defects(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def size_of(path: Path) -> tuple[int, int]:
    return cv2.imread(str(path)).shape[:2]


@pytest.mark.parametrize(
    ("task", "classes", "input_size", "channels"),
    [
        ("multilabel", 2, None, 3),
        ("multilabel", 2, (32, 64), 3),
        ("multiclass", 2, None, 3),
        ("binary", 1, (32, 64), 1),
    ],
)
def test_every_output_tells_the_same(make_dataset, make_weights, tmp_path, task, classes, input_size, channels):
    root = make_dataset(grey=channels == 1)
    weights = make_weights(task=task, input_size=input_size, channels=channels)
    result = predict(PredictConfig(dir=root, weights_dir=weights, out=tmp_path / "out", save=EVERYTHING, device="cpu"))
    images = sorted((root / "train_images").iterdir())
    assert (result.images, result.skipped) == (5, ())
    submission = read_submission(tmp_path / "out/submission.csv")
    defects = read_defects(tmp_path / "out/defects.csv")
    assert list(submission) == [f"{image.name}_{k}" for image in images for k in range(1, classes + 1)]
    assert any(submission.values()), "the test needs a network that finds something"
    assert result.defects == len(defects) > 0
    for image in images:
        height, width = size_of(image)
        index = cv2.imread(str(tmp_path / "out/masks" / image.name), cv2.IMREAD_UNCHANGED)
        assert index.shape == (height, width)
        masks = np.stack([decode(submission[f"{image.name}_{k}"], height, width) for k in range(1, classes + 1)])
        np.testing.assert_array_equal(index > 0, masks.any(axis=0))
        found = np.take_along_axis(masks, np.maximum(index[None].astype(int) - 1, 0), axis=0)[0]
        np.testing.assert_array_equal(found > 0, index > 0)
        if task == "multiclass":
            assert masks.sum(axis=0).max() <= 1
        overlay = cv2.imread(str(tmp_path / "out/overlays" / image.name))
        assert overlay.shape[1] == width
        assert overlay.shape[0] > 2 * height, "prediction, ground truth and legend"
        for class_id, mask in enumerate(masks, start=1):
            rows = [row for row in defects if (row["image"], row["class_id"]) == (image.name, str(class_id))]
            assert sum(int(row["area_px"]) for row in rows) == mask.sum()
            for row in rows:
                x, y, w, h = (int(row[key]) for key in ("x", "y", "width", "height"))
                assert mask[y : y + h, x : x + w].sum() >= int(row["area_px"])
                assert 0 <= float(row["mean_probability"]) <= 1
    assert {row["name"] for row in defects} <= ({"defect"} if task == "binary" else {"pits", "cracks"})


def test_the_summary_names_weights_thresholds_counts_and_versions(make_dataset, make_weights, tmp_path):
    result = predict(
        PredictConfig(
            dir=make_dataset(), weights_dir=make_weights(), out=tmp_path, threshold=0.6, min_area=4, max_area=900
        )
    )
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["weights"].endswith(f"-{summary['sha8']}.pth")
    assert summary["thresholds"] == {"pits": 0.6, "cracks": 0.6}
    assert summary["min_areas"] == {"pits": 4, "cracks": 4}
    assert summary["max_areas"] == {"pits": 900, "cracks": 900}
    assert (summary["images"], summary["skipped"]) == (5, [])
    assert summary["defects"] == result.defects == sum(found["defects"] for found in summary["found"].values())
    assert summary["images_per_second"] > 0
    assert {"python", "torch", "numpy"} <= set(summary["versions"])
    rows = read_defects(tmp_path / "defects.csv")
    for name, found in summary["found"].items():
        mine = [row for row in rows if row["name"] == name]
        assert found["defects"] == len(mine)
        assert found["area_px"] == sum(int(row["area_px"]) for row in mine)
        assert found["images"] == len({row["image"] for row in mine})


def test_thresholds_of_the_flags_decide(make_dataset, make_weights, tmp_path):
    settings = {"dir": make_dataset(), "weights_dir": make_weights(), "out": tmp_path, "save": ()}
    assert predict(PredictConfig(**settings, threshold=1.0)).defects == 0
    everything = predict(PredictConfig(**settings, threshold=0.0))
    assert {total.images for total in everything.classes.values()} == {5}
    assert predict(PredictConfig(**settings, threshold=0.0, min_area=10_000)).defects == 0
    assert predict(PredictConfig(**settings, threshold=0.0, max_area=1_000)).defects == 0


def test_largest_areas_come_from_the_weights_file_unless_a_flag_overrules_them(make_dataset, make_weights, tmp_path):
    settings = {"dir": make_dataset(), "weights_dir": make_weights(max_area=5), "out": tmp_path}
    predict(PredictConfig(**settings))
    assert 1 <= max(int(row["area_px"]) for row in read_defects(tmp_path / "defects.csv")) <= 5
    predict(PredictConfig(**settings, max_area=0))
    assert max(int(row["area_px"]) for row in read_defects(tmp_path / "defects.csv")) > 5


def test_a_high_threshold_drops_defects_that_are_nowhere_sure(make_dataset, make_weights, tmp_path):
    # Some of this network's defects are sure and others are not.
    settings = {"dir": make_dataset(), "weights_dir": make_weights(encoder="resnet18"), "out": tmp_path}

    def boxes(**flags) -> set[tuple[str, ...]]:
        predict(PredictConfig(**settings, **flags))
        rows = read_defects(tmp_path / "defects.csv")
        return {tuple(row[key] for key in ("image", "name", "x", "y", "width", "height", "area_px")) for row in rows}

    every, sure = boxes(), boxes(high_threshold=0.9)
    assert set() < sure < every  # those that stay keep their box and area
    assert boxes(high_threshold=0.5) == every  # what each pixel reaches already
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["high_thresholds"] == {"pits": 0.5, "cracks": 0.5}
    assert not boxes(high_threshold=1.0)
    # Without a description of each defect, masks are the same.
    described = predict(PredictConfig(**settings, high_threshold=0.9, save=("submission", "defects")))
    codes = (tmp_path / "submission.csv").read_bytes()
    plain = predict(PredictConfig(**settings, high_threshold=0.9, save=("submission",)))
    assert (tmp_path / "submission.csv").read_bytes() == codes
    assert described.classes["pits"].images == plain.classes["pits"].images


def test_only_what_is_asked_for_is_written(make_dataset, make_weights, tmp_path):
    predict(PredictConfig(dir=make_dataset(), weights_dir=make_weights(), out=tmp_path / "out", save=("submission",)))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["submission.csv", "summary.json"]


def test_results_go_beside_the_images_and_a_second_run_replaces_them(make_dataset, make_weights):
    root = make_dataset()
    for number in (5, 2):
        result = predict(PredictConfig(dir=root, weights_dir=make_weights(), num_of_images=number))
        assert result.out == root / "results"
    assert len(read_submission(root / "results/submission.csv")) == 4
    assert not [path for path in (root / "results").rglob("*") if path.name.startswith(".")]


def test_files_that_no_prediction_wrote_are_not_replaced(make_dataset, make_weights, tmp_path):
    root = make_dataset()
    shutil.copytree(root / "train_images", root / "masks")  # where convert -from dataset puts the labels
    shutil.copytree(root / "train_images", tmp_path / "results/overlays")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for flags, message in (
        ({"dir": root, "out": root, "save": ("masks",)}, "-out .*data/masks holds files that no prediction wrote"),
        ({"images": tmp_path / "results/overlays", "out": tmp_path / "results"}, "the images themselves are in"),
        ({"images": root / "masks/001.png", "out": root, "save": ("masks",)}, "the images themselves are in"),
    ):
        with pytest.raises(InputError, match=message):
            predict(PredictConfig(weights_dir=make_weights(), **flags))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_after_an_interrupted_run_the_next_one_goes_to_the_same_folder(
    make_dataset, make_weights, tmp_path, monkeypatch
):
    def interrupted(*given):
        raise KeyboardInterrupt

    config = PredictConfig(dir=make_dataset(), weights_dir=make_weights(), out=tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(Submission, "collect", interrupted)
        with pytest.raises(KeyboardInterrupt):
            predict(config)
    assert any((tmp_path / "out/overlays").iterdir())
    assert not (tmp_path / "out/summary.json").exists()
    assert predict(config).images == 5
    assert {path.name for path in config.out.iterdir()} == {"overlays", "submission.csv", "defects.csv", "summary.json"}


def test_a_folder_without_any_table_and_a_single_image(make_dataset, make_weights, tmp_path):
    folder = make_dataset() / "train_images"
    whole = predict(PredictConfig(images=folder, weights_dir=make_weights(), out=tmp_path / "a"))
    single = predict(PredictConfig(images=folder / "003.png", weights_dir=make_weights(), out=tmp_path / "b"))
    assert (whole.images, single.images) == (5, 1)
    everything = read_submission(tmp_path / "a/submission.csv")
    alone = read_submission(tmp_path / "b/submission.csv")
    assert alone == {key: code for key, code in everything.items() if key.startswith("003.png")}
    height, _ = size_of(folder / "003.png")
    overlay = cv2.imread(str(tmp_path / "b/overlays/003.png"))
    assert height < overlay.shape[0] < 2 * height, "no labels: one picture and the legend"


def test_test_images_come_in_the_order_of_their_table(make_dataset, make_weights, tmp_path):
    root = make_dataset()
    shutil.copytree(root / "train_images", root / "test_images")
    shutil.copy(root / "train.csv", root / "test_labels.csv")
    (root / "test.csv").write_text("ImageId\n004.png\n001.png\n")
    result = predict(PredictConfig(dir=root, weights_dir=make_weights(), out=tmp_path))
    assert list(read_submission(tmp_path / "submission.csv")) == ["004.png_1", "004.png_2", "001.png_1", "001.png_2"]
    assert [path.name for path in result.overlays] == ["004.png", "001.png"]
    assert json.loads((tmp_path / "summary.json").read_text())["ground_truth"] == str(root / "test_labels.csv")


def test_classes_have_the_numbers_of_the_data(make_dataset, make_weights, tmp_path):
    root, weights = make_dataset(count=2), make_weights()
    settings = {"dir": root, "weights_dir": weights, "device": "cpu", "save": ("submission", "defects", "masks")}
    predict(PredictConfig(**settings, out=tmp_path / "one"))
    (root / "classes.txt").write_text("cracks\npits\n")
    predict(PredictConfig(**settings, out=tmp_path / "other"))
    one, other = (read_submission(tmp_path / name / "submission.csv") for name in ("one", "other"))
    assert other == {f"{name[:-1]}{3 - int(name[-1])}": code for name, code in one.items()}
    known = {(row["class_id"], row["name"]) for row in read_defects(tmp_path / "other/defects.csv")}
    assert known <= {("2", "pits"), ("1", "cracks")}
    assert known
    picture = sorted((tmp_path / "one/masks").iterdir())[0].name
    first, second = (cv2.imread(str(tmp_path / name / "masks" / picture), -1) for name in ("one", "other"))
    np.testing.assert_array_equal(second, np.array([0, 2, 1], np.uint8)[first])


def test_a_submission_for_other_classes_is_refused_unless_they_are_mapped(make_dataset, make_weights, tmp_path, capsys):
    root, weights = make_dataset(count=1, class_names=("dents", "holes")), make_weights()
    settings = {"dir": root, "weights_dir": weights, "out": tmp_path / "out", "device": "cpu"}
    with pytest.raises(InputError, match=r"-class_map pits=dents,cracks=holes; or .* -save overlays,defects$"):
        predict(PredictConfig(**settings))
    assert not capsys.readouterr().err
    with pytest.raises(InputError, match="-class_map pits=scale: the data has no class scale; it has dents, holes"):
        predict(PredictConfig(**settings, class_map=("pits=scale",), save=("defects",)))
    assert not (tmp_path / "out").exists()
    predict(PredictConfig(**settings, save=("defects",)))
    found = predict(PredictConfig(**settings, class_map=("pits=holes", "cracks=dents"), save=("submission", "defects")))
    assert set(found.classes) == {"holes", "dents"}
    assert {(row["class_id"], row["name"]) for row in read_defects(tmp_path / "out/defects.csv")} <= {
        ("2", "holes"),
        ("1", "dents"),
    }


def test_a_submission_has_the_rows_of_classes_that_the_network_does_not_know(
    make_dataset, make_weights, tmp_path, capsys
):
    root = make_dataset(count=3)
    (root / "train_images").rename(root / "test_images")
    for name in ("classes.txt", "train.csv"):
        (root / name).unlink()
    keys = [f"00{image}.png_{number}" for image in (1, 0, 2) for number in (1, 2, 3, 4)]
    (root / "sample_submission.csv").write_text("ImageId_ClassId,EncodedPixels\n" + "".join(f"{k},\n" for k in keys))
    settings = {"dir": root, "weights_dir": make_weights(), "device": "cpu", "save": ("submission",)}
    with pytest.raises(InputError, match="-class_map cracks=9: the data has no class 9; it has 1, 2, 3, 4"):
        predict(PredictConfig(**settings, class_map=("pits=1", "cracks=9"), out=tmp_path / "none"))
    predict(PredictConfig(**settings, class_map=("pits=3", "cracks=1"), out=tmp_path / "out"))
    said = [line for line in capsys.readouterr().err.splitlines() if "sample_submission.csv" in line]
    assert [line.partition("csv: ")[2] for line in said] == [
        "lists classes 2, 4, which the network does not know; their rows stay empty"
    ]
    rows = read_submission(tmp_path / "out/submission.csv")
    assert list(rows) == keys
    assert not any(rows[key] for key in keys if key[-1] in "24")


def test_a_submission_has_the_columns_and_the_order_of_the_sample(make_dataset, make_weights, tmp_path):
    root = make_dataset(count=3)
    (root / "train_images").rename(root / "test_images")
    (root / "sample_submission.csv").write_text("ImageId,EncodedPixels,ClassId\n002.png,1 1,0\n000.png,1 1,0\n")
    settings = {"dir": root, "weights_dir": make_weights(), "device": "cpu", "save": ("submission",)}
    predict(PredictConfig(**settings, out=tmp_path / "out"))
    with open(tmp_path / "out/submission.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["ImageId", "EncodedPixels", "ClassId"]
    assert [(row[0], row[2]) for row in rows] == [
        ("002.png", "1"),
        ("002.png", "2"),
        ("000.png", "1"),
        ("000.png", "2"),
    ]


@pytest.mark.parametrize(
    ("table", "warning"),
    [
        ("ImageId,ClassId,EncodedPixels\n000.png,7,1 1\n", "class"),
        ("ImageId,ClassId,EncodedPixels\n000.png,1,999999 5\n", "000.png class 1"),
        ("nonsense\n1\n", "missing column"),
    ],
)
def test_labels_that_do_not_fit_are_a_warning_since_prediction_needs_none(
    make_dataset, make_weights, tmp_path, capsys, table, warning
):
    root = make_dataset()
    (root / "train.csv").write_text(table)
    result = predict(PredictConfig(dir=root, weights_dir=make_weights(), out=tmp_path))
    assert (result.images, len(result.overlays)) == (5, 5)
    line = next(line for line in capsys.readouterr().err.splitlines() if "ground truth" in line)
    assert line.startswith("warning: ")
    assert warning in line


def test_a_bad_image_in_the_middle_is_reported_and_the_rest_is_complete(make_dataset, make_weights, tmp_path, capfd):
    root = make_dataset()
    bad = root / "train_images/002.png"
    bad.write_bytes(bad.read_bytes()[:300])
    code = Predict_masks.main(["-dir", str(root), "-weights_dir", str(make_weights()), "-out", str(tmp_path / "out")])
    printed = capfd.readouterr()
    assert code == 3
    assert f"skipped {bad}: truncated image" in printed.err
    assert "1 image skipped, named in" in printed.out
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["skipped"] == [{"image": str(bad), "reason": "truncated image"}]
    assert summary["images"] == 4
    assert len(read_submission(tmp_path / "out/submission.csv")) == 8
    assert len(list((tmp_path / "out/overlays").iterdir())) == 4


def test_the_command_prints_what_it_found_and_where_it_is(make_dataset, make_weights, tmp_path, capfd):
    words = ["-dir", make_dataset(), "-weights_dir", make_weights(), "-out", tmp_path / "out", "-num_of_images", "2"]
    assert Predict_masks.main([str(word) for word in words]) == 0
    printed = capfd.readouterr()
    # No terminal, no progress bar.
    assert printed.err == ""
    assert "runs of fewer than 16 images take torch, unless a larger one has found a faster backend for" in printed.out
    assert "2 images, " in printed.out
    assert f"results in {tmp_path / 'out'}: overlays/, submission.csv, defects.csv, summary.json" in printed.out
    assert (tmp_path / "out/submission.csv").is_file()


def test_no_readable_image_is_an_error_and_leaves_no_table(tmp_path, make_weights):
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.jpg"):
        (tmp_path / "images" / name).write_text("not an image")
    with pytest.raises(InputError, match=r"no image could be read, 2 tried; the first: .*a\.png: not an image"):
        predict(PredictConfig(images=tmp_path / "images", weights_dir=make_weights(), out=tmp_path / "out"))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "give -dir DATASET_FOLDER or -images FOLDER_OR_FILE, one of them; neither was given"),
        ({"dir": "data", "images": "empty"}, "give -dir DATASET_FOLDER or -images .* both were given"),
        ({"images": "empty"}, "-images .*empty: holds no image files"),
        ({"images": os.fsdecode(b"Br\xfccke.png")}, "-images .*cke.png: .*UTF-8"),
        ({"images": "missing"}, "-images .*missing: no such file or folder"),
        ({"dir": "empty"}, "empty: neither test_images/ nor train_images/"),
        ({"dir": "missing"}, "missing: no such folder"),
        (
            {"dir": "data", "save": ("overlay",)},
            "-save overlay: choose from overlays, masks, heatmaps, submission, defects",
        ),
        ({"dir": "data", "threshold": 1.5}, "-threshold 1.5: expected a probability 0..1"),
        ({"dir": "data", "min_area": -1}, "-min_area -1: expected 0 or more"),
        ({"dir": "data", "high_threshold": 1.5}, "-high_threshold 1.5: expected a probability 0..1"),
        ({"dir": "data", "max_area": -1}, "-max_area -1: expected 0 or more"),
        ({"dir": "data", "min_area": 9, "max_area": 8}, "class pits: its largest area, 8, is below its smallest, 9"),
        ({"dir": "data", "num_of_images": -1}, "-num_of_images -1: expected 0 or more"),
        ({"dir": "data", "batch_size": 0}, "-batch_size 0: expected 1 or more"),
        ({"dir": "data", "precision": "f16", "device": "cpu"}, "-precision f16: only for GPUs"),
        ({"dir": "data", "out": "file"}, "-out .*file: cannot make this folder .*; name another with -out"),
        ({"dir": "data", "weights_dir": "empty"}, "-weights_dir .*empty: no .pth file in it; .*Train.py"),
        ({"dir": "data", "weights_dir": "missing"}, "-weights_dir .*missing: no such file or folder"),
    ],
)
def test_bad_input_is_one_line_that_names_flag_and_remedy(make_dataset, make_weights, tmp_path, flags, message):
    make_dataset()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / os.fsdecode(b"Br\xfccke.png")).write_text("")
    places = {key: tmp_path / flags[key] for key in ("dir", "images", "out", "weights_dir") if key in flags}
    settings = {"weights_dir": make_weights(), **flags, **places}
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message) as error:
        predict(PredictConfig(**settings))
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before, "nothing was written"


PLACES = {"000.png": "line1/a.png", "001.png": "line2/a.png", "003.png": "line2/deep/b.png"}


def into_folders(images: Path) -> None:
    for name, place in PLACES.items():
        (images / place).parent.mkdir(parents=True, exist_ok=True)
        (images / name).rename(images / place)


def renamed(text: str) -> list[str]:
    for name, place in PLACES.items():
        text = text.replace(name, place)
    return sorted(text.splitlines())


def test_images_in_folders_within_have_the_results_of_a_flat_folder(make_dataset, make_weights, tmp_path, capfd):
    root, weights = make_dataset(), make_weights()
    flags = {"weights_dir": weights, "save": EVERYTHING, "device": "cpu", "batch_size": 1}
    flat, deep = tmp_path / "flat", tmp_path / "deep"
    predict(PredictConfig(dir=root, out=flat, **flags))
    assert "within" not in capfd.readouterr().err
    into_folders(root / "train_images")
    table = root / "train.csv"
    header, *rows = table.read_text().splitlines()
    windows = [row.replace("/", "\\") for row in renamed("\n".join(rows))]
    table.write_text("\n".join([header, *windows]))
    result = predict(PredictConfig(dir=root, out=deep, **flags))
    assert "5 images, 3 in folders within: line1/ 1, line2/ 2\n" in capfd.readouterr().err
    assert result.images == 5
    for name in ("submission.csv", "defects.csv"):
        assert sorted((deep / name).read_text().splitlines()) == renamed((flat / name).read_text()), name
    for word in ("overlays", "masks"):
        names = sorted(path.relative_to(deep / word).as_posix() for path in (deep / word).rglob("*.png"))
        assert names == ["002.png", "004.png", "line1/a.png", "line2/a.png", "line2/deep/b.png"]
        for name in ("002.png", "004.png", *PLACES):
            there = deep / word / PLACES.get(name, name)
            assert there.read_bytes() == (flat / word / name).read_bytes(), there
    assert json.loads((deep / "summary.json").read_text())["pictures"]["masks"] == names


def test_results_among_the_images_are_not_predicted_and_pictures_of_images_that_went_are_removed(
    make_dataset, make_weights, tmp_path
):
    images, weights = make_dataset() / "train_images", make_weights()
    into_folders(images)
    flags = {"images": images, "weights_dir": weights, "save": ("masks", "submission"), "device": "cpu"}
    assert [predict(PredictConfig(**flags)).images for _ in range(2)] == [5, 5]
    shutil.rmtree(images / "line2" / "deep")
    (images / "results/masks/line2/mine.png").write_bytes(b"mine")
    assert predict(PredictConfig(**flags)).images == 4
    masks = images / "results" / "masks"
    found = sorted(path.relative_to(masks).as_posix() for path in masks.rglob("*"))
    assert found == ["002.png", "004.png", "line1", "line1/a.png", "line2", "line2/a.png", "line2/mine.png"]


def test_a_list_of_pictures_removes_nothing_outside_the_results(make_dataset, make_weights, tmp_path):
    """A summary comes with results from anywhere; names in it may be chosen."""
    images, weights, out = make_dataset() / "train_images", make_weights(), tmp_path / "out"
    flags = {"images": images, "weights_dir": weights, "save": ("masks",), "device": "cpu", "out": out}
    predict(PredictConfig(**flags))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.png").write_bytes(b"mine")
    (out / "masks" / "link").symlink_to(outside)
    for names in (["../../outside/a.png"], [str(outside / "a.png")], ["link/a.png"], ["a/../../../outside/a.png"]):
        (out / "summary.json").write_text(json.dumps({"pictures": {"masks": names}}))
        predict(PredictConfig(**flags))
        assert (outside / "a.png").read_bytes() == b"mine"
