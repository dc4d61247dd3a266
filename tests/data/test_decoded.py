"""Images decoded once give the samples of images decoded each time, are found again, refuse what does not fit, and vanish."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from utils.data import decoded as decoded_module
from utils.data.dataset import Key, StripDataset
from utils.data.dataset_folder import open_dataset
from utils.data.decoded import ImageFiles, decode_once
from utils.errors import InputError

ROOT = Path(__file__).parents[2]
PLACES = ["ram", "disk"]


@pytest.fixture
def strips(make_dataset):
    return open_dataset(make_dataset(6))


def make(where, dataset, image_size=(32, 64), channels=3, names=None):
    files = ImageFiles(dataset, channels, image_size)
    return decode_once(where, files, names or dataset.images, 2, progress=False)


def files_in(dataset) -> dict[str, int]:
    """The cache's files of decoded images and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (dataset.root / ".cache").glob("decoded-*")}


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(("image_size", "channels"), [((32, 64), 3), (None, 3), (None, 1), ((48, 80), 1)])
def test_pixels_are_those_of_the_files(strips, where, image_size, channels):
    source, files = make(where, strips, image_size, channels), ImageFiles(strips, channels, image_size)
    for name in strips.images:
        (one, own), (other, expected) = source.read(name), files.read(name)
        assert own == expected
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize(
    "changes",
    [
        {"augment": "published", "blackout": 0.5},
        {"augment": "flips", "crop": (24, 40), "crop_defect": 0.5},
        {"crop": (70, 30), "crop_defect": 1.0},
        {"augment": "published", "start_size": (16, 16)},
        {"keep_truth": True},
    ],
)
@pytest.mark.parametrize("image_size", [(32, 64), None])
def test_samples_are_the_same_bit_for_bit(strips, where, changes, image_size):
    for task in ("multilabel", "binary"):
        cached, plain = (
            StripDataset(strips, strips.images, task=task, images=images, **changes)
            for images in (make(where, strips, image_size), ImageFiles(strips, 3, image_size))
        )
        for key in [Key(number, seed, 0.5) for number in range(len(plain)) for seed in (1, 2, 3)]:
            one, other = cached[key], plain[key]
            np.testing.assert_array_equal(one.image, other.image)
            np.testing.assert_array_equal(one.masks, other.masks)
            assert (one.truth is None) == (other.truth is None)
            if one.truth is not None:
                np.testing.assert_array_equal(one.truth, other.truth)


@pytest.mark.parametrize("where", PLACES)
def test_nobody_can_change_the_pixels(strips, where):
    image, _ = make(where, strips).read(strips.images[0])
    with pytest.raises(ValueError, match="read-only"):
        image[0] = 1


@pytest.mark.parametrize(("where", "pickler"), [("disk", pickle), ("ram", ForkingPickler)])
def test_another_process_gets_the_place_and_not_a_copy(strips, where, pickler):
    source = make(where, strips)
    sent = bytes(pickler.dumps(source))
    assert len(sent) < source.size / 4
    received = pickle.loads(sent)
    for name in strips.images:
        np.testing.assert_array_equal(received.read(name)[0], source.read(name)[0])


def test_forked_processes_read_the_same_memory(strips):
    source = make("ram", strips)
    source.place[:] = 7
    if not os.fork():
        source.place[:] = 9
        os._exit(0)
    os.wait()
    assert source.read(strips.images[0])[0].max() == 9


def test_a_file_is_used_again_until_an_image_changes(strips):
    make("disk", strips)
    before = files_in(strips)
    assert len(before) == 2
    make("disk", strips)
    assert files_in(strips) == before
    cv2.imwrite(str(strips.path(strips.images[2])), np.full((48, 80, 3), 77, np.uint8))
    assert make("disk", strips).read(strips.images[2])[0].max() == 77
    assert len(files_in(strips)) == 2
    assert not files_in(strips).keys() & before.keys()


def test_sizes_have_a_file_each_and_a_set_of_images_takes_the_place_of_another(strips):
    make("disk", strips)
    make("disk", strips, None)
    make("disk", strips, channels=1)
    assert len(files_in(strips)) == 6
    make("disk", strips, names=strips.images[:3])
    assert len(files_in(strips)) == 6
    assert sum(name.startswith("decoded-32x64x3") for name in files_in(strips)) == 2


