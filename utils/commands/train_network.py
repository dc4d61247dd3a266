"""Train one network on a dataset folder."""

import contextlib
import dataclasses
import functools
import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate.utils import set_seed
from torch.utils.data import DataLoader

from config import RECIPES, TrainConfig
from utils.commands.teachers import ask_teachers
from utils.data.annotation_table import write_annotations
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.decoded import DecodedImages, ImageFiles, decode_once
from utils.data.listing import about_folders
from utils.data.splits import BALANCED_TABLE, TEST, TRAIN, VALID, write_split
from utils.errors import InputError
from utils.models.segmenter import Segmenter
from utils.models.spec import ModelSpec
from utils.settings import flag_of
from utils.text import plural
from utils.training.bit_depth import with_depth, write_depth
from utils.training.checkpoints import read_best, read_last
from utils.training.class_weights import class_weights
from utils.training.engine import SteelEngine, has_lost_a_process, make_engine
from utils.training.few_labels import about_few
from utils.training.final_test import final_test
from utils.training.flags import make_decision, make_label_thresholds, make_spec
from utils.training.growing import growth_in_words
from utils.training.image_hashes import hash_images, write_hashes
from utils.training.initial_weights import InitialNetwork, initial_network, write_origin
from utils.training.interruption import Interruption
from utils.training.loaders import close, explain_lost_worker, make_loaders, make_test_loader, many_workers
from utils.training.memory import keep_freed_memory
from utils.training.result import best_weights, find_result, write_result
from utils.training.run_data import check_data, write_data
from utils.training.run_folder import Run, begun, go_on, going_on, launcher, write_settings
from utils.training.runner import SegmentationRunner
from utils.training.selection import about_subset, about_test, choose_split, seen_before
from utils.training.teaching import Teaching, times, write_teaching
from utils.training.trial import check_batch, freeze_unreached
from utils.training.weight_mean import mean_in_words
from utils.weights.run_files import SPLIT

