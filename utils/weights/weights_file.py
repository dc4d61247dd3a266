"""The weights file: a plain dict that ``torch.load(weights_only=True)`` opens and that rebuilds the network offline."""

import dataclasses
import hashlib
import io
import json
from pathlib import Path
from typing import Any, get_args

import torch

from config import BitDepth
from utils.decision.decision import Decision
from utils.errors import InputError
from utils.files import replacing
from utils.models.factory import build, check_shapes
from utils.models.segmenter import Segmenter
from utils.models.spec import ModelSpec
from utils.weights import appearance, checks, image_hashes
from utils.weights.appearance import Appearance
from utils.weights.image_hashes import ImageHashes
from utils.weights.torch_file import TorchFile, read_torch_file

FORMAT = "steel-defect-segmentation weights"
VERSION = 1
SYSTEM_SUFFIX = ".system.json"


@dataclasses.dataclass
class WeightsFile:
    """A trained network with all that is needed to use it and to know where it comes from.

    Args:
        spec: the network.
        state_dict: of the plain SMP model (or ours, ``utils/models/architectures``), tensors on the CPU; float32 once read,
            though a file may store float16.
        mean: per channel, in units of 0..1.
        std: per channel, in units of 0..1.
        input_size: (H, W) in pixels that images are resized to before the network; none: their own size.
        decision: how logits become masks.
        label_thresholds: per label of the whole image, probability 0..1 from which an image counts as having it; left
            out: 0.5 each.
        metrics: scores with the data they were measured on.
        provenance: settings, data fingerprint, git commit, library versions.
        source: the file that it was read from, for messages.
        bit_depth: bits of the whole numbers in images with more than 8 bits that the network was trained on; None: there
            were none, or the file is older than this entry.
        float_white: the floating-point number that is white in the images trained on; None likewise.
        image_hashes: of the images that the network has learnt from; None: the file is older than this entry, or its
            makers left them out.
        appearance: how the images look that it was trained and validated on; None: the file is older than this entry, or
            they were too few.
        sha256: of that file, 64 hex digits, where it was computed to check it; else "".
    """

    spec: ModelSpec
    state_dict: dict[str, torch.Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_size: tuple[int, int] | None
    decision: Decision
    metrics: dict[str, Any] = dataclasses.field(default_factory=dict)
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    source: Path | None = dataclasses.field(default=None, compare=False)
    label_thresholds: tuple[float, ...] = ()
    bit_depth: int | None = None
    float_white: float | None = None
    image_hashes: ImageHashes | None = dataclasses.field(default=None, compare=False)
    sha256: str = dataclasses.field(default="", compare=False)
    appearance: Appearance | None = dataclasses.field(default=None, compare=False)

    def __post_init__(self) -> None:
        self.label_thresholds = self.label_thresholds or (0.5,) * self.spec.labels

    def save(self, path: Path) -> None:
        """Write to ``path`` in one step."""
        with replacing(path) as temporary:
            temporary.write_bytes(self._packed())

    def save_named(self, folder: Path, stem: str) -> Path:
        """Write to ``folder/stem-SHA8.pth``, where SHA8 begins the sha256 of the file's bytes."""
        packed = self._packed()
        path = folder / f"{stem}-{hashlib.sha256(packed).hexdigest()[:8]}.pth"
        with replacing(path) as temporary:
            temporary.write_bytes(packed)
        return path

    def _packed(self) -> memoryview:
        """Return the bytes of the file; equal weights give equal bytes."""
        decision = self.decision.to_dict()
        high_thresholds = decision.pop("high_thresholds")
        described = {
            "format": FORMAT,
            "version": VERSION,
            "spec": self.spec.to_dict(),
            "mean": list(self.mean),
            "std": list(self.std),
            "input_size": list(self.input_size) if self.input_size else None,
            **decision,
            "metrics": self.metrics,
            "provenance": self.provenance,
        }
        if any(high_thresholds):  # else the bytes are those of files from before there were any
            described["high_thresholds"] = high_thresholds
        for name in ("bit_depth", "float_white"):  # likewise
            if getattr(self, name) is not None:
                described[name] = getattr(self, name)
        if self.spec.labels:
            described["label_thresholds"] = list(self.label_thresholds)
        # Through JSON, since pickle writes one string that stands in two places shorter than two equal ones.
        content = json.loads(json.dumps(described))
        content["state_dict"] = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict.items()}
        if self.image_hashes is not None:
            content["image_hashes"] = self.image_hashes.to_content()
        if self.appearance is not None:
            content["appearance"] = self.appearance.to_content()
        # Through memory, since torch writes the name of the file it saves to into it.
        packed = io.BytesIO()
        torch.save(content, packed)
        return packed.getbuffer()

    def build(self) -> Segmenter:
        """Make the network with these weights, in evaluation mode; needs no network connection."""
        shapes = {name: tuple(tensor.shape) for name, tensor in self.state_dict.items()}
        wrong = check_shapes(self.spec, shapes)
        if wrong:
            raise self._misfit(wrong)
        model = build(self.spec)
        model.normalise_by(self.mean, self.std)
        try:
            model.net.load_state_dict(self.state_dict)
        except RuntimeError as error:
            raise self._misfit(str(error).splitlines()[-1].strip()) from None
        return model.eval()

    def _misfit(self, reason: str) -> InputError:
        return InputError(
            f"{self.source or 'the weights file'}: its weights do not fit {self.spec.architecture}"
            f" {self.spec.encoder} ({reason}); fetch or train it again"
        )


