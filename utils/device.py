"""What this machine can compute with: devices, precisions, threads, installed libraries."""

import contextlib
import importlib
import importlib.metadata
import os
import platform
import sys
from pathlib import Path
from types import ModuleType

import torch

from config import PROJECT, VERSION
from utils.errors import InputError, lacks_memory

# What a training or a prediction depends on.
LIBRARIES = (
    "torch",
    "catalyst",
    "openvino",
    "onnxruntime",
    "segmentation-models-pytorch",
    "timm",
    "albumentations",
    "opencv-python-headless",
    "numpy",
)

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def choose_device(device: str) -> torch.device:
    """Return the device of a ``-device`` flag; raises ``InputError`` when the machine has no such device."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "-device cuda: PyTorch finds no GPU here; use -device cpu, or install a driver and a CUDA build"
        )
    return torch.device(device)


def check_precision(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of a ``-precision`` flag for a device.

    Raises:
        InputError: the device cannot compute in it. A CPU that only emulates bf16 is a warning, since it is slow but
            right.
    """
    if precision == "int8":
        raise InputError("-precision int8: only OpenVINO computes in it, on CPUs; use -backend openvino")
    if precision == "f16" and device.type == "cpu":
        raise InputError("-precision f16: only for GPUs; use bf16 or f32 on a CPU")
    if precision == "bf16" and device.type == "cpu" and not cpu_has_bf16():
        print("warning: -precision bf16: this CPU only emulates it, f32 is faster here", file=sys.stderr)
    return DTYPES[precision]


def require_cpu(backend: str, device: str) -> torch.device:
    """Return the CPU for a backend that has nothing else; raises ``InputError`` when a GPU was asked for."""
    if device == "cuda":
        raise InputError(f"-backend {backend}: runs on CPUs only; use -backend torch for a GPU, or -device cpu")
    return torch.device("cpu")


def cpu_has_bf16() -> bool:
    """Check whether this CPU multiplies bf16 numbers in hardware (AVX-512 BF16, AMX or Arm's bf16), and may do so.

    ``ONEDNN_MAX_CPU_ISA`` of the environment keeps oneDNN, and so torch and OpenVINO, from what a CPU has.
    """
    most = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if most and not any(word in most for word in ("BF16", "FP16", "AMX", "DEFAULT", "ALL")):
        return False
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_arm_bf16_supported"):
        if getattr(torch.cpu, probe, lambda: False)():
            return True
    return False


def processor() -> str:
    """Name the processor as the operating system does, and its instructions that decide how fast it is here.

    Names do not tell: one with AVX2 and one that trains seven times as fast both call themselves AMD EPYC.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name} ({'bf16' if cpu_has_bf16() else torch.backends.cpu.get_cpu_capability()})"


def cpu_threads(threads: int) -> int:
    """Return the number of threads that ``-threads`` means: 0 is all cores that this process may use."""
    if threads:
        return threads
    # A container or taskset may allow fewer cores than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def optional(flag: str, *packages: str, instead: str = "", requirements: str = "", called: str = "") -> ModuleType:
    """Import a library that not everybody has, and make sure of others that it needs.

    Args:
        flag: what asks for it, for the message.
        packages: names to import; the first one is given back.
        instead: what else the user can do.
        requirements: file that names them with their versions; none: the names alone are installed.
        called: what the package index calls the first one, where that is another name.

    Raises:
        InputError: one of them is not installed; the message says how to install it.
    """
    # OpenVINO tells its makers of each import and conversion, from a forked process that can hang where no network is.
    # Nobody here was asked, and it does neither where it does not find the package for it.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        modules = [importlib.import_module(name) for name in packages]
    except ImportError as error:
        if lacks_memory(error):
            raise
        wanted = f"-r {requirements}" if requirements else " ".join(packages)
        command = f".venv/bin/uv pip install {wanted}"
        remedy = f", or {instead}" if instead else ""
        raise InputError(
            f"{flag}: the package {called or error.name} is not installed; run {command}{remedy}"
        ) from None
    return modules[0]


def version(package: str) -> str | None:
    """Return the version of a package; None when it is not there.

    The same library may come as another package, such as onnxruntime-gpu; then it is what the library itself says.
    """
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    with contextlib.suppress(InputError):
        return getattr(optional(package, package.replace("-", "_")), "__version__", None)
    return None


def versions() -> dict[str, str]:
    """Return the versions of this project, of Python and of those of ``LIBRARIES`` that are installed."""
    found = {PROJECT: VERSION, "python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}
    return {name: number for name, number in found.items() if number}
