"""What a controller sees of the line: the newest verdict with its counters, in 64 words of 16 bits.

Modbus and S7 show the same words. A verdict of OK holds only while the service says that it is healthy: ``flags_of`` takes
it back when the state is bad or old, and no two of the three verdicts are ever set together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from utils.line.event import CoilEvent, Event, FrameEvent
from utils.line.state import CONDITIONS, LineState

WORDS = 64
COIL_CHARACTERS = 32

# Bits of word 0, and the coils of Modbus.
OK, NG, NO_VERDICT, HEALTHY, COIL_NG, ALARM = range(6)

# Word -> what it holds; a pair of words is one number of 32 bits, the high word first, which is a DINT of an S7.
LAYOUT = (
    (0, 1, "flags", "bit 0 OK, 1 NG, 2 NO_VERDICT, 3 healthy, 4 the last coil was NG, 5 alarm"),
    (1, 1, "heartbeat", "0 to 65535 and again; stands still while the service is not healthy"),
    (2, 2, "seq", "number of the event that the words show"),
    (4, 1, "class", "of the largest defect, 1 is the first class of the weights; 0: no defect"),
    (5, 1, "defects", "their number; 65535 stands for more"),
    (6, 2, "area", "of the largest defect, in pixels"),
    (8, 4, "box", "of the largest defect: x, y, width, height in pixels; 65535 stands for more"),
    (12, 1, "probability", "of the largest defect, in 1/10000"),
    (13, 1, "condition", "0 running, 1 starved, 2 overloaded, 3 paused, 4 stopping, 5 fault"),
    (14, 2, "position", "of the frame on the strip, in millimetres, with a sign; -2147483648: unknown"),
    (16, 2, "frames", "that this sink was told of since the start"),
    (18, 2, "ok", "of them"),
    (20, 2, "ng", "of them"),
    (22, 2, "no_verdict", "of them"),
    (24, 2, "coils", "that have ended since the start"),
    (26, 2, "waiting", "events that wait for the slowest sink"),
    (28, 2, "shed", "frames that were not inspected because too many came"),
    (30, 2, "lost", "frames that the camera sent and that did not arrive whole"),
    (
        32,
        16,
        "coil",
        "number of the coil: 32 characters of ASCII, two in a word, the first in the high byte, then zeros",
    ),
    (48, 14, "-", "0"),
    (62, 2, "seq", "once more: equal to words 2 and 3 where all words are of one event"),
)

UNKNOWN_POSITION = -(2**31)


@dataclass(frozen=True)
class PlcBlock:
    """What a controller sees at one moment; never changed, only replaced.

    Attributes:
        words: 64 numbers from 0 to 65535; word 0 without ``HEALTHY`` and, with ``OK``, only right while healthy.
        verdict: of the newest frame.
    """

    words: tuple[int, ...]
    verdict: str

    def shown(self, healthy: bool, heartbeat: int) -> tuple[int, ...]:
        """Return the words with flags and heartbeat as they hold now.

        Args:
            healthy: whether a verdict may be believed.
            heartbeat: of word 1.
        """
        flags = self.words[0] & ~0b1111 | flags_of(self.verdict, healthy)
        return (flags, heartbeat & 0xFFFF, *self.words[2:])


def flags_of(verdict: str, healthy: bool) -> int:
    """Return the bits 0 to 3: exactly one of OK, NG and NO_VERDICT; OK and NG only while healthy."""
    if not healthy:
        return 1 << NO_VERDICT
    known = {"OK": 1 << OK, "NG": 1 << NG}
    return known.get(verdict, 1 << NO_VERDICT) | 1 << HEALTHY


class PlcCounters:
    """Follows the events and makes the words of them.

    Args:
        classes: names of the classes of the weights, in order.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self._numbers = {name: number for number, name in enumerate(classes, 1)}
        self._counts = {"frames": 0, "OK": 0, "NG": 0, "NO_VERDICT": 0, "coils": 0}
        self._newest: FrameEvent | None = None
        self._seq = 0
        self._coil_ng = False
        self._state = LineState()

    def take(self, seq: int, event: Event) -> bool:
        """Take an event; False where it was taken before, as after an error."""
        if seq <= self._seq:
            return False
        self._seq = seq
        if isinstance(event, FrameEvent):
            self._newest = event
            self._counts["frames"] += 1
            self._counts[event.verdict] += 1
        elif isinstance(event, CoilEvent):
            self._counts["coils"] += 1
            self._coil_ng = event.verdict == "NG"
        return True

    def see(self, state: LineState) -> None:
        """Take the state of the service."""
        self._state = state

    @property
    def block(self) -> PlcBlock:
        """The words as they are now."""
        frame, state, counts = self._newest, self._state, self._counts
        largest = max(frame.defects, key=lambda defect: defect.area_px, default=None) if frame else None
        words = [0] * WORDS
        verdict = frame.verdict if frame else "NO_VERDICT"
        words[0] = flags_of(verdict, state.healthy) | self._coil_ng << COIL_NG | bool(state.alarms) << ALARM
        _put(words, 2, self._seq)
        _put(words, 62, self._seq)
        position = UNKNOWN_POSITION
        if frame is not None:
            words[5] = _word(len(frame.defects))
            if frame.position_m is not None:
                position = round(max(-2e6, min(2e6, frame.position_m)) * 1000)
        if largest is not None:
            words[4] = self._numbers.get(largest.class_name, 0xFFFF)  # of a class that nobody named: not 0, no defect
            _put(words, 6, largest.area_px)
            words[8:12] = [_word(value) for value in largest.box]
            words[12] = _word(round(largest.probability * 10_000))
        words[13] = CONDITIONS.index(state.condition)
        _put(words, 14, position)
        values = (counts["frames"], counts["OK"], counts["NG"], counts["NO_VERDICT"], counts["coils"])
        for place, value in enumerate((*values, state.depth, state.shed, state.lost)):
            _put(words, 16 + 2 * place, value)
        coil = (frame.coil_id if frame else state.coil_id) or ""
        text = coil.encode("ascii", "replace")[:COIL_CHARACTERS].ljust(COIL_CHARACTERS, b"\0")
        words[32:48] = [text[place] << 8 | text[place + 1] for place in range(0, COIL_CHARACTERS, 2)]
        return PlcBlock(tuple(words), verdict)


def _word(value: int) -> int:
    return max(0, min(0xFFFF, value))


def _put(words: list[int], place: int, value: int) -> None:
    """Write a number of 32 bits; counters begin again after 4294967295."""
    words[place : place + 2] = [value >> 16 & 0xFFFF, value & 0xFFFF]
