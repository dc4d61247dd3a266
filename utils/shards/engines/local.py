"""Shards in this process, one after the other."""

from collections.abc import Iterator

from utils.shards.engines.engine import Engine
from utils.shards.worker import Task, Worker


class Local(Engine):
    """Runs shards in this process."""

    def run(self, task: Task) -> Iterator[int]:
        """Run the shards of a task, and give the number of each that is committed."""
        worker = Worker(task.config, task.job) if task.todo else None
        for shard in task.todo:
            assert worker is not None
            worker.run(shard)
            yield shard
