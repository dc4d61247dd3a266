"""Optimizer and learning rate schedule, with the encoder's rate apart from the decoder's."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from timm.optim import Muon, muon
from torch import optim
from torch.optim import lr_scheduler

from config import TrainConfig
from utils.device import cpu_has_bf16
from utils.models.segmenter import Segmenter

# Steps of the size of AdamW's, so that its rates hold (arXiv 2502.16982, 2.2); what is no matrix, AdamW moves.
# Three iterations of Newton-Schulz: an update of U-Net resnet18 takes 0.21 s on two cores with bf16, by five 0.34 s.
MUON: dict[str, Any] = {"nesterov": True, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}

WARM_UP = 0.25  # share of the steps of onecycle in which the rate rises
LEAST_STEPS = 5  # of onecycle: one to rise in

Scheduler = lr_scheduler.LRScheduler | lr_scheduler.ReduceLROnPlateau


def make_optimizer(config: TrainConfig, model: Segmenter) -> optim.Optimizer:
    """Make the optimizer with a group ``encoder`` and a group ``decoder`` (decoder and heads)."""
    inside = {id(parameter) for parameter in model.net.encoder.parameters()}  # type: ignore[union-attr]
    groups = [
        {"name": "encoder", "lr": config.lr_encoder, "params": [p for p in model.parameters() if id(p) in inside]},
        {"name": "decoder", "lr": config.lr_decoder, "params": [p for p in model.parameters() if id(p) not in inside]},
    ]
    if config.optimizer == "muon":
        on_cpu = next(model.parameters()).device.type == "cpu"
        kind = MuonInFloat32 if on_cpu and not cpu_has_bf16() else Muon
        return kind(groups, weight_decay=config.weight_decay, **MUON)
    adam = {"adam": optim.Adam, "adamw": optim.AdamW}[config.optimizer]
    # One pass over a tensor instead of ten: unfused, the update is 5 % of a step on a CPU (U-Net resnet18, 192x192).
    return adam(groups, weight_decay=config.weight_decay, fused=True)


class MuonInFloat32(Muon):
    """Muon for CPUs without bf16 instructions: the same step, its iterations of Newton-Schulz in float32.

    timm computes them in bf16 and has no option for it; what emulating that costs: ``benchmarks/train_step.py
    -optimizer muon``.
    """

    def step(self, closure: Any = None) -> Any:
        """Update the parameters; as ``timm.optim.Muon.step``."""
        with _newton_schulz_in_float32():
            return super().step(closure)


@contextmanager
def _newton_schulz_in_float32() -> Iterator[None]:
    library = muon.zeropower_via_newtonschulz
    muon.zeropower_via_newtonschulz = partial(library, dtype=torch.float32)
    try:
        yield
    finally:
        muon.zeropower_via_newtonschulz = library


def make_scheduler(config: TrainConfig, optimizer: optim.Optimizer, batches: int) -> tuple[Scheduler | None, str]:
    """Make the schedule.

    Args:
        config: the run's settings.
        optimizer: whose groups' rates are the peaks of ``onecycle`` and the start of the others.
        batches: of one epoch.

    Returns:
        The scheduler (none for ``constant``) and when it steps: ``batch`` or ``epoch``.
    """
    if config.schedule == "plateau":
        return (
            lr_scheduler.ReduceLROnPlateau(optimizer, factor=config.plateau_factor, patience=config.plateau_patience),
            "epoch",
        )
    if config.schedule == "onecycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        # With fewer steps the warm-up has no room: torch divides by zero, or begins where the schedule ends, at almost 0.
        steps = max(batches * config.num_epochs, LEAST_STEPS)
        return lr_scheduler.OneCycleLR(optimizer, peaks, total_steps=steps, pct_start=WARM_UP), "batch"
    if config.schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.num_epochs), "epoch"
    return None, "epoch"