MOST_FLAGS = 5  # named where they differ from the recipe


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a training brought.

    Args:
        folder: the run folder.
        weights: the weights file.
        best_epoch: the epoch that the weights are from, counted from 1.
        epochs: how many were trained.
        scores: on the validation images, as ``Scores.to_dict`` gives them; ``labels`` holds those of answers about
            whole images, as ``LabelScores.to_dict`` gives them.
        seconds: of this call.
        is_main: whether this process is the one that writes and prints.
        test: likewise, of the test images that this call scored; None: it scored none.
        mean: which epochs' weights ``-swa`` has averaged, in words; "" without it.
    """

    folder: Path
    weights: Path
    best_epoch: int
    epochs: int
    scores: dict[str, Any]
    seconds: float
    is_main: bool
    test: dict[str, Any] | None = None
    mean: str = ""

    def text(self) -> str:
        """Return the lines that a user reads at the end."""
        images = self.scores.get("images", self.scores.get("labels", {}).get("images"))
        lines = [
            f"best epoch {self.best_epoch} of {self.epochs} on {images} validation images: {_figures(self.scores)}"
        ]
        if self.mean and self.best_epoch == self.epochs:
            lines.append(f"its weights: {self.mean}")
        elif self.mean:
            lines.append(f"{self.mean} scored less, in epoch {self.epochs}: history.csv has it")
        if self.test is not None:
            unused = plural(self.test["images"], "test image")
            lines.append(f"its weights on {unused}, used for nothing else: {_figures(self.test)}")
        return "\n".join([*lines, f"weights: {self.weights}"])


def _figures(scores: dict[str, Any]) -> str:
    labels = scores.get("labels", {})
    return ", ".join(
        # None where no image shows a defect.
        f"{word} {math.nan if part[key] is None else part[key]:.4f}"
        for part, key, word in (
            (scores, "mean_dice", "mean Dice"),
            (scores, "empty_baseline", "empty baseline"),
            (scores, "defect_dice", "defect-only Dice"),
            (labels, "f1", "F1 of whole images"),
            (labels, "average_precision", "average precision"),
        )
        if key in part
    )


@dataclasses.dataclass(frozen=True)
class _Images:
    """The images of a run.

    Args:
        dataset: their folder.
        split: the side of each, see ``choose_split``.
        train: names of those to train on, sorted.
        valid: names of those to validate on, sorted.
        test: names of those to score when all is done, sorted.
        teaching: what teachers say of those to train on, and of unlabelled images; None: there are no teachers.
    """

    dataset: Dataset
    split: pd.DataFrame
    train: list[str]
    valid: list[str]
    test: list[str]
    teaching: Teaching | None = None

    @property
    def look(self) -> list[str]:
        """Names of the images that tell how images look: those trained and validated on."""
        return sorted([*self.train, *self.valid])

    @property
    def learnt(self) -> list[str]:
        """Names of the images to train on, with those that have no labels."""
        return [*self.train, *(self.teaching.unlabelled if self.teaching else ())]

    def epoch(self, share: float | None) -> list[str]:
        """Names of the images of an epoch: labelled ones as often as the share of the others asks for."""
        more = self.teaching.unlabelled if self.teaching else ()
        return [*self.train * times(share, len(self.train), len(more)), *more]


def train_network(run: Run) -> TrainResult:
    """Train, or continue an interrupted training.

    Args:
        run: of one network, see ``open_run``.

    Returns:
        Where the files are and how good the best epoch was.

    Raises:
        InputError: data that cannot be trained on, a loss that is no longer a number, a damaged checkpoint.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the message says how to go on.
    """
    with contextlib.ExitStack() as held:
        return _train(run, held)


def _train(run: Run, held: contextlib.ExitStack) -> TrainResult:
    """Train, and hold the run's folder until ``held`` ends: nobody else goes on with the run meanwhile."""
    started = time.perf_counter()
    config = run.config
    engine = make_engine(config)
    if engine.device.type == "cpu":
        keep_freed_memory()
    if run.resumed and engine.is_main_process:
        held.enter_context(going_on(run))
    checkpoint = read_last(run.checkpoints) if run.has_checkpoint else None
    complete = checkpoint is not None and _is_complete(run, checkpoint, engine.num_processes)
    dataset = open_labelled(config)
    if run.resumed and not complete:
        check_data(run.folder, dataset)
    spec = make_spec(config, dataset.annotations.class_names)
    make_decision(config, spec), make_label_thresholds(config, spec)  # refuse values for another number of classes
    set_seed(config.seed)
    start = initial_network(config, spec, checkpoint)
    dataset = _with_depth(run, dataset, engine)
    images = _choose_images(run, spec, dataset, engine)
    if config.teacher is not None and not complete:
        images = _taught(run, spec, images, engine)
    weights_of_classes = class_weights(config, spec, dataset, images.train)
    untested = about_test(config, images.split) if run.tests and not run.resumed else []
    notes = [*run.notes, *start.notes, *untested, *_notes(config, spec, images, start.origin, weights_of_classes)]
    _try_network(config, start.network, images, engine)
    loaders = _make_loaders(config, images, engine, decode=not complete)
    # Nothing is written before everything that can be refused has been looked at.
    run = _begin(run, images, start, engine, held)
    if engine.is_main_process:
        _announce(run, images, start.network, engine, notes)
    if not complete:
        _fit(run, start.network, loaders, weights_of_classes, engine)
    elif engine.is_main_process:
        print("this run is complete; nothing is left to train")
    engine.wait_for_everyone()
    return _finish(run, images, start.network, engine, complete, started)


def _is_complete(run: Run, state: Mapping[str, Any], processes: int) -> bool:
    """Check whether nothing is left to train of a run that is resumed; ``InputError`` when others than it began go on.

    Another number of processes would have other steps: the schedule counts them, and a step's images are those of all.
    """
    if state["epoch"] >= run.config.num_epochs or state["stopped"]:
        return True
    began = state.get("processes", processes)  # checkpoints of earlier versions do not tell
    if began != processes:
        raise InputError(
            f"-resume {run.folder}: its steps are shared by {began} process{'es' if began > 1 else ''}, not {processes};"
            f" start it by {launcher(began)}"
        )
    return False


def open_labelled(config: TrainConfig) -> Dataset:
    """Open the dataset folder of a run; ``InputError`` when it names no defect."""
    assert config.dir is not None
    dataset = open_dataset(config.dir)
    if dataset.annotations.rows.empty:
        raise InputError(f"{dataset.annotations.source}: names no defect, there is nothing to learn; add rows")
    return dataset


def _with_depth(run: Run, dataset: Dataset, engine: SteelEngine) -> Dataset:
    """Check the images and measure their bit depth in the first process; a run that goes on keeps its own."""
    earlier = run.folder if run.resumed else None
    # The depth alone travels: every process has read the tables itself.
    depth = engine.from_first(with_depth(run.config, dataset, earlier).depth if engine.is_main_process else None)
    return dataclasses.replace(dataset, depth=depth)


def _choose_images(run: Run, spec: ModelSpec, dataset: Dataset, engine: SteelEngine) -> _Images:
    """Choose the images of a run in its first process; one that goes on keeps its own."""
    earlier = run.folder if run.resumed else None
    split = engine.from_first(choose_split(run.config, spec, dataset, earlier) if engine.is_main_process else None)
    train, valid, test = (
        sorted(split.loc[split["side"] == side, "image"].to_numpy(dtype=object)) for side in (TRAIN, VALID, TEST)
    )
    return _Images(dataset, split, train, valid, test)


