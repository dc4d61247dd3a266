"""How much one has to label: the score on the same validation images for 10, 25, ... labelled pictures.

Of the training side of a split so many pictures are drawn, one image of each group of copies; a draw of more pictures
holds those of fewer. Each is trained on from random weights, with -weights also from those of another steel, and each of
these networks then teaches a second one, which sees the rest of the training side without labels. Labelled images are
repeated until an epoch has as many as -epoch_images, so that a training of few takes as many steps as one of many. A row
is done when it stands in the CSV file: after an interruption the same command goes on where it was.

    python benchmarks/few_labels.py -dir NEU -split split.csv -weights weights/unet-resnet18-synthetic.pth
"""

import dataclasses
import itertools
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.recipes import read_rows, write_rows
from config import RECIPES, SAID_BY_SPLIT, Device, Precision, TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.train import train
from utils.commands.train_network import TrainResult
from utils.data.annotations import Dataset, open_dataset, write_annotations
from utils.data.splits import TRAIN, VALID, read_split, write_split
from utils.device import processor
from utils.errors import InputError
from utils.files import replacing, write_text
from utils.weights.run_files import SETTINGS

COLUMNS = ("start", "labelled", "draw")  # what tells a row from others


@dataclasses.dataclass(frozen=True, kw_only=True)
class FewLabelsConfig:
    """What this benchmark does."""

    dir: Path = flag("dataset folder")
    split: Path = flag(
        "CSV with image, side and group: pictures are drawn from side train, all are scored on side valid"
    )
    sizes: tuple[str, ...] = flag("numbers of labelled pictures", ("10", "25", "50", "100", "200", "400"))
    draws: int = flag("draws of each number", 3, low=1)
    weights: Path | None = flag("weights file of another steel to start from, too; none: random weights alone", None)
    teacher: bool = flag("let each network teach a second one on the rest of the training side", True)
    train_recipe: str = flag("recipe of the trainings", "muon")
    encoder: str = flag("SMP or timm encoder; that of -weights", "resnet18")
    decoder_channels: tuple[int, ...] | None = flag("as for Train.py", None)
    image_size: tuple[int, int] | None = flag("H,W in pixels; none: their own", None)
    crop: tuple[int, int] | None = flag("H,W in pixels of training crops; none: whole images", (192, 192))
    augmentation: str = flag("as for Train.py", "d4")
    epoch_images: int = flag("labelled images are repeated up to so many an epoch", 200, low=1)
    num_epochs: int = flag("passes over them", 10, low=1)
    batch_size: int = flag("images a step", 16, low=1)
    valid_images: int = flag("pictures of side valid to score on, drawn once; 0: all", 0, low=0)
    min_area: int = flag("smallest connected defect in pixels", 100, low=0)
    precision: Precision = flag("f32, bf16 or f16", "f32")
    device: Device = flag("auto takes a GPU when there is one", "auto")
    threads: int = flag("CPU threads; 0: all cores", 0, low=0)
    num_of_workers: int | None = flag("loading processes, or auto", None, low=0)
    runs: Path = flag("folder for the data folders and run folders", Path("runs/few_labels"))
    out: Path = flag("CSV file of the results; table and plot go beside it", Path("benchmarks/results/few_labels.csv"))


@dataclasses.dataclass(frozen=True)
class Drawn:
    """The data of one draw.

    Attributes:
        folder: dataset folder: the labelled images, repeated, and the validation images.
        split: its sides.
        rest: folder of the other images of the training side.
        classes: number of classes that the labelled images show.
    """

    folder: Path
    split: Path
    rest: Path
    classes: int


