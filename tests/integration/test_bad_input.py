"""Bad input to every command: exit code 2, one line that names the file or flag and the remedy, and nothing written.

Each case is a folder that would be fine but for what ``prepare`` does to it, and a command run in that folder. ``pytest -rP``
on this file shows each command with its line.
"""

import errno
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from config import TrainConfig
from tests.integration.in_process import command
from utils.settings import to_plain
from utils.training.run_folder import Run

pytestmark = pytest.mark.usefixtures("own_networks")

ROOT = Path(__file__).resolve().parents[2]
FULL = re.escape(os.strerror(errno.ENOSPC)) + "; free some space or write to another disk"
RUN = (
    "-out out -encoder test_resnet -encoder_weights none -image_size 32,64 -batch_size 2 -subset all -device cpu"
    " -num_of_workers 0 -num_epochs 1"
)
TRAIN = f"Train.py -dir data {RUN}"
SPLIT = f"{TRAIN} -split s.csv".replace(" -subset all", "")
PREDICT = "Predict_masks.py -dir data -weights_dir weights -out out"
EVALUATE = "Evaluate.py -dir data -weights_dir weights -split all -out out"
MASKS = "Prepare_data.py convert -from index-masks -images data/train_images -masks masks -dir out"
COCO = "Prepare_data.py convert -from coco -images data/train_images -annotations labels -dir out"
YOLO = "Prepare_data.py convert -from yolo -images data/train_images -annotations labels -dir out"

Patch = pytest.MonkeyPatch
Prepare = Callable[[Path, Patch], object]


@dataclass(frozen=True)
class Case:
    """One bad input.

    Args:
        name: what is wrong.
        command: the words that a user types, in the folder.
        said: regular expression of the whole line on standard error, without "error: ".
        prepare: what is done to the good folder, which holds ``data/`` and ``weights/``.
        keeps: the fault shows when the run has begun: its folder stays, to be resumed.
    """

    name: str
    command: str
    said: str
    prepare: Prepare = lambda place, patch: None
    keeps: bool = False


# What spoils the folder


def lines(*texts: str) -> Prepare:
    """Add rows to the table, of which the first is row 6."""
    return lambda place, patch: append(place / "data/train.csv", "".join(f"{text}\n" for text in texts))


def append(path: Path, text: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


def file(name: str, content: str | bytes = b"") -> Prepare:
    """Write a file, whatever was there."""

    def write(place: Path, patch: Patch) -> None:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def gone(name: str) -> Prepare:
    """Remove a file or folder."""
    return lambda place, patch: shutil.rmtree(place / name) if (place / name).is_dir() else (place / name).unlink()


def folder(name: str) -> Prepare:
    """Make an empty folder."""
    return lambda place, patch: (place / name).mkdir(parents=True)


def all_of(*steps: Prepare) -> Prepare:
    return lambda place, patch: [step(place, patch) for step in steps]


def change(name: str, old: str, new: str) -> Prepare:
    """Replace words of a text file."""

    def replace(place: Path, patch: Patch) -> None:
        text = (place / name).read_text()
        assert old in text
        (place / name).write_text(text.replace(old, new))

    return replace


def picture(name: str, keep: float) -> Prepare:
    """Add an image of noise, of which only the first part of the file is there."""

    def write(place: Path, patch: Patch) -> None:
        import cv2
        import numpy as np

        path = place / "data/train_images" / name
        cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (64, 80, 3), dtype=np.uint8))
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])

    return write


def vast_picture(place: Path, patch: Patch) -> None:
    """Add a PNG whose header promises 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (place / "data/train_images/vast.png").write_bytes(content)


def small_masks(place: Path, patch: Patch) -> None:
    """Make an empty index mask for each image, all of 20x10 pixels."""
    (place / "masks").mkdir()
    for path in (place / "data/train_images").iterdir():
        Image.new("L", (10, 20)).save(place / "masks" / path.name)


def no_gpu(place: Path, patch: Patch) -> None:
    patch.setattr(torch.cuda, "is_available", lambda: False)


def own_weights(spoil: Callable[[Path], object]) -> Prepare:
    """Put a copy in place of the shared weights and spoil it."""

    def replace(place: Path, patch: Patch) -> None:
        shared = next((place / "weights").glob("*.pth")).resolve()
        (place / "weights").unlink()
        (place / "weights").mkdir()
        spoil(Path(shutil.copyfile(shared, place / "weights/w.pth")))

    return replace


def changed_weights(**changes: object) -> Prepare:
    def edit(path: Path) -> None:
        torch.save({**torch.load(path, weights_only=True), **changes}, path)

    return own_weights(edit)


class Runs:
    """Pickled, it makes a file where it is opened."""

    def __reduce__(self):
        return (os.mkdir, (os.path.abspath("code-ran"),))  # noqa: PTH100 - the folder in which the case is run


def a_run(place: Path, patch: Patch) -> None:
    """Make a run folder ``out`` that was interrupted before its first epoch ended."""
    flags = {"encoder": "test_resnet", "encoder_weights": "none", "image_size": (32, 64), "device": "cpu"}
    config = TrainConfig(dir=Path("data"), batch_size=2, num_of_workers=0, num_epochs=1, **flags)
    (place / "out/checkpoints").mkdir(parents=True)
    (place / "out/config.yaml").write_text(yaml.safe_dump(to_plain(config)))
    rows = [f"{number:03d}.png,{'valid' if number == 1 else 'train'},{number}\n" for number in range(5)]
    (place / "out/split.csv").write_text("image,side,group\n" + "".join(rows))


def last(content: object) -> Prepare:
    """Return the run a ``last.pth``."""
    return lambda place, patch: torch.save(content, place / "out/checkpoints/last.pth")


def full_disk(place: Path, patch: Patch) -> None:
    """Let no file reach the disk."""

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patch.setattr(os, "fsync", no_space)


def disk_of_a_megabyte(place: Path, patch: Patch) -> None:
    """Let tables be written but no checkpoint; the fixture ``limits`` takes it back."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def raising(target: str, error: BaseException) -> Prepare:
    """Let a function of ours fail."""

    def fail(*words: object, **more: object) -> None:
        raise error

    return lambda place, patch: patch.setattr(target, fail)


