"""Shards in the processes that ``torchrun`` starts, each its share."""

import datetime
import os
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch.distributed as dist

from config import PredictConfig
from utils.errors import InputError
from utils.shards.engines.engine import Engine
from utils.shards.job import Task

T = TypeVar("T")
_PATIENCE = datetime.timedelta(days=30)  # one process may have much more to do than another


class Torchrun(Engine):
    """Runs every n-th shard in one of n processes.

    Args:
        config: the flags.

    Raises:
        InputError: ``torchrun`` did not start this process.
    """

    def __init__(self, config: PredictConfig) -> None:
        super().__init__(config)
        if "RANK" not in os.environ or "MASTER_ADDR" not in os.environ:
            raise InputError(
                "-engine torchrun: torchrun did not start this process; type torchrun --nproc_per_node N"
                " Predict_masks.py ..., or take -engine local"
            )
        dist.init_process_group("gloo", timeout=_PATIENCE)

    @property
    def leads(self) -> bool:
        """Whether this process is the one that tells the result."""
        return dist.get_rank() == 0

    def first(self, begin: Callable[[], T]) -> T:
        """Let the first process do what only one may do; where it fails, the others end without a word."""
        answer: list[T | None] = [None]
        failed: Exception | None = None
        if self.leads:
            try:
                answer = [begin()]
            except Exception as error:
                failed = error
        dist.broadcast_object_list(answer, src=0)
        if failed is not None:
            raise failed
        if answer[0] is None:
            sys.exit(2)
        return answer[0]

    def run(self, task: Task) -> Iterator[int]:
        """Run this process's share of the shards, and give the number of each that is committed."""
        share = task.todo[dist.get_rank() :: dist.get_world_size()]
        if share:
            from utils.shards.worker import Worker  # with timm and torchvision: a finished job does without their start

            worker = Worker(task.config, task.job)
            for shard in share:
                worker.run(shard)
                yield shard
        dist.barrier()

    def __exit__(self, *error: object) -> None:
        """Leave the group of processes."""
        dist.destroy_process_group()
