"""What each epoch brought: rows for ``history.csv`` and one tidy line each; and how far the one under way is."""

import csv
import io
import math
import sys
import time
from pathlib import Path
from typing import Any

from catalyst import dl
from tqdm import tqdm

from utils.files import write_text


class History(dl.Callback):
    """Collects one row per epoch, writes ``history.csv`` and prints one line.

    Args:
        csv_path: file to write; rewritten whole each epoch.
        num_epochs: of the run, for the line.
    """

    def __init__(self, csv_path: Path, num_epochs: int) -> None:
        # Before the checkpoint, which carries the rows.
        super().__init__(order=dl.CallbackOrder.Checkpoint + 2)
        self.csv_path, self.num_epochs = csv_path, num_epochs
        self.rows: list[dict[str, Any]] = []

    def on_epoch_end(self, runner: dl.IRunner) -> None:
        """Add the epoch's row."""
        train, valid = runner.epoch_metrics["train"], runner.epoch_metrics["valid"]
        row: dict[str, Any] = {"epoch": runner.epoch_step}
        row |= {f"train_{key}": value for key, value in train.items() if key in TRAIN_KEYS}
        row |= {key: value for key, value in train.items() if key.startswith("lr_")}
        row |= {f"valid_{key}": value for key, value in valid.items()}
        self.rows.append(row)
        if runner.engine.is_main_process:
            write_text(self.csv_path, to_csv(self.rows))
            tqdm.write(self._line(row), file=sys.stdout)
            sys.stdout.flush()

    def _line(self, row: dict[str, Any]) -> str:
        return epoch_line(row, self.num_epochs)


WIDTH = 100  # columns of a terminal that a line fits
SLOW = 0.1  # share of the time spent waiting for images from which it is worth a word


def epoch_line(row: dict[str, Any], num_epochs: int) -> str:
    """Return what an epoch brought as one line of at most ``WIDTH`` letters; ``history.csv`` has all of it.

    Args:
        row: of ``history.csv``.
        num_epochs: of the run.
    """
    figures = {key: f"{word} {row[f'valid_{key}']:.4f}" for key, word in SHOWN.items() if f"valid_{key}" in row}
    waiting = row["train_seconds_waiting"] / row["train_seconds"]
    parts = {
        "epoch": f"epoch {row['epoch']:>{len(str(num_epochs))}}/{num_epochs}",
        "loss": f"loss {row['train_loss']:.4f}",
        "valid": f"valid loss {row['valid_loss']:.4f}",
        **figures,
        "rates": f"lr {'/'.join(f'{row[key]:.1e}' for key in row if key.startswith('lr_'))}",
        "speed": f"{row['train_images_per_second']:.1f} images/s",
        "waiting": f"{waiting:.0%} waiting" if waiting >= SLOW else "",
    }
    for dropped in ("iou", "rates", "speed", "average_precision", "f1", "waiting"):
        line = "  ".join(filter(None, parts.values()))
        if len(line) <= WIDTH:
            break
        parts.pop(dropped, None)
    return "  ".join(filter(None, parts.values()))[:WIDTH]


# What the line of an epoch shows of validation, where the network has it.
SHOWN = {
    "dice": "Dice",
    "defect_dice": "defect Dice",
    "iou": "IoU",
    "f1": "F1",
    "average_precision": "avg. precision",
}

TRAIN_KEYS = ("loss", "seconds", "images_per_second", "seconds_waiting")


# Where there is no terminal, seconds from the beginning of an epoch to its first line and from each line to the next:
# minutes, since the lines stay.
FIRST_LINE, NEXT_LINE = 60.0, 300.0


class Progress(dl.Callback):
    """How far an epoch is: a bar on a terminal, elsewhere a line every few minutes, both on standard error.

    Args:
        num_epochs: of the run, for the titles.
    """

    def __init__(self, num_epochs: int) -> None:
        super().__init__(order=dl.CallbackOrder.External)
        self.num_epochs = num_epochs
        self.bar: tqdm | None = None
        self.began, self.next_line = 0.0, math.inf

    def on_loader_start(self, runner: dl.IRunner) -> None:
        """Begin a bar, or wait for the first line."""
        if not runner.engine.is_main_process:
            return
        if sys.stderr.isatty():
            self.bar = tqdm(total=len(runner.loader), desc=self._title(runner), unit="batch", leave=False)
        else:
            self.began, self.next_line = time.monotonic(), FIRST_LINE

    def on_batch_end(self, runner: dl.IRunner) -> None:
        """Move the bar, or print a line when it is time."""
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{float(runner.batch_metrics['loss']):.4f}", refresh=False)
            self.bar.update()
        elif (seconds := time.monotonic() - self.began) >= self.next_line:
            self.next_line = seconds + NEXT_LINE
            # Catalyst counts the batches of all processes, the loader has those of this one.
            done, total = -(-runner.loader_batch_step // runner.engine.num_processes), len(runner.loader)
            past, left = (tqdm.format_interval(s) for s in (seconds, seconds / done * (total - done)))
            tqdm.write(f"{self._title(runner)}: {done} of {total} batches in {past}, {left} left", file=sys.stderr)

    def _title(self, runner: dl.IRunner) -> str:
        return f"epoch {runner.epoch_step}/{self.num_epochs} {runner.loader_key}"

    def on_loader_end(self, runner: dl.IRunner) -> None:
        """End the bar and the lines."""
        self.next_line = math.inf
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def on_exception(self, runner: dl.IRunner) -> None:
        """Leave the terminal clean."""
        self.on_loader_end(runner)


def to_csv(rows: list[dict[str, Any]]) -> str:
    """Return rows of equal keys as CSV text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
