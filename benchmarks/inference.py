"""From JPEG files to tables and pictures: the network alone, the whole pipeline, and the script that people write today.

Each row runs in a process of its own on as many cores as there are threads. Rows that the CSV has already of this machine are
left out, so an interrupted benchmark goes on where it stopped.

    python benchmarks/inference.py
    python benchmarks/inference.py -networks unet:efficientnet-b0 -backends openvino -precisions bf16
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/inference.py -backends openvino -precisions f32,int8 -what network
"""

import concurrent.futures
import datetime
import multiprocessing
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import facts, find_rows, here, write_rows
from config import ExportConfig, PredictConfig, SynthesiseConfig, flag
from utils.cli import DONE, parse, run

BATCH = 4
SCORED = 8  # strips that the mean Dice is of, in every row the same
ISA = "ONEDNN_MAX_CPU_ISA"  # of the environment: what OpenVINO may use at most
PACKAGES = ("torch", "openvino", "onnxruntime", "opencv-python-headless", "matplotlib")


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """What this benchmark does."""

    networks: tuple[str, ...] = flag(
        "ARCHITECTURE:ENCODER, comma separated",
        ("linknet:resnet18", "unet:resnet34", "unet:efficientnet-b0", "unet:efficientnet-b4"),
    )
    what: tuple[str, ...] = flag(
        "network: alone; pipeline: to submission.csv and defects.csv; overlays: with pictures; script: today's, with pictures; script-tables: without",
        ("network", "pipeline", "overlays", "script", "script-tables"),
    )
    backends: tuple[str, ...] = flag("what runs the network", ("openvino", "onnxruntime", "torch"))
    precisions: tuple[str, ...] = flag("f32, bf16, int8 (openvino alone)", ("f32", "bf16", "int8"))
    device: str = flag("cpu or cuda", "cpu")
    seconds: float = flag("about how long to measure a row", 15.0, low=0.1)
    strips: int = flag("different synthetic strips; longer lists repeat them", 32, low=12)
    threads: int = flag("CPU threads, and cores", 2, low=1)
    work: Path = flag("folder for strips, networks and results", Path(tempfile.gettempdir()) / "steel-benchmark")
    out: Path = flag("CSV file to append to", Path(__file__).parent / "results/inference.csv")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    architecture: str
    encoder: str
    what: str
    backend: str
    precision: str


def plan(config: InferenceConfig) -> Iterator[Row]:
    """List what to measure; a network alone comes right before its pipeline, since their ratio counts."""
    for network in config.networks:
        architecture, encoder = network.split(":")
        for backend in config.backends:
            for precision in config.precisions:
                if (backend == "onnxruntime" and precision != "f32") or (backend == "torch" and precision == "int8"):
                    continue
                for what in ("network", "pipeline", "overlays"):
                    if what in config.what:
                        yield Row(architecture, encoder, what, backend, precision)
        for what in ("script", "script-tables"):
            if what in config.what:
                yield Row(architecture, encoder, what, "torch", "f32")


def main(argv: Sequence[str]) -> int:
    """Measure what is missing and print it."""
    config = parse(InferenceConfig, argv, "inference.py", "Time the network alone, the pipeline, and today's script.")
    os.environ["OMP_NUM_THREADS"] = str(config.threads)
    os.environ["XDG_CACHE_HOME"] = str(config.work / "cache")
    measured = 0
    for row in plan(config):
        key = {**vars(row), "device": config.device, "isa": os.environ.get(ISA, ""), **here(config.threads)}
        if find_rows(config.out, key):
            continue
        alone = find_rows(config.out, {**key, "what": "network"})
        estimate = float(alone[-1]["ms_per_image"]) / 1e3 if alone else 1.0
        # A process for each row: threads and memory of one library do not disturb the next.
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            found = pool.submit(measure, config, row, estimate).result()
        write_rows(config.out, [{**vars(row), **found, **facts(config.threads, *PACKAGES)}])
        print(", ".join(str(value) for value in [*vars(row).values(), *found.values()]), flush=True)
        measured += 1
    if not measured:
        print(f"already measured on this machine, see {config.out}")
    return DONE


