"""What lifts a network on scenes that it has not learnt: averaged weights, folds, a teacher, an ensemble.

A baseline is trained on side train of a split, once for each seed, and so is each lift, which changes what its name says
and nothing else. All are scored on side valid. Gains are paired: the same seed, the same images; their intervals are
drawn over groups of the split (scenes) and over seeds, so that neither lucky pictures nor a lucky seed look like a gain.
Rows that exist are not trained again: after an interruption the same command goes on where it was.

    python benchmarks/lifts.py -dir NEU -split split.csv -precision bf16 -threads 1 -num_of_workers 0
"""

import csv
import dataclasses
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.recipes import read_rows, write_rows
from benchmarks.small_training import SmallTraining
from config import EvaluateConfig, TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.evaluate import evaluate
from utils.commands.train import train
from utils.data.annotation_table import write_annotations
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.splits import VALID, read_split
from utils.device import processor
from utils.errors import InputError
from utils.files import write_text
from utils.scoring.bootstrap import LEVEL, ends
from utils.weights.run_files import SETTINGS

BASE, SWA, FOLDS, TEACHER, ENSEMBLE = ROWS = ("base", "swa", "folds", "teacher", "ensemble")
WORDS = {
    BASE: "baseline",
    SWA: "`-swa`, constant rate",
    FOLDS: "mean of the networks of `-folds`",
    TEACHER: "one network with these as `-teacher`",
    ENSEMBLE: "mean of the baselines of all seeds",
}
ALL = "all"  # as seed: one network of all seeds


@dataclasses.dataclass(frozen=True, kw_only=True)
class LiftsConfig(SmallTraining):
    """What this benchmark does."""

    split: Path = flag("CSV with image, side and group: trained on side train, scored on side valid, drawn by group")
    rows: tuple[str, ...] = flag(f"of {', '.join(ROWS)}; the baseline is always among them", ROWS)
    seeds: tuple[str, ...] = flag("a training of each row for each of these numbers", ("1", "2", "3"))
    folds: int = flag("of the row folds", 3, low=2)
    encoder_weights: str = flag("as for Train.py", "none")
    num_epochs: int = flag("passes over the training images", 12, low=1)
    min_area: int = flag("smallest connected defect in pixels", 100, low=0)
    resamples: int = flag("of the intervals", 2000, low=100)
    runs: Path = flag("folder for the run folders", Path("runs/lifts"))
    out: Path = flag("CSV file of the scores; the table goes beside it as .md", Path("benchmarks/results/lifts.csv"))


def main(
    argv: Sequence[str],
    trainer: Callable[[TrainConfig], Any] = train,
    scorer: Callable[[EvaluateConfig], Any] = evaluate,
) -> int:
    """Train and score what is missing; write CSV and table after each network."""
    config = parse(LiftsConfig, argv, "lifts.py", "Trains a baseline and what may lift it, and compares them in pairs.")
    rows, seeds = _check(config)
    dataset = open_dataset(config.dir)
    frame = read_split(config.split, list(dataset.images))
    valid = frame[frame["side"] == VALID]
    group_of = dict(zip(valid["image"], map(int, valid["group"]), strict=True))
    judged = make_valid(config, dataset, sorted(group_of))
    for row, seed in [(row, seed) for seed in seeds for row in rows if row != ENSEMBLE] + [
        (ENSEMBLE, ALL) for row in rows if row == ENSEMBLE
    ]:
        done = read_rows(config.out)
        if any((one["row"], one["seed"]) == (row, seed) for one in done):
            continue
        minutes = 0.0 if row == ENSEMBLE else _train(config, trainer, row, seed)
        weights = ",".join(str(_folder(config, BASE, one)) for one in seeds) if row == ENSEMBLE else None
        scoring = EvaluateConfig(
            dir=judged,
            weights_dir=Path(weights or _folder(config, row, seed)),
            split="all",
            out=_scores(config, row, seed),
            device=config.device,
            threads=config.threads,
            resamples=0,
        )
        scores = scorer(scoring).scores
        figures = {"mean_dice": scores.mean_dice, "defect_dice": scores.defect_dice or 0.0}
        about = {"images": len(group_of), "epochs": config.num_epochs, "minutes": round(minutes, 2)}
        about |= {"encoder": config.encoder, "dataset": config.dir.resolve().name, "hardware": processor()}
        found = {name: round(value, 6) for name, value in figures.items()}
        write_rows(config.out, [*done, {"row": row, "seed": seed, **found, **about}])
        write_text(config.out.with_suffix(".md"), table(config, read_rows(config.out), group_of))
    print(table(config, read_rows(config.out), group_of))
    return DONE


