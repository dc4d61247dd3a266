"""Every architecture and every system with one budget: the same images, split, encoder, epochs and rates.

Each row trains (or goes on where it was interrupted), calibrates on the validation images, and is scored on images that
neither training nor calibration has seen. Rows that the CSV already has are left out, so the table can be made in pieces:

    python benchmarks/systems.py -work /tmp/systems -dir NEU -num_epochs 8 -minutes 60
    python benchmarks/systems.py -work /tmp/systems -dir NEU -num_epochs 8 -only two-stage,six-model

NEU stands for a dataset folder; without ``-dir`` there are only the synthetic strips, which have clean images too.
"""

import csv
import dataclasses
import io
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from config import Backend, Device, EvaluateConfig, Precision, SynthesiseConfig, TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.evaluate import evaluate
from utils.commands.train import train
from utils.data.annotation_table import write_annotations
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.splits import near_duplicate_groups, split, write_split
from utils.data.synthetic import synthesise
from utils.decision.gate import Gate
from utils.device import processor
from utils.errors import InputError
from utils.files import write_text
from utils.weights.finding import find, open_weights
from utils.weights.run_files import SETTINGS
from utils.weights.system_file import SystemFile, read_system


@dataclasses.dataclass(frozen=True, kw_only=True)
class SystemsConfig:
    """What this benchmark does."""

    work: Path = flag("folder for data and runs; what is in it is used again")
    dir: Path | None = flag("labelled dataset folder to train on beside the strips; none: strips only", None)
    num_of_images: int = flag("images taken from -dir, a fifth of them to score; 0: all", 1000, low=0)
    num_of_strips: int = flag("synthetic strips to train on; half as many more to score; 0: none", 600, low=0)
    strip_size: tuple[int, int] = flag("H,W in pixels of the strips; small ones are learnt in minutes", (96, 192))
    strip_contrast: float = flag(
        "strength of the strips' defects; 3 lets a network tell four classes apart in minutes", 3.0, low=0.1, high=4
    )
    strip_distractors: float = flag("how often the strips have harmless marks; 1 as on real ones", 0.3, low=0, high=1)
    only: tuple[str, ...] | None = flag("rows to make, by name; none: all", None)
    minutes: int = flag("begin no row after so many minutes; 0: no limit", 0, low=0)
    encoder: str = flag("encoder of every network but FCN-32s", "resnet18")
    encoder_weights: str = flag("imagenet or none", "none")
    num_epochs: int = flag("epochs of every network", 8, low=1)
    image_size: tuple[int, int] | None = flag("H,W in pixels that images are resized to, or native", None)
    crop: tuple[int, int] | None = flag("H,W in pixels of the training crops, or native", (192, 192))
    batch_size: int = flag("images a step", 8, low=1)
    seed: int = flag("of data and training", 42, low=0)
    device: Device = flag("auto takes a GPU when there is one", "auto")
    precision: Precision = flag("f32; bf16 where the machine has it", "f32")
    backend: Backend = flag("what runs the networks that are scored, in f32; seconds an image are its own", "auto")
    threads: int = flag("CPU threads; 0: all cores", 0, low=0)
    num_of_workers: int | None = flag("processes that load images, or auto", None, low=0)
    out: Path = flag(
        "CSV file to add to; the Markdown table beside it is written anew", Path("benchmarks/results/systems.csv")
    )


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of the table.

    Args:
        settings: what differs from the common settings of training.
        of: row whose networks are used again; none: trains its own.
        tta: see ``-tta``.
        soft: turn the system's gate into a soft one.
        init_from: row whose encoder to begin with.
    """

    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    of: str | None = None
    tta: str = "none"
    soft: bool = False
    init_from: str | None = None


# VGG-11 has no batch normalisation: from random weights, at the others' rate of 2e-3, it answers "background" for ever.
FCN = {"architecture": "fcn32s", "encoder": "vgg11", "task": "multiclass", "lr_encoder": 2e-4, "lr_decoder": 2e-4}
ROWS: dict[str, Row] = {
    "unet": Row(),
    "unet flips": Row(of="unet", tta="flips"),
    **{
        name: Row({"architecture": name})
        for name in (
            *("linknet", "fpn", "unetplusplus", "deeplabv3plus", "pspnet", "pan", "manet", "upernet", "segformer"),
        )
    },
    "fcn32s cross-entropy": Row({**FCN, "loss": "cross_entropy"}),
    "fcn32s soft Dice": Row({**FCN, "loss": "dice"}),
    "unet binary": Row({"task": "binary"}),
    "unet multiclass": Row({"task": "multiclass", "loss": "cross_entropy"}),
    "classify-binary": Row({"task": "classify-binary"}),
    "classify-multilabel": Row({"task": "classify-multilabel"}),
    "unet from classifier": Row(init_from="classify-binary"),
    "two-stage": Row({"system": "two-stage"}),
    "two-stage soft gate": Row(of="two-stage", soft=True),
    "two-stage flips": Row(of="two-stage", tta="flips"),
    "six-model": Row({"system": "six-model"}),
    "two-head": Row({"system": "two-head"}),
    "shared-backbone": Row({"system": "shared-backbone"}),
}

BUDGET = ("data", "row", "encoder", "encoder_weights", "epochs", "image_size", "crop", "images_train", "images_scored")
FIGURES = ("mean_dice", "defect_dice", "empty_baseline", "clean_false_alarms", "image_f1")
SHOWN = {
    "mean_dice": "mean Dice",
    "defect_dice": "defect-only",
    "clean_false_alarms": "clean with alarm",
    "image_f1": "image F1",
    "seconds_per_image": "ms",
}
COLUMNS = (*BUDGET, *FIGURES, "parameters_m", "seconds_per_image", "train_minutes", "note", "machine")


@dataclasses.dataclass(frozen=True)
class Data:
    """Images to train on with their split, and images to score."""

    name: str
    train: Path
    scored: Path
    split: Path


def main(argv: Sequence[str]) -> int:
    """Make the rows that are missing, then the table."""
    config = parse(SystemsConfig, argv, "systems.py", "Train and score every architecture and system with one budget.")
    names = list(config.only or ROWS)
    if unknown := [name for name in names if name not in ROWS]:
        raise InputError(f"-only {','.join(unknown)}: choose from {', '.join(ROWS)}")
    began = time.monotonic()
    for data in prepare(config):
        for name in names:
            budget = budget_of(config, data, name)
            if any(all(row[key] == budget[key] for key in BUDGET) for row in read_rows(config.out)):
                continue
            if config.minutes and time.monotonic() - began > 60 * config.minutes:
                print(f"-minutes {config.minutes} are over; the same command makes the rows that are missing")
                return DONE
            print(f"\n=== {data.name}: {name}", flush=True)
            try:
                measured = measure(config, data, name)
            except InputError as error:
                measured = {"note": str(error).removeprefix(f"{data.train / 'train.csv'}: ")}
            write_rows(config.out, [*read_rows(config.out), {**dict.fromkeys(COLUMNS, ""), **budget, **measured}])
    print(config.out.with_suffix(".md").read_text(encoding="utf-8"))
    return DONE


def prepare(config: SystemsConfig) -> list[Data]:
    """Make the data, or find it made."""
    made = []
    if config.dir is not None:
        made.append(hold_out(config, open_dataset(config.dir)))
    if config.num_of_strips:
        root = config.work / f"strips-{config.num_of_strips}-{'x'.join(map(str, config.strip_size))}"
        for side, count, seed in (("train", config.num_of_strips, 0), ("scored", config.num_of_strips // 2, 1)):
            if not (root / side / "train.csv").exists():
                # Three in ten strips are clean; of the real ones it is half.
                strips = {"image_size": config.strip_size, "contrast": config.strip_contrast, "class_floor": 0.15}
                strips |= {"distractors": config.strip_distractors}
                print(
                    synthesise(
                        SynthesiseConfig(dir=root / side, num_of_images=count, seed=config.seed + seed, **strips)
                    )
                )
        made.append(Data("strips", root / "train", root / "scored", root / "split.csv"))
    for data in made:
        if not data.split.exists():
            dataset = open_dataset(data.train)
            groups = near_duplicate_groups(dataset, None, True)
            write_split(split(dataset.annotations, dataset.images, 0.2, config.seed, groups), data.split)
    return made


def hold_out(config: SystemsConfig, dataset: Dataset) -> Data:
    """Set a fifth of a dataset's images aside to score, near-duplicates on one side."""
    name = dataset.root.resolve().name
    root = config.work / f"{name}-{config.num_of_images or 'all'}"
    names = np.random.default_rng(config.seed).permutation(dataset.images).tolist()
    names = sorted(names[: config.num_of_images or None])
    if not (root / "scored" / "train.csv").exists():
        groups = near_duplicate_groups(dataset, None, True, names)
        frame = split(dataset.annotations, names, 0.2, config.seed, groups)
        for side, folder in (("train", "train"), ("valid", "scored")):
            chosen = set(frame.loc[frame["side"] == side, "image"])
            (root / folder / "train_images").mkdir(parents=True, exist_ok=True)
            write_text(root / folder / "classes.txt", "".join(f"{one}\n" for one in dataset.annotations.class_names))
            for image in sorted(chosen):
                link = root / folder / "train_images" / image
                if not link.exists():
                    shutil.copyfile(dataset.path(image), link)
            rows = dataset.annotations.rows
            write_annotations(rows[rows["image"].isin(chosen)], root / folder / "train.csv")
    return Data(name, root / "train", root / "scored", root / "split.csv")