def load(path: Path, sha256: str | None = None) -> WeightsFile:
    """Read a weights file without running any code that it may contain.

    Args:
        path: the file.
        sha256: that somebody has noted for it, 64 hex digits; None: nobody has.

    Raises:
        OtherFileError: another sha256 than the one noted, than that of the index beside it, or than its name promises.
        InputError: not there, damaged, needs pickle, made by something else, of a newer version, or a system file.
    """
    if path.name.endswith(SYSTEM_SUFFIX):
        raise InputError(
            f"{path}: is a system of several networks; name the run folder of one of them in {path.parent}"
        )
    file = _whole(path, read_torch_file(path, sha256))
    content = file.content
    refuse_checkpoint(path, content)
    if not is_ours(content):
        remedy = f", or make a weights file of it with Publish_weights.py -from {path}" if _is_of_smp(content) else ""
        raise InputError(
            f"{path}: a .pth file, but not one that Train.py wrote; point -weights_dir at a run folder{remedy}"
        )
    return dataclasses.replace(from_content(path, content), sha256=file.sha256)


def is_ours(content: Any) -> bool:
    """Check whether what ``content_of`` read is a weights file of this project."""
    return isinstance(content, dict) and content.get("format") == FORMAT


def _is_of_smp(content: Any) -> bool:
    """Check whether a file holds a whole network of SMP's, or a checkpoint of one."""
    parts = [content, *content.values()] if isinstance(content, dict) else []
    return any(
        isinstance(name, str) and "encoder." in name for part in parts if isinstance(part, dict) for name in part
    )


def refuse_checkpoint(path: Path, content: Any) -> None:
    """Raise ``InputError`` for a checkpoint of a run, which lacks what a weights file says about the network."""
    if isinstance(content, dict) and not is_ours(content) and {"epoch", "network"} <= set(content):
        run = path.absolute().parent.parent
        raise InputError(
            f"{path}: is a checkpoint of a run, not its weights file, which Train.py writes into {run} at the end; go on"
            f" with python Train.py -resume {run}, or name that file"
        )


def content_of(path: Path) -> Any:
    """Read what any ``.pth`` file holds, see ``read_torch_file``.

    Raises:
        InputError: not there, damaged, or needs pickle.
    """
    return _whole(path, read_torch_file(path)).content


def _whole(path: Path, file: TorchFile) -> TorchFile:
    """Refuse a weights file that somebody stored in torch's old format, which has no checksums to tell damage by."""
    if is_ours(file.content) and not file.summed:
        raise InputError(
            f"{path}: is stored in torch's format without checksums, so damage would not show; save it anew"
        )
    return file


def from_content(path: Path, content: dict[str, Any]) -> WeightsFile:
    """Make a weights file of what ``content_of`` read from ``path``.

    Raises:
        InputError: damaged, or of a newer version.
    """
    version = content.get("version")
    if version != VERSION:
        raise InputError(f"{path}: format version {version}, this program reads {VERSION}; update the program")
    try:
        spec = ModelSpec.from_dict(content["spec"])
        mean, std = checks.mean_and_std(content)
        file = WeightsFile(
            spec=spec,
            state_dict=checks.tensors(content["state_dict"]),
            mean=mean,
            std=std,
            input_size=checks.image_size(content["input_size"]),
            decision=Decision.from_dict(content),
            label_thresholds=checks.probabilities("label_thresholds", content.get("label_thresholds", ())),
            metrics=dict(content["metrics"]),
            provenance=dict(content["provenance"]),
            source=path,
            bit_depth=_bit_depth(content),
            float_white=_float_white(content),
            image_hashes=image_hashes.from_content(content.get("image_hashes")),
            appearance=appearance.from_content(content.get("appearance")),
        )
    except (KeyError, TypeError, ValueError, IndexError, InputError) as error:
        raise InputError(f"{path}: damaged weights file ({error}); fetch or train it again") from None
    count, decided = len(spec.scored_names), len(file.decision.thresholds)
    if decided != count:
        raise InputError(f"{path}: damaged weights file (thresholds for {decided} of {count} classes)")
    if len(file.label_thresholds) != spec.labels:
        raise InputError(
            f"{path}: damaged weights file (thresholds for {len(file.label_thresholds)} of {spec.labels} labels)"
        )
    if len(file.mean) != spec.channels or len(file.std) != spec.channels:
        raise InputError(f"{path}: damaged weights file (mean and std for another number of channels)")
    return file


def _bit_depth(content: dict[str, Any]) -> int | None:
    """Return the bit depth, which a file may lack; ``ValueError`` when it is none of ``-bit_depth``."""
    bits = content.get("bit_depth")
    if bits is not None and (type(bits) is not int or str(bits) not in get_args(BitDepth)):
        raise ValueError(f"bit_depth {bits}")
    return bits


def _float_white(content: dict[str, Any]) -> float | None:
    """Return the white of floating-point images, which a file may lack; ``ValueError`` when it makes no sense."""
    white = content.get("float_white")
    if white is not None and not (isinstance(white, float) and 1e-6 <= white <= 65535):
        raise ValueError(f"float_white {white}")
    return white
