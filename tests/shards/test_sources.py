"""Where images come from: folders, stores and manifests, as a stream."""

import uuid

import pytest

pytest.importorskip("pyarrow")

import pyarrow as arrow
import pyarrow.parquet as parquet

from config import Url
from utils.data.stores import Store
from utils.errors import InputError
from utils.shards.sources import ROWS, Source, is_manifest

NOWHERE = Url("memory://nowhere")


def listed(place, out=NOWHERE) -> list[dict]:
    return [row for table in Source(place).tables(out) for row in table.to_pylist()]


def names(place, **more) -> list[str]:
    return sorted(row["image"] for row in listed(place, **more))


def test_folders_and_stores_give_the_same_names(tmp_path):
    store = Store(Url(f"memory://{uuid.uuid4().hex}"))
    for name in ("b.png", "line2/a.JPG", "line2/deep/c.tif", ".hidden/d.png", "e.txt", "out/overlays/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
        store.replace(name, b"x")
    wanted = ["b.png", "line2/a.JPG", "line2/deep/c.tif"]
    assert names(tmp_path, out=tmp_path / "out") == wanted
    assert names(Url(store.place), out=Url(f"{store.place}/out")) == wanted
    assert names(tmp_path / "b.png") == names(Url(f"{store.place}/b.png")) == ["b.png"]
    assert Source(tmp_path / "b.png").root == tmp_path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("place", ["disk", "store"])
def test_a_manifest_keeps_its_further_columns(tmp_path, kind, place):
    rows = {"line": [1, 2], "image": ["a,b.png", "ä.png"], "url": [None, "s3://bucket/x.png"]}
    if kind == "csv":
        content = '\ufeffline,image,url\n1,"a,b.png",\n2,ä.png,s3://bucket/x.png\n'.encode()
        wanted = [
            {"image": "a,b.png", "line": "1", "url": ""},
            {"image": "ä.png", "line": "2", "url": "s3://bucket/x.png"},
        ]
    else:
        sink = arrow.BufferOutputStream()
        parquet.write_table(arrow.table(rows), sink)
        content = sink.getvalue().to_pybytes()
        wanted = arrow.table(rows).select(["image", "line", "url"]).to_pylist()
    folder = tmp_path if place == "disk" else Url(f"memory://{uuid.uuid4().hex}")
    Store(folder).create(f"list.{kind}", content)
    manifest = folder / f"list.{kind}" if place == "disk" else Url(f"{folder}/list.{kind}")
    assert listed(manifest) == wanted
    assert Source(manifest).root == folder


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_long_manifest_comes_in_small_tables(tmp_path, kind):
    many = 3 * ROWS + 5
    table = arrow.table({"image": [f"{number}.png" for number in range(many)]})
    if kind == "parquet":
        parquet.write_table(table, tmp_path / "list.parquet")
    else:
        (tmp_path / "list.csv").write_text("image\n" + "\n".join(table["image"].to_pylist() * 10))
    sizes = [one.num_rows for one in Source(tmp_path / f"list.{kind}").tables(tmp_path)]
    assert sum(sizes) == (many if kind == "parquet" else 10 * many)
    assert len(sizes) > 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("picture\na.png\n", "list.csv: no column image; it has picture"),
        ("imag\na.png\n", r"list.csv: no column image, did you mean imag\?; it has imag"),
        ("image,verdict\na.png,x\n", "the column verdict is one of the results; give it another name"),
        ("image,a,a\na.png,1,2\n", "two columns have the same name"),
        ("image,line\n,1\n", "a row has no name in the column image; fill or remove it"),
        ("image,line\na.png\n", r"not a manifest \(.*Expected 2 columns, got 1"),
        ("", r"not a manifest \(Empty CSV file\)"),
        (b"image\n\xff\xfe.png\n", "not a manifest .*UTF8"),
    ],
)
def test_a_manifest_that_is_none_is_one_line(tmp_path, content, message):
    (tmp_path / "list.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as error:
        listed(tmp_path / "list.csv")
    assert str(error.value).startswith(f"-images {tmp_path / 'list.csv'}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["missing", "missing.png", "missing.csv", "missing.parquet", "notes.txt"])
def test_what_is_not_there_is_one_line(tmp_path, name):
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=f"-images .*{name}: (no such|is neither)"):
        listed(tmp_path / name)
    with pytest.raises(InputError, match=r"torn.parquet: not a manifest"):
        listed(tmp_path / "torn.parquet")


@pytest.mark.parametrize(("name", "manifest"), [("a.CSV", True), ("a.parquet", True), ("a.png", False), ("a", False)])
def test_manifests_are_known_by_their_names(tmp_path, name, manifest):
    assert is_manifest(tmp_path / name) is is_manifest(Url(f"s3://b/{name}")) is manifest
