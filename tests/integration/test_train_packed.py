"""Training on a packed dataset: the same images and labels as from its folder, and nothing lost by a kill."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config import EvaluateConfig, PackConfig, TrainConfig, Url
from tests.integration.small_training import draw_strips, history_of, same, settings, weights_of
from utils.commands.evaluate import evaluate
from utils.commands.train import train
from utils.data.packing import pack
from utils.errors import InputError
from utils.training import stepping

pytestmark = pytest.mark.usefixtures("no_drawing")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def strips(tmp_path_factory) -> Path:
    return draw_strips(tmp_path_factory.mktemp("strips"))


@pytest.fixture(scope="module")
def packed(strips) -> Path:
    out = strips.parent / f"{strips.name}-packed"
    pack(PackConfig(dir=strips, out=out), progress=False)
    return out


@pytest.fixture(scope="module")
def trained(packed, tmp_path_factory) -> Path:
    """A run on the pack, of one epoch; tests copy what they change of it."""
    return train(settings(packed, tmp_path_factory.mktemp("trained") / "run", num_epochs=1)).folder


class CutOff(BaseException):
    """Ends a training as a kill does."""


def test_split_and_scores_are_those_of_the_folder(strips, packed, trained, tmp_path):
    of_files = train(settings(strips, tmp_path / "f", num_epochs=1)).folder
    run = shutil.copytree(trained, tmp_path / "p")
    assert (of_files / "split.csv").read_text() == (run / "split.csv").read_text()
    plain = {"weights_dir": run, "backend": "torch", "resamples": 0, "examples": 0}
    scores = [
        evaluate(EvaluateConfig(dir=folder, out=tmp_path / name, **plain)).scores
        for folder, name in ((strips, "of-files"), (packed, "of-pack"))
    ]
    assert scores[0].to_dict() == scores[1].to_dict()
    (run / "checkpoints" / "last.pth").unlink()
    with pytest.raises(InputError, match="have changed"):  # files come in another order
        train(TrainConfig(resume=run, dir=strips))


def cut(self, runner, before=stepping.GuardedBackward.on_batch_end):
    if runner.epoch_step == 2 and runner.loader_batch_step == 3:
        raise CutOff
    before(self, runner)


@pytest.mark.slow  # what it looks for, test_packed_blocks.py looks for in the order of the images
def test_a_kill_changes_nothing(packed, tmp_path, monkeypatch):
    whole = train(settings(packed, tmp_path / "whole"))
    with monkeypatch.context() as patched:
        patched.setattr(stepping.GuardedBackward, "on_batch_end", cut)
        with pytest.raises(CutOff):
            train(settings(packed, tmp_path / "cut"))
    result = train(TrainConfig(resume=tmp_path / "cut", num_of_workers=1))  # their number changes nothing
    assert same(weights_of(result.folder), weights_of(whole.folder))


def test_cached_images_give_the_same(packed, trained, tmp_path):
    cached = train(settings(packed, tmp_path / "run", cache="ram", num_epochs=1))
    assert same(weights_of(cached.folder), weights_of(trained))


def test_a_url_trains_as_the_folder_does(strips, trained, tmp_path, monkeypatch):
    pytest.importorskip("fsspec")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = Url("memory://mill/strips")
    pack(PackConfig(dir=strips, out=url), progress=False)
    remote = train(settings(url, tmp_path / "remote", num_epochs=1))
    assert same(weights_of(remote.folder), weights_of(trained))
    with pytest.raises(InputError, match="-out"):
        evaluate(EvaluateConfig(dir=url, weights_dir=remote.folder))


KILL = """import os, signal
import Train
from utils.cli import run
from utils.training import stepping
before = stepping.GuardedBackward.on_batch_end
def after(self, runner):
    killed = os.environ.get("KILLED") == os.environ["RANK"]
    if killed and runner.is_train_loader and runner.epoch_step == 2 and runner.loader_batch_step == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    before(self, runner)
stepping.GuardedBackward.on_batch_end = after
run(Train.main)
"""


@pytest.mark.slow  # three pairs of processes
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_all_by_one_line_and_the_run_goes_on(packed, tmp_path, rank):
    (tmp_path / "go.py").write_text(KILL)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    flags = "-encoder test_resnet -encoder_weights none -decoder_channels 16,16,16,8,8 -image_size 32,64 -subset all"
    flags += " -batch_size 4 -num_of_workers 0 -num_epochs 2 -device cpu -threads 1 -group_duplicates false -valid_fraction 0.4"

    def go(*words, killed=""):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "KILLED": killed}
        command = [*launch, str(tmp_path / "go.py"), *map(str, words)]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)

    ended = go("-dir", packed, "-out", tmp_path / "run", *flags.split(), killed=str(rank))
    assert ended.returncode != 0
    assert f"(exitcode: -{signal.SIGKILL.value})" in ended.stderr
    ours, _, _ = ended.stderr.partition("Traceback")  # torchrun's own, which comes last
    ways = [line for line in ours.splitlines() if "torchrun --nproc_per_node 2 Train.py -resume" in line]
    assert len(ways) == 1, ended.stderr
    assert "stepping.py" not in ended.stderr
    resumed = go("-resume", tmp_path / "run")
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    whole = go("-dir", packed, "-out", tmp_path / "whole", *flags.split())
    assert whole.returncode == 0, whole.stderr[-3000:]
    assert same(weights_of(tmp_path / "run"), weights_of(tmp_path / "whole"))
    assert len(history_of(tmp_path / "run")) == 2
