"""What a request to inspect asks for besides its images: context, other thresholds, other weights; all of it checked."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from utils.decision.decision import Decision
from utils.desk.visits import KNOWN_META, Meta, check_meta
from utils.errors import InputError
from utils.inspection.about import About
from utils.web.limits import Problem
from utils.web.reading import META

# Parameter -> what it is for; the description of the API tells the same.
DECIDING = {
    "threshold": "probability from which a pixel counts, 0..1; one value, or one for each class: 0.5,0.6",
    "high_threshold": "probability that a defect must reach somewhere, 0..1; likewise",
    "min_area": "smallest defect, pixels; likewise",
    "max_area": "largest defect, pixels; 0: no limit; likewise",
}
CONTEXT = {
    "coil_id": "of the strip in the images",
    "camera": "that took them",
    "side": "of the strip, as top or bottom",
    "position_m": "place along the strip, metres",
}
PICTURES = ("png", "heatmap")
OTHERS = {
    "overlay": "each image as a PNG in base64; png: with its defects drawn, heatmap: how sure the network is at each pixel",
    "weights": "name of other weights, one of GET /api/v1/weights",
    "name": "of the image, where the body is one",
}
NOTE = "Any field `meta.NAME` is context too: it comes back in the answer, in the record of -save and in tables."


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Attributes:
        overlay: the kind of pictures that are wanted; "": none.
        weights: name of the weights; "" those loaded at start.
        numbers: of ``DECIDING``, one or one for each class.
        meta: context of the images.
        name: of an image that is the body.
    """

    overlay: str = ""
    weights: str = ""
    numbers: dict[str, tuple[float, ...]] = field(default_factory=dict)
    meta: Meta = field(default_factory=dict)
    name: str = "image"

    def decision(self, about: About) -> Decision:
        """Return the decision of some weights with the numbers of the request.

        Raises:
            Problem: they do not fit the classes.
        """
        given: dict[str, Any] = {name: _one_or_all(numbers) for name, numbers in self.numbers.items()}
        try:
            decision = about.decision.overruled(
                given.get("threshold"),
                _whole(given.get("min_area")),
                _whole(given.get("max_area")),
                given.get("high_threshold"),
                about.class_names,
            )
            decision.check_areas(about.class_names)
        except (InputError, ValueError) as error:
            raise Problem(422, "wrong_value", f"{str(error).replace('-', '', 1)}.") from None
        return decision


def read_asked(request: Request) -> Asked:
    """Read the query of a request.

    Raises:
        Problem: a parameter that is not known, is there twice, or has a wrong value.
    """
    known = (*OTHERS, *DECIDING, *CONTEXT)
    found = read_query(request, known, also_meta=True)
    overlay = found.get("overlay", "")
    if overlay not in ("", *PICTURES):
        raise Problem(422, "wrong_value", f"overlay: expected {' or '.join(PICTURES)}.")
    numbers = {name: _numbers(name, found[name]) for name in DECIDING if name in found}
    name = re.split(r"[/\\]", found.get("name", ""))[-1]
    shown = "".join(letter for letter in name if letter.isprintable()).strip()[:255]
    return Asked(overlay, found.get("weights", ""), numbers, meta_of(found), shown or "image")


def read_query(request: Request, known: Iterable[str] = (), also_meta: bool = False) -> dict[str, str]:
    """Return the query as names and values; raises ``Problem`` for a name that is not known or there twice, or empty."""
    names = tuple(known)
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in names and not (also_meta and name.startswith(META)):
            told = f"known are {', '.join(names)}{' and meta.NAME' if also_meta else ''}" if names else "there are none"
            raise Problem(422, "unknown_parameter", f"The parameter {name[:40]!r} is unknown; {told}.")
        if name in found:
            raise Problem(422, "wrong_value", f"The parameter {name[:40]!r} is there twice.")
        if not value:
            raise Problem(422, "wrong_value", f"The parameter {name[:40]!r} is empty; leave it out.")
        found[name] = value
    return found


def is_context(name: str) -> bool:
    """Check whether a field of a form is context."""
    return name in CONTEXT or name.startswith(META)


def meta_of(fields: dict[str, str]) -> Meta:
    """Return the context among fields, ``position_m`` as a number.

    Raises:
        Problem: a field that is none, or too long.
    """
    words: Meta = {
        name.removeprefix(META): value for name, value in fields.items() if name in KNOWN_META or name.startswith(META)
    }
    if "position_m" in words:
        try:
            words["position_m"] = float(words["position_m"])
        except ValueError:
            raise Problem(422, "wrong_value", "position_m: expected metres, a number.") from None
    try:
        return check_meta(words)
    except InputError as error:
        raise Problem(422, "wrong_value", f"{error}.") from None


def parameters() -> list[dict[str, Any]]:
    """Describe the parameters of a request to inspect, for the description of the API."""
    described = []
    for name, about in {**OTHERS, **DECIDING, **CONTEXT}.items():
        schema: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 200}
        if name == "overlay":
            schema = {"type": "string", "enum": list(PICTURES)}
        elif name == "position_m":
            schema = {"type": "number", "minimum": -1e9, "maximum": 1e9}
        elif name in DECIDING:
            schema = {"type": "string", "pattern": r"^[0-9.,]{1,200}$"}
        described.append({"name": name, "in": "query", "required": False, "description": about, "schema": schema})
    return described


def _numbers(name: str, word: str) -> tuple[float, ...]:
    parts = word.split(",")
    if len(parts) > 256 or not all(re.fullmatch(r"\d{1,9}(\.\d{0,12})?|\.\d{1,12}", part, re.ASCII) for part in parts):
        raise Problem(422, "wrong_value", f"{name}: expected a number, or one for each class with commas between.")
    numbers = tuple(map(float, parts))
    whole = name.endswith("area")
    if whole and not all(number.is_integer() for number in numbers):
        raise Problem(422, "wrong_value", f"{name}: expected whole pixels.")
    if not whole and max(numbers) > 1:
        raise Problem(422, "wrong_value", f"{name}: expected probabilities 0..1.")
    return numbers


def _one_or_all(numbers: tuple[float, ...]) -> float | tuple[float, ...]:
    return numbers[0] if len(numbers) == 1 else numbers


def _whole(value: Any) -> Any:
    if value is None:
        return None
    return tuple(map(int, value)) if isinstance(value, tuple) else int(value)
