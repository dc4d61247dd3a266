"""Train a network for each fold of the images, and score every image by the network that has not learnt it."""

import contextlib
import csv
import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from config import EvaluateConfig, TrainConfig
from utils.commands.evaluate import evaluate
from utils.commands.fold_networks import fold_folder
from utils.commands.readiness import check_member
from utils.commands.soft_answers import write_out_of_fold
from utils.commands.train_members import train_members
from utils.commands.train_network import open_labelled
from utils.data.dataset_folder import Dataset
from utils.data.folds import read_folds, split_of, write_folds
from utils.data.splits import write_split
from utils.data.tables import TableWriter
from utils.errors import InputError
from utils.files import replacing
from utils.training.bit_depth import with_depth
from utils.training.engine import SteelEngine, make_engine
from utils.training.flags import make_spec
from utils.training.loaders import check_counts
from utils.training.run_data import check_data, write_data
from utils.training.run_folder import Run, begun, go_on, going_on, write_settings
from utils.training.selection import choose_folds
from utils.weights.run_files import FOLDS, METRICS, OOF, SPLIT

EVALUATION = "evaluation"  # folder of the report about the out-of-fold answers


@dataclasses.dataclass(frozen=True)
class FoldsResult:
    """What the training of several folds brought.

    Args:
        folder: the run folder; every network has a run folder of its own in it.
        members: weights file of each network, by the name of its folder.
        report: the scores of the out-of-fold answers as lines.
        seconds: of this call.
        is_main: whether this process is the one that writes and prints.
    """

    folder: Path
    members: dict[str, Path]
    report: str
    seconds: float
    is_main: bool

    def text(self) -> str:
        """Return the lines that a user reads at the end."""
        return f"\n{self.report}\nout-of-fold answers: {self.folder / OOF}"


def train_folds(run: Run) -> FoldsResult:
    """Train the networks of ``-folds``, or continue where it was interrupted: trained networks stay as they are.

    Args:
        run: of several folds, see ``open_run``.

    Returns:
        Where the files are and how good the networks are on the images that each has not learnt.

    Raises:
        InputError: flags or data that cannot be trained on; see ``train_network``.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the message says how to go on.
    """
    with contextlib.ExitStack() as held:
        return _train(run, held)


def _train(run: Run, held: contextlib.ExitStack) -> FoldsResult:
    """Train, and hold the run's folder until ``held`` ends: nobody else goes on with the run meanwhile."""
    started = time.perf_counter()
    engine = make_engine(run.config)
    if run.resumed and engine.is_main_process:
        held.enter_context(going_on(run))
    dataset = open_labelled(run.config)
    if run.resumed:
        check_data(run.folder, dataset)
    run = _begin(run, dataset, engine, held)
    folds = read_folds(run.folder / FOLDS, dataset.images)
    try:
        files = train_members(run, _members(run, folds), engine)
        report = _finish(run, folds) if engine.is_main_process else ""
    except KeyboardInterrupt:
        raise KeyboardInterrupt(go_on(run.folder, engine.num_processes)) from None
    return FoldsResult(run.folder, files, report, time.perf_counter() - started, engine.is_main_process)


def _members(run: Run, folds: pd.DataFrame) -> dict[str, TrainConfig]:
    """Return the settings of each network, by the name of its folder."""
    # The folds name the images: what they chose is not to be thinned out a second time.
    one = dataclasses.replace(
        run.config, folds=None, oof="table", subset="all", test_fraction=0.0, resume=None, split=None
    )
    return {
        name: dataclasses.replace(one, split=run.folder / name / SPLIT)
        for name in map(fold_folder, sorted(set(folds["fold"])))
    }


def _begin(run: Run, dataset: Dataset, engine: SteelEngine, held: contextlib.ExitStack) -> Run:
    """Choose the folds of a new run, hold its folder and write what it begins with; return the run in its folder."""
    if engine.is_main_process and not run.resumed:
        config = run.config
        dataset = with_depth(config, dataset, None)
        frame, folds = choose_folds(config, make_spec(config, dataset.annotations.class_names), dataset)
        _check(config, dataset, folds, engine.num_processes)
        _announce(config, frame, folds)
        run = held.enter_context(begun(run))
        write_split(frame, run.folder / SPLIT)
        write_folds(folds, run.folder / FOLDS)
        for fold in sorted(set(folds["fold"])):
            home = run.folder / fold_folder(fold)
            home.mkdir(exist_ok=True)
            write_split(split_of(folds, fold), home / SPLIT)
        write_data(run.folder, dataset, folds["image"])
        write_settings(run)
    return engine.from_first(run)