def main(argv: Sequence[str], trainer: Callable[[TrainConfig], TrainResult] = train) -> int:
    """Train what is missing; write CSV, table and plot after each training."""
    config = parse(FewLabelsConfig, argv, "few_labels.py", "Trains on few labelled pictures, and on more and more.")
    sizes = sorted({_number(word) for word in config.sizes})
    if config.train_recipe not in RECIPES:
        raise InputError(f"-train_recipe {config.train_recipe}: choose from {', '.join(RECIPES)}")
    dataset = open_dataset(config.dir)
    frame = read_split(config.split, list(dataset.images))
    pictures = frame.loc[frame["side"] == TRAIN, "group"].nunique()
    if sizes[-1] > pictures:
        raise InputError(f"-sizes {sizes[-1]}: {config.split} has {pictures} pictures on side {TRAIN}; take fewer")
    for size, draw in itertools.product(sizes, range(1, config.draws + 1)):
        data = make_data(config, dataset, frame, size, draw)
        for start, weights in starts(config).items():
            folder = config.runs / f"{start}-{size}-{draw}"
            plain = settings_of(config, data, weights, folder, draw)
            _row(config, trainer, plain, {"start": start, "labelled": size, "draw": draw}, data)
            if config.teacher and size < pictures:
                taught = dataclasses.replace(
                    plain,
                    out=folder.with_name(f"{folder.name}-taught"),
                    teacher=(str(folder),),
                    unlabelled=data.rest,
                    teacher_weight=0.0,  # labels where there are some: the teacher has learnt these very images
                )
                _row(config, trainer, taught, {"start": f"{start}, taught", "labelled": size, "draw": draw}, data)
    print(table(read_rows(config.out)))
    return DONE


def starts(config: FewLabelsConfig) -> dict[str, str]:
    """Return what networks start from: in words, and as ``-encoder_weights``."""
    return {"random": "none", **({"weights": str(config.weights)} if config.weights else {})}