def images_vanish_after_the_check(place: Path, patch: Patch) -> None:
    from utils.commands import train_network as train

    begin = train._begin

    def begin_and_lose(*words) -> Run:
        run = begin(*words)
        shutil.rmtree(place / "data/train_images")
        return run

    patch.setattr(train, "_begin", begin_and_lose)


def workers_are_killed(place: Path, patch: Patch) -> None:
    from utils.data.dataset import StripDataset

    patch.setattr(StripDataset, "__getitem__", lambda self, key: os.kill(os.getpid(), signal.SIGKILL))


def little_room(place: Path, patch: Patch) -> None:
    """Leave a kilobyte of memory and of disk."""
    patch.setattr("utils.data.decoded._free_memory", lambda: (1000, "of memory"))
    patch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(1000, 0, 1000))


ONE_IMAGE = all_of(
    *(gone(f"data/train_images/{k:03d}.png") for k in range(1, 5)), change("data/train.csv", "\n001", "\n")
)
ALLOCATION = RuntimeError("DefaultCPUAllocator: can't allocate memory:\nyou tried to allocate 99 bytes")
NO_MEMORY = r"not enough memory; take a smaller -batch_size or -image_size, predict in tiles \(-tile 512,512\), or close other programs"

TABLE = [
    Case("no table", TRAIN, r"data/train\.csv: no such file; put the table there, .*", gone("data/train.csv")),
    Case("table is empty", TRAIN, r"data/train\.csv: empty file; expected a table ImageId.*", file("data/train.csv")),
    Case("table is a folder", TRAIN, r"data/train\.csv: is a folder; expected a CSV table", all_of(gone("data/train.csv"), folder("data/train.csv"))),
    Case("wrong encoding", TRAIN, r"data/train\.csv: not UTF-8 text; save it as CSV with encoding UTF-8", file("data/train.csv", "ImageId,ClassId,EncodedPixels\nä.png,1,1 1\n".encode("latin-1"))),
    Case("missing column", TRAIN, r"data/train\.csv: missing column EncodedPixels \(found .*\); expected ImageId,.*", change("data/train.csv", "EncodedPixels", "Pixels")),
    Case("semicolons", EVALUATE, r"data/train\.csv: missing column .*; separate the columns by commas", change("data/train.csv", ",", ";")),
    Case("only a header", TRAIN, r"data/train\.csv: no row has a class; add rows, or name .* in classes\.txt", all_of(gone("data/classes.txt"), file("data/train.csv", "ImageId,ClassId,EncodedPixels\n"))),
    Case("only clean images", TRAIN, r"data/train\.csv: names no defect, there is nothing to learn; add rows", file("data/train.csv", "ImageId,ClassId,EncodedPixels\n002.png,1,\n")),
    Case("class 0", TRAIN, r"data/train\.csv, row 6: class 0; classes are counted from 1", lines("002.png,0,1 1")),
    Case("negative class", TRAIN, r"data/train\.csv, row 6: class -1; classes are counted from 1", lines("002.png,-1,1 1")),
    Case("class is a word", TRAIN, r"data/train\.csv, row 6: class 'pit' is not a whole number; classes are .*", lines("002.png,pit,1 1")),
    Case("class without a name", TRAIN, r"data/train\.csv, row 6: class 3, but only 2 class names .*; correct the row or add names to classes\.txt", lines("002.png,3,1 1")),
    Case("row for a missing image", TRAIN, r"data/train\.csv, row 6: gone\.png not in data/train_images; add the image or remove its rows", lines("gone.png,1,1 1")),
    Case("odd count of numbers", TRAIN, r"data/train\.csv, row 6: 002\.png class 1: 3 numbers; start and length must come in pairs; correct or remove the row", lines("002.png,1,1 1 5")),
    Case("not a number", TRAIN, r"data/train\.csv, row 6: 002\.png class 1: pair 2: 'x' is not a whole number; .*", lines("002.png,1,1 1 5 x")),
    Case("start 0", TRAIN, r"data/train\.csv, row 6: 002\.png class 1: pair 1: start 0, must be 1 or more; .*", lines("002.png,1,0 1")),
    Case("length 0", EVALUATE, r"data/train\.csv, row 6: 002\.png class 1: pair 1: length 0, must be 1 or more; .*", lines("002.png,1,1 0")),
    Case("unsorted runs", TRAIN, r"data/train\.csv, row 6: 002\.png class 1: pair 2: start 3 is unsorted, .*", lines("002.png,1,9 1 3 1")),
    Case("runs overlap", TRAIN, r"data/train\.csv, row 6: 002\.png class 1: pair 2: start 3 overlaps .*", lines("002.png,1,1 5 3 1")),
    Case("run past the image", TRAIN, r"data/train\.csv, row 6: 002\.png class 1: pair 1: run ends at 1882, past the image's 1881 pixels; correct or remove the row", lines("002.png,1,1881 2")),
    Case("run past the image, evaluating", EVALUATE, r"data/train\.csv, row 6: 002\.png class 1: .*past the image's 1881 pixels; .*", lines("002.png,1,1881 2")),
    Case("duplicate row", TRAIN, r"data/train\.csv, row 7: duplicate of row 6: 002\.png class 1; join both rows into one", lines("002.png,1,1 1", "002.png,1,3 1")),
    Case("row with too many fields", TRAIN, r"data/train\.csv, row 6: 4 fields, but the header has 3; .*", lines("002.png,1,1 1,x")),
    Case("class named as all", TRAIN, r"data/classes\.txt: a class is called together, as all of them are in tables of scores; rename it", file("data/classes.txt", "pits\ntogether\n")),
    Case("class named twice", TRAIN, r"data/classes\.txt: a class name occurs twice; names must differ", file("data/classes.txt", "pits\npits\n")),
    Case("balancing a bad table", "Prepare_data.py balance -dir data", r"data/train\.csv, row 6: class 0; classes are counted from 1", lines("002.png,0,1 1")),
]  # fmt: skip

