"""Score several networks on the same images, and say which differences are more than chance."""

import dataclasses
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from config import EvaluateConfig
from utils.commands.known_images import in_words
from utils.commands.progress import progress, require_images
from utils.commands.results_folder import evaluation_folder
from utils.commands.scored_images import (
    check_labels,
    check_unlearnt,
    chosen_here,
    known_images,
    meant,
    names_of,
    what_of,
)
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.listing import name_in
from utils.data.splits import groups_in
from utils.data.tables import TableWriter
from utils.device import versions
from utils.errors import InputError
from utils.files import replacing, staged, write_text
from utils.inference.chosen import Chosen, choose_weights
from utils.inference.ground_truth import GroundTruth
from utils.inference.inspected import Inspected, Refused
from utils.inference.opening import open_pipeline
from utils.scoring.counts import Counts, count
from utils.scoring.paired import LEAST_GROUPS, Comparison, compare
from utils.scoring.scores import scores
from utils.settings import given_fields
from utils.text import columns, plural
from utils.weights.index import bare
from utils.weights.run_files import SPLIT
from utils.weights.weights_file import SYSTEM_SUFFIX

TABLE, PAGE, SUMMARY = "compare.csv", "compare.html", "compare.json"


@dataclass(frozen=True)
class CompareResult:
    """The scores of several networks, and where they were written.

    Attributes:
        comparison: the scores.
        runs: names of the networks, as they were given.
        skipped: images that one of them could not see, which are left out for all.
        notes: what a reader has to know before believing the scores.
        what: the images in words.
        out: folder of what was written.
    """

    comparison: Comparison
    runs: tuple[str, ...]
    skipped: tuple[Refused, ...]
    notes: tuple[str, ...]
    what: str
    out: Path

    def text(self) -> str:
        """Format the scores for a terminal."""
        found = self.comparison
        drawn = f"{plural(found.groups, 'group')} of copies" if found.groups < found.images else "no copies known"
        shown = short_names(self.runs)
        rows = [["score", *shown]]
        rows += [[row.words, *("-" if value is None else f"{value:.4f}" for value in row.values)] for row in found.rows]
        lines = [f"{plural(found.images, 'image')}, {self.what}; {drawn}", "", columns(rows)]
        for k, run in enumerate(shown[1:]):
            lines += ["", f"against {shown[0]}:"]
            lines += [
                f"  {row.words}: {difference.words(run)}"
                for row in found.rows
                if (difference := row.differences[k]) is not None
            ]
        lines += ["", *self.notes]
        if self.skipped:
            lines.append(f"{plural(len(self.skipped), 'image')} left out for all, named in {self.out / SUMMARY}")
        lines += [f"scores in {self.out}: {TABLE}, {SUMMARY}", f"open {self.out / PAGE} in a browser"]
        return "\n".join(lines)


