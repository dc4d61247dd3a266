"""Where the time of a network goes at 256x1600, by layer, against what this processor multiplies at most; and what smaller
decoders bring.

All by OpenVINO on one thread, networks of random weights in turns, processor time. The limit is the fastest of some products
of square matrices by the same library. OpenVINO puts batch normalisation and activation into the convolution before them: the
CSV counts what is left of them. A depthwise decoder has a depthwise 3x3 and a pointwise convolution in place of each 3x3.

    python benchmarks/decoders.py -what layers                    # of one network
    python benchmarks/decoders.py -what decoders,encoders         # in turns
"""

import collections
import datetime
import os
import statistics
import sys
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

CLASSES = ("pits", "cracks", "scratches", "patches")
HALF = (128, 64, 32, 16, 16)
MATRICES = (512, 1024, 2048)  # rows and columns
KINDS = {
    "Convolution": "convolution",
    "GroupConvolution": "depthwise",
    "ConvolutionBackpropData": "transposed",
    "GroupConvolutionBackpropData": "transposed",
}
DECODERS = ("full", "half", "depthwise")


@dataclass(frozen=True, kw_only=True)
class DecodersConfig:
    """What this benchmark does."""

    what: tuple[str, ...] = flag(
        "layers: of each network; decoders: full, half and depthwise; encoders: all of -encoders with the half decoder",
        ("layers", "decoders", "encoders"),
    )
    networks: tuple[str, ...] = flag(
        "encoders of the U-Nets for layers and decoders", ("efficientnet-b0", "resnet18", "tf_efficientnet_lite2")
    )
    encoders: tuple[str, ...] = flag(
        "encoders of the table",
        (
            *("resnet18", "resnet34", "resnet50", "mobilenet_v2", "tf_efficientnet_lite0", "tf_efficientnet_lite2"),
            *("efficientnet-b0", "efficientnet-b3", "efficientnet-b4"),
        ),
    )
    downsamples: tuple[int, ...] = flag("as -downsample of Train.py, of the table of encoders", (1, 2))
    precisions: tuple[str, ...] = flag("f32, bf16", ("f32", "bf16"))
    size: tuple[int, int] = flag("H,W of the images, pixels", (256, 1600))
    rounds: int = flag("turns", 3, low=1)
    out: Path = flag("folder for decoders.csv and layers.csv", Path(__file__).parent / "results")


def main(argv: Sequence[str]) -> int:
    """Measure what is asked for and print it."""
    config = parse(DecodersConfig, argv, "decoders.py", "Time U-Nets by layer and by decoder.")
    optional("decoders.py", "openvino")
    limits = {precision: gemm_limit(precision) for precision in config.precisions}
    for precision, limit in limits.items():
        print(f"{precision}: at most {limit:.0f} GMAC/s on one thread", flush=True)
    for encoder in config.networks:
        if "layers" in config.what:
            graph, _ = convert(encoder, "full", config.size)
            for precision in config.precisions:
                rows = profile(graph, encoder, precision, limits[precision], config)
                write_rows(config.out / "layers.csv", rows)
                for row in rows:
                    print(", ".join(map(str, row.values())), flush=True)
        if "decoders" in config.what:
            compare(config, limits, [(encoder, decoder, 1) for decoder in DECODERS])
    if "encoders" in config.what:
        compare(config, limits, [(encoder, "half", one) for encoder in config.encoders for one in config.downsamples])
    return DONE


def convert(encoder: str, decoder: str, size: tuple[int, int], downsample: int = 1) -> tuple[Any, float]:
    """Return an ``openvino.Model`` for images of one size, and millions of parameters."""
    import openvino
    import torch

    from utils.inference.export.graph import Graph, to_openvino
    from utils.models.factory import build
    from utils.models.spec import ModelSpec

    torch.manual_seed(0)
    channels = HALF if decoder == "half" else ()
    spec = ModelSpec("unet", encoder, "multilabel", CLASSES, decoder_channels=channels, downsample=downsample)
    model = build(spec).eval()
    if decoder == "depthwise":
        _make_depthwise(model.net.decoder)
        # Without merging upsampling and convolution into one, which knows plain convolutions alone.
        example = torch.randint(0, 256, (1, 96, 128, 3), dtype=torch.uint8)
        with torch.inference_mode():
            graph = openvino.convert_model(Graph(model), example_input=example)
    else:
        graph = to_openvino(model)
    graph.reshape([1, *size, 3])
    return graph, sum(parameter.numel() for parameter in model.parameters()) / 1e6


def _make_depthwise(module: Any) -> None:
    from torch import nn

    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and child.kernel_size == (3, 3) and child.groups == 1:
            width = child.in_channels
            pair = nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
                nn.Conv2d(width, child.out_channels, 1, bias=child.bias is not None),
            )
            setattr(module, name, pair)
        else:
            _make_depthwise(child)


def open_compiled(graph: Any, precision: str, profiled: bool = False) -> Any:
    """Compile for one thread."""

    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
        "PERF_COUNT": profiled,
    }
    return openvino_core().compile_model(graph, "CPU", options)


def gemm_limit(precision: str) -> float:
    """Return the most multiplications and additions that a product of matrices does, in 10^9 a second of processor time."""
    import numpy as np
    import openvino
    from openvino import opset8 as ov

    best = 0.0
    for side in MATRICES:
        data = ov.parameter([side, side], np.float32)
        weights = ov.constant(np.random.default_rng(0).normal(size=(side, side)).astype(np.float32))
        compiled = open_compiled(openvino.Model([ov.matmul(data, weights, False, False)], [data]), precision)
        matrix = np.ones((side, side), np.float32)
        compiled(matrix)
        for _ in range(3):
            started = time.process_time()
            compiled(matrix)
            best = max(best, side**3 / (time.process_time() - started) / 1e9)
    return best


