"""Get, convert and check the images and labels that the other commands read."""

import difflib
from collections.abc import Callable, Sequence
from typing import Any

from config import (
    BalanceConfig,
    CheckConfig,
    CollectConfig,
    ConvertConfig,
    CopiesConfig,
    DownloadDataConfig,
    ExploreConfig,
    PackConfig,
    SelectConfig,
    SuspectConfig,
    SynthesiseConfig,
)
from utils.cli import BAD_INPUT, DONE, PROJECT_AND_VERSION, SOME_SKIPPED, parse, run
from utils.errors import InputError

PROG = "Prepare_data.py"

HELP = """usage: {prog} COMMAND [flags]

Get, convert and check the images and labels that the other commands read.

commands:
{commands}

{prog} COMMAND -h explains the flags of a command, {prog} -version shows the program's version.

examples:
  python {prog} download -dir data/severstal
  python {prog} convert -from index-masks -images photos -masks masks -class_names pit,crack -dir data/mine
  python {prog} check -dir data/mine
  python {prog} explore -dir data/mine"""


def download(config: DownloadDataConfig) -> int:
    """Fetch a competition's data."""
    from utils.data.kaggle import download as work

    print(work(config).text())
    print(f"next: python {PROG} check -dir {config.dir}")
    return DONE


def convert(config: ConvertConfig) -> int:
    """Convert between layouts of labels; exit code 3 when something was left out."""
    from utils.commands.convert import convert as work

    summary = work(config)
    print(summary.text())
    if config.source != "dataset" and config.to in (None, "dataset"):
        print(f"next: python {PROG} check -dir {config.dir}")
    return SOME_SKIPPED if summary.left_out else DONE


def check(config: CheckConfig) -> int:
    """Check a dataset folder; problems end with exit code 2."""
    from utils.data.checks import check as work

    report = work(config)
    print(report.text())
    return DONE if report.problems.empty else BAD_INPUT


def balance(config: BalanceConfig) -> int:
    """Choose the balanced subset."""
    from utils.data.splits import write_balanced as work

    print(work(config).text())
    return DONE


def synthesise(config: SynthesiseConfig) -> int:
    """Draw synthetic strips, or a coil."""
    if config.coil:
        return draw_coil(config)
    from utils.data.synthetic import synthesise as work

    print(work(config).text())
    return DONE


def draw_coil(config: SynthesiseConfig) -> int:
    """Draw a coil with what is true of it."""
    from utils.data.synthetic.coil.folder import draw_coil as work

    print(work(config).text())
    folder = config.dir
    tables = f"-coil {folder / 'coil.yaml'} -defects {folder / 'defects.csv'} -truth {folder / 'truth.json'}"
    print(f"next: python Map_coil.py -dir {folder} {tables} -out {folder}_map")
    return DONE


def explore(config: ExploreConfig) -> int:
    """Look at a dataset folder."""
    from utils.commands.explore import explore as work

    print(work(config).text())
    return DONE


def copies(config: CopiesConfig) -> int:
    """Look for copies."""
    from utils.commands.copies import copies as work

    print(work(config).text())
    return DONE


def select(config: SelectConfig) -> int:
    """Choose what to label next; exit code 3 when some images cannot be read."""
    from utils.commands.select import select as work

    result = work(config)
    print(result.text())
    return SOME_SKIPPED if result.skipped else DONE


def suspect(config: SuspectConfig) -> int:
    """Look for wrong labels."""
    from utils.commands.suspect import suspect as work

    print(work(config).text())
    return DONE


def collect(config: CollectConfig) -> int:
    """Make a dataset folder of reviewed images; exit code 3 when some are not there any more."""
    from utils.commands.collect import collect as work

    result = work(config)
    print(result.text())
    print(f"next: python {PROG} check -dir {config.dir}")
    return SOME_SKIPPED if result.left_out else DONE


def pack(config: PackConfig) -> int:
    """Pack a dataset folder."""
    from utils.data.packing import pack as work

    print(work(config).text())
    print(f"next: python Train.py -dir {config.out}")
    return DONE


# Name -> settings, what to do, what the help says.
COMMANDS: dict[str, tuple[type, Callable[[Any], int], str]] = {
    "download": (
        DownloadDataConfig,
        download,
        "Fetch a Kaggle competition's data (pip install kagglehub), or take it from a zip file or folder.",
    ),
    "convert": (
        ConvertConfig,
        convert,
        "Bring labels of other programs into a dataset folder, or a dataset folder and the proposals of a network to them.",
    ),
    "check": (
        CheckConfig,
        check,
        "Read every image and every label of a dataset folder and list all problems; exit code 2 when there are any.",
    ),
    "balance": (
        BalanceConfig,
        balance,
        "Write train_balanced.csv, about the same number of images of each class; the images need not be there.",
    ),
    "explore": (
        ExploreConfig,
        explore,
        "Write exploration.html: what a dataset folder holds, in figures, plots and examples, and exploration.json with the figures.",
    ),
    "copies": (
        CopiesConfig,
        copies,
        "Find images that show the same steel, inside a folder, between two or between the sides of a split; write copies.csv, copies.html and, with -keep one, what is left without copies.",
    ),
    "select": (
        SelectConfig,
        select,
        "Choose which images to label next, one of each picture, beside a random draw: select.csv and a folder of each list.",
    ),
    "suspect": (
        SuspectConfig,
        suspect,
        "Put the labels that are most likely wrong first: suspects.csv, suspects.html and a dataset folder of them to review.",
    ),
    "collect": (
        CollectConfig,
        collect,
        "Make a dataset folder, ready for Train.py, of what people reviewed on the page of Serve.py -save.",
    ),
    "pack": (
        PackConfig,
        pack,
        "Put the images of a dataset folder into a few large tar files, in a folder or a store, that Train.py reads in long pieces.",
    ),
    "synthesise": (
        SynthesiseConfig,
        synthesise,
        "Draw strips with defects of four classes and their labels, or a whole coil, to try the commands without any data.",
    ),
}


def main(argv: Sequence[str]) -> int:
    """Hand the flags to the command that is named first."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        commands = "\n".join(f"  {name:<12}{text}" for name, (_, _, text) in COMMANDS.items())
        print(HELP.format(prog=PROG, commands=commands))
        return DONE if argv else BAD_INPUT
    if argv[0] == "-version":
        print(PROJECT_AND_VERSION)
        return DONE
    name = argv[0]
    if name not in COMMANDS:
        nearest = difflib.get_close_matches(name, COMMANDS, n=1)
        meant = f", did you mean {nearest[0]}?" if nearest else ""
        raise InputError(f"{PROG}: no command {name}{meant}; choose from {', '.join(COMMANDS)}")
    config_class, work, text = COMMANDS[name]
    return work(parse(config_class, argv[1:], f"{PROG} {name}", text))


if __name__ == "__main__":
    run(main)
