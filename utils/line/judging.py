"""From a frame and what the network says of it to its event: OK, NG, or NO_VERDICT with what went wrong."""

import logging
import time
from dataclasses import dataclass

from utils.inference.inspected import Inspected, Refused
from utils.inspection.about import About
from utils.inspection.failures import one_line
from utils.line.coil import Coils
from utils.line.drift import Drift
from utils.line.event import AlarmEvent, FrameEvent, Verdict, event_id, utc
from utils.line.frame import Frame
from utils.line.intake import ERROR, Slot
from utils.line.looking import Look, defects_of, encoded, small_picture
from utils.line.meter import Meter
from utils.line.pictures import Waiting
from utils.line.quiet import Quiet
from utils.line.rules import Rules

log = logging.getLogger("steel.line")


@dataclass(frozen=True)
class Judged:
    """A frame with its event.

    Attributes:
        slot: its place in the order.
        event: without its place in the spool.
        small: JPEG for the page; empty: nothing was decoded.
        alarm: of drift, that begins with it.
    """

    slot: Slot
    event: FrameEvent
    small: bytes = b""
    alarm: AlarmEvent | None = None


class Judge:
    """Judges frames in their order; only ``look`` may be called from several threads.

    Args:
        about: the network.
        rules: what is NG.
        coils: which coil is on the line.
        meter: to count with.
        drift: what watches how the images look; None: the weights do not know.
        pictures: keeps pictures of NG frames; None: no sink wants any.
        model: sha256 of the weights.
        thresholds: sha256 of thresholds and areas.
    """

    def __init__(
        self,
        about: About,
        rules: Rules,
        coils: Coils,
        meter: Meter,
        drift: Drift | None,
        pictures: Waiting | None,
        model: str,
        thresholds: str,
    ) -> None:
        self._about, self._rules, self._coils, self._meter = about, rules, coils, meter
        self._drift, self._pictures = drift, pictures
        self._model, self._thresholds = model, thresholds
        self._quiet = Quiet()

    def look(self, frame: Frame, seen: Inspected) -> Look:
        """Keep of an inspected frame what is needed."""
        defects = defects_of(seen, self._about)
        picture = None
        if self._pictures is not None and defects:
            data = frame.data
            is_jpeg = isinstance(data, bytes) and data[:3] == b"\xff\xd8\xff"
            picture = data if isinstance(data, bytes) and is_jpeg else encoded(seen.image[..., ::-1], 92)
        properties = None if self._drift is None else self._drift.properties(seen)
        stages = {name: 1e3 * seconds for name, seconds in seen.stages.items()}
        return Look(defects, seen.image.shape[:2], stages, small_picture(seen.image, defects), picture, properties)

    def judge(self, slot: Slot) -> Judged:
        """Make the event of a frame that has its answer; a mistake of ours is one without verdict, and the line goes on."""
        try:
            return self._judged(slot)
        except Exception as error:
            log.error("a frame without verdict: %s", one_line(error))
            self._meter.count("refused")
            failed = Slot(slot.frame, slot.source)
            failed.refuse(ERROR)
            return self._judged(failed)

    def _judged(self, slot: Slot) -> Judged:
        frame, answer = slot.frame, slot.answer.result()
        assert frame is not None
        verdict: Verdict
        if isinstance(answer, Refused):
            self._rules.interrupt(frame.camera)
            return Judged(slot, self._event(slot, frame, "NO_VERDICT", answer.reason, None))
        reason = self._rules.judge(frame.camera, answer.defects)
        verdict = "NG" if reason else "OK"
        event = self._event(slot, frame, verdict, reason, answer)
        if verdict == "NG" and answer.picture and self._pictures is not None:
            self._pictures.put(event.id, answer.picture)
        self._notice_size(f"{slot.source} {frame.camera or ''}".strip(), answer.size)
        alarm = None
        if answer.properties is not None and self._drift is not None:
            alarm = self._drift.add(answer.properties, event)
        return Judged(slot, event, answer.small, alarm)

    def _event(self, slot: Slot, frame: Frame, verdict: Verdict, reason: str | None, look: Look | None) -> FrameEvent:
        ms = {"wait": 1e3 * slot.waited} | (look.stages if look else {})
        ms["total"] = 1e3 * (time.monotonic() - frame.complete)
        return FrameEvent(
            id=event_id(slot.source, frame.key),
            time=utc(frame.taken),
            source=slot.source,
            frame=frame.name,
            verdict=verdict,
            coil_id=frame.coil_id or self._coils.now.coil_id,
            position_m=frame.position_m,
            camera=frame.camera,
            side=frame.side,
            size_px=look.size if look else None,
            reason=reason,
            defects=look.defects if look else (),
            model=self._model,
            thresholds=self._thresholds,
            ms={name: round(value, 2) for name, value in ms.items()},
        )

    def _notice_size(self, camera: str, size: tuple[int, int]) -> None:
        before = self._meter.saw(camera, size)
        if before is not None and self._quiet.over():
            sizes = f"{size[1]}x{size[0]} now, {before[1]}x{before[0]} before"
            times = self._meter.counts["resized"]
            log.warning("%s: the size of the frames changes: %s; %d times so far", camera, sizes, times)
