"""What images without labels are worth: a network of a tenth of the labels teaches a new one on all other pictures.

Of the pictures of side train a tenth is labelled. Rows: a network trained on it; a new one that also learns what the first
says of all other pictures; and one that learns of these only what was accepted (``-accept agreed``). All take as many steps.
Scored is side valid, labelled by people, which no network has learnt from; gains are paired by seed and image, and intervals
are drawn over scenes and seeds. Rows that exist are not trained again.

    python benchmarks/pseudo_labels.py -dir NEU -split split.csv -precision bf16 -threads 1 -num_of_workers 0
"""

import dataclasses
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.drawn import DrawnFlags, Pictures, in_words, seeds_of, trained
from benchmarks.recipes import read_rows, write_rows
from config import EvaluateConfig, TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.evaluate import evaluate
from utils.commands.train import train
from utils.device import processor
from utils.errors import InputError
from utils.files import write_text
from utils.scoring.bootstrap import LEVEL
from utils.training.teaching import times
from utils.weights.run_files import TEACHER

LABELS, ALL, AGREED = ROWS = ("labels", "all", "agreed")
WORDS = {LABELS: "the labels alone", ALL: "and all other pictures", AGREED: "and those accepted"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PseudoConfig(DrawnFlags):
    """What this benchmark does."""

    rows: tuple[str, ...] = flag(f"of {', '.join(ROWS)}; {LABELS} is always among them", ROWS)
    seeds: tuple[str, ...] = flag("a draw and trainings for each of these numbers", ("1", "2", "3"))
    unlabelled_share: float = flag("as for Train.py", 0.5, low=0.01, high=0.99)
    least_agreement: float = flag("as for Train.py", 0.8, low=0, high=1)
    runs: Path = flag("folder for the data folders and run folders", Path("runs/pseudo_labels"))
    out: Path = flag(
        "CSV file of the scores; the table goes beside it as .md", Path("benchmarks/results/pseudo_labels.csv")
    )


def main(
    argv: Sequence[str],
    trainer: Callable[[TrainConfig], Any] = train,
    scorer: Callable[[EvaluateConfig], Any] = evaluate,
) -> int:
    """Train and score what is missing; write CSV and table after each network."""
    config = parse(PseudoConfig, argv, "pseudo_labels.py", "Compares labels alone with labels and unlabelled images.")
    for name in config.rows:
        if name not in ROWS:
            raise InputError(f"-rows {name}: choose from {', '.join(ROWS)}")
    seeds = seeds_of(config.seeds)
    pictures = Pictures(config, config.runs)
    for seed in seeds:
        first, rest = pictures.draw(seed)
        for row in [name for name in ROWS if name in (LABELS, *config.rows)]:
            done = read_rows(config.out)
            if any((one["row"], one["seed"]) == (row, str(seed)) for one in done):
                continue
            folder = config.runs / f"{row}-{seed}"
            data = pictures.labelled(config.runs / f"data-{seed}", first)
            settings = settings_of(config, pictures, data, row, seed, len(first), rest)
            minutes = trained(trainer, settings)
            scores = pictures.score(scorer, folder, config.runs / "scores" / folder.name)
            learnt = len(json.loads((folder / TEACHER).read_text("utf-8"))["unlabelled"]) if row != LABELS else 0
            about = {"labelled": len(first), "unlabelled": len(rest) if row != LABELS else 0, "accepted": learnt}
            about |= {"images": len(pictures.group_of), "epochs": settings.num_epochs, "minutes": round(minutes, 2)}
            about |= {"encoder": config.encoder, "dataset": config.dir.resolve().name, "hardware": processor()}
            write_rows(config.out, [*done, {"row": row, "seed": seed, **scores, **about}])
            write_text(config.out.with_suffix(".md"), table(pictures, read_rows(config.out)))
    print(table(pictures, read_rows(config.out)))
    return DONE


def settings_of(
    config: PseudoConfig, pictures: Pictures, data: Path, row: str, seed: int, labelled: int, rest: Sequence[str]
) -> TrainConfig:
    """Return the settings of one training."""
    changes: dict[str, Any] = {}
    if row != LABELS:
        repeated = labelled * max(1, -(-config.epoch_images // labelled))
        epoch = repeated * times(config.unlabelled_share, repeated, len(rest)) + len(rest)
        changes = {
            "teacher": (str(config.runs / f"{LABELS}-{seed}"),),
            "unlabelled": pictures.unlabelled(config.runs / f"rest-{seed}", rest),
            "teacher_weight": 0.0,  # labels where there are some: the teacher has learnt these very images
            "accept": row,
            "unlabelled_share": config.unlabelled_share,
            "num_epochs": max(1, round(config.num_epochs * repeated / epoch)),
        }
        if row == AGREED:
            changes["least_agreement"] = config.least_agreement
    return pictures.settings(data, config.runs / f"{row}-{seed}", seed, **changes)


def table(pictures: Pictures, rows: Sequence[dict[str, str]]) -> str:
    """Format the scores as Markdown: means over the seeds, and the paired gain over the labels alone."""
    lines = [
        f"| learnt from | mean Dice | gain, {LEVEL:.0%} interval | defect-only Dice | gain, {LEVEL:.0%} interval | accepted"
        " | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    have = {(row["row"], row["seed"]) for row in rows}
    for name, words in WORDS.items():
        mine = [row for row in rows if row["row"] == name]
        if not mine:
            continue
        scores = pictures.runs / "scores"
        seeds = [row["seed"] for row in mine if (LABELS, row["seed"]) in have]
        found = {}
        if name != LABELS and seeds:
            found = pictures.gain([(scores / f"{LABELS}-{seed}", scores / f"{name}-{seed}") for seed in seeds])
        cells = [words]
        for score in ("mean_dice", "defect_dice"):
            cells.append(f"{statistics.fmean(float(row[score]) for row in mine):.4f}")
            cells.append(in_words(*found[score]) if found else "")
        accepted = sum(int(row["accepted"]) for row in mine)
        total = sum(int(row["unlabelled"]) for row in mine)
        cells += [
            f"{accepted / total:.0%} of {mine[0]['unlabelled']}" if total else "",
            ", ".join(row["seed"] for row in mine),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    if rows:
        first = rows[0]
        lines += [
            "",
            f"{first['encoder']}, {first['labelled']} labelled pictures of {first['dataset']}, {first['images']}",
        ]
        lines += [f"validation images of {len(set(pictures.group_of.values()))} scenes; {first['hardware']}."]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    run(main)
