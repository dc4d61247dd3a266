"""What an engine is: it begins a job once, runs its shards, and may fail at any time, since only parts count."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

from config import PredictConfig
from utils.shards.job import Task

T = TypeVar("T")


class Engine(contextlib.AbstractContextManager["Engine"]):
    """Runs shards.

    Args:
        config: the flags.

    Raises:
        InputError: this machine lacks what the engine needs.
    """

    def __init__(self, config: PredictConfig) -> None:
        self.config = config

    def first(self, begin: Callable[[], T]) -> T:
        """Let one process do what only one may do, and give every process its result."""
        return begin()

    def run(self, task: Task) -> Iterator[int]:
        """Run the shards of a task, and give the number of each that is committed."""
        raise NotImplementedError

    @property
    def leads(self) -> bool:
        """Whether this process is the one that tells the result."""
        return True

    def __exit__(self, *error: object) -> None:
        """Let go of what the engine holds."""