def profile(graph: Any, encoder: str, precision: str, limit: float, config: DecodersConfig) -> list[dict[str, Any]]:
    """Return a row for each part of a network: its share of the time, and how near it comes to the limit."""
    import numpy as np

    compiled = open_compiled(graph, precision, profiled=True)
    work, kinds = (
        _work_of(graph),
        {layer.get_friendly_name(): KINDS.get(layer.get_type_name()) for layer in graph.get_ops()},
    )
    names = {}
    for layer in compiled.get_runtime_model().get_ops():
        about = layer.get_rt_info()
        names[layer.get_friendly_name()] = about["originalLayersNames"].astype(str).split(",")
    request = compiled.create_infer_request()
    image = np.random.default_rng(0).integers(0, 256, (1, *config.size, 3), dtype=np.uint8)
    request.infer([image])
    seconds: dict[tuple[str, str], list[float]] = {}
    done: dict[tuple[str, str], float] = collections.defaultdict(float)
    for turn in range(config.rounds):
        started = time.process_time()
        request.infer([image])
        busy = time.process_time() - started
        taken: dict[tuple[str, str], float] = collections.defaultdict(float)
        for layer in request.profiling_info:
            inside = names.get(layer.node_name, [layer.node_name])
            key = (_part(inside), next(filter(None, map(kinds.get, inside)), "other"))
            taken[key] += layer.cpu_time.total_seconds()
            if not turn:
                done[key] += sum(work.get(name, 0.0) for name in inside)
        for key, value in taken.items():
            # OpenVINO's clock goes on while other programs have the core: it gives the shares, the processor's clock the sum.
            seconds.setdefault(key, []).append(value * busy / sum(taken.values()))
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    whole = sum(medians.values())
    return [
        {
            "encoder": encoder,
            "precision": precision,
            "isa": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
            "part": part,
            "kind": kind,
            "ms": round(1e3 * value, 2),
            "percent": round(100 * value / whole, 1),
            "gmac": round(done[part, kind] / 1e9, 3),
            "gmac_per_second": round(done[part, kind] / value / 1e9, 1) if value else 0.0,
            "percent_of_gemm": round(100 * done[part, kind] / value / 1e9 / limit, 1) if value else 0.0,
            **_about(),
        }
        for (part, kind), value in sorted(medians.items())
        if value > 0.002 * whole
    ]


def _part(names: Sequence[str]) -> str:
    for name in names:
        words = name.removeprefix("__module.").removeprefix("model.").removeprefix("net.").split("/")[0].split(".")
        if words[0] == "encoder":
            return "encoder"
        if words[0] == "decoder":
            return ".".join(words[:3])
        if words[0] == "segmentation_head":
            return "head"
    return "rest"


def _work_of(graph: Any) -> dict[str, float]:
    """Return multiplications of each convolution by its name."""
    import numpy as np

    work = {}
    for layer in graph.get_ops():
        kind = layer.get_type_name()
        if "Convolution" in kind:
            weights, given = (tuple(layer.input_value(index).shape) for index in (1, 0))
            made = tuple(layer.output(0).shape)
            # Of a transposed convolution each number that comes in meets the whole kernel.
            places = np.prod(given[2:]) if "Backprop" in kind else np.prod(made[2:])
            work[layer.get_friendly_name()] = float(np.prod(weights) * places)
    return work


def compare(config: DecodersConfig, limits: dict[str, float], networks: Sequence[tuple[str, str, int]]) -> None:
    """Time networks in turns and write what they take."""
    import numpy as np

    image = np.random.default_rng(0).integers(0, 256, (1, *config.size, 3), dtype=np.uint8)
    compiled, facts_of = {}, {}
    for encoder, decoder, downsample in networks:
        graph, millions = convert(encoder, decoder, config.size, downsample)
        gmac = sum(_work_of(graph).values()) / 1e9
        for precision in config.precisions:
            key = (encoder, decoder, downsample, precision)
            compiled[key] = open_compiled(graph.clone(), precision)
            kinds = collections.Counter(
                layer.get_rt_info()["layerType"].astype(str) for layer in compiled[key].get_runtime_model().get_ops()
            )
            facts_of[key] = (millions, gmac, kinds["Eltwise"] + kinds["BatchNormalization"])
    taken: dict[Any, list[float]] = {key: [] for key in compiled}
    for turn in range(config.rounds + 1):
        for key, one in compiled.items():
            started = time.process_time()
            one(image)
            if turn:
                taken[key].append(time.process_time() - started)
    for (encoder, decoder, downsample, precision), times in taken.items():
        seconds = statistics.median(times)
        millions, gmac, left = facts_of[encoder, decoder, downsample, precision]
        row = {
            "encoder": encoder,
            "decoder": decoder,
            "downsample": downsample,
            "precision": precision,
            "isa": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
            "million_parameters": round(millions, 2),
            "gmac": round(gmac, 2),
            "cpu_ms": round(1e3 * seconds, 1),
            "percent_of_gemm": round(100 * gmac / seconds / limits[precision], 1),
            "not_fused": left,
            **_about(),
        }
        write_rows(config.out / "decoders.csv", [row])
        print(", ".join(map(str, row.values())), flush=True)


def _about() -> dict[str, Any]:
    return {"date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"), **facts(1, "openvino", "torch")}


if __name__ == "__main__":
    run(main)
