"""Whole coils: thousands of strips of which all, half or few are clean, by one network and by those that judge first.

The networks are fitted to the strips that are listed again and again, so the gate is nearly always right: what is measured
is time, not skill. Rows that the CSV has already of this machine are left out.

    python benchmarks/coil.py
    python benchmarks/coil.py -cases half -systems two-stage -images 500
    python benchmarks/coil.py -cases clean,half -systems plain,two-stage,two-head,shared-backbone -images 500 \
        -segmenter unet:resnet18 -classifier resnet18 -classifier_size 256,1600

The last one gives every system the same encoder, size and decoder, as two heads and the shared backbone have U-Net's.
"""

import concurrent.futures
import datetime
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.inference import link, make_strips
from benchmarks.machine import facts, find_rows, here, write_rows
from config import PredictConfig, flag
from utils.cli import DONE, parse, run

SHARES = {"clean": 0.0, "five-percent": 0.05, "half": 0.5}  # of the strips that have a defect
JOINT = ("two-head", "shared-backbone")
PACKAGES = ("torch", "openvino", "opencv-python-headless")


@dataclass(frozen=True, kw_only=True)
class CoilConfig:
    """What this benchmark does."""

    cases: tuple[str, ...] = flag("clean, five-percent, half", tuple(SHARES))
    systems: tuple[str, ...] = flag(
        "plain: the segmenter alone; two-stage: behind the classifier; two-head, shared-backbone: one U-Net of the"
        " segmenter's encoder that judges, too",
        ("two-stage", "plain"),
    )
    segmenter: str = flag("ARCHITECTURE:ENCODER", "linknet:resnet18")
    downsample: int = flag("of the segmenter, as for Train.py", 1)
    classifier: str = flag("encoder of the classifier, a quick one", "tu-mobilenetv3_large_100")
    classifier_size: tuple[int, int] = flag("H,W in pixels that strips are resized to for the classifier", (128, 800))
    images: tuple[int, ...] = flag("strips of a coil; several numbers show that memory does not grow", (2500,))
    backend: str = flag("what runs the networks", "openvino")
    precision: str = flag("f32 or bf16", "bf16")
    strips: int = flag("different synthetic strips", 64, low=12)
    threads: int = flag("CPU threads, and cores", 2, low=1)
    work: Path = flag("folder for strips, networks and results", Path(tempfile.gettempdir()) / "steel-benchmark")
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/coil.csv")


def main(argv: Sequence[str]) -> int:
    """Measure what is missing and print it."""
    config = parse(CoilConfig, argv, "coil.py", "Time whole coils.")
    os.environ["OMP_NUM_THREADS"] = str(config.threads)
    os.environ["XDG_CACHE_HOME"] = str(config.work / "cache")
    measured = 0
    for system in config.systems:
        for case in config.cases:
            for count in config.images:
                row = {
                    "system": system,
                    "case": case,
                    "strips": count,
                    "segmenter": f"{config.segmenter}:{config.downsample}"
                    if config.downsample > 1
                    else config.segmenter,
                    "classifier": config.classifier if system == "two-stage" else "",
                    "classifier_size": "{}x{}".format(*config.classifier_size) if system == "two-stage" else "",
                    "backend": config.backend,
                    "precision": config.precision,
                }
                if find_rows(config.out, {**row, **here(config.threads)}):
                    continue
                context = multiprocessing.get_context("spawn")
                # Fitting takes more memory than predicting: it has a process of its own.
                with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                    pool.submit(make_weights, config, system, make_strips(config)).result()
                with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                    found = pool.submit(measure, config, system, case, count).result()
                write_rows(config.out, [{**row, **found, **facts(config.threads, *PACKAGES)}])
                print(", ".join(map(str, [*row.values(), *found.values()])), flush=True)
                measured += 1
    if not measured:
        print(f"already measured on this machine, see {config.out}")
    return DONE


def measure(config: CoilConfig, system: str, case: str, count: int) -> dict[str, Any]:
    """Predict one coil in this process."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: config.threads])
    import torch

    from utils.commands.predict import predict
    from utils.data.annotation_table import read_annotations
    from utils.data.folder_layout import read_class_names

    torch.set_num_threads(config.threads)
    data = make_strips(config)
    weights = make_weights(config, system, data)
    annotations = read_annotations(data / "test_labels.csv", read_class_names(data))
    images = sorted((data / "test_images").iterdir())
    defective = [path for path in images if annotations.runs(path.name)]
    clean = [path for path in images if not annotations.runs(path.name)]
    wanted = round(SHARES[case] * count)
    # Defects are spread over the coil: every so many strips one.
    order = [
        defective[number % len(defective)] if (number * wanted) % count < wanted else clean[number % len(clean)]
        for number in range(count)
    ]
    listed = link(order, count, config.work / "coil")
    load = os.getloadavg()[0]
    cpu = time.process_time()
    result = predict(
        PredictConfig(
            images=listed[0].parent,
            weights_dir=weights,
            out=config.work / "coil-results",
            save=("submission", "defects"),
            backend=config.backend,  # type: ignore[arg-type]
            precision=config.precision,  # type: ignore[arg-type]
            device="cpu",
            threads=config.threads,
        )
    )
    cpu = time.process_time() - cpu
    return {
        "seconds": round(result.seconds, 1),
        "images_per_second": round(result.images_per_second, 2),
        "cpu_ms_per_image": round(1e3 * cpu / count, 2),
        "defects": result.defects,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "weights": "random encoders, decoder and last layers trained on synthetic strips",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "load_average": f"{load:.1f}..{os.getloadavg()[0]:.1f}",
    }


def make_weights(config: CoilConfig, system: str, data: Path) -> Path:
    """Fit the networks, and join them by a system file if there are several."""
    from fitted import fit

    from utils.models.spec import ModelSpec
    from utils.weights.system_file import SystemFile, gate_for
    from utils.weights.weights_file import load

    names = tuple((data / "classes.txt").read_text("utf-8").split())
    folder = config.work / "weights"
    architecture, encoder = config.segmenter.split(":")
    if system in JOINT:
        members = {"network": load(fit(ModelSpec(system, encoder, "multilabel", names), data, folder))}
        drawn = members["network"]
    else:
        spec = ModelSpec(architecture, encoder, "multilabel", names, downsample=config.downsample)
        segmenter = fit(spec, data, folder)
        if system == "plain":
            return segmenter
        judge = ModelSpec("classifier", config.classifier, "classify-binary", names)
        classifier = fit(judge, data, folder, config.classifier_size)
        members = {"classifier": load(classifier), "segmenter": load(segmenter)}
        drawn = members["segmenter"]
    gate = gate_for(system, members)
    file = SystemFile(system, members, gate, drawn.decision)
    file.save(folder / f"{system}.json")
    return folder / f"{system}.json"


if __name__ == "__main__":
    run(main)
