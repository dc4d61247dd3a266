"""Ctrl-C and SIGTERM end a training between two steps, where no file is half written."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

from catalyst import dl

# SIGCHLD: torch raises an error from it when a loading process has died. Windows has none.
_SIGNALS = ("SIGINT", "SIGTERM", "SIGCHLD")


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off what signals do until the block is done; an exception amid torch's zip writer would abort the process."""
    came: list[int] = []
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)):
            if callable(signal.getsignal(number)):
                before[number] = signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number in dict.fromkeys(came):
        signal.raise_signal(number)


class Interruption(dl.Callback):
    """Remembers a signal until the current step is done; a second one ends at once.

    Use it as a context around the training and as a callback within.
    """

    def __init__(self) -> None:
        super().__init__(order=dl.CallbackOrder.External + 20)
        self.requested = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def on_batch_end(self, runner: dl.IRunner) -> None:
        """End here if a signal came."""
        self.end_if_requested()

    def on_epoch_end(self, runner: dl.IRunner) -> None:
        """End here if a signal came while the epoch's files were written."""
        self.end_if_requested()

    def end_if_requested(self) -> None:
        """Raise ``KeyboardInterrupt`` if a signal came."""
        if self.requested:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