IMAGES = [
    Case("no dataset folder", f"Train.py -dir nowhere {RUN}", r"nowhere: no such folder; -dir expects a folder with train_images/ and train\.csv"),
    Case("no train_images", TRAIN, r"data/train_images: no such folder; put the training images there, .*", gone("data/train_images")),
    Case("no images", TRAIN, r"data/train_images: holds no images; put the training images there", all_of(gone("data/train_images"), folder("data/train_images"))),
    Case("truncated JPEG", TRAIN, r"data/train_images/a\.jpg: truncated image; restore the file or remove it", picture("a.jpg", 0.5)),
    Case("truncated PNG", TRAIN, r"data/train_images/a\.png: truncated image; restore the file or remove it", picture("a.png", 0.5)),
    Case("PNG that is text", TRAIN, r"data/train_images/002\.png: not an image; restore the file or remove it", file("data/train_images/002.png", "hello")),
    Case("zero-byte image", TRAIN, r"data/train_images/002\.png: empty file; restore the file or remove it", file("data/train_images/002.png")),
    Case("damaged image of 900 million pixels", TRAIN, r"data/train_images/vast\.png: truncated image; restore the file or remove it", vast_picture),
    Case("several problems", TRAIN, r"data/train_images/001\.png: not an image; .* \(one of 2 problems; Prepare_data\.py check -dir data lists all\)", all_of(file("data/train_images/001.png", "x"), file("data/train_images/002.png", "x"))),
    Case("images deleted while training", TRAIN, r"data/train_images/00\d\.png: no such image; restore the file or remove its rows", images_vanish_after_the_check, keeps=True),
    Case("images deleted while a worker reads", f"{TRAIN} -num_of_workers 1", r"data/train_images/00\d\.png: no such image; restore the file or remove its rows", images_vanish_after_the_check, keeps=True),
    Case("too few images to validate", TRAIN, r"data: 1 images leave none to (train|validate) on; add images", all_of(ONE_IMAGE, file("data/train.csv", "ImageId,ClassId,EncodedPixels\n000.png,1,1 1\n"))),
    Case("batch of one where one is too few", f"{TRAIN} -architecture deeplabv3plus -batch_size 1", r"-batch_size 1: deeplabv3plus cannot train on batches of a single image of 32x64; take -batch_size 2 or more, .*"),
    Case("no image can be read", PREDICT, r"no image could be read, 5 tried; the first: data/train_images/000\.png: not an image", all_of(*(file(f"data/train_images/{k:03d}.png", "x") for k in range(5)))),
    Case("no image can be scored", EVALUATE, r"no image could be read, 5 tried; the first: data/train_images/000\.png: empty file", all_of(*(file(f"data/train_images/{k:03d}.png") for k in range(5)))),
    Case("test.csv lists a missing image", PREDICT, r"data/test\.csv, row 3: b\.png not in data/test_images; add the image or remove the row", all_of(file("data/test_images/a.png", "x"), file("data/test.csv", "ImageId\na.png\nb.png\n"))),
    Case("another bit depth", f"{TRAIN} -bit_depth 11", r"-bit_depth 11: choose from auto, 8, 10, 12, 14, 16, did you mean 16\?"),
    Case("folder without images", "Predict_masks.py -images weights -weights_dir weights -out out", r"-images weights: holds no image files \(\.bmp, .*\)"),
    Case("mask of another size", MASKS, r"masks/000\.png: is 20x10, but 000\.png is 48x80; they must match", small_masks),
    Case("no mask for an image", f"{MASKS} -class_names pit", r"masks: no mask for 001\.png, 002\.png, 003\.png and 1 more; a clean image needs a mask of zeros", lambda place, patch: shutil.copytree(place / "data/train_images", place / "masks", ignore=shutil.ignore_patterns("001*", "002*", "003*", "004*"))),
    Case("colour picture for a mask", MASKS, r"masks/000\.png: mode RGB, expected 8-bit grey or palette; write class numbers as pixel values", lambda place, patch: shutil.copytree(place / "data/train_images", place / "masks")),
    Case("COCO file is no JSON", COCO, r"labels: not a JSON file \(.*\); -annotations expects COCO labels", file("labels", "{")),
    Case("COCO file without categories", COCO, r"labels: no list 'categories'; expected COCO labels with .*", file("labels", '{"images": [], "annotations": []}')),
    Case("YOLO boxes", YOLO, r"labels/000\.txt.*: is a box, which has no outline; label outlines .*", file("labels/000.txt", "0 .5 .5 .1 .1\n")),
    Case("convert into a dataset", f"{COCO} -dir data", r"-images data/train_images: the dataset's images would be written there; name another -dir", file("labels", "{}")),
    Case("archive is no zip file", "Prepare_data.py download -dir out -archive a.zip", r"a\.zip: not a whole zip file; download it again", file("a.zip", "hello")),
    Case("synthetic strips into a dataset", "Prepare_data.py synthesise -dir data", r"data/train_images/000\.png: is not of an earlier synthesise; give -dir an empty or a new folder"),
]  # fmt: skip

