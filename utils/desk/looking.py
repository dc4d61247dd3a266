"""What is known about an image of a visit, by the settings of now."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.data.rle import encode_part
from utils.desk import kept_logits, pictures
from utils.desk.desk import Desk, NotHere
from utils.desk.findings import Finding
from utils.desk.image_files import LOGITS
from utils.desk.image_table import FOLDER, Job
from utils.desk.sources import Truth
from utils.desk.visits import Visit
from utils.desk.work import logits_name
from utils.errors import InputError
from utils.inference.inspected import Refused
from utils.inspection.about import About
from utils.inspection.upload import Upload
from utils.reporting.overlays import class_label

MOST_ROWS = 500  # defects of an image that are listed; a network that sees noise finds thousands


class Looking:
    """Looks at single images."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def image(self, identity: str, key: int, compare: bool = False) -> dict[str, Any]:
        """Return everything about an image, decided by the settings of now.

        Args:
            identity: of the visit.
            key: of the image.
            compare: as the second weights see it.
        """
        visit, row = self.desk.visit(identity), self.desk.row(identity, key)
        finding = self.compared(visit, row) if compare else self.current(visit, row)
        about = self.desk.about(visit.compare) if compare and visit.compare else visit.about
        if finding is None:
            return {**row, "defects": [], "more": 0, "labels": None, "doubt": None, "truth": None, "review": None}
        # The decision may have been made anew just now.
        row = {**(row if compare else self.desk.row(identity, key))}
        labels = None
        if finding.labels is not None:
            labels = {name: round(float(p), 4) for name, p in zip(about.label_names, finding.labels, strict=True)}
        return {
            **row,
            "verdict": finding.verdict,
            "found": list(finding.found),
            "width": finding.width,
            "height": finding.height,
            "area": finding.area,
            "probability": finding.probability,
            "weights": about.name,
            **_defects(finding, about),
            "labels": labels,
            "doubt": about.doubt(finding.labels, finding.found),
            "truth": None if compare else self._truth(row, finding, about),
            "review": self.desk.reviews.describe(row["sha256"], self.desk.naming(visit)),
        }

    def current(self, visit: Visit, row: dict[str, Any]) -> Finding | None:
        """Return what was found in an image by the settings of now, or by the last ones where the network must run."""
        if row["status"] == "done" and row["settings"] != visit.settings:
            self.desk.work.decide_anew(visit, Job(visit.id, int(row["key"]), row["name"], row["sha256"], "done"))
        return self.desk.images.finding(visit.id, int(row["key"]))[0]

    def compared(self, visit: Visit, row: dict[str, Any]) -> Finding | None:
        """Return what the second weights find in an image, by their own thresholds."""
        if visit.compare is None:
            raise InputError("compare: no second weights are chosen")
        inspector = self.desk.inspectors.get(visit.compare)
        (answer,) = inspector.inspect([Upload(row["name"], self.desk.files.read(row["sha256"]))], keep_logits=True)
        if isinstance(answer, Refused):
            raise InputError(answer.reason)
        return Finding.of(inspector.about, answer, inspector.about.decision)

    def _truth(self, row: dict[str, Any], finding: Finding, about: About) -> dict[str, Any] | None:
        truth = self.truth(row, finding.height, finding.width)
        if truth is None:
            return None
        if truth.masks is None:
            return {"note": truth.note, "classes": [], "outlines": []}
        known = {name: index for index, name in enumerate(about.class_names)}
        classes = [
            {
                "name": class_label(name, index),
                "colour": pictures.css_colour(known.get(name, len(known) + index)),
                "id": about.first_class + known[name] if name in known else None,
            }
            for index, name in enumerate(truth.class_names)
        ]
        note = "" if truth.masks.any() else "ground truth: no defect"
        return {"note": note, "classes": classes, "outlines": [pictures.outline(mask, 0, 0) for mask in truth.masks]}

    def truth(self, row: dict[str, Any], height: int, width: int) -> Truth | None:
        """Return the labels of an image; None where there are none."""
        if row["sample"]:
            sample = next((one for one in self.desk.samples if one.name == row["name"]), None)
            return sample.truth(height, width) if sample else None
        for part in self.desk.parts:
            name = row["name"] if len(self.desk.parts) == 1 else row["name"].removeprefix(f"{part.title}/")
            if name in part and (len(self.desk.parts) == 1 or name != row["name"]) and self._is_of_folder(row):
                return part.truth(name, height, width)
        return None

    def _is_of_folder(self, row: dict[str, Any]) -> bool:
        found = self.desk.database.row(
            "SELECT 1 FROM images WHERE sha256 = ? AND name = ? AND source = ?", (row["sha256"], row["name"], FOLDER)
        )
        return found is not None

    def logits(self, visit: Visit, row: dict[str, Any], exact: bool = False) -> np.ndarray | None:
        """Return the logits of an image, ``(K, H, W)`` float32: kept ones, or by the network; None behind a gate.

        Args:
            visit: whose weights.
            row: of the image.
            exact: those of unlikely pixels, too.

        Raises:
            NotHere: the weights are not there any more, or the image cannot be inspected.
        """
        packed = None if exact else self.desk.files.kept(LOGITS, logits_name(row["sha256"], visit.about))
        if packed is not None:
            try:
                return kept_logits.unpack(packed, visit.about.task) if packed else None
            except ValueError:
                pass  # made again
        inspector = self.desk.work.inspector(visit)
        if inspector is None:
            raise NotHere("The weights of this visit are not there any more.")
        upload = Upload(row["name"], self.desk.files.read(row["sha256"]))
        (answer,) = inspector.inspect([upload], keep_logits=True)
        if isinstance(answer, Refused):
            raise NotHere(answer.reason)
        return answer.logits


def _defects(finding: Finding, about: About) -> dict[str, Any]:
    """Return the defects of an image as a browser gets them."""
    rows, shapes = finding.defects, finding.shapes() if len(finding.defects) else []
    numbers: Sequence[int] = range(len(rows))
    if len(rows) > MOST_ROWS:  # the largest, in the order of the table
        numbers = sorted(np.argsort(-rows["area_px"], kind="stable")[:MOST_ROWS].tolist())
    listed = []
    for number in numbers:
        mask, area, x, y, width, height, probability = rows[number].item()
        listed.append(
            {
                "number": number + 1,
                "class_id": about.first_class + mask - 1,
                "name": class_label(about.class_names[mask - 1], mask - 1),
                "area_px": area,
                "box": {"x": x, "y": y, "width": width, "height": height},
                "mean_probability": round(probability, 4),
                "rle": encode_part(shapes[number], x, y, finding.height),
                "outline": pictures.outline(shapes[number], x, y),
            }
        )
    return {"defects": listed, "more": len(rows) - len(listed)}