def measure(config: SystemsConfig, data: Data, name: str) -> dict[str, Any]:
    """Train, calibrate and score one row."""
    row = ROWS[name]
    source = row.of or name
    minutes = train_row(config, data, source)
    folder = run_folder(config, data, source)
    path = find(folder)
    weights = open_weights(path)
    is_classifier = weights.spec.is_classifier
    common: dict[str, Any] = {"batch_size": 4, "device": config.device, "threads": config.threads}
    common |= {"backend": config.backend, "tta": row.tta}
    if not is_classifier and (row.of or not isinstance(weights, SystemFile)):
        # Thresholds that are chosen for every row the same way, on the validation images; a system's are already.
        path = variant(path, folder / "variants" / file_name(name), row.soft)
        out = path.parent / "calibration"
        evaluate(EvaluateConfig(dir=data.train, weights_dir=path, split="valid", calibrate=True, out=out, **common))
        path = newest(path)
    out = path.parent / "scores"
    result = evaluate(EvaluateConfig(dir=data.scored, weights_dir=path, split="all", out=out, **common))
    figures = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    members = weights.members.values() if isinstance(weights, SystemFile) else [weights]
    parameters = sum(sum(p.numel() for p in member.build().parameters()) for member in members)
    measured = {
        "parameters_m": f"{parameters / 1e6:.1f}",
        "seconds_per_image": f"{1 / figures['images_per_second']:.4f}",
        "train_minutes": "" if row.of else f"{minutes:.1f}",
        "machine": f"{processor()}, torch {torch.__version__}, {result.network}",
    }
    if is_classifier:
        return {**measured, "image_f1": words(figures["f1"]), "note": "no masks"}
    measured |= {key: words(figures[key]) for key in ("mean_dice", "defect_dice", "empty_baseline")}
    return {**measured, **image_figures(out / "scores.csv")}