def _taught(run: Run, spec: ModelSpec, images: _Images, engine: SteelEngine) -> _Images:
    """Ask the teachers in the first process; the others wait."""
    teaching = None
    if engine.is_main_process:
        judged = {"validation": images.valid, "test": images.test}
        began = run.folder if run.resumed else None
        teaching = ask_teachers(run.config, spec, images.dataset, images.train, judged, began)
    return dataclasses.replace(images, teaching=engine.from_first(teaching))


def _notes(
    config: TrainConfig,
    spec: ModelSpec,
    images: _Images,
    origin: dict[str, Any] | None,
    weights_of_classes: Sequence[float] | None,
) -> list[str]:
    """Return the lines for the user about what the flags have led to."""
    depth, within = images.dataset.depth.text(), about_folders(images.dataset.images)
    notes = [
        *([f"images with more than 8 bits are read as {depth}"] if depth else []),
        *([f"{plural(len(images.dataset.images), 'image')}, {within}"] if within else []),
        *seen_before(config, images.dataset, origin, images.split),
        *about_subset(config, images.dataset, images.split),
        *about_few(len(images.train), config.encoder_weights != "none" or config.init_encoder is not None),
        *(images.teaching.notes if images.teaching else ()),
    ]
    if weights_of_classes is not None:
        names = spec.scored_names or spec.label_names
        words = (f"{name} {weight:.3g}" for name, weight in zip(names, weights_of_classes, strict=True))
        notes.append(f"class weights: {', '.join(words)}")
    if config.split is not None:
        notes.append(f"images as in {config.split}")
    if config.start_size is not None:
        notes.append(growth_in_words(config.start_size, config.num_epochs))
    if config.swa:
        notes.append(f"the last epoch is validated with {mean_in_words(config.swa, config.num_epochs)}")
    return [*notes, *many_workers(config.num_of_workers)]


def _try_network(config: TrainConfig, network: Segmenter, images: _Images, engine: SteelEngine) -> None:
    """Refuse sizes and batches that the network cannot take."""
    files = images.dataset.paths(images.learnt)
    check_batch(config, network, files, engine.num_processes)
    if engine.num_processes > 1:
        freeze_unreached(config, network, files)


def _make_loaders(config: TrainConfig, images: _Images, engine: SteelEngine, decode: bool) -> dict[str, DataLoader]:
    """Make the loaders of this process; ``decode`` lets ``-cache`` decode the images now."""
    return make_loaders(
        config,
        images.dataset,
        images.epoch(config.unlabelled_share),
        images.valid,
        engine.process_index,
        engine.num_processes,
        engine.device.type == "cuda",
        _decoded(config, images.dataset, [*images.learnt, *images.valid], engine) if decode else None,
        images.teaching.targets if images.teaching else None,
    )


def _decoded(config: TrainConfig, dataset: Dataset, names: list[str], engine: SteelEngine) -> DecodedImages | None:
    """Decode the run's images once, where ``-cache`` says so."""
    if config.cache == "none":
        return None
    files = ImageFiles(dataset, config.channels, config.image_size)
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if engine.num_processes > 1 else 1
    make = functools.partial(
        decode_once, config.cache, files, names, config.num_of_workers, beside, engine.is_main_process
    )
    if config.cache == "ram":
        return make()
    with engine.local_main_process_first():  # the others then find its file
        return make()


def _begin(run: Run, images: _Images, start: InitialNetwork, engine: SteelEngine, held: contextlib.ExitStack) -> Run:
    """Make the folder of a new run, hold it, and write what it begins with; return the run in its folder."""
    if engine.is_main_process and not run.resumed:
        hashes = hash_images(images.dataset, images.learnt, images.valid, run.config.num_of_workers)
        run = held.enter_context(begun(run))
        if run.config.subset == "balanced" and run.config.split is None:
            rows = images.dataset.annotations.rows
            chosen = rows[rows["image"].isin(set(images.split["image"]))]
            write_annotations(chosen, run.folder / BALANCED_TABLE)
        write_split(images.split, run.folder / SPLIT)
        write_depth(run.folder, images.dataset.depth)
        write_data(run.folder, images.dataset, sorted([*images.train, *images.valid, *images.test]))
        write_origin(run.folder, start.origin)
        # What its teachers have learnt has gone into it too.
        write_hashes(run.folder, hashes, [*start.hashes, *(images.teaching.hashes if images.teaching else ())])
        write_teaching(run.folder, images.teaching)
        write_settings(run)
    return engine.from_first(run)


