"""Which reader takes which source, which flags mean something for it, and what an export has where."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from config import ConvertConfig
from utils.data.convert.archives import unpacked
from utils.data.convert.coco import read_coco
from utils.data.convert.colour_masks import CLASSES, read_colour_masks
from utils.data.convert.cvat import read_cvat
from utils.data.convert.index_masks import read_index_masks
from utils.data.convert.labelme import read_labelme
from utils.data.convert.labels import Labels
from utils.data.convert.labelstudio import read_labelstudio
from utils.data.convert.supervisely import META, read_supervisely
from utils.data.convert.yolo import read_yolo
from utils.data.dataset_folder import open_dataset
from utils.errors import InputError
from utils.settings import flag_of, given_fields, note_given

READERS = {
    "index-masks": read_index_masks,
    "colour-masks": read_colour_masks,
    "coco": read_coco,
    "yolo": read_yolo,
    "cvat": read_cvat,
    "labelstudio": read_labelstudio,
    "labelme": read_labelme,
    "supervisely": read_supervisely,
}
_ALWAYS = {"source", "dir", "split", "to", "link"}
_READING = _ALWAYS | {"images", "archive", "class_names", "skip_bad"}
# Source -> the flags that mean something for it.
USED = {
    "index-masks": _READING | {"masks", "mask_threshold", "mask_values", "ignore_value"},
    "colour-masks": _READING | {"masks", "colours"},
    "coco": _READING | {"annotations"},
    "yolo": _READING | {"annotations"},
    "cvat": _READING | {"annotations"},
    "labelstudio": _READING | {"annotations", "masks"},
    "labelme": _READING | {"annotations"},
    "supervisely": (_READING - {"images"}) | {"annotations"},
    "dataset": _ALWAYS | {"out", "masks", "weights_dir"},
    "network": _ALWAYS | {"images", "weights_dir"},
}


def target_of(config: ConvertConfig) -> str:
    """Return the layout to write: the flag's, else a dataset folder, or index masks of one."""
    return config.to or ("index-masks" if config.source == "dataset" else "dataset")


def check_flags(config: ConvertConfig) -> None:
    """Check that each flag means something for the source; raises ``InputError`` for one that does not."""
    target = target_of(config)
    used = USED[config.source] - ({"link"} if target == "index-masks" else set())  # which have no images
    unused = sorted(given_fields(config) - used)
    if unused:
        raise InputError(f"{flag_of(unused[0])}: -from {config.source} does not use it; leave it out")
    if config.source == "dataset" and target == "dataset":
        raise InputError("-from dataset -to dataset: is one already; name another layout with -to")
    if config.source == "dataset" and config.masks is not None and (target != "index-masks" or config.out is not None):
        raise InputError(
            "-masks: with -from dataset it is the folder of index masks to write; name the folder with -out"
        )
    if config.archive is not None and config.link and not config.archive.is_dir():
        raise InputError(
            "-link: what is unpacked of an archive goes away again; leave -link out, or unpack it yourself"
        )


def read_source(config: ConvertConfig) -> Labels:
    """Read the labels of a source; raises ``InputError``."""
    if config.source == "dataset":
        return read_dataset(config)
    return READERS[config.source](config)


def read_dataset(config: ConvertConfig) -> Labels:
    """Read a side of a dataset folder: ``dir`` and ``split`` of the settings."""
    dataset = open_dataset(config.dir, config.split)
    annotations = dataset.annotations
    codes = {name: annotations.runs(name) for name in dataset.images}
    images = {name: dataset.path(name) for name in dataset.images}
    return Labels(images, codes, annotations.class_names, ignored=dict(annotations.ignored))


@contextlib.contextmanager
def opened_source(config: ConvertConfig) -> Iterator[ConvertConfig]:
    """Yield the settings with images, masks and annotations of ``archive`` named, where the flags do not name them."""
    if config.archive is None:
        yield config
        return
    with unpacked(config.archive, config.dir) as folder:
        yield _found_in(config, _root(folder))


def _root(folder: Path) -> Path:
    """Return the folder of an export: archives often have one folder, and everything in it."""
    for _ in range(3):
        entries = [path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX"))]
        if len(entries) != 1 or not entries[0].is_dir() or entries[0].is_symlink():
            break
        folder = entries[0]
    return folder


def _found_in(config: ConvertConfig, root: Path) -> ConvertConfig:
    """Name what an export has where its program puts it."""
    found: dict[str, Path] = {}
    source = config.source
    if source == "coco":
        found["annotations"] = _one(root, "*.json", "a COCO JSON file", ("_annotations.coco.json", "instances_*.json"))
        found["images"] = _first(found["annotations"].parent, root, names=("images",))
    elif source == "yolo":
        found["annotations"] = _first(root, names=("labels", "train/labels", "labels/train"))
        found["images"] = _first(root, names=("images", "train/images", "images/train"))
        if _several_sides(root):
            found = {"annotations": root, "images": root}
    elif source == "cvat":
        found["annotations"] = _one(root, "*.xml", "annotations.xml", ("annotations.xml",))
        found["images"] = _first(root, names=("images",))
    elif source == "labelstudio":
        found["annotations"] = _one(root, "*.json", "the JSON of Label Studio", ("tasks.json", "result.json"))
        found["images"] = _first(root, names=("images",))
    elif source == "supervisely":
        found["annotations"] = _one(root, META, f"{META} of a project", (META,)).parent
    elif source == "colour-masks":
        found["masks"] = root / CLASSES if (root / CLASSES).is_dir() else _first(root, names=("masks",))
        found["images"] = _first(root, names=("JPEGImages", "images"))
    elif source == "index-masks":
        found["masks"], found["images"] = _first(root, names=("masks", "labels")), _first(root, names=("images",))
    else:
        found["images"] = root
    given = given_fields(config)
    changes: dict[str, Any] = {name: path for name, path in found.items() if name not in given}
    return note_given(replace(config, **changes), given)


def _several_sides(root: Path) -> bool:
    return sum((root / side / "labels").is_dir() for side in ("train", "valid", "val", "test")) > 1


def _first(*folders: Path, names: tuple[str, ...]) -> Path:
    """Return the first folder of these names, else the first of the folders themselves."""
    for folder in folders:
        for name in names:
            if (folder / name).is_dir():
                return folder / name
    return folders[0]


def _one(root: Path, pattern: str, what: str, preferred: tuple[str, ...]) -> Path:
    """Find the one file of an export that has the labels; raises ``InputError`` for none and for several."""
    for one in (*preferred, pattern):
        files = sorted(path for path in root.rglob(one) if path.is_file())
        if len(files) == 1:
            return files[0]
        if files:
            listed = ", ".join(path.relative_to(root).as_posix() for path in files[:3])
            raise InputError(f"-archive: has several files that may be {what} ({listed}); name one with -annotations")
    raise InputError(f"-archive: has no file that may be {what}; export it in this layout, or choose another -from")
