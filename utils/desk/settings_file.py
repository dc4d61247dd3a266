"""The thresholds in force as a weights file, as ``Evaluate.py -calibrate`` writes it."""

import dataclasses
import datetime
import json
import re
from pathlib import Path
from typing import Any

from utils.decision.decision import Decision
from utils.errors import InputError
from utils.files import write_text
from utils.weights.finding import open_weights
from utils.weights.measured import decision_in_use, with_new_thresholds
from utils.weights.system_file import SystemFile
from utils.weights.weights_file import SYSTEM_SUFFIX


def write_settings(source: Path, decision: Decision, name: str, folder: Path, note: dict[str, Any]) -> Path:
    """Write weights with other thresholds.

    Args:
        source: the weights file or system file in use.
        decision: the thresholds and areas.
        name: of the new file, without digits of the sha256; "" that of the old one.
        folder: to write into, made if missing; a system file names its members by their places, and goes beside the old one.
        note: of who chose them, kept in the file's metrics.

    Returns:
        The file.

    Raises:
        InputError: a name that is none, or the old file cannot be read.
    """
    if name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        raise InputError("name: use letters, digits, points and dashes")
    weights = open_weights(source, None)
    in_use = decision_in_use(weights.decision, weights.label_thresholds)
    metrics = with_new_thresholds(weights.metrics, in_use)
    told = {"chosen_by_hand": {**note, "time": datetime.datetime.now().astimezone().isoformat(timespec="seconds")}}
    metrics = {**metrics, **told}
    stem = name or re.sub(r"-[0-9a-f]{8}$", "", source.name.removesuffix(".pth").removesuffix(SYSTEM_SUFFIX))
    if isinstance(weights, SystemFile):
        # As it stands beside its members, wherever this one is written.
        content = json.loads(source.read_text("utf-8"))
        numbers = decision.to_dict(weights.spec.scored_names)
        if not any(decision.high_thresholds):
            del numbers["high_thresholds"]
            content.pop("high_thresholds", None)
        path = folder / f"{stem}{SYSTEM_SUFFIX}"
        write_text(path, json.dumps({**content, **numbers, "metrics": metrics}, indent=2, ensure_ascii=False) + "\n")
        return path
    return dataclasses.replace(weights, decision=decision, metrics=metrics).save_named(folder, stem)
