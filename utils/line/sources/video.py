"""``rtsp://CAMERA/PATH`` and ``video://FILE``: through PyAV."""

import os
import threading
import time
import urllib.parse
from typing import Any

from utils.line.address import Address
from utils.line.extras import extra
from utils.line.frame import Frame
from utils.line.sources.line_scan import LineBuffer
from utils.line.sources.positions import Positions
from utils.line.sources.source import SHARED, SourceError, SourceOptions, Take, labels_of

USER, PASSWORD = "STEEL_RTSP_USER", "STEEL_RTSP_PASSWORD"  # of the environment: lists of processes show flags
OWN = ("every", "lines", *SHARED)
JPEG = b"\xff\xd8"  # how each picture begins
MOST_MISSING = 1000  # frames that are told one by one
TIMEOUT = (5.0, 5.0)  # seconds to connect, and to wait for a packet


class VideoSource:
    """Decodes a stream or a file; ``every=N`` gives one frame of N."""

    def __init__(self, address: Address, options: SourceOptions) -> None:
        self._av = extra(address, "av")
        self._every = int(address.number("every", 1, 1, 10_000))
        lines = int(address.number("lines", 0, 0, 65536))
        self._buffer = LineBuffer(lines) if lines else None
        self.ends = address.scheme == "video"
        if self.ends:
            address.only(*OWN)
            if not address.folder.is_file():
                raise address.error("no such file; correct the path")
            self._place, self.name = str(address.folder), f"video://{address.folder.resolve()}"
        else:
            self._place, self.name = _with_user(address), address.text
        self._options, self.positions = options, Positions(address)
        self._camera, self._side = labels_of(address)
        self._run = "" if self.ends else f"{time.time_ns():x}/"
        self._lost = self._number = 0
        self._fed = self._given = 0  # packets to the decoder, and frames out of it
        self.ready = False

    @property
    def lost(self) -> int:
        """Frames that could not be decoded."""
        return self._lost

    def run(self, take: Take, stop: threading.Event) -> None:
        """Decode until the end, or until it is told to stop."""
        av = self._av
        settings = {} if self.ends else {"rtsp_transport": "tcp"}
        try:
            with av.open(self._place, options=settings, timeout=TIMEOUT) as container:
                if not container.streams.video:
                    raise SourceError(f"{self.name}: holds no video")
                stream = container.streams.video[0]
                # Else a decoder fills what is damaged with what it guesses.
                stream.codec_context.options = {"err_detect": "explode"}
                self._fed = self._given = 0
                if self._buffer is not None and self._buffer.drop():  # strip has passed unseen since
                    self._lost += 1
                self.ready = True
                for packet in container.demux(stream):
                    if stop.is_set():
                        return
                    self._decode(packet, take)
                self._tell_missing(take)
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{self.name}: {_without_password(str(error))}") from None
        finally:
            self.ready = False
        if not self.ends:
            raise SourceError(f"{self.name}: the stream has ended")

    def _decode(self, packet: Any, take: Take) -> None:
        # Without a head the decoder takes the tables of the picture before, and gives a picture that is not there.
        if packet.size and packet.stream.codec_context.name == "mjpeg" and bytes(memoryview(packet)[:2]) != JPEG:
            self._tell_damage(take, "a picture without its head")
            return
        try:
            decoded = packet.decode()
        except self._av.error.FFmpegError as error:
            self._tell_damage(take, _without_password(str(error)))
            return
        self._fed += bool(packet.size)
        self._given += len(decoded)
        for picture in decoded:
            self._number += 1
            if (self._number - 1) % self._every:
                continue
            if getattr(picture, "is_corrupt", False):
                self._lost += 1
                take(self._made(None, "the video is damaged here"))
                continue
            pixels = picture.to_ndarray(format="rgb24")
            if self._buffer is None:
                take(self._made(pixels))
                continue
            if not self._buffer.fits(pixels):
                self._lost += bool(self._buffer.drop())
            for part, cut in enumerate(self._buffer.add(pixels)):
                take(self._made(cut, part=part))

    def _tell_damage(self, take: Take, reason: str) -> None:
        self._lost += 1
        self._number += 1
        take(self._made(None, f"the video is damaged here: {reason}"))

    def _tell_missing(self, take: Take) -> None:
        """Tell at the end of the frames that a decoder left out without a word."""
        for _ in range(min(self._fed - self._given, MOST_MISSING)):
            self._lost += 1
            self._number += 1
            take(self._made(None, "a frame of the video could not be decoded"))

    def _made(self, pixels: Any, problem: str | None = None, part: int | None = None) -> Frame:
        name = f"{self._number}" if part is None else f"{self._number}-{part}"
        return Frame(
            self._run + name,
            name,
            pixels,
            problem,
            camera=self._camera,
            side=self._side,
            position_m=self.positions.of(name),
            patient=self.ends,
        )


def _with_user(address: Address) -> str:
    """Return the address for the library, with the user and password of the environment and the camera's own query."""
    rest = {name: value for name, value in address.query.items() if name not in OWN}
    query = f"?{urllib.parse.urlencode(rest)}" if rest else ""
    user, password = os.environ.get(USER, address.user or ""), os.environ.get(PASSWORD, "")
    place = address.path.rpartition("@")[2]
    if user:
        quoted = ":".join(urllib.parse.quote(word, safe="") for word in (user, password) if word)
        place = f"{quoted}@{place}"
    return f"{address.scheme}://{place}{query}"


def _without_password(text: str) -> str:
    secret = os.environ.get(PASSWORD)
    for word in (secret, urllib.parse.quote(secret, safe="")) if secret else ():
        text = text.replace(word, "***")
    return " ".join(text.split())