def settings_of(config: LiftsConfig, row: str, seed: str) -> TrainConfig:
    """Return the settings of one training."""
    values = {**config.values("encoder_weights", "min_area"), "cache": "ram"}
    changes: Mapping[str, dict[str, Any]] = {
        BASE: {},
        # A rate that ends at nothing leaves nothing to average.
        SWA: {"swa": max(2, config.num_epochs // 3), "schedule": "constant"},
        FOLDS: {"folds": config.folds},
        TEACHER: {"teacher": (str(_folder(config, FOLDS, seed)),)},
    }
    out = _folder(config, row, seed)
    return TrainConfig(dir=config.dir, split=config.split, out=out, seed=int(seed), **(values | changes[row]))


def make_valid(config: LiftsConfig, dataset: Dataset, names: Sequence[str]) -> Path:
    """Lay out the validation images as a dataset folder, by links: every network is scored on all of it."""
    place = config.runs / "valid"
    images = place / "train_images"
    for name in names:
        link = images / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(dataset.path(name).resolve())
    rows = dataset.annotations.rows
    write_annotations(rows[rows["image"].isin(set(names))], place / "train.csv")
    write_text(place / "classes.txt", "\n".join(dataset.annotations.class_names) + "\n")
    return place


def gain(
    base: np.ndarray, lift: np.ndarray, known: np.ndarray, groups: Sequence[int], resamples: int
) -> dict[str, tuple[float, float, float]]:
    """Compare two rows in pairs.

    Args:
        base: (S, N, C) Dice of the baseline of each seed, of each image and class.
        lift: likewise, in the same order.
        known: (N, C) bool, pairs of image and class that have a defect.
        groups: (N,) group of each image.
        resamples: draws of groups and of seeds, both with replacement.

    Returns:
        ``mean_dice`` and ``defect_dice``: the gain, and the ends of its 95 % interval.
    """
    apart = lift - base
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    member = (np.arange(len(names))[:, None] == group_of).astype(np.float64)
    random = np.random.default_rng(0)
    drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples).astype(np.float64)
    seeds = random.multinomial(len(apart), np.full(len(apart), 1 / len(apart)), resamples) / len(apart)
    found = {}
    for score, counted in (("mean_dice", np.ones_like(known)), ("defect_dice", known)):
        over = member @ (apart * counted).sum(2).T  # (G, S)
        under = member @ counted.sum(1)
        weight = drawn @ under
        values = ((drawn @ over) * seeds).sum(1)[weight > 0] / weight[weight > 0]
        found[score] = (float(over.sum() / len(apart) / under.sum()), *ends(values))
    return found


def read_dice(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Read ``scores.csv`` of an evaluation: images, (N, C) Dice, and (N, C) bool, whether there is a defect."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    images = list(dict.fromkeys(row["image"] for row in rows))
    shape = (len(images), -1)
    order = np.argsort(images)
    dice = np.array([float(row["dice"]) for row in rows]).reshape(shape)[order]
    known = np.array([int(row["tp"]) + int(row["fn"]) > 0 for row in rows]).reshape(shape)[order]
    return sorted(images), dice, known


def table(config: LiftsConfig, rows: Sequence[dict[str, str]], group_of: Mapping[str, int]) -> str:
    """Format the scores as Markdown: means over the seeds, and the paired gain over the baseline."""
    lines = [
        f"| | mean Dice | gain, {LEVEL:.0%} interval | defect-only Dice | gain, {LEVEL:.0%} interval | seeds | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    dice = {
        (row["row"], row["seed"]): read_dice(_scores(config, row["row"], row["seed"]) / "scores.csv") for row in rows
    }
    for name in ROWS:
        mine = [row for row in rows if row["row"] == name]
        seeds = [row["seed"] for row in mine]
        pairs = [(seed, seed) for seed in seeds] if name != ENSEMBLE else [(_, ALL) for row, _ in dice if row == BASE]
        pairs = [(one, other) for one, other in pairs if (BASE, one) in dice]
        if not mine or not pairs:
            continue
        images, _, known = dice[BASE, pairs[0][0]]
        found = {}
        if name != BASE:
            base, lift = np.stack([dice[BASE, s][1] for s, _ in pairs]), np.stack([dice[name, s][1] for _, s in pairs])
            found = gain(base, lift, known, [group_of[image] for image in images], config.resamples)
        cells = [WORDS[name]]
        for score in ("mean_dice", "defect_dice"):
            cells.append(f"{statistics.fmean(float(row[score]) for row in mine):.4f}")
            cells.append(_in_words(*found[score]) if found else "")
        minutes = statistics.fmean(float(row["minutes"]) for row in mine)
        lines.append(f"| {' | '.join([*cells, ', '.join(seeds), f'{minutes:.1f}'])} |")
    if rows:
        first, groups = rows[0], len(set(group_of.values()))
        lines += ["", f"{first['encoder']}, {first['epochs']} epochs, {first['dataset']}: {first['images']} validation"]
        lines += [f"images of {groups} scenes; {first['hardware']}. Minutes: of one seed's training, the networks of"]
        lines += [
            "`-folds` together; the teacher's are those of the row above. Intervals are drawn over scenes and seeds."
        ]
    return "\n".join([*lines, ""])


def _in_words(value: float, low: float, high: float) -> str:
    verdict = "" if not low <= 0 <= high else ", cannot be told"
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f}{verdict})"


