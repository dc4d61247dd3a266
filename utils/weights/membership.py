"""Which systems a weights file belongs to."""

import json
from pathlib import Path
from typing import Any

from utils.weights.weights_file import SYSTEM_SUFFIX


def systems_with(weights: Path) -> list[Path]:
    """List the system files beside a weights file, and in the folder above, that name it as a member, sorted."""
    here = weights.resolve().parent
    files = [path for folder in (here.parent, here) for path in sorted(folder.glob(f"*{SYSTEM_SUFFIX}"))]
    return [path for path in files if weights.resolve() in _members(path)]


def _members(system: Path) -> set[Path]:
    """Return the files that a system file names; none when it cannot be read, which is for its own command to tell."""
    try:
        content: Any = json.loads(system.read_text(encoding="utf-8"))
        return {(system.parent / member["file"]).resolve() for member in content["members"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()
