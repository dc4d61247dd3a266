"""What 8-bit integers cost in accuracy: mean Dice of a weights file by OpenVINO in f32, bf16 and three ways to 8 bits.

Images of the train side of a split fix the ranges and choose the layers; images of the valid side are scored. Where a CPU has
only AVX2, 8-bit sums may overflow: ONEDNN_MAX_CPU_ISA=AVX2 lets OpenVINO use no more than that here.

    python benchmarks/int8_dice.py -dir NEU -split split.csv
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/int8_dice.py -dir NEU -split split.csv -rows performance
"""

import csv
import os
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

PACKAGES = ("openvino", "nncf", "torch")
FIRST = 4  # images that -backend auto looks at, see utils/inference/backends/choice.py


@dataclass(frozen=True, kw_only=True)
class Int8DiceConfig:
    """What this benchmark does."""

    dir: Path = flag("labelled dataset folder")
    split: Path = flag("split.csv of a run: its train side calibrates, its valid side is scored")
    weights_dir: Path = flag("weights file, or a folder of some", Path("weights"))
    weights: str | None = flag("name of one of several", None)
    rows: tuple[str, ...] = flag(
        "f32, bf16: plain; mixed, performance: NNCF's presets; accuracy-aware: as Export_model.py -int8 does",
        ("f32", "bf16", "mixed", "performance", "accuracy-aware"),
    )
    images: int = flag("to score", 150, low=2)
    calibrated: int = flag("images to calibrate on, and to choose layers on", 32, low=2)
    max_drop: float = flag("of accuracy-aware", 0.002, low=0.0)
    minutes: float = flag("of accuracy-aware", 10.0, low=0.0)
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/int8_dice.csv")


def main(argv: Sequence[str]) -> int:
    """Score each row and print it."""
    config = parse(Int8DiceConfig, argv, "int8_dice.py", "Score 8-bit integers against floating point.")
    import torch

    from utils.commands.export_images import spread
    from utils.data.dataset_folder import open_dataset
    from utils.inference.export.graph import to_openvino
    from utils.inference.export.parity import dice_by_image, labelled_by, read_parity_images, run_of
    from utils.inference.export.quantise import Limit, Quantised, layers_of, open_nncf, quantise
    from utils.inference.ground_truth import GroundTruth
    from utils.scoring.counts import Counts, count
    from utils.scoring.scores import scores
    from utils.weights.finding import open_weights

    optional("int8_dice.py", "openvino", "nncf")
    torch.set_num_threads(1)
    nncf = open_nncf()
    weights = open_weights(config.weights_dir, config.weights)
    spec, decision = weights.spec, weights.decision
    dataset = open_dataset(config.dir)
    labels = GroundTruth(dataset.annotations, spec)
    with open(config.split, newline="", encoding="utf-8") as file:
        sides = [(row["image"], row["side"]) for row in csv.DictReader(file)]

    def read(side: str, number: int, first: int = 0) -> Any:
        chosen = spread([name for name, its in sides if its == side][first:], number)
        paths = [dataset.path(name) for name in chosen]
        return read_parity_images(paths, spec.channels, labels, folder=dataset.image_dir)

    scored, calibrated = read("valid", config.images), read("train", config.calibrated)
    chosen_on = read("train", config.calibrated, 3)
    pixels = [example.pixels for example in calibrated]
    graph = to_openvino(weights.build())

    def opened(graph: Any, precision: str) -> Any:
        sizes = {example.pixels.shape for example in scored}
        if len(sizes) == 1:  # a graph for one size is faster
            graph = graph.clone()
            graph.reshape([1, *sizes.pop()])
        return run_of(openvino_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": precision}))

    plain = opened(graph, "f32")
    reference = labelled_by([type(one)(one.name, one.pixels) for one in scored], plain, spec, decision)
    for row in config.rows:
        started = time.process_time()
        if row in ("f32", "bf16"):
            made = Quantised(graph, *layers_of(graph))
        elif row == "accuracy-aware":
            limit = Limit(
                lambda compiled, images: dice_by_image(images, run_of(compiled), spec, decision),
                chosen_on,
                config.max_drop,
                60 * config.minutes,
            )
            made = quantise(graph, pixels, limit)
        else:
            preset = nncf.QuantizationPreset(row)
            found = nncf.quantize(
                graph, nncf.Dataset(pixels, lambda image: image[None]), preset=preset, subset_size=len(pixels)
            )
            made = Quantised(found, *layers_of(found))
        seconds = time.process_time() - started
        counts, against = Counts(), Counts()
        ran = opened(made.graph, "bf16" if row == "bf16" else "f32")
        for example, same in zip(scored, reference, strict=True):
            found = decision.decide(ran(example.pixels[None]).masks, spec.task)
            counts.add([example.name], *count(found, torch.from_numpy(example.truth)[None]))
            against.add([example.name], *count(found, torch.from_numpy(same.truth)[None]))
        score = scores(counts, spec.scored_names)
        overlap = _overlap(against.tp.sum(0), against.fp.sum(0) + against.fn.sum(0))
        firsts = [
            float(_overlap(against.tp[at : at + FIRST].sum(0), (against.fp + against.fn)[at : at + FIRST].sum(0)).min())
            for at in range(0, len(scored) - FIRST + 1)
        ]
        write_rows(
            config.out,
            [
                line := {
                    "weights": weights.source.name if weights.source else "",
                    "row": row,
                    "isa": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
                    "images": len(scored),
                    "calibrated_on": 0 if row in ("f32", "bf16") else len(pixels),
                    "mean_dice": round(score.mean_dice, 5),
                    "defect_dice": round(score.defect_dice or 0.0, 5),
                    "least_class_dice_with_f32": round(float(overlap.min()), 5),
                    "first_images_0.98": round(sum(value >= 0.98 for value in firsts) / len(firsts), 3),
                    "first_images_0.95": round(sum(value >= 0.95 for value in firsts) / len(firsts), 3),
                    "first_images_0.90": round(sum(value >= 0.90 for value in firsts) / len(firsts), 3),
                    "layers": made.layers,
                    "in_float": made.layers if row in ("f32", "bf16") else len(made.in_float),
                    "late": made.late,
                    "cpu_seconds_to_make": round(seconds),
                    **facts(1, *PACKAGES),
                }
            ],
        )
        print(", ".join(map(str, line.values())), flush=True)
    return DONE


def _overlap(both: Any, differ: Any) -> Any:
    """Return the Dice of each class; 1 where neither has any."""
    import torch

    return torch.where(both + differ > 0, 2 * both / (2 * both + differ).clamp(min=1), 1.0)


if __name__ == "__main__":
    run(main)
