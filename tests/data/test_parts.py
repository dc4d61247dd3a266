"""Parts: rows come back as they were written, and a damaged or missing part is named."""

import json

import pytest

pytest.importorskip("pyarrow")

import pyarrow as arrow

from config import Url
from utils.data.listing import JOB
from utils.data.parts import (
    committed,
    encode_part,
    image_columns,
    is_parts,
    part_name,
    read_part,
    read_records,
    read_rows,
    shard_of,
)
from utils.data.stores import Store
from utils.errors import InputError

DEFECT = {"class_id": 1, "name": "pits", "x": 1, "y": 2, "width": 3, "height": 4, "area_px": 9}
ROW = {
    "image": "line2/ä.png",
    "status": "ok",
    "reason": None,
    "verdict": "defective",
    "height": 48,
    "width": 80,
    "classes": [{"class_id": 1, "name": "pits", "defects": 1, "area_px": 9}],
    "labels": [],
    "defects": [{**DEFECT, "mean_probability": 0.123456789, "rle": "1 3 49 6"}],
}
BAD = dict.fromkeys(image_columns().names) | {"image": "bad.png", "status": "skipped", "reason": "no", "defects": []}


def table(*rows: dict) -> arrow.Table:
    return arrow.Table.from_pylist(list(rows), image_columns())


def test_rows_and_record_come_back(tmp_path):
    store, name = Store(tmp_path), part_name(3, 20)
    store.create(name, encode_part(table(ROW, BAD), {"shard": 3}))
    assert name == "part-00003-of-00020.parquet"
    assert read_part(store, name).to_pylist() == table(ROW, BAD).to_pylist()
    (part,) = read_records(store, [name])
    assert (part.name, part.record["shard"], part.record["rows"], len(part.record["sha256"])) == (name, 3, 2, 64)


def test_only_whole_names_of_the_job_are_parts(tmp_path):
    for name in ("part-00001-of-00004.parquet", ".part-00002-of-00004.ab12cd-1f-0a1b2c.part.parquet", "summary.json"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "part-00000-of-00005.parquet").write_bytes(b"")
    assert committed(Store(tmp_path), 4) == {1: "part-00001-of-00004.parquet"}
    assert shard_of("part-123456-of-200000.parquet", 200_000) == 123_456


def torn(content: bytes) -> bytes:
    return content[: len(content) // 2]


def other_rows(content: bytes) -> bytes:
    record = read_record(content)
    changed = table({**ROW, "width": 81}, BAD)
    return rewritten(changed, record)


def fewer_rows(content: bytes) -> bytes:
    return rewritten(table(ROW), read_record(content))


def no_record(content: bytes) -> bytes:
    return rewritten(table(ROW, BAD), None)


def read_record(content: bytes) -> dict:
    import pyarrow.parquet as parquet

    return json.loads(parquet.read_schema(arrow.BufferReader(content)).metadata[b"steel-defects"])


def rewritten(rows: arrow.Table, record: dict | None) -> bytes:
    import pyarrow.parquet as parquet

    sink = arrow.BufferOutputStream()
    stored = {} if record is None else {b"steel-defects": json.dumps(record).encode()}
    parquet.write_table(rows.replace_schema_metadata(stored), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (torn, "Parquet"),
        (other_rows, "do not have the sha256 of its record"),
        (fewer_rows, "1 rows, but its record says 2"),
        (no_record, "not a part of a prediction in shards"),
    ],
)
def test_a_damaged_part_is_named_with_the_remedy(tmp_path, damage, reason):
    name = part_name(0, 1)
    (tmp_path / name).write_bytes(damage(encode_part(table(ROW, BAD), {})))
    with pytest.raises(InputError, match=reason) as error:
        read_part(Store(tmp_path), name)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert str(error.value).endswith("; remove the file and run the prediction again")
    assert "\n" not in str(error.value)
    if damage is not other_rows:  # which only all rows tell
        with pytest.raises(InputError, match=reason):
            list(read_records(Store(tmp_path), [name]))


def test_a_bit_that_flipped_is_found_when_few_columns_are_read_too(tmp_path):
    import pyarrow.parquet as parquet

    content = bytearray(encode_part(table(ROW, BAD), {}))
    column = parquet.read_metadata(arrow.BufferReader(bytes(content))).row_group(0).column(0)
    content[column.dictionary_page_offset + column.total_compressed_size - 1] ^= 1
    (tmp_path / part_name(0, 1)).write_bytes(content)
    with pytest.raises(InputError, match=r"part-00000-of-00001.parquet: .*remove the file"):
        read_part(Store(tmp_path), part_name(0, 1), check=False, columns=["image"])


def test_all_parts_are_read_or_the_missing_ones_are_counted(tmp_path):
    store = Store(tmp_path)
    store.create(part_name(1, 2), encode_part(table(BAD), {}))
    with pytest.raises(InputError, match=r"no job\.json in it; name the -out of a prediction in shards"):
        list(read_rows(tmp_path, "-defects"))
    store.create(JOB, b'{"shards": 2}')
    with pytest.raises(InputError, match="1 of 2 parts are missing; run the prediction again"):
        list(read_rows(tmp_path, "-defects"))
    store.create(part_name(0, 2), encode_part(table(ROW), {}))
    assert [one["image"].to_pylist() for one in read_rows(tmp_path, "-defects")] == [["line2/ä.png"], ["bad.png"]]
    (alone,) = read_rows(tmp_path / part_name(1, 2), "-defects")
    assert alone.num_rows == 1
    assert is_parts(tmp_path)
    assert is_parts(Url("s3://bucket/defects"))
    assert not is_parts(tmp_path / "defects.csv")
