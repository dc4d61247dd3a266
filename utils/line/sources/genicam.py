"""``gige://SERIAL`` and ``u3v://SERIAL``: GenICam cameras through viva-genicam, and every frame that they lose.

The camera numbers its frames. A number that is left out, and a frame that lacks packets, is told as a frame without verdict.
"""

import threading
import time
from types import ModuleType
from typing import Any

import numpy as np

from utils.line.address import Address
from utils.line.extras import extra
from utils.line.frame import Frame
from utils.line.sources.line_scan import LineBuffer
from utils.line.sources.positions import Positions
from utils.line.sources.source import SHARED, SourceError, SourceOptions, Take, labels_of

MOST_MISSING = 1000  # frames that a hole in the numbers is told as one by one; more are counted alone
COUNTERS = ("ChunkCounterValue", "ChunkEncoderValue", "ChunkLineStatusAll")
LARGEST = 65_535  # number of a frame by GigE Vision 1; 0 is none
SILENT = 2.0  # seconds without a frame after which it is asked whether the camera is still there
# Register of GigE Vision in which the camera says whether somebody controls it: bit 0 or 1 of its last byte.
CONTROL = 0x0A00
_DISCOVER_MS = 1000


class GenicamSource:
    """Frames of one camera, that of a serial number, an address, a MAC or a name of its own; empty: the only one."""

    ends = False

    def __init__(self, address: Address, options: SourceOptions) -> None:
        address.only("lines", "iface", "counter", "packet_size", *SHARED)
        self._vg: ModuleType = extra(address, "viva_genicam")
        self._wanted, self._kind = address.path.strip("/"), address.scheme
        self.name = f"{address.scheme}://{self._wanted}"
        lines = int(address.number("lines", 0, 0, 65536))
        self._buffer = LineBuffer(lines) if lines else None
        self._iface, self._counter = address.query.get("iface"), address.query.get("counter")
        self._packet = int(address.number("packet_size", 0, 0, 65535)) or None
        self.positions = Positions(address)
        self._camera, self._side = labels_of(address)
        self._run, self._connections = f"{time.time_ns():x}", 0
        self._lost = 0
        self.ready = False
        self._ids: int | None = None
        self._before = 0  # is added to the camera's numbers, which begin anew

    @property
    def lost(self) -> int:
        """Frames that the camera sent and that did not come whole."""
        return self._lost

    def run(self, take: Take, stop: threading.Event) -> None:
        """Connect, and give frames until it is told to stop or the camera goes away."""
        gone: SourceError | None = None
        try:
            camera = self._connect()
            self._connections += 1
            self._ids, self._before = None, 0
            self._drop_lines()  # strip has passed unseen since
            with camera, camera.stream(**self._stream_settings()) as frames:
                self.ready = True
                try:
                    self._give(camera, frames, take, stop)
                except SourceError as error:  # ending the stream of a camera that is gone fails, too
                    gone = error
                    raise
        except (self._vg.GenicamError, OSError, RuntimeError) as error:
            raise gone or SourceError(f"{self.name}: {error}") from None
        finally:
            self.ready = False

    def _give(self, camera: Any, frames: Any, take: Take, stop: threading.Event) -> None:
        heard = time.monotonic()
        while not stop.is_set():
            frame = self._next(frames)
            if frame is not None:
                self._pass_on(camera, frame, take)
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENT:
                self._check_there(camera)
                heard = time.monotonic()

    def _check_there(self, camera: Any) -> None:
        """Ask a silent camera for a register: the library waits for ever for one that is gone, or that was restarted."""
        if self._kind != "gige":
            camera.read_register(0, 4)
            return
        try:
            privilege = int.from_bytes(camera.read_register(CONTROL, 4), "big")
        except (self._vg.GenicamError, OSError) as error:
            raise SourceError(f"{self.name}: the camera went away: {error}") from None
        if not privilege & 0b11 or camera.control_state == self._vg.ControlState.LOST:
            raise SourceError(f"{self.name}: the camera was restarted, or another program has taken it")

    def _stream_settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"deliver_incomplete": True}
        if self._kind == "gige":
            settings |= {"iface": self._iface, "packet_size": self._packet}
        return settings

    def _next(self, frames: Any) -> Any:
        """Return the next frame; None when none came within half a second."""
        try:
            return frames.next_frame(timeout_ms=500)
        except TimeoutError:
            return None
        except self._vg.GenicamError as error:
            if "timeout" in str(error).lower() or "timed out" in str(error).lower():
                return None
            raise

    def _connect(self) -> Any:
        vg = self._vg
        found = vg.discover_u3v() if self._kind == "u3v" else vg.discover(_DISCOVER_MS, self._iface, all=True)
        fits = [one for one in found if not self._wanted or self._wanted in _names(one)]
        connect = vg.connect_u3v if self._kind == "u3v" else vg.connect_gige
        if not fits and self._wanted and self._kind == "gige":  # a serial number is in the camera's own registers
            for one in found:
                try:
                    camera = connect(one)
                except vg.GenicamError:  # another program has it
                    continue
                if str(_feature(camera, "DeviceSerialNumber")) == self._wanted:
                    return camera
                camera.close()
        if len(fits) == 1:
            return connect(fits[0])
        listed = ", ".join(sorted(_names(one)[0] for one in found)) or "no camera at all"
        raise SourceError(f"{self.name}: {'several cameras fit' if fits else 'no such camera'}; found {listed}")

    def _pass_on(self, camera: Any, frame: Any, take: Take) -> None:
        number = self._number(int(frame.block_id))
        if self._ids is not None:
            missing = number - self._ids - 1
            if 0 < missing < 2**31:
                self._miss(missing, self._ids + 1, take)
        self._ids = number
        name = f"{self._connections}-{number}"
        if not frame.is_complete:
            self._lost += 1
            lack = frame.missing_packets
            packets = "packets" if lack is None else f"{lack} packets"
            self._drop_lines()
            take(self._made(name, None, f"the camera's frame lacks {packets}"))
            return
        try:
            pixels = to_8_bit(frame.to_numpy(demosaic=True), frame.pixel_format)
        except (self._vg.GenicamError, ValueError) as error:
            self._drop_lines()
            take(self._made(name, None, f"the camera's pixels cannot be read: {error}"))
            return
        position = self.positions.of(name, self._count(camera, frame))
        if self._buffer is None:
            take(self._made(name, pixels, position=position))
            return
        if not self._buffer.fits(pixels):  # the camera has changed its width
            self._drop_lines()
        for part, cut in enumerate(self._buffer.add(pixels)):
            take(self._made(f"{name}-{part}", cut, position=position))

    def _number(self, number: int) -> int:
        """Return the number of a frame so that no other one of this connection has it: by it the spool knows its event.

        Most cameras have numbers of 16 bits: 1 follows 65535, which a line reaches within an hour.
        """
        if self._ids is not None and self._before + number <= self._ids:
            last = self._ids - self._before
            turned = number < LARGEST // 2 < last <= LARGEST
            self._before = self._before + LARGEST if turned else self._ids + 1 - number
        return self._before + number

    def _drop_lines(self) -> None:
        """Begin a frame of lines anew: nobody may join what does not belong together."""
        if self._buffer is not None and self._buffer.drop():
            self._lost += 1

    def _miss(self, missing: int, first: int, take: Take) -> None:
        self._lost += missing
        self._drop_lines()
        for number in range(first, first + min(missing, MOST_MISSING)):
            take(self._made(f"{self._connections}-{number}", None, "the camera's frame never came"))

    def _count(self, camera: Any, frame: Any) -> int | None:
        """Return the encoder's counter from the frame's metadata; None without one."""
        if not frame.chunks:
            return None
        try:
            features = camera.chunk_features(frame)
        except (self._vg.GenicamError, AttributeError, TypeError):
            return None
        names = (self._counter,) if self._counter else COUNTERS
        value = next((features[name] for name in names if name in features), None)
        return int(value) if isinstance(value, int | float) else None

    def _made(
        self, name: str, pixels: np.ndarray | None, problem: str | None = None, position: float | None = None
    ) -> Frame:
        return Frame(
            f"{self._run}/{name}",
            name,
            pixels,
            problem,
            camera=self._camera,
            side=self._side,
            position_m=position,
        )


def to_8_bit(pixels: np.ndarray, pixel_format: str) -> np.ndarray:
    """Bring a camera's pixels to 8 bits; ``Mono12`` counts 4095 as white.

    Args:
        pixels: ``(H, W)`` or ``(H, W, 3)``, uint8 or uint16.
        pixel_format: by its PFNC name.

    Raises:
        ValueError: the format is none that pixels were made of.
    """
    if pixels.ndim not in (2, 3):
        raise ValueError(f"no conversion of {pixel_format}")
    if pixels.dtype == np.uint8:
        return pixels
    digits = "".join(letter for letter in pixel_format.split("_")[0] if letter.isdigit())
    bits = int(digits) if digits in ("10", "12", "14", "16") else 16
    return np.minimum(pixels >> (bits - 8), 255).astype(np.uint8)


def _names(device: Any) -> list[str]:
    words = [getattr(device, name, None) for name in ("serial", "ip", "mac", "user_defined_name", "serial_number")]
    return [str(word) for word in words if word] or ["?"]


def _feature(camera: Any, name: str) -> Any:
    try:
        return camera.get(name)
    except Exception:  # not every camera has it
        return None