def _check(config: LiftsConfig) -> tuple[list[str], list[str]]:
    """Return the rows in the order of their training, and the seeds."""
    for name in config.rows:
        if name not in ROWS:
            raise InputError(f"-rows {name}: choose from {', '.join(ROWS)}")
    for word in config.seeds:
        if not word.isdecimal():
            raise InputError(f"-seeds {word}: expected whole numbers with commas between them, as in 1,2,3")
    config.check_recipe()
    rows = [name for name in ROWS if name in (BASE, *config.rows)]
    if TEACHER in rows and FOLDS not in rows:
        raise InputError(f"-rows {TEACHER}: learns from the networks of {FOLDS}; add it")
    if ENSEMBLE in rows and len(config.seeds) < 2:
        raise InputError(f"-rows {ENSEMBLE}: is the mean over the seeds; give two -seeds or more")
    return rows, list(config.seeds)


def _train(config: LiftsConfig, trainer: Callable[[TrainConfig], Any], row: str, seed: str) -> float:
    """Train what belongs to a row and seed, or go on with it; return the minutes that took."""
    folder = _folder(config, row, seed)
    print(f"{row}, seed {seed}: {folder}", flush=True)
    began = (folder / SETTINGS).exists()
    result = trainer(TrainConfig(resume=folder) if began else settings_of(config, row, seed))
    return float(result.seconds) / 60


def _folder(config: LiftsConfig, row: str, seed: str) -> Path:
    return config.runs / f"{row}-{seed}"


def _scores(config: LiftsConfig, row: str, seed: str) -> Path:
    """Return the folder of an evaluation."""
    return config.runs / "scores" / f"{row}-{seed}"


if __name__ == "__main__":
    run(main)