def compare_runs(config: EvaluateConfig) -> CompareResult:
    """Score the networks that ``-compare`` names, one after the other, and write a table and a page.

    Args:
        config: the flags of ``Evaluate.py``.

    Raises:
        InputError: flags, weights, images or labels are at fault, or the networks know other classes; nothing was
            written then.
    """
    runs = _check(config)
    settings = [dataclasses.replace(config, weights_dir=Path(run).expanduser()) for run in runs]
    all_chosen = [choose_weights(one) for one in settings]
    _check_classes(runs, all_chosen)
    folders = [chosen.path.parent for chosen in all_chosen]
    home = next((folder for folder in folders if (folder / SPLIT).is_file()), folders[0])
    side = meant(config, home)
    dataset = open_dataset(config.dir, "test" if side == "test-images" else "train")
    labels = [GroundTruth(dataset.annotations, chosen.weights.spec, config.class_map) for chosen in all_chosen]
    names = names_of(side, dataset, home)[: config.num_of_images or None]
    check_unlearnt(side, names, [folder for chosen in all_chosen for folder in chosen.folders])
    check_labels(dataclasses.replace(dataset, annotations=labels[0].annotations), names)
    out = evaluation_folder(config)
    start = time.perf_counter()
    skipped: dict[str, Refused] = {}
    tables = []
    for run, chosen, truth in zip(runs, all_chosen, labels, strict=True):
        own = dataclasses.replace(dataset, annotations=truth.annotations)
        tables.append(_count(config, run, chosen, own, truth, names, skipped))
    seen = [name for name in names if all(name in table for table in tables)]
    require_images(len(seen), list(skipped.values()))
    class_names = all_chosen[0].class_names
    counts = [
        _as_counts(seen, table, chosen.class_names, class_names)
        for table, chosen in zip(tables, all_chosen, strict=True)
    ]
    groups = groups_in(home / SPLIT, seen) if side != "test-images" else {}
    comparison = compare(
        counts, class_names, [groups.get(name, n) for n, name in enumerate(seen)], config.resamples, config.seed
    )
    notes = _notes(config, runs, all_chosen, dataset, counts, comparison)
    what = what_of(config, side, home)
    result = CompareResult(comparison, runs, tuple(skipped.values()), (*notes, *labels[0].left_out(seen)), what, out)
    with staged(out) as folder:
        _write(folder, config, result, all_chosen, dataset, time.perf_counter() - start)
    return result


def short_names(runs: Sequence[str]) -> tuple[str, ...]:
    """Return what runs are called in tables: their last name, or all of what was given where that is not enough."""
    names = [bare(Path(run).name.removesuffix(SYSTEM_SUFFIX).removesuffix(".pth")) for run in runs]
    return tuple(name if name and names.count(name) == 1 else run for name, run in zip(names, runs, strict=True))


def _check(config: EvaluateConfig) -> tuple[str, ...]:
    """Return the runs that the flags name; refuse flags that are of no use beside them."""
    runs = config.compare or ()
    if len(runs) < 2:
        raise InputError(f"-compare {','.join(runs)}: name two networks or more, as in -compare runs/first,runs/second")
    for name in ("weights_dir", "weights"):
        if name in given_fields(config):
            raise InputError(f"-{name}: -compare names the networks; leave it out")
    if config.calibrate:
        raise InputError("-calibrate: -compare changes no weights; leave it out, or calibrate each network first")
    if config.appearance:
        raise InputError("-appearance: -compare changes no weights; leave it out")
    return runs


def _check_classes(runs: Sequence[str], chosen: Sequence[Chosen]) -> None:
    for run, one in zip(runs, chosen, strict=True):
        if one.weights.spec.is_classifier:
            raise InputError(f"-compare: {run} judges whole images; only networks that draw masks can be compared")
        if set(one.class_names) != set(chosen[0].class_names):
            raise InputError(
                f"-compare: {runs[0]} draws {', '.join(chosen[0].class_names)}, {run} draws {', '.join(one.class_names)};"
                " only networks with the same classes can be compared"
            )


def _count(
    config: EvaluateConfig,
    run: str,
    chosen: Chosen,
    dataset: Dataset,
    labels: GroundTruth,
    names: Sequence[str],
    skipped: dict[str, Refused],
) -> dict[str, np.ndarray]:
    """Run one network: of each image that it could see tp, fp, fn and tn, (4, C) int64; others are added to ``skipped``."""
    refused: list[Refused] = []
    pipeline = open_pipeline(chosen, config, refused, describe=False, images=len(names))

    def measure(path: Path, result: Inspected) -> tuple[str, np.ndarray]:
        size = result.image.shape[:2]
        truth, ignored = labels.masks(result.name, *size), labels.ignored(result.name, *size)
        outside = None if ignored is None else torch.from_numpy(ignored)[None]
        pixels = count(torch.from_numpy(result.masks)[None], torch.from_numpy(truth)[None], outside)
        return result.name, torch.cat(pixels).numpy()

    found = {}
    with progress(len(names), run) as bar:
        for _, (name, pixels) in pipeline.run([dataset.path(name) for name in names], measure, dataset.image_dir):
            found[name] = pixels
            bar.update()
    for one in refused:
        skipped.setdefault(one.name, one)
    return found


