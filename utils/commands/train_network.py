"""Train a network on a dataset folder: the one function behind ``Train.py``."""

import dataclasses
import functools
import math
import os
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from accelerate.utils import broadcast_object_list, set_seed

from config import TrainConfig
from utils.data.annotations import Dataset, open_dataset, write_annotations
from utils.data.decoded import DecodedImages, ImageFiles, decode_once
from utils.data.splits import write_split
from utils.errors import InputError
from utils.models.factory import encoder_name
from utils.models.segmenter import Segmenter
from utils.training import run_folder
from utils.training.checkpoints import LAST, read_best, read_last
from utils.training.class_weights import class_weights
from utils.training.engine import SteelEngine, make_engine
from utils.training.flags import make_spec, settle
from utils.training.growing import growth_in_words
from utils.training.initial_weights import starting_network, write_origin
from utils.training.interruption import Interruption
from utils.training.loaders import close, explain_lost_worker, make_loaders, worker_count
from utils.training.losses import make_loss
from utils.training.memory import keep_freed_memory
from utils.training.result import publish, published
from utils.training.runner import SegmentationRunner
from utils.training.selection import choose_split, seen_before
from utils.training.trial import check_batch, freeze_unreached


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
    """

    folder: Path
    weights: Path
    best_epoch: int
    epochs: int
    scores: dict[str, Any]
    seconds: float
    is_main: bool

    def text(self) -> str:
        """Return the lines that a user reads at the end."""
        labels = self.scores.get("labels", {})
        figures = [
            # None where no validation image shows a defect.
            f"{word} {math.nan if part[key] is None else part[key]:.4f}"
            for part, key, word in (
                (self.scores, "mean_dice", "mean Dice"),
                (self.scores, "empty_baseline", "empty baseline"),
                (self.scores, "defect_dice", "defect-only Dice"),
                (labels, "f1", "F1 of whole images"),
                (labels, "average_precision", "average precision"),
            )
            if key in part
        ]
        images = self.scores.get("images", labels.get("images"))
        return (
            f"best epoch {self.best_epoch} of {self.epochs} on {images} validation images: {', '.join(figures)}\n"
            f"weights: {self.weights}"
        )


def train_network(config: TrainConfig) -> TrainResult:
    """Train, or continue an interrupted training.

    Args:
        config: see ``config.TrainConfig``; with ``resume`` the settings come from that run.

    Returns:
        Where the files are and how good the best epoch was.

    Raises:
        InputError: flags or data that cannot be trained on, a loss that is no longer a number, a damaged checkpoint.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the message says how to go on.
    """
    started = time.perf_counter()
    resumed = config.resume is not None
    folder, config = _settings(config)
    there = folder.exists()
    check_flags(config)  # before any image is read
    engine = make_engine(config)
    if engine.device.type == "cpu":
        keep_freed_memory()
    complete = resumed and _is_complete(folder, config, engine.num_processes)
    dataset = open_labelled(config)
    spec = make_spec(config, dataset.annotations.class_names)
    set_seed(config.seed)
    start = starting_network(config, spec, resumed and (folder / run_folder.CHECKPOINTS / LAST).exists())
    network, notes = start.network, start.notes
    frame = choose_split(config, spec, dataset, folder if resumed else None) if engine.is_main_process else None
    frame = broadcast_object_list([frame])[0] if engine.num_processes > 1 else frame
    assert frame is not None
    notes += seen_before(config, dataset, start.origin, frame)
    sides = {side: sorted(frame.loc[frame["side"] == side, "image"]) for side in ("train", "valid")}
    weights_of_classes = class_weights(config, spec, dataset, sides["train"])
    if weights_of_classes is not None:
        names = spec.scored_names or spec.label_names
        words = (f"{name} {weight:.3g}" for name, weight in zip(names, weights_of_classes, strict=True))
        notes.append(f"class weights: {', '.join(words)}")
    if config.split is not None:
        notes.append(f"images as in {config.split}")
    if config.start_size is not None:
        notes.append(growth_in_words(config.start_size, config.num_epochs))
    files = [dataset.path(name) for name in sides["train"]]
    check_batch(config, network, files, engine.num_processes)
    if engine.num_processes > 1:
        freeze_unreached(config, network, files)
    loaders = make_loaders(
        config,
        dataset,
        sides["train"],
        sides["valid"],
        engine.process_index,
        engine.num_processes,
        engine.device.type == "cuda",
        None if complete else _decoded(config, dataset, [*sides["train"], *sides["valid"]], engine),
    )
    if engine.is_main_process:
        # Nothing is written before everything that can be refused has been looked at.
        if not resumed:
            folder = run_folder.claim(folder, config, there)
            _begin(config, dataset, frame, folder, start.origin)
        _announce(config, folder, sides, network, engine, notes)
    folder = Path(broadcast_object_list([str(folder)])[0]) if engine.num_processes > 1 else folder
    if complete:
        if engine.is_main_process:
            print("this run is complete; nothing is left to train")
    else:
        interruption = Interruption()
        runner = SegmentationRunner(config, engine, network, loaders, folder, interruption, weights_of_classes)
        try:
            with interruption, warnings.catch_warnings():
                # Catalyst turns the loss into a number while it still carries its gradient, which torch remarks on.
                warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad")
                # Gradients are gathered over several steps, while the schedule counts each one.
                warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
                runner.run()
        except (Exception, KeyboardInterrupt) as error:
            # A signal to the whole group ends the loading processes too, which torch reports as their failure.
            if interruption.requested or isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(run_folder.go_on(folder, engine.num_processes)) from None
            explain_lost_worker(error)
            raise
        finally:
            close(loaders)
    engine.wait_for_everyone()
    best = read_best(folder / run_folder.CHECKPOINTS)
    weights = folder
    if engine.is_main_process:
        # It may have been calibrated since, which is not ours to undo.
        earlier = published(folder, spec) if complete else None
        weights = earlier or publish(config, dataset, network, best, folder)
    epochs = read_last(folder / run_folder.CHECKPOINTS)["epoch"]
    seconds = time.perf_counter() - started
    return TrainResult(folder, weights, best["epoch"], epochs, best["scores"], seconds, engine.is_main_process)


def _settings(config: TrainConfig) -> tuple[Path, TrainConfig]:
    if config.resume is not None:
        return config.resume, run_folder.read_settings(config)
    if config.dir is None:
        raise InputError("Train.py: missing -dir; -h explains every flag")
    config = settle(config)
    return run_folder.new_folder(config), config


def check_flags(config: TrainConfig) -> None:
    """Refuse flags that no data can make right: a loss, an encoder, workers or areas that there cannot be."""
    make_loss(config)
    encoder_name(config.encoder)
    worker_count(config.num_of_workers, 1)
    if 0 < config.max_area < config.min_area:
        raise InputError(f"-max_area {config.max_area}: is below -min_area {config.min_area}; correct one of them")


def open_labelled(config: TrainConfig) -> Dataset:
    """Open the dataset folder of a run; ``InputError`` when it names no defect."""
    assert config.dir is not None
    dataset = open_dataset(config.dir)
    if dataset.annotations.rows.empty:
        raise InputError(f"{dataset.annotations.source}: names no defect, there is nothing to learn; add rows")
    return dataset


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


def _begin(
    config: TrainConfig, dataset: Dataset, frame: pd.DataFrame, folder: Path, origin: dict[str, Any] | None
) -> None:
    """Write what a run begins with; the settings come last, since a folder with settings is a run."""
    if config.subset == "balanced" and config.split is None:
        rows = dataset.annotations.rows
        write_annotations(rows[rows["image"].isin(set(frame["image"]))], folder / run_folder.BALANCED)
    write_split(frame, folder / run_folder.SPLIT)
    write_origin(folder, origin)
    run_folder.write_settings(folder, config)


def _announce(
    config: TrainConfig,
    folder: Path,
    sides: dict[str, list[str]],
    network: Segmenter,
    engine: SteelEngine,
    notes: list[str],
) -> None:
    size = "their own size" if config.image_size is None else "{}x{}".format(*config.image_size)
    parameters = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    processes = f", {engine.num_processes} processes" if engine.num_processes > 1 else ""
    print(
        f"{config.architecture} {config.encoder} ({parameters:.1f} M parameters), {config.task},"
        f" classes {', '.join(network.spec.scored_names or network.spec.label_names)}\n"
        f"{len(sides['train'])} images to train on, {len(sides['valid'])} to validate on, at {size};"
        f" recipe {config.recipe}, {engine.device.type} {config.precision}{processes}\n"
        + "".join(f"{note}\n" for note in notes)
        + f"run folder: {folder}",
        flush=True,
    )


def _is_complete(folder: Path, config: TrainConfig, processes: int) -> bool:
    """Check whether nothing is left to train of a run that is resumed; ``InputError`` when others than it began go on.

    Another number of processes would have other steps: the schedule counts them, and a step's images are those of all.
    """
    if not (folder / run_folder.CHECKPOINTS / LAST).exists():
        return False
    state = read_last(folder / run_folder.CHECKPOINTS)
    if state["epoch"] >= config.num_epochs or state["stopped"]:
        return True
    began = state.get("processes", processes)  # checkpoints of earlier versions do not tell
    if began != processes:
        raise InputError(
            f"-resume {folder}: its steps are shared by {began} process{'es' if began > 1 else ''}, not {processes};"
            f" start it by {run_folder.launcher(began)}"
        )
    return False