FLAGS = [
    Case("server for everybody", "Serve.py -weights_dir weights -host 0.0.0.0", r"-host 0\.0\.0\.0: other computers could send images; give -token WORD, or -insecure to let everybody in"),
    Case("server with a class twice", "Serve.py -weights_dir weights -class_names pit,crack,pit", r"-class_names: pit is there twice"),
    Case("server without weights", "Serve.py -weights_dir nowhere -port 0 -save kept", r"-weights_dir nowhere: no such file or folder; .*"),
    Case("server on a port that needs rights or is none", "Serve.py -weights_dir weights -port 70000", r"-port 70000: expected 0 to 65535"),
    Case("server at an address of others", "Serve.py -weights_dir weights -host 192.0.2.1 -insecure", r"-port 7860: Cannot assign requested address on 192\.0\.2\.1; name another with -port"),
    Case("unknown flag", f"{TRAIN} -batchsize 4", r"Train\.py: no flag -batchsize, did you mean -batch_size\?; -h lists all"),
    Case("unknown flag of Predict", f"{PREDICT} -treshold 1", r"Predict_masks\.py: no flag -treshold, did you mean -threshold\?; -h lists all"),
    Case("unknown command", "Prepare_data.py chek -dir data", r"Prepare_data\.py: no command chek, did you mean check\?; choose from .*"),
    Case("wrong choice", f"{TRAIN} -task multilable", r"-task multilable: choose from multilabel, binary, multiclass, per-class, classify-binary, classify-multilabel, anomaly, did you mean multilabel\?"),
    Case("number out of range", f"{TRAIN} -valid_fraction 1.5", r"-valid_fraction 1\.5: expected 0\.01 to 0\.9"),
    Case("value is a word", f"{EVALUATE} -batch_size four", r"-batch_size four: expected a whole number"),
    Case("flag without value", f"{TRAIN} -seed", r"Train\.py: argument -seed: expected one argument; -h explains every flag"),
    Case("seed too large", f"{TRAIN} -seed 5000000000", r"-seed 5000000000: expected 0 to 2147483647"),
    Case("largest area below the smallest", f"{TRAIN} -min_area 9 -max_area 8", r"-max_area 8: is below -min_area 9; correct one of them"),
    Case("no -dir", f"Train.py {RUN}", r"Train\.py: missing -dir; -h explains every flag"),
    Case("no -dir of Evaluate", "Evaluate.py -weights_dir weights", r"Evaluate\.py: missing -dir; -h explains every flag"),
    Case("neither -dir nor -images", "Predict_masks.py -weights_dir weights", r"give -dir DATASET_FOLDER or -images FOLDER_OR_FILE, one of them; neither was given"),
    Case("both -dir and -images", f"{PREDICT} -images data/train_images", r"give -dir .* or -images .*, one of them; both were given"),
    Case("-images not there", "Predict_masks.py -images x.png -weights_dir weights", r"-images x\.png: no such file or folder"),
    Case("unknown setting in -config", f"{TRAIN} -config c.yaml", r"-config c\.yaml: no setting encodr, did you mean encoder\?", file("c.yaml", "encodr: resnet18\n")),
    Case("-config is no YAML", f"{TRAIN} -config c.yaml", r"-config c\.yaml: not a YAML file: .*", file("c.yaml", "a: [1,\n  b: {")),
    Case("-config not there", f"{TRAIN} -config c.yaml", r"-config c\.yaml: No such file or directory"),
    Case("unknown recipe", f"{TRAIN} -recipe best", r"-recipe best: no such recipe; choose from balanced-1000, .*"),
    Case("unknown encoder", f"{TRAIN} -encoder resnet19", r"-encoder resnet19: neither SMP nor timm has it, did you mean \S+\?"),
    Case("encoder that the decoder cannot use", f"{TRAIN} -architecture unetplusplus -encoder mit_b0", r"-architecture unetplusplus -encoder mit_b0: .*; choose another of either"),
    Case("loss of another task", f"{TRAIN} -task binary -loss cross_entropy", r"-loss cross_entropy is not for -task binary; take -task multiclass or -loss dice_bce"),
    Case("image size is garbage", f"{TRAIN} -image_size 256x768", r"-image_size 256x768: expected two positive whole numbers H,W or native"),
    Case("image size beyond reason", f"{TRAIN} -image_size 256,1000000", r"-image_size 256,1000000: a side has at most 32767 pixels"),
    Case("two channels", f"{TRAIN} -channels 2", r"-channels 2: choose 1 \(grey\) or 3 \(colour\)"),
    Case("no GPU to train on", f"{TRAIN} -device cuda", r"-device cuda: this machine has no GPU that torch can use; take -device cpu", no_gpu),
    Case("no GPU to predict on", f"{PREDICT} -device cuda", r"-device cuda: PyTorch finds no GPU here; use -device cpu, .*", no_gpu),
    Case("f16 training on a CPU", f"{TRAIN} -precision f16", r"-precision f16: only for GPUs; use bf16 or f32 on a CPU"),
    Case("f16 scoring on a CPU", f"{EVALUATE} -device cpu -precision f16", r"-precision f16: only for GPUs; use bf16 or f32 on a CPU"),
    Case("500 workers", f"{TRAIN} -num_of_workers 500", r"-num_of_workers 500: this machine has 2 cores; take 64 or fewer, or auto", lambda place, patch: patch.setattr(os, "cpu_count", lambda: 2)),
    Case("unknown thing to save", f"{PREDICT} -save overlay", r"-save overlay: choose from overlays, masks, heatmaps, submission, defects, labels"),
    Case("-out holds a run", TRAIN, r"-out out: already holds a run; continue it with -resume, or name another folder", a_run),
    Case("-out holds weights", f"{TRAIN} -out weights", r"-out weights: already holds weights \(\S+\.pth\); name another folder"),
    Case("-out holds a system file", TRAIN, r"-out out: already holds weights \(a\.system\.json\); name another folder", file("out/a.system.json", "{}")),
    Case("-out is a file", TRAIN, r"-out out: .*/out is a file; name another folder|-out out: out is a file; name another folder", file("out")),
    Case("-out below a file", f"{TRAIN} -out f/run", r"-out f/run: .*f is a file; name another folder", file("f")),
    Case("-out of Predict is a file", PREDICT, r"-out out: cannot make this folder \(File exists\); name another with -out", file("out")),
    Case("-out of balance is a folder", "Prepare_data.py balance -dir data -out d", r"d: Is a directory; name a file, not a folder", folder("d")),
    Case("-resume without a run", "Train.py -resume data", r"-resume data: no run there \(config\.yaml is missing\); name a folder that Train\.py made"),
    Case("-resume with another setting", "Train.py -resume out -seed 7", r"-seed: a resumed run keeps its settings \(out/config\.yaml\); leave the flag out, or start a new run", a_run),
    Case("settings of the run are damaged", "Train.py -resume out", r"out/config\.yaml: damaged; start the run again with another -out", all_of(a_run, file("out/config.yaml"))),
    Case("settings of the run lack -dir", "Train.py -resume out", r"out/config\.yaml: damaged; start the run again with another -out", all_of(a_run, change("out/config.yaml", "dir: data\n", ""))),
    Case("last.pth is cut off", "Train.py -resume out", r"out/checkpoints/last\.pth: damaged checkpoint \(.*\); start again with another -out", all_of(a_run, file("out/checkpoints/last.pth", b"PK\x03\x04cut"))),
    Case("last.pth is something else", "Train.py -resume out", r"out/checkpoints/last\.pth: damaged checkpoint \(.*\); start again with another -out", all_of(a_run, last({"weights": torch.zeros(2)}))),
    Case("last.pth of another network", "Train.py -resume out", r"out/checkpoints/last\.pth: does not belong to this run's settings; put both back .*, or start again with another -out", all_of(a_run, last({"epoch": 0, "stopped": False, "batch_step": 0, "sample_step": 0, "network": {"x": torch.zeros(2)}})), keeps=True),
    Case("-split beside -subset", f"{TRAIN} -split s.csv", r"-subset: -split s\.csv names the images of each side already; leave one of the two out"),
    Case("-split beside -test_fraction", f"{SPLIT} -test_fraction 0.1", r"-test_fraction: -split s\.csv names .*"),
    Case("-test_fraction of all", f"{TRAIN} -test_fraction 1", r"-test_fraction 1(\.0)?: expected .*0\.9"),
    Case("-split beside -per_class", f"{SPLIT} -per_class 250", r"-per_class: -split s\.csv names .*"),
    Case("-split beside -valid_fraction", f"{SPLIT} -valid_fraction 0.2", r"-valid_fraction: -split s\.csv names .*"),
    Case("-split not there", SPLIT, r"-split s\.csv: no such file; name the split\.csv of an earlier run"),
    Case("-split of other images", SPLIT, r"s\.csv, row 2: other\.png is not in the dataset; use the split of this dataset", file("s.csv", "image,side,group\nother.png,train,0\n")),
    Case("-split without sides", SPLIT, r"s\.csv: missing column side \(found image,group\); expected image,side,group as Train\.py writes them", file("s.csv", "image,group\n000.png,0\n")),
    Case("-split with an odd side", SPLIT, r"s\.csv, row 2: side 'tset'; expected train, valid or test", file("s.csv", "image,side,group\n000.png,tset,0\n")),
    Case("-split without validation", SPLIT, r"s\.csv: 2 images leave none to validate on; add images", file("s.csv", "image,side,group\n000.png,train,0\n001.png,train,1\n")),
    Case("no split beside the weights", "Evaluate.py -dir data -weights_dir weights", r"-split valid: no split\.csv beside the weights file in weights; give the run folder .* -split all"),
]  # fmt: skip