def _announce(run: Run, images: _Images, network: Segmenter, engine: SteelEngine, notes: list[str]) -> None:
    config = run.config
    size = "their own size" if config.image_size is None else "{}x{}".format(*config.image_size)
    parameters = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    processes = f", {engine.num_processes} processes" if engine.num_processes > 1 else ""
    tested = f", {len(images.test)} to test on in the end" if run.tests and images.test else ""
    more = len(images.learnt) - len(images.train)
    unlabelled = f" and {more} without labels" if more else ""
    print(
        f"{config.architecture} {config.encoder} ({parameters:.1f} M parameters), {config.task},"
        f" classes {', '.join(network.spec.scored_names or network.spec.label_names)}\n"
        f"{len(images.train)} images to train on{unlabelled}, {len(images.valid)} to validate on{tested}, at {size};"
        f" {recipe_in_words(config)}, {engine.device.type} {config.precision}{processes}\n"
        + "".join(f"{note}\n" for note in notes)
        + f"run folder: {run.folder}",
        flush=True,
    )


def recipe_in_words(config: TrainConfig) -> str:
    """Name the recipe of a run, and the flags that set something else than it does."""
    changed = [flag_of(name) for name, value in RECIPES[config.recipe].items() if getattr(config, name) != value]
    if not changed:
        return f"recipe {config.recipe}"
    more = f" and {len(changed) - MOST_FLAGS} more" if len(changed) > MOST_FLAGS else ""
    return f"recipe {config.recipe} but for {', '.join(changed[:MOST_FLAGS])}{more}"


def _fit(
    run: Run,
    network: Segmenter,
    loaders: dict[str, DataLoader],
    weights_of_classes: Sequence[float] | None,
    engine: SteelEngine,
) -> None:
    """Train until the last epoch; an interruption says how to go on."""
    interruption = Interruption()
    runner = SegmentationRunner(run.config, engine, network, loaders, run.folder, interruption, weights_of_classes)
    with _interruptible(run, loaders, engine, interruption), warnings.catch_warnings():
        # Catalyst turns the loss into a number while it still carries its gradient, which torch remarks on.
        warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")
        # Gradients are gathered over several steps, while the schedule counts each one.
        warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
        runner.run()


@contextlib.contextmanager
def _interruptible(
    run: Run, loaders: dict[str, DataLoader], engine: SteelEngine, interruption: Interruption
) -> Iterator[None]:
    """Say of an interruption how the run goes on, and of a lost loading process why; close the loaders in the end."""
    try:
        with interruption:
            yield
    except (Exception, KeyboardInterrupt) as error:
        # A signal to the whole group ends the loading processes too, which torch reports as their failure.
        if interruption.requested or isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(go_on(run.folder, engine.num_processes)) from None
        if engine.num_processes > 1 and has_lost_a_process(error):
            way = go_on(run.folder, engine.num_processes)
            raise InputError(f"another process of this training has ended, so this one ends too; {way}") from None
        explain_lost_worker(error)
        raise
    finally:
        close(loaders)


def _finish(
    run: Run, images: _Images, network: Segmenter, engine: SteelEngine, complete: bool, started: float
) -> TrainResult:
    """Score and write the weights of the best epoch, where a run was not complete before."""
    best, scores = read_best(run.checkpoints), None
    # It may have been calibrated since, which is not ours to undo.
    weights = engine.from_first(find_result(run.folder, network.spec) if complete else None)
    if weights is None:
        weights, file = run.folder, best_weights(run.config, images.dataset, network, best)
        if run.tests and images.test:
            scores = _test(run, images, file.build(), engine)
        if engine.is_main_process:
            weights = write_result(run.config, images.dataset, file, best, run.folder, scores, images.look)
    epochs = read_last(run.checkpoints)["epoch"]
    seconds = time.perf_counter() - started
    main = engine.is_main_process
    mean = mean_in_words(run.config.swa, run.config.num_epochs) if run.config.swa else ""
    return TrainResult(run.folder, weights, best["epoch"], epochs, best["scores"], seconds, main, scores, mean)


def _test(run: Run, images: _Images, network: Segmenter, engine: SteelEngine) -> dict[str, Any]:
    """Score the test images."""
    pin = engine.device.type == "cuda"
    loader = make_test_loader(run.config, images.dataset, images.test, engine.process_index, engine.num_processes, pin)
    interruption = Interruption()
    with _interruptible(run, {"test": loader}, engine, interruption):
        return final_test(run.config, network, loader, engine, interruption)
