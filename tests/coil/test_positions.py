"""Images lie where the tables say; what is not known for sure is left out and said."""

import numpy as np
import pytest

from utils.coil.plan import Camera, CoilPlan
from utils.coil.positions import read_frames
from utils.errors import InputError

PX = CoilPlan()
MM = CoilPlan(unit="mm", cameras={"": Camera("", 0.5, 0.5)})
# Images of 1000 x 400 pixels: 0.5 m along the strip, 200 mm across.
SIZE = (1000, 400)


def sizes(*numbers):
    return {f"{number:04d}.jpg": SIZE for number in numbers}


def read(tmp_path, rows, plan=MM, images=None, header="ImageId,start_m", **files):
    (tmp_path / "positions.csv").write_text(header + "\n" + "".join(f"{row}\n" for row in rows))
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return read_frames(tmp_path, plan, sizes(1, 2, 3, 4, 5) if images is None else images)


def begins(frames):
    return dict(zip(frames.table["image"].str[:4].astype(int), frames.table["begin"].tolist(), strict=True))


WHOLE = ["0001.jpg,0", "0002.jpg,0.5", "0003.jpg,1.0", "0004.jpg,1.5", "0005.jpg,2.0"]
AT = {1: 0, 2: 500, 3: 1000, 4: 1500, 5: 2000}


def without(*numbers):
    return {number: place for number, place in AT.items() if number not in numbers}


def changed(number, value):
    return [*WHOLE[: number - 1], *([f"000{number}.jpg,{value}"] if value is not None else []), *WHOLE[number:]]


@pytest.mark.parametrize(
    ("rows", "expected", "gaps", "said"),
    [
        (WHOLE, AT, [], ""),
        (WHOLE[::-1], AT, [], ""),  # out of order
        ([*WHOLE, WHOLE[2]], AT, [], ""),  # doubled
        ([*WHOLE[:2], WHOLE[4], WHOLE[3], WHOLE[2]], AT, [], ""),
        (changed(3, None), without(3), [(1000, 1500)], "1 image left out, no row in positions.csv: 0003.jpg"),
        (changed(3, "nan"), without(3), [(1000, 1500)], "no number in column start_m of positions.csv: 0003.jpg"),
        (changed(3, ""), without(3), [(1000, 1500)], "no number in column start_m"),
        (changed(3, "inf"), without(3), [(1000, 1500)], "no number in column start_m"),
        ([*WHOLE, "0003.jpg,1.2"], without(3), [(1000, 1500)], "rows of positions.csv that contradict each other"),
        (changed(3, "40"), without(3), [(1000, 1500)], "crosses that of its neighbours: 0003.jpg"),
        (changed(3, "-7"), without(3), [(1000, 1500)], "crosses that of its neighbours: 0003.jpg"),
        ([*WHOLE, "0009.jpg,2.5"], AT, [], "positions.csv: 1 image is not there: 0009.jpg"),
        ([*WHOLE[:3], "0004.jpg,3.5", "0005.jpg,4"], {**AT, 4: 3500, 5: 4000}, [(1500, 3500)], ""),  # 2 m of jump
    ],
)
def test_row_that_is_wrong_is_a_stated_gap_and_moves_no_other_image(tmp_path, rows, expected, gaps, said):
    frames = read(tmp_path, rows)
    assert begins(frames) == pytest.approx(expected)
    assert np.allclose(frames.gaps[["begin", "end"]].to_numpy(float), np.reshape(gaps, (-1, 2)))
    assert any(said in line for line in frames.warnings) if said else frames.warnings == ()


def test_lost_images_of_the_tail_leave_the_length(tmp_path):
    rows = [f"{number:04d}.jpg,{number - 1}" for number in range(1, 9)]
    whole, lost = (read(tmp_path, rows, images=sizes(*range(1, last + 1))) for last in (8, 6))
    assert lost.length == whole.length
    assert lost.gaps["end"].max() == whole.length
    assert any("2 images are not there: 0007.jpg, 0008.jpg; the strip has a gap" in line for line in lost.warnings)


