"""What 8-bit integers bring in time: each network alone by OpenVINO in f32, bf16 and 8 bits, which run in turns.

Networks have random weights: their time does not depend on them. What counts is processor time, so other programs on the
machine disturb little. ONEDNN_MAX_CPU_ISA=AVX2 lets OpenVINO use no more than AVX2: the kernels that it took stand in the CSV,
so that one sees that it obeys. It is a simulation: a processor with nothing more has other clocks and caches.

    python benchmarks/int8_speed.py
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/int8_speed.py -precisions f32,int8
"""

import collections
import datetime
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, write_rows
from config import flag
from utils.cli import DONE, parse, run
from utils.device import optional
from utils.inference.openvino_core import openvino_core

CALIBRATED = (2, 256, 320)  # images of noise and their size: enough for ranges, which cost no time later
CLASSES = ("pits", "cracks", "scratches", "patches")


@dataclass(frozen=True, kw_only=True)
class Int8SpeedConfig:
    """What this benchmark does."""

    networks: tuple[str, ...] = flag(
        "ARCHITECTURE:ENCODER, comma separated",
        ("unet:efficientnet-b0", "linknet:resnet18", "unet:resnet18", "unet:efficientnet-b4"),
    )
    precisions: tuple[str, ...] = flag(
        "f32, bf16; int8: what stays in floating point in f32, int8-bf16: in bf16; int8-mixed: by NNCF's "
        "other preset, whose ranges are asymmetric",
        ("f32", "bf16", "int8", "int8-bf16"),
    )
    size: tuple[int, int] = flag("H,W of the images, pixels", (256, 1600))
    rounds: int = flag("turns", 5, low=1)
    threads: int = flag("CPU threads of a network", 1, low=1)
    work: Path = flag("folder for converted networks", Path(tempfile.gettempdir()) / "steel-int8")
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/int8_speed.csv")


def main(argv: Sequence[str]) -> int:
    """Measure each network and print what it takes."""
    config = parse(Int8SpeedConfig, argv, "int8_speed.py", "Time 8-bit integers against floating point.")
    import numpy as np

    optional("int8_speed.py", "openvino", "nncf")
    core = openvino_core()
    images = np.random.default_rng(0).integers(0, 256, (1, *config.size, 3), dtype=np.uint8)
    for network in config.networks:
        compiled = {precision: _compiled(core, config, network, precision) for precision in config.precisions}
        taken: dict[str, list[tuple[float, float]]] = {precision: [] for precision in compiled}
        for turn in range(config.rounds + 1):
            for precision, one in compiled.items():
                wall, cpu = time.perf_counter(), time.process_time()
                one(images)
                if turn:  # the first one prepares memory
                    taken[precision].append((time.process_time() - cpu, time.perf_counter() - wall))
        medians = {precision: statistics.median(cpu for cpu, _ in times) for precision, times in taken.items()}
        rows = [
            {
                "network": network,
                "precision": precision,
                "isa": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
                "size": "x".join(map(str, config.size)),
                "cpu_ms": round(1e3 * medians[precision], 1),
                "wall_ms": round(1e3 * statistics.median(wall for _, wall in times), 1),
                **{f"faster_than_{other}": _ratio(medians, other, precision) for other in ("f32", "bf16")},
                "kernels": _kernels(compiled[precision]),
                "rounds": config.rounds,
                "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
                "load_average": f"{os.getloadavg()[0]:.1f}",
                **facts(config.threads, "openvino", "nncf", "torch"),
            }
            for precision, times in taken.items()
        ]
        write_rows(config.out, rows)
        for row in rows:
            print(", ".join(map(str, row.values())), flush=True)
    return DONE


def _ratio(medians: dict[str, float], other: str, precision: str) -> str:
    return f"{medians[other] / medians[precision]:.2f}" if other in medians and other != precision else ""


def _compiled(core: Any, config: Int8SpeedConfig, network: str, precision: str) -> Any:
    """Return a network compiled for one size of images; what is converted is kept for the next run."""
    kind = "float"
    if precision.startswith("int8"):
        kind = "mixed" if precision == "int8-mixed" else "int8"
    kept = config.work / f"{network.replace(':', '-')}-{kind}.xml"
    if not kept.is_file():
        config.work.mkdir(parents=True, exist_ok=True)
        _convert(network, kind, kept)
    graph = core.read_model(kept)
    graph.reshape([1, *config.size, 3])
    options = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision.endswith("bf16") else "f32",
        "INFERENCE_NUM_THREADS": config.threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(graph, "CPU", options)


def _convert(network: str, kind: str, kept: Path) -> None:
    import numpy as np
    import openvino
    import torch

    from utils.inference.export.graph import to_openvino
    from utils.inference.export.quantise import open_nncf, quantise
    from utils.models.factory import build
    from utils.models.spec import ModelSpec

    torch.set_num_threads(1)
    torch.manual_seed(0)
    architecture, encoder = network.split(":")
    model = build(ModelSpec(architecture, encoder, "multilabel", CLASSES)).eval()
    graph = to_openvino(model)
    noise = list(np.random.default_rng(0).integers(0, 256, (*CALIBRATED, 3), dtype=np.uint8))
    if kind == "int8":
        graph = quantise(graph, noise).graph
    elif kind == "mixed":
        nncf = open_nncf()
        preset = nncf.QuantizationPreset.MIXED
        graph = nncf.quantize(
            graph, nncf.Dataset(noise, lambda image: image[None]), preset=preset, subset_size=len(noise)
        )
    openvino.save_model(graph, kept, compress_to_fp16=False)


def _kernels(compiled: Any) -> str:
    """Count what computes the convolutions."""
    counts: collections.Counter[str] = collections.Counter()
    for layer in compiled.get_runtime_model().get_ops():
        about = layer.get_rt_info()
        if about["layerType"].astype(str) in ("Convolution", "Deconvolution"):
            counts[about["primitiveType"].astype(str)] += 1
    return " ".join(f"{name}:{count}" for name, count in sorted(counts.items()))


if __name__ == "__main__":
    run(main)
