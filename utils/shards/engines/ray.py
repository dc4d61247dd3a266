"""Shards as tasks of Ray. What is killed, with its process or its machine, Ray runs again, on whatever machine is left."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config import PredictConfig
from utils.data.stores import StoreError
from utils.device import optional
from utils.errors import InputError, lacks_memory
from utils.shards.engines.engine import Engine
from utils.shards.job import Task

ROOT = Path(__file__).resolve().parents[3]
_TRIES = 10  # of a shard whose process or machine dies, beside the first
_ANSWERS = 10.0  # seconds within which a cluster has to take a connection
_LOOK = 20.0  # seconds without a finished shard after which this machine's own part in the cluster is looked at


class OnRay(Engine):
    """Runs shards as tasks of a cluster that is there, or of one on this machine.

    Args:
        config: the flags.

    Raises:
        InputError: Ray is not installed, or the cluster that ``RAY_ADDRESS`` names cannot be reached.
    """

    def __init__(self, config: PredictConfig) -> None:
        super().__init__(config)
        ray = self.ray = optional("-engine ray", "ray")
        self.began = not ray.is_initialized()
        if self.began:
            threads = str(max(config.threads, 1))
            wanted = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": threads}
            begins = False
            try:
                # A page of its own would be one more program to start, and to reach from elsewhere.
                begins = _begins(ray)
                more = {"include_dashboard": False} if begins else {}
                ray.init(
                    runtime_env={"env_vars": {**wanted, **_for_stores()}},
                    log_to_driver=False,
                    logging_level="error",
                    **more,
                )
            except Exception as error:  # some of Ray's are of no narrower kind
                if lacks_memory(error):
                    raise
                text = " ".join(str(error).split())
                remedy = "check RAY_ADDRESS, start one by ray start --head, or take RAY_ADDRESS=local"
                if begins:
                    remedy = "try again when this machine is less busy, or take -engine local"
                raise InputError(f"-engine ray: no cluster ({text[:200]}); {remedy}") from None

    def run(self, task: Task) -> Iterator[int]:
        """Run the shards of a task, and give the number of each that is committed, in the order that they are."""
        ray = self.ray
        cores = max(self.config.threads, 1)
        gpus = int(self.config.device == "cuda")
        work: Any = ray.remote(num_cpus=cores, num_gpus=gpus, max_retries=_TRIES, retry_exceptions=[StoreError])(_work)
        about = ray.put((task.config, task.job))
        rest = iter(task.todo)
        running: list[Any] = []
        while True:
            room = self.config.workers or self._at_once(cores, gpus)  # machines come and go
            while len(running) < room and (shard := next(rest, None)) is not None:
                running.append(work.remote(about, shard))
            if not running:
                return
            done, running = ray.wait(running, num_returns=1, timeout=_LOOK)
            if not done:
                self._refuse_loss()
            for one in done:
                yield _result(ray, one)

    def _at_once(self, cores: int, gpus: int) -> int:
        """Return how many tasks the cluster can run now, with a core of each machine left free."""
        return max(1, sum(_fit(node, cores, gpus) for node in self.ray.nodes() if node["Alive"]))

    def _refuse_loss(self) -> None:
        """Raise ``InputError`` where Ray has ended on this machine: its driver would wait for ever."""
        own = self.ray.get_runtime_context().get_node_id()
        if not any(node["Alive"] for node in self.ray.nodes() if node["NodeID"] == own):
            raise InputError(
                "-engine ray: Ray has ended on this machine; start it there again, then type the command again, it goes on"
                " where it stopped"
            )

    def __exit__(self, *error: object) -> None:
        """Leave the cluster; one that was started for this run ends."""
        if self.began:
            self.ray.shutdown()


def _begins(ray: Any) -> bool:
    """Check whether Ray is going to start a cluster on this machine.

    Raises:
        ConnectionError: the cluster that Ray would take does not answer; Ray itself tries for many minutes.
    """
    named = os.environ.get("RAY_ADDRESS", "")
    if "://" in named or named == "local":
        return named == "local"
    address = ray._private.services.canonicalize_bootstrap_address(named or None)  # which has no public name
    if address is None:
        return True
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWERS).close()
    except OSError as error:
        meant = f" ({named} as Ray reads it)" if named and named != address else ""
        raise ConnectionError(f"{address}{meant} does not answer: {error.strerror or error}") from None
    return False


def _fit(node: dict[str, Any], cores: int, gpus: int) -> int:
    has = node["Resources"]
    many = int(max(has.get("CPU", 0) - 1, 0) // cores)
    return min(many, int(has.get("GPU", 0) // gpus)) if gpus else many


def _result(ray: Any, one: Any) -> int:
    """Return what a task returned; its error as ours."""
    try:
        return int(ray.get(one))
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, (InputError, OSError)):
            raise cause from None
        raise
    except ray.exceptions.RayError as error:
        text = " ".join(str(error).split())
        raise InputError(
            f"-engine ray: a shard ended its process or machine {_TRIES + 1} times, or no process started ({text[:200]}); look"
            " for a lack of memory or of processor time, then type the command again, it goes on where it stopped"
        ) from None


def _for_stores() -> dict[str, str]:
    """Return what of the environment says how stores are reached."""
    kinds = ("AWS_", "FSSPEC_", "GOOGLE_", "AZURE_")
    return {name: value for name, value in os.environ.items() if name.startswith(kinds)}


_worker: tuple[Any, Any] | None = None  # of this process, which Ray keeps for the next task


def _work(about: Any, shard: int) -> int:
    """Predict a shard, in a process of Ray's."""
    global _worker
    from utils.shards.worker import Worker

    config, job = about
    if _worker is None or _worker[0] != (config, job.plan, job.settings):
        _worker = ((config, job.plan, job.settings), Worker(config, job))
    _worker[1].run(shard)
    return shard
