"""What ``Prepare_data.py select`` is worth: as many labels, chosen by a network or drawn at random.

Of the pictures of side train a tenth is labelled, and a network is trained on it. The network chooses as many again from the
others, and as many are drawn at random; a new network is trained on the first tenth with each of both. All take as many
steps. Scored is side valid; the gain of the choice over the draw is paired by seed and image, and its interval is drawn over
scenes and seeds. The split names one image of each picture. Rows that exist are not trained again. With -publish, the result
goes into docs/loop.md and into the line that the command prints.

    python benchmarks/active_learning.py -dir NEU -split split.csv -precision bf16 -threads 1 -num_of_workers 0
"""

import dataclasses
import statistics
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.drawn import DrawnFlags, Pictures, in_words, seeds_of, trained
from benchmarks.pages import write_between
from benchmarks.recipes import read_rows, write_rows
from config import EvaluateConfig, SelectConfig, TrainConfig, flag
from utils.cli import DONE, parse, run
from utils.commands.evaluate import evaluate
from utils.commands.select import CHOSEN, RANDOM, TABLE, select
from utils.commands.train import train
from utils.device import processor
from utils.errors import InputError
from utils.files import write_text
from utils.scoring.bootstrap import LEVEL
from utils.scoring.choice import MEASURED, about_choice

FIRST = "first"  # the network that chooses
WORDS = {FIRST: "the first labels", RANDOM: "with as many more drawn at random", CHOSEN: "with as many more chosen"}
DOCS = Path(__file__).parents[1] / "docs" / "loop.md"
BEGIN, END = "<!-- choice: begin -->", "<!-- choice: end -->"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActiveConfig(DrawnFlags):
    """What this benchmark does."""

    seeds: tuple[str, ...] = flag("a draw and trainings for each of these numbers", ("1", "2", "3", "4", "5"))
    runs: Path = flag("folder for the data folders and run folders", Path("runs/active_learning"))
    out: Path = flag(
        "CSV file of the scores; the table goes beside it as .md", Path("benchmarks/results/active_learning.csv")
    )
    publish: bool = flag("write the result into docs/loop.md, and what Prepare_data.py select says", False)


def main(
    argv: Sequence[str],
    trainer: Callable[[TrainConfig], Any] = train,
    scorer: Callable[[EvaluateConfig], Any] = evaluate,
    chooser: Callable[[SelectConfig], Any] = select,
) -> int:
    """Train, choose and score what is missing; write CSV and table after each network."""
    config = parse(ActiveConfig, argv, "active_learning.py", "Compares chosen labels with as many drawn at random.")
    seeds = seeds_of(config.seeds)
    pictures = Pictures(config, config.runs)
    for seed in seeds:
        first, rest = pictures.draw(seed)
        for row in (FIRST, RANDOM, CHOSEN):
            done = read_rows(config.out)
            if any((one["row"], one["seed"]) == (row, str(seed)) for one in done):
                continue
            more: list[str] = []
            if row != FIRST:
                out = config.runs / f"select-{seed}"
                if not (out / TABLE).is_file():
                    chooser(
                        SelectConfig(
                            dir=pictures.plain(config.runs / f"known-{seed}", first),
                            images=pictures.unlabelled(config.runs / f"rest-{seed}", rest),
                            weights_dir=config.runs / f"{FIRST}-{seed}",
                            num_of_images=len(first),
                            seed=seed,
                            out=out,
                            device=config.device,
                            threads=config.threads,
                        )
                    )
                table_of = pd.read_csv(out / TABLE, dtype=str)
                links = set(table_of.loc[table_of["list"] == row, "image"])
                more = [name for name in rest if name.replace("/", "-") in links]
            data = pictures.labelled(config.runs / f"data-{row}-{seed}", sorted([*first, *more]))
            minutes = trained(trainer, pictures.settings(data, config.runs / f"{row}-{seed}", seed))
            scores = pictures.score(scorer, config.runs / f"{row}-{seed}", config.runs / "scores" / f"{row}-{seed}")
            about = {"labelled": len(first) + len(more), "images": len(pictures.group_of), "epochs": config.num_epochs}
            about |= {"minutes": round(minutes, 2), "encoder": config.encoder, "dataset": config.dir.resolve().name}
            write_rows(config.out, [*done, {"row": row, "seed": seed, **scores, **about, "hardware": processor()}])
            write_text(config.out.with_suffix(".md"), table(pictures, read_rows(config.out)))
    rows = read_rows(config.out)
    print(table(pictures, rows))
    if config.publish:
        publish(pictures, rows)
    return DONE


def gain_of(
    pictures: Pictures, rows: Sequence[dict[str, str]]
) -> tuple[dict[str, tuple[float, float, float]], list[str]]:
    """Compare the choice with the draw over the seeds that have both; {} where none has."""
    have = {(row["row"], row["seed"]) for row in rows}
    seeds = [seed for name, seed in sorted(have) if name == CHOSEN and (RANDOM, seed) in have]
    scores = pictures.runs / "scores"
    pairs = [(scores / f"{RANDOM}-{seed}", scores / f"{CHOSEN}-{seed}") for seed in seeds]
    return (pictures.gain(pairs) if pairs else {}), seeds


def table(pictures: Pictures, rows: Sequence[dict[str, str]]) -> str:
    """Format the scores as Markdown."""
    lines = ["| labels | images | mean Dice | defect-only Dice | seeds |", "|---|---|---|---|---|"]
    for name, words in WORDS.items():
        mine = [row for row in rows if row["row"] == name]
        if mine:
            means = [
                f"{statistics.fmean(float(row[score]) for row in mine):.4f}" for score in ("mean_dice", "defect_dice")
            ]
            seeds = ", ".join(row["seed"] for row in mine)
            lines.append(f"| {words} | {mine[0]['labelled']} | {means[0]} | {means[1]} | {seeds} |")
    found, seeds = gain_of(pictures, rows)
    if found:
        lines += [
            "",
            f"Gain of the choice over the draw, {LEVEL:.0%} interval: {in_words(*found['mean_dice'])} mean Dice,",
        ]
        lines += [f"{in_words(*found['defect_dice'])} defect-only Dice, over {len(seeds)} seeds and"]
        lines += [f"{len(set(pictures.group_of.values()))} scenes."]
    if rows:
        first = rows[0]
        lines += ["", f"{first['encoder']}, {first['epochs']} epochs, {first['dataset']}, {first['images']} validation"]
        lines += [f"images; {first['hardware']}."]
    return "\n".join([*lines, ""])


def publish(pictures: Pictures, rows: Sequence[dict[str, str]], docs: Path = DOCS, measured: Path = MEASURED) -> None:
    """Write the result where users meet it.

    Args:
        pictures: what was drawn from.
        rows: of the CSV file.
        docs: page with ``BEGIN`` and ``END``.
        measured: what ``Prepare_data.py select`` reads, see ``utils.scoring.choice``.
    """
    found, seeds = gain_of(pictures, rows)
    if not found:
        raise InputError("-publish: no seed has both the choice and the draw yet")
    figures = dict(zip(("gain", "low", "high"), (f"{value:.4f}" for value in found["mean_dice"]), strict=True))
    write_rows(measured, [{**figures, "seeds": len(seeds), "dataset": rows[0]["dataset"]}])
    said = f"Measured {about_choice(measured)[1]}."
    write_between(docs, BEGIN, END, textwrap.fill(said, 120, break_on_hyphens=False))


if __name__ == "__main__":
    run(main)
