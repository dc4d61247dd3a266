"""The classes that people may give to a defect: those of a visit's weights, and further ones that the server was given.

A review keeps the numbers that it began with. A visit of other weights sees and says them by its own numbers; names that
it does not know get numbers beyond.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.desk.pictures import css_colour
from utils.desk.review import Base, Review
from utils.errors import InputError
from utils.inspection.about import About
from utils.reporting.overlays import class_label

MOST_NAMES, LONGEST_NAME = 100, 60


@dataclass(frozen=True)
class Naming:
    """Names of classes and their numbers in a visit.

    Attributes:
        names: of the weights' classes, then the further ones; () where the weights have no masks.
        first_class: number of the first.
        own: how many are the weights'.
        further_first: whether people are offered the further ones first.
    """

    names: tuple[str, ...]
    first_class: int
    own: int
    further_first: bool = False

    @classmethod
    def of(cls, about: About, further: Sequence[str] = ()) -> "Naming":
        """Name the classes of weights and the further ones that these lack."""
        own = about.class_names
        more = tuple(name for name in further if name not in own) if own else ()
        return cls((*own, *more), about.first_class, len(own), about.task == "anomaly")

    def shown(self) -> list[dict[str, Any]]:
        """Return id, name and colour of each class in the order in which people are offered them."""
        rows = [
            {"id": self.first_class + index, "name": class_label(name, index), "colour": css_colour(index)}
            for index, name in enumerate(self.names)
        ]
        return [*rows[self.own :], *rows[: self.own]] if self.further_first else rows

    def widened(self, base: Base) -> Base:
        """Return a base that has all of these classes, too; those that it had keep their numbers."""
        more = [name for name in self.names if name not in base.class_names] if base.class_names else []
        return dataclasses.replace(base, class_names=(*base.class_names, *more)) if more else base

    def told(self, base: Base, review: dict[str, Any]) -> dict[str, Any]:
        """Return a review as this visit numbers its classes.

        Args:
            base: of the review.
            review: what ``Review.to_dict`` gave.
        """
        if self._same(base):
            return review
        defects = [
            {**one, "class_id": self._number(base.class_names[one["class_id"] - base.first_class], base)}
            for one in review["defects"]
        ]
        return {**review, "defects": defects}

    def meant(self, base: Base, sent: Any) -> Any:
        """Return actions that a browser sent with the numbers that a base has for their classes.

        Raises:
            InputError: a number that this visit does not have.
        """
        if self._same(base) or not isinstance(sent, list):
            return sent
        return [self._meant(base, one) if isinstance(one, dict) and "class_id" in one else one for one in sent]

    def masks(self, review: Review) -> np.ndarray:
        """Draw what a review left: ``(C, H, W)`` bool, a mask for each of these classes."""
        drawn, known = review.masks(), review.base.class_names
        empty = np.zeros(drawn.shape[1:], np.bool_)
        return np.stack([drawn[known.index(name)] if name in known else empty for name in self.names] or [empty])

    def _same(self, base: Base) -> bool:
        return base.first_class == self.first_class and base.class_names == self.names

    def _number(self, name: str, base: Base) -> int:
        place = self.names.index(name) if name in self.names else len(self.names) + base.class_names.index(name)
        return self.first_class + place

    def _meant(self, base: Base, action: dict[str, Any]) -> dict[str, Any]:
        number = action["class_id"]
        known = range(self.first_class, self.first_class + len(self.names))
        if number is None:
            return action
        if type(number) is not int or number not in known:
            raise InputError(f"class_id: expected one of {', '.join(map(str, known))}")
        name = self.names[number - self.first_class]
        return {**action, "class_id": base.first_class + base.class_names.index(name)}


def check_names(names: Sequence[str], flag: str) -> tuple[str, ...]:
    """Check the names of further classes.

    Raises:
        InputError: one is empty, too long, there twice, or no line of text.
    """
    found = tuple(name.strip() for name in names)
    for name in found:
        if not 0 < len(name) <= LONGEST_NAME or not all(letter.isprintable() for letter in name):
            raise InputError(
                f"{flag} {name[:LONGEST_NAME]!r}: expected names of 1 to {LONGEST_NAME} letters, as in pit,crack"
            )
        if found.count(name) > 1:
            raise InputError(f"{flag}: {name} is there twice")
    if len(found) > MOST_NAMES:
        raise InputError(f"{flag}: expected {MOST_NAMES} names or fewer")
    return found
