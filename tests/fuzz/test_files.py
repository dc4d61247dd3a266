"""Files of every kind that a command reads, as chance spoils them: read as what they say, or refused in one line."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config import EvaluateConfig, PredictConfig, TrainConfig
from tests.fuzz.chance import by_chance, changed, damaged, odd, refused, to_json
from tests.weights.misbehaving_server import entry
from utils.cli import parse
from utils.data.splits import read_split
from utils.decision.decision import Decision
from utils.models.spec import ModelSpec
from utils.reporting.learning import learning_parts, read_history
from utils.settings import to_plain
from utils.training.checkpoints import read_best, read_last
from utils.training.run_folder import read_settings
from utils.weights.cards import table
from utils.weights.index import Index, read_index
from utils.weights.lineage import Training
from utils.weights.system_file import SystemFile, gate_for, read_system
from utils.weights.weights_file import WeightsFile, load

pytestmark = pytest.mark.slow

HALF = (0.5, 0.5, 0.5)
SCORES = {"data": "strips", "images": 3, "mean_dice": 0.5, "empty_baseline": 0.4, "classes": {"pit": {"iou": 0.1}}}


def a_file(task: str = "multilabel", architecture: str = "unet") -> WeightsFile:
    spec = ModelSpec(architecture, "resnet18", task, ("pit", "crack"))
    tensors = {"a.weight": torch.arange(24.0).view(4, 6), "a.running_var": torch.ones(4), "a.steps": torch.tensor(3)}
    decision = Decision.uniform(len(spec.scored_names), 0.5, 3, 900, 0.7)
    return WeightsFile(spec, tensors, HALF, HALF, (64, 96), decision, {"mean_dice": 0.5}, {"config": {"seed": 1}})


def content_of(path: Path) -> dict:
    return torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a good file of every kind."""
    place = tmp_path_factory.mktemp("fuzz")
    a_file().save(place / "w.pth")
    parts = {"classifier": a_file("classify-multilabel", "classifier"), "segmenter": a_file()}
    for role, part in parts.items():
        part.save(place / f"{role}.pth")
    parts = {role: load(place / f"{role}.pth") for role in parts}
    gate = gate_for("two-stage", parts, "soft", 2.0)
    SystemFile("two-stage", parts, gate, Decision.uniform(2, 0.5, 3, 900, 0.7), "flips").save(place / "s.system.json")
    listed = [
        entry(
            name,
            scores={"valid": SCORES, "test": SCORES},
            speed={"images_per_second": 3.0, "network": "n", "hardware": "h"},
        )
        for name in ("one", "two")
    ]
    Index(tuple(listed), "one").save(place / "index.json")
    return place


STATE = {
    "epoch": 3, "processes": 1, "stopped": False, "best": [[0.5, 2]], "best_score": 0.5, "best_epoch": 2,
    "scores": {"mean_dice": 0.5}, "history": [{"epoch": 1, "train_loss": 0.5}], "network": {"w": torch.arange(50.0)},
}  # fmt: skip


# Weights


@by_chance
@given(data=st.data())
def test_weights_whose_entries_change(place, data):
    content = content_of(place / "w.pth")
    tensors = content.pop("state_dict")
    spoilt = data.draw(changed(content))
    names = data.draw(st.sampled_from([tensors, {**tensors, 3: tensors["a.steps"]}, {}, [], None, {"a.weight": 1.0}]))
    torch.save({**spoilt, "state_dict": names}, place / "spoilt.pth")

    def work() -> None:
        file = load(place / "spoilt.pth")
        sensible(file)
        file.build()

    refused(work)


@by_chance
@given(value=st.floats(width=32), at=st.integers(0, 27))
def test_weights_whose_numbers_change(place, value, at):
    content = content_of(place / "w.pth")
    name, index = ("a.weight", at) if at < 24 else ("a.running_var", at - 24)
    content["state_dict"][name].view(-1)[index] = value
    torch.save(content, place / "spoilt.pth")
    wrong = not math.isfinite(value) or (name == "a.running_var" and value < 0)
    assert refused(lambda: load(place / "spoilt.pth")) == wrong


@by_chance
@given(data=st.data())
def test_weights_whose_bytes_change(place, data):
    whole = (place / "w.pth").read_bytes()
    spoilt = data.draw(damaged(whole))
    (place / "spoilt.pth").write_bytes(spoilt)

    def work() -> None:
        found, good = load(place / "spoilt.pth"), a_file()
        assert found.spec == good.spec
        assert found.decision == good.decision
        assert all(torch.equal(found.state_dict[name], tensor) for name, tensor in good.state_dict.items())

    refused(work)


