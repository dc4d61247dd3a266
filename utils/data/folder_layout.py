"""Where a dataset folder has its images, its tables and the names of its classes."""

from pathlib import Path

from config import Side
from utils.data.listing import TEST_IMAGES, TRAIN_IMAGES
from utils.data.tables import CLASSES_FILE
from utils.errors import InputError
from utils.text import TOGETHER

# Of each side of a dataset folder: the folder of its images, and the table of their labels.
IMAGES: dict[Side, str] = {"train": TRAIN_IMAGES, "test": TEST_IMAGES}
LABELS: dict[Side, str] = {"train": "train.csv", "test": "test_labels.csv"}
# Pixels that count neither in the loss nor in scores, ImageId,EncodedPixels; the table may be missing.
IGNORED: dict[Side, str] = {"train": "ignore.csv", "test": "test_ignore.csv"}
TEST_TABLE = "test.csv"  # lists the test images


def ignore_table_of(labels: Path) -> str:
    """Return the name of the table of ignored pixels that belongs to a table of labels."""
    return next((IGNORED[side] for side, name in LABELS.items() if name == labels.name), IGNORED["train"])


def images_of(table: Path) -> Path:
    """Return the folder of the images that a table of a dataset folder is about."""
    return table.parent / IMAGES["test" if table.name in (LABELS["test"], IGNORED["test"]) else "train"]


def read_class_names(root: Path) -> tuple[str, ...] | None:
    """Read ``classes.txt`` of a dataset folder, one name a line; None when there is none."""
    file = root / CLASSES_FILE
    if not file.is_file():
        return None
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise InputError(f"{file}: not UTF-8 text; save it as UTF-8") from None
    names = tuple(line for line in lines if line)
    if not names:
        raise InputError(f"{file}: no class names; write one a line or remove the file")
    check_class_names(names, str(file))
    return names


def check_class_names(names: tuple[str, ...], source: str) -> None:
    """Check that classes can be told apart in all tables.

    Args:
        names: of the classes.
        source: where they stand, for messages.

    Raises:
        InputError: they cannot.
    """
    if len(set(names)) < len(names):
        raise InputError(f"{source}: a class name occurs twice; names must differ")
    if TOGETHER in names:
        raise InputError(f"{source}: a class is called {TOGETHER}, as all of them are in tables of scores; rename it")