def test_counter_that_begins_anywhere_is_counted_from_the_head_and_a_lost_first_row_is_not(tmp_path):
    frames = read(tmp_path, [f"000{number}.jpg,{1000 + place / 1000}" for number, place in AT.items()])
    assert begins(frames) == pytest.approx(AT)
    assert frames.warnings == ("places begin at 1000.000 m; the map counts from there",)
    frames = read(tmp_path, WHOLE[1:])
    assert begins(frames) == pytest.approx(without(1))
    assert frames.gaps.to_numpy().tolist() == [["", 0, 500]]
    assert frames.length == 2500


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        ("ImageId,start_m", [], "lists no images"),
        ("ImageId,start_m", ["x.jpg,1"], "none of its images is there"),
        ("ImageId,start_m", ["0001.jpg,nan", "0002.jpg,x"], "column start_m has no number"),
        ("ImageId,begin", ["0001.jpg,1"], "no column start_m"),
        ("Image,start_m", ["0001.jpg,1"], "missing column ImageId"),
        ("ImageId,start_m,start_m", ["0001.jpg,1,2"], "column start_m occurs twice"),
        ("ImageId,start_m", ["0001.jpg,1,2"], "row 2: 3 fields"),
        ("ImageId,count", ["0001.jpg,1"], "say m_per_count"),
        ("ImageId,time", ["0001.jpg,1"], "no speed.csv"),
        ("ImageId,start_px", ["0001.jpg,1"], "give start_m instead"),
        ("ImageId,camera,start_m", ["0001.jpg,1,0", "0002.jpg,2,0"], "camera 1: nothing says where its images begin"),
        (
            "ImageId,start_m",
            ["0001.jpg,4", "0002.jpg,0", "0003.jpg,3", "0004.jpg,1", "0005.jpg,2"],
            "contradict the order of their numbers",
        ),
    ],
)
def test_table_that_says_nothing_is_refused_in_a_line(tmp_path, header, rows, said):
    with pytest.raises(InputError, match=said) as error:
        read(tmp_path, rows, header=header)
    assert "\n" not in str(error.value)


def test_counts_and_times_give_the_same_places_as_metres(tmp_path):
    plan = CoilPlan(unit="mm", cameras=MM.cameras, m_per_count=0.001)
    rows = [f"000{number}.jpg,{place}" for number, place in AT.items()]
    assert begins(read(tmp_path, rows, plan, header="ImageId,count")) == pytest.approx(AT)
    rows = [f"000{number}.jpg,{10 + place / 1000}" for number, place in AT.items()]
    frames = read(tmp_path, rows, header="ImageId,time", speed="time,speed\n10,1\n20,1\n")
    assert begins(frames) == pytest.approx(AT)
    late = read(tmp_path, rows, header="ImageId,time", speed="time,speed\n10,1\n11.6,1\n")
    assert begins(late) == pytest.approx(without(5))
    assert any("outside the times of speed.csv: 0005.jpg" in line for line in late.warnings)


def test_strip_that_runs_back_and_stands_still_keeps_its_places(tmp_path):
    speed = "time,speed\n0,1\n1,1\n1.001,0\n3,0\n3.001,-1\n4,-1\n"
    rows = ["0001.jpg,0", "0002.jpg,0.5", "0003.jpg,2", "0004.jpg,2.5", "0005.jpg,3.5"]
    frames = read(tmp_path, rows, header="ImageId,time", speed=speed)
    assert begins(frames) == pytest.approx({1: 0, 2: 500, 3: 1000.5, 5: 501})
    assert any(line.startswith("1 image shows again what another one shows") for line in frames.warnings)
    back = ["0001.jpg,0", "0002.jpg,0.5", "0003.jpg,1.0", "0004.jpg,0.5", "0005.jpg,1.0"]
    assert frames.unplaced == {}
    assert begins(read(tmp_path, back)) == pytest.approx({1: 0, 2: 500, 3: 1000})


