"""How much one has to label: the score on the same validation images for 10, 25, ... labelled pictures.

Of the training side of a split so many pictures are drawn; a draw of more pictures holds those of fewer. The split names
one image of each picture, as ``Prepare_data.py copies -keep one`` leaves them. Each draw is trained on in up to three
ways: from random weights, from the weights of another steel (``-weights``), and from these again with the network of the
second way as teacher, which answers images of the rest of the training side (without ``-weights`` both start at random).
All trainings take as many steps: labelled images are repeated until an epoch has as many as -epoch_images, and who learns
from unlabelled images too takes fewer epochs. A row is done when it stands in the CSV file: after an interruption the same
command goes on where it was. With -publish, the table goes into docs/training.md and the figures into the line that
Train.py prints about few labels.

    python benchmarks/few_labels.py -dir NEU -split split.csv -weights runs/strips/*.pth
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

from benchmarks.pages import write_between
from benchmarks.recipes import read_rows, write_rows
from benchmarks.small_training import SmallTraining
from config import TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.train import train
from utils.commands.train_network import TrainResult
from utils.data.annotation_table import write_annotations
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.splits import TRAIN, VALID, read_split, write_split
from utils.device import processor
from utils.errors import InputError
from utils.files import replacing, write_text
from utils.training.few_labels import MEASURED
from utils.weights.run_files import SETTINGS

RANDOM, WEIGHTS, TAUGHT = WAYS = ("random", "weights", "taught")
WORDS = {RANDOM: "random weights", WEIGHTS: "weights of another steel", TAUGHT: "these, with a teacher"}
DOCS = Path(__file__).parents[1] / "docs" / "training.md"
BEGIN, END = "<!-- few labels: begin -->", "<!-- few labels: end -->"  # of the table in DOCS


@dataclasses.dataclass(frozen=True, kw_only=True)
class FewLabelsConfig(SmallTraining):
    """What this benchmark does."""

    split: Path = flag(
        "CSV with image, side and group: pictures are drawn from side train, all are scored on side valid"
    )
    sizes: tuple[str, ...] = flag("numbers of labelled pictures", ("10", "25", "50", "100", "200", "400"))
    draws: int = flag("draws of each number", 3, low=1)
    weights: Path | None = flag("weights file of another steel to start from, too; none: random weights alone", None)
    ways: tuple[str, ...] = flag(
        "random: from random weights; weights: from -weights; taught: as weights, with that network as teacher",
        ("random", "weights", "taught"),
    )
    unlabelled_images: int = flag("images without labels that a taught network sees, drawn once a draw", 400, low=1)
    encoder: str = flag("SMP or timm encoder; that of -weights", "resnet18")
    decoder_channels: tuple[int, ...] | None = flag("as for Train.py", None)
    image_size: tuple[int, int] | None = flag("H,W in pixels; none: their own", None)
    epoch_images: int = flag("labelled images are repeated up to so many an epoch", 400, low=1)
    valid_images: int = flag("images of side valid to score on, as many of each group as can be; 0: all", 0, low=0)
    min_area: int = flag("smallest connected defect in pixels", 100, low=0)
    runs: Path = flag("folder for the data folders and run folders", Path("runs/few_labels"))
    out: Path = flag("CSV file of the results; table and plot go beside it", Path("benchmarks/results/few_labels.csv"))
    publish: bool = flag("write the results into docs/training.md, and what Train.py says of few labels", False)


@dataclasses.dataclass(frozen=True)
class Drawn:
    """The data of one draw.

    Attributes:
        folder: dataset folder: the labelled images, repeated, and the validation images.
        split: its sides.
        rest: folder of images of the training side without labels.
        classes: number of classes that the labelled images show.
        labelled: number of labelled images.
        images: labelled images of an epoch.
        unlabelled: images in ``rest``.
    """

    folder: Path
    split: Path
    rest: Path
    classes: int
    labelled: int
    images: int
    unlabelled: int


def main(argv: Sequence[str], trainer: Callable[[TrainConfig], TrainResult] = train) -> int:
    """Train what is missing; write CSV, table and plot after each training."""
    config = parse(FewLabelsConfig, argv, "few_labels.py", "Trains on few labelled pictures, and on more and more.")
    sizes = sorted({_number(word) for word in config.sizes})
    config.check_recipe()
    ways = chosen_ways(config)
    dataset = open_dataset(config.dir)
    frame = read_split(config.split, list(dataset.images))
    pictures = int((frame["side"] == TRAIN).sum())
    if sizes[-1] > pictures:
        raise InputError(f"-sizes {sizes[-1]}: {config.split} has {pictures} pictures on side {TRAIN}; take fewer")
    for size, draw in itertools.product(sizes, range(1, config.draws + 1)):
        data = make_data(config, dataset, frame, size, draw)
        for way in ways:
            if way == TAUGHT and size == pictures:
                continue  # nothing is left without labels
            settings = settings_of(config, data, way, draw)
            _row(config, trainer, settings, {"start": way, "labelled": size, "draw": draw}, data)
    _show(config)  # rows of several machines may have been put together
    rows = read_rows(config.out)
    print(table(rows))
    if config.publish:
        publish(rows)
    return DONE


def chosen_ways(config: FewLabelsConfig) -> list[str]:
    """Return the ways to train, each after the one that it needs.

    Raises:
        InputError: no such way, or one that lacks its weights or its teacher.
    """
    for way in config.ways:
        if way not in WAYS:
            raise InputError(f"-ways {way}: choose from {', '.join(WAYS)}")
    ways = [way for way in WAYS if way in config.ways and (way != WEIGHTS or config.weights)]
    teacher = WEIGHTS if config.weights else RANDOM
    if TAUGHT in ways and teacher not in ways:
        raise InputError(f"-ways {','.join(config.ways)}: {TAUGHT} needs the networks of {teacher} as teachers; add it")
    return ways


def make_data(config: FewLabelsConfig, dataset: Dataset, frame: pd.DataFrame, size: int, draw: int) -> Drawn:
    """Draw pictures and lay out their dataset folder, by links; one that is there is used again."""
    random = np.random.default_rng(draw)
    order = random.permutation(sorted(frame.loc[frame["side"] == TRAIN, "image"])).tolist()
    chosen, rest = sorted(order[:size]), sorted(order[size:][: config.unlabelled_images])
    valid = spread(frame[frame["side"] == VALID], config.valid_images)
    times = max(1, -(-config.epoch_images // len(chosen)))
    names = {f"{number}-{name}".replace("/", "-"): name for name in chosen for number in range(times)}
    names |= {f"valid-{name}".replace("/", "-"): name for name in valid}
    place = config.runs / f"data-{size}-{draw}"
    shown = len(_shown(dataset, chosen))
    drawn = Drawn(place, place / "split.csv", place / "rest", shown, size, size * times, len(rest))
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


def spread(frame: pd.DataFrame, number: int) -> list[str]:
    """Take so many images of a side, in turn one of each group; 0: all. Columns image and group."""
    shuffled = frame.sort_values("image").sample(frac=1, random_state=0)
    turns = shuffled.groupby("group").cumcount()
    names = shuffled["image"].loc[turns.sort_values(kind="stable").index]
    return sorted(names[:number] if number else names)


def settings_of(config: FewLabelsConfig, data: Drawn, way: str, draw: int) -> TrainConfig:
    """Return the settings of one training."""
    folder = config.runs / f"{way}-{data.labelled}-{draw}"
    begins = config.weights if config.weights and way != RANDOM else "none"
    values = {**config.values("image_size", "min_area"), "encoder_weights": str(begins)}
    if way == TAUGHT:
        labelled, more = data.images, data.unlabelled
        values |= {
            "teacher": (str(folder.with_name(f"{WEIGHTS if config.weights else RANDOM}-{data.labelled}-{draw}")),),
            "unlabelled": data.rest,
            "accept": "all",
            "teacher_weight": 0.0,  # labels where there are some: the teacher has learnt these very images
            "num_epochs": max(1, round(config.num_epochs * labelled / (labelled + more))),
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
        "epochs": settings.num_epochs,
        "minutes": round(result.seconds / 60, 2),
        "encoder": config.encoder,
        "recipe": config.train_recipe,
        "weights": "none" if settings.encoder_weights == "none" else Path(settings.encoder_weights).name,
        "dataset": config.dir.resolve().name,
        "hardware": hardware,
    }
    write_rows(config.out, [*done, row])
    _show(config)


def _show(config: FewLabelsConfig) -> None:
    """Write table and plot of the rows that are there."""
    rows = read_rows(config.out)
    write_text(config.out.with_suffix(".md"), table(rows))
    draw_plot(rows, config.out.with_suffix(".png"))


def _grouped(rows: Sequence[dict[str, str]]) -> dict[tuple[int, str], list[dict[str, str]]]:
    """Put the draws of each number and way together, in this order."""
    found: dict[tuple[int, str], list[dict[str, str]]] = {}
    for row in rows:
        found.setdefault((int(row["labelled"]), row["start"]), []).append(row)
    return dict(sorted(found.items(), key=lambda item: (item[0][0], WAYS.index(item[0][1]))))


def _values(group: Sequence[dict[str, str]], score: str) -> list[float]:
    return [float(row[score]) for row in group if row[score]]


def table(rows: Sequence[dict[str, str]]) -> str:
    """Format the results as Markdown: means over the draws, and the lowest and highest of them."""
    lines = [
        "| labelled pictures | start | defect-only Dice | lowest to highest | mean Dice | draws |",
        "|---|---|---|---|---|---|",
    ]
    for (labelled, way), group in _grouped(rows).items():
        dice, defect = _values(group, "mean_dice"), _values(group, "defect_dice")
        cells = [str(labelled), WORDS[way], f"{statistics.fmean(defect):.3f}" if defect else "-"]
        cells += [f"{min(defect):.3f} to {max(defect):.3f}" if defect else "-"]
        cells += [f"{statistics.fmean(dice):.3f}", str(len(group))]
        lines.append(f"| {' | '.join(cells)} |")
    if rows:
        first = rows[0]
        lines += ["", f"{first['encoder']}, {first['recipe']}, {first['epochs']} epochs, {first['dataset']},"]
        lines += [f"{first['images']} images to validate on, empty baseline {float(first['empty_baseline']):.3f};"]
        minutes = statistics.fmean(float(row["minutes"]) for row in rows)
        lines += [f"{minutes:.1f} minutes a training, {first['hardware']}."]
    return "\n".join([*lines, ""])


def in_words(rows: Sequence[dict[str, str]]) -> str:
    """Say for docs what to expect of each number of labels, and what doubling them brings."""
    groups = _grouped(rows)
    ways = [way for way in WAYS if any(way == one for _, one in groups)]
    sizes = sorted({labelled for labelled, _ in groups})
    lines = [
        f"| labelled pictures | {' | '.join(WORDS[way] for way in ways)} |",
        f"|---|{'---|' * len(ways)}",
    ]
    for size in sizes:
        cells = []
        for way in ways:
            defect = _values(groups.get((size, way), []), "defect_dice")
            cells.append(f"{statistics.fmean(defect):.2f} ({min(defect):.2f} to {max(defect):.2f})" if defect else "-")
        lines.append(f"| {size} | {' | '.join(cells)} |")
    first = rows[0]
    draws = max(len(group) for group in groups.values())
    said = f"Defect-only Dice on {first['images']} validation images of {first['dataset']}, mean of {draws} draws, "
    return "\n".join([*lines, "", f"{said}lowest to", "highest in brackets."])


def publish(rows: Sequence[dict[str, str]], docs: Path = DOCS, measured: Path = MEASURED) -> None:
    """Write the results where users meet them.

    Args:
        rows: of the CSV file.
        docs: page with ``BEGIN`` and ``END``.
        measured: what ``Train.py`` reads, see ``utils.training.few_labels``.
    """
    write_between(docs, BEGIN, END, in_words(rows))
    values = {key: _values(group, "defect_dice") for key, group in _grouped(rows).items()}
    figures = [
        {"start": way, "labelled": size, "low": f"{min(one):.3f}", "mean": f"{statistics.fmean(one):.3f}"}
        | {"high": f"{max(one):.3f}", "dataset": rows[0]["dataset"]}
        for (size, way), one in values.items()
        if one
    ]
    write_rows(measured, figures)


def draw_plot(rows: Sequence[dict[str, str]], path: Path) -> None:
    """Draw the defect Dice over the number of labelled pictures, a line for each way, with its lowest and highest draw."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    groups = _grouped(rows)
    for way in WAYS:
        points = {size: _values(group, "defect_dice") for (size, one), group in groups.items() if one == way}
        points = {size: values for size, values in points.items() if values}
        if not points:
            continue
        means = [statistics.fmean(values) for values in points.values()]
        low, high = ([pick(values) for values in points.values()] for pick in (min, max))
        (line,) = axes.plot(list(points), means, marker="o", label=WORDS[way])
        axes.fill_between(list(points), low, high, color=line.get_color(), alpha=0.15)
    axes.set_xscale("log")
    ticks = sorted({int(row["labelled"]) for row in rows})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("labelled pictures")
    axes.set_ylabel("defect-only Dice on validation images")
    axes.grid(alpha=0.3)
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
