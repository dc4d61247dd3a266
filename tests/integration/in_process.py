"""Commands run in the process of the tests, as their scripts run them: a process of its own imports for seconds."""

import importlib
import signal
import sys
from collections.abc import Sequence

import pytest

from utils.cli import run


def command(words: Sequence[str], patch: pytest.MonkeyPatch) -> object:
    """Run a command as its script does.

    Args:
        words: what a user types after ``python``: the script and its flags.
        patch: sets the command line.

    Returns:
        The exit code.
    """
    patch.setattr(sys, "argv", list(words))
    main = importlib.import_module(words[0].removesuffix(".py")).main
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as stop:
            run(main)
    finally:
        signal.signal(signal.SIGTERM, before)
    return stop.value.code
