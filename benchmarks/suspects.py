"""How many wrong labels ``Prepare_data.py suspect`` puts first: a part of the masks is spoilt on purpose, and looked for.

Of the images of side train that show a defect, ``-share`` is spoilt, a third each: the mask is dropped, is given to another
class, or is shifted by ``-shift`` pixels in a random direction. Networks are trained on the folds of these labels, so they
learn from the spoilt ones too, as at a plant. Precision is that of the first ``-first`` images of the table; wrong labels
that the data set had before count against it.

    python benchmarks/suspects.py -dir NEU -split split.csv -precision bf16 -threads 1 -num_of_workers 0
"""

import dataclasses
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.recipes import read_rows, write_rows
from benchmarks.small_training import SmallTraining
from config import SuspectConfig, TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.suspect import ASIDE, TABLE, suspect
from utils.commands.train import train
from utils.data import rle
from utils.data.annotation_table import write_annotations
from utils.data.annotations import make_rows
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.images import read_size
from utils.data.splits import TRAIN, read_split, write_split
from utils.device import processor
from utils.errors import InputError
from utils.files import write_text
from utils.weights.run_files import OOF, SETTINGS

DROPPED, SWAPPED, SHIFTED = FAULTS = ("dropped", "swapped", "shifted")
# How the table is ranked: the flags of the command beside -dir and -out.
WAYS: dict[str, dict[str, Any]] = {
    "networks": {"copies": False},
    "networks and copies": {},
    "cleanlab": {"copies": False, "rank": "cleanlab"},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuspectsConfig(SmallTraining):
    """What this benchmark does."""

    split: Path = flag("CSV with image, side and group: side train is spoilt, no group is in two folds")
    ways: tuple[str, ...] = flag(f"of {', '.join(WAYS)}; cleanlab needs requirements-labels.txt", tuple(WAYS)[:2])
    share: float = flag("share of the images with a defect that is spoilt, 0..1", 0.05, low=0.001, high=1)
    shift: int = flag("pixels by which a mask is shifted", 8, low=1)
    first: int = flag("images at the head of the table that precision is of", 50, low=1)
    seed: int = flag("fixes what is spoilt, folds and networks", 1, low=0)
    folds: int = flag("as for Train.py", 2, low=2)
    encoder_weights: str = flag("as for Train.py", "none")
    image_size: tuple[int, int] | None = flag("H,W in pixels that networks see; none: their own size", (96, 96))
    crop: tuple[int, int] | None = flag("H,W in pixels of training crops; none: whole images", None)
    num_epochs: int = flag("passes over the training images", 5, low=1)
    runs: Path = flag("folder for the data folder and the run folder", Path("runs/suspects"))
    out: Path = flag(
        "CSV file of the results; the table goes beside it as .md", Path("benchmarks/results/suspects.csv")
    )


def main(
    argv: Sequence[str],
    trainer: Callable[[TrainConfig], Any] = train,
    finder: Callable[[SuspectConfig], Any] = suspect,
) -> int:
    """Spoil and train on folds, each only where that is not done yet; look each time; write CSV and table."""
    config = parse(SuspectsConfig, argv, "suspects.py", "Spoils a part of the masks, and looks for them.")
    for way in config.ways:
        if way not in WAYS:
            raise InputError(f"-ways {way}: choose from {', '.join(WAYS)}")
    config.check_recipe()
    data, faults = make_data(config, open_dataset(config.dir))
    folder = config.runs / "folds"
    minutes = 0.0
    if not (folder / OOF).is_file():
        began = (folder / SETTINGS).exists()
        result = trainer(TrainConfig(resume=folder) if began else settings_of(config, data))
        minutes = float(result.seconds) / 60
    for way in config.ways:
        out = config.runs / way.replace(" ", "-")
        if (out / ASIDE).is_dir():  # of an earlier run of this benchmark; the command never writes over it
            shutil.rmtree(out / ASIDE)
        finder(
            SuspectConfig(
                dir=data, folds_run=folder, out=out, threads=config.threads, device=config.device, **WAYS[way]
            )
        )
        found = score(pd.read_csv(out / TABLE), faults, config.first)
        about = {"spoilt": len(faults), "first": config.first, "folds": config.folds, "epochs": config.num_epochs}
        about |= {"minutes": round(minutes, 2), "seed": config.seed, "encoder": config.encoder}
        about |= {"dataset": config.dir.resolve().name, "hardware": processor()}
        done = [row for row in read_rows(config.out) if (row["way"], row["seed"]) != (way, str(config.seed))]
        write_rows(config.out, [*done, {"way": way, **found, **about}])
    rows = read_rows(config.out)
    write_text(config.out.with_suffix(".md"), table(rows))
    print(table(rows))
    return DONE


def settings_of(config: SuspectsConfig, data: Path) -> TrainConfig:
    """Return the settings of the training on folds."""
    own = config.values("encoder_weights", "image_size", "seed", "folds")
    values = {**own, "cache": "ram", "oof": "probabilities"}
    return TrainConfig(dir=data, split=data / "split.csv", out=config.runs / "folds", **values)


def make_data(config: SuspectsConfig, dataset: Dataset) -> tuple[Path, dict[str, str]]:
    """Lay out the images of side train by links, with spoilt labels; one that is there is used again.

    Returns:
        The dataset folder, and what was done to each spoilt image.
    """
    place, told = config.runs / "data", config.runs / "spoilt.csv"
    if told.is_file():
        frame = pd.read_csv(told)
        return place, dict(zip(frame["image"], frame["fault"], strict=True))
    frame = read_split(config.split, list(dataset.images))
    frame = frame[frame["side"] == TRAIN]
    names = sorted(frame["image"])
    for name in names:
        link = place / "train_images" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(dataset.path(name).resolve())
    rows, faults = spoil(config, dataset, names)
    write_annotations(rows, place / "train.csv")
    write_text(place / "classes.txt", "\n".join(dataset.annotations.class_names) + "\n")
    write_split(frame, place / "split.csv")
    pd.DataFrame(sorted(faults.items()), columns=["image", "fault"]).to_csv(told, index=False)
    return place, faults


def spoil(config: SuspectsConfig, dataset: Dataset, names: Sequence[str]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Spoil the masks of some images; return the rows of all labels, and what was done to each spoilt image."""
    random = np.random.default_rng(config.seed)
    classes = dataset.annotations.num_classes
    with_defect = [name for name in names if dataset.annotations.runs(name)]
    order = random.permutation(with_defect).tolist()
    chosen = order[: max(1, round(config.share * len(order)))]
    kinds = [one for one in FAULTS if one != SWAPPED or classes > 1]
    faults = {name: kinds[number % len(kinds)] for number, name in enumerate(chosen)}
    records: list[tuple[str, int, str, int]] = []
    for name in names:
        runs = dataset.annotations.runs(name)
        fault = faults.get(name)
        if fault == SWAPPED:
            by = int(random.integers(1, classes))
            runs = {(class_id - 1 + by) % classes + 1: code for class_id, code in runs.items()}
        elif fault == SHIFTED:
            height, width = read_size(dataset.path(name))
            angle = random.uniform(0, 2 * np.pi)
            down, right = round(config.shift * np.sin(angle)), round(config.shift * np.cos(angle))
            moved = {k: _moved(rle.decode(code, height, width), down, right) for k, code in runs.items()}
            runs = {k: rle.encode(mask) for k, mask in moved.items() if mask.any()}
        elif fault == DROPPED:
            runs = {}
        records += [(name, class_id, code, 0) for class_id, code in sorted(runs.items())]
    return make_rows(records), faults


def _moved(mask: np.ndarray, down: int, right: int) -> np.ndarray:
    """Shift a mask; what comes in from outside is empty."""
    moved = np.zeros_like(mask)
    height, width = mask.shape
    moved[max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = mask[
        max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)
    ]
    return moved


def score(found: pd.DataFrame, faults: dict[str, str], first: int) -> dict[str, Any]:
    """Compute precision of the head of the table, and which share of each fault is there and in twice as many as are spoilt."""
    order = list(dict.fromkeys(found["image"]))
    head, twice = set(order[:first]), set(order[: 2 * len(faults)])
    row: dict[str, Any] = {"precision": round(sum(name in faults for name in head) / first, 4)}
    for fault in FAULTS:
        mine = {name for name, kind in faults.items() if kind == fault}
        row[f"first_{fault}"] = len(mine & head)
        row[f"recall_{fault}"] = round(len(mine & twice) / len(mine), 4) if mine else ""
    return row


def table(rows: Sequence[dict[str, str]]) -> str:
    """Format the results as Markdown."""
    if not rows:
        return ""
    first = rows[0]
    lines = [
        f"| ranked by | precision in the first {first['first']} | of these dropped, swapped, shifted | recall of each in"
        " the first 2 x spoilt |",
        "|---|---|---|---|",
    ]
    for row in rows:
        counts = ", ".join(row[f"first_{fault}"] for fault in FAULTS)
        recall = ", ".join(
            f"{float(row[f'recall_{fault}']):.2f}" if row[f"recall_{fault}"] else "-" for fault in FAULTS
        )
        lines.append(f"| {row['way']} | {float(row['precision']):.2f} | {counts} | {recall} |")
    lines += ["", f"{first['spoilt']} spoilt images, {first['dataset']}; {first['folds']} folds, {first['encoder']},"]
    lines += [f"{first['epochs']} epochs, {first['hardware']}.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
