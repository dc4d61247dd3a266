"""Train the networks of one run one after another, each in a run folder of its own; what is trained stays as it is."""

import dataclasses
import gc
from pathlib import Path

import torch

from config import TrainConfig
from utils.commands.train_network import train_network
from utils.settings import note_given
from utils.training.engine import SteelEngine
from utils.training.run_folder import Run, new_run, open_run
from utils.weights.finding import find, list_weights
from utils.weights.run_files import SETTINGS


def train_members(run: Run, members: dict[str, TrainConfig], engine: SteelEngine) -> dict[str, Path]:
    """Train, continue or just find each network.

    Args:
        run: of the whole; each network has its role's folder in it.
        members: settings of each network, by role; each has the split that is its own.
        engine: of this process.

    Returns:
        The weights files, by role.

    Raises:
        InputError: see ``train_network``.
        KeyboardInterrupt: Ctrl-C or SIGTERM.
    """
    files = {}
    for number, (role, member) in enumerate(members.items(), start=1):
        if engine.is_main_process:
            print(f"\nnetwork {number} of {len(members)}, {role}: {run.folder / role}", flush=True)
        files[role] = _train_member(run, role, member, engine)
        # What a training leaves refers to itself; its decoded images would be there when the next asks for room.
        gc.collect()
        if engine.device.type == "cuda":
            torch.cuda.empty_cache()
    return files


def _train_member(run: Run, role: str, member: TrainConfig, engine: SteelEngine) -> Path:
    """Train, continue or just find one network; give its weights file."""
    home = run.folder / role
    begun = (home / SETTINGS).exists()
    finished = begun and bool(list_weights(home))
    one = None if finished else _member_run(run, home, member, begun)
    engine.wait_for_everyone()  # all processes have looked before the first one writes
    if one is not None:
        return train_network(one).weights
    if engine.is_main_process:
        print("trained already")
    return find(home)


def _member_run(run: Run, home: Path, member: TrainConfig, begun: bool) -> Run:
    """Return the run of one network, in the folder ``home``: one that was begun goes on."""
    if not begun:
        one = new_run(dataclasses.replace(member, out=home))
    else:
        one = open_run(note_given(TrainConfig(resume=home, **run.changes), {"resume", *run.changes}))
    return dataclasses.replace(one, tests=False)
