"""Where images come from: a folder, a URL of one, or a manifest; listed as a stream of small tables.

A table has the column ``image``, the name of each image, and those of a manifest behind it.
"""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import Url
from utils.data.listing import NOT_UTF8, is_image_name, is_utf8, walk_images
from utils.data.parts import image_columns
from utils.data.stores import Store
from utils.errors import InputError
from utils.settings import nearest

ROWS = 8192  # of a table
MANIFESTS = (".csv", ".parquet")
IMAGE, URL = "image", "url"


def is_manifest(place: Path | Url) -> bool:
    """Check by its name whether a place is a manifest."""
    return str(place).lower().endswith(MANIFESTS)


@dataclass(frozen=True)
class Source:
    """The images that ``-images`` names.

    Attributes:
        place: the folder, image or manifest.
    """

    place: Path | Url

    @property
    def root(self) -> Path | Url:
        """The folder that names without a URL are relative to."""
        if not (is_manifest(self.place) or is_image_name(posixpath.basename(str(self.place)))):
            return self.place
        if isinstance(self.place, Url):
            return Url(str(self.place).rpartition("/")[0])
        return self.place.parent if self.place.is_file() else self.place

    def tables(self, out: Path | Url) -> Iterator[Any]:
        """List the images as ``pyarrow.Table``s of at most ``ROWS`` rows, in no order.

        Args:
            out: of the prediction; what lies in it is no image.

        Raises:
            InputError: no such folder or manifest, or one that cannot be read.
        """
        if is_manifest(self.place):
            yield from _manifest(self.place)
            return
        names: Iterable[str]
        if self.root != self.place:
            if not Store(self.place, "-images").is_file():
                raise InputError(f"-images {self.place}: no such file or folder")
            names = [posixpath.basename(str(self.place))]
        elif isinstance(self.place, Url):
            names = _of_store(self.place, out)
        else:
            if not self.place.exists():
                raise InputError(f"-images {self.place}: no such file or folder")
            if not self.place.is_dir():
                raise InputError(
                    f"-images {self.place}: is neither a folder, nor an image, nor a manifest (.csv, .parquet)"
                )
            names = walk_images(self.place, [out] if isinstance(out, Path) else ())
        yield from _tables(names)


def _tables(names: Iterable[str]) -> Iterator[Any]:
    import pyarrow as arrow

    gathered: list[str] = []
    for name in names:
        gathered.append(name)
        if len(gathered) == ROWS:
            yield arrow.table({IMAGE: arrow.array(gathered, arrow.string())})
            gathered = []
    if gathered:
        yield arrow.table({IMAGE: arrow.array(gathered, arrow.string())})


def _of_store(place: Url, out: Path | Url) -> Iterator[str]:
    """List the images below a URL: neither hidden ones, nor those in the results."""
    results = f"{str(out)[len(place) + 1 :]}/" if str(out).startswith(f"{place}/") else None
    for name in Store(place, "-images").walk():
        if results and name.startswith(results):
            continue
        if is_image_name(posixpath.basename(name)) and not any(part.startswith(".") for part in name.split("/")):
            if not is_utf8(name):
                raise InputError(f"-images {place}/{name!r}: {NOT_UTF8}")
            yield name


def _manifest(place: Path | Url) -> Iterator[Any]:
    """Read a manifest in steps; the types of a Parquet file stay, the columns of a CSV are text."""
    import pyarrow as arrow
    import pyarrow.csv as csv
    import pyarrow.parquet as parquet

    store = Store(place, "-images")
    if not store.is_file():
        raise InputError(f"-images {place}: no such manifest")
    try:
        if str(place).lower().endswith(".parquet"):
            with store.open() as file:
                whole = parquet.ParquetFile(file, buffer_size=2**20, pre_buffer=False)
                columns = _checked(place, whole.schema_arrow.names)
                for batch in whole.iter_batches(batch_size=ROWS, use_threads=False):
                    yield _cleaned(place, arrow.Table.from_batches([batch]), columns)
            return
        text = csv.ParseOptions(newlines_in_values=True)
        reading = csv.ReadOptions(block_size=2**20, use_threads=False)
        with store.open() as file:
            head = csv.open_csv(file, reading, text).schema.names
        columns = _checked(place, head)
        types = csv.ConvertOptions(column_types=dict.fromkeys(head, arrow.string()), strings_can_be_null=False)
        with store.open() as file:
            for batch in csv.open_csv(file, reading, text, types):
                yield _cleaned(place, arrow.Table.from_batches([batch]), columns)
    except (arrow.ArrowException, UnicodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"-images {place}: not a manifest ({reason}); write it anew as CSV or Parquet") from None


def _checked(place: Path | Url, columns: list[str]) -> list[str]:
    """Return the columns of a manifest, the names of images first."""
    clean = [name.strip().removeprefix("\ufeff") for name in columns]
    if IMAGE not in clean:
        shown = ", ".join(clean[:8])
        raise InputError(f"-images {place}: no column {IMAGE}{nearest(IMAGE, clean)}; it has {shown}")
    taken = sorted((set(clean) & set(image_columns().names)) - {IMAGE})
    if taken:
        raise InputError(f"-images {place}: the column {taken[0]} is one of the results; give it another name")
    if len(set(clean)) < len(clean):
        raise InputError(f"-images {place}: two columns have the same name; rename or remove one of them")
    return clean


def _cleaned(place: Path | Url, table: Any, columns: list[str]) -> Any:
    """Put the names first, as text, and refuse rows without one."""
    import pyarrow as arrow
    import pyarrow.compute as compute

    table = table.rename_columns(columns).replace_schema_metadata(None)
    names = table[IMAGE].cast(arrow.string())
    if names.null_count or compute.any(compute.equal(compute.utf8_length(names), 0)).as_py():
        raise InputError(f"-images {place}: a row has no name in the column {IMAGE}; fill or remove it")
    table = table.select([IMAGE, *(name for name in columns if name != IMAGE)]).set_column(0, IMAGE, names)
    if URL in columns:
        place_of = table.schema.get_field_index(URL)
        table = table.set_column(place_of, URL, table[URL].cast(arrow.string()))
    return table
