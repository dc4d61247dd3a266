"""The pictures of an image of a visit: whole, in tiles, small, with its defects, its masks, its probabilities."""

from typing import Any

import numpy as np

from utils.decision.probabilities import pixel_probability
from utils.desk import downloads, pictures
from utils.desk.desk import Desk, NotHere
from utils.desk.looking import Looking
from utils.desk.visits import Visit
from utils.errors import InputError
from utils.inference.inspected import Inspected, Refused
from utils.inspection.upload import Upload


class Viewing:
    """Makes pictures."""

    def __init__(self, desk: Desk, looking: Looking) -> None:
        self.desk, self.looking = desk, looking

    def pixels(self, visit: Visit, row: dict[str, Any]) -> np.ndarray:
        """Return an image as the networks see it, ``(H, W, channels)`` uint8.

        Raises:
            NotHere: it cannot be decoded.
        """

        def decode() -> np.ndarray:
            inspector = self.desk.work.inspector(visit) or self.desk.inspectors.served
            image = inspector.decode(Upload(row["name"], self.desk.files.read(row["sha256"])))
            if isinstance(image, Refused):
                raise NotHere(image.reason)
            return image

        return self.desk.decoded.get(f"{row['sha256']} {visit.about.file}", decode)

    def thumb(self, identity: str, key: int) -> bytes:
        """Return a small JPEG of an image with the outlines of its defects, as a review left them."""
        visit, row = self.desk.visit(identity), self.desk.row(identity, key)
        image = self.pixels(visit, row)
        finding, _ = self.desk.images.finding(identity, key)
        review = self.desk.reviews.find(row["sha256"]) if row["review"] else None
        if review is not None:
            masks = self.desk.naming(visit).masks(review)
        else:
            masks = finding.masks() if finding else np.zeros((0, *image.shape[:2]), np.bool_)
        return pictures.thumbnail(image, masks)

    def picture(self, identity: str, key: int) -> bytes:
        """Return the whole image as a JPEG."""
        return pictures.picture(self.pixels(self.desk.visit(identity), self.desk.row(identity, key)))

    def deep_zoom(self, identity: str, key: int) -> str:
        """Return the description of an image's tiles."""
        height, width = self.pixels(self.desk.visit(identity), self.desk.row(identity, key)).shape[:2]
        return pictures.deep_zoom(height, width)

    def tile(self, identity: str, key: int, level: int, column: int, row: int) -> bytes:
        """Return a tile of an image."""
        made = pictures.tile(self.pixels(self.desk.visit(identity), self.desk.row(identity, key)), level, column, row)
        if made is None:
            raise NotHere("There is no such tile.")
        return made

    def whole(self, visit: Visit, row: dict[str, Any]) -> Inspected | None:
        """Return an image as the pipeline gave it, decided by the settings of now; None where nothing is known."""
        finding = self.looking.current(visit, row)
        if finding is None:
            return None
        logits = None
        if sum(bool(code) for code in finding.codes) > 1:
            logits = self.looking.logits(visit, row)
        return finding.inspected(row["name"], self.pixels(visit, row), logits)

    def probability(self, identity: str, key: int, class_id: int, box: tuple[int, int, int, int]) -> bytes:
        """Return the probabilities of a class within a box (x, y, width, height) as a grey PNG; 255 is 1."""
        visit, row = self.desk.visit(identity), self.desk.row(identity, key)
        about = visit.about
        if class_id not in about.class_ids:
            raise InputError(f"class_id: expected one of {', '.join(map(str, about.class_ids))}")
        logits = self.looking.logits(visit, row)
        if logits is None:
            raise NotHere("The network has not looked at the pixels of this image, which its gate found clean.")
        x, y, width, height = box
        part = logits[:, y : y + height, x : x + width]
        if not part.size:
            raise InputError("The box lies outside of the image.")
        index = class_id - about.first_class
        channels = part if about.task == "multiclass" else part[index : index + 1]
        flat = pixel_probability(channels.reshape(len(channels), -1), about.task, index)
        return pictures.probability_map(flat.reshape(part.shape[1:]))

    def overlay(self, identity: str, key: int) -> bytes:
        """Return an image with its defects drawn, as ``Predict_masks.py`` does."""
        visit, row = self.desk.visit(identity), self.desk.row(identity, key)
        return self.overlay_of(visit, row)

    def mask(self, identity: str, key: int) -> bytes:
        """Return an image's index mask, as ``Predict_masks.py`` does."""
        visit, row = self.desk.visit(identity), self.desk.row(identity, key)
        return self.mask_of(visit, row)

    def overlay_of(self, visit: Visit, row: dict[str, Any]) -> bytes:
        inspected = self.whole(visit, row)
        if inspected is None:
            raise NotHere("This image has not been inspected.")
        truth = self.looking.truth(row, *inspected.image.shape[:2])
        labels = truth.of_network(visit.about.class_names, visit.about.task) if truth else None
        return downloads.overlay_png(inspected, visit.about, labels)

    def mask_of(self, visit: Visit, row: dict[str, Any]) -> bytes:
        inspected = self.whole(visit, row)
        if inspected is None:
            raise NotHere("This image has not been inspected.")
        return downloads.mask_png(inspected, visit.about)
