"""The system file: JSON that names the weights files that work together, and what decides between them."""

import dataclasses
import json
import math
import os
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from config import StoredTta, SystemKind
from utils.decision.decision import Decision
from utils.decision.gate import MODES, Gate
from utils.errors import InputError
from utils.files import write_text
from utils.models.spec import LABEL_TASKS, MASK_TASKS, ModelSpec
from utils.settings import nearest
from utils.weights.appearance import Appearance
from utils.weights.image_hashes import ImageHashes, joined
from utils.weights.same_classes import depth_misfit, misfit
from utils.weights.torch_file import OtherFileError, digest
from utils.weights.weights_file import SYSTEM_SUFFIX, WeightsFile, load

FORMAT = "steel-defect-segmentation system"
VERSION = 1
KEYS = ("kind", "members", "classes", "gate", "thresholds", "min_areas", "max_areas", "tta", "metrics", "provenance")
# Only in files whose classes have some, and of ensembles whose networks do not all count the same.
OPTIONAL = {"high_thresholds", "member_weights"}

KINDS: tuple[str, ...] = get_args(SystemKind)
SEGMENTERS = tuple(task for task in MASK_TASKS if task != "per-class")
ENSEMBLE = "ensemble"


@dataclasses.dataclass(frozen=True)
class Role:
    """What a member of a system has to be.

    Args:
        tasks: one of these.
        architecture: this one; none: any.
        target: the class that a ``per-class`` network is for; none: the task needs none.
    """

    tasks: tuple[str, ...]
    architecture: str | None = None
    target: str | None = None


def roles(kind: str, class_names: tuple[str, ...], count: int = 1) -> dict[str, Role]:
    """Return the members that a kind of system has, by their names in the file.

    Args:
        kind: a name of ``KINDS``.
        class_names: of the dataset; only ``six-model`` has a member for each.
        count: of an ensemble's networks.
    """
    if kind == ENSEMBLE:
        return {ensemble_role(number): Role(MASK_TASKS) for number in range(1, max(count, 1) + 1)}
    if kind == "two-stage":
        return {"classifier": Role(LABEL_TASKS), "segmenter": Role(SEGMENTERS)}
    if kind == "six-model":
        segmenters = {
            f"segmenter-{number}": Role(("per-class",), target=name) for number, name in enumerate(class_names, start=1)
        }
        return {"binary": Role(("classify-binary",)), "multilabel": Role(("classify-multilabel",)), **segmenters}
    return {"network": Role(SEGMENTERS, architecture=kind)}


def ensemble_role(number: int) -> str:
    """Return what an ensemble calls one of its networks, which are counted from 1."""
    return f"network-{number}"