@pytest.mark.parametrize("damage", ["short", "unfinished", "nonsense"])
def test_a_damaged_file_is_made_anew(strips, damage):
    make("disk", strips)
    (bin_file,), (done,) = ((strips.root / ".cache").glob(f"decoded-*.{suffix}") for suffix in ("bin", "json"))
    if damage == "short":
        os.truncate(bin_file, 100)
    elif damage == "unfinished":
        bin_file.write_bytes(bytes(bin_file.stat().st_size + 5))
        done.unlink()
    else:
        done.write_text("{")
    source = make("disk", strips)
    expected, _ = ImageFiles(strips, 3, (32, 64)).read(strips.images[-1])
    np.testing.assert_array_equal(source.read(strips.images[-1])[0], expected)
    assert bin_file.stat().st_size == source.size
    assert json.loads(done.read_text())["sizes"]


def test_what_a_killed_training_left_is_removed_a_day_later(strips):
    make("disk", strips)
    left = strips.root / ".cache" / "decoded-native-3-0123456789abcdef.bin"
    left.write_bytes(b"x")
    make("disk", strips, names=strips.images[:2])
    assert left.exists()  # somebody may be writing it
    os.utime(left, (time.time() - 2 * 24 * 3600,) * 2)
    make("disk", strips, names=strips.images[:3])
    assert not left.exists()


@pytest.mark.parametrize("where", PLACES)
def test_what_does_not_fit_is_refused_before_anything_is_decoded(strips, where, monkeypatch):
    monkeypatch.setattr(decoded_module, "_free_memory", lambda: (40_000, "of memory"))
    usage = type("Usage", (), {"free": 40_000})
    monkeypatch.setattr(decoded_module.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(ImageFiles, "read", lambda self, name: pytest.fail("decoded"))
    with pytest.raises(InputError) as refused:
        make(where, strips)
    assert re.match(rf"-cache {where}: 6 decoded images need 0.00 GB, 0.00 GB .*; .*-cache", str(refused.value))
    assert files_in(strips) == {}


def test_each_process_with_a_memory_of_its_own_counts(strips, monkeypatch):
    needed = 6 * 32 * 64 * 3
    monkeypatch.setattr(decoded_module, "_free_memory", lambda: (2 * needed, "of memory"))
    files = ImageFiles(strips, 3, (32, 64))
    decode_once("ram", files, strips.images, 1, 1, False)
    with pytest.raises(InputError, match="for each of 2 processes"):
        decode_once("ram", files, strips.images, 1, 2, False)


def test_free_memory_is_no_more_than_the_machine_has():
    free, of_what = decoded_module._free_memory()
    assert 0 < free < 2**50
    assert of_what.startswith("of ")


def test_a_full_disk_leaves_nothing_and_names_the_file(strips, monkeypatch):
    def full(self, name):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ImageFiles, "read", full)
    with pytest.raises(OSError, match="No space left") as error:
        make("disk", strips)
    assert "decoded-32x64x3" in error.value.filename
    assert files_in(strips) == {}


PROGRAM = """
import os, signal, sys
from pathlib import Path
from utils.data.dataset_folder import open_dataset
from utils.data.decoded import ImageFiles, decode_once

dataset = open_dataset(Path(sys.argv[1]))
source = decode_once("ram", ImageFiles(dataset, 3, (512, 512)), dataset.images, 1, progress=False)
if not os.fork():
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
signal.pause()
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="shared memory has no folder here")
def test_a_kill_leaves_no_shared_memory(strips):
    before = set(os.listdir("/dev/shm"))  # noqa: PTH208
    command = [sys.executable, "-c", PROGRAM, str(strips.root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = [name for name in set(os.listdir("/dev/shm")) - before if os.stat(f"/dev/shm/{name}").st_size >= 512 * 512]  # noqa: PTH116, PTH208
    assert left == []


def test_the_memory_is_given_back_when_nobody_uses_it(strips):
    source = make("ram", strips, (512, 512))

    def mapped() -> int:
        return sum("/torch_" in line for line in Path("/proc/self/maps").read_text().splitlines())

    if not Path("/proc/self/maps").exists():
        pytest.skip("this system does not list what a process has mapped")
    before = mapped()
    del source
    assert mapped() == before - 1
    assert torch.is_tensor(torch.zeros(1))


def test_a_limit_of_the_process_is_one_line(strips, monkeypatch):
    """What torch says under ``ulimit -f`` and ``ulimit -v``."""

    def refuse(tensor):
        raise RuntimeError("unable to resize file </torch_1> to the right size: File too large (27)\nmore")

    monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)
    with pytest.raises(
        InputError, match=r"-cache ram: no 0\.0 MB of shared memory \(unable to .*\); take -cache disk"
    ) as e:
        make("ram", strips)
    assert "\n" not in str(e.value)
