"""What each proposed change of the training recipe is worth: one network, one split, one change a row.

The first row is the published recipe (balanced-1000); every other changes what its name says and nothing else. All rows
of all seeds are validated on the same images, chosen once with near-duplicates on one side; rows of the balanced
subset train on those of its images that are not among them. A row is done when it stands in the CSV file: after an
interruption the same command goes on where it was, in the middle of a training too.

    python benchmarks/recipes.py -dir NEU -image_size 256,256 -crop 192,192 -num_epochs 12 -seeds 1,2,3 -precision bf16
"""

import csv
import dataclasses
import hashlib
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from config import RECIPES, Device, Precision, TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.train import train
from utils.commands.train_network import TrainResult
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.splits import balance, near_duplicate_groups, read_split, split, write_split
from utils.device import processor
from utils.errors import InputError
from utils.files import replacing, write_text
from utils.weights.run_files import HISTORY, SETTINGS, SPLIT

BASE = "balanced-1000"
SCORES = ("mean_dice", "empty_baseline", "defect_dice", "iou")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipesConfig:
    """What this benchmark does."""

    dir: Path = flag("dataset folder")
    rows: tuple[str, ...] | None = flag(
        "rows to train, by name; none: all; the published recipe is always among them", None
    )
    seeds: tuple[str, ...] = flag("a training of each row for each of these numbers", ("1",))
    num_epochs: int = flag("passes over the training images; the longer row takes twice as many", 12, low=1)
    architecture: str = flag("decoder", "unet")
    encoder: str = flag("SMP or timm encoder; a small one", "resnet18")
    encoder_weights: str = flag("imagenet or none", "none")
    image_size: tuple[int, int] | None = flag(
        "H,W in pixels of every row in place of the recipes' own; none: theirs", None
    )
    crop: tuple[int, int] = flag("H,W in pixels of the crops in the rows that crop, whose names say it", (256, 256))
    per_class: int = flag("images of each class in the balanced subset", 250, low=1)
    valid_fraction: float = flag("share of the images for validation", 0.2, low=0.01, high=0.9)
    split_seed: int = flag("fixes the split and the balanced subset", 42, low=0)
    min_area: int = flag("smallest connected defect in pixels", 0, low=0)
    precision: Precision = flag("f32, bf16 or f16", "f32")
    device: Device = flag("auto takes a GPU when there is one", "auto")
    threads: int = flag("CPU threads; 0: all cores", 0, low=0)
    num_of_workers: int | None = flag("loading processes, or auto", None, low=0)
    runs: Path = flag("folder for the run folders", Path("runs/recipes"))
    out: Path = flag("CSV file of the results; the table goes beside it as .md", Path("benchmarks/results/recipes.csv"))


def proposals(config: RecipesConfig) -> dict[str, dict[str, Any]]:
    """Return what each row changes of the published recipe."""
    one_cycle, muon = (
        {name: value for name, value in RECIPES[recipe].items() if name not in ("num_epochs", "image_size")}
        for recipe in ("one-cycle", "muon")
    )
    crop = "{}x{}".format(*config.crop)
    steady = {
        "schedule": "onecycle",
        "optimizer": "adamw",
        "weight_decay": 1e-2,
        "lr_encoder": 2e-3,
        "lr_decoder": 2e-3,
    }
    return {
        BASE: {},
        "encoder rate 1e-4": {"lr_encoder": 1e-4},
        "both rates a third": {"lr_encoder": 3e-4, "lr_decoder": 3e-3},
        "both rates 1e-3": {"lr_encoder": 1e-3, "lr_decoder": 1e-3},
        "cosine schedule": {"schedule": "cosine"},
        "one-cycle AdamW": steady,
        "loss bce": {"loss": "bce"},
        "loss tversky": {"loss": "tversky"},
        "loss focal": {"loss": "focal"},
        "loss lovasz": {"loss": "lovasz"},
        "flips only": {"augmentation": "flips"},
        "no augmentation": {"augmentation": "none"},
        f"crops of {crop}": {"crop": config.crop},
        "black-out": {"blackout": 0.1},
        "EMA": {"ema": 0.995},
        "all images": {"subset": "all"},
        "twice as long": {"num_epochs": 2 * config.num_epochs},
        "one-cycle": one_cycle,
        "one-cycle at half the rates": {**one_cycle, "lr_encoder": 1e-3, "lr_decoder": 1e-3},
        "muon": muon,
        f"one-cycle with crops of {crop} and EMA": {**one_cycle, "crop": config.crop, "ema": 0.995},
    }


