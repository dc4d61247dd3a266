"""The demo calls the commands' functions in order, with the words that it prints, and judges the score."""

from pathlib import Path
from types import SimpleNamespace

import pytest

import Demo
from config import DemoConfig
from utils.commands import demo
from utils.errors import InputError
from utils.weights.index import OWN_INDEX, read_index


@pytest.fixture
def calls(monkeypatch):
    """Replace the four jobs; scores are what `calls["scores"]` says."""
    seen = {"order": [], "scores": SimpleNamespace(mean_dice=0.9, empty_baseline=0.6, defect_dice=0.7)}

    def record(name):
        def job(given):
            seen["order"].append(name)
            seen.setdefault(name, []).append(given)
            if name == "predict":
                (given.out / "overlays").mkdir(parents=True)
                for index in range(5):
                    (given.out / "overlays" / f"{index}.png").touch()
            return SimpleNamespace(scores=seen["scores"])

        return job

    for name in ("synthesise", "train", "predict", "evaluate"):
        monkeypatch.setattr(demo, name, record(name))
    return seen


def test_steps_run_in_order_on_unseen_strips(calls, tmp_path):
    sizes = {"num_epochs": 3, "decoder_channels": (16, 8, 8, 8, 4), "crop": (32, 64)}
    result = demo.demo(DemoConfig(dir=tmp_path / "demo", num_of_images=6, num_of_unseen=2, **sizes))
    assert calls["order"] == ["synthesise", "synthesise", "train", "predict", "evaluate"]
    trained, unseen = calls["synthesise"]
    assert (trained.num_of_images, unseen.num_of_images) == (6, 2)
    assert trained.seed != unseen.seed
    assert calls["train"][0].dir == trained.dir
    assert {name: getattr(calls["train"][0], name) for name in sizes} == sizes
    assert calls["predict"][0].dir == calls["evaluate"][0].dir == unseen.dir != trained.dir
    assert calls["train"][0].out == calls["predict"][0].weights_dir == calls["evaluate"][0].weights_dir
    assert calls["evaluate"][0].split == "all"
    assert (result.mean_dice, result.empty_baseline, result.defect_dice) == (0.9, 0.6, 0.7)
    assert [(stage.name, stage.images) for stage in result.stages] == [
        ("synthesise", 8),
        ("train", 18),
        ("predict", 2),
        ("evaluate", 2),
    ]


def test_training_starts_from_published_weights_unless_others_are_named(calls, tmp_path, monkeypatch):
    monkeypatch.chdir(OWN_INDEX.parents[1])
    demo.demo(DemoConfig(dir=tmp_path / "demo"))
    demo.demo(DemoConfig(dir=tmp_path / "demo", encoder="resnet18", encoder_weights="none"))
    shipped, none = calls["train"]
    entry = read_index(OWN_INDEX).pick(DemoConfig().encoder_weights)
    assert shipped.encoder_weights == f"weights/{entry.file}"
    assert shipped.encoder == entry.encoder
    assert none.encoder_weights == "none"


def test_every_step_prints_its_command(calls, tmp_path, capsys):
    demo.demo(DemoConfig(dir=tmp_path / "demo", seed=7))
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("$ python ")]
    assert [line.split()[2] for line in shown] == [
        "Prepare_data.py",
        "Prepare_data.py",
        "Train.py",
        "Predict_masks.py",
        "Evaluate.py",
    ]
    assert "-seed 7" in shown[2]


@pytest.mark.parametrize(
    ("mean_dice", "code"),
    [(0.9, 0), (0.601, 0), (0.6, 1), (0.2, 1)],
)
def test_exit_code_says_whether_it_beats_predicting_nothing(calls, tmp_path, capsys, mean_dice, code):
    calls["scores"].mean_dice = mean_dice
    assert Demo.main(["-dir", str(tmp_path / "demo")]) == code
    shown = capsys.readouterr()
    assert f"mean Dice         {mean_dice:.3f}" in shown.out
    assert "overlays (5)" in shown.out
    assert str(tmp_path / "demo" / "results" / "overlays" / "0.png") in shown.out
    assert ("does not beat" in shown.err) == (code == 1)


def test_an_earlier_demo_is_replaced(calls, tmp_path):
    folder = tmp_path / "demo"
    demo.demo(DemoConfig(dir=folder))
    (folder / "old.txt").touch()
    demo.demo(DemoConfig(dir=folder))
    assert not (folder / "old.txt").exists()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_not_a_demo_is_left_alone(calls, tmp_path, kind):
    mine: Path = tmp_path / "mine"
    precious = mine / "precious.txt" if kind == "folder" else mine
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("keep")
    with pytest.raises(InputError, match="not an earlier demo"):
        demo.demo(DemoConfig(dir=mine))
    assert precious.read_text() == "keep"
    assert calls["order"] == []


@pytest.mark.parametrize(
    ("asked", "hardware", "taken"), [("auto", True, "bf16"), ("auto", False, "f32"), ("f32", True, "f32")]
)
def test_precision_follows_the_processor_unless_it_is_named(calls, tmp_path, monkeypatch, asked, hardware, taken):
    monkeypatch.setattr(demo, "cpu_has_bf16", lambda: hardware)
    demo.demo(DemoConfig(dir=tmp_path / "demo", precision=asked))
    assert [calls[name][0].precision for name in ("train", "predict", "evaluate")] == [taken] * 3
