"""Time and peak memory of Evaluate.py with everything but the network: reading, masks, defects, counts, tables, report.

A stub stands in for the network: a fixed field of smooth noise, moved along the strip by the image's brightness, empty on
every second image. A few strips are drawn and linked under many names, so that each one is read and decoded anew. Every
number of images runs in a process of its own. Processor time (all threads, report included) does not depend on what else
the machine does.

    python benchmarks/report_memory.py -num_of_images 500,5000
"""

import csv
import dataclasses
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from config import EvaluateConfig, SynthesiseConfig, flag
from utils.cli import DONE, parse, run
from utils.device import processor


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What this benchmark does."""

    num_of_images: tuple[str, ...] = flag("numbers of images to score, one run each", ("500", "5000"))
    strips: int = flag("different strips to draw; the rest are links to them", 50, low=4)
    image_size: tuple[int, int] = flag("H,W in pixels", (256, 1600))
    batch_size: int = flag("images per forward pass", 4, low=1)
    threads: int = flag("CPU threads of torch", 2, low=1)
    out: Path = flag("CSV file to append to", Path("benchmarks/results/report_memory.csv"))


class StubSystem:
    """Answers at once, with masks that look like a network's: smooth, a few defects, half of the images clean."""

    name, parallel, sizes, channels, task = "stub", 1, (None,), 3, "multilabel"

    def __init__(self, classes: int, size: tuple[int, int]) -> None:
        rough = torch.randn(1, classes, size[0] // 32, size[1] // 32, generator=torch.Generator().manual_seed(0))
        smooth = torch.nn.functional.interpolate(rough, size=size, mode="bicubic")[0]
        self.field = 4 * (smooth - smooth.flatten(1).quantile(0.98, dim=1).view(-1, 1, 1))  # 2 % of the pixels

    def answer(self, batch: Any, gates: bool = True) -> list[Any]:
        """Judge a batch, see ``System``."""
        from utils.inference.systems.system import Answer

        answers = []
        for image in batch[None]:
            light = int(image[::8, ::8].sum())
            answers.append(Answer(torch.roll(self.field, light % image.shape[1], dims=2) - 20 * (light % 2)))
        return answers


def draw(folder: str, config: ReportConfig, images: int) -> None:
    """Make a dataset folder of linked strips."""
    from utils.data.dataset_folder import open_dataset
    from utils.data.synthetic.folder import synthesise

    root = Path(folder)
    synthesise(SynthesiseConfig(dir=root, num_of_images=config.strips, image_size=config.image_size))
    names = open_dataset(root).images
    with open(root / "train.csv", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    links: list[list[str]] = []
    for number in range(images):
        original = names[number % len(names)]
        link = f"link_{number:06d}{Path(original).suffix}"
        os.link(root / "train_images" / original, root / "train_images" / link)
        links += [[link, *rest] for image, *rest in rows if image == original]
    for name in names:
        (root / "train_images" / name).unlink()
    with open(root / "train.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *links])


def weigh(folder: str, config: ReportConfig) -> dict[str, Any]:
    """Score the folder with the stub; give seconds and the peak of this process in MiB."""
    from utils.commands import evaluate as module
    from utils.decision.decision import Decision
    from utils.inference.pipeline import InspectionPipeline
    from utils.models.factory import build
    from utils.models.spec import ModelSpec
    from utils.weights.weights_file import WeightsFile

    torch.set_num_threads(config.threads)
    root = Path(folder)
    names = tuple((root / "classes.txt").read_text("utf-8").split("\n"))
    names = tuple(name for name in names if name)
    model = build(ModelSpec("unet", "resnet18", "multilabel", names))
    decision = Decision.uniform(len(names), 0.5)
    weights = WeightsFile(model.spec, model.net.state_dict(), model.mean, model.std, None, decision)
    weights.save(root / "stub.pth")
    del model, weights

    def stub_pipeline(chosen: Any, flags: Any, skipped: list, **rest: Any) -> InspectionPipeline:
        system = StubSystem(len(names), config.image_size)
        return InspectionPipeline(
            system, chosen.decision, batch_size=flags.batch_size, on_skip=skipped.append, describe=False
        )

    module.open_pipeline = stub_pipeline
    before, start, used = peak_mib(), time.perf_counter(), time.process_time()
    result = module.evaluate(
        EvaluateConfig(dir=root, weights_dir=root / "stub.pth", split="all", batch_size=config.batch_size)
    )
    total = time.perf_counter() - start
    return {
        "images": result.images,
        "image_size": "{}x{}".format(*config.image_size),
        "batch_size": config.batch_size,
        "predicted_defects": int(result.evaluation.objects.predicted.sum()),
        "scoring_s": round(result.seconds, 1),
        "images_per_second": round(result.images_per_second, 1),
        "report_s": round(total - result.seconds, 1),
        "processor_ms_per_image": round(1000 * (time.process_time() - used) / result.images, 1),
        "peak_before_mib": round(before),
        "peak_mib": round(peak_mib()),
        "report_mib": round((result.out / "report.html").stat().st_size / 2**20, 1),
    }


def peak_mib() -> float:
    """Return the largest memory that this process had until now."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main(argv: Sequence[str]) -> int:
    """Measure, print and append to the CSV."""
    config = parse(ReportConfig, argv, "report_memory.py", "Time and peak memory of an evaluation without its network.")
    for images in map(int, config.num_of_images):
        with tempfile.TemporaryDirectory() as folder:
            # A fresh process for each step: a peak never goes down again.
            rows = []
            for step in ((draw, (folder, config, images)), (weigh, (folder, config))):
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    rows.append(pool.apply(*step))
                    pool.close()
                    pool.join()
        row = {**rows[-1], "cpu": processor(), "cores": os.cpu_count(), "torch": torch.__version__}
        for key, value in row.items():
            print(f"{key:>18}  {value}", flush=True)
        new = not config.out.exists()
        with open(config.out, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
    return DONE


if __name__ == "__main__":
    run(main)