def sensible(file: WeightsFile | SystemFile) -> None:
    """Check what makes a network answer by more than arithmetic."""
    decision = file.decision
    assert all(0 <= t <= 1 for t in (*decision.thresholds, *decision.high_thresholds, *file.label_thresholds))
    assert all(area >= 0 for area in decision.min_areas)
    assert all(area is None or area >= 1 for area in decision.max_areas)
    if isinstance(file, WeightsFile):
        assert all(math.isfinite(value) for value in (*file.mean, *file.std))
        assert all(value > 0 for value in file.std)
        assert file.input_size is None or min(file.input_size) >= 1


# Checkpoints


@by_chance
@given(data=st.data())
def test_checkpoints(place, data):
    torch.save(STATE, place / "whole.pth")
    spoilt = data.draw(damaged((place / "whole.pth").read_bytes()))
    for name, read in (("last.pth", read_last), ("best.pth", read_best)):
        (place / name).write_bytes(spoilt)

        def work(read=read) -> None:
            found = read(place)
            assert torch.equal(found.pop("network")["w"], STATE["network"]["w"])
            assert found == {key: value for key, value in STATE.items() if key != "network"}

        refused(work)


@by_chance
@given(data=st.data())
def test_checkpoints_of_something_else(place, data):
    spoilt = data.draw(st.one_of(odd, changed({k: v for k, v in STATE.items() if k != "network"})))
    torch.save({**spoilt, "network": {}} if isinstance(spoilt, dict) else spoilt, place / "last.pth")
    refused(lambda: read_last(place)["epoch"] + 1)


# System files and the index


@by_chance
@given(data=st.data())
def test_system_files(place, data):
    content = json.loads((place / "s.system.json").read_text())
    text = data.draw(st.one_of(changed(content).map(to_json).map(str.encode), damaged(to_json(content).encode())))
    (place / "spoilt.system.json").write_bytes(text)
    refused(lambda: sensible(read_system(place / "spoilt.system.json")))


@by_chance
@given(data=st.data())
def test_the_index(place, tmp_path_factory, data):
    content = json.loads((place / "index.json").read_text())
    text = data.draw(st.one_of(changed(content).map(to_json).map(str.encode), damaged(to_json(content).encode())))
    (place / "spoilt.json").write_bytes(text)

    def work() -> None:
        index = read_index(place / "spoilt.json")
        table(index.entries)
        for one in index.entries:
            assert "\x1b" not in to_json(one.to_dict()).replace("\\u001b", "\x1b")
            assert Path(one.file).name == one.file
            index.addresses(one)

    refused(work)


# Settings


@by_chance
@given(data=st.data(), kind=st.sampled_from([TrainConfig, PredictConfig, EvaluateConfig]))
def test_yaml_settings(place, data, kind):
    content = to_plain(TrainConfig(dir=Path("data"))) if kind is TrainConfig else {"dir": "data", "batch_size": 4}
    text = data.draw(
        st.one_of(
            changed(content).map(lambda value: yaml.safe_dump(value, allow_unicode=True).encode(errors="replace")),
            damaged(yaml.safe_dump(content).encode()),
        )
    )
    (place / "c.yaml").write_bytes(text)
    refused(lambda: parse(kind, ["-config", str(place / "c.yaml")], "Train.py", ""))
    run = place / "run"
    run.mkdir(exist_ok=True)
    (run / "config.yaml").write_bytes(text)
    refused(lambda: read_settings(TrainConfig(resume=run)))


# The tables of a run


@by_chance
@given(data=st.data())
def test_splits(place, data):
    rows = [b"image,side,group", *(f"{n:03d}.png,{'valid' if n % 3 == 0 else 'train'},{n}".encode() for n in range(9))]
    (place / "split.csv").write_bytes(data.draw(damaged(b"\n".join(rows) + b"\n")))

    def work() -> None:
        frame = read_split(place / "split.csv")
        assert set(frame["side"]) <= {"train", "valid"}
        assert frame["image"].is_unique

    refused(work)


@by_chance
@given(data=st.data())
def test_histories(place, data):
    keys = [
        "epoch",
        "train_loss",
        "train_seconds",
        "lr_encoder",
        "valid_loss",
        "valid_dice",
        "valid_iou",
        "valid_seconds",
    ]
    rows = [",".join(keys), *(f"{n},0.{n},1.5,1e-3,0.{n},0.5,nan,2" for n in range(1, 6))]
    (place / "history.csv").write_bytes(data.draw(damaged("\n".join(rows).encode() + b"\n")))
    csv.field_size_limit(2**17)

    def work() -> None:
        training = Training.of(place, {"config": {}})
        assert training.seconds is None or math.isfinite(training.seconds)

    refused(work)
    refused(lambda: learning_parts(read_history(place / "history.csv"), ("pit",)))
