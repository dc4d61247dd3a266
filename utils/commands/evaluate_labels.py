"""Score an image classifier on labelled images."""

import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config import EvaluateConfig
from utils.calibration.labels import LabelCalibration, choose_thresholds
from utils.calibration.new_weights import NewWeights, groups_of
from utils.commands.facts import facts, metrics
from utils.commands.fold_networks import FoldNetworks, FoldPipelines
from utils.commands.known_images import KnownImages, recorded
from utils.commands.progress import progress, require_images
from utils.commands.results_folder import about_replaced, evaluation_folder
from utils.commands.scored_images import chosen_on_learnt
from utils.data.dataset_folder import Dataset
from utils.files import staged, write_text
from utils.inference.chosen import Chosen
from utils.inference.ground_truth import GroundTruth
from utils.inference.inspected import Inspected, Refused
from utils.inference.opening import open_pipeline
from utils.inference.outputs import LabelTable
from utils.inference.pipeline import InspectionPipeline
from utils.scoring.labels import LabelAnswers, LabelScores, label_scores
from utils.scoring.presence import Presence, presence
from utils.text import plural
from utils.weights.measured import decision_in_use, with_new_thresholds
from utils.weights.run_files import HISTORY, SPLIT
from utils.weights.system_file import SystemFile
from utils.weights.weights_file import WeightsFile


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
        left_out: a line for each class of the data that the weights do not know.
        calibration: with ``-calibrate``, the thresholds that were chosen.
        calibrated: the new weights file; None when it has nothing new.
        replaced: a line where an evaluation of other weights was there before; else empty.
        known: which images the network has seen copies of; None: not looked for, since it was trained on all of them.
        unseen: the scores of the images without a copy; None: all are without one, or none is.
        chosen_on_learnt: a warning where ``-calibrate`` chose on images that the network has learnt from; else empty.
    """

    scores: LabelScores
    skipped: tuple[Refused, ...]
    what: str
    out: Path
    seconds: float
    network: str
    bit_depth: str = ""
    calibration: LabelCalibration | None = None
    calibrated: Path | None = None
    left_out: tuple[str, ...] = ()
    replaced: str = ""
    known: KnownImages | None = None
    unseen: LabelScores | None = None
    chosen_on_learnt: str = ""

    @property
    def about_copies(self) -> str:
        """How many images have a copy among those trained on, and what the others score; "" where nobody looked."""
        f1 = self.unseen.together.f1 if self.unseen else None
        return self.known.text("" if f1 is None else f"F1 {f1:.4f}", self.unseen) if self.known else ""

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
        lines += [self.about_copies] if self.known else []
        lines += self.left_out
        if self.bit_depth:
            lines.append(f"images with more than 8 bits: {self.bit_depth}")
        if self.calibration:
            if self.calibrated:
                said = f"new weights file: {self.calibrated}"
            elif self.calibration.finds_nothing:
                said = "the weights file keeps what it has; -calibrate -force writes new thresholds all the same"
            else:
                said = "the weights file keeps what it has: nothing better was found that holds"
            lines += [self.chosen_on_learnt] if self.chosen_on_learnt else []
            lines += [self.calibration.text(), said, ""]
        if self.skipped:
            lines.append(f"{plural(len(self.skipped), 'image')} skipped, named in {self.out / 'metrics.json'}")
        lines += [self.replaced] if self.replaced else []
        lines.append(f"scores in {self.out}: report.html, metrics.json, labels.csv")
        lines.append(f"open {self.out / 'report.html'} in a browser")
        return "\n".join(lines)


def evaluate_labels(
    config: EvaluateConfig,
    chosen: Chosen,
    dataset: Dataset,
    names: Sequence[str],
    what: str,
    known: KnownImages | None = None,
    folds: FoldNetworks | None = None,
) -> LabelsResult:
    """Score a classifier.

    Args:
        config: the flags of ``Evaluate.py``.
        chosen: the classifier.
        dataset: the dataset folder.
        names: of the images to score.
        what: these images in words.
        known: which of them the network has seen copies of.
        folds: where each image is judged by the network that has not learnt it, all of them.

    Returns:
        The scores and where they were written.

    Raises:
        InputError: the classifier knows other classes than the labels, or no image can be read.
    """
    labels = GroundTruth(dataset.annotations, chosen.weights.spec, config.class_map)
    new_weights = NewWeights(chosen, folds.others if folds else ()) if config.calibrate else None
    groups = groups_of(chosen.path.parent / SPLIT, names, dataset) if config.calibrate else {}
    skipped: list[Refused] = []
    pipeline = (
        folds.pipeline(config, skipped, dataset.image_dir)
        if folds
        else open_pipeline(chosen, config, skipped, describe=False, images=len(names))
    )
    out = evaluation_folder(config)
    replaced = about_replaced(out, chosen)
    start = time.perf_counter()
    with staged(out) as folder:
        answers = _collect(pipeline, dataset, names, labels, chosen, skipped, folder)
        calibration, calibrated = None, None
        if new_weights:
            calibration = choose_thresholds(
                chosen.label_names,
                answers.probabilities,
                answers.truth,
                chosen.label_thresholds,
                np.array([groups[name] for name in answers.images]),
                folds=config.folds,
                seed=config.seed,
                target=config.false_alarms,
            )
            if calibration.changed and (config.force or not calibration.finds_nothing):
                calibrated = new_weights.prepare(
                    lambda weights: _with_thresholds(config, weights, calibration), folder, out
                )
        result = LabelsResult(
            scores=label_scores(answers, chosen.label_names, chosen.label_thresholds),
            skipped=tuple(skipped),
            what=what,
            out=out,
            seconds=time.perf_counter() - start,
            network=pipeline.system.name,
            calibration=calibration,
            calibrated=calibrated,
            bit_depth=chosen.depth_in_words(pipeline.depth),
            left_out=labels.left_out(names),
            replaced=replaced,
            known=known,
            unseen=_unseen(answers, known, chosen),
            chosen_on_learnt=chosen_on_learnt(config, len(answers.images), known),
        )
        said = answers.probabilities >= np.array(chosen.label_thresholds)
        shown = presence(answers.truth, said, answers.probabilities)
        _write_report(config, chosen, result, shown, folder)
        found = {**metrics(config, chosen, result, result.scores.to_dict()), "presence": shown.to_dict()}
        found |= recorded(result.known, result.unseen)
        found |= {"calibration": calibration.to_dict()} if calibration else {}
        found |= {"calibrated_weights": str(calibrated)} if calibrated else {}
        write_text(folder / "metrics.json", json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        if new_weights:
            new_weights.commit()
    return result


def _unseen(answers: LabelAnswers, known: KnownImages | None, chosen: Chosen) -> LabelScores | None:
    """Return the scores of the images without a copy, where some have one and some have none."""
    left = answers.without(known.seen) if known and known.seen else None
    return label_scores(left, chosen.label_names, chosen.label_thresholds) if left and left.images else None


def _collect(
    pipeline: InspectionPipeline | FoldPipelines,
    dataset: Dataset,
    names: Sequence[str],
    labels: GroundTruth,
    chosen: Chosen,
    skipped: list[Refused],
    folder: Path,
) -> LabelAnswers:
    """Ask the network about one image after the other; the table of its answers is written while they go by."""
    answers = LabelAnswers()
    with LabelTable(folder / "labels.csv", chosen.label_names) as table:

        def compare(path: Path, result: Inspected) -> tuple[str, np.ndarray, list[str]]:
            assert result.labels is not None
            return result.name, result.labels, table.render(result)

        with progress(len(names), "evaluate") as bar:
            paths = [dataset.path(name) for name in names]
            for _, (name, probabilities, row) in pipeline.run(paths, compare, dataset.image_dir):
                answers.add([name], probabilities[None], labels.shown(name)[None])
                table.collect(name, row)
                bar.update()
        require_images(len(answers.images), skipped)
    return answers


def _with_thresholds(
    config: EvaluateConfig, weights: WeightsFile | SystemFile, calibration: LabelCalibration
) -> WeightsFile:
    """Return the weights with new thresholds, and what they were chosen on."""
    assert isinstance(weights, WeightsFile)
    data = {"dataset": config.dir.resolve().name, "split": config.split}
    told = {**data, **calibration.to_dict()}
    in_use = decision_in_use(weights.decision, weights.label_thresholds)
    return dataclasses.replace(
        weights,
        label_thresholds=calibration.thresholds,
        metrics={**with_new_thresholds(weights.metrics, in_use), "calibration": told},
    )


def _write_report(config: EvaluateConfig, chosen: Chosen, result: LabelsResult, shown: Presence, folder: Path) -> None:
    # Here, since drawing takes a second to import, and whoever imports this module may not want a report.
    from utils.reporting.calibration import label_section
    from utils.reporting.evaluation import classifier_sections
    from utils.reporting.learning import read_history
    from utils.reporting.page import write_page

    calibration, new = result.calibration, result.calibrated
    more = [label_section(calibration.to_dict(), new.name if new else None)] if calibration else []
    sections = classifier_sections(
        shown,
        chosen.label_names,
        scores=result.scores,
        more=more,
        facts=facts(config, chosen, result),
        history=read_history(chosen.path.parent / HISTORY),
    )
    lead = f"{plural(result.images, 'image')}, {result.what}, on {time.strftime('%Y-%m-%d %H:%M')}"
    write_page(folder / "report.html", f"Evaluation of {chosen.path.stem}", lead, sections)
