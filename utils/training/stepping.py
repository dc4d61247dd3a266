"""Callbacks of one training step: backward, update, moving average."""

import math
from typing import Any

import torch
from catalyst import dl
from timm.utils import ModelEmaV3

from utils.errors import InputError


class TrainingDiverged(InputError):
    """The loss is no longer a number."""


class GuardedBackward(dl.BackwardCallback):
    """Backward pass that stops at a loss that is no number, naming the batch's images.

    Args:
        accumulate: steps whose gradients are averaged into one update.
    """

    def __init__(self, accumulate: int) -> None:
        super().__init__(metric_key="loss")
        self.accumulate = accumulate

    def on_batch_end(self, runner: dl.IRunner) -> None:
        """Run the backward pass of a training batch."""
        if not runner.is_train_loader:
            return
        loss = runner.batch_metrics["loss"]
        if not math.isfinite(float(loss)):
            names = ", ".join(runner.batch["names"])
            raise TrainingDiverged(
                f"the loss became {float(loss)} in epoch {runner.epoch_step} on the batch {names}; lower -lr_encoder and"
                " -lr_decoder, or set -clip_norm 1, and start again with another -out"
            )
        before = (_step(runner) - 1) // self.accumulate * self.accumulate
        # The last update of an epoch may be of fewer steps.
        runner.engine.backward(loss / min(self.accumulate, runner.loader_batch_len - before))


class ClippedUpdate(dl.OptimizerCallback):
    """Update of the weights every few steps, with the gradient's norm bounded; logs the rate of each group.

    Args:
        accumulate: steps between updates; the last step of an epoch always updates.
        clip_norm: largest norm of the gradient; 0 leaves it alone.
    """

    def __init__(self, accumulate: int, clip_norm: float) -> None:
        super().__init__(metric_key="loss", accumulation_steps=accumulate)
        self.clip_norm = clip_norm
        self.updated = False

    def on_batch_end(self, runner: dl.IRunner) -> None:
        """Update the weights when enough steps were gathered."""
        if not runner.is_train_loader:
            return
        step = _step(runner)
        self.updated = step % self.accumulation_steps == 0 or step == runner.loader_batch_len
        if self.updated:
            if self.clip_norm:
                runner.engine.clip_grad_norm_(runner.model.parameters(), self.clip_norm)
            self.optimizer.step()
            self.optimizer.zero_grad()

    def on_loader_end(self, runner: dl.IRunner) -> None:
        """Log the rates."""
        if runner.is_train_loader:
            for group in self.optimizer.param_groups:
                runner.loader_metrics[f"lr_{group['name']}"] = group["lr"]


def _step(runner: dl.IRunner) -> int:
    """Return the number of this process's batch in the epoch, counted from 1; Catalyst counts those of all processes."""
    return -(-runner.loader_batch_step // runner.engine.num_processes)


class MovingAverage(dl.Callback):
    """Keeps a moving average of the weights, which is what is validated and published.

    Args:
        average: timm's average of the runner's network.
        update: says when the weights have changed.
    """

    def __init__(self, average: ModelEmaV3, update: ClippedUpdate) -> None:
        super().__init__(order=dl.CallbackOrder.Optimizer + 1)
        self.average = average
        self.update = update
        self.steps = 0

    def on_loader_start(self, runner: dl.IRunner) -> None:
        """Copy the first process's statistics to all, since they are published; each process has those of its own batches."""
        if runner.is_valid_loader and runner.engine.num_processes > 1:
            for buffer in self.average.module.buffers():
                torch.distributed.broadcast(buffer, 0)

    def on_batch_end(self, runner: dl.IRunner) -> None:
        """Take the new weights into the average."""
        if runner.is_train_loader and self.update.updated:
            self.average.update(runner.network, step=self.steps)
            self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"steps": self.steps, "module": self.average.module.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state_dict``."""
        self.steps = state["steps"]
        self.average.module.load_state_dict(state["module"])


def moving_average(model: torch.nn.Module, decay: float) -> ModelEmaV3:
    """Make the average; its decay starts low, since the first weights are random."""
    return ModelEmaV3(model, decay=decay, use_warmup=True)
