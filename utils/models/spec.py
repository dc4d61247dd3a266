"""What a network is, in the few words that rebuild it."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

from config import LabelTask, MaskTask, Task
from utils.errors import InputError
from utils.models.architectures import ARCHITECTURES, own_class
from utils.settings import nearest

ANOMALY = "anomaly"
MASK_TASKS: tuple[str, ...] = get_args(MaskTask)
LABEL_TASKS: tuple[str, ...] = get_args(LabelTask)
# Whatever the classes of the labels are, these know one of their own.
MERGING_TASKS = ("binary", "classify-binary", ANOMALY)
DOWNSAMPLES = (1, 2, 4)

# How many numbers SMP's ``decoder_channels`` has, of the architectures that take it: a block each, or one for all.
DECODER_BLOCKS = {
    "unet": 5,
    "unetplusplus": 5,
    "manet": 5,
    "two-head": 5,
    "shared-backbone": 5,
    "deeplabv3plus": 1,
    "pan": 1,
    "upernet": 1,
}


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """Everything that fixes the network's layers.

    Args:
        architecture: a name of ``ARCHITECTURES`` (``unet``, ``fpn``, ``classifier``, ...).
        encoder: SMP's or timm's name of the encoder, as somebody wrote it; see ``smp_encoder``.
        task: ``multilabel`` (a sigmoid per class), ``binary`` (one sigmoid, any defect), ``multiclass`` (softmax over
            background and the classes), ``per-class`` (one sigmoid, the class ``target`` against everything else),
            ``classify-binary`` (one logit an image, any defect), ``classify-multilabel`` (a logit per class and image) or
            ``anomaly`` (one logit, whatever does not look like clean steel).
        class_names: names of the dataset's classes; class 1 comes first.
        channels: image channels.
        target: the class of task ``per-class``; none for other tasks.
        dense: sizes of the layers between the encoder and the logits of whole images.
        dropout: share of features left out before each of those layers in training, 0..1.
        decoder_channels: of each block of the decoder, coarsest first, or one number, see ``DECODER_BLOCKS``; () is SMP's.
        downsample: 1, 2 or 4; height and width of what the encoder sees are those of the image divided by it.
        memory: of task ``anomaly``, features of clean steel that are kept; 0 for other tasks.
        components: their length; likewise.
    """

    architecture: str
    encoder: str
    task: str
    class_names: tuple[str, ...]
    channels: int = 3
    target: str | None = None
    dense: tuple[int, ...] = ()
    dropout: float | tuple[float, ...] = 0.3
    decoder_channels: tuple[int, ...] = ()
    downsample: int = 1
    memory: int = 0
    components: int = 0

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise InputError(f"task {self.task}: choose from {', '.join(get_args(Task))}")
        if not self.class_names:
            raise InputError("a network needs at least one class")
        if self.channels not in (1, 3):
            raise InputError(f"-channels {self.channels}: choose 1 (grey) or 3 (colour)")
        has_masks = getattr(own_class(self.architecture), "has_masks", True)
        if self.architecture in ARCHITECTURES and self.is_classifier == has_masks:
            needed = "-architecture classifier" if self.is_classifier else f"-task {' or -task '.join(LABEL_TASKS)}"
            raise InputError(f"-architecture {self.architecture} is not for -task {self.task}; take {needed}")
        if (self.task == ANOMALY) != (self.architecture == "patchcore"):
            needed = "-architecture patchcore" if self.task == ANOMALY else f"-task {ANOMALY}"
            raise InputError(f"-architecture {self.architecture} is not for -task {self.task}; take {needed}")
        if (self.task == ANOMALY) != (self.memory > 0) or (self.memory > 0) != (self.components > 0):
            raise InputError(f"memory {self.memory} of {self.components} components does not fit -task {self.task}")
        if self.task == "per-class" and self.target not in self.class_names:
            given = "needs -target" if self.target is None else f"-target {self.target}: no such class"
            raise InputError(f"-task per-class: {given}; choose from {', '.join(self.class_names)}")
        if self.task != "per-class" and self.target is not None:
            raise InputError(f"-target {self.target}: only for -task per-class")
        for share in self.dropout if isinstance(self.dropout, tuple) else (self.dropout,):
            if not 0 <= share < 1:
                raise InputError(f"-dropout {share}: expected 0 or more and less than 1")
        if self.downsample not in DOWNSAMPLES:
            raise InputError(f"-downsample {self.downsample}: choose from {', '.join(map(str, DOWNSAMPLES))}")
        if self.downsample > 1 and self.task == ANOMALY:
            raise InputError(f"-downsample {self.downsample}: not for -task {ANOMALY}; leave it out")
        if self.dense and not self.labels:
            raise InputError(f"-dense: -architecture {self.architecture} has no labels of whole images; leave it out")
        if isinstance(self.dropout, tuple):
            self._check_dropout(self.dropout)
        if self.decoder_channels:
            self._check_decoder()

    def smp_encoder(self) -> str:
        """Return SMP's name of the encoder: timm's names get the ``tu-`` in front that SMP asks for.

        ``encoder`` stays as it was written, in weights files too.

        Raises:
            InputError: neither SMP nor timm has it; the message names the nearest ones.
        """
        # Here, since it takes seconds: who runs a converted network reads its spec too.
        import timm
        from segmentation_models_pytorch.encoders import encoders as smp_encoders

        name = self.encoder
        if name in smp_encoders or name.startswith("timm-"):
            return name
        bare = name.removeprefix("tu-")
        model, _, tag = bare.partition(".")
        if timm.is_model(model):
            if tag and tag not in (tags := [n.partition(".")[2] for n in timm.list_pretrained(f"{model}.*")]):
                raise InputError(f"-encoder {name}: {model} has no weights called {tag}; choose from {', '.join(tags)}")
            return f"tu-{bare}"
        known = [*smp_encoders, *timm.list_models()]
        raise InputError(f"-encoder {name}: neither SMP nor timm has it{nearest(name, known)}")

    @property
    def is_classifier(self) -> bool:
        """Whether the network answers for whole images only and draws no masks."""
        return self.task in LABEL_TASKS

    @property
    def scored_names(self) -> tuple[str, ...]:
        """Names of the masks that the network's decision has, in their order; () for a classifier."""
        return () if self.is_classifier else self._names

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the logits that the network has for a whole image, in their order; () for a plain segmenter."""
        kind = own_class(self.architecture)
        return self._names if getattr(kind, "has_labels", False) else ()

    @property
    def outputs(self) -> int:
        """Number of mask channels; multiclass has the background as channel 0, a classifier has none."""
        return len(self.scored_names) + (1 if self.task == "multiclass" else 0)

    @property
    def labels(self) -> int:
        """Number of logits for a whole image; 0 for a plain segmenter."""
        return len(self.label_names)

    @property
    def target_id(self) -> int | None:
        """Number of the class of task ``per-class``, from 1; none for other tasks."""
        return None if self.target is None else self.class_names.index(self.target) + 1

    @property
    def first_class(self) -> int:
        """Number of the first scored class: 1, of task ``per-class`` that of its class."""
        return self.target_id or 1

    @property
    def _names(self) -> tuple[str, ...]:
        if self.task in ("binary", "classify-binary"):
            return ("defect",)
        if self.task == ANOMALY:
            return (ANOMALY,)
        return (self.target,) if self.target is not None else self.class_names

    def _check_dropout(self, dropout: tuple[float, ...]) -> None:
        shown, layers = ",".join(map(str, dropout)), len(self.dense) + 1
        if not self.labels:
            raise InputError(
                f"-dropout {shown}: -architecture {self.architecture} has no labels of whole images, whose layers these values"
                " are for; leave it out"
            )
        if len(dropout) != layers:
            raise InputError(
                f"-dropout {shown}: expected one value, or {layers}: one before each layer of -dense, and one before the last"
                " one"
            )

    def _check_decoder(self) -> None:
        blocks = DECODER_BLOCKS.get(self.architecture)
        if blocks is None:
            raise InputError(
                f"-decoder_channels: not for -architecture {self.architecture}, only for {', '.join(DECODER_BLOCKS)}"
            )
        if len(self.decoder_channels) != blocks or min(self.decoder_channels) < 1:
            expected = f"{blocks} numbers of 1 or more, coarsest first" if blocks > 1 else "one number of 1 or more"
            raise InputError(
                f"-decoder_channels {','.join(map(str, self.decoder_channels))}: -architecture {self.architecture} takes {expected}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as plain words, numbers and lists.

        Fields that came later are left out where they have their default, so that earlier programs read the file.
        """
        plain = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name in _FIRST_FIELDS or getattr(self, field.name) != field.default
        }
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "ModelSpec":
        """Rebuild a spec that ``to_dict`` made; raises ``InputError`` when a field is missing, unknown or of another kind."""
        if not isinstance(plain, dict):
            raise InputError(f"model spec is {plain!r:.60}, expected entries by name")
        known = {field.name for field in dataclasses.fields(cls)}
        if not _FIRST_FIELDS <= set(plain) <= known:
            raise InputError(
                f"model spec has {', '.join(sorted(map(str, plain)))}; expected {', '.join(sorted(_FIRST_FIELDS))}"
                f" and perhaps {', '.join(sorted(known - _FIRST_FIELDS))}"
            )
        for name, value in plain.items():
            expected, fits = _KINDS[name]
            if not fits(value):
                raise InputError(f"model spec: {name} is {value!r:.60}, expected {expected}")
        names = list(plain["class_names"])
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"model spec: two classes are called {twice}")
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()
        }
        return cls(**fields)


_FIRST_FIELDS = {"architecture", "encoder", "task", "class_names", "channels"}


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _are(fits: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(fits, value))


# What the fields are in files: in words, and the check.
_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "architecture": ("a name", _is_word),
    "encoder": ("a name", _is_word),
    "task": ("a name", _is_word),
    "class_names": ("a list of names", partial(_are, _is_word)),
    "channels": ("a whole number", _is_count),
    "target": ("a name", lambda value: value is None or _is_word(value)),
    "dense": ("a list of whole numbers", partial(_are, _is_count)),
    "dropout": ("a number, or a list of numbers", lambda value: _is_number(value) or _are(_is_number, value)),
    "decoder_channels": ("a list of whole numbers", partial(_are, _is_count)),
    "downsample": ("a whole number", _is_count),
    "memory": ("a whole number", _is_count),
    "components": ("a whole number", _is_count),
}