@dataclasses.dataclass
class SystemFile:
    """Networks that work together.

    Args:
        kind: a name of ``KINDS``.
        members: the weights files, by role.
        gate: what the image-level probabilities let through.
        decision: how logits become masks; a soft gate starts from its smallest areas.
        tta: ``none`` or ``flips``, see ``utils/inference/tta.py``.
        metrics: scores of the whole with the data they were measured on.
        provenance: settings, data fingerprint, git commit, library versions.
        source: the file that it was read from; of networks that ``-weights_dir`` put together, what the file could be
            called, beside the first of them.
        member_weights: of an ensemble, how much each network counts in the mean, in their order; (): all the same.
        assembled: ``-weights_dir`` put the networks together, there is no file yet.
        sha256: of what was put together: of the networks' own sha256; "" of a file.
    """

    kind: str
    members: dict[str, WeightsFile]
    gate: Gate
    decision: Decision
    tta: str = "none"
    metrics: dict[str, Any] = dataclasses.field(default_factory=dict)
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    source: Path | None = dataclasses.field(default=None, compare=False)
    member_weights: tuple[float, ...] = ()
    assembled: bool = dataclasses.field(default=False, compare=False)
    sha256: str = dataclasses.field(default="", compare=False)

    @property
    def has_gate(self) -> bool:
        """Whether anything decides between the networks; of an ensemble all answer about every image."""
        return self.gate.labels > 0

    @property
    def spec(self) -> ModelSpec:
        """What the masks of the system are, see ``spec_of``."""
        return spec_of(self.kind, self.members)

    @property
    def input_size(self) -> tuple[int, int] | None:
        """(H, W) in pixels that images are resized to before the segmenter; none: their own size, or one size a network."""
        if self.kind == ENSEMBLE:
            sizes = {member.input_size for member in self.members.values()}
            return sizes.pop() if len(sizes) == 1 else None
        names = {"two-stage": "segmenter", "six-model": "segmenter-1"}
        return self.members[names.get(self.kind, "network")].input_size

    @property
    def bit_depth(self) -> int | None:
        """Bits of the images with more than 8 bits that the members were trained on, see ``WeightsFile``."""
        return next((m.bit_depth for m in self.members.values() if m.bit_depth is not None), None)

    @property
    def float_white(self) -> float | None:
        """White of the floating-point images that the members were trained on, see ``WeightsFile``."""
        return next((m.float_white for m in self.members.values() if m.float_white is not None), None)

    @property
    def image_hashes(self) -> ImageHashes | None:
        """Hashes of the images that any member has learnt from, see ``WeightsFile``."""
        known = [
            member.image_hashes or ImageHashes(unknown=(member.source.name if member.source else role,))
            for role, member in self.members.items()
        ]
        return joined(known)

    @property
    def appearance(self) -> Appearance | None:
        """How the images look that the members were trained on, see ``WeightsFile``: of the first that knows."""
        return next((m.appearance for m in self.members.values() if m.appearance is not None), None)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the image-level probabilities, as the gate takes them."""
        any_defect = ("defect",) if self.gate.image is not None else ()
        return (*any_defect, *(self.spec.scored_names if self.gate.classes is not None else ()))

    @property
    def label_thresholds(self) -> tuple[float, ...]:
        """The gate's thresholds, one for each of ``label_names``."""
        return (*(() if self.gate.image is None else (self.gate.image,)), *(self.gate.classes or ()))

    def to_dict(self) -> dict[str, Any]:
        """Return what a summary says about the system, as plain words and numbers."""
        members = {role: member.source.name if member.source else None for role, member in self.members.items()}
        return {"system": self.kind, "members": members, "gate": self._gate_words()}

    def _gate_words(self) -> dict[str, Any]:
        classes = self.gate.classes
        return {
            "mode": self.gate.mode,
            "image": self.gate.image,
            "classes": None if classes is None else dict(zip(self.spec.scored_names, classes, strict=True)),
            "c": self.gate.c,
        }

    def save(self, path: Path) -> None:
        """Write to ``path`` in one step; the members must be files already, best below the same folder.

        Raises:
            InputError: a member was never written to a file, or is where no relative path leads.
        """
        names = self.spec.scored_names
        decision = self.decision.to_dict(names)
        if not any(self.decision.high_thresholds):
            del decision["high_thresholds"]
        content = {
            "format": FORMAT,
            "version": VERSION,
            "kind": self.kind,
            "members": {role: _reference(path, member) for role, member in self.members.items()},
            "classes": list(names),
            "gate": self._gate_words(),
            **decision,
            "tta": self.tta,
            "metrics": self.metrics,
            "provenance": self.provenance,
        }
        if self.member_weights:
            content["member_weights"] = dict(zip(self.members, self.member_weights, strict=True))
        write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def spec_of(kind: str, members: dict[str, WeightsFile]) -> ModelSpec:
    """Return what the masks of a system are.

    Six single-class networks count as one multilabel network; an ensemble has the classes in its first network's order.
    """
    if kind == ENSEMBLE:
        first = members[ensemble_role(1)].spec
        encoders = ",".join(member.spec.encoder for member in members.values())
        return ModelSpec(ENSEMBLE, encoders, first.task, first.class_names, first.channels, first.target)
    if kind != "six-model":
        return members["segmenter" if kind == "two-stage" else "network"].spec
    first = members["segmenter-1"].spec
    return ModelSpec("six-model", first.encoder, "multilabel", first.class_names, first.channels)


def gate_for(kind: str, members: dict[str, WeightsFile], mode: str = "hard", c: float = 1.0) -> Gate:
    """Return the gate that fits a system's members, with the thresholds that each has by itself.

    Args:
        kind: a name of ``KINDS``.
        members: the weights files, by role.
        mode: see ``Gate``.
        c: see ``Gate``.
    """
    if kind == ENSEMBLE:
        return Gate()
    if kind == "six-model":
        return Gate(mode, members["binary"].label_thresholds[0], members["multilabel"].label_thresholds, c)
    judge = members["classifier" if kind == "two-stage" else "network"]
    if judge.spec.task == "classify-binary":
        return Gate(mode, judge.label_thresholds[0], None, c)
    return Gate(mode, None, judge.label_thresholds, c)