def _check(config: TrainConfig, dataset: Dataset, folds: pd.DataFrame, processes: int) -> None:
    """Refuse what one of the trainings would be refused for, before the first one trains for hours."""
    member = dataclasses.replace(config, folds=None, subset="all", split=None)
    for fold in sorted(set(folds["fold"])):
        frame = split_of(folds, fold)
        try:
            if fold == 1:  # the networks are alike
                check_member(member, dataset, frame, processes)
            counts = {side: int((frame["side"] == side).sum()) for side in ("train", "valid")}
            check_counts(member, counts, processes)
        except InputError as error:
            raise InputError(f"-folds {config.folds}, fold {fold}: {error}") from None


def _announce(config: TrainConfig, frame: pd.DataFrame, folds: pd.DataFrame) -> None:
    """Say how many images are in which fold, and how many are in none."""
    counts = folds["fold"].value_counts().sort_index().tolist()
    print(f"{len(folds)} images in {len(counts)} folds of {', '.join(map(str, counts))}")
    for side, count in frame.loc[~frame["image"].isin(set(folds["image"])), "side"].value_counts().items():
        print(f"{count} images of side {side} of {config.split or 'the split'} are used for nothing")


def _finish(run: Run, folds: pd.DataFrame) -> str:
    """Score every image by the network that has not learnt it, and write the table of answers; give lines to print."""
    if (run.folder / OOF).exists():
        return "this run is complete; nothing is left to train"
    config = run.config
    assert config.dir is not None
    out = run.folder / EVALUATION
    scoring = EvaluateConfig(
        dir=config.dir,
        weights_dir=run.folder,
        split="out-of-fold",
        out=out,
        batch_size=config.batch_size,
        device=config.device,
        precision=config.precision,
        threads=config.threads,
    )
    result = evaluate(scoring)
    if config.oof == "probabilities":
        write_out_of_fold(scoring, folds)
    write_answers(run.folder, folds, out)
    return f"{_by_fold(run.folder, folds)}\n{result.text()}"


def _by_fold(folder: Path, folds: pd.DataFrame) -> str:
    """Return a line with the score by which each network's best epoch was chosen, on its own fold."""
    figures = []
    for fold in sorted(set(folds["fold"])):
        scores = json.loads((folder / fold_folder(fold) / METRICS).read_text(encoding="utf-8"))
        name, score = (
            ("mean Dice", scores.get("mean_dice"))
            if "mean_dice" in scores
            else ("average precision", scores.get("labels", {}).get("average_precision"))
        )
        figures.append("-" if score is None else f"{score:.4f}")
    return f"{name} of each network on its own fold: {', '.join(figures)}"


def write_answers(folder: Path, folds: pd.DataFrame, evaluation: Path) -> None:
    """Put the answers of all networks into one table, ``oof.csv``.

    Args:
        folder: the run folder.
        folds: which image is in which fold.
        evaluation: folder of the evaluation of the out-of-fold answers.
    """
    fold_of = dict(zip(folds["image"], folds["fold"], strict=True))
    masks = (evaluation / "scores.csv").is_file()
    with replacing(folder / OOF) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        # Names as they are, to be found again: see ``TableWriter``.
        writer = TableWriter(file, formulas=True)
        for number, row in enumerate(_of_masks(evaluation) if masks else _of_labels(evaluation)):
            # Those tables have a ' before a name that a spreadsheet would compute.
            name = row[0] if number == 0 or row[0] in fold_of else row[0][1:]
            writer.writerow((name, *row[1:]) if number == 0 else (name, fold_of[name], *row[2:]))


def _of_masks(evaluation: Path) -> Iterator[tuple[str, ...]]:
    """Give a row for every image and class, the header first; the second column is left open."""
    with open(evaluation / "submission.csv", encoding="utf-8", newline="") as file:
        codes = {row["ImageId_ClassId"]: row["EncodedPixels"] for row in csv.DictReader(file)}
    kept = ("class_id", "name", "tp", "fp", "fn", "dice", "score")
    yield ("image", "fold", *kept, "EncodedPixels")
    with open(evaluation / "scores.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = f"{row['image']}_{row['class_id']}"
            code = codes[key] if key in codes else codes[key[1:]]
            yield (row["image"], "", *(row[name] for name in kept), code)


def _of_labels(evaluation: Path) -> Iterator[tuple[str, ...]]:
    """Likewise of networks that judge whole images: their probabilities."""
    with open(evaluation / "labels.csv", encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        yield ("image", "fold", *next(rows)[1:])
        for image, *probabilities in rows:
            yield (image, "", *probabilities)
