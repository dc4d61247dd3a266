"""Add the 8-bit network to published weights, so that whoever fetches them needs no images to calibrate on."""

import dataclasses
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import PublishWeightsConfig
from utils.errors import InputError
from utils.files import replacing
from utils.inference.backends.int8 import Int8File, read_report
from utils.inference.backends.store import network_fingerprint
from utils.weights.index import INDEX, INT8_SUFFIX, Index
from utils.weights.weights_file import load

LARGEST_INT8 = 95_000_000  # bytes


@dataclass(frozen=True)
class PublishedInt8:
    """What was published.

    Attributes:
        path: of the file beside the weights.
        megabytes: of it.
        said: what it costs, in words.
    """

    path: Path
    megabytes: float
    said: str

    def text(self) -> str:
        """Return it as text for a terminal."""
        return f"{self.path}: {self.megabytes:.1f} MB, fetched with the weights; {self.said}"


def publish_int8(config: PublishWeightsConfig, index: Index) -> PublishedInt8:
    """Copy an 8-bit network beside the published weights that it was made of, and list it.

    Args:
        config: the flags of ``Publish_weights.py``.
        index: of ``-to``.

    Raises:
        InputError: no such file, or not of these weights, or it costs too much accuracy; nothing was written then.
        OSError: the disk's fault.
    """
    source = config.int8
    assert source is not None
    if config.run is not None or config.source is not None:
        raise InputError("-int8: takes the place of a run folder and of -from; leave them out")
    entry = index.pick(config.name)
    report = read_report(source)
    if report is None:
        raise InputError(
            f"-int8 {source}: no 8-bit network with its report; name a NAME{INT8_SUFFIX} of Export_model.py -int8"
        )
    weights = config.to / entry.file
    if not weights.is_file():
        raise InputError(f"{weights}: not here; fetch it: python Download_weights.py {entry.name} -to {config.to}")
    if report["network"] != network_fingerprint(load(weights)):
        raise InputError(
            f"-int8 {source}: was not made of {weights.name}; make it: python Export_model.py -format openvino -int8"
            f" -weights_dir {weights} -dir DATA"
        )
    objection = Int8File(source, report).objection
    if objection and not config.force:
        raise InputError(
            f"-int8 {source}: {objection}, more than -precision auto takes; publish it all the same with -force"
        )
    content = source.read_bytes()
    if len(content) > LARGEST_INT8:
        raise InputError(f"-int8 {source}: has {len(content) / 1e6:.0f} MB, more than {LARGEST_INT8 / 1e6:.0f}")
    target = weights.with_name(f"{weights.stem}{INT8_SUFFIX}")
    if not (target.exists() and target.samefile(source)):
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
    listed: dict[str, Any] = {"file": target.name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    scores = report["scores"]
    if scores is not None:
        listed |= {
            "mean_dice": round(scores[1], 5),
            "mean_dice_original": round(scores[0], 5),
            "images": report["images"],
        }
        said = f"mean Dice {scores[0]:.4f}, in 8 bits {scores[1]:.4f}, on {report['images']} images"
    else:
        said = f"compared on {report['images']} images without labels"
    new = dataclasses.replace(entry, int8=listed)
    entries = tuple(new if old.name == entry.name else old for old in index.entries)
    Index(entries, index.default, index.address).save(config.to / INDEX)
    return PublishedInt8(target, len(content) / 1e6, said)
