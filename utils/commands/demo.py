"""The demo: the whole path on synthetic strips, through the same functions as the commands."""

import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config import DemoConfig, EvaluateConfig, PredictConfig, SynthesiseConfig, TrainConfig
from utils.cli import parse
from utils.commands.evaluate import evaluate
from utils.commands.predict import predict
from utils.commands.train import train
from utils.data.synthetic import synthesise
from utils.device import cpu_has_bf16
from utils.errors import InputError
from utils.files import write_text
from utils.settings import to_word
from utils.text import columns
from utils.weights.finding import find
from utils.weights.index import OWN_INDEX, read_index

# The file by which a folder is known as an earlier demo's, so that nobody's own folder is ever emptied.
MARK = ".demo"

# Defects that stand out and few marks that only look like them: a minute of training from published weights is enough.
EASY = {"class_floor": 0.2, "contrast": 2, "distractors": 0.3}


@dataclass(frozen=True)
class Stage:
    """One step of the demo: its name, how long it took, how many images it handled."""

    name: str
    seconds: float
    images: int

    @property
    def images_per_second(self) -> float:
        """Images handled per second, start-up and writing included."""
        return self.images / self.seconds if self.seconds > 0 else 0.0


@dataclass
class DemoResult:
    """What the demo measured on strips that training has not seen; scores are 0..1."""

    mean_dice: float = 0.0
    empty_baseline: float = 0.0
    defect_dice: float | None = None
    stages: list[Stage] = field(default_factory=list)
    overlays: list[Path] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether the masks score better than predicting nothing at all."""
        return self.mean_dice > self.empty_baseline

    def text(self) -> str:
        """Format scores, times and the paths of the overlays for a terminal."""
        lines = [
            "scores on unseen strips",
            f"  mean Dice         {self.mean_dice:.3f}",
            f"  empty baseline    {self.empty_baseline:.3f}   (the score of predicting no defect at all)",
            f"  defect-only Dice  {'-' if self.defect_dice is None else f'{self.defect_dice:.3f}'}   (only where there is a defect to find)",
            "",
        ]
        rows = [["stage", "seconds", "images/s"]]
        rows += [[stage.name, f"{stage.seconds:.1f}", f"{stage.images_per_second:.1f}"] for stage in self.stages]
        rows.append(["total", f"{sum(stage.seconds for stage in self.stages):.1f}", ""])
        lines.append(columns(rows))
        if self.overlays:
            lines += ["", f"overlays ({len(self.overlays)}), truth beside prediction:"]
            lines += [f"  {path}" for path in self.overlays[:4]]
            lines += [f"  ... in {self.overlays[0].parent}"] if len(self.overlays) > 4 else []
        return "\n".join(lines)


def demo(config: DemoConfig) -> DemoResult:
    """Make strips, train on them, predict and score strips that training has not seen.

    Before each step, the command line that does the same is printed; the step then runs from those very words.

    Args:
        config: sizes, times and the folder to write.

    Returns:
        Scores, times and the overlays' paths.

    Raises:
        InputError: the folder holds something that is not an earlier demo.
    """
    folder = config.dir
    _make_room(folder)
    result = DemoResult()
    strips, unseen, run = folder / "strips", folder / "unseen", folder / "run"

    with _timed(result, "synthesise", config.num_of_images + config.num_of_unseen):
        for place, count, seed in ((strips, config.num_of_images, 0), (unseen, config.num_of_unseen, 1)):
            _step(
                synthesise,
                SynthesiseConfig,
                "Prepare_data.py synthesise",
                {"dir": place, "num_of_images": count, "seed": config.seed + seed, **EASY},
            )
    network = {
        "recipe": "one-cycle",
        "task": "binary",
        "encoder": config.encoder,
        "encoder_weights": _start(config.encoder_weights),
        "decoder_channels": config.decoder_channels,
        "downsample": config.downsample,
        "image_size": None,  # as they are
        "crop": config.crop,
        "num_epochs": config.num_epochs,
        "batch_size": config.batch_size,
        "min_area": config.min_area,
        "valid_fraction": 0.1,  # what counts is the score on other strips
        "group_duplicates": False,
        "seed": config.seed,
    }
    precision = ("bf16" if cpu_has_bf16() else "f32") if config.precision == "auto" else config.precision
    machine = {"device": config.device, "precision": precision, "threads": config.threads}
    with _timed(result, "train", config.num_of_images * config.num_epochs):
        _step(train, TrainConfig, "Train.py", {"dir": strips, "out": run, **network, **machine})
    with _timed(result, "predict", config.num_of_unseen):
        found = {"dir": unseen, "weights_dir": run, "out": folder / "results", **machine}
        _step(predict, PredictConfig, "Predict_masks.py", found)
    with _timed(result, "evaluate", config.num_of_unseen):
        scored = {"dir": unseen, "weights_dir": run, "split": "all", "out": folder / "evaluation", **machine}
        scores = _step(evaluate, EvaluateConfig, "Evaluate.py", scored).scores

    result.mean_dice = scores.mean_dice
    result.empty_baseline = scores.empty_baseline
    result.defect_dice = scores.defect_dice
    result.overlays = sorted((folder / "results" / "overlays").iterdir())
    return result


def _start(word: str) -> str:
    """Return the file of weights that ``weights/`` lists under a name; any other word as it is."""
    if read_index(OWN_INDEX).find(word) is None:
        return word
    path, here = find(OWN_INDEX.parent, word), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _make_room(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and (folder / MARK).exists()):
        if not folder.is_dir() or any(folder.iterdir()):
            raise InputError(f"-dir {folder}: holds something that is not an earlier demo; name a new folder")
    elif folder.exists():
        shutil.rmtree(folder)
    write_text(folder / MARK, "Made by Demo.py, which replaces this folder.\n")


@contextmanager
def _timed(result: DemoResult, name: str, images: int) -> Iterator[None]:
    start = time.perf_counter()
    yield
    result.stages.append(Stage(name, time.perf_counter() - start, images))


def _step(job: Callable[[Any], Any], config_class: type, command: str, flags: dict[str, Any]) -> Any:
    """Print a command line, then do what it says."""
    words = [word for name, value in flags.items() for word in (f"-{name}", to_word(name, value))]
    print(f"\n$ python {command} {shlex.join(words)}", flush=True)
    return job(parse(config_class, words, command, ""))
