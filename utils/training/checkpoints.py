"""Checkpoints: the best weights, and everything that an interrupted run needs to go on as if nothing had happened."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from catalyst import dl

from utils.errors import InputError
from utils.files import replacing
from utils.training.history import History
from utils.training.interruption import uninterrupted
from utils.training.stepping import MovingAverage
from utils.training.weight_mean import WeightMean
from utils.weights.torch_file import read_torch_file

LAST, BEST = "last.pth", "best.pth"


class Checkpoints(dl.Callback):
    """Writes ``best.pth``, ``last.pth`` and the top k after each epoch, and stops a run that no longer gains.

    Catalyst's own checkpoint callback saves the live model as the best one and forgets scores on resume.

    Args:
        folder: where to write.
        history: the epochs so far.
        scores: gives the scores of the epoch's validation as plain words and numbers.
        chosen_by: the figure of validation that the best epoch has the highest of.
        average: moving average of the weights, or mean of the last epochs, if there is one; it is part of ``last.pth``.
        top_k: how many of the best to keep; beyond ``best.pth`` as ``epoch-NNN.pth``.
        early_stop: epochs without gain before the run stops; 0: never.
    """

    def __init__(
        self,
        folder: Path,
        history: History,
        scores: Callable[[], dict[str, Any]],
        chosen_by: str,
        average: MovingAverage | WeightMean | None,
        top_k: int,
        early_stop: int,
    ) -> None:
        # After the scheduler, whose step of this epoch must be in the file; before the progress line.
        super().__init__(order=dl.CallbackOrder.Checkpoint + 5)
        self.folder, self.history, self.scores, self.average = folder, history, scores, average
        self.chosen_by = chosen_by
        self.top_k, self.early_stop = top_k, early_stop
        self.best: list[tuple[float, int]] = []
        self.best_score, self.best_epoch = -math.inf, 0

    def on_experiment_start(self, runner: dl.IRunner) -> None:
        """Continue from ``last.pth``, or write it for the first time so that epoch 1 can be interrupted too."""
        if (self.folder / LAST).exists():
            try:
                self._restore(runner, read_last(self.folder))
            except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError):
                raise InputError(
                    f"{self.folder / LAST}: does not belong to this run's settings; put both back as they were, or"
                    " start again with another -out"
                ) from None
        elif runner.engine.is_main_process:
            self._save_last(runner)
        runner.engine.wait_for_everyone()

    def on_epoch_end(self, runner: dl.IRunner) -> None:
        """Keep what this epoch brought."""
        score = ranking(runner.epoch_metrics["valid"], self.chosen_by)
        if score > self.best_score:
            self.best_score, self.best_epoch = score, runner.epoch_step
            if runner.engine.is_main_process:
                self._save_weights(runner, self.folder / BEST)
        if self.top_k > 1:
            self._keep_top(runner, score)
        if self.early_stop and runner.epoch_step - self.best_epoch >= self.early_stop:
            runner.need_early_stop = True
        if runner.engine.is_main_process:
            self._save_last(runner)

    def _keep_top(self, runner: dl.IRunner, score: float) -> None:
        ranked = sorted([*self.best, (score, runner.epoch_step)], key=lambda pair: (-pair[0], pair[1]))
        self.best = ranked[: self.top_k]
        if not runner.engine.is_main_process:
            return
        if (score, runner.epoch_step) in self.best:
            self._save_weights(runner, self.folder / f"epoch-{runner.epoch_step:03d}.pth")
        for _, epoch in ranked[self.top_k :]:
            (self.folder / f"epoch-{epoch:03d}.pth").unlink(missing_ok=True)

    def _save_weights(self, runner: dl.IRunner, path: Path) -> None:
        content = {
            "epoch": runner.epoch_step,
            "scores": self.scores(),
            "network": runner.evaluated.net.state_dict(),
            "mean": list(runner.network.mean),
            "std": list(runner.network.std),
        }
        _write(content, path)

    def _save_last(self, runner: dl.IRunner) -> None:
        version, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
        state: dict[str, Any] = {
            "epoch": runner.epoch_step,
            "processes": runner.engine.num_processes,
            "batch_step": runner.batch_step,
            "sample_step": runner.sample_step,
            "network": runner.network.net.state_dict(),
            "mean": list(runner.network.mean),
            "std": list(runner.network.std),
            "optimizer": runner.optimizer.state_dict(),
            "scheduler": runner.scheduler.state_dict() if runner.scheduler else {},
            "scaler": runner.engine.scaler.state_dict() if runner.engine.scaler else {},
            "average": self.average.state_dict() if self.average else {},
            "best": [list(pair) for pair in self.best],
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "stopped": runner.need_early_stop,
            "history": self.history.rows,
            "torch_random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "numpy_random": [version, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss],
            "python_random": list(random.getstate()[1]),
        }
        _write(state, self.folder / LAST)

    def _restore(self, runner: dl.IRunner, state: dict[str, Any]) -> None:
        runner.epoch_step, runner.batch_step = state["epoch"], state["batch_step"]
        runner.sample_step = state["sample_step"]
        runner.network.net.load_state_dict(state["network"])
        runner.optimizer.load_state_dict(state["optimizer"])
        if runner.scheduler:
            runner.scheduler.load_state_dict(state["scheduler"])
        if runner.engine.scaler:
            runner.engine.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.best = [(score, epoch) for score, epoch in state["best"]]
        self.best_score, self.best_epoch = state["best_score"], state["best_epoch"]
        self.history.rows = state["history"]
        torch.set_rng_state(state["torch_random"])
        if torch.cuda.is_available() and len(state["cuda_random"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda_random"])
        version, keys, position, has_gauss, gauss = state["numpy_random"]
        np.random.set_state((version, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
        random.setstate((3, tuple(state["python_random"]), None))


def ranking(valid: dict[str, float], chosen_by: str) -> float:
    """Return the number that the best epoch has the highest of.

    Dice for masks. Classifiers soon put all images of a small set into the right order, and epochs of equal average
    precision differ in how sure they are: of equal ones that with the lower loss is better.
    """
    score = valid[chosen_by]
    score = 0.0 if math.isnan(score) else score  # nothing to find in the validation images
    return score if chosen_by == "dice" else score - 1e-6 * valid["loss"]


def read_last(folder: Path) -> dict[str, Any]:
    """Read ``last.pth`` of a checkpoint folder; ``InputError`` when it is missing or damaged."""
    return _read(folder / LAST, {"epoch": int, "network": dict, "stopped": bool})


def read_best(folder: Path) -> dict[str, Any]:
    """Read the best epoch's number, scores and weights; ``InputError`` when missing or damaged."""
    return _read(folder / BEST, {"epoch": int, "network": dict, "scores": dict})


def _write(content: dict[str, Any], path: Path) -> None:
    with uninterrupted(), replacing(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # What torch's zip writer makes of a full disk; the disk's own error is behind it.
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


def _read(path: Path, needed: dict[str, type]) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; this run cannot be resumed, start it again with another -out")
    try:
        content = read_torch_file(path).content
    except InputError as error:
        raise InputError(
            f"{path}: damaged checkpoint ({_reason(path, error)}); start again with another -out"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: damaged checkpoint (no entries by name); start again with another -out")
    for name, kind in needed.items():
        if not isinstance(content.get(name), kind):
            raise InputError(f"{path}: damaged checkpoint ({name} is missing or wrong); start again with another -out")
    return content


def _reason(path: Path, error: InputError) -> str:
    """Return the middle of a message: without the file in front and the remedy behind, which are others here."""
    return str(error).removeprefix(f"{path}: ").partition(";")[0]