WEIGHTS = [
    Case("no weights folder", f"{PREDICT} -weights_dir none", r"-weights_dir none: no such file or folder; .*Train\.py -dir DATA.*"),
    Case("no weights in the folder", f"{PREDICT} -weights_dir data", r"-weights_dir data: no \.pth file in it; .*Train\.py -dir DATA.*"),
    Case("several weights", PREDICT, r"-weights_dir weights: holds several weights files, choose with -weights from v, w", own_weights(lambda path: shutil.copy(path, path.with_name("v.pth")))),
    Case("weights of no such name", f"{EVALUATE} -weights best", r"-weights best: not in weights, which has unet-test_resnet-test-\w{8}"),
    Case("weights are a text", PREDICT, r"weights/w\.pth: not a weights file, or damaged; fetch or train it again", own_weights(lambda path: path.write_text("hello"))),
    Case("weights are empty", PREDICT, r"weights/w\.pth: not a weights file, or damaged; fetch or train it again", own_weights(lambda path: path.write_bytes(b""))),
    Case("weights are cut off", EVALUATE, r"weights/w\.pth: not a weights file, or damaged; fetch or train it again", own_weights(lambda path: os.truncate(path, 1_000_000))),
    Case("weights that would run code", PREDICT, r"weights/w\.pth: refused, since opening it would run code from the file \(it needs pickle\); ask for .*", own_weights(lambda path: torch.save({"state_dict": Runs()}, path))),
    Case("old pickle that would run code", PREDICT, r"weights/w\.pth: (refused, since opening it would run code .*|not a weights file, or damaged; .*)", own_weights(lambda path: torch.save(Runs(), path, _use_new_zipfile_serialization=False))),
    Case("foreign state dict", PREDICT, r"weights/w\.pth: a \.pth file, but not one that Train\.py wrote; point -weights_dir at a run folder", own_weights(lambda path: torch.save({"conv.weight": torch.zeros(3)}, path))),
    Case("newer version", PREDICT, r"weights/w\.pth: format version 99, this program reads 1; update the program", changed_weights(version=99)),
    Case("parts are missing", PREDICT, r"weights/w\.pth: damaged weights file \(.*\); fetch or train it again", changed_weights(spec={"encoder": "resnet18"})),
    Case("weights of another network", PREDICT, r"weights/w\.pth: its weights do not fit unet test_resnet \(.*\); fetch or train it again", changed_weights(state_dict={"x": torch.zeros(1)})),
    Case("classes differ", EVALUATE, r"data/train\.csv: classes are holes, dents, but the weights were trained on pits, cracks; use weights of these classes, .*", file("data/classes.txt", "holes\ndents\n")),
    Case("start from weights that are not there", f"{TRAIN} -encoder_weights imagnet", r"-encoder_weights imagnet: no such file; choose imagenet, none or a weights file"),
    Case("start from weights of another encoder", f"{TRAIN} -encoder resnet34 -encoder_weights weights/w.pth", r"-encoder_weights weights/w\.pth: is for -encoder test_resnet -channels 3; nothing in it fits resnet34", own_weights(lambda path: None)),
    Case("start from an encoder of another network", f"{TRAIN} -encoder_weights weights/w.pth", r"-encoder_weights weights/w\.pth: is of another network, 1 tensors where \d+ are needed", own_weights(lambda path: torch.save({"conv.weight": torch.zeros(3)}, path))),
    Case("start from a file that is no network", f"{TRAIN} -encoder_weights weights/w.pth", r"-encoder_weights weights/w\.pth: holds neither a weights file of this project nor an encoder's tensors; choose .*", own_weights(lambda path: torch.save([1], path))),
]  # fmt: skip