def _as_counts(images: Sequence[str], table: dict[str, np.ndarray], own: Sequence[str], names: Sequence[str]) -> Counts:
    """Put the counts of the images together, a network's ``own`` classes in the order of ``names``."""
    order = [list(own).index(name) for name in names]
    pixels = torch.from_numpy(np.stack([table[image][:, order] for image in images], axis=1))
    counts = Counts()
    counts.add(images, *pixels)
    return counts


def _notes(
    config: EvaluateConfig,
    runs: Sequence[str],
    chosen: Sequence[Chosen],
    dataset: Dataset,
    counts: Sequence[Counts],
    comparison: Comparison,
) -> Iterable[str]:
    """Yield a line for each thing that makes the scores of one of the networks better than they are."""
    if config.resamples and not comparison.resamples:
        yield f"{plural(comparison.groups, 'group')} of images, fewer than {LEAST_GROUPS}: too few for intervals"
    names = chosen[0].class_names
    for run, one, table in zip(short_names(runs), chosen, counts, strict=True):
        found = scores(table, names)
        warning = chosen_here(config, one, found.mean_dice)
        if warning:
            yield f"{run}: {warning}"
        known = known_images(config, one, dataset, table.images)
        if known is not None:
            rest = table.without(known.seen)
            unseen = scores(rest, names) if known.seen and rest.images else None
            yield f"{run}: {known.text(in_words(unseen), unseen)}"


def _write(
    folder: Path,
    config: EvaluateConfig,
    result: CompareResult,
    chosen: Sequence[Chosen],
    dataset: Dataset,
    seconds: float,
) -> None:
    # Here, since drawing takes a second to import, and whoever imports this module may not want a page.
    from utils.reporting.comparison import comparison_sections
    from utils.reporting.page import write_page

    with replacing(folder / TABLE) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        TableWriter(file).writerows(table_rows(result))
    left_out = [(name_in(dataset.image_dir, Path(one.name)), one.reason) for one in result.skipped]
    about: dict[str, Any] = {
        "dataset": str(config.dir),
        "split": config.split,
        **result.comparison.to_dict(),
        "runs": {run: one.to_dict() for run, one in zip(result.runs, chosen, strict=True)},
        "notes": list(result.notes),
        "skipped": [{"image": name, "reason": reason} for name, reason in left_out],
        "seconds": round(seconds, 3),
        "versions": versions(),
    }
    write_text(folder / SUMMARY, json.dumps(about, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    facts = {
        "images": f"{result.what}: {result.comparison.images:,}",
        "groups": result.comparison.groups,
        "dataset": str(config.dir),
        **{name: f"{one.path} ({one.sha8})" for name, one in zip(short_names(result.runs), chosen, strict=True)},
    }
    lead = f"{plural(result.comparison.images, 'image')}, {result.what}, on {time.strftime('%Y-%m-%d %H:%M')}"
    sections = comparison_sections(result.comparison, short_names(result.runs), result.notes, left_out, facts)
    write_page(folder / PAGE, "Comparison of networks", lead, sections)


def table_rows(result: CompareResult) -> Iterable[Sequence[Any]]:
    """Yield the rows of ``compare.csv``: each score of each network, and its difference to the first one's."""
    yield ("score", "name", "run", "value", "difference", "low", "high", "verdict")
    for row in result.comparison.rows:
        for run, value, found in zip(result.runs, row.values, (None, *row.differences), strict=True):
            apart = ("", "", "", "") if found is None else (found.value, found.low, found.high, found.verdict)
            yield (row.score, row.name, run, value, *apart)
