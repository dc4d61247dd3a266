"""What runs the network: uint8 images in, logits out, behind one small interface.

A new backend is a function ``(weights, settings) -> Network`` with a line in ``BACKENDS``, and its name in the
``backend`` fields of ``config.py``.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch

from utils.errors import InputError
from utils.published.weights_file import WeightsFile

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


class Outputs(NamedTuple):
    """What a network says about a batch; float32 on any device.

    Attributes:
        masks: ``(N, K, H, W)`` logits of the pixels; None for networks that judge whole images only.
        labels: ``(N, L)`` logits of the images; None for networks without such outputs.
    """

    masks: torch.Tensor | None
    labels: torch.Tensor | None

    @classmethod
    def of(cls, answer: torch.Tensor | Sequence[torch.Tensor]) -> "Outputs":
        """Sort what a module returned: logits of pixels have four axes, those of images two."""
        tensors = {tensor.ndim: tensor for tensor in ([answer] if isinstance(answer, torch.Tensor) else answer)}
        return cls(tensors.get(4), tensors.get(2))


# Chooses the images whose masks are wanted, from their labels: (N, L) float32 logits -> (N,) bool on the same device.
Gate = Callable[[torch.Tensor], torch.Tensor]


class Network(Protocol):
    """A network that is ready to run.

    Attributes:
        name: backend, precision and device, for messages and summaries.
        parallel: number of calls that may run at once, each in a thread of its own.
    """

    name: str
    parallel: int

    def __call__(self, images: np.ndarray, gate: Gate | None = None) -> Outputs:
        """Run on a batch.

        Args:
            images: ``(N, H, W, channels)`` uint8, contiguous.
            gate: for networks with masks and labels. ``masks`` then has the chosen images only, in their order, and
                is None when there is none; a network that can decodes no others.

        Returns:
            The logits.
        """
        ...


@dataclass(frozen=True)
class Settings:
    """How to run a network, in the words of the flags."""

    device: str = "auto"
    precision: str = "f32"
    threads: int = 0


def open_network(weights: WeightsFile, backend: str, device: str, precision: str, threads: int) -> Network:
    """Make a weights file ready to run.

    Args:
        weights: the network.
        backend: a name of ``BACKENDS``; ``auto`` takes the first.
        device: ``auto`` (a GPU when there is one), ``cpu`` or ``cuda``.
        precision: ``f32``, ``bf16`` or ``f16``.
        threads: CPU threads; 0 leaves the number as it is.

    Raises:
        InputError: the machine has no such device, or the device cannot compute in this precision.
    """
    if threads < 0:
        raise InputError(f"-threads {threads}: expected 0 (all cores) or more")
    name = next(iter(BACKENDS)) if backend == "auto" else backend
    if name not in BACKENDS:
        raise InputError(f"-backend {backend}: choose from auto, {', '.join(BACKENDS)}")
    return BACKENDS[name](weights, Settings(device, precision, threads))


def pass_gate(outputs: Outputs, gate: Gate | None) -> Outputs:
    """Keep the masks of the images that a gate chooses; for networks that have decoded all."""
    if gate is None or outputs.masks is None or outputs.labels is None:
        return outputs
    chosen = gate(outputs.labels)
    return Outputs(outputs.masks[chosen] if chosen.any() else None, outputs.labels)


class TorchNetwork:
    """PyTorch with ``channels_last`` memory and autocast."""

    parallel = 1  # a call uses all threads

    def __init__(self, weights: WeightsFile, settings: Settings) -> None:
        self.device = choose_device(settings.device)
        self.dtype = check_precision(settings.precision, self.device)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        # Sizes repeat from batch to batch: looking for the fastest convolution once pays off.
        torch.backends.cudnn.benchmark = self.device.type == "cuda"
        self.model = weights.build().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        place = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        self.name = f"torch {settings.precision} on {place}"

    @torch.inference_mode()
    def __call__(self, images: np.ndarray, gate: Gate | None = None) -> Outputs:
        """Run on a batch, see ``Network``."""
        # Images lie in memory with channels last already: the permuted view needs no copy.
        batch = torch.from_numpy(images).permute(0, 3, 1, 2)
        if self.device.type == "cuda":
            batch = batch.pin_memory().to(self.device, non_blocking=True)
        try:
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                if gate is not None and self.model.spec.labels and self.model.spec.outputs:
                    return Outputs(*self.model.chosen(batch, gate))  # a shared backbone decodes no others
                return Outputs.of(self.model(batch))
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                count, height, width = images.shape[:3]
                raise InputError(
                    f"the memory of {self.name.split(' on ')[1]} is too small for {count} images of {height}x{width};"
                    " use a smaller -batch_size, or weights trained with a smaller -image_size"
                ) from None
            raise


def choose_device(device: str) -> torch.device:
    """Give the device of a ``-device`` flag; raises ``InputError`` when the machine has no such device."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "-device cuda: PyTorch finds no GPU here; use -device cpu, or install a driver and a CUDA build"
        )
    return torch.device(device)


def check_precision(precision: str, device: torch.device) -> torch.dtype:
    """Give the dtype of a ``-precision`` flag for a device.

    Raises:
        InputError: the device cannot compute in it. A CPU that only emulates bf16 is a warning, since it is slow but
            right.
    """
    if precision == "f16" and device.type == "cpu":
        raise InputError("-precision f16: only for GPUs; use bf16 or f32 on a CPU")
    if precision == "bf16" and device.type == "cpu" and not cpu_has_bf16():
        print("warning: -precision bf16: this CPU only emulates it, f32 is faster here", file=sys.stderr)
    return DTYPES[precision]


def cpu_has_bf16() -> bool:
    """Tell whether this CPU multiplies bf16 numbers in hardware (AVX-512 BF16, AMX or Arm's bf16)."""
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_arm_bf16_supported"):
        if getattr(torch.cpu, probe, lambda: False)():
            return True
    return False


BACKENDS: dict[str, Callable[[WeightsFile, Settings], Network]] = {"torch": TorchNetwork}
