"""Tables of defects and boxes are read by what their columns are called; what they lack is said."""

import numpy as np
import pytest

from utils.coil.defect_table import clipped, images_of, read_defects
from utils.coil.plan import CoilPlan
from utils.coil.positions import read_frames
from utils.errors import InputError

OURS = "image,class_id,name,area_px,x,y,width,height,mean_probability\n"
BOXES = "camera,frame,x0,y0,x1,y1\n"


def read(tmp_path, text, where=()):
    file = tmp_path / "defects.csv"
    file.write_text(text)
    return read_defects(file, where)


def test_table_of_a_prediction(tmp_path):
    table = read(tmp_path, OURS + "0001.jpg,2,'=pit,30,1,2,10,5,0.75\n")
    row = table.defects.iloc[0]
    assert row.tolist() == ["0001.jpg", "", "=pit", 1, 2, 10, 5, 30, 0.75]
    assert (table.class_names, table.by_frame, table.notes) == (["=pit"], False, ())


def test_table_of_a_clean_coil_has_no_rows(tmp_path):
    assert read(tmp_path, OURS).defects.empty


@pytest.mark.parametrize(
    ("header", "row", "box"),
    [
        ("image,x0,y0,x1,y1", "a.png,1,2,11,7", [1, 2, 10, 5]),
        ("ImageId,xmin,ymin,xmax,ymax", "a.png,1,2,11,7", [1, 2, 10, 5]),
        ("file,x1,y1,x2,y2", "a.png,-1,2,11,7", [-1, 2, 12, 5]),
        ("filename,left,top,right,bottom", "a.png,1.5,2,11,7", [1.5, 2, 9.5, 5]),
    ],
)
def test_boxes_of_any_detector(tmp_path, header, row, box):
    table = read(tmp_path, f"{header}\n{row}\n")
    found = table.defects.iloc[0]
    assert [found.x, found.y, found.width, found.height] == box
    assert (found.image, found.class_name, found.area_px) == ("a.png", "defect", box[2] * box[3])
    assert np.isnan(found.probability)
    assert ["tells no areas" in table.notes[0], "tells no classes" in table.notes[1]] == [True, True]


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("", (), "empty file"),
        ("image,x,y\n", (), "no columns of boxes"),
        ("x0,y0,x1,y1\n", (), "no columns of images"),
        (BOXES + "1,1,5,5,5,9\n", (), "1 row without a box .the first: row 2., and none with one"),
        (BOXES + "1,1,nan,5,5,9\n", (), "without a box"),
        ("side," + BOXES + "TOP,1,1,0,0,9,9\nBOTTOM,1,1,0,0,9,9\n", (), "column side has 2 values .* -where side=TOP"),
        ("sheet," + BOXES + "a,1,1,0,0,9,9\n", ("shet=a",), "no column shet, did you mean sheet"),
        ("sheet," + BOXES + "a,1,1,0,0,9,9\n", ("sheet=b",), "no such value in .*; it has a"),
        ("sheet," + BOXES + "a,1,1,0,0,9,9\n", ("sheet",), "expected COLUMN=VALUE"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(tmp_path, text, where, said):
    with pytest.raises(InputError, match=said):
        read(tmp_path, text, where)


def test_rows_without_a_box_are_left_out_and_said(tmp_path):
    table = read(tmp_path, BOXES + "1,1,0,0,9,9\n1,2,0,0,x,9\n1,2,7,0,3,9\n")
    assert len(table.defects) == 1
    assert "2 rows without a box (the first: row 3) left out" in table.notes[0]


def test_one_coil_of_several_is_chosen(tmp_path):
    text = "sheet,side," + BOXES + "a,TOP,1,1,0,0,9,9\na,BOTTOM,2,3,0,0,9,9\nb,TOP,1,1,0,0,9,9\n"
    table = read(tmp_path, text, ("sheet=a", "side=BOTTOM"))
    assert table.defects["image"].tolist() == ["2/3"]
    assert table.defects["camera"].tolist() == ["2"]


def test_frames_without_defects_count_as_seen_and_cameras_lie_side_by_side(tmp_path):
    table = read(tmp_path, BOXES + "1,2,-5,10,90,20\n2,4,50,-5,105,205\n")
    sizes, cameras, notes = images_of(table, None, None)
    assert set(sizes.values()) == {(200, 100)}  # the boxes reach 5 pixels beyond on all sides
    assert list(cameras) == ["1/1", "1/2", "1/3", "1/4", "2/1", "2/2", "2/3", "2/4"]
    assert ["200x100" in notes[0], "6 images" in notes[1]] == [True, True]
    frames = read_frames(None, CoilPlan(), sizes, cameras)
    places = frames.table.set_index("image")
    assert places.loc["2/4", ["begin", "end", "left", "right"]].tolist() == [600, 800, 100, 200]
    cut, _ = clipped(table.defects, sizes)
    assert cut[["x", "y", "width", "height"]].to_numpy().tolist() == [[0, 10, 90, 10], [50, 0, 50, 200]]


def test_size_and_images_come_from_flags_and_positions_where_they_are_given(tmp_path):
    table = read(tmp_path, OURS + "b7.jpg,1,pit,30,1,2,10,5,0.75\n")
    (tmp_path / "positions.csv").write_text("ImageId,start_px\nb7.jpg,0\nc9.jpg,64\n")
    sizes, _, notes = images_of(table, tmp_path, (64, 128))
    assert sizes == {"b7.jpg": (64, 128), "c9.jpg": (64, 128)}
    assert notes == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "lists no defects, so nothing tells which images there were"),
        ("ab.jpg,1,pit,30,1,2,10,5,0.7\n", "the images' names do not number them"),
        ("1.jpg,1,pit,30,1,2,10,5,0.7\n99999.jpg,1,pit,30,1,2,10,5,0.7\n", "hardly any has a defect"),
    ],
)
def test_table_that_does_not_tell_its_images_is_refused(tmp_path, rows, said):
    with pytest.raises(InputError, match=said):
        images_of(read(tmp_path, OURS + rows), tmp_path, (64, 64))


