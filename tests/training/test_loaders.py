"""Loading processes start whatever OpenCV did in the main process before."""

import subprocess
import sys
from pathlib import Path

import pytest

from utils.training.loaders import EpochBatches, many_workers, worker_count

ROOT = Path(__file__).resolve().parent.parent.parent

PROGRAM = """
import sys
from pathlib import Path

import cv2
import numpy as np

from config import SynthesiseConfig, TrainConfig
from utils.data.dataset_folder import open_dataset
from utils.data.synthetic import synthesise
from utils.training.loaders import make_loaders

folder = Path(sys.argv[1])
synthesise(SynthesiseConfig(dir=folder, num_of_images=4, image_size=(64, 128)))
cv2.setNumThreads(4)
cv2.resize(np.zeros((2000, 2000, 3), np.uint8), (3000, 3000))  # starts OpenCV's threads
dataset = open_dataset(folder)
config = TrainConfig(dir=folder, image_size=None, batch_size=2, num_of_workers=1)
loaders = make_loaders(config, dataset, list(dataset.images[:2]), list(dataset.images[2:]), 0, 1, False)
for name in ("train", "valid"):
    for batch in loaders[name]:
        print(name, len(batch["names"]))
"""


@pytest.mark.slow  # a process that imports everything
def test_workers_start_after_opencv_has_used_its_threads(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "strips")]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == ["train", "2", "valid", "2"]


# The order of images must depend on seed and epoch alone, never on the number of processes or workers.


def keys(count=23, batch_size=4, seed=1, shuffle=True, rank=0, processes=1, epoch=1):
    batches = EpochBatches(count, batch_size, seed, shuffle, rank, processes)
    batches.set_epoch(epoch)
    return list(batches)


def test_an_epoch_repeats_exactly():
    assert keys() == keys()


def test_epochs_and_seeds_differ():
    assert keys(epoch=1) != keys(epoch=2)
    assert keys(seed=1) != keys(seed=2)


def test_training_leaves_out_the_incomplete_batch():
    batches = keys(count=23, batch_size=4)
    assert [len(batch) for batch in batches] == [4] * 5
    assert len({index for batch in batches for index, *_ in batch}) == 20


def test_fewer_images_than_a_batch_still_train():
    assert [len(batch) for batch in keys(count=3, batch_size=4)] == [3]


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_the_smallest_batch_of_all_processes_is_known(processes, batch_size):
    for count in range(batch_size * (processes - 1) + 1, 40):
        sizes = [len(b) for rank in range(processes) for b in keys(count, batch_size, rank=rank, processes=processes)]
        assert EpochBatches(count, batch_size, 1, True, 0, processes).smallest() == min(sizes)


def test_validation_sees_every_image_once_in_order():
    batches = keys(shuffle=False)
    assert [index for batch in batches for index, *_ in batch] == list(range(23))


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_the_batches_of_one(processes):
    shares = [keys(shuffle=False, rank=rank, processes=processes) for rank in range(processes)]
    together = [share[number] for number in range(6) for share in shares if number < len(share)]
    assert together == keys(shuffle=False)


@pytest.mark.parametrize("processes", [2, 3])
def test_training_processes_take_equally_many_batches(processes):
    shares = [keys(rank=rank, processes=processes) for rank in range(processes)]
    assert len({len(share) for share in shares}) == 1
    indices = [index for share in shares for batch in share for index, *_ in batch]
    assert len(indices) == len(set(indices))


@pytest.mark.parametrize(("asked", "processes", "least", "most"), [(None, 1, 1, 8), (0, 1, 0, 0), (5, 2, 5, 5)])
def test_workers(asked, processes, least, most):
    assert least <= worker_count(asked, processes) <= most


@pytest.mark.parametrize(
    ("cores", "processes", "beside_gpu", "expected"),
    [
        (2, 1, False, 1),
        (16, 1, False, 4),
        (128, 1, False, 8),
        (16, 2, False, 2),
        (16, 1, True, 15),
        (64, 1, True, 16),
        (16, 8, True, 1),
        (1, 1, True, 1),
    ],
)
def test_workers_by_themselves_fit_the_machine(monkeypatch, cores, processes, beside_gpu, expected):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert worker_count(None, processes, beside_gpu) == expected


@pytest.mark.parametrize(("asked", "told"), [(None, False), (0, False), (2, False), (4, True)])
def test_more_workers_than_cores_are_told_once(monkeypatch, asked, told):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    lines = many_workers(asked)
    assert len(lines) == told
    assert all("more than the 2 cores here" in line for line in lines)
