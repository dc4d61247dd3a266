"""Write networks that work together as a folder: a file for each, how the gate joins them, and a program that runs them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.files import write_text
from utils.weights.same_classes import channel_order
from utils.weights.system_file import ENSEMBLE, SystemFile

# Who is asked first, and whose masks are drawn, by their roles.
JUDGES: dict[str, tuple[str, ...]] = {
    "two-stage": ("classifier",),
    "six-model": ("binary", "multilabel"),
    ENSEMBLE: (),
}
RUNNER = "run.py"
ABOUT = "system.json"

_OPEN = {
    "onnx": (
        "onnxruntime",
        "",
        "onnxruntime.InferenceSession(HERE / name)",
        'networks[role].run(None, {"images": image[None]})[0][0]',
    ),
    "openvino": (
        "openvino",
        "core = openvino.Core()  # one for all: two that are freed would take the stack for signals along\n",
        'core.compile_model(HERE / name, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})',
        "networks[role](image[None])[0][0]",
    ),
}
_DECIDE = """    levels = np.array(probabilities)[:, None, None]
    return logits >= np.log(levels / (1 - levels)).astype(np.float32)
"""
_DECIDE_MULTICLASS = """    levels = np.array(probabilities)[:, None, None]  # channel 0 is the background
    likely = (1 / np.exp(logits - logits.max(0)).sum(0) >= levels) & (levels < 1)
    return likely & (logits.argmax(0) == 1 + np.arange(len(levels))[:, None, None])
"""
_TURN_AWAY = """            logits[1:][~passes] = -1e4
"""
_DRAWN = 'run(drawer["network"], image)'
_DRAWN_BY_ALL = """sum(
                one["weight"] * run(one["network"], image)[one["channels"]].astype(float) for one in drawer["mean"]
            ).astype(np.float32)"""
_PROGRAM = """import json, sys
from pathlib import Path
import cv2, numpy as np, {library}
from PIL import Image

HERE = Path(__file__).parent
about = json.loads((HERE / "system.json").read_text("utf-8"))
{first}networks = {{role: {opened} for role, name in about["files"].items()}}
run = lambda role, image: {run}
np.seterr(divide="ignore")  # of probabilities 0 and 1


def decide(logits, probabilities):  # the pixels of each class that reach its probability
{decide}

def keep(mask, sure, smallest, largest):  # connected defects of these sizes in pixels that have a sure pixel
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    areas, seeds = (np.bincount(part.ravel(), minlength=count) for part in (labels, labels[sure]))
    return mask & ((areas >= smallest) & (areas <= (largest or np.inf)) & (seeds > 0))[labels]


def inspect(image):  # (H, W, channels) uint8 -> (classes, H, W) bool
    passes, areas, c = np.ones(len(about["classes"]), bool), np.array(about["min_areas"]), about["gate"]["c"]
    masks = np.zeros((len(passes), *image.shape[:2]), bool)
    for judge in about["judges"]:  # the next one is asked about what this one lets through
        if passes.any():
            judged = 1 / (1 + np.exp(-run(judge["network"], image)))
            passes = passes & (judged >= judge["thresholds"])
    if about["gate"]["mode"] == "soft":  # what is unlikely has to be larger
        areas = np.ceil(areas * c - areas * (c - 1) * judged.astype(float) - 1e-6)
    for drawer in about["drawers"]:
        if passes[classes := drawer["classes"]].any():
            logits = {drawn}
{turn_away}            found, sure = (decide(logits, np.array(about[key])[classes]) for key in ("thresholds", "high_thresholds"))
            for k, mask, seeds in zip(classes, found, sure):
                masks[k] = passes[k] & keep(mask, seeds, areas[k], about["max_areas"][k])
    return masks


