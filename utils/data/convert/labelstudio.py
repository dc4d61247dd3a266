"""Read annotations of Label Studio: its JSON, with brushes, bitmasks and outlines, and its folders of brush pictures."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from config import ConvertConfig
from utils.data.convert.brush_rle import FROM, BrushError, decode_brush
from utils.data.convert.drawn import Drawn, about_unlisted, labels_of
from utils.data.convert.labels import Labels, Skipping, refuse_other_size, some
from utils.data.convert.labelstudio_tasks import Task, find_image, read_tasks
from utils.data.convert.png_mask import from_base64, read_png_mask
from utils.data.convert.shapes import Ellipse, Line, Outline, Patch, Shape, read_corners, read_numbers, turned
from utils.data.folder_layout import read_class_names
from utils.data.images import open_image
from utils.data.listing import name_in
from utils.errors import InputError
from utils.text import plural

# What Label Studio's own converter calls the pictures of brushes; the name of the control may have dashes of its own.
PICTURE = re.compile(r"task-(?P<task>[^-]+)-annotation-(?P<annotation>[^-]+)-by-[^-]*-(?P<rest>.+)-\d+\.png")
ANGLES = (0, None)
# Results that say something about the image, and label no pixel.
WORDS = {"choices", "textarea", "rating", "number", "relation", "taxonomy", "pairwise", "datetime"}


def read_labelstudio(config: ConvertConfig) -> Labels:
    """Read what was drawn on each image; an annotation without a shape makes it clean, a task without one is left out.

    Args:
        config: ``images``, ``annotations`` (the JSON), ``masks`` (none, or the folder of brush pictures, named by the ids
            of the tasks), ``class_names`` (none: classes.txt beside the JSON, else the labels that occur, sorted) and
            ``skip_bad``.

    Raises:
        InputError: a malformed file, a missing image, or a shape that cannot be read.
    """
    if config.images is None or config.annotations is None:
        raise InputError(
            "convert -from labelstudio needs -images FOLDER and -annotations FILE, the JSON export, which also says of"
            " which image each task is"
        )
    if not config.images.is_dir():
        raise InputError(f"{config.images}: no such folder; -images expects the folder of the images")
    file = config.annotations
    tasks = read_tasks(file)
    declared = read_class_names(file.parent)
    pictures = None if config.masks is None else _pictures(config.masks, tasks, config.class_names or declared)
    skipping = Skipping(config.skip_bad)
    drawn: dict[str, Drawn] = {}
    open_tasks, several = [], []
    for task in tasks:
        name = task.image
        if task.results is None:
            open_tasks.append(name)
            continue
        try:
            path = find_image(config.images, task, file)
            name = name_in(config.images, path)
            if name in drawn:
                raise InputError(f"{file}: two tasks are about {name}; remove one")
            found = Drawn(path, str(file))
            if pictures is None:
                _take_results(found, f"{file}: {name}", task.results)
            else:
                found.shapes = [(label, _picture(path)) for label, path in pictures.get(_key(task), [])]
            drawn[name] = found
            several += [name] if task.several else []
        except InputError as error:
            skipping.leave_out(name, error)
    if not drawn and not skipping.left_out:
        raise InputError(f"{file}: no task has an annotation that a person submitted; proposals alone are no labels")
    notes = about_unlisted(config.images, [image.path for image in drawn.values()], file, [config.dir])
    if open_tasks:
        notes.append(f"left out {plural(len(open_tasks), 'task')} that nobody has submitted: {some(open_tasks)}")
    if several:
        notes.append(
            f"{plural(len(several), 'image')} with several annotations, of which the newest counts: {some(several)}"
        )
    clean = [name for name, image in drawn.items() if not image.shapes]
    if clean and len(clean) < len(drawn):
        notes.append(f"{plural(len(clean), 'image')} submitted without a shape taken as clean: {some(clean)}")
    return labels_of(drawn, declared, config, skipping, notes)


def _take_results(found: Drawn, where: str, results: list[dict[str, Any]]) -> None:
    """Add the shapes of an annotation to what was drawn on its image."""
    labels: dict[str, list[str]] = {}  # of results whose shape and label are two entries of one id
    for result in results:
        if names := _labels(result):
            labels.setdefault(str(result.get("id")), names)
    taken = set()
    for index, result in enumerate(results):
        value = result.get("value")
        kind = str(result.get("type", ""))
        if not isinstance(value, dict) or kind in WORDS or not _is_shape(value):
            continue
        names = _labels(result) or labels.get(str(result.get("id")), [])
        if not names:
            raise InputError(f"{where}: shape {index} has no label; give it one or remove it")
        key = (str(result.get("id", index)), tuple(names))
        if key in taken:  # the same shape, once for its form and once for its label
            continue
        taken.add(key)
        shape, size = _shape(f"{where}: {names[0]!r}", result, value)
        if found.size not in (None, size):
            raise InputError(f"{where}: shapes of different image sizes; submit the task anew")
        found.size = size
        found.shapes += [(name, shape) for name in names]


def _labels(result: dict[str, Any]) -> list[str]:
    value = result.get("value")
    if not isinstance(value, dict):
        return []
    for key, names in value.items():
        if key.endswith("labels") and isinstance(names, list):
            return [str(name) for name in names]
    return []


def _is_shape(value: dict[str, Any]) -> bool:
    return any(key in value for key in ("rle", "points", "imageDataURL", "x"))


def _shape(where: str, result: dict[str, Any], value: dict[str, Any]) -> tuple[Shape, tuple[int, int]]:
    """Make a shape of a result, and (height, width) of its image."""
    height, width = result.get("original_height"), result.get("original_width")
    if not isinstance(height, int) or not isinstance(width, int) or min(height, width) < 1:
        raise InputError(f"{where}: lacks original_height or original_width; export it anew")
    if result.get("image_rotation") not in ANGLES:
        raise InputError(f"{where}: the image was turned in Label Studio; turn it back, or save it turned")
    if "rle" in value:
        return Patch(where, 0, 0, lambda h, w: _brush(where, value["rle"], h, w)), (height, width)
    if "imageDataURL" in value:
        return Patch(where, 0, 0, lambda h, w: _bitmask(where, value["imageDataURL"], h, w)), (height, width)
    scale = np.array([width, height]) / 100  # percent
    if "points" in value:
        corners = read_corners(where, value["points"], 1)
        if len(corners) < 3:
            return Line(corners * scale), (height, width)
        return Outline(corners * scale), (height, width)
    sides = [side for side in ("x", "y", "width", "height", "radiusX", "radiusY", "rotation") if side in value]
    numbers = dict(zip(sides, read_numbers(where, [value[side] for side in sides]), strict=True))
    x, y = np.array([numbers["x"], numbers.get("y", np.nan)]) * scale
    degrees = numbers.get("rotation", 0.0)
    if "radiusX" in numbers and "radiusY" in numbers:
        half_width, half_height = np.array([numbers["radiusX"], numbers["radiusY"]]) * scale
        return Ellipse(x, y, half_width, half_height, degrees), (height, width)
    if "height" not in numbers or "width" not in numbers:
        return Line(read_corners(where, [[x, y]], 1), joined=False), (height, width)
    far_x, far_y = x + numbers["width"] * scale[0], y + numbers["height"] * scale[1]
    corners = read_corners(where, [[x, y], [far_x, y], [far_x, far_y], [x, far_y]], 4)
    return Outline(turned(corners, corners[0], degrees), is_box=True), (height, width)


def _brush(where: str, code: Any, height: int, width: int) -> np.ndarray:
    try:
        return decode_brush(code if isinstance(code, list) else [], height, width)
    except BrushError as error:
        raise InputError(f"{where}: its brush code {error}; correct or remove it") from None


def _bitmask(where: str, address: Any, height: int, width: int) -> np.ndarray:
    head, _, text = str(address).partition(",")
    if not head.startswith("data:image/png;base64"):
        raise InputError(f"{where}: its bitmask is no PNG picture as text; correct or remove it")
    mask = read_png_mask(where, from_base64(where, text), (height, width))
    if mask.shape != (height, width):
        raise InputError(
            f"{where}: its bitmask is {mask.shape[0]}x{mask.shape[1]}, the image {height}x{width}; correct it"
        )
    return mask


def _key(task: Task) -> tuple[str, str]:
    return task.number, task.annotation


def _pictures(
    folder: Path, tasks: list[Task], names: tuple[str, ...] | None
) -> dict[tuple[str, str], list[tuple[str, Path]]]:
    """Find the pictures of brushes by task and annotation: label and file of each.

    A name has the control, a dash and the label; where a label may begin is known by ``names``, by the controls of the
    JSON, or taken to be behind the first dash.
    """
    if not folder.is_dir():
        raise InputError(f"-masks {folder}: no such folder; expected the brush pictures of Label Studio")
    controls = {str(result["from_name"]) for task in tasks for result in task.results or [] if result.get("from_name")}
    known = {name.replace("/", "-").replace("\\", "-"): name for name in names or ()}
    by_task: dict[tuple[str, str], list[tuple[str, Path]]] = {}
    for path in sorted(folder.rglob("*.png")):
        match = PICTURE.fullmatch(path.name)
        if match is None:
            raise InputError(
                f"{path}: is not called as Label Studio calls brush pictures"
                " (task-1-annotation-2-by-3-CONTROL-LABEL-0.png); move it away"
            )
        rest = match["rest"]
        ends = [name for name in known if rest.endswith(f"-{name}")]
        starts = [control for control in controls if rest.startswith(f"{control}-")]
        if ends:
            label = known[max(ends, key=len)]
        elif starts:
            label = rest[len(max(starts, key=len)) + 1 :]
        else:
            label = rest.partition("-")[2] or rest
        by_task.setdefault((match["task"], match["annotation"]), []).append((label, path))
    if not by_task:
        raise InputError(f"-masks {folder}: holds no PNG pictures; expected the brush pictures of Label Studio")
    if not by_task.keys() & {_key(task) for task in tasks}:
        first = next(iter(by_task))
        raise InputError(
            f"-masks {folder}: no task of the JSON is {first[0]} with annotation {first[1]}; export both anew"
        )
    return by_task


def _picture(path: Path) -> Patch:
    def read(height: int, width: int) -> np.ndarray:
        refuse_other_size(path, "the image", (height, width))
        with open_image(path) as picture:
            return np.asarray(picture.convert("L")) >= FROM

    return Patch(str(path), 0, 0, read)
