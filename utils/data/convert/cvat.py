"""Read annotations of CVAT: the XML of "CVAT for images 1.1"."""

from pathlib import Path

from config import ConvertConfig
from utils.data.convert.cvat_file import CvatImage, decode_runs, read_cvat_file
from utils.data.convert.drawn import Drawn, about_unlisted, labels_of
from utils.data.convert.labels import Labels, Skipping, some
from utils.data.convert.located import locate
from utils.data.convert.shapes import Ellipse, Line, Outline, Patch, Shape, box, read_corners, read_numbers
from utils.data.listing import name_in
from utils.errors import InputError
from utils.text import plural


def read_cvat(config: ConvertConfig) -> Labels:
    """Read the shapes of each image; an image without any is clean.

    Args:
        config: ``images``, ``annotations`` (annotations.xml), ``class_names`` (none: the labels of the task, in their
            order) and ``skip_bad``.

    Raises:
        InputError: a malformed file, a missing image, or a shape that cannot be read.
    """
    if config.images is None or config.annotations is None:
        raise InputError("convert -from cvat needs -images FOLDER and -annotations FILE, or -archive EXPORT.zip")
    if not config.images.is_dir():
        raise InputError(f"{config.images}: no such folder; -images expects the folder of the images")
    content = read_cvat_file(config.annotations)
    skipping = Skipping(config.skip_bad)
    drawn: dict[str, Drawn] = {}
    for image in content.images:
        written = image.attributes.get("name", "")
        name = written
        try:
            subset = image.attributes.get("subset", "")
            path = locate(config.images, f"{subset}/{written}" if subset else written, content.file)
            name = name_in(config.images, path)
            if name in drawn:
                raise InputError(f"{content.file}: lists image {name} twice; export one task at a time")
            found = Drawn(path, str(content.file), _size(content.file, image))
            for kind, attributes in image.shapes:
                label, shape = _shape(f"{content.file}: {name}: {kind}", kind, attributes)
                found.shapes.append((label, shape))
            drawn[name] = found
        except InputError as error:
            skipping.leave_out(name, error)
    notes = about_unlisted(config.images, [image.path for image in drawn.values()], content.file, [config.dir])
    clean = [name for name, image in drawn.items() if not image.shapes]
    if clean and len(clean) < len(drawn):
        notes.append(f"{plural(len(clean), 'image')} without a shape taken as clean: {some(clean)}")
    return labels_of(drawn, content.labels, config, skipping, notes)


def _size(file: Path, image: CvatImage) -> tuple[int, int] | None:
    try:
        return int(image.attributes["height"]), int(image.attributes["width"])
    except KeyError:
        return None
    except ValueError:
        raise InputError(f"{file}: {image.attributes.get('name')}: width or height is no number; correct it") from None


def _shape(where: str, kind: str, attributes: dict[str, str]) -> tuple[str, Shape]:
    """Make a shape of an element: its label and itself."""
    label = attributes.get("label", "")
    if not label.strip():
        raise InputError(f"{where}: has no label; correct or remove it")
    where = f"{where} {label!r}"
    if kind == "mask":
        return label, _mask(where, attributes)
    if kind in ("box", "ellipse"):
        sides = ("xtl", "ytl", "xbr", "ybr") if kind == "box" else ("cx", "cy", "rx", "ry")
        one, two, three, four = read_numbers(where, [attributes.get(side) for side in sides])
        (degrees,) = read_numbers(where, [attributes.get("rotation", "0")])
        make = box if kind == "box" else Ellipse
        return label, make(one, two, three, four, degrees)
    if kind in ("cuboid", "skeleton"):
        raise InputError(f"{where}: labels no area of the image; draw a polygon or a mask, or remove it")
    pairs = [pair.split(",") for pair in attributes.get("points", "").split(";")]
    if kind == "polygon":
        return label, Outline(read_corners(where, pairs, 3))
    return label, Line(read_corners(where, pairs, 1), joined=kind == "polyline")


def _mask(where: str, attributes: dict[str, str]) -> Patch:
    try:
        x, y = int(attributes.get("left", "")), int(attributes.get("top", ""))
    except ValueError:
        raise InputError(f"{where}: its mask lacks left or top; correct or remove it") from None
    return Patch(where, x, y, lambda height, width: decode_runs(where, attributes, (height, width))[0])
