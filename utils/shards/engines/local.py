"""Shards in this process, one after the other."""

from collections.abc import Iterator

from utils.shards.engines.engine import Engine
from utils.shards.job import Task


class Local(Engine):
    """Runs shards in this process."""

    def run(self, task: Task) -> Iterator[int]:
        """Run the shards of a task, and give the number of each that is committed."""
        if not task.todo:
            return
        from utils.shards.worker import Worker  # with timm and torchvision: a finished job does without their start

        worker = Worker(task.config, task.job)
        for shard in task.todo:
            worker.run(shard)
            yield shard
