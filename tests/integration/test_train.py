"""Train.py on small strips: files, resume, several processes, tasks, and what stops it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from config import TrainConfig
from utils.data.rle import encode
from utils.errors import InputError
from utils.published.weights_file import find, load
from utils.training.train import train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def strips(tmp_path_factory) -> Path:
    """24 images of 40x72: bright squares are class 1, dark bars class 2, some clean."""
    import cv2

    root = tmp_path_factory.mktemp("strips")
    (root / "train_images").mkdir()
    random = np.random.default_rng(0)
    rows = []
    for number in range(24):
        image = random.normal(120, 6, (40, 72)).clip(0, 255).astype(np.uint8)
        name = f"{number:02d}.png"
        for class_id, (shade, height, width) in {1: (220, 14, 14), 2: (20, 6, 40)}.items():
            if number % 3 in (0, class_id):
                top, left = random.integers(0, 40 - height), random.integers(0, 72 - width)
                image[top : top + height, left : left + width] = shade
                mask = np.zeros_like(image)
                mask[top : top + height, left : left + width] = 1
                rows.append((name, class_id, encode(mask)))
        cv2.imwrite(str(root / "train_images" / name), image)
    pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"]).to_csv(root / "train.csv", index=False)
    return root


def settings(strips: Path, out: Path, **changes) -> TrainConfig:
    """Settings that train in seconds."""
    small = {
        "encoder": "resnet18",
        "encoder_weights": "none",
        "image_size": (32, 64),
        "subset": "all",
        "num_epochs": 2,
        "batch_size": 4,
        "num_of_workers": 0,
        "device": "cpu",
        "lr_encoder": 1e-3,
        "lr_decoder": 1e-3,
    }
    return TrainConfig(dir=strips, out=out, **{**small, **changes})


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load(find(folder)).state_dict


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one) and one.keys() == other.keys()


SPEED_COLUMNS = ["train_seconds", "train_images_per_second", "train_seconds_waiting", "valid_seconds"]
SPEED_COLUMNS += ["valid_images_per_second", "valid_seconds_waiting"]


def history_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "history.csv").drop(columns=SPEED_COLUMNS)


def test_a_run_leaves_its_files(strips, tmp_path, capsys):
    result = train(settings(strips, tmp_path / "run", subset="balanced", per_class=4, top_k=2))
    names = {str(path.relative_to(result.folder)) for path in result.folder.rglob("*") if path.is_file()}
    assert {"config.yaml", "split.csv", "train_balanced.csv", "history.csv", "metrics.json"} <= names
    assert {"checkpoints/best.pth", "checkpoints/last.pth"} <= names
    assert any(name.startswith("tensorboard") for name in names)
    assert [result.weights] == list(result.folder.glob("*.pth"))
    assert result.weights.name.startswith("unet-resnet18-strips")
    assert len(list((result.folder / "checkpoints").glob("epoch-*.pth"))) == 2
    history = history_of(result.folder)
    assert list(history["epoch"]) == [1, 2]
    assert {"train_loss", "lr_encoder", "lr_decoder", "valid_dice", "valid_defect_dice", "valid_iou_1"} <= set(history)
    assert result.scores["mean_dice"] == pytest.approx(history["valid_dice"].max())
    assert json.loads((result.folder / "metrics.json").read_text())["epoch"] == result.best_epoch
    printed = capsys.readouterr().out
    assert "epoch 2/2" in printed
    assert "lr 1.0e-03/1.0e-03" in printed


def test_it_learns(strips, tmp_path):
    changes = {"num_epochs": 14, "schedule": "onecycle", "optimizer": "adamw", "lr_encoder": 4e-3, "lr_decoder": 4e-3}
    result = train(settings(strips, tmp_path / "run", augmentation="flips", **changes))
    assert result.scores["mean_dice"] > result.scores["empty_baseline"] + 0.1


def test_the_best_epoch_is_published_not_the_last(strips, tmp_path):
    # A rate this high makes later epochs worse than earlier ones.
    result = train(settings(strips, tmp_path / "run", num_epochs=4, lr_encoder=0.05, lr_decoder=0.05))
    history = history_of(result.folder)
    assert result.best_epoch == int(history["epoch"][history["valid_dice"].idxmax()])
    best = torch.load(result.folder / "checkpoints/best.pth", weights_only=True)
    assert same(weights_of(result.folder), best["network"])


@pytest.mark.parametrize("changes", [{}, {"schedule": "onecycle", "optimizer": "adamw", "ema": 0.9, "accumulate": 2}])
def test_a_killed_run_resumes_bit_equal(strips, tmp_path, changes):
    make = {"num_epochs": 3, "augmentation": "published", "crop_defect": 0.5, "crop": (32, 32), **changes}
    whole = train(settings(strips, tmp_path / "whole", **make))

    script = (
        "import sys, os, signal\n"
        "from catalyst import dl\n"
        "from config import TrainConfig\n"
        "from utils.training import stepping\n"
        "from utils.training.train import train\n"
        "from utils.settings import from_plain\n"
        "import yaml, dataclasses, pathlib\n"
        "before = stepping.GuardedBackward.on_batch_end\n"
        "def after(self, runner):\n"
        "    if runner.epoch_step == 2 and runner.loader_batch_step == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    before(self, runner)\n"
        "stepping.GuardedBackward.on_batch_end = after\n"
        "plain = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text())\n"
        "train(dataclasses.replace(from_plain(TrainConfig, plain), out=pathlib.Path(sys.argv[2])))\n"
    )
    killed = tmp_path / "killed"
    command = [sys.executable, "-c", script, str(whole.folder / "config.yaml"), str(killed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not list(killed.glob("*.pth"))

    resumed = train(TrainConfig(resume=killed))
    assert same(weights_of(whole.folder), weights_of(resumed.folder))
    pd.testing.assert_frame_equal(history_of(whole.folder), history_of(resumed.folder), check_exact=True)
    assert resumed.best_epoch == whole.best_epoch
    assert resumed.scores == whole.scores


def test_interrupting_says_how_to_go_on(strips, tmp_path):
    out = tmp_path / "run"
    flags = "-encoder resnet18 -encoder_weights none -image_size 32,64 -subset all -batch_size 4 -device cpu"
    command = [sys.executable, "Train.py", "-dir", str(strips), "-out", str(out), *flags.split(), "-num_epochs", "500"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 100
    while not (out / "history.csv").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGTERM)  # as a cluster does it: the loading process gets it too
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"python Train.py -resume {out}" in errors
    assert "Traceback" not in errors
    assert (out / "checkpoints/last.pth").exists()


def test_resuming_a_finished_run_trains_nothing(strips, tmp_path):
    result = train(settings(strips, tmp_path / "run", num_epochs=1))
    before = (result.folder / "history.csv").read_bytes()
    again = train(TrainConfig(resume=result.folder))
    assert again.weights == result.weights
    assert (result.folder / "history.csv").read_bytes() == before


def test_workers_do_not_change_the_result(strips, tmp_path):
    alone = train(settings(strips, tmp_path / "alone", num_epochs=1, augmentation="published"))
    helped = train(settings(strips, tmp_path / "helped", num_epochs=1, augmentation="published", num_of_workers=2))
    assert same(weights_of(alone.folder), weights_of(helped.folder))


def test_images_decoded_once_do_not_change_the_result(strips, tmp_path):
    make = {"num_epochs": 1, "augmentation": "published", "crop": (24, 32), "image_size": (36, 64)}
    plain = train(settings(strips, tmp_path / "plain", **make))
    cached = train(settings(strips, tmp_path / "cached", num_of_workers=1, cache="disk", **make))
    assert same(weights_of(plain.folder), weights_of(cached.folder))
    assert plain.scores == cached.scores
    (file,) = (strips / ".cache").glob("decoded-36x64x3-*.bin")
    written = file.stat().st_mtime_ns
    assert train(TrainConfig(resume=cached.folder, cache="disk")).weights == cached.weights
    assert file.stat().st_mtime_ns == written


def test_two_processes_score_the_same_weights_alike(strips, tmp_path):
    one = train(settings(strips, tmp_path / "one", num_epochs=1, batch_size=2))
    # A rate of zero keeps the weights; BatchNorm's statistics move, so one epoch of the run before is the start and
    # only the validation of unchanged weights is compared: see the momentum below.
    flags = {"encoder_weights": str(one.weights), "num_epochs": 1, "lr_encoder": 0.0, "lr_decoder": 0.0}
    config = settings(strips, tmp_path / "unused", batch_size=2, split=one.folder / "split.csv", **flags)
    script = (
        "import sys, yaml, pathlib, dataclasses\n"
        "from torch import nn\n"
        "from config import TrainConfig\n"
        "from utils.settings import from_plain\n"
        "from utils.training import train as room\n"
        "from utils.training import starting\n"
        "make = starting.build\n"
        "def frozen(*arguments):\n"
        "    model = make(*arguments)\n"
        "    for part in model.modules():\n"
        "        if isinstance(part, nn.BatchNorm2d): part.momentum = 0.0\n"
        "    return model\n"
        "starting.build = frozen\n"
        "plain = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text())\n"
        "room.train(dataclasses.replace(from_plain(TrainConfig, plain), out=pathlib.Path(sys.argv[2])))\n"
    )
    import yaml

    from utils.settings import to_plain

    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(to_plain(config)))
    (tmp_path / "go.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for processes in (1, 2):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        command += [str(tmp_path / "go.py"), str(tmp_path / "settings.yaml"), str(tmp_path / f"by{processes}")]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("epoch 1/1") == 1
    single, double = (history_of(tmp_path / f"by{processes}") for processes in (1, 2))
    valid = [column for column in single if column.startswith("valid_")]
    assert len(valid) >= 8
    pd.testing.assert_frame_equal(single[valid], double[valid], rtol=1e-6, atol=1e-6, check_exact=False)
    assert len(list((tmp_path / "by2").glob("*.pth"))) == 1


@pytest.mark.parametrize(
    ("task", "loss", "names"),
    [
        ("binary", "dice_bce", ("defect",)),
        ("multiclass", "cross_entropy", ("1", "2")),
        ("multilabel", "tversky", ("1", "2")),
    ],
)
def test_tasks(strips, tmp_path, task, loss, names):
    result = train(settings(strips, tmp_path / "run", task=task, loss=loss, num_epochs=1))
    file = load(result.weights)
    assert file.spec.scored_names == names
    assert list(result.scores["classes"]) == list(names)


def test_native_size_and_one_channel_and_bf16(strips, tmp_path):
    config = settings(
        strips, tmp_path / "run", image_size=None, channels=1, precision="bf16", num_epochs=1, clip_norm=1.0
    )
    file = load(train(config).weights)
    assert file.input_size is None
    assert file.build()(torch.zeros(1, 1, 40, 72, dtype=torch.uint8)).shape == (1, 2, 40, 72)


def test_a_split_can_be_used_again_and_duplicates_ignored(strips, tmp_path):
    first = train(settings(strips, tmp_path / "first", num_epochs=1, group_duplicates=False, valid_fraction=0.5))
    again = train(settings(strips, tmp_path / "again", num_epochs=1, split=first.folder / "split.csv"))
    assert (first.folder / "split.csv").read_text() == (again.folder / "split.csv").read_text()
    assert same(weights_of(first.folder), weights_of(again.folder))
    frame = pd.read_csv(first.folder / "split.csv")
    frame[frame["side"] == "train"].to_csv(tmp_path / "one_side.csv", index=False)
    with pytest.raises(InputError, match=r"one_side\.csv: \d+ images leave none to validate on"):
        train(settings(strips, tmp_path / "third", split=tmp_path / "one_side.csv"))


def test_early_stopping(strips, tmp_path, monkeypatch):
    from utils.training import meters

    class Constant(meters.Counts):
        """Scores that never get better."""

        def add(self, images, *numbers):
            super().add(images, *(torch.ones_like(number) for number in numbers))

    monkeypatch.setattr(meters, "Counts", Constant)
    result = train(settings(strips, tmp_path / "run", num_epochs=9, early_stop=2))
    assert (result.epochs, result.best_epoch) == (3, 1)
    assert train(TrainConfig(resume=result.folder)).epochs == 3


def test_a_loss_that_is_no_number_names_the_images(strips, tmp_path):
    with pytest.raises(InputError, match=r"loss became nan in epoch \d on the batch \d\d\.png.*lower -lr_encoder"):
        train(settings(strips, tmp_path / "run", lr_encoder=1e30, lr_decoder=1e30))


def test_starting_from_a_weights_file(strips, tmp_path):
    first = train(settings(strips, tmp_path / "first", num_epochs=1))
    still = {"lr_encoder": 0.0, "lr_decoder": 0.0, "num_epochs": 1, "encoder_weights": str(first.weights)}
    second = train(settings(strips, tmp_path / "second", **still))
    one, other = weights_of(first.folder), weights_of(second.folder)
    assert torch.equal(one["encoder.conv1.weight"], other["encoder.conv1.weight"])
    assert torch.equal(one["segmentation_head.0.weight"], other["segmentation_head.0.weight"])
    with pytest.raises(InputError, match="nothing in it fits resnet50"):
        train(settings(strips, tmp_path / "third", encoder="resnet50", encoder_weights=str(first.weights)))


def test_a_resumed_run_keeps_its_settings(strips, tmp_path):
    result = train(settings(strips, tmp_path / "run", num_epochs=1))
    with pytest.raises(InputError, match="-num_epochs: a resumed run keeps its settings"):
        train(TrainConfig(resume=result.folder, num_epochs=7))
    with pytest.raises(InputError, match="already holds a run"):
        train(settings(strips, result.folder))