INDEX = '{"format": "steel-defect-segmentation weights index", "version": 1, "default": null, "weights": []}'
DOWNLOAD = "Download_weights.py -index list.json -to out"
PUBLISH = "Publish_weights.py run -name net -data strips -to out"

PUBLISHED = [
    Case("no index", DOWNLOAD, r".*/list\.json: no such index of weights; name an index\.json or the folder of one"),
    Case("index is no JSON", DOWNLOAD, r".*/list\.json: damaged index of weights \(.*\); fetch it again", file("list.json", "{")),
    Case("index lists nothing", DOWNLOAD, r".*/list\.json: lists no weights yet; name another list with -index, or train: .*", file("list.json", INDEX)),
    Case("index at an odd address", "Download_weights.py -index ftp://a/b", r"-index ftp://a/b: ftp://a/b: expected https://, file:// or hf://USER/REPOSITORY"),
    Case("folder to download to is a file", "Download_weights.py -to f", r"-to f: is a file; name a folder", file("f")),
    Case("run to publish not there", PUBLISH, r"run: no such run folder; name one that Train\.py made"),
    Case("run to publish is none", PUBLISH, r"run: has no config\.yaml, so it is no run folder of Train\.py; name one that is", folder("run")),
    Case("run to publish has no weights", "Publish_weights.py out -name net -data strips -to out", r"-weights_dir out: no \.pth file in it; .*", a_run),
    Case("name with the digits", f"{PUBLISH} -name net-12345678", r"-name net-12345678: leave the digits of the sha256 out; they are added"),
    Case("name is a path", f"{PUBLISH} -name a/b", r"-name a/b: use letters, digits, .*"),
    Case("no name", "Publish_weights.py run -data strips", r"Publish_weights\.py: missing -name; -h explains every flag"),
]  # fmt: skip