if __name__ == "__main__":
    for path in sys.argv[1:]:
        image = Image.open(path)
        if image.mode[0] in "IF" or ";16" in str(getattr(image, "tile", "")):  # Pillow would make it white, or dark
            sys.exit(path + ": has more than 8 bits; bring it to 8, by the bit_depth that the files *-parity.json name")
        masks = inspect(np.atleast_3d(np.asarray(image.convert(about["mode"]))))
        print(path, {{name: int(mask.sum()) for name, mask in zip(about["classes"], masks)}}, "pixels")
"""


@dataclass(frozen=True)
class SystemExportResult:
    """What was written.

    Attributes:
        folder: that holds all of it.
        members: what there is to say about each network, by role.
        megabytes: of the networks together.
    """

    folder: Path
    members: dict[str, str]
    megabytes: float

    def text(self) -> str:
        """Return it as text for a terminal."""
        parts = [f"{role}\n{text}" for role, text in self.members.items()]
        run = f"run: python {self.folder / RUNNER} IMAGE ..."
        return "\n".join([*parts, f"written: {self.folder}; {self.megabytes:.1f} MB of networks", run])


def runner(task: str, format: str, kind: str = "two-stage") -> str:
    """Return the program that runs an exported system as ``Predict_masks.py`` does, with one library for networks.

    Args:
        task: of the masks.
        format: ``onnx`` or ``openvino``.
        kind: of the system.
    """
    library, first, opened, run = _OPEN[format]
    softmax = task == "multiclass"
    return _PROGRAM.format(
        library=library,
        first=first,
        opened=opened,
        run=run,
        decide=_DECIDE_MULTICLASS if softmax else _DECIDE,
        drawn=_DRAWN_BY_ALL if kind == ENSEMBLE else _DRAWN,
        turn_away=_TURN_AWAY if softmax and kind != ENSEMBLE else "",
    )


def describe_system(system: SystemFile, files: dict[str, str], source: str) -> dict[str, Any]:
    """Return what the runner has to know, and what else a user may want.

    Args:
        system: the system.
        files: name of each network's file, by role.
        source: name of the system file.
    """
    spec, gate = system.spec, system.gate
    thresholds = [[gate.image] if gate.image is not None else None, list(gate.classes) if gate.classes else None]
    # Two judges have one kind of label each; a single one has the kind that the gate looks at.
    judges = [
        {"network": role, "thresholds": limits}
        for role, limits in zip(JUDGES[system.kind], [found for found in thresholds if found], strict=True)
    ]
    names = list(spec.scored_names)
    roles = [role for role in system.members if role not in JUDGES[system.kind]]
    classes = [[k] for k in range(len(names))] if system.kind == "six-model" else [list(range(len(names)))]
    if system.kind == ENSEMBLE:
        drawers: list[dict[str, Any]] = [{"mean": _mean(system), "classes": classes[0]}]
    else:
        drawers = [{"network": role, "classes": drawn} for role, drawn in zip(roles, classes, strict=True)]
    return {
        "system": source,
        "kind": system.kind,
        "task": spec.task,
        "classes": names,
        "channels": spec.channels,
        "mode": "RGB" if spec.channels == 3 else "L",
        "files": files,
        "judges": judges,
        "drawers": drawers,
        "gate": {"mode": gate.mode, "c": gate.c},
        "tta": system.tta,
        **system.decision.to_dict(),
    }


def _mean(system: SystemFile) -> list[dict[str, Any]]:
    """Return of each network of an ensemble its share in the mean, and which of its channels are the first one's."""
    weights = system.member_weights or (1.0,) * len(system.members)
    first = next(iter(system.members.values())).spec
    return [
        {"network": role, "weight": weight / sum(weights), "channels": list(channel_order(first, member.spec))}
        for (role, member), weight in zip(system.members.items(), weights, strict=True)
    ]


def write_system(folder: Path, system: SystemFile, files: dict[str, str], source: str, format: str) -> None:
    """Write what joins the networks that lie in a folder already."""
    about = describe_system(system, files, source)
    write_text(folder / ABOUT, json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    write_text(folder / RUNNER, runner(system.spec.task, format, system.kind))
