"""The system file: what is written is read again, and every defect of it is one line."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from utils.decision.decision import Decision
from utils.decision.gate import Gate
from utils.errors import InputError
from utils.models.spec import ModelSpec
from utils.weights.finding import find, open_weights
from utils.weights.image_hashes import BYTES, of_images
from utils.weights.system_file import KINDS, SystemFile, gate_for, read_system
from utils.weights.weights_file import SYSTEM_SUFFIX, WeightsFile, load

CLASSES = ("pits", "cracks")


def member(
    folder: Path, name: str, architecture: str, task: str, *, size=None, classes=CLASSES, target=None, channels=3
):
    """Write a weights file; its single tensor is enough for what looks at the file only."""
    spec = ModelSpec(architecture, "resnet18", task, classes, channels, target)
    count = len(spec.scored_names)
    mean = (0.5,) * channels
    file = WeightsFile(spec, {"x": torch.ones(1)}, mean, mean, size, Decision.uniform(count, 0.5))
    file.save(folder / f"{name}.pth")
    return load(folder / f"{name}.pth")


def members(kind: str, folder: Path, task: str = "multilabel") -> dict[str, WeightsFile]:
    if kind == "two-stage":
        judge = "classify-binary" if task == "binary" else "classify-multilabel"
        return {
            "classifier": member(folder, "c", "classifier", judge, size=(32, 64)),
            "segmenter": member(folder, "s", "unet", task),
        }
    if kind == "six-model":
        return {
            "binary": member(folder, "b", "classifier", "classify-binary", size=(32, 64)),
            "multilabel": member(folder, "m", "classifier", "classify-multilabel"),
            "segmenter-1": member(folder, "s1", "unet", "per-class", target="pits"),
            "segmenter-2": member(folder, "s2", "unet", "per-class", target="cracks"),
        }
    if kind == "ensemble":
        return {
            "network-1": member(folder, "n1", "unet", task),
            "network-2": member(folder, "n2", "fpn", task, size=(32, 64), classes=CLASSES[::-1]),
        }
    return {"network": member(folder, "n", kind, task)}


def system(kind: str, folder: Path, task: str = "multilabel", **entries) -> SystemFile:
    folder.mkdir(exist_ok=True)
    parts = members(kind, folder, task)
    names = ("defect",) if task == "binary" else CLASSES
    count = len(names)
    values = {
        "gate": gate_for(kind, parts, "soft", 2.0),
        "decision": Decision((0.25, 0.75)[:count], (10, 20)[:count], (None, 3000)[:count]),
        "tta": "flips",
        "metrics": {"mean_dice": 0.9},
        "provenance": {"seed": 1},
    }
    return SystemFile(kind, parts, **{**values, **entries})


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "systems" / f"one{SYSTEM_SUFFIX}"
    system("two-stage", tmp_path / "weights").save(path)
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["multilabel", "binary", "multiclass"])
def test_what_is_written_is_read_again(tmp_path, kind, task):
    if kind == "six-model" and task != "multilabel":
        return  # it has a network for each class
    before = system(kind, tmp_path / "weights", task)
    path = tmp_path / "systems" / f"one{SYSTEM_SUFFIX}"
    before.save(path)
    after = read_system(path)
    assert after == before
    assert after.source == path
    assert after.spec.scored_names == (("defect",) if task == "binary" else CLASSES)
    assert after.spec.task == task
    assert len(after.label_names) == len(after.label_thresholds) == after.gate.labels
    assert after.has_gate == (after.gate.labels > 0) == (kind != "ensemble")
    assert {role: file.source for role, file in after.members.items()} == {
        role: tmp_path / "systems" / ".." / "weights" / file.source.name for role, file in before.members.items()
    }


def test_high_thresholds_are_written_where_there_are_some_and_read_again(tmp_path):
    path = tmp_path / "systems" / f"one{SYSTEM_SUFFIX}"
    for thresholds in ((0.9, 0.0), ()):
        before = system("two-stage", tmp_path / "weights", decision=Decision((0.25, 0.75), (10, 20), (), thresholds))
        before.save(path)
        assert read_system(path) == before
        assert read_system(path).decision.high_thresholds == (thresholds or (0.0, 0.0))
        assert ("high_thresholds" in json.loads(path.read_text())) == any(thresholds)


def test_label_names_are_in_the_gates_order(tmp_path):
    assert system("six-model", tmp_path / "six").label_names == ("defect", *CLASSES)
    assert system("two-stage", tmp_path / "two").label_names == CLASSES
    assert system("two-stage", tmp_path / "any", "binary").label_names == ("defect",)
    assert system("two-head", tmp_path / "head", "multiclass").label_names == CLASSES


def test_a_folder_is_searched_for_system_files_too(written):
    assert find(written.parent) == written
    assert isinstance(open_weights(written.parent), SystemFile)
    assert isinstance(open_weights(written.parent.parent / "weights" / "s.pth"), WeightsFile)
    written.with_name(f"two{SYSTEM_SUFFIX}").write_text("{}")
    with pytest.raises(InputError, match=r"choose with -weights from one\.system, two\.system"):
        find(written.parent)
    assert find(written.parent, "one.system") == written


def test_a_member_that_is_in_no_file_cannot_be_named(tmp_path):
    whole = system("two-stage", tmp_path / "weights")
    whole.members["segmenter"].source = None
    with pytest.raises(InputError, match="not in a file yet; save it first"):
        whole.save(tmp_path / f"one{SYSTEM_SUFFIX}")
    assert not list(tmp_path.glob("*.json"))


def put(*path: str, value):
    def change(content: dict, weights: Path) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def drop(*path: str):
    def change(content: dict, weights: Path) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


def other_member(role: str, **kind):
    """Put another network in the place of a member."""

    def change(content: dict, weights: Path) -> None:
        import hashlib

        member(weights, "other", **kind)
        digest = hashlib.sha256((weights / "other.pth").read_bytes()).hexdigest()
        content["members"][role] = {"file": "../weights/other.pth", "sha256": digest}

    return change


DEFECTS = {
    "another format": (put("format", value="x"), "a JSON file, but not a system file; point -weights_dir at one of"),
    "a newer version": (put("version", value=2), "format version 2, this program reads 1; update it"),
    "an entry is missing": (drop("gate"), r"expected the entries kind, .*; see gate; train"),
    "an entry too many": (put("colour", value="red"), "expected the entries .*; see colour; train"),
    "kind": (put("kind", value="two-stages"), "kind 'two-stages' is unknown, did you mean two-stage"),
    "classes": (put("classes", value="pits"), "classes: expected a list of names"),
    "other classes": (put("classes", value=["a", "b"]), "classes are a, b, but the members know pits, cracks"),
    "members": (drop("members", "classifier"), "members are segmenter; a two-stage system has classifier, segmenter"),
    "no members": (put("members", value=[]), r"members are \[\]; a two-stage system has"),
    "member without sha256": (drop("members", "segmenter", "sha256"), "member segmenter: expected file and sha256"),
    "absolute path": (
        put("members", "segmenter", "file", value="/etc/passwd"),
        "member segmenter: /etc/passwd is not a relative path",
    ),
    "path of Windows": (put("members", "segmenter", "file", value="..\\s.pth"), "is not a relative path with slashes"),
    "no such file": (
        put("members", "segmenter", "file", value="../gone.pth"),
        r"member segmenter: no file .*gone\.pth",
    ),
    "another file": (
        put("members", "segmenter", "file", value="../weights/c.pth"),
        r"member segmenter: .*c\.pth is another file than the one named \(sha256\)",
    ),
    "a segmenter for a classifier": (
        other_member("classifier", architecture="unet", task="multilabel"),
        "member classifier is unet for -task multilabel; it has to be for classify-binary or classify-multilabel",
    ),
    "a classifier for a segmenter": (
        other_member("segmenter", architecture="classifier", task="classify-binary"),
        "member segmenter is classifier for -task classify-binary; it has to be for multilabel or binary or multiclass",
    ),
    "members of other classes": (
        other_member("segmenter", architecture="unet", task="multilabel", classes=("a", "b")),
        "members classifier and segmenter were trained on other classes or channels",
    ),
    "members of other channels": (
        other_member("segmenter", architecture="unet", task="multilabel", channels=1),
        "members classifier and segmenter were trained on other classes or channels",
    ),
    "a classifier that tells other classes": (
        other_member("segmenter", architecture="unet", task="binary"),
        "the classifier tells other classes than the segmenter draws",
    ),
    "gate": (drop("gate", "mode"), "gate: expected mode, image, classes and c"),
    "gate mode": (put("gate", "mode", value="firm"), "gate mode 'firm': choose hard or soft"),
    "gate without thresholds": (put("gate", "classes", value=None), "gate classes: the members have such labels"),
    "gate too much": (put("gate", "image", value=0.5), "gate image: the members have no such label, write null"),
    "gate of other classes": (
        put("gate", "classes", value={"pits": 0.5}),
        "gate classes: expected a threshold for each",
    ),
    "gate beyond 1": (put("gate", "classes", "pits", value=1.5), "gate of class pits: 1.5 is not a number 0..1"),
    "gate c": (put("gate", "c", value=0.5), "gate c: 0.5 is not a number 1 or more"),
    "threshold": (put("thresholds", "pits", value="high"), "thresholds of class pits: 'high' is not a number 0..1"),
    "thresholds": (drop("thresholds", "pits"), "thresholds: expected a number for each of pits, cracks, in this order"),
    "high threshold": (
        put("high_thresholds", value={"pits": 2, "cracks": 0}),
        "high_thresholds of class pits: 2 is not a number 0..1",
    ),
    "high thresholds": (put("high_thresholds", value={"pits": 0.9}), "high_thresholds: expected a number for each of"),
    "area": (put("min_areas", "pits", value=1.5), "min_areas of class pits: 1.5 is no whole number"),
    "negative area": (put("max_areas", "pits", value=-4), "max_areas of class pits: -4 is not a number 1 or more"),
    "truth for a number": (put("min_areas", "pits", value=True), "min_areas of class pits: True is not a number"),
    "tta": (put("tta", value="turns"), "tta 'turns': choose none or flips"),
    "metrics": (put("metrics", value=3), "metrics: expected entries in braces"),
    "weights of members": (
        put("member_weights", value={}),
        "member_weights: only an ensemble has some; leave them out",
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_every_defect_is_one_line_that_names_the_file(written, name):
    change, message = DEFECTS[name]
    content = json.loads(written.read_text())
    change(content, written.parent.parent / "weights")
    written.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as error:
        read_system(written)
    assert str(error.value).startswith(str(written))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"{", "not a JSON file, or damaged"), (b"\xff\xfe\x00", "not a JSON file"), (b"[1]", "not a system file")],
)
def test_what_is_no_system_file(tmp_path, content, message):
    (tmp_path / "x.system.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_system(tmp_path / "x.system.json")
    with pytest.raises(InputError, match="no such system file"):
        read_system(tmp_path / "gone.system.json")


def test_networks_of_an_ensemble_may_count_differently(tmp_path):
    path = tmp_path / f"one{SYSTEM_SUFFIX}"
    for weights in ((1.0, 2.5), ()):
        system("ensemble", tmp_path / "weights", member_weights=weights).save(path)
        assert read_system(path).member_weights == weights
        assert ("member_weights" in json.loads(path.read_text())) == bool(weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("member_weights", value={"network-1": 1}), "member_weights: expected a number for each of network-1, netw"),
        (put("member_weights", value={"network-1": -1, "network-2": 1}), "member_weights of network-1: -1 is not a n"),
        (put("member_weights", value={"network-1": 0, "network-2": 0}), "member_weights: all are 0; give the networks"),
        (put("gate", "image", value=0.5), "gate image: the members have no such label, write null"),
        (put("members", value={}), "members are none; an ensemble has network-1 and so on"),
        (drop("members", "network-1"), "members are network-2; an ensemble has network-1 and so on"),
        (
            other_member("network-2", architecture="unet", task="multilabel", classes=("pits", "b")),
            "network-1 knows the classes pits, cracks, network-2 knows pits, b; an ensemble is of networks with the same",
        ),
        (
            other_member("network-2", architecture="classifier", task="classify-binary"),
            "member network-2 is classifier for -task classify-binary; it has to be for multilabel or",
        ),
    ],
)  # fmt: skip
def test_every_defect_of_an_ensemble_is_one_line(tmp_path, change, message):
    path = tmp_path / "systems" / f"one{SYSTEM_SUFFIX}"
    system("ensemble", tmp_path / "weights").save(path)
    content = json.loads(path.read_text())
    change(content, tmp_path / "weights")
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message) as error:
        read_system(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_a_six_model_system_needs_the_segmenter_of_each_class(tmp_path):
    path = tmp_path / f"six{SYSTEM_SUFFIX}"
    system("six-model", tmp_path).save(path)
    content = json.loads(path.read_text())
    first, second = (content["members"][f"segmenter-{k}"] for k in (1, 2))
    content["members"]["segmenter-1"], content["members"]["segmenter-2"] = second, first
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="member segmenter-1 is for class cracks; it has to be for pits"):
        read_system(path)


def test_the_gate_begins_with_the_members_own_thresholds(tmp_path):
    parts = members("two-stage", tmp_path)
    parts["classifier"].label_thresholds = (0.3, 0.6)
    assert gate_for("two-stage", parts) == Gate("hard", None, (0.3, 0.6))
    parts = members("six-model", tmp_path)
    parts["binary"].label_thresholds, parts["multilabel"].label_thresholds = (0.1,), (0.2, 0.4)
    assert gate_for("six-model", parts, "soft", 3.0) == Gate("soft", 0.1, (0.2, 0.4), 3.0)


def test_members_of_one_bit_depth_have_it_together_and_others_are_refused(tmp_path):
    made = system("two-stage", tmp_path)
    judge, segmenter = made.members["classifier"], made.members["segmenter"]
    for member_, bits in ((judge, None), (segmenter, 12)):
        dataclasses.replace(member_, bit_depth=bits).save(member_.source)
    made.save(tmp_path / f"a{SYSTEM_SUFFIX}")
    assert read_system(tmp_path / f"a{SYSTEM_SUFFIX}").bit_depth == 12
    dataclasses.replace(judge, bit_depth=10).save(judge.source)
    made.save(tmp_path / f"a{SYSTEM_SUFFIX}")
    with pytest.raises(InputError, match="members were trained with a bit_depth of 10 and 12; name weights that"):
        read_system(tmp_path / f"a{SYSTEM_SUFFIX}")


def test_a_system_has_learnt_from_the_images_of_all_its_members(tmp_path):
    parts = members("two-stage", tmp_path)
    rows = np.arange(2, dtype=np.uint8)[:, None].repeat(BYTES, axis=1)
    parts["segmenter"].image_hashes = of_images(1.0, rows, rows[:1])
    found = dataclasses.replace(system("two-stage", tmp_path / "there"), members=parts).image_hashes
    assert (found.trained, found.unknown) == (2, ("c.pth",))
    parts["classifier"].image_hashes = of_images(1.0, rows[1:] + 5, rows[:0])
    found = dataclasses.replace(system("two-stage", tmp_path / "there"), members=parts).image_hashes
    assert (found.trained, found.unknown) == (3, ())
