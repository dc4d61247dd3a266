"""Which kind of source an address means."""

from collections.abc import Callable

from utils.errors import InputError
from utils.line.address import Address
from utils.line.sources.folder import FolderSource
from utils.line.sources.genicam import GenicamSource
from utils.line.sources.push import PushSource
from utils.line.sources.replay import ReplaySource
from utils.line.sources.source import Source, SourceOptions
from utils.line.sources.video import VideoSource

SOURCES: dict[str, Callable[[Address, SourceOptions], Source]] = {
    "folder": FolderSource,
    "gige": GenicamSource,
    "u3v": GenicamSource,
    "rtsp": VideoSource,
    "rtsps": VideoSource,
    "video": VideoSource,
    "push": PushSource,
    "replay": ReplaySource,
}


def source_of(url: str, options: SourceOptions) -> Source:
    """Return the source that an address names, not yet open.

    Raises:
        InputError: the address makes no sense, the folder is not there, or its library is not installed.
    """
    address = Address.parse(url, "-source")
    make = SOURCES.get(address.scheme)
    if make is None:
        known = ", ".join(f"{one}://" for one in SOURCES)
        raise InputError(f"-source {url}: no source {address.scheme}://; there are {known}")
    return make(address, options)