@pytest.mark.parametrize(
    ("numbers", "expected", "gaps"),
    [
        ((1, 2, 3), [0, 1000, 2000], []),
        ((2, 10, 9, 8, 7, 6, 5, 4, 3), range(0, 9000, 1000), []),  # not in the order of letters
        ((1, 2, 4), [0, 1000, 3000], [(2000, 3000)]),
    ],
)
def test_numbered_images_follow_each_other_by_a_frame(numbers, expected, gaps):
    names = {f"{number}.jpg": SIZE for number in numbers}
    frames = read_frames(None, PX, names)
    assert frames.table["begin"].tolist() == list(expected)
    assert frames.table["image"].tolist() == sorted(names, key=lambda name: int(name[:-4]))
    assert list(zip(frames.gaps["begin"], frames.gaps["end"], strict=True)) == gaps
    assert frames.warnings == ()


def test_names_that_do_not_count_are_taken_in_order_and_said():
    frames = read_frames(None, PX, dict.fromkeys(["a7.jpg", "b1.jpg"], SIZE))
    assert frames.table["begin"].tolist() == [0, 1000]
    assert "do not number them" in frames.warnings[0]
    with pytest.raises(InputError, match="leave out most frames"):
        read_frames(None, PX, dict.fromkeys(["1.jpg", "9000.jpg"], SIZE))


def test_cameras_without_a_table_lie_side_by_side_in_pixels_and_are_refused_in_millimetres():
    cameras = {"a1": "left", "a2": "right 10", "a3": "right 2"}
    frames = read_frames(None, PX, dict.fromkeys(cameras, SIZE), cameras)
    lefts = dict(zip(frames.table["camera"], frames.table["left"], strict=True))
    assert lefts == {"left": 0, "right 2": 400, "right 10": 800}
    assert "side by side" in frames.warnings[0]
    with pytest.raises(InputError, match="nothing says where its images begin across"):
        read_frames(None, MM, dict.fromkeys(cameras, SIZE), cameras)


def test_numbered_camera_that_is_missing_leaves_its_place_empty():
    cameras = {"a1": "1", "a2": "4", "a3": "2"}
    frames = read_frames(None, PX, dict.fromkeys(cameras, SIZE), cameras)
    assert dict(zip(frames.table["camera"], frames.table["left"], strict=True)) == {"1": 0, "2": 400, "4": 1200}


def test_images_without_a_camera_are_of_the_only_one_that_is_named(tmp_path):
    plan = CoilPlan(unit="mm", cameras={"": Camera("", 1, 1), "7": Camera("7", 0.5, 0.5, left=-40)})
    for frames in (read_frames(None, plan, sizes(1, 2)), read(tmp_path, WHOLE, plan)):
        assert set(frames.table["camera"]) == {"7"}
        assert frames.table[["end", "left", "right"]].iloc[0].tolist() == [500, -40, 160]
    several = CoilPlan(cameras={"": Camera(), "a": Camera("a"), "b": Camera("b")})
    with pytest.raises(InputError, match=r"images without a camera, and coil.yaml describes several \(a, b\)"):
        read_frames(None, several, sizes(1, 2))


def test_camera_that_coil_yaml_does_not_describe_is_refused(tmp_path):
    plan = CoilPlan(unit="mm", cameras={"1": Camera("1", 1, 1)})
    with pytest.raises(InputError, match=r"camera 2: coil.yaml describes 1 only"):
        read(tmp_path, ["0001.jpg,2,0"], plan, header="ImageId,camera,start_m")


