"""Catalyst's engine, made to work with today's accelerate."""

import datetime
from typing import Any

import torch
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list, gather_object
from catalyst.core.engine import Engine

from config import TrainConfig
from utils.device import check_precision
from utils.errors import InputError

MIXED_PRECISION = {"f32": "no", "bf16": "bf16", "f16": "fp16"}


# What the first process does alone may take hours: it checks a million images, or asks teachers about them. By default
# the others give up after 10 minutes (NCCL) or 30 (gloo). Of one that was killed they hear at once, or from torchrun.
PATIENCE = datetime.timedelta(days=30)

# What gloo, NCCL and torch say where another process has gone.
LOST = ("closed by peer", "reset by peer", "NCCL error", "ncclRemoteError", "Broken pipe", "Timed out waiting")


def has_lost_a_process(error: BaseException) -> bool:
    """Check whether an error is what the processes that are left meet when one of a training was killed."""
    return isinstance(error, RuntimeError) and any(words in str(error) for words in LOST)


class SteelEngine(Engine):
    """One process or many (under ``torchrun`` or ``accelerate launch``), CPU or GPU, any precision.

    Catalyst 22.4 asks accelerate for a TPU state that accelerate 1.0 removed; only that method is replaced.
    """

    def mean_reduce_ddp_metrics(self, metrics: dict[str, Any]) -> dict[str, Any]:
        """Leave each process its own metrics: ours are sums that ``EpochMeter`` collects exactly."""
        return metrics

    def gather(self, part: Any) -> list[Any]:  # type: ignore[override]
        """Return the parts of all processes, in order of their rank, in every process."""
        return gather_object([part]) if self.num_processes > 1 else [part]

    def from_first(self, value: Any) -> Any:
        """Return the first process's value in every process."""
        return broadcast_object_list([value])[0] if self.num_processes > 1 else value


def make_engine(config: TrainConfig) -> SteelEngine:
    """Choose device and precision, and join the other processes if there are any.

    Raises:
        InputError: the machine does not have what was asked for.
    """
    has_gpu = torch.cuda.is_available()
    if config.device == "cuda" and not has_gpu:
        raise InputError("-device cuda: this machine has no GPU that torch can use; take -device cpu")
    on_cpu = config.device == "cpu" or not has_gpu
    if on_cpu:
        check_precision(config.precision, torch.device("cpu"))
    if config.threads:
        torch.set_num_threads(config.threads)
    # accelerate keeps device and precision of the first training in the process; a second one may differ.
    AcceleratorState._reset_state()
    if PartialState._shared_state and PartialState().num_processes == 1:
        PartialState._reset_state()
    patient = InitProcessGroupKwargs(timeout=PATIENCE)
    return SteelEngine(cpu=on_cpu, mixed_precision=MIXED_PRECISION[config.precision], kwargs_handlers=[patient])
