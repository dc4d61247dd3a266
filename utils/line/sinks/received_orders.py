"""Orders that come over a network: read with care, counted, answered."""

import json
import logging
from collections import Counter
from typing import Any

from utils.line.orders import Order, OrderError
from utils.line.quiet import Quiet
from utils.line.sinks.sink import SinkOptions

MOST_BYTES = 1024  # of an order, which has some 60

log = logging.getLogger("steel.line")


class Orders:
    """Passes on what a receiver asks for, and counts it; may be called from threads of libraries."""

    def __init__(self, name: str, options: SinkOptions) -> None:
        self._name, self._options = name, options
        self._quiet = Quiet()
        self.counts: Counter[str] = Counter()

    def take(self, payload: bytes, retained: bool) -> dict[str, Any]:
        """Do what a message asks for; return the answer: ``ok``, ``error``, and the ``id`` of the message.

        A malformed one is counted as ``refused`` and does nothing else.
        """
        answer: dict[str, Any] = {"ok": True}
        try:
            # A retained order would be done again at every new connection.
            if retained:
                raise OrderError("an order is not to be a retained message")
            order, answer["id"] = read_order(payload)
            self.give(order)
        except OrderError as error:
            answer |= {"ok": False, "error": str(error)}
            self.refuse(str(error))
        return answer

    def give(self, order: Order) -> None:
        """Pass on an order."""
        self._options.order(order)
        self.counts["taken"] += 1

    def refuse(self, why: str) -> None:
        """Count what was no order; says so in one line now and then."""
        self.counts["refused"] += 1
        if self._quiet.over():
            log.warning("%s: refused an order, %d so far: %s", self._name, self.counts["refused"], why)


def read_order(payload: bytes) -> tuple[Order, str | None]:
    """Read ``{"order": "pause"}``, ``"resume"``, or ``{"order": "coil", "coil_id": "A4711"}``.

    Args:
        payload: JSON; ``id`` in it, of up to 64 characters, comes back in the answer.

    Returns:
        The order and the id; None: it has none.

    Raises:
        OrderError: it is something else.
    """
    if len(payload) > MOST_BYTES:
        raise OrderError(f"{len(payload)} bytes; an order has at most {MOST_BYTES}")
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        raise OrderError("this is no JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("order"), str):
        raise OrderError('expected {"order": "pause"}, {"order": "resume"} or {"order": "coil", "coil_id": "A4711"}')
    unknown = sorted(set(found) - {"order", "coil_id", "id"})
    name = found.get("id")
    if unknown:
        raise OrderError(f"no field {unknown[0][:40]!r} in an order")
    if name is not None and not (isinstance(name, str) and len(name) <= 64):
        raise OrderError("id: expected a text of at most 64 characters")
    if found["order"] != "coil" and "coil_id" in found:
        raise OrderError(f"coil_id goes with the order coil, not with {found['order'][:40]!r}")
    if found["order"] == "coil" and "coil_id" not in found:
        raise OrderError('coil_id is missing; {"order": "coil", "coil_id": null} says that it is unknown')
    return Order(found["order"], found.get("coil_id")), name