MACHINE = [
    Case("disk full, training", TRAIN, rf"out/split\.csv: {FULL}", full_disk),
    Case("disk full, predicting", PREDICT, rf"out/\S+: {FULL}", full_disk),
    Case("disk full, scoring", EVALUATE, rf"out/\S+: {FULL}", full_disk),
    Case("disk full, balancing", "Prepare_data.py balance -dir data", rf"data/train_balanced\.csv: {FULL}", full_disk),
    Case("disk full at the first checkpoint", TRAIN, r"out/checkpoints/last\.pth: File too large; allow larger files \(ulimit -f\) or write to another disk", disk_of_a_megabyte, keeps=True),
    Case("memory full, reading", TRAIN, NO_MEMORY, raising("utils.training.bit_depth.verified", MemoryError())),
    Case("memory full, training", TRAIN, NO_MEMORY, raising("utils.models.segmenter.Segmenter.forward", ALLOCATION), keeps=True),
    Case("GPU memory full, training", TRAIN, NO_MEMORY, raising("utils.models.segmenter.Segmenter.forward", torch.OutOfMemoryError("CUDA out of memory.\nTried")), keeps=True),
    Case("memory full, predicting", PREDICT, r"the memory of cpu is too small for \d images of \d+x\d+; use a smaller -batch_size, tiles \(-tile 512,512\), or .*", raising("utils.models.segmenter.Segmenter.forward", ALLOCATION)),
    Case("images do not fit into memory", f"{TRAIN} -cache ram", r"-cache ram: 5 decoded images need 0\.00 GB, 0\.00 GB of memory may be taken \(80% of what is free\); take -cache disk or none, or a smaller -image_size", little_room),
    Case("images do not fit onto the disk", f"{TRAIN} -cache disk", r"-cache disk: 5 decoded images need 0\.00 GB, 0\.00 GB in \S*/\.cache may be taken \(80% of what is free\); free some space, or take -cache none", little_room),
    Case("a loading process is killed", f"{TRAIN} -num_of_workers 1", r"-num_of_workers: the system ended a process that loads images, .*; take fewer, 0 for none, or a smaller -batch_size", workers_are_killed, keeps=True),
]  # fmt: skip

