"""Score a network on labelled images."""

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from config import EvaluateConfig
from utils.calibration.calibrator import Calibrator
from utils.calibration.counting import ImageTable
from utils.calibration.looks import NewAppearance
from utils.calibration.new_weights import UNCALIBRATED
from utils.calibration.result import Calibration
from utils.commands.compare_runs import CompareResult, compare_runs
from utils.commands.evaluate_labels import LabelsResult, evaluate_labels
from utils.commands.examples import draw_examples
from utils.commands.facts import facts, metrics
from utils.commands.fold_networks import FoldPipelines, open_folds
from utils.commands.known_images import KnownImages, in_words, recorded
from utils.commands.progress import progress, require_images
from utils.commands.results_folder import about_replaced, evaluation_folder
from utils.commands.score_tables import Objects, write_tables
from utils.commands.scored_images import (
    check_labels,
    check_unlearnt,
    chosen_here,
    chosen_on_learnt,
    known_images,
    meant,
    names_of,
    what_of,
)
from utils.data.dataset_folder import Dataset, open_dataset
from utils.data.packed import with_local_folder
from utils.decision.probabilities import class_probabilities
from utils.errors import InputError
from utils.files import staged, write_text
from utils.inference.chosen import Chosen, choose_weights
from utils.inference.ground_truth import GroundTruth
from utils.inference.inspected import Inspected, Refused
from utils.inference.opening import open_pipeline
from utils.inference.outputs import Submission
from utils.inference.pipeline import InspectionPipeline
from utils.scoring.evaluation import Collector, Evaluation, ImageFigures, measure
from utils.scoring.scores import Scores
from utils.scoring.scores import scores as scores_of
from utils.text import TOGETHER, plural
from utils.weights.run_files import HISTORY


@dataclass(frozen=True)
class EvaluateResult:
    """The scores and where they were written.

    Attributes:
        evaluation: every figure, of the images that could be read.
        images: their number.
        skipped: images that could not be read.
        what: the images in words.
        out: folder of what was written.
        written: names of the files in it.
        seconds: for all images, without loading the network.
        network: what ran it.
        calibration: with ``-calibrate``, the settings that were chosen, and their gain.
        calibrated: the new weights file; None when it has nothing new.
        bit_depth: how images with more than 8 bits were read, in words; empty when nothing was known or measured.
        chosen_here: a warning where the thresholds in use were chosen on these images; else empty.
        left_out: a line for each class of the data that the weights do not know.
        replaced: a line where an evaluation of other weights was there before; else empty.
        known: which images the network has seen copies of; None: not looked for, since it was trained on all of them.
        unseen: the scores of the images without a copy; None: all are without one, or none is.
        alike: number of further networks that were asked, and get the same settings.
        looked: with ``-appearance`` alone, the new weights file.
        chosen_on_learnt: a warning where ``-calibrate`` chose on images that the network has learnt from; else empty.
    """

    evaluation: Evaluation
    images: int
    skipped: tuple[Refused, ...]
    what: str
    out: Path
    written: tuple[str, ...]
    seconds: float
    network: str
    calibration: Calibration | None = None
    calibrated: Path | None = None
    bit_depth: str = ""
    chosen_here: str = ""
    left_out: tuple[str, ...] = ()
    replaced: str = ""
    known: KnownImages | None = None
    unseen: Scores | None = None
    alike: int = 0
    looked: Path | None = None
    chosen_on_learnt: str = ""

    @property
    def scores(self) -> Scores:
        """The scores per class and together."""
        return self.evaluation.scores

    @property
    def about_copies(self) -> str:
        """How many images have a copy among those trained on, and what the others score; "" where nobody looked."""
        return self.known.text(in_words(self.unseen), self.unseen) if self.known else ""

    @property
    def images_per_second(self) -> float:
        """Images per second from file to counts."""
        return self.images / self.seconds if self.seconds else 0.0

    def text(self) -> str:
        """Format the scores for a terminal."""
        speed = f"{self.seconds:.1f} s, {self.images_per_second:.1f} images/s, {self.network}"
        lines = [
            f"{plural(self.images, 'image')}, {self.what}; {speed}",
            "",
            self.scores.table(),
            "",
            "mean Dice: the competition's score, where an empty prediction of a clean image counts 1;",
            "empty baseline: the mean Dice of predicting nothing; defect Dice: where there is a defect to find",
        ]
        if intervals := self.evaluation.intervals:
            low, high = intervals.mean_dice[TOGETHER]
            lines.append(f"{intervals.level:.0%} interval of the mean Dice: {low:.4f} to {high:.4f}")
        if self.known:
            lines.append(self.about_copies)
        if self.chosen_here:
            lines.append(self.chosen_here)
        if self.calibrated:
            lines.append("these scores are by the thresholds in use until now; those of the new weights file follow")
        if self.calibration:
            if self.calibrated is None and self.calibration.finds_nothing:
                said = (
                    "the weights file keeps what it has; train longer or on more images. -calibrate -force writes the new"
                    " settings all the same"
                )
            elif self.calibrated is None:
                said = "the weights file keeps what it has: nothing better was found that holds"
            else:
                kept = (
                    "" if self.calibration.changed else ", with what the flags set: nothing better was found that holds"
                )
                others = f" and those of {plural(self.alike, 'network')} beside it" if self.alike else ""
                said = f"new weights file: {self.calibrated}{others}{kept}"
                earlier = self.calibrated.parent / UNCALIBRATED
                said += f"; the one from training is in {earlier}" if earlier.is_dir() else ""
            learnt = [self.chosen_on_learnt] if self.chosen_on_learnt else []
            lines += ["", *learnt, self.calibration.text(), said, ""]
        if self.looked:
            lines.append(
                f"new weights file: {self.looked}; it knows how these images look, its thresholds are as before"
            )
        lines += self.left_out
        if self.bit_depth:
            lines.append(f"images with more than 8 bits: {self.bit_depth}")
        if self.skipped:
            lines.append(f"{plural(len(self.skipped), 'image')} skipped, named in {self.out / 'metrics.json'}")
        lines += [self.replaced] if self.replaced else []
        lines += [f"scores in {self.out}: {', '.join(self.written)}", f"open {self.out / 'report.html'} in a browser"]
        return "\n".join(lines)


