"""Networks of several files that -weights_dir puts together."""

import shutil
from pathlib import Path

import pytest
import torch

from utils.decision.decision import Decision
from utils.decision.gate import Gate
from utils.errors import InputError
from utils.models.spec import ModelSpec
from utils.weights.ensemble import ensemble_of, mean_decision
from utils.weights.system_file import SystemFile, gate_for, read_system
from utils.weights.weights_file import WeightsFile, load

NAMES = ("pits", "cracks")


def write(path: Path, decision: Decision | None = None, names=NAMES, task="multilabel", **spec) -> Path:
    """Write a weights file; its single tensor is enough for what looks at the file only."""
    kind = ModelSpec(spec.pop("architecture", "unet"), spec.pop("encoder", "resnet18"), task, names)
    decision = decision or Decision.uniform(len(kind.scored_names), 0.5)
    file = WeightsFile(kind, {"x": torch.ones(1)}, (0.5,) * 3, (0.5,) * 3, spec.pop("size", None), decision)
    path.parent.mkdir(exist_ok=True)
    file.save(path)
    return path


def test_files_become_a_system_that_can_be_saved_and_read(tmp_path):
    a = write(tmp_path / "one/a.pth")
    b = write(tmp_path / "two/b.pth", encoder="efficientnet-b0", names=NAMES[::-1], size=(32, 64))
    made = ensemble_of([a, b, a])
    assert (made.kind, made.assembled, made.gate, made.has_gate) == ("ensemble", True, Gate(), False)
    assert list(made.members) == ["network-1", "network-2", "network-3"]
    assert (made.spec.architecture, made.spec.encoder) == ("ensemble", "resnet18,efficientnet-b0,resnet18")
    assert (made.spec.scored_names, made.label_names, made.input_size) == (NAMES, (), None)
    assert made.source == tmp_path / "one/ensemble-resnet18+efficientnet_b0+resnet18"
    assert len(made.sha256) == 64 != made.sha256 == ensemble_of([a, b, a]).sha256 != ensemble_of([a, b]).sha256
    path = tmp_path / "there/x.system.json"
    made.save(path)
    again = read_system(path)
    assert again == made
    assert (again.assembled, again.sha256, again.source) == (False, "", path)


def test_the_folder_with_a_split_stands_for_all(tmp_path):
    files = [write(tmp_path / f"{name}/w.pth") for name in "abc"]
    (tmp_path / "b/split.csv").write_text("image,side,group\n")
    assert ensemble_of(files).source.parent == tmp_path / "b"


def test_thresholds_and_areas_are_the_means_of_the_members_by_name(tmp_path):
    one = Decision((0.35, 0.6), (100, 0), (None, 400), (0.8, 0.9))
    other = Decision((0.7, 0.4), (11, 50), (600, 900), (0.0, 0.7))  # cracks, pits
    files = [load(write(tmp_path / "a.pth", one)), load(write(tmp_path / "b.pth", other, NAMES[::-1]))]
    assert mean_decision(files) == Decision((0.375, 0.65), (75, 6), (None, 500), (0.75, 0.0))
    odd = Decision((0.1234567890123, 1 / 3), (7, 8), (9, None), (0.7, 0.0))
    same = load(write(tmp_path / "c.pth", odd))
    assert mean_decision([same, same, same]) == odd, "to the last digit"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"names": ("pits", "scratches")}, "a.pth knows the classes pits, cracks, {b} knows pits, scratches; an ensemble"),
        ({"task": "binary"}, "a.pth is for -task multilabel, {b} for -task binary; an ensemble is of networks for one"),
        (
            {"architecture": "classifier", "task": "classify-binary"},
            r"b.pth judges whole images \(classify-binary\); an ensemble is of networks that draw one kind of masks",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line_that_names_the_files(tmp_path, given, reason):
    a, b = write(tmp_path / "a.pth"), write(tmp_path / "b.pth", **given)
    with pytest.raises(InputError, match=f"^-weights_dir: .*{reason.format(b=b)}") as error:
        ensemble_of([a, b])
    assert "\n" not in str(error.value)


def test_systems_are_no_members(tmp_path):
    a = write(tmp_path / "a.pth", architecture="two-head")
    file = SystemFile("two-head", {"network": load(a)}, gate_for("two-head", {"network": load(a)}), load(a).decision)
    file.save(tmp_path / "a.system.json")
    with pytest.raises(InputError, match=r"a\.system\.json is a system of several networks; an ensemble is of single"):
        ensemble_of([a, tmp_path / "a.system.json"])


def test_a_long_name_is_told_by_its_number(tmp_path):
    a = write(tmp_path / "a.pth", encoder="efficientnet-b0")
    files = [shutil.copy(a, tmp_path / f"{k}.pth") for k in range(9)]
    assert ensemble_of(list(map(Path, files))).source.name == "ensemble-of_9"


@pytest.mark.parametrize("folds", [True, False])
def test_networks_of_a_run_of_folds_have_its_split(tmp_path, folds):
    files = []
    for number in (1, 2):
        (tmp_path / f"fold-{number}").mkdir()
        (tmp_path / f"fold-{number}" / "split.csv").write_text("image,side,group\n")
        files.append(write(tmp_path / f"fold-{number}" / "a.pth"))
    if folds:
        (tmp_path / "folds.csv").write_text("image,fold\n")
    assert ensemble_of(files).source.parent == (tmp_path if folds else tmp_path / "fold-1")
