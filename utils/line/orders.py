"""What the plant may ask of the service through a sink that listens: pause, resume, a new coil."""

import re
from dataclasses import dataclass
from typing import Literal

OrderKind = Literal["pause", "resume", "coil"]

# A coil's number goes into file names, topics and tables.
_COIL_ID = re.compile(r"[\w.:+ -]{1,64}")


class OrderError(ValueError):
    """An order that makes no sense; the message says why in one line. Whoever received it counts it and goes on."""


@dataclass(frozen=True)
class Order:
    """One order.

    Attributes:
        kind: pause: frames get NO_VERDICT until resume; coil: from now on frames belong to ``coil_id``.
        coil_id: of the new coil; None: it is unknown, the one before has ended.

    Raises:
        OrderError: a coil's number that could do harm, or an order that does not exist.
    """

    kind: OrderKind
    coil_id: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("pause", "resume", "coil"):
            raise OrderError(f"order {str(self.kind)[:40]!r}: expected pause, resume or coil")
        known = self.coil_id is None or (isinstance(self.coil_id, str) and _COIL_ID.fullmatch(self.coil_id))
        if not known:
            raise OrderError(
                f"coil_id {str(self.coil_id)[:40]!r}: letters, digits, spaces and . _ : + - only, at most 64"
            )
