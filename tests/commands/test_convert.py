"""Proposals of a network, in the layouts of the programs where people correct them."""

import json
from xml.etree import ElementTree

import pytest

from config import ConvertConfig, PredictConfig
from utils.commands.convert import convert
from utils.commands.predict import predict
from utils.data.annotation_table import read_annotations
from utils.decision.decision import Decision
from utils.errors import InputError
from utils.models.factory import build
from utils.models.spec import ModelSpec
from utils.weights.weights_file import WeightsFile


@pytest.fixture
def images(make_dataset):
    return make_dataset(3) / "train_images"


@pytest.fixture
def found(make_weights, images, tmp_path):
    """What Predict_masks.py finds: image and class -> run-length code."""
    flags = {"save": ("submission",), "out": tmp_path / "predicted", "backend": "torch"}
    predict(PredictConfig(images=images, weights_dir=make_weights(), **flags))
    table = read_annotations(tmp_path / "predicted" / "submission.csv", ("pits", "cracks"))
    return {(row.image, row.class_id): row.rle for row in table.rows.itertuples()}


def table_of(folder):
    rows = read_annotations(folder / "train.csv", ("pits", "cracks")).rows
    return {(row.image, row.class_id): row.rle for row in rows.itertuples()}


def proposed(photos, weights, to, folder, **changes):
    given = {"source": "network", "images": photos, "weights_dir": weights, "to": to, "dir": folder}
    return convert(ConvertConfig(**{**given, **changes}))


READING = {
    "colour-masks": ("JPEGImages", "masks", ""),
    "coco": ("images", "annotations", "annotations.json"),
    "yolo": ("images", "annotations", "labels"),
    "cvat": ("images", "annotations", "annotations.xml"),
    "labelme": ("", "annotations", ""),
}


@pytest.mark.parametrize("to", READING)
def test_proposals_come_back_as_they_were_predicted(tmp_path, make_weights, images, found, to):
    summary = proposed(images, make_weights(), to, tmp_path / "out")
    assert any("confirmed by nobody: 3 images of 3 with a defect" in note for note in summary.notes)
    photos, flag, place = READING[to]
    files = {"images": tmp_path / "out" / photos, flag: tmp_path / "out" / place}
    convert(ConvertConfig(source=to, dir=tmp_path / "back", **files))
    if to != "colour-masks":  # which hold one class a pixel
        assert table_of(tmp_path / "back") == found
    assert len(list((tmp_path / "back" / "train_images").iterdir())) == 3


def test_each_program_is_told_that_nobody_confirmed_them(tmp_path, make_weights, images, found):
    for to in ("cvat", "labelstudio", "labelme", "supervisely"):
        proposed(images, make_weights(), to, tmp_path / to, link=True)
    tree = ElementTree.parse(tmp_path / "cvat" / "annotations.xml")
    assert {mask.get("source") for mask in tree.iter("mask")} == {"auto"}
    tasks = json.loads((tmp_path / "labelstudio" / "tasks.json").read_text())
    assert not any("annotations" in task for task in tasks)
    predictions = [task["predictions"][0] for task in tasks]
    assert all(0 < prediction["score"] <= 1 for prediction in predictions)
    assert {prediction["model_version"][:22] for prediction in predictions} == {"unet-test_resnet-test-"}
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=labelstudio/images/000.png"
    shapes = json.loads((tmp_path / "labelme" / "000.json").read_text())["shapes"]
    assert all(shape["description"].startswith("proposal of unet-test_resnet-test-") for shape in shapes)
    objects = json.loads((tmp_path / "supervisely" / "dataset" / "ann" / "000.png.json").read_text())["objects"]
    assert all(entry["nnCreated"] for entry in objects)
    with pytest.raises(InputError, match="proposals alone are no labels"):
        convert(
            ConvertConfig(
                source="labelstudio",
                dir=tmp_path / "back",
                images=tmp_path / "labelstudio" / "images",
                annotations=tmp_path / "labelstudio" / "tasks.json",
            )
        )


def test_images_of_a_dataset_folder_get_proposals_instead_of_labels(tmp_path, make_weights, images, found):
    flags = {"source": "dataset", "dir": images.parent, "to": "cvat", "out": tmp_path / "out"}
    convert(ConvertConfig(**flags, weights_dir=make_weights()))
    files = {"images": tmp_path / "out" / "images", "annotations": tmp_path / "out" / "annotations.xml"}
    convert(ConvertConfig(source="cvat", dir=tmp_path / "back", **files))
    assert table_of(tmp_path / "back") == found


def test_an_image_that_cannot_be_read_is_left_out_and_listed(tmp_path, make_weights, images):
    (images / "bad.png").write_bytes(b"no picture")
    summary = proposed(images, make_weights(), "cvat", tmp_path / "out")
    assert [entry.image for entry in summary.left_out] == ["bad.png"]
    assert "bad.png" in (tmp_path / "out" / "summary.json").read_text()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights_dir": None}, "-from network needs -weights_dir"),
        ({"images": None}, "-from network needs -images"),
        ({"annotations": "x"}, "-annotations: -from network does not use it"),
        ({"source": "labelme"}, "-weights_dir: -from labelme does not use it"),
    ],
)
def test_flags_that_do_not_fit_are_refused(tmp_path, make_weights, images, changes, reason):
    with pytest.raises(InputError, match=reason):
        proposed(images, make_weights(), "cvat", tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_a_network_that_draws_no_masks_is_refused(tmp_path, images):
    spec = ModelSpec("classifier", "test_resnet", "classify-multilabel", ("pits", "cracks"))
    model = build(spec)
    decision = Decision.uniform(len(spec.scored_names), 0.5, 0, 0)
    WeightsFile(spec, model.net.state_dict(), model.mean, model.std, None, decision).save_named(tmp_path / "w", "judge")
    with pytest.raises(InputError, match="judges whole images and draws no masks"):
        proposed(images, tmp_path / "w", "cvat", tmp_path / "out")
    assert not (tmp_path / "out").exists()