def main(argv: Sequence[str], trainer: Callable[[TrainConfig], TrainResult] = train) -> int:
    """Train what is missing and write both tables after each training."""
    config = parse(RecipesConfig, argv, "recipes.py", "Trains the published recipe and each proposed change of it.")
    rows = chosen(config)
    seeds = [_seed(word) for word in config.seeds]
    dataset = open_dataset(config.dir)
    budget = _budget(config)
    splits = make_splits(config, dataset)
    for name in rows:
        for seed in seeds:
            done = read_rows(config.out)
            key = {"row": name, "seed": str(seed), "budget": budget}
            if any(key.items() <= row.items() for row in done):
                continue
            settings = settings_of(config, name, rows[name], seed, splits)
            print(f"{name}, seed {seed}: {settings.out}", flush=True)
            assert settings.out
            started = (settings.out / SETTINGS).exists()
            result = trainer(TrainConfig(resume=settings.out) if started else settings)
            write_rows(config.out, [*done, {**key, **measured(settings, result)}])
            write_text(config.out.with_suffix(".md"), table(read_rows(config.out), budget))
    print(table(read_rows(config.out), budget))
    return DONE


def chosen(config: RecipesConfig) -> dict[str, dict[str, Any]]:
    """Return the rows to train, the published recipe first; raises ``InputError`` for a name that there is not."""
    rows = proposals(config)
    for name in config.rows or ():
        if name not in rows:
            raise InputError(f"-rows {name}: no such row; choose from {', '.join(rows)}")
    return {name: change for name, change in rows.items() if not config.rows or name in (BASE, *config.rows)}


def make_splits(config: RecipesConfig, dataset: Dataset) -> dict[str, Path]:
    """Write the split of all images, and the same with the training side cut down to the balanced subset.

    Returns:
        ``all`` and ``balanced`` -> the file. Both have the same images to validate on.
    """
    where = config.runs / f"split-{config.split_seed}-{config.valid_fraction:g}-{config.per_class}"
    files = {subset: where / f"{subset}.csv" for subset in ("all", "balanced")}
    if not all(file.is_file() for file in files.values()):
        names = list(dataset.images)
        groups = near_duplicate_groups(dataset, config.num_of_workers, True, names)
        frame = split(dataset.annotations, names, config.valid_fraction, config.split_seed, groups)
        subset = set(balance(dataset.annotations, config.per_class, config.split_seed))
        write_split(frame[(frame["side"] == "valid") | frame["image"].isin(subset)], files["balanced"])
        write_split(frame, files["all"])
    read_split(files["all"], dataset.images)  # of this dataset?
    return files


def settings_of(
    config: RecipesConfig, name: str, change: dict[str, Any], seed: int, splits: dict[str, Path]
) -> TrainConfig:
    """Return the settings of one training."""
    of_the_flags = {
        "architecture": config.architecture,
        "encoder": config.encoder,
        "encoder_weights": config.encoder_weights,
        "num_epochs": config.num_epochs,
        "per_class": config.per_class,
        "min_area": config.min_area,
        "precision": config.precision,
        "device": config.device,
        "threads": config.threads,
        "num_of_workers": config.num_of_workers,
    }
    values = {**RECIPES[BASE], **of_the_flags, **change}
    if config.image_size:
        values["image_size"] = config.image_size
    folder = f"{name.replace(' ', '_').replace(',', '')}-{seed}-{_budget(config)}"
    split = splits[values.pop("subset")]
    del values["per_class"]  # the split names the images
    return TrainConfig(dir=config.dir, out=config.runs / folder, split=split, seed=seed, **values)