def evaluate(config: EvaluateConfig) -> EvaluateResult | LabelsResult | CompareResult:
    """Score a network on the labelled images of a dataset folder, or compare several, and write a report.

    Args:
        config: the flags of ``Evaluate.py``.

    Returns:
        The scores and where they were written.

    Raises:
        InputError: flags, weights, images or labels are at fault; nothing was written then.
    """
    config = with_local_folder(config)
    if config.compare is not None:
        return compare_runs(config)
    if config.appearance and config.split.startswith("test"):
        raise InputError(
            f"-appearance -split {config.split}: is measured on images learnt from; use -split valid or all"
        )
    if config.calibrate and config.split.startswith("test"):
        raise InputError(
            f"-calibrate -split {config.split}: scores of images that decided something prove nothing; use -split valid"
        )
    folds = open_folds(config) if config.split == "out-of-fold" else None
    chosen = folds.first if folds else choose_weights(config)
    run = folds.run if folds else chosen.path.parent
    side = meant(config, run)
    dataset = open_dataset(config.dir, "test" if side == "test-images" else "train")
    if chosen.weights.spec.is_classifier:
        if config.appearance:
            raise InputError(f"-appearance: {chosen.path} classifies whole images; Train.py measures it for these")
        names = names_of(side, dataset, run)[: config.num_of_images or None]
        known = known_images(config, chosen, dataset, names)
        return evaluate_labels(config, chosen, dataset, names, what_of(config, side, run), known, folds)
    labels = GroundTruth(dataset.annotations, chosen.weights.spec, config.class_map)
    dataset = replace(dataset, annotations=labels.annotations)
    names = names_of(side, dataset, run)[: config.num_of_images or None]
    check_unlearnt(side, names, chosen.folders)
    check_labels(dataset, names)
    alike = folds.others if folds else ()
    calibrator = Calibrator(config, chosen, dataset, labels, names, alike) if config.calibrate else None
    looks = NewAppearance(chosen, alike) if config.appearance and not config.calibrate else None
    skipped: list[Refused] = []
    pipeline = (
        folds.pipeline(config, skipped, dataset.image_dir)
        if folds
        else open_pipeline(chosen, config, skipped, describe=False, images=len(names))
    )
    out = evaluation_folder(config)
    replaced = about_replaced(out, chosen)
    known = known_images(config, chosen, dataset, names)
    # What a gate turns away is never counted: it stays open while what it is worth is found out.
    pipeline.gates = calibrator is None
    start = time.perf_counter()
    with staged(out) as folder:
        collected = _collect(
            pipeline, dataset, names, labels, folder, skipped, calibrator, chosen.decision.min_areas, looks
        )
        seconds = time.perf_counter() - start
        pipeline.gates = True
        evaluation = collected.evaluate(config.resamples, config.seed)
        calibration, calibrated = calibrator.finish(folder, out) if calibrator else (None, None)
        looked = looks.finish(folder, out) if looks else None
        tables = (*write_tables(folder, evaluation), *(["calibration.csv"] if calibration else []))
        result = EvaluateResult(
            evaluation=evaluation,
            images=evaluation.scores.images,
            skipped=tuple(skipped),
            what=what_of(config, side, run),
            out=out,
            written=("report.html", "metrics.json", *tables, "objects.csv", "submission.csv"),
            seconds=seconds,
            network=pipeline.system.name,
            calibration=calibration,
            calibrated=calibrated,
            bit_depth=chosen.depth_in_words(pipeline.depth),
            chosen_here=chosen_here(config, chosen, evaluation.scores.together.mean_dice),
            left_out=labels.left_out(names),
            replaced=replaced,
            known=known,
            unseen=_unseen(evaluation, known),
            alike=len(alike),
            looked=looked,
            chosen_on_learnt=chosen_on_learnt(config, evaluation.scores.images, known),
        )
        scores = {
            **evaluation.to_dict(),
            **recorded(result.known, result.unseen),
            **({"calibration": calibration.to_dict()} if calibration else {}),
            **({"calibrated_weights": str(calibrated)} if calibrated else {}),
        }
        found = metrics(config, chosen, result, scores)
        write_text(folder / "metrics.json", json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        _write_report(config, chosen, result, pipeline, dataset, labels, folder)
        if calibrator:
            calibrator.commit()
        if looks:
            looks.commit()
    return result


def _unseen(evaluation: Evaluation, known: KnownImages | None) -> Scores | None:
    """Return the scores of the images without a copy, where some have one and some have none."""
    if known is None or not known.seen:
        return None
    counts = evaluation.counts.without(known.seen)
    return scores_of(counts, evaluation.class_names) if counts.images else None


def _collect(
    pipeline: InspectionPipeline | FoldPipelines,
    dataset: Dataset,
    names: Sequence[str],
    labels: GroundTruth,
    out: Path,
    skipped: list[Refused],
    calibrator: Calibrator | None,
    min_areas: tuple[int, ...],
    looks: NewAppearance | None = None,
) -> Collector:
    """Measure one image after the other; the two tables with a row per object are written while they go by."""
    class_names, first_class = labels.spec.scored_names, labels.spec.first_class
    collector = Collector(class_names, first_class, min_areas)
    with ExitStack() as stack:
        objects = stack.enter_context(Objects(out / "objects.csv", class_names, first_class))
        submission = stack.enter_context(Submission(out / "submission.csv", labels.class_ids))

        def compare(path: Path, result: Inspected) -> tuple[str, ImageFigures, list[str], list[ImageTable]]:
            truth = labels.masks(result.name, *result.image.shape[:2])
            ignored = labels.ignored(result.name, *result.image.shape[:2])
            counted = calibrator.count(result, truth, ignored) if calibrator else []
            if looks:
                looks.see(result)
            if calibrator:
                result = calibrator.behind_the_gate(result)
            planes = () if result.logits is None else class_probabilities(result.logits, pipeline.system.task)
            figures = measure(result.masks, truth, planes, result.labels, ignored)
            return result.name, figures, submission.render(result), counted

        with progress(len(names), "evaluate") as bar:
            paths = [dataset.path(name) for name in names]
            for _, (name, figures, codes, counted) in pipeline.run(paths, compare, dataset.image_dir):
                objects.collect(name, figures.objects)
                submission.collect(name, codes)
                collector.add(name, figures)
                if calibrator:
                    calibrator.collect(name, counted)
                bar.update()
        require_images(len(collector), skipped)
    return collector


def _write_report(
    config: EvaluateConfig,
    chosen: Chosen,
    result: EvaluateResult,
    pipeline: InspectionPipeline | FoldPipelines,
    dataset: Dataset,
    labels: GroundTruth,
    folder: Path,
) -> None:
    # Here, since drawing takes a second to import, and whoever imports this module may not want a report.
    from utils.reporting.calibration import calibration_section
    from utils.reporting.evaluation import evaluation_sections
    from utils.reporting.learning import read_history
    from utils.reporting.page import write_page

    worst, best = result.evaluation.extremes(config.examples)
    # A second pass over these few images: keeping pictures of all in the first would cost more than it saves.
    drawn = draw_examples(pipeline, dataset, (*worst, *best), labels, result.evaluation)
    calibration, new = result.calibration, result.calibrated
    more = [calibration_section(calibration.to_dict(), new.name if new else None)] if calibration else []
    sections = evaluation_sections(
        result.evaluation,
        facts=facts(config, chosen, result),
        worst=[drawn[name] for name in worst if name in drawn],
        best=[drawn[name] for name in best if name in drawn],
        history=read_history(chosen.path.parent / HISTORY) if not chosen.assembled else None,
        more=more,
    )
    lead = f"{plural(result.images, 'image')}, {result.what}, on {time.strftime('%Y-%m-%d %H:%M')}"
    lead += "; by the thresholds in use before the calibration below" if new else ""
    write_page(folder / "report.html", f"Evaluation of {chosen.path.stem}", lead, sections)
