"""Speed against Dice: a U-Net with each encoder, trained by the same recipe on side train of a split, scored on side valid.

How long each takes for a strip is measured by ``decoders.py -what encoders``, whose rows of this machine are joined: first
that, then this. Rows that exist are not trained again: after an interruption the same command goes on where it was.

    python benchmarks/decoders.py -what encoders
    python benchmarks/encoders.py -dir NEU -split split.csv -precision bf16 -threads 1 -num_of_workers 0
"""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.decoders import DecodersConfig
from benchmarks.machine import find_rows, here
from benchmarks.recipes import measured, read_rows, write_rows
from benchmarks.small_training import SmallTraining
from config import TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.train import train
from utils.commands.train_network import TrainResult
from utils.errors import InputError
from utils.files import write_text
from utils.weights.run_files import SETTINGS

RANDOM = "none"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncodersConfig(SmallTraining):
    """What this benchmark does."""

    split: Path = flag("CSV with image, side and group: trained on side train, scored on side valid")
    encoders: tuple[str, ...] = flag("of the U-Nets", DecodersConfig.encoders)
    downsample: int = flag("as for Train.py", 2)
    start_from: tuple[str, ...] = flag(
        "ENCODER=FILE, comma separated: weights files for -encoder_weights; the other encoders start from random weights",
        (),
    )
    crop: tuple[int, int] | None = flag("H,W in pixels of training crops; none: whole images", (192, 192))
    num_epochs: int = flag("passes over the training images", 16, low=1)
    seed: int = flag("random numbers of the trainings", 1, low=0)
    min_area: int = flag("smallest connected defect in pixels", 100, low=0)
    speed: Path = flag("CSV of decoders.py", DecodersConfig.out / "decoders.csv")
    runs: Path = flag("folder for the run folders", Path("runs/encoders"))
    out: Path = flag("CSV file of the scores; the table goes beside it as .md", Path("benchmarks/results/encoders.csv"))


def main(argv: Sequence[str], trainer: Callable[[TrainConfig], TrainResult] = train) -> int:
    """Train and score what is missing; write the CSV after each network, and the table."""
    config = parse(EncodersConfig, argv, "encoders.py", "Train a U-Net with each encoder and compare speed and Dice.")
    config.check_recipe()
    starts = _starts(config)
    for encoder in config.encoders:
        key = {"encoder": encoder, "downsample": str(config.downsample), "epochs": str(config.num_epochs)}
        done = read_rows(config.out)
        if any(key.items() <= row.items() for row in done):
            continue
        settings = settings_of(config, encoder, starts.get(encoder))
        assert settings.out
        print(f"{encoder}: {settings.out}", flush=True)
        result = trainer(TrainConfig(resume=settings.out) if (settings.out / SETTINGS).exists() else settings)
        row = {**key, "start": "ImageNet" if encoder in starts else "random", "seed": config.seed}
        write_rows(config.out, [*done, {**measured(settings, result), **row}])
    found = table(read_rows(config.out), config.speed)
    write_text(config.out.with_suffix(".md"), found)
    print(found)
    return DONE


def settings_of(config: EncodersConfig, encoder: str, start: Path | None) -> TrainConfig:
    """Return the settings of one training."""
    values = {**config.values("seed", "min_area"), "encoder": encoder}
    out = config.runs / f"{encoder}-{config.downsample}"
    weights = str(start) if start else RANDOM
    return TrainConfig(dir=config.dir, split=config.split, out=out, cache="ram", encoder_weights=weights, **values)


def table(rows: Sequence[Mapping[str, str]], speed: Path) -> str:
    """Return the scores beside the times of this machine, the quickest network first."""
    lines = [
        "| encoder | sees | starts from | million parameters | 256x1600: f32, ms | bf16, ms | mean Dice | defect-only |"
        " minutes of training |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    timed = [(_times(row, speed), row) for row in rows]
    for times, row in sorted(timed, key=lambda pair: pair[0].get("bf16", pair[0].get("f32", float("inf")))):
        sees = {"1": "the image", "2": "half the size", "4": "a quarter of the size"}[row["downsample"]]
        ms = [f"{times[name]:.0f}" if name in times else "not measured" for name in ("f32", "bf16")]
        size = f"{times['million_parameters']:.1f}" if "million_parameters" in times else ""
        scores = [f"{float(row[name]):.3f}" for name in ("mean_dice", "defect_dice")]
        cells = [row["encoder"], sees, row["start"], size, *ms, *scores, f"{float(row['minutes']):.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _times(row: Mapping[str, str], speed: Path) -> dict[str, float]:
    """Return milliseconds by precision, and the size, of the newest rows of this machine; empty without any."""
    threads_of_decoders = 1
    key = {"encoder": row["encoder"], "decoder": "half", "downsample": row["downsample"], "isa": ""}
    found = find_rows(speed, {**key, **here(threads_of_decoders)})
    times = {one["precision"]: float(one["cpu_ms"]) for one in found}
    if found:
        times["million_parameters"] = float(found[-1]["million_parameters"])
    return times


def _starts(config: EncodersConfig) -> dict[str, Path]:
    pairs = [word.partition("=") for word in config.start_from]
    for encoder, _, file in pairs:
        if encoder not in config.encoders or not file:
            raise InputError(f"-start_from {encoder}: expected ENCODER=FILE with an encoder of -encoders")
    return {encoder: Path(file) for encoder, _, file in pairs}


if __name__ == "__main__":
    run(main)
