"""Calibration as part of an evaluation: lay out the grid, count each image, choose, and write what was chosen."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch

from config import EvaluateConfig
from utils.calibration.counting import ImageTable, count_image, join
from utils.calibration.gated import Gated, GateSetting
from utils.calibration.gates import GateLayout
from utils.calibration.grid import limits_of, make_grid
from utils.calibration.looks import Looks
from utils.calibration.new_weights import NewWeights, groups_of
from utils.calibration.result import Calibration
from utils.calibration.solving import solve
from utils.data import rle
from utils.data.dataset_folder import Dataset
from utils.data.exploration.labels import FEW
from utils.data.images import ImageError, read_size
from utils.data.splits import read_split
from utils.data.tables import TableWriter
from utils.errors import InputError
from utils.files import replacing
from utils.inference.chosen import Chosen
from utils.inference.ground_truth import GroundTruth
from utils.inference.inspected import Inspected
from utils.inference.systems.gated import switch_off_classes
from utils.weights.appearance import Appearance
from utils.weights.measured import decision_in_use, with_new_thresholds
from utils.weights.run_files import SPLIT
from utils.weights.system_file import SystemFile
from utils.weights.weights_file import WeightsFile


class Calibrator:
    """Counts images while they are evaluated, and chooses settings at the end.

    Args:
        config: the flags.
        chosen: the network and the settings in use.
        dataset: the images.
        labels: their labels.
        names: images that are to be scored.
        alike: networks that get the same settings, each of which answers some of the images.

    Raises:
        InputError: there are too few images, a threshold is out of range, the network is part of a system, or there is
            no permission to write beside the weights file.
    """

    def __init__(
        self,
        config: EvaluateConfig,
        chosen: Chosen,
        dataset: Dataset,
        labels: GroundTruth,
        names: Sequence[str],
        alike: Sequence[Chosen] = (),
    ) -> None:
        self.config, self.chosen = config, chosen
        self.task, self.class_names = chosen.weights.spec.task, chosen.weights.spec.scored_names
        self.split = chosen.path.parent / SPLIT
        self.group_of = groups_of(self.split, names, dataset)
        self.new_weights = NewWeights(chosen, alike)
        decision = chosen.decision
        if not all(0 < threshold < 1 for threshold in decision.thresholds):
            raise InputError("-calibrate: starts from thresholds above 0 and below 1; give such a -threshold")
        weights = chosen.weights
        gate = weights.gate if isinstance(weights, SystemFile) and weights.has_gate else None
        self.notes: tuple[str, ...] = ()
        largest = _largest(dataset, len(self.class_names))
        limits: list[tuple[int, int] | None] = [None] * len(self.class_names)
        if config.area_limits == "percentiles":
            areas = label_areas(dataset, labels, _training(self.split, dataset) or names, config.percentiles_of)
            limits = [limits_of(one) for one in areas]
            few = {name: len(one) for name, one in zip(self.class_names, areas, strict=True) if 0 < len(one) < FEW}
            if few:
                counts = ", ".join(f"{name} {count}" for name, count in few.items())
                self.notes = (
                    f"warning: -area_limits percentiles: too few {config.percentiles_of}s for them: {counts}",
                )
        self.grids = [
            make_grid(
                now,
                most,
                ends,
                search_areas=config.area_limits == "search",
                search_high=gate is None,  # a gate is there against false alarms already
            )
            for now, most, ends in zip(decision.per_class, largest, limits, strict=True)
        ]
        self.gate = gate
        # A class that is off leaves its pixels to another one of softmax: then the masks of all depend on what passes, and
        # they are counted behind the gate in use, which stays.
        self.gate_is_fixed = self.gate is not None and self.gate.classes is not None and self.task == "multiclass"
        self._names: list[str] = []
        self._tables: list[list[ImageTable]] = []
        self._labels: dict[str, np.ndarray] = {}
        # Of a system the members know how images look, and their files stay as they are.
        self._looks = Looks(weights) if isinstance(weights, WeightsFile) else None

    def count(self, result: Inspected, truth: np.ndarray, ignored: np.ndarray | None = None) -> list[ImageTable]:
        """Count an image, in any thread; ``truth`` is (C, H, W) bool, ``ignored`` (H, W) bool or none."""
        assert result.logits is not None, "a gate is open while it is calibrated"
        if self.gate is not None:
            assert result.labels is not None
            self._labels[result.name] = result.labels
        if self._looks is not None:
            self._looks.see(result)
        logits = self._behind(result).numpy() if self.gate_is_fixed else result.logits
        return count_image(logits, truth, self.task, self.grids, ignored)

    def behind_the_gate(self, result: Inspected) -> Inspected:
        """Return an image as the gate in use would leave it, which is open while it is calibrated."""
        if self.gate is None:
            return result
        labels = result.labels
        assert labels is not None
        passes, logits = self._passes(result), self._behind(result)
        decision = self.chosen.decision
        decision = decision.with_min_areas(self.gate.areas(decision.min_areas, labels))
        # Of a gate that is not fixed, the masks of classes that pass are those that the pipeline decided.
        masks = decision.decide(logits[None], self.task) if self.gate_is_fixed else torch.from_numpy(result.masks)[None]
        masks = decision.filter_defects(masks & torch.from_numpy(passes)[:, None, None], logits[None], self.task)
        if self.gate.image is not None and self.gate.classes is not None and labels[0] < self.gate.image:
            labels = np.concatenate([labels[:1], np.zeros_like(labels[1:])])  # nobody would be asked about its classes
        return dataclasses.replace(
            result,
            masks=masks[0].numpy(),
            labels=labels,
            min_areas=decision.min_areas,
            _logits=logits if passes.any() else None,
        )

    def _passes(self, result: Inspected) -> np.ndarray:
        """Return which classes of an image pass the gate in use: (C,) bool."""
        assert self.gate is not None
        assert result.labels is not None
        return self.gate.passes(result.labels[None], len(self.class_names))[0]

    def _behind(self, result: Inspected) -> torch.Tensor:
        """Return the logits of an image behind the gate in use: (K, H, W)."""
        return switch_off_classes(torch.as_tensor(result.logits), self._passes(result), self.task)

    def collect(self, name: str, tables: list[ImageTable]) -> None:
        """Take what ``count`` made of an image."""
        self._names.append(name)
        self._tables.append(tables)

    def finish(self, folder: Path, out: Path) -> tuple[Calibration, Path | None]:
        """Choose the settings; write the curves and, where there is one, the new weights file.

        Args:
            folder: where the curves go, and the weights file until ``commit``.
            out: folder of the results, which a new weights file goes to when the old one is a published one.

        Returns:
            What was chosen, and the new weights file; None when nothing was better than what it has, or what was chosen
            finds nothing and ``-force`` was not given. What flags set was the start of the search, so that it is written
            where nothing is better.
        """
        result = solve(
            self.class_names,
            join(self._tables),
            self.grids,
            np.array([self.group_of[name] for name in self._names]),
            folds=self.config.folds,
            seed=self.config.seed,
            target=self.config.false_alarms,
            gated=self._gated(),
            guard_areas=self.config.guard_areas,
        )
        write_curves(folder / "calibration.csv", result)
        everyone = (self.chosen, *self.new_weights.alike)
        new = result.changed or any(one.weights.decision != self.chosen.decision for one in everyone)
        new = new or (self.config.appearance and self._appearance() is not None)
        new = new and (self.config.force or not result.finds_nothing)
        return dataclasses.replace(result, notes=self.notes), self._prepare(result, folder, out) if new else None

    def commit(self) -> None:
        """Bring the new weights file to its place, if there is one; the old one makes room."""
        self.new_weights.commit()

    def _gated(self) -> Gated | None:
        """Put together what the gate saw, if there is one."""
        if self.gate is None:
            return None
        return Gated(
            np.stack([self._labels[name] for name in self._names]),
            GateLayout(self.gate.image is not None, self.gate.classes is not None),
            GateSetting(self.chosen.label_thresholds, self.gate.c if self.gate.mode == "soft" else 1.0),
            self.gate.mode == "soft",
            self.chosen.label_names,
            self.gate_is_fixed,
        )

    def _prepare(self, result: Calibration, folder: Path, out: Path) -> Path:
        """Write the new settings into ``folder``, and return where ``commit`` brings them.

        That is beside the old file, or ``out`` when it is a published one.
        """
        return self.new_weights.prepare(lambda weights: self._with_settings(weights, result), folder, out)

    def _with_settings(self, weights: WeightsFile | SystemFile, result: Calibration) -> WeightsFile | SystemFile:
        """Return weights with the new settings, and what these were chosen on."""
        facts = {key: value for key, value in result.to_dict().items() if key not in ("curves", "classes")}
        data = {"dataset": self.config.dir.resolve().name, "split": self.config.split}
        in_use = decision_in_use(weights.decision, weights.label_thresholds)
        new = dataclasses.replace(
            weights,
            decision=result.decision,
            metrics={**with_new_thresholds(weights.metrics, in_use), "calibration": {**data, **facts}},
        )
        if isinstance(new, WeightsFile):
            new.appearance = self._appearance() or new.appearance
        if isinstance(new, SystemFile) and result.gate is not None:
            assert isinstance(weights, SystemFile)
            new.gate = weights.gate.changed(*vars(result.gate[2]).values())
        return new

    def _appearance(self) -> Appearance | None:
        """Return how the images look that were counted; None of a system, or where they are too few."""
        return None if self._looks is None else self._looks.appearance()


def write_curves(path: Path, result: Calibration) -> None:
    """Write a row for every point at which the best recall under a rate of false alarms rises."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = TableWriter(file)
        writer.writerow(["class", "false_alarms_per_1000", "recall"])
        for name, (alarms, recall) in result.curves.items():
            writer.writerows((name, f"{a:.4f}", f"{r:.6f}") for a, r in zip(alarms, recall, strict=True))


