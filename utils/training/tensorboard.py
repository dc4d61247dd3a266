"""Curves for TensorBoard, written at once."""

import math
import time
from pathlib import Path

from catalyst import dl
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar


class TensorboardFiles(dl.TensorboardLogger):
    """Catalyst's logger without tensorboardX's thread, which dies on a full disk and lets the training wait for ever.

    Some forty numbers an epoch need no thread. An ``OSError`` names the folder.
    """

    def _check_loader_key(self, loader_key: str) -> None:
        if loader_key not in self.loggers:
            folder = Path(self.logdir) / loader_key
            folder.mkdir(parents=True, exist_ok=True)
            self.loggers[loader_key] = EventsWriter(str(folder / "events"))

    def _log_metrics(self, metrics: dict[str, float], step: int, loader_key: str, suffix: str = "") -> None:
        for key, value in metrics.items():
            if not math.isfinite(value):  # as the Dice of a class that no image shows; tensorboardX would remark on it
                continue
            event = Event(wall_time=time.time(), step=step, summary=scalar(f"{key}{suffix}", float(value)))
            self.loggers[loader_key].write_event(event)

    def flush_log(self) -> None:
        """Bring everything to the disk."""
        try:
            super().flush_log()
        except OSError as error:
            error.filename = error.filename or self.logdir
            raise
