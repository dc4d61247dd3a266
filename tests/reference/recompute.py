"""Every number of a metrics.json computed again, from train.csv and submission.csv, with numpy and nothing of the project.

    python tests/reference/recompute.py DATA EVALUATION

DATA is the dataset folder (train.csv and the images, of which only the size is read), EVALUATION the folder that Evaluate.py
wrote. Probabilities are not in submission.csv: what is made of them (areas under curves, soft Dice) is computed from the
columns score, soft_tp and soft_predicted of scores.csv. Plain loops, one image after the other: slow, and easy to check.
"""

import csv
import json
import math
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

# What metrics.json says besides: names, settings and times.
SETTINGS = {
    "weights", "sha8", "architecture", "encoder", "task", "input_size", "thresholds", "high_thresholds", "min_areas",
    "max_areas", "dataset", "split", "network", "skipped", "seconds", "images_per_second", "versions", "calibration", "calibrated_weights",
    "tta", "tile", "system", "bit_depth", "copies_of_training_images",
}  # fmt: skip


def image_size(path: Path) -> tuple[int, int]:
    """Read height and width from the header of a PNG, JPEG or BMP file."""
    data = path.read_bytes()
    if data[:4] == b"\x89PNG":
        width, height = struct.unpack(">II", data[16:24])
        return height, width
    if data[:2] == b"BM":
        width, height = struct.unpack("<ii", data[18:26])
        return abs(height), width
    assert data[:2] == b"\xff\xd8", f"{path}: neither PNG, JPEG nor BMP"
    place = 2
    while True:
        marker, length = data[place + 1], struct.unpack(">H", data[place + 2 : place + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return struct.unpack(">HH", data[place + 5 : place + 9])
        place += 2 + length


def read_codes(path: Path) -> dict[tuple[str, int], str]:
    """Read a table of run-length codes in either layout: (image, class id) -> code, empty ones left out."""
    codes = {}
    with open(path, encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            if "ImageId_ClassId" in row:
                image, _, class_id = row["ImageId_ClassId"].rpartition("_")
            else:
                image, class_id = row["ImageId"], row["ClassId"]
            if row["EncodedPixels"]:
                codes[image, int(class_id)] = row["EncodedPixels"]
    return codes


def read_images(path: Path) -> list[str]:
    """List the images of a submission, sorted."""
    with open(path, encoding="utf-8", newline="") as file:
        return sorted({row["ImageId_ClassId"].rpartition("_")[0] for row in csv.DictReader(file)})


def decode(code: str, height: int, width: int) -> np.ndarray:
    """Draw a run-length code: 1-based, down the columns first."""
    flat = np.zeros(height * width, bool)
    numbers = [int(number) for number in code.split()]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        flat[start - 1 : start - 1 + length] = True
    return flat.reshape(width, height).T


def components(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """List the connected areas (8 neighbours) as lists of pixels, by flooding."""
    left = set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True))
    areas = []
    while left:
        stack = [left.pop()]
        area = []
        while stack:
            row, column = stack.pop()
            area.append((row, column))
            for neighbour in ((row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
                if neighbour in left:
                    left.remove(neighbour)
                    stack.append(neighbour)
        areas.append(area)
    return areas


def mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def ratio(over: float, under: float) -> float | None:
    return over / under if under else None


class Pair:
    """One image and class."""

    def __init__(self, truth: np.ndarray, found: np.ndarray) -> None:
        self.tp = int((truth & found).sum())
        self.fp, self.fn = int(found.sum()) - self.tp, int(truth.sum()) - self.tp
        self.labelled, self.predicted = bool(truth.any()), bool(found.any())
        wrong = self.fp + self.fn
        self.dice = 2 * self.tp / (2 * self.tp + wrong) if self.tp + wrong else 1.0
        self.iou = self.tp / (self.tp + wrong) if self.tp + wrong else 1.0
        self.smooth = (2 * self.tp + 1) / (2 * self.tp + wrong + 1)
        self.soft = math.nan


def score(pairs: list[Pair]) -> dict[str, Any]:
    """Score some pairs; the IoU of the whole set is that of one class."""
    tp, fp, fn = (sum(getattr(pair, name) for pair in pairs) for name in ("tp", "fp", "fn"))
    known = [pair for pair in pairs if pair.labelled]
    return {
        "pairs": len(pairs),
        "with_defect": len(known),
        "mean_dice": mean([pair.dice for pair in pairs]),
        "empty_baseline": 1 - len(known) / len(pairs),
        "defect_dice": mean([pair.dice for pair in known]),
        "iou": ratio(tp, tp + fp + fn) if known else None,
        "image_iou": mean([pair.iou for pair in pairs]),
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
    }


def intervals(table: list[list[Pair]], names: list[str], told: dict[str, Any]) -> dict[str, Any]:
    """Draw the images again; ``table`` has a row an image, in order of their names, and a column a class."""
    rng = np.random.default_rng(told["seed"])
    tail = (1 - told["level"]) / 2
    found: dict[str, dict[str, list]] = {
        kind: {name: [] for name in (*names, "together")} for kind in ("mean", "defect")
    }
    dice = np.array([[pair.dice for pair in row] for row in table])
    known = np.array([[pair.labelled for pair in row] for row in table])
    for _ in range(told["resamples"]):
        rows = rng.integers(0, len(table), len(table))
        for columns, name in [*(([k], name) for k, name in enumerate(names)), ([*range(len(names))], "together")]:
            some, there = dice[rows][:, columns], known[rows][:, columns]
            found["mean"][name].append(some.mean())
            if there.any():
                found["defect"][name].append(some[there].mean())
    ends = {
        kind: {name: [float(np.quantile(v, tail)), float(np.quantile(v, 1 - tail))] if v else None for name, v in of.items()}
        for kind, of in found.items()
    }  # fmt: skip
    return {**told, "mean_dice": ends["mean"], "defect_dice": ends["defect"]}


def f1_row(tp: int, fp: int, fn: int) -> dict[str, float]:
    """Precision, recall and F1, 0 where there is nothing to divide by."""
    return {
        "precision": tp / (tp + fp) if tp + fp else 0.0,
        "recall": tp / (tp + fn) if tp + fn else 0.0,
        "f1-score": 2 * tp / (2 * tp + fp + fn) if 2 * tp + fp + fn else 0.0,
        "support": tp + fn,
    }


def area_under_roc(positive: list[float], negative: list[float]) -> float | None:
    """Probability that a positive scores more than a negative one, ties counting half (Mann and Whitney)."""
    if not positive or not negative:
        return None
    wins = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    return wins / len(positive) / len(negative)


def average_precision(positive: list[float], negative: list[float]) -> float | None:
    """Sum of precision times step of recall, thresholds going down."""
    if not positive or not negative:
        return None
    total = before = 0.0
    for threshold in sorted({*positive, *negative}, reverse=True):
        tp, fp = (sum(value >= threshold for value in part) for part in (positive, negative))
        total += (tp / len(positive) - before) * tp / (tp + fp)
        before = tp / len(positive)
    return total


def image_level(
    truth: list[list[bool]], said: list[list[bool]], scores: list[list[float]], classes: range
) -> dict[str, Any]:
    """Judge images as a whole; rows are images, columns classes."""
    labels = [*(f"hasDefect_{k}" for k in classes), "NoDefect"]
    truth, said = ([[*row, not any(row)] for row in part] for part in (truth, said))
    scores = [[*row, 1 - max(row)] for row in scores]
    rows, confusion, roc, average = {}, {}, {}, {}
    sums = np.zeros(3, int)
    for k, label in enumerate(labels):
        pairs = [(bool(t[k]), bool(s[k])) for t, s in zip(truth, said, strict=True)]
        tn, fp, fn, tp = (pairs.count(kind) for kind in ((False, False), (False, True), (True, False), (True, True)))
        confusion[label] = [[tn, fp], [fn, tp]]
        rows[label] = f1_row(tp, fp, fn)
        sums += tp, fp, fn
        positive = [s[k] for s, t in zip(scores, truth, strict=True) if t[k]]
        negative = [s[k] for s, t in zip(scores, truth, strict=True) if not t[k]]
        roc[label], average[label] = area_under_roc(positive, negative), average_precision(positive, negative)
    support = sum(rows[label]["support"] for label in labels)
    keys = ("precision", "recall", "f1-score")
    per_image = []
    for t, s in zip(truth, said, strict=True):
        both = [sum(a and b for a, b in zip(t, s, strict=True)), sum(b and not a for a, b in zip(t, s, strict=True))]
        per_image.append(f1_row(*both, sum(a and not b for a, b in zip(t, s, strict=True))))
    rows["micro avg"] = f1_row(*map(int, sums))
    rows["macro avg"] = {key: mean([rows[label][key] for label in labels]) for key in keys} | {"support": support}
    weighted = {key: sum(rows[label][key] * rows[label]["support"] for label in labels) / support for key in keys}
    rows["weighted avg"] = weighted | {"support": support}
    rows["samples avg"] = {key: mean([row[key] for row in per_image]) for key in keys} | {"support": support}
    numbers = [(sum(t[:-1]), sum(s[:-1])) for t, s in zip(truth, said, strict=True)]
    size = range(max(1, *(max(pair) for pair in numbers)) + 1)
    return {
        "report": rows,
        "confusion": confusion,
        "number_of_classes": [[numbers.count((t, s)) for s in size] for t in size],
        "roc_auc": roc,
        "average_precision": average,
    }


class ObjectTally:
    """Defects found and missed by class and size."""

    def __init__(self, classes: int, areas: list[int], share: float) -> None:
        self.areas, self.share, self.classes = areas, share, classes
        kinds = ("labelled", "found", "partly", "missed", "predicted", "false")
        self.sizes = [{kind: [0] * len(areas) for kind in kinds} for _ in range(classes)]
        self.clean = self.alarmed = 0
        self.alarmed_images, self.false_on_clean = [0] * classes, [0] * classes

    def add(self, truth: np.ndarray, found: np.ndarray) -> None:
        """Count the defects of an image; both (C, H, W) bool."""
        clean = not truth.any()
        self.clean += clean
        self.alarmed += bool(clean and found.any())
        for k in range(self.classes):
            for area in components(truth[k]):
                covered = sum(bool(found[k][pixel]) for pixel in area)
                state = "found" if covered >= self.share * len(area) else "partly" if covered else "missed"
                self._count(k, len(area), "labelled", state)
            predicted = components(found[k])
            for area in predicted:
                touches = any(truth[k][pixel] for pixel in area)
                self._count(k, len(area), "predicted", *([] if touches else ["false"]))
            if clean:
                self.alarmed_images[k] += bool(predicted)
                self.false_on_clean[k] += len(predicted)

    def _count(self, k: int, area: int, *kinds: str) -> None:
        size = max(n for n, low in enumerate(self.areas) if area >= low)
        for kind in kinds:
            self.sizes[k][kind][size] += 1

    def per_thousand(self, number: int) -> float | None:
        return ratio(1000 * number, self.clean)

    def to_dict(self, names: list[str]) -> dict[str, Any]:
        classes = {
            name: {
                **self.sizes[k],
                "alarmed_images": self.alarmed_images[k],
                "false_on_clean_images": self.false_on_clean[k],
                "alarmed_per_1000_clean": self.per_thousand(self.alarmed_images[k]),
            }
            for k, name in enumerate(names)
        }
        return {
            "found_from_share": self.share,
            "areas_from_px": self.areas,
            "classes": classes,
            "clean_images": self.clean,
            "alarmed_images": self.alarmed,
            "false_on_clean_images": sum(self.false_on_clean),
            "alarmed_per_1000_clean": self.per_thousand(self.alarmed),
            "false_per_1000_clean": self.per_thousand(sum(self.false_on_clean)),
        }


def smooth_dice(table: list[list[Pair]], names: list[str]) -> dict[str, Any]:
    """Average the three kinds of Dice, over all pairs and over those with a defect."""
    rows: dict[str, Any] = {"smooth_px": 1.0}
    for k, name in enumerate([*names, "together"]):
        columns = range(len(names)) if k == len(names) else [k]
        pairs = [row[column] for row in table for column in columns]
        rows[name] = {}
        for kind, key in (("exact", "dice"), ("smooth", "smooth"), ("soft", "soft")):
            rows[name][kind] = mean([getattr(pair, key) for pair in pairs])
            rows[name][f"defect_{kind}"] = mean([getattr(pair, key) for pair in pairs if pair.labelled])
    return rows


def recompute(data: Path, evaluation: Path) -> dict[str, Any]:
    """Compute every number again.

    Args:
        data: dataset folder.
        evaluation: what Evaluate.py wrote about it. Of its metrics.json only settings are used: names of the classes,
            seed and number of resamples, and the limits of the size classes.
    """
    told = json.loads((evaluation / "metrics.json").read_text("utf-8"))
    names, binary = list(told["classes"]), told["task"] == "binary"
    labels, found = read_codes(data / "train.csv"), read_codes(evaluation / "submission.csv")
    with open(evaluation / "scores.csv", encoding="utf-8", newline="") as file:
        probabilities = {(row["image"], int(row["class_id"])): row for row in csv.DictReader(file)}
    first = min(class_id for _, class_id in probabilities)  # of a network for one class, that class's number
    classes = range(first, first + len(names))
    rules = told["object_level"]
    tally = ObjectTally(len(names), rules["areas_from_px"], rules["found_from_share"])
    table, scores = [], []
    for image in read_images(evaluation / "submission.csv"):
        size = image_size(data / "train_images" / image)
        predicted = np.stack([decode(found.get((image, k), ""), *size) for k in classes])
        if binary:
            truth = np.zeros((1, *size), bool)
            for (labelled, _), code in labels.items():
                if labelled == image:
                    truth[0] |= decode(code, *size)
        else:
            truth = np.stack([decode(labels.get((image, k), ""), *size) for k in classes])
        tally.add(truth, predicted)
        table.append([Pair(t, p) for t, p in zip(truth, predicted, strict=True)])
        rows = [probabilities[image, k] for k in classes]
        scores.append([float(row["score"]) for row in rows])
        for pair, row in zip(table[-1], rows, strict=True):
            inside, everywhere = float(row["soft_tp"]), float(row["soft_predicted"])
            pair.soft = (2 * inside + 1) / (everywhere + pair.tp + pair.fn + 1)
    per_class = {name: score([row[k] for row in table]) for k, name in enumerate(names)}
    together = score([pair for row in table for pair in row])
    together["iou"] = mean([row["iou"] for row in per_class.values() if row["iou"] is not None])
    truth_there, said_there = (
        [[getattr(pair, key) for pair in row] for row in table] for key in ("labelled", "predicted")
    )
    return {
        "images": len(table),
        **together,
        "classes": per_class,
        "interval": told["interval"] and intervals(table, names, told["interval"]),
        "image_level": image_level(truth_there, said_there, scores, classes),
        "object_level": tally.to_dict(names),
        "smooth_dice": smooth_dice(table, names),
    }


def differences(told: Any, computed: Any, place: str = "") -> list[str]:
    """List where two trees of numbers differ by more than 1e-9 (of the number, when that is larger than 1)."""
    if isinstance(computed, dict):
        if not isinstance(told, dict) or set(told) != set(computed):
            return [f"{place}: {told} against {computed}"]
        return [line for key in computed for line in differences(told[key], computed[key], f"{place}/{key}")]
    if isinstance(computed, list):
        if not isinstance(told, list) or len(told) != len(computed):
            return [f"{place}: {told} against {computed}"]
        pairs = enumerate(zip(told, computed, strict=True))
        return [line for k, (a, b) in pairs for line in differences(a, b, f"{place}/{k}")]
    if told is None or computed is None:
        return [] if told is computed else [f"{place}: {told} against {computed}"]
    return [] if abs(told - computed) <= 1e-9 * max(1.0, abs(computed)) else [f"{place}: {told!r} against {computed!r}"]


def numbers(tree: Any) -> int:
    """Count the numbers of a tree."""
    if isinstance(tree, dict | list):
        return sum(map(numbers, tree.values() if isinstance(tree, dict) else tree))
    return 1


def main(data: Path, evaluation: Path) -> int:
    told = json.loads((evaluation / "metrics.json").read_text("utf-8"))
    computed = recompute(data, evaluation)
    told = {key: value for key, value in told.items() if key not in SETTINGS}
    wrong = differences(told, computed)
    print("\n".join([*wrong, f"{numbers(computed)} numbers computed again, {len(wrong)} differ"]))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