@pytest.mark.parametrize(
    ("names", "first"), [(["0003.jpg", "0005.jpg"], "0001.jpg"), (["103.jpg"], "103.jpg"), (["0.jpg"], "0.jpg")]
)
def test_numbers_begin_at_one_unless_they_hardly_can(tmp_path, names, first):
    rows = "".join(f"{name},1,pit,30,1,2,10,5,0.7\n" for name in names)
    _, cameras, _ = images_of(read(tmp_path, OURS + rows), None, (64, 64))
    assert next(iter(cameras)) == first


@pytest.mark.parametrize(
    ("box", "area", "expected"),
    [
        ("-90,0,100,10", "", 100),  # a tenth of it lies in the image
        ("-90,0,100,10", "1000", 100),
        ("0,0,10,10", "55", 55),
        ("0,0,10,10", "1e308", 100),
        ("0,0,10,10", "100.3", 100.3),  # rounded
    ],
)
def test_no_area_is_larger_than_what_lies_in_the_image(tmp_path, box, area, expected):
    table = read(tmp_path, f"image,x,y,width,height,area_px\n1.png,{box},{area}\n")
    cut, notes = clipped(table.defects, {"1.png": (20, 30)})
    assert cut["area_px"].tolist() == [expected]
    assert [note for note in notes if "larger than the box" in note] == notes[-1:] * (expected == 100)
    assert any("beyond the borders" in note for note in notes) is box.startswith("-90")


def test_boxes_outside_of_their_image_are_counted(tmp_path):
    table = read(tmp_path, "image,x,y,width,height\n1.png,0,0,5,5\n1.png,40,0,5,5\n1.png,-9,0,9,5\nno.png,0,0,5,5\n")
    cut, notes = clipped(table.defects, {"1.png": (20, 30)})
    assert cut["image"].tolist() == ["1.png", "no.png"]
    assert notes == ["2 defects outside of their image left out (the first: 1.png)"]


def write_parts(folder):
    """Write the parts of a prediction in shards of two coils, with an image that was skipped and one that is clean."""
    pytest.importorskip("pyarrow")
    import pyarrow

    from utils.data.parts import encode_part, image_columns, part_name
    from utils.data.stores import Store

    defect = {"class_id": 1, "name": "pit", "area_px": 30, "x": 1, "y": 2, "width": 10, "height": 5}
    found = {"status": "ok", "height": 64, "width": 96, "defects": []}
    rows = [
        {"image": "c1/1.png", "coil": 7, **found, "defects": [{**defect, "mean_probability": 0.75}]},
        {"image": "c1/2.png", "coil": 7, **found},
        {"image": "c2/1.png", "coil": 7, "status": "skipped", "reason": "truncated image", "defects": []},
        {"image": "c1/1b.png", "coil": 8, **found, "height": 32},
    ]
    schema = image_columns().append(pyarrow.field("coil", pyarrow.int64()))
    store = Store(folder)
    for shard in (0, 1):
        store.create(part_name(shard, 2), encode_part(pyarrow.Table.from_pylist(rows[shard::2], schema), {}))
    store.create("job.json", b'{"shards": 2}')


def test_parts_of_a_prediction_in_shards_tell_all_images_and_those_that_were_skipped(tmp_path):
    write_parts(tmp_path / "out")
    table = read_defects(tmp_path / "out", ("coil=7",))
    assert table.defects.iloc[0].tolist() == ["c1/1.png", "", "pit", 1, 2, 10, 5, 30, 0.75]
    assert len(table.defects) == 1
    assert table.skipped == (("c2/1.png", "truncated image"),)
    sizes, cameras, guessed = images_of(table, None, None)
    assert (sizes, guessed) == ({"c1/1.png": (64, 96), "c1/2.png": (64, 96)}, [])
    assert cameras == {"c1/1.png": "c1", "c1/2.png": "c1"}
    assert read_defects(tmp_path / "out", ("coil=8",)).defects.empty


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ((), "column coil has 2 values .7, 8.; choose one: -where coil=7"),
        (("coil=9",), "-where coil=9: no such value in"),
        (("coill=7",), "has no column coill, did you mean coil"),
        (("coil",), "-where coil: expected COLUMN=VALUE"),
    ],
)
def test_rows_of_parts_that_cannot_be_chosen_are_refused_in_a_line(tmp_path, where, said):
    write_parts(tmp_path / "out")
    with pytest.raises(InputError, match=said) as error:
        read_defects(tmp_path / "out", where)
    assert "\n" not in str(error.value)
