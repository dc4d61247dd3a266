"""Images among which copies are looked for: a side of a dataset folder, or a plain folder, with labels or without."""

from dataclasses import dataclass
from pathlib import Path

from config import Side
from utils.data.dataset_folder import Dataset, has_images, open_dataset
from utils.data.folder_layout import IMAGES, LABELS
from utils.data.listing import image_names
from utils.errors import InputError
from utils.files import link_or_copy


@dataclass(frozen=True)
class ImageSet:
    """Images, and their labels where there are some.

    Attributes:
        root: the dataset folder, or the plain folder itself.
        folder: of the images; of a packed dataset, what it would be.
        names: file names, sorted.
        labelled: the dataset with the labels; None: there are none.
    """

    root: Path
    folder: Path
    names: tuple[str, ...]
    labelled: Dataset | None

    def path(self, name: str) -> Path:
        """Return the path of an image, which need not be a file of its own: see ``PackedImage``."""
        return self.folder / name if self.labelled is None else self.labelled.path(name)

    def place(self, name: str, target: Path) -> None:
        """Put an image to another place too; see ``Dataset.place``."""
        if self.labelled is not None:
            self.labelled.place(name, target)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(self.path(name), target)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; () without labels."""
        return self.labelled.annotations.class_names if self.labelled else ()


def open_images(folder: Path, prefer: Side, flag: str) -> ImageSet:
    """Open the images of a folder.

    Args:
        folder: a dataset folder, its ``train_images/`` or ``test_images/``, or any folder of images.
        prefer: the side that is taken of a dataset folder that has both.
        flag: that named the folder, for messages.

    Raises:
        InputError: no such folder, no images, or malformed labels.
    """
    if not folder.is_dir():
        raise InputError(f"{flag} {folder}: no such folder; name a dataset folder or a folder of images")
    sides: tuple[Side, ...] = ("train", "test") if prefer == "train" else ("test", "train")
    for side in sides:
        if has_images(folder, side):
            return _side(folder, folder / IMAGES[side], side)
    for side in sides:  # the folder of a side itself
        if folder.resolve().name == IMAGES[side]:
            return _side(folder.resolve().parent, folder, side)
    return _plain(folder, folder)


def _side(root: Path, folder: Path, side: Side) -> ImageSet:
    if not (root / LABELS[side]).is_file() and folder.is_dir():
        return _plain(root, folder)
    dataset = open_dataset(root, side)
    return ImageSet(root, folder, dataset.images, dataset)


def _plain(root: Path, folder: Path) -> ImageSet:
    names = tuple(image_names(folder))
    if not names:
        raise InputError(f"{folder}: holds no images; name a dataset folder or a folder of images")
    return ImageSet(root, folder, names, None)