def train_row(config: SystemsConfig, data: Data, name: str) -> float:
    """Train the networks of a row unless that is done; give the minutes that it took."""
    folder = run_folder(config, data, name)
    clock = folder / "minutes.txt"
    if clock.exists():
        return float(clock.read_text())
    began = time.monotonic()
    if (folder / SETTINGS).exists():
        train(TrainConfig(resume=folder))
    else:
        train(settings(config, data, name, folder))
    minutes = (time.monotonic() - began) / 60
    write_text(clock, f"{minutes:.2f}\n")
    return minutes


def settings(config: SystemsConfig, data: Data, name: str, folder: Path) -> TrainConfig:
    """Return the settings of a row's training: the common ones and its own."""
    row = ROWS[name]
    init = None
    if row.init_from:
        train_row(config, data, row.init_from)
        init = find(run_folder(config, data, row.init_from))
    common: dict[str, Any] = {
        "dir": data.train,
        "out": folder,
        "split": data.split,
        "encoder": config.encoder,
        "encoder_weights": config.encoder_weights,
        "init_encoder": init,
        "image_size": config.image_size,
        "crop": config.crop,
        "crop_defect": 0.5,
        "augmentation": "flips",
        "optimizer": "adamw",
        "weight_decay": 1e-2,
        "lr_encoder": 2e-3,
        "lr_decoder": 2e-3,
        "schedule": "onecycle",
        "num_epochs": config.num_epochs,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "device": config.device,
        "precision": config.precision,
        "threads": config.threads,
        "num_of_workers": config.num_of_workers,
    }
    return TrainConfig(**{**common, **row.settings})


def run_folder(config: SystemsConfig, data: Data, name: str) -> Path:
    """Return the run folder of a row; other budgets have others."""
    words_ = budget_of(config, data, name)
    budget = "-".join(words_[key] for key in ("encoder", "encoder_weights", "epochs", "image_size", "crop"))
    return config.work / "runs" / data.train.parent.name / budget / file_name(name)