def label_areas(
    dataset: Dataset, labels: GroundTruth, names: Sequence[str], of: Literal["defect", "image"] = "defect"
) -> list[np.ndarray]:
    """Measure the labels of some images; those that cannot be read are left out.

    Args:
        dataset: the images.
        labels: their labels.
        names: of the images.
        of: what has an area: a connected defect, or a class in an image.

    Returns:
        Of each class the areas in pixels.
    """
    areas: list[list[np.ndarray]] = [[] for _ in labels.spec.scored_names]
    for name in names:
        if not dataset.annotations.classes(name):
            continue
        try:
            masks = labels.masks(name, *read_size(dataset.path(name)))
        except ImageError:
            continue
        for mask, found in zip(masks, areas, strict=True):
            if of == "image" and mask.any():
                found.append(np.array([np.count_nonzero(mask)]))
            elif mask.any():
                stats = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)[2]
                found.append(stats[1:, cv2.CC_STAT_AREA])
    return [np.concatenate(found) if found else np.zeros(0, np.int64) for found in areas]


def _largest(dataset: Dataset, classes: int) -> list[int]:
    """Return for each class the most labelled pixels of an image, from the codes alone."""
    rows = dataset.annotations.rows
    pixels = np.array([rle.parse(code)[:, 1].sum() for code in rows["rle"]], dtype=np.int64)
    if classes < dataset.annotations.num_classes:  # all classes are one
        per_image = rows.assign(pixels=pixels).groupby("image")["pixels"].sum()
        return [int(per_image.max()) if len(per_image) else 1] * classes
    ids = rows["class_id"].to_numpy()
    return [int(pixels[ids == k].max(initial=1)) for k in range(1, classes + 1)]


def _training(split: Path, dataset: Dataset) -> list[str]:
    """Name the images here that the network was trained on, as far as a split beside the weights file says."""
    if not split.is_file():
        return []
    frame = read_split(split)
    return sorted(set(frame.loc[frame["side"] == "train", "image"]) & set(dataset.images))
