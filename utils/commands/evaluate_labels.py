"""Score an image classifier on labelled images."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config import EvaluateConfig
from utils.commands.facts import facts, metrics
from utils.commands.progress import progress, require_images
from utils.commands.results_folder import evaluation_folder
from utils.data.annotations import Dataset
from utils.files import write_text
from utils.inference.chosen import Chosen
from utils.inference.ground_truth import GroundTruth
from utils.inference.inspected import Inspected, Refused
from utils.inference.opening import open_pipeline
from utils.inference.outputs import LabelTable
from utils.scoring.labels import LabelAnswers, LabelScores, label_scores
from utils.scoring.presence import Presence, presence
from utils.text import plural
from utils.weights.run_files import HISTORY


@dataclass(frozen=True)
class LabelsResult:
    """The scores of a classifier and where they were written.

    Attributes:
        scores: of the images that could be read.
        skipped: images that could not be read.
        what: the images in words.
        out: folder of ``report.html``, ``metrics.json`` and ``labels.csv``.
        seconds: for all images, without loading the network.
        network: what ran it.
        bit_depth: how images with more than 8 bits were read, in words; empty when nothing was known or measured.
    """

    scores: LabelScores
    skipped: tuple[Refused, ...]
    what: str
    out: Path
    seconds: float
    network: str
    bit_depth: str = ""

    @property
    def images(self) -> int:
        """Number of images that were scored."""
        return self.scores.images

    @property
    def images_per_second(self) -> float:
        """Images per second from file to answer."""
        return self.scores.images / self.seconds if self.seconds else 0.0

    def text(self) -> str:
        """Format the scores for a terminal."""
        speed = f"{self.seconds:.1f} s, {self.images_per_second:.1f} images/s, {self.network}"
        lines = [
            f"{plural(self.scores.images, 'image')}, {self.what}; {speed}",
            "this network judges whole images: there are no masks to score",
            "",
            self.scores.table(),
            "",
        ]
        if self.bit_depth:
            lines.append(f"images with more than 8 bits: {self.bit_depth}")
        if self.skipped:
            lines.append(f"{plural(len(self.skipped), 'image')} skipped, named in {self.out / 'metrics.json'}")
        lines.append(f"scores in {self.out}: report.html, metrics.json, labels.csv")
        lines.append(f"open {self.out / 'report.html'} in a browser")
        return "\n".join(lines)


def evaluate_labels(
    config: EvaluateConfig, chosen: Chosen, dataset: Dataset, names: Sequence[str], what: str
) -> LabelsResult:
    """Score a classifier.

    Args:
        config: the flags of ``Evaluate.py``.
        chosen: the classifier.
        dataset: the dataset folder.
        names: of the images to score.
        what: these images in words.

    Returns:
        The scores and where they were written.

    Raises:
        InputError: the classifier knows other classes than the labels, or no image can be read.
    """
    labels = GroundTruth(dataset.annotations, chosen.weights.spec)
    skipped: list[Refused] = []
    pipeline = open_pipeline(chosen, config, skipped, describe=False, images=len(names))
    out = evaluation_folder(config)
    answers = LabelAnswers()
    start = time.perf_counter()
    with LabelTable(out / "labels.csv", chosen.label_names) as table:

        def compare(path: Path, result: Inspected) -> tuple[np.ndarray, list[str]]:
            assert result.labels is not None
            return result.labels, table.render(path, result)

        with progress(len(names), "evaluate") as bar:
            for path, (probabilities, row) in pipeline.run([dataset.path(name) for name in names], compare):
                answers.add([path.name], probabilities[None], labels.shown(path.name)[None])
                table.collect(path, row)
                bar.update()
        require_images(len(answers.images), skipped)
    result = LabelsResult(
        scores=label_scores(answers, chosen.label_names, chosen.label_thresholds),
        skipped=tuple(skipped),
        what=what,
        out=out,
        seconds=time.perf_counter() - start,
        network=pipeline.system.name,
        bit_depth=chosen.depth_in_words(pipeline.depth),
    )
    shown = presence(answers.truth, answers.probabilities >= np.array(chosen.label_thresholds), answers.probabilities)
    _write_report(config, chosen, result, shown)
    found = {**metrics(config, chosen, result, result.scores.to_dict()), "presence": shown.to_dict()}
    write_text(out / "metrics.json", json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return result


def _write_report(config: EvaluateConfig, chosen: Chosen, result: LabelsResult, shown: Presence) -> None:
    # Here, since drawing takes a second to import, and whoever imports this module may not want a report.
    from utils.reporting.evaluation import classifier_sections
    from utils.reporting.learning import read_history
    from utils.reporting.page import write_page

    sections = classifier_sections(
        shown,
        chosen.label_names,
        facts=facts(config, chosen, result),
        history=read_history(chosen.path.parent / HISTORY),
    )
    lead = f"{plural(result.images, 'image')}, {result.what}, on {time.strftime('%Y-%m-%d %H:%M')}"
    write_page(result.out / "report.html", f"Evaluation of {chosen.path.stem}", lead, sections)