def test_left_comes_from_the_table_else_from_the_camera(tmp_path):
    plan = CoilPlan(unit="mm", cameras={"1": Camera("1", 0.5, 0.5, left=7), "2": Camera("2", 0.5, 0.5, left=190)})
    rows = ["0001.jpg,1,0,3", "0002.jpg,1.0,0.5,", "0003.jpg,2,0,nan"]
    frames = read(tmp_path, rows, plan, sizes(1, 2, 3), header="ImageId,camera,start_m,left_mm")
    lefts = dict(zip(frames.table["image"], frames.table["left"], strict=True))
    assert lefts == {"0001.jpg": 3, "0002.jpg": 7, "0003.jpg": 190}
    assert frames.table["right"].max() == 390
    assert frames.gaps.to_numpy().tolist() == [["2", 500, 1000]]


def test_what_no_camera_sees_is_a_gap_without_a_camera(tmp_path):
    plan = CoilPlan(unit="mm", cameras={"1": Camera("1", 0.5, 0.5, left=0), "2": Camera("2", 0.5, 0.5, left=190)})
    rows = ["0001.jpg,1,0", "0002.jpg,1,1.2", "0003.jpg,2,0.1", "0004.jpg,2,1"]
    frames = read(tmp_path, rows, plan, sizes(1, 2, 3, 4), header="ImageId,camera,start_m")
    assert frames.gaps.to_numpy().tolist() == [["1", 500, 1200], ["", 600, 1000]]


def test_metres_without_a_scale_count_frames_and_keep_gaps(tmp_path):
    frames = read(tmp_path, [WHOLE[0], WHOLE[1], WHOLE[3], WHOLE[4]], PX, sizes(1, 2, 4, 5))
    assert begins(frames) == pytest.approx({1: 0, 2: 1000, 4: 3000, 5: 4000})
    assert "one frame" in " ".join(frames.warnings)


LISTED = [f"{number:04d}.jpg,{number - 1}" for number in range(1, 11)]  # a metre from image to image
METRE = CoilPlan(unit="mm", cameras={"": Camera("", 10.0, 1.0)})  # an image is a metre long
PLAIN = {f"{number:04d}.jpg": (100, 50) for number in range(1, 11)}


def placed(folder, rows, images=PLAIN, header="ImageId,start_m", unread=(), plan=METRE):
    (folder / "positions.csv").write_text("\n".join([header, *rows]) + "\n")
    return read_frames(folder, plan, images, unread=unread)


@pytest.mark.parametrize("lost", [[10], [1], [5], [1, 10], [9, 10]])
@pytest.mark.parametrize(("there", "listed"), [(True, True), (True, False), (False, True)])
def test_images_that_cannot_be_read_keep_their_stretch_at_the_ends_too(tmp_path, lost, there, listed):
    names = [f"{number:04d}.jpg" for number in lost]
    images = {name: size for name, size in PLAIN.items() if name not in names}
    unread = names if there else ()
    frames = placed(tmp_path, LISTED, images, unread=unread) if listed else read_frames(None, METRE, images, {}, unread)
    assert frames.length == 10_000
    assert sum(frames.gaps["end"] - frames.gaps["begin"]) == 1000 * len(lost)
    assert frames.table.set_index("image")["begin"].to_dict() == {name: 1000.0 * (int(name[:4]) - 1) for name in images}


def test_images_that_fail_later_do_not_shorten_the_coil():
    frames = read_frames(None, METRE, PLAIN)
    less = frames.without({"0010.jpg": "damaged"}, METRE)
    assert less.length == 10_000
    assert less.gaps.to_numpy().tolist() == [["", 9000.0, 10_000.0]]


@pytest.mark.parametrize(("number", "word"), [(10, "1e308"), (10, "1e300"), (1, "-1e9"), (10, "1e9"), (5, "1e308")])
def test_places_that_no_strip_has_leave_their_image_out(tmp_path, number, word):
    rows = [f"{number:04d}.jpg,{word}" if row.startswith(f"{number:04d}") else row for row in LISTED]
    frames = placed(tmp_path, rows)
    assert list(frames.unplaced) == [f"{number:04d}.jpg"]
    assert frames.length <= 10_000
    assert len(frames.table) == 9


