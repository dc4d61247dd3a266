"""Shards as an array of Slurm jobs, through submitit."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config import PredictConfig
from utils.device import optional
from utils.errors import InputError
from utils.shards.engines.engine import Engine
from utils.shards.job import Task

LOGS = "slurm"  # folder of submitit's files, below where the command was typed


class Slurm(Engine):
    """Runs shards as an array of jobs, each a share, and waits for them.

    Args:
        config: the flags.
        cluster: of submitit; another one for tests.

    Raises:
        InputError: submitit is not installed, or there is no Slurm here.
    """

    def __init__(self, config: PredictConfig, cluster: str = "slurm") -> None:
        super().__init__(config)
        self.submitit = optional("-engine slurm", "submitit")
        if cluster == "slurm" and shutil.which("sbatch") is None:
            raise InputError(
                "-engine slurm: there is no sbatch here; type the command where Slurm is, or take -engine ray"
            )
        self.cluster = cluster
        self.asked = dict(_asked(word) for word in config.slurm or ())

    def run(self, task: Task) -> Iterator[int]:
        """Run the shards of a task, and give the number of each when the job that had it is done.

        Raises:
            InputError: jobs failed; what they had not committed is still to do.
        """
        many = min(self.config.workers or 1, len(task.todo))
        if not many:
            return
        executor: Any = self.submitit.AutoExecutor(folder=Path(LOGS) / "%j", cluster=self.cluster)
        executor.update_parameters(**{"cpus_per_task": max(self.config.threads, 1), "name": "steel", **self.asked})
        shares = [task.todo[place::many] for place in range(many)]
        jobs = executor.map_array(_work, [Task(task.config, task.job, share) for share in shares])
        failed: list[str] = []
        for share, job in zip(shares, jobs, strict=True):
            if (error := job.exception()) is not None:
                text = str(error).strip().splitlines() or [type(error).__name__]
                failed.append(f"job {job.job_id}: {text[-1]}")
            else:
                yield from share
        if failed:
            raise InputError(
                f"-engine slurm: {len(failed)} of {many} jobs failed ({failed[0]}); type the command again, it goes on where"
                f" it stopped; their output is in {LOGS}/"
            )


def _asked(word: str) -> tuple[str, Any]:
    name, sign, value = word.partition("=")
    if not sign or not name:
        raise InputError(f"-slurm {word}: expected KEY=VALUE, as timeout_min=600")
    return name, int(value) if value.isdecimal() else value


def _work(task: Task) -> None:
    """Predict a share of the shards, in a job of Slurm's."""
    from utils.shards.worker import Worker

    worker = Worker(task.config, task.job)
    for shard in task.todo:
        worker.run(shard)