def make_data(config: FewLabelsConfig, dataset: Dataset, frame: pd.DataFrame, size: int, draw: int) -> Drawn:
    """Draw pictures and lay out their dataset folder, by links; one that is there is used again."""
    train = frame[frame["side"] == TRAIN].sort_values("image")
    groups = np.random.default_rng(draw).permutation(sorted(set(train["group"])))[:size]
    # One image a picture: the others are copies.
    chosen = sorted(train[train["group"].isin(set(groups.tolist()))].drop_duplicates("group")["image"])
    rest = sorted(train[~train["group"].isin(set(groups.tolist()))].drop_duplicates("group")["image"])
    valid = sorted(frame[frame["side"] == VALID].drop_duplicates("group")["image"])
    if config.valid_images:
        valid = sorted(np.random.default_rng(0).permutation(valid)[: config.valid_images].tolist())
    times = max(1, -(-config.epoch_images // len(chosen)))
    names = {f"{number}-{name}".replace("/", "-"): name for name in chosen for number in range(times)}
    names |= {f"valid-{name}".replace("/", "-"): name for name in valid}
    place = config.runs / f"data-{size}-{draw}"
    drawn = Drawn(place, place / "split.csv", place / "rest", len(_shown(dataset, chosen)))
    if drawn.split.is_file():
        return drawn
    for folder, links in (
        (place / "train_images", names),
        (drawn.rest, {name.replace("/", "-"): name for name in rest}),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        for link, name in links.items():
            (folder / link).unlink(missing_ok=True)
            (folder / link).symlink_to(dataset.path(name).resolve())
    rows = dataset.annotations.rows
    parts = [rows[rows["image"] == name].assign(image=link) for link, name in names.items()]
    write_annotations(pd.concat(parts, ignore_index=True), place / "train.csv")
    write_text(place / "classes.txt", "\n".join(dataset.annotations.class_names) + "\n")
    sides = [VALID if link.startswith("valid-") else TRAIN for link in names]
    write_split(pd.DataFrame({"image": list(names), "side": sides, "group": range(len(names))}), drawn.split)
    return drawn


def settings_of(config: FewLabelsConfig, data: Drawn, weights: str, folder: Path, draw: int) -> TrainConfig:
    """Return the settings of a training without a teacher."""
    values: dict[str, Any] = {
        **{name: value for name, value in RECIPES[config.train_recipe].items() if name not in SAID_BY_SPLIT},
        **{
            name: getattr(config, name)
            for name in (
                "encoder",
                "decoder_channels",
                "image_size",
                "crop",
                "augmentation",
                "num_epochs",
                "batch_size",
                "min_area",
                "precision",
                "device",
                "threads",
                "num_of_workers",
            )
        },
        "recipe": config.train_recipe,
        "encoder_weights": weights,
        "crop_defect": 0.0,
    }
    return TrainConfig(dir=data.folder, split=data.split, out=folder, seed=draw, **values)


def _row(
    config: FewLabelsConfig,
    trainer: Callable[[TrainConfig], TrainResult],
    settings: TrainConfig,
    key: dict[str, Any],
    data: Drawn,
) -> None:
    """Train one network, unless its row is there, and write what came out."""
    done = read_rows(config.out)
    if any(all(row[name] == str(value) for name, value in key.items()) for row in done):
        return
    assert settings.out is not None
    print(f"{key['labelled']} pictures, draw {key['draw']}, {key['start']}: {settings.out}", flush=True)
    began = (settings.out / SETTINGS).exists()
    result = trainer(TrainConfig(resume=settings.out) if began else settings)
    scores = {name: result.scores[name] for name in ("mean_dice", "defect_dice", "empty_baseline", "images")}
    hardware = torch.cuda.get_device_name() if config.device != "cpu" and torch.cuda.is_available() else processor()
    row = {
        **key,
        **{name: "" if value is None else round(value, 6) for name, value in scores.items()},
        "classes": data.classes,
        "epochs": config.num_epochs,
        "minutes": round(result.seconds / 60, 2),
        "encoder": config.encoder,
        "recipe": config.train_recipe,
        "weights": config.weights.name if config.weights and "weights" in key["start"] else "none",
        "dataset": config.dir.resolve().name,
        "hardware": hardware,
    }
    write_rows(config.out, [*done, row])
    rows = read_rows(config.out)
    write_text(config.out.with_suffix(".md"), table(rows))
    draw_plot(rows, config.out.with_suffix(".png"))


def _grouped(rows: Sequence[dict[str, str]]) -> dict[tuple[str, int], list[dict[str, str]]]:
    found: dict[tuple[str, int], list[dict[str, str]]] = {}
    for row in rows:
        found.setdefault((row["start"], int(row["labelled"])), []).append(row)
    return dict(sorted(found.items(), key=lambda item: (item[0][1], item[0][0])))


def table(rows: Sequence[dict[str, str]]) -> str:
    """Format the results as Markdown: means over the draws, and the lowest and highest of them."""
    lines = [
        "| labelled pictures | start | mean Dice | lowest to highest | defect Dice | draws |",
        "|---|---|---|---|---|---|",
    ]
    for (start, labelled), group in _grouped(rows).items():
        dice = [float(row["mean_dice"]) for row in group]
        defect = [float(row["defect_dice"]) for row in group if row["defect_dice"]]
        cells = [str(labelled), start, f"{statistics.fmean(dice):.4f}", f"{min(dice):.4f} to {max(dice):.4f}"]
        cells += [f"{statistics.fmean(defect):.4f}" if defect else "-", str(len(group))]
        lines.append(f"| {' | '.join(cells)} |")
    if rows:
        first = rows[0]
        lines += ["", f"{first['encoder']}, {first['recipe']}, {first['epochs']} epochs, {first['dataset']},"]
        lines += [f"{first['images']} pictures to validate on, empty baseline {first['empty_baseline']}."]
    return "\n".join([*lines, ""])


def draw_plot(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Draw the defect Dice over the number of labelled pictures, a line for each start, with its lowest and highest draw."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for start in dict.fromkeys(row["start"] for row in rows):
        points = {
            labelled: [float(row["defect_dice"]) for row in group if row["defect_dice"]]
            for (one, labelled), group in _grouped(rows).items()
            if one == start
        }
        points = {labelled: values for labelled, values in points.items() if values}
        means = [statistics.fmean(values) for values in points.values()]
        low, high = ([pick(values) for values in points.values()] for pick in (min, max))
        (line,) = axes.plot(list(points), means, marker="o", label=start)
        axes.fill_between(list(points), low, high, color=line.get_color(), alpha=0.15)
    axes.set_xscale("log")
    ticks = sorted({int(row["labelled"]) for row in rows})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("labelled pictures")
    axes.set_ylabel("defect-only Dice on validation images")
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)


def _shown(dataset: Dataset, names: Sequence[str]) -> set[int]:
    return {class_id for name in names for class_id in dataset.annotations.runs(name)}


def _number(word: str) -> int:
    if not word.isdecimal() or int(word) < 2:
        raise InputError(f"-sizes {word}: expected whole numbers of 2 or more with commas between them, as in 10,25,50")
    return int(word)


if __name__ == "__main__":
    run(main)