def measure(config: InferenceConfig, row: Row, estimate: float) -> dict[str, Any]:
    """Measure one row in this process.

    Args:
        config: the flags.
        row: what to measure.
        estimate: seconds that the network takes for an image, to choose how many images.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: config.threads])
    import torch
    from fitted import fit

    from utils.models.spec import ModelSpec
    from utils.weights.weights_file import load

    torch.set_num_threads(config.threads)
    data = make_strips(config)
    names = tuple((data / "classes.txt").read_text("utf-8").split())
    weights = fit(ModelSpec(row.architecture, row.encoder, "multilabel", names), data, config.work / "weights")
    images = sorted((data / "test_images").iterdir())
    if row.precision == "int8":
        make_int8(weights, data)
    load_before, cpu_before = os.getloadavg()[0], time.process_time()
    if row.what == "network":
        count, seconds, cpu, dice = run_network(config, row, load(weights), images)
    else:
        count = max(len(images), min(int(config.seconds / estimate), 4000))
        if row.what.startswith("script"):
            count = max(SCORED, int(count / 3))
        listed = link(images, count, config.work / "listed")
        out = config.work / "results"
        cpu_before = time.process_time()
        if row.what.startswith("script"):
            import todays_script

            seconds = todays_script.run(load(weights), listed, out, pictures=row.what == "script")
        else:
            seconds = run_pipeline(config, row, weights, listed[0].parent, out)
        cpu = time.process_time() - cpu_before
        dice = f"{mean_dice(out / 'submission.csv', data, listed):.5f}"
    return {
        "images": count,
        "ms_per_image": round(1e3 * seconds / count, 2),
        "images_per_second": round(count / seconds, 3),
        "cpu_ms_per_image": round(1e3 * cpu / count, 2),
        "mean_dice": dice,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "weights": "random encoder, decoder trained for 15 steps on synthetic strips",
        "device": config.device,
        "isa": os.environ.get(ISA, ""),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "load_average": f"{load_before:.1f}..{os.getloadavg()[0]:.1f}",
    }


def run_network(
    config: InferenceConfig, row: Row, weights: Any, images: Sequence[Path]
) -> tuple[int, float, float, str]:
    """Run the network alone on strips in memory, as many batches at once as it takes."""
    import numpy as np

    from utils.data.images import read_image
    from utils.inference.opening import open_network

    network = open_network(weights, row.backend, config.device, row.precision, config.threads)
    batches = [np.stack([read_image(path) for path in images[at : at + BATCH]]) for at in range(0, 2 * BATCH, BATCH)]
    network(batches[0])
    done, deadline, lock = 0, time.perf_counter() + config.seconds, threading.Lock()

    def work() -> None:
        nonlocal done
        while time.perf_counter() < deadline:
            outputs = network(batches[done % 2])
            if outputs.masks is not None and outputs.masks.is_cuda:
                outputs.masks[0, 0, 0, 0].item()  # waits for the GPU
            with lock:
                done += BATCH

    start, cpu = time.perf_counter(), time.process_time()
    with concurrent.futures.ThreadPoolExecutor(network.parallel) as threads:
        for job in [threads.submit(work) for _ in range(network.parallel)]:
            job.result()
    return done, time.perf_counter() - start, time.process_time() - cpu, ""


def run_pipeline(config: InferenceConfig, row: Row, weights: Path, images: Path, out: Path) -> float:
    """Run Predict_masks.py's function; give its seconds."""
    from utils.commands.predict import predict

    tables = ("submission", "defects")
    result = predict(
        PredictConfig(
            images=images,
            weights_dir=weights,
            out=out,
            save=("overlays", *tables) if row.what == "overlays" else tables,
            backend=row.backend,  # type: ignore[arg-type]
            precision=row.precision,  # type: ignore[arg-type]
            device=config.device,  # type: ignore[arg-type]
            threads=config.threads,
            batch_size=BATCH,
        )
    )
    return result.seconds


def make_int8(weights: Path, data: Path) -> None:
    """Make the 8-bit network of a weights file, unless it is there; whatever it costs, since these draw nothing of use."""
    from utils.commands.export_model import export_model

    if not weights.with_name(f"{weights.stem}-int8.zip").is_file():
        export_model(
            ExportConfig(
                weights_dir=weights,
                format="openvino",
                int8=True,
                images=data / "test_images",
                num_of_images=4,
                max_drop=1.0,
            )
        )


def make_strips(config: InferenceConfig) -> Path:
    """Draw the strips, unless they are there."""
    from utils.data.synthetic import synthesise

    data = config.work / f"strips-{config.strips}"
    if not (data / "test_labels.csv").exists():
        synthesise(SynthesiseConfig(dir=data, num_of_images=config.strips, split="test", contrast=2.0))
    return data


def link(images: Sequence[Path], count: int, folder: Path) -> list[Path]:
    """List images again and again, by hard links, until there are enough."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    listed = [folder / f"{number:05d}-{images[number % len(images)].name}" for number in range(count)]
    for number, path in enumerate(listed):
        os.link(images[number % len(images)], path)
    return listed


def mean_dice(submission: Path, data: Path, images: Sequence[Path]) -> float:
    """Score a submission on the labels of the first few strips."""
    import pandas as pd
    import torch

    from utils.data import rle
    from utils.data.annotation_table import read_annotations
    from utils.data.folder_layout import read_class_names
    from utils.scoring.counts import Counts, count
    from utils.scoring.scores import scores

    annotations = read_annotations(data / "test_labels.csv", read_class_names(data))
    codes = pd.read_csv(submission, keep_default_na=False).set_index("ImageId_ClassId")["EncodedPixels"]
    counts, classes = Counts(), annotations.num_classes
    for path in images[:SCORED]:
        truth = torch.from_numpy(annotations.mask(path.name.partition("-")[2], 256, 1600).transpose(2, 0, 1) > 0)
        found = [rle.decode(codes[f"{path.name}_{k}"], 256, 1600) for k in range(1, classes + 1)]
        predicted = torch.stack([torch.from_numpy(mask > 0) for mask in found])
        counts.add([path.name], *count(predicted[None], truth[None]))
    return scores(counts, annotations.class_names).mean_dice


if __name__ == "__main__":
    run(main)