def measured(settings: TrainConfig, result: TrainResult) -> dict[str, Any]:
    """Return the columns of one training."""
    sides = [line.split(",")[1] for line in (result.folder / SPLIT).read_text("utf-8").splitlines()[1:]]
    with open(result.folder / HISTORY, newline="", encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    seconds = sum(float(row[f"{side}_seconds"]) for row in history for side in ("train", "valid"))
    return {
        **{key: _rounded(result.scores[key]) for key in SCORES},
        "best_epoch": result.best_epoch,
        "epochs": result.epochs,
        "train_images": sides.count("train"),
        "valid_images": sides.count("valid"),
        "minutes": round(seconds / 60, 2),
        "network": f"{settings.architecture} {settings.encoder} from {settings.encoder_weights}",
        "image_size": "native" if settings.image_size is None else "{}x{}".format(*settings.image_size),
        "precision": settings.precision,
        "hardware": _hardware(settings),
        "torch": torch.__version__,
        "dataset": Path(settings.dir).resolve().name,
    }


def table(rows: list[dict[str, str]], budget: str) -> str:
    """Format the rows of a budget as Markdown: means over the seeds, and the gain over the published recipe."""
    mine = [row for row in rows if row["budget"] == budget]
    by_name: dict[str, list[dict[str, str]]] = {}
    for row in mine:
        by_name.setdefault(row["row"], []).append(row)
    base = _mean(by_name.get(BASE, []), "mean_dice")
    first = mine[0]
    lines = [
        f"{first['network']}, {first['dataset']}, {first['valid_images']} images to validate on, empty baseline"
        f" {first['empty_baseline']}; {first['hardware']}, {first['precision']}, torch {first['torch']}.",
        "",
        f"| change of {BASE} | mean Dice | spread of the seeds | gain | defect Dice | IoU | images | epochs | minutes | seeds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, group in by_name.items():
        dice = [float(row["mean_dice"]) for row in group]
        spread = f"{max(dice) - min(dice):.4f}" if len(dice) > 1 else "-"
        gain = "" if name == BASE or base is None else f"{statistics.fmean(dice) - base:+.4f}"
        defects, iou = (_cell(_mean(group, key)) for key in ("defect_dice", "iou"))
        minutes = f"{statistics.fmean(float(row['minutes']) for row in group):.1f}"
        cells = [name, f"{statistics.fmean(dice):.4f}", spread, gain, defects, iou]
        cells += [group[0]["train_images"], group[0]["epochs"], minutes, ", ".join(row["seed"] for row in group)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "A gain that is smaller than the spread of the seeds may be chance.", ""])


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the results so far; none when there is no file."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the results in one step."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _budget(config: RecipesConfig) -> str:
    """Return a word that is the same for trainings that can be compared."""
    parts = {
        "dir": config.dir.resolve().name,
        "net": f"{config.architecture}-{config.encoder}-{config.encoder_weights}".replace("/", "_"),
        "epochs": config.num_epochs,
        "size": config.image_size,
        "per_class": config.per_class,
        "valid": [config.valid_fraction, config.split_seed],
        "area": config.min_area,
        "precision": config.precision,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]


def _seed(word: str) -> int:
    if not word.isdecimal():
        raise InputError(f"-seeds {word}: expected whole numbers with commas between them, as in 1,2,3")
    return int(word)


def _mean(rows: list[dict[str, str]], key: str) -> float | None:
    values = [float(row[key]) for row in rows if row[key]]
    return statistics.fmean(values) if values else None


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _rounded(value: float | None) -> float | str:
    return "" if value is None else round(value, 6)


def _hardware(settings: TrainConfig) -> str:
    if settings.device != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{settings.threads or torch.get_num_threads()} threads of {processor()}"


if __name__ == "__main__":
    run(main)