@pytest.mark.parametrize(
    ("number", "place", "left_out"),
    [
        (10, 100_000, True),  # 100 km off: a slip of the pen
        (10, 900, True),
        (10, 200, False),  # a gap of 190 m may be true
        (1, -100_000, True),
        (5, 100_000, True),
    ],
)
def test_an_image_absurdly_far_from_all_others_is_left_out_and_moves_none(tmp_path, number, place, left_out):
    rows = [row if not row.startswith(f"{number:04d}") else f"{number:04d}.jpg,{place}" for row in LISTED]
    frames = placed(tmp_path, rows)
    assert (f"{number:04d}.jpg" in frames.unplaced) == left_out
    assert any(f"{number:04d}.jpg" in warning for warning in frames.warnings) == left_out
    kept = {image: begin for image, begin in begins(frames).items() if image != number}
    assert kept == {image: 1000.0 * (image - 1) for image in range(1, 11) if image != number}
    assert frames.length == 1000.0 * (201 if not left_out else 9 if number == 10 else 10)


def test_rows_of_images_that_were_not_asked_for_make_the_coil_no_longer(tmp_path):
    (tmp_path / "positions.csv").write_text("ImageId,start_m\n" + "\n".join(LISTED) + "\n")
    asked = dict(list(PLAIN.items())[:4])
    frames = read_frames(tmp_path, METRE, asked, not_asked=list(PLAIN)[4:])
    assert (frames.length, len(frames.gaps), frames.warnings) == (4000.0, 0, ())


@pytest.mark.parametrize("word", ["1e308", "inf", "abc", '"0,5"', "1e7"])
def test_left_that_is_no_number_of_a_strip_is_not_guessed(tmp_path, word):
    rows = [f"{row},{word if row.startswith('0005') else 3}" for row in LISTED]
    frames = placed(tmp_path, rows, header="ImageId,start_m,left_mm")
    assert list(frames.unplaced) == ["0005.jpg"]
    assert set(frames.table["left"]) == {3}
    assert frames.gaps.to_numpy().tolist() == [["", 4000.0, 5000.0]]


def test_a_camera_that_moves_across_shows_something_else_at_each_place(tmp_path):
    rows = [f"{number:04d}.jpg,{(number - 1) // 2},{(number - 1) % 2 * 50}" for number in range(1, 11)]
    frames = placed(tmp_path, rows, header="ImageId,start_m,left_mm")
    assert len(frames.table) == 10
    assert set(frames.table["left"]) == {0, 50}


@pytest.mark.parametrize("bits", [16, 24, 32])
@pytest.mark.parametrize("at", [1, 3, 5, 9])
@pytest.mark.parametrize("sense", [1, -1])
def test_a_counter_that_begins_anew_is_named(tmp_path, bits, at, sense):
    plan = CoilPlan(unit="mm", cameras=METRE.cameras, m_per_count=0.01)
    rows = [f"{n + 1:04d}.jpg,{(sense * (n - at) * 100 + (sense < 0) * -1) % 2**bits}" for n in range(10)]
    with pytest.raises(InputError, match=f"a counter of {bits} bits"):
        placed(tmp_path, rows, header="ImageId,count", plan=plan)


@pytest.mark.parametrize("speed", ["1000,1\n1001,1", "2026-01-01T00:00:00,1\n2026-01-01T00:10:00,1"])
def test_times_of_two_clocks_are_refused(tmp_path, speed):
    (tmp_path / "speed.csv").write_text(f"time,speed\n{speed}\n")
    with pytest.raises(InputError, match="times of one clock"):
        placed(tmp_path, LISTED, header="ImageId,time")


def test_ends_without_a_place_are_said(tmp_path):
    said = "\n".join(placed(tmp_path, [*LISTED[:9], "0010.jpg,nan"]).warnings)
    assert "longer than the map: 1 image is at its ends" in said
    assert "longer than" not in "\n".join(placed(tmp_path, [*LISTED[:4], "0005.jpg,", *LISTED[5:]]).warnings)
