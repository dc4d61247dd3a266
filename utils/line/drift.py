"""Whether the images are still like those that the network learnt from: a window over the last frames for each property.

An alarm is raised when the mean of a property over the window is farther from that of the training and validation images than
chance makes it, and ends when it is back within two thirds of that.
"""

from collections import deque
from collections.abc import Collection

import numpy as np

from config import WatchConfig
from utils.inference.inspected import Inspected
from utils.inference.looking import Looking
from utils.line.event import AlarmEvent, FrameEvent, event_id
from utils.weights.appearance import PROPERTIES, Appearance, entropy_of

WINDOW = 500  # frames
FEWEST = 100  # frames, before which nothing is said
MOST = 8.0  # standard deviations that one frame may count: a single odd one is no drift
SHOWN = 3  # frames that an alarm names
WORDS = {
    "brightness": ("brighter", "darker"),
    "contrast": ("of more contrast", "of less contrast"),
    "sharpness": ("sharper", "more blurred"),
    "features": ("less like", "more like"),
    "entropy": ("judged with less certainty", "judged with more certainty"),
    "defects": ("more often defective", "less often defective"),
}


class Drift:
    """Watches the frames in their order; only ``properties`` may be called from several threads.

    Args:
        appearance: of the images that the network learnt from.
        look: computes the features of an image, see ``utils.inference.looking``; None: they are not watched.
        multiclass: see ``entropy_of``.
        window: frames.
        limit: standard errors of the mean. By chance alone one window in 150,000 is farther off than 4.5, and 100,000 frames
            are 200 windows that share no frame.
        off: properties that are not watched.
    """

    def __init__(
        self,
        appearance: Appearance,
        look: Looking | None,
        multiclass: bool = False,
        window: int = WINDOW,
        limit: float = WatchConfig.drift_limit,
        off: Collection[str] = (),
    ) -> None:
        self._appearance, self._look = appearance, look
        self._multiclass, self._limit = multiclass, limit
        self._window = window
        self._rows: deque[tuple[np.ndarray, str]] = deque()
        self._sum = np.zeros(len(PROPERTIES))
        known = np.isfinite(appearance.mean) & np.isfinite(appearance.sd)
        known[3] &= look is not None
        # Of what is 0 or 1 there is no odd one.
        spread = np.where(np.arange(len(PROPERTIES)) == 5, np.inf, MOST * np.maximum(appearance.sd, 1e-3))
        self._least, self._most = appearance.mean - spread, appearance.mean + spread
        self._watched = known & np.array([name not in off for name in PROPERTIES])
        self._holding: dict[str, str] = {}
        self._added = 0

    @property
    def alarms(self) -> tuple[str, ...]:
        """The messages of the alarms that hold now."""
        return tuple(self._holding.values())

    @property
    def scores(self) -> dict[str, float]:
        """How far each watched property is off, in standard errors; {} before there are enough frames."""
        if len(self._rows) < min(FEWEST, self._window):
            return {}
        return {name: float(z) for name, z, on in zip(PROPERTIES, self._scores(), self._watched, strict=True) if on}

    def properties(self, seen: Inspected) -> np.ndarray:
        """Compute the properties of a frame."""
        entropy = entropy_of(seen.logits, seen.labels, self._multiclass) if self._watched[4] else np.nan
        features = self._look(seen.image) if self._look is not None and self._watched[3] else None
        return self._appearance.properties(seen.image, features, entropy, float(len(seen.defects) > 0))

    def add(self, row: np.ndarray, event: FrameEvent) -> AlarmEvent | None:
        """Take the properties of the next frame; return an alarm where one begins, the gravest of several."""
        row = np.where(np.isfinite(row), row, np.nan_to_num(self._appearance.mean))
        row = np.where(self._watched, np.clip(row, self._least, self._most), 0.0)
        self._rows.append((row, event.frame))
        self._sum += row
        self._added += 1
        if len(self._rows) > self._window:
            self._sum -= self._rows.popleft()[0]
        if self._added % 4096 == 0:  # sums of differences drift by themselves
            self._sum = np.sum([one for one, _ in self._rows], axis=0)
        if len(self._rows) < min(FEWEST, self._window):
            return None
        scores = np.where(self._watched, self._scores(), 0.0)
        begun: list[tuple[float, str]] = []
        for place, name in enumerate(PROPERTIES):
            score = abs(scores[place])
            if name == "features" and scores[place] < 0:  # nearer than they are to themselves is no fault
                score = 0.0
            if name in self._holding:
                if score < self._limit * 2 / 3:
                    del self._holding[name]
            elif score > self._limit:
                begun.append((score, name))
                self._holding[name] = self._message(name, scores[place])
        if not begun:
            return None
        name = max(begun)[1]
        return AlarmEvent(
            id=event_id(event.source, f"alarm/{name}/{event.id}"),
            time=event.time,
            source=event.source,
            name=name,
            message=self._holding[name],
            frames=self._examples(PROPERTIES.index(name), scores[PROPERTIES.index(name)]),
            coil_id=event.coil_id,
        )

    def _scores(self) -> np.ndarray:
        """Compute by how many standard errors the means are off: of the window and of the images learnt from."""
        count = len(self._rows)
        error = self._appearance.sd * np.sqrt(1 / count + 1 / self._appearance.count)
        # A property that never varied, as the rate of defects of clean images, has an error all the same.
        floor = np.where(np.arange(len(PROPERTIES)) == 5, 1 / count, 1e-3)
        return (self._sum / count - self._appearance.mean) / np.maximum(error, floor)

    def _message(self, name: str, score: float) -> str:
        mean = self._sum[PROPERTIES.index(name)] / len(self._rows)
        learnt = self._appearance.mean[PROPERTIES.index(name)]
        how = WORDS[name][0 if score > 0 else 1]
        more = (
            " those that the network learnt from" if name == "features" else " than those that the network learnt from"
        )
        return (
            f"{name}: the last {len(self._rows)} images are {how}{more} ({mean:.3g}, learnt {learnt:.3g});"
            " look at camera, lens and light"
        )

    def _examples(self, place: int, score: float) -> tuple[str, ...]:
        """Name the frames of the window that show it most."""
        sign = 1 if score > 0 else -1
        ordered = sorted(self._rows, key=lambda row: -sign * row[0][place])
        return tuple(name for _, name in ordered[:SHOWN])
