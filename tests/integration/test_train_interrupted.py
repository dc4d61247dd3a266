"""Training that is killed, interrupted, resumed, or spread over processes."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
import yaml

from config import EvaluateConfig, TrainConfig
from tests.integration.in_process import command
from tests.integration.small_training import draw_strips, history_of, same, settings, weights_of
from utils.commands.evaluate import evaluate
from utils.commands.train import train
from utils.commands.train_network import TrainResult
from utils.errors import InputError
from utils.settings import to_plain
from utils.training import stepping

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def strips(tmp_path_factory) -> Path:
    return draw_strips(tmp_path_factory.mktemp("strips"))


@pytest.fixture(scope="module")
def trained(strips, tmp_path_factory) -> TrainResult:
    """A run that has ended."""
    return train(settings(strips, tmp_path_factory.mktemp("trained") / "run", num_epochs=1))


@pytest.fixture
def ended(trained, tmp_path) -> TrainResult:
    """A copy of it to resume and to spoil."""
    folder = shutil.copytree(trained.folder, tmp_path / "run")
    return dataclasses.replace(trained, folder=folder, weights=folder / trained.weights.name)


class CutOff(BaseException):
    """Ends a training as a kill does: nothing that is called where errors are met knows it."""


def cut_off(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """End a training in the middle of its second epoch."""
    before = stepping.GuardedBackward.on_batch_end

    def after(self, runner):
        if runner.epoch_step == 2 and runner.loader_batch_step == 3:
            raise CutOff
        before(self, runner)

    with monkeypatch.context() as patch:
        patch.setattr(stepping.GuardedBackward, "on_batch_end", after)
        with pytest.raises(CutOff):
            train(config)


def kill(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the same by SIGKILL to a process of its own."""
    script = (
        "import sys, os, signal\n"
        "from catalyst import dl\n"
        "from config import TrainConfig\n"
        "from utils.training import stepping\n"
        "from utils.commands.train import train\n"
        "from utils.settings import from_plain\n"
        "import yaml, dataclasses, pathlib\n"
        "before = stepping.GuardedBackward.on_batch_end\n"
        "def after(self, runner):\n"
        "    if runner.epoch_step == 2 and runner.loader_batch_step == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    before(self, runner)\n"
        "stepping.GuardedBackward.on_batch_end = after\n"
        "plain = yaml.safe_load(sys.argv[1])\n"
        "train(dataclasses.replace(from_plain(TrainConfig, plain), out=pathlib.Path(sys.argv[2])))\n"
    )
    settings = yaml.safe_dump(to_plain(dataclasses.replace(config, out=None)))
    command = [sys.executable, "-c", script, settings, str(config.out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == -signal.SIGKILL, done.stderr


ONE_CYCLE = {"schedule": "onecycle", "optimizer": "adamw", "ema": 0.9, "accumulate": 2}


@pytest.mark.parametrize(
    ("end", "changes"),
    [
        (cut_off, ONE_CYCLE),
        pytest.param(cut_off, {"swa": 3}, marks=pytest.mark.slow),
        *(
            pytest.param(kill, changes, marks=pytest.mark.slow)
            for changes in (
                {},
                ONE_CYCLE,
                {"schedule": "onecycle", "optimizer": "muon", "clip_norm": 1.0},
                {"crop": None, "start_size": (32, 32)},  # full size in the epoch after the kill
            )
        ),
    ],
)
def test_a_killed_run_resumes_bit_equal(strips, tmp_path, monkeypatch, end, changes):
    make = {"num_epochs": 3, "augmentation": "published", "crop_defect": 0.5, "crop": (32, 32), **changes}
    whole = train(settings(strips, tmp_path / "whole", **make))
    killed = tmp_path / "killed"
    end(settings(strips, killed, **make), monkeypatch)
    assert not list(killed.glob("*.pth"))

    resumed = train(TrainConfig(resume=killed))
    assert same(weights_of(whole.folder), weights_of(resumed.folder))
    pd.testing.assert_frame_equal(history_of(whole.folder), history_of(resumed.folder), check_exact=True)
    assert resumed.best_epoch == whole.best_epoch
    assert resumed.scores == whole.scores


@pytest.mark.slow
def test_the_last_epoch_is_validated_with_the_mean_of_the_weights(strips, tmp_path, capsys):
    plain = train(settings(strips, tmp_path / "plain", num_epochs=3))
    mean = train(settings(strips, tmp_path / "mean", num_epochs=3, swa=2))
    assert "the last epoch is validated with the mean of the weights of epochs 2 to 3" in capsys.readouterr().out
    one, other = history_of(plain.folder), history_of(mean.folder)
    pd.testing.assert_frame_equal(one[:2], other[:2], check_exact=True)
    assert list(one["train_loss"]) == list(other["train_loss"])
    assert one["valid_loss"][2] != other["valid_loss"][2]
    assert "mean of the weights of epochs 2 to 3" in mean.text()
    assert mean.scores["mean_dice"] == pytest.approx(other["valid_dice"].max())
    # What is published scores what validation said of it.
    config = EvaluateConfig(dir=strips, weights_dir=mean.folder, out=tmp_path / "out", device="cpu", backend="torch")
    assert evaluate(config).scores.mean_dice == pytest.approx(mean.scores["mean_dice"], abs=1e-6)


FLAGS = (
    "-encoder test_resnet -encoder_weights none -image_size 32,64 -subset all -batch_size 4 -device cpu -num_epochs 500"
)


def wait_for(file: Path, go_on: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not file.exists() and time.monotonic() < deadline and go_on():
        time.sleep(0.1)


def test_interrupting_says_how_to_go_on(strips, tmp_path, monkeypatch, capfd):
    out, me, done = tmp_path / "run", psutil.Process(), threading.Event()
    before, loading = set(me.children()), []

    def interrupt() -> None:
        wait_for(out / "history.csv", lambda: not done.is_set())
        loading.extend(set(me.children()) - before)
        for process in () if done.is_set() else (me, *loading):  # a cluster sends it to the loading process too
            process.send_signal(signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    words = f"Train.py -dir {strips} -out {out} {FLAGS} -threads 1 -num_of_workers 1 -decoder_channels 16,16,16,8,8"
    code = command(words.split(), monkeypatch)
    done.set()
    assert code == 130
    errors = capfd.readouterr().err
    assert f"python Train.py -resume {out}" in errors
    assert "Traceback" not in errors
    assert (out / "checkpoints/last.pth").exists()
    assert loading
    assert set(me.children()) == before, "loading processes stay"


@pytest.mark.slow  # a process that imports everything
def test_interrupting_the_program_says_how_to_go_on(strips, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "Train.py", "-dir", str(strips), "-out", str(out), *FLAGS.split()]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_for(out / "history.csv", lambda: process.poll() is None)
    os.killpg(process.pid, signal.SIGTERM)  # as a cluster does it: the loading process gets it too
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert f"python Train.py -resume {out}" in errors
    assert "Traceback" not in errors
    assert (out / "checkpoints/last.pth").exists()


@pytest.mark.parametrize(
    ("began", "launcher"), [(2, "2 processes, not 1; start it by torchrun --nproc_per_node 2 Train.py"), (None, "")]
)
def test_a_run_goes_on_by_as_many_processes_as_began_it(ended, began, launcher):
    result = ended
    last = result.folder / "checkpoints/last.pth"
    state = torch.load(last, weights_only=True)
    assert state.pop("processes") == 1
    told = {} if began is None else {"processes": began}  # earlier versions did not tell
    torch.save(state | told, last)
    assert train(TrainConfig(resume=result.folder)).weights == result.weights, "nothing is left to train"
    torch.save(state | told | {"epoch": 0}, last)
    if launcher:
        with pytest.raises(InputError, match=f"-resume .*run: its steps are shared by {launcher}"):
            train(TrainConfig(resume=result.folder))
    else:
        assert train(TrainConfig(resume=result.folder)).epochs == 1


def test_resuming_a_finished_run_trains_nothing(ended):
    result = ended
    before = (result.folder / "history.csv").read_bytes()
    again = train(TrainConfig(resume=result.folder))
    assert again.weights == result.weights
    assert (result.folder / "history.csv").read_bytes() == before
    # Calibrating since has changed the file, whose digest is in its name; and others may lie beside it.
    calibrated = result.weights.with_name(f"{result.weights.stem[:-8]}94a9af2b.pth")
    result.weights.rename(calibrated).write_bytes(b"calibrated")
    (result.folder / "kept.pth").write_bytes(b"of somebody else")
    assert train(TrainConfig(resume=result.folder)).weights == calibrated
    assert calibrated.read_bytes() == b"calibrated"
    assert sorted(result.folder.glob("*.pth")) == sorted([calibrated, result.folder / "kept.pth"])
    # Ended between the last epoch and the weights file: it is written now.
    calibrated.unlink()
    assert train(TrainConfig(resume=result.folder)).weights == result.weights
    assert sorted(result.folder.glob("*.pth")) == sorted([result.weights, result.folder / "kept.pth"])


@pytest.mark.slow  # three processes that import everything
def test_two_and_four_processes_score_the_same_weights_alike(strips, tmp_path):
    one = train(settings(strips, tmp_path / "one", num_epochs=1, batch_size=2, valid_fraction=0.4))
    # A rate of zero keeps the weights; BatchNorm's statistics move, so one epoch of the run before is the start and
    # only the validation of unchanged weights is compared: see the momentum below.
    flags = {"encoder_weights": str(one.weights), "num_epochs": 1, "lr_encoder": 0.0, "lr_decoder": 0.0}
    still = {"batch_size": 2, "split": one.folder / "split.csv", "subset": "balanced"}  # the split says which images
    config = settings(strips, tmp_path / "unused", **still, **flags)
    script = (
        "import sys, yaml, pathlib, dataclasses\n"
        "from torch import nn\n"
        "from config import TrainConfig\n"
        "from utils.settings import from_plain\n"
        "from utils.commands import train_network as room\n"
        "from utils.commands.train import train\n"
        "from utils.training import initial_weights\n"
        "make = initial_weights.build\n"
        "def frozen(*arguments):\n"
        "    model = make(*arguments)\n"
        "    for part in model.modules():\n"
        "        if isinstance(part, nn.BatchNorm2d): part.momentum = 0.0\n"
        "    return model\n"
        "initial_weights.build = frozen\n"
        "plain = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text())\n"
        "train(dataclasses.replace(from_plain(TrainConfig, plain), out=pathlib.Path(sys.argv[2])))\n"
    )
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(to_plain(config)))
    (tmp_path / "go.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for processes in (1, 2, 4):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        command += [str(tmp_path / "go.py"), str(tmp_path / "settings.yaml"), str(tmp_path / f"by{processes}")]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.count("epoch 1/1") == 1
    single, double, four = (history_of(tmp_path / f"by{processes}") for processes in (1, 2, 4))
    valid = [column for column in single if column.startswith("valid_")]
    assert len(valid) >= 8
    pd.testing.assert_frame_equal(single[valid], double[valid], rtol=1e-6, atol=1e-6, check_exact=False)
    pd.testing.assert_frame_equal(single[valid], four[valid], rtol=1e-6, atol=1e-6, check_exact=False)
    assert len(list((tmp_path / "by2").glob("*.pth"))) == 1


@pytest.mark.slow  # a second pair of processes
def test_two_processes_train_an_encoder_with_idle_layers_and_validate_one_average(strips, tmp_path):
    flags = "-encoder efficientnet-b0 -encoder_weights none -image_size 32,64 -subset all -batch_size 4 -device cpu"
    flags += " -num_of_workers 0 -num_epochs 1 -ema 0.9 -group_duplicates false -augmentation none -valid_fraction 0.4"
    script = (
        "import sys, torch\n"
        "import Train\n"
        "from utils.training import meters\n"
        "end = meters.ValidationScores.on_loader_end\n"
        "def tell(self, runner):\n"
        "    if runner.is_valid_loader:\n"
        "        torch.save(runner.evaluated.net.state_dict(), f'{sys.argv[1]}/{runner.engine.process_index}.pt')\n"
        "    end(self, runner)\n"
        "meters.ValidationScores.on_loader_end = tell\n"
        "assert Train.main(sys.argv[2:]) == 0\n"
    )
    (tmp_path / "go.py").write_text(script)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [str(tmp_path / "go.py"), str(tmp_path), "-dir", str(strips), "-out", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *flags.split()], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert same(first, second)
    assert same(first, weights_of(tmp_path / "run"))


def test_a_resumed_run_keeps_its_settings(strips, ended):
    with pytest.raises(InputError, match="-num_epochs: a resumed run keeps its settings"):
        train(TrainConfig(resume=ended.folder, num_epochs=7))
    with pytest.raises(InputError, match="already holds a run"):
        train(settings(strips, ended.folder))