def read_system(path: Path) -> SystemFile:
    """Read a system file and the weights files that it names.

    Raises:
        InputError: not there, not a system file, incomplete, or with members that are missing, changed or do not fit
            together; one line that names the file and what to do.
    """
    again = "train or fetch the system again"
    if not path.is_file():
        raise InputError(f"{path}: no such system file; name one, or train one with Train.py -system")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a JSON file, or damaged ({error}); {again}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: a JSON file, but not a system file; point -weights_dir at one of *{SYSTEM_SUFFIX}")
    if content.get("version") != VERSION:
        raise InputError(f"{path}: format version {content.get('version')}, this program reads {VERSION}; update it")
    wrong = set(content) - {"format", "version"} - OPTIONAL ^ set(KEYS)
    if wrong:
        raise InputError(f"{path}: expected the entries {', '.join(KEYS)}; see {', '.join(sorted(wrong))}; {again}")
    try:
        return _System(path, content).read()
    except _Wrong as error:
        raise InputError(f"{path}: {error}") from None


class _Wrong(Exception):
    """What is wrong with an entry, and what to do."""


class _System:
    """Reads the entries of a system file, each with its own complaint."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path, self.content = path, content

    def read(self) -> SystemFile:
        kind = self.content["kind"]
        if kind not in KINDS:
            raise _Wrong(f"kind {kind!r} is unknown{nearest(str(kind), KINDS)}; choose from {', '.join(KINDS)}")
        names = self.content["classes"]
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise _Wrong("classes: expected a list of names")
        members = self._members(kind, tuple(names))
        fitting = gate_for(kind, members)
        known = spec_of(kind, members).scored_names
        if known != tuple(names):
            raise _Wrong(f"classes are {', '.join(names)}, but the members know {', '.join(known)}")
        return SystemFile(
            kind=kind,
            members=members,
            gate=self._gate(fitting, names),
            decision=Decision(
                tuple(self._number("thresholds", name, 0, 1) for name in self._classes("thresholds", names)),
                tuple(self._whole("min_areas", name) for name in self._classes("min_areas", names)),
                tuple(self._limit("max_areas", name) for name in self._classes("max_areas", names)),
                self._high_thresholds(names),
            ),
            tta=self._choice("tta", self.content["tta"], get_args(StoredTta)),
            metrics=self._plain("metrics"),
            provenance=self._plain("provenance"),
            source=self.path,
            member_weights=self._member_weights(kind, members),
        )

    def _members(self, kind: str, names: tuple[str, ...]) -> dict[str, WeightsFile]:
        given = self.content["members"]
        wanted = roles(kind, names, len(given) if isinstance(given, dict) else 1)
        if not isinstance(given, dict) or set(given) != set(wanted):
            have = ", ".join(given) if isinstance(given, dict) else repr(given)
            raise _Wrong(
                f"members are {have or 'none'}; {_a(kind)} has {', '.join(wanted)}{' and so on' if kind == ENSEMBLE else ''}"
            )
        members = {role: self._member(role, given[role]) for role in wanted}
        for role, member in members.items():
            self._check(role, wanted[role], member.spec)
        if kind == ENSEMBLE:
            wrong = misfit(members)
            if wrong:
                raise _Wrong(wrong)
            return members
        first = next(iter(members.values())).spec
        for role, member in members.items():
            if (member.spec.class_names, member.spec.channels) != (first.class_names, first.channels):
                raise _Wrong(
                    f"members {next(iter(members))} and {role} were trained on other classes or channels; name weights"
                    " that belong together"
                )
        wrong = depth_misfit(members.values())
        if wrong:
            raise _Wrong(wrong)
        if kind == "two-stage":
            drawn = members["segmenter"].spec.scored_names
            if members["classifier"].spec.label_names not in (("defect",), drawn):
                raise _Wrong("the classifier tells other classes than the segmenter draws; name weights that fit")
        sizes = {member.input_size for role, member in members.items() if role.startswith("segmenter")}
        if len(sizes) > 1:
            raise _Wrong("the segmenters take different image sizes; name weights that belong together")
        return members

    def _member(self, role: str, given: Any) -> WeightsFile:
        if not isinstance(given, dict) or set(given) != {"file", "sha256"} or not all(map(_is_text, given.values())):
            raise _Wrong(f"member {role}: expected file and sha256")
        inside = PurePosixPath(given["file"])
        if inside.is_absolute() or "\\" in given["file"] or ":" in given["file"]:
            raise _Wrong(f"member {role}: {given['file']} is not a relative path with slashes; write it that way")
        path = self.path.parent / inside
        if not path.is_file():
            raise _Wrong(f"member {role}: no file {path}; put it there, or train or fetch the system again")
        try:
            return load(path, given["sha256"])
        except OtherFileError as error:
            raise _Wrong(f"member {role}: {error}") from None

    def _check(self, role: str, wanted: Role, spec: ModelSpec) -> None:
        have = f"member {role} is {spec.architecture} for -task {spec.task}"
        if spec.task not in wanted.tasks:
            raise _Wrong(f"{have}; it has to be for {' or '.join(wanted.tasks)}")
        if wanted.architecture not in (None, spec.architecture):
            raise _Wrong(f"{have}; it has to be {wanted.architecture}")
        if wanted.target is not None and spec.target != wanted.target:
            raise _Wrong(f"member {role} is for class {spec.target}; it has to be for {wanted.target}")

    def _gate(self, fitting: Gate, names: list[str]) -> Gate:
        given = self.content["gate"]
        if not isinstance(given, dict) or set(given) != {"mode", "image", "classes", "c"}:
            raise _Wrong("gate: expected mode, image, classes and c")
        for entry in ("image", "classes"):
            if (given[entry] is None) != (getattr(fitting, entry) is None):
                word = "no such label, write null" if given[entry] is not None else "such labels, give thresholds"
                raise _Wrong(f"gate {entry}: the members have {word}")
        image = None if given["image"] is None else _number("gate image", given["image"], 0, 1)
        classes = None
        if given["classes"] is not None:
            if not isinstance(given["classes"], dict) or list(given["classes"]) != names:
                raise _Wrong(f"gate classes: expected a threshold for each of {', '.join(names)}, in this order")
            classes = tuple(_number(f"gate of class {name}", given["classes"][name], 0, 1) for name in names)
        mode = self._choice("gate mode", given["mode"], MODES)
        return Gate(mode, image, classes, _number("gate c", given["c"], 1, math.inf))

    def _classes(self, entry: str, names: list[str]) -> list[str]:
        given = self.content[entry]
        if not isinstance(given, dict) or list(given) != names:
            raise _Wrong(f"{entry}: expected a number for each of {', '.join(names)}, in this order")
        return names

    def _number(self, entry: str, name: str, low: float, high: float) -> float:
        return _number(f"{entry} of class {name}", self.content[entry][name], low, high)

    def _whole(self, entry: str, name: str, least: int = 0) -> int:
        number = self._number(entry, name, least, math.inf)
        if number != int(number):
            raise _Wrong(f"{entry} of class {name}: {number} is no whole number of pixels")
        return int(number)

    def _high_thresholds(self, names: list[str]) -> tuple[float, ...]:
        entry = "high_thresholds"
        if entry not in self.content:
            return ()
        return tuple(self._number(entry, name, 0, 1) for name in self._classes(entry, names))

    def _member_weights(self, kind: str, members: dict[str, WeightsFile]) -> tuple[float, ...]:
        entry = "member_weights"
        if entry not in self.content:
            return ()
        given = self.content[entry]
        if kind != ENSEMBLE:
            raise _Wrong(f"{entry}: only an ensemble has some; leave them out")
        if not isinstance(given, dict) or set(given) != set(members):
            raise _Wrong(f"{entry}: expected a number for each of {', '.join(members)}")
        weights = tuple(_number(f"{entry} of {role}", given[role], 0, math.inf) for role in members)
        if not any(weights):
            raise _Wrong(f"{entry}: all are 0; give the networks that count a number above it")
        return weights

    def _limit(self, entry: str, name: str) -> int | None:
        return None if self.content[entry][name] is None else self._whole(entry, name, 1)

    def _plain(self, entry: str) -> dict[str, Any]:
        if not isinstance(self.content[entry], dict):
            raise _Wrong(f"{entry}: expected entries in braces")
        return self.content[entry]

    def _choice(self, entry: str, word: Any, choices: tuple[str, ...]) -> str:
        if word not in choices:
            raise _Wrong(f"{entry} {word!r}: choose {' or '.join(choices)}")
        return word


def _reference(path: Path, member: WeightsFile) -> dict[str, str]:
    if member.source is None:
        raise InputError(f"{path}: a member of the system is not in a file yet; save it first")
    try:
        inside = Path(os.path.relpath(member.source.resolve(), path.parent.resolve()))
    except ValueError:  # another drive of Windows
        raise InputError(f"{path}: no relative path leads to {member.source}; put both on one drive") from None
    return {"file": inside.as_posix(), "sha256": digest(member.source)}


def _a(kind: str) -> str:
    return "an ensemble" if kind == ENSEMBLE else f"a {kind} system"


def _number(entry: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high or value == math.inf:
        where = f"{low:g} or more" if high == math.inf else f"{low:g}..{high:g}"
        raise _Wrong(f"{entry}: {value!r} is not a number {where}")
    return float(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