def file_name(row: str) -> str:
    """Return a row's name as part of a path."""
    return row.replace(" ", "-")


def variant(path: Path, folder: Path, soft: bool) -> Path:
    """Copy weights and their split to a folder, so that calibrating them does not change those of another row."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path.parent / "split.csv", folder / "split.csv")
    if path.suffix == ".json":
        system = read_system(path)
        opened = system.gate.opened()
        gate = Gate("soft", opened.image, opened.classes, 3.0) if soft else system.gate
        dataclasses.replace(system, gate=gate).save(folder / path.name)
        return folder / path.name
    for old in folder.glob("*.pth"):
        old.unlink()
    return Path(shutil.copy(path, folder))


def newest(path: Path) -> Path:
    """Return the weights file after its calibration, which may have given it another name."""
    return path if path.exists() else max(path.parent.glob("*.pth"), key=lambda file: file.stat().st_mtime)


def image_figures(scores: Path) -> dict[str, str]:
    """Score the images as a whole from the pixel counts of their masks.

    Returns:
        ``clean_false_alarms``: share of the clean images with any mask; ``image_f1``: mean over the classes of the F1 of
        "the image shows the class".
    """
    with open(scores, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    images, classes = sorted({row["image"] for row in rows}), sorted({row["class_id"] for row in rows})
    place = {image: number for number, image in enumerate(images)}
    truth, said = (np.zeros((len(images), len(classes)), dtype=bool) for _ in range(2))
    for row in rows:
        where = place[row["image"]], classes.index(row["class_id"])
        truth[where] = int(row["tp"]) + int(row["fn"]) > 0
        said[where] = int(row["tp"]) + int(row["fp"]) > 0
    clean = ~truth.any(axis=1)
    both, total = (truth & said).sum(axis=0), truth.sum(axis=0) + said.sum(axis=0)
    return {
        "clean_false_alarms": words(said[clean].any(axis=1).mean() if clean.any() else None),
        "image_f1": words(np.mean(2 * both[total > 0] / total[total > 0]) if total.any() else None),
    }


def budget_of(config: SystemsConfig, data: Data, name: str) -> dict[str, str]:
    """Return what makes a row of the table the one that is asked for."""
    counts = [len(list((folder / "train_images").iterdir())) for folder in (data.train, data.scored)]
    return {
        "data": data.name,
        "row": name,
        "encoder": ROWS[ROWS[name].of or name].settings.get("encoder", config.encoder),
        "encoder_weights": config.encoder_weights,
        "epochs": str(config.num_epochs),
        "image_size": size_words(config.image_size),
        "crop": size_words(config.crop),
        "images_train": str(counts[0]),
        "images_scored": str(counts[1]),
    }


def size_words(size: tuple[int, int] | None) -> str:
    """Return a size as 192x192, or native."""
    return "x".join(map(str, size)) if size else "native"


def words(value: float | None) -> str:
    """Return a figure with three places; nothing when it does not exist."""
    return "" if value is None else f"{value:.3f}"


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows made so far."""
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write CSV and Markdown table."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
    write_text(path.with_suffix(".md"), table(rows))


def table(rows: Sequence[dict[str, str]]) -> str:
    """Return the rows as Markdown: a line for each architecture or system, a group of columns for each data set."""
    data = list(dict.fromkeys(row["data"] for row in rows))
    # A figure that a data set cannot have, such as false alarms where nothing is clean, gets no column.
    columns = [(one, key) for one in data for key in SHOWN if any(row[key] for row in rows if row["data"] == one)]
    lines = [f"| | M parameters | {' | '.join(f'{one}: {SHOWN[key]}' for one, key in columns)} |"]
    lines.append("|---" * (2 + len(columns)) + "|")
    for name in dict.fromkeys(row["row"] for row in rows):
        mine = {row["data"]: row for row in rows if row["row"] == name}
        found = [shown(mine.get(one, {}), key) for one, key in columns]
        parameters = next((row["parameters_m"] for row in mine.values() if row["parameters_m"]), "")
        lines.append(f"| {' | '.join([name, parameters, *found])} |")
    return "\n".join(lines) + "\n"


def shown(row: dict[str, str], key: str) -> str:
    """Return a figure of a row for reading: seconds as milliseconds."""
    value = row.get(key, "")
    return f"{1e3 * float(value):.0f}" if value and key == "seconds_per_image" else value or "-"


if __name__ == "__main__":
    run(main)