# What libraries print on their own shows only in a process of its own.
PROCESSES = [
    Case("ImageNet weights out of reach", f"{TRAIN} -encoder resnet18 -encoder_weights imagenet", r"the ImageNet weights of resnet18 could not be fetched \(\w+\); either run once with a network connection .*, or give them as -encoder_weights FILE, or train from scratch with -encoder_weights none"),
    Case("weights that would run code", PREDICT, r"weights/w\.pth: refused, .*", own_weights(lambda path: torch.save(Runs(), path))),
]  # fmt: skip

CASES = [*TABLE, *IMAGES, *FLAGS, *WEIGHTS, *PUBLISHED, *MACHINE]


@pytest.fixture
def place(make_dataset, make_weights, tmp_path, monkeypatch) -> Path:
    """A folder with ``data/`` (five images, two classes) and ``weights/``, in which commands run."""
    make_dataset()
    (tmp_path / "weights").symlink_to(make_weights(), target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def limits():
    """Return a function that puts back what a case or a command changes of the process."""
    size, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)

    def restore() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, size)
        signal.signal(signal.SIGXFSZ, handler)

    yield restore
    restore()


def files(place: Path) -> dict[str, tuple[int, int]]:
    """List all files with size and time of change; what was learnt from reading (``.cache``) is no output."""
    found = (path for path in place.rglob("*") if not path.is_dir() and ".cache" not in path.parts)
    return {str(path.relative_to(place)): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in found}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_line(case, place, limits, monkeypatch, capfd, recwarn):
    case.prepare(place, monkeypatch)
    before = files(place)
    code = command(case.command.split(), monkeypatch)
    limits()  # at once: pytest itself writes files
    monkeypatch.undo()
    printed = capfd.readouterr()
    print(case.command, code, printed.err, sep="\n")
    assert code == 2, printed
    assert printed.err.count("\n") == 1, printed.err
    assert re.fullmatch(f"error: (?:{case.said})\n", printed.err), printed.err
    after = files(place)
    if case.keeps:
        new = [name for name in after if name not in before]
        assert not [name for name in new if ".part" in name or re.fullmatch(r"out/[^/]*\.pth", name)]
    else:
        assert after == before
        assert printed.out == ""
    assert not (place / "code-ran").exists()
    assert [str(warning.message) for warning in recwarn if issubclass(warning.category, UserWarning)] == []


@pytest.mark.parametrize("words", [TRAIN, PREDICT, EVALUATE, "Prepare_data.py balance -dir data"])
def test_the_folder_is_good_before_a_case_spoils_it(words, place, limits, monkeypatch, capfd):
    assert command(words.split(), monkeypatch) == 0, capfd.readouterr()


def test_the_spoilt_pickle_does_run_code_where_nothing_refuses_it(place):
    torch.save(Runs(), place / "w.pth")
    torch.load(place / "w.pth", weights_only=False)
    assert (place / "code-ran").is_dir()


@pytest.mark.parametrize("words", [TRAIN, PREDICT, EVALUATE, MASKS])
def test_ctrl_c_before_the_work_begins_leaves_nothing(words, place, limits, monkeypatch, capfd):
    for target in (
        "commands.train_network.initial_network",
        "inference.chosen.open_weights",
        "data.convert.folder._refuse_existing",
    ):
        raising(f"utils.{target}", KeyboardInterrupt())(place, monkeypatch)
    before = files(place)
    assert command(words.split(), monkeypatch) == 130
    assert capfd.readouterr().err == "interrupted\n"
    assert files(place) == before


@pytest.mark.slow
@pytest.mark.parametrize("case", PROCESSES, ids=lambda case: case.name)
def test_bad_input_is_one_line_in_a_process_of_its_own(case, place, monkeypatch):
    case.prepare(place, monkeypatch)
    before = files(place)
    script, *words = case.command.split()
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(place / "none"), "TORCH_HOME": str(place / "none")}
    done = subprocess.run(
        [sys.executable, ROOT / script, *words], env={**os.environ, **offline}, capture_output=True, text=True
    )
    print(case.command, done.returncode, done.stderr, sep="\n")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert re.fullmatch(f"error: {case.said}\n", done.stderr), done.stderr
    assert files(place) == before
