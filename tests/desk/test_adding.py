"""Names of what is taken in, and files that come and go at once."""

import pytest

from tests.desk.desks import bench, strip
from utils.desk.adding import LONGEST_NAME, plain_path
from utils.desk.sources import Part


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a/b.png", "a/b.png"),
        ("../..\\..\\etc/p.png", "etc/p.png"),
        ("..", ""),
        ("/a//./b/../c.png", "a/b/c.png"),
        (" . /.\u200b./x.png", "x.png"),
        ("\u202egnp.exe\r\n.png", "gnp.exe.png"),
        ("a../" + "b" * (LONGEST_NAME - 3), "b" * (LONGEST_NAME - 3)),
        ("a./../" + "b" * (LONGEST_NAME - 5), "a./" + "b" * (LONGEST_NAME - 5)),
        ("x" * 10_000 + ".png", "x" * (LONGEST_NAME - 4) + ".png"),
    ],
)
def test_names_lead_nowhere(name, shown):
    assert plain_path(name) == shown


def test_images_of_one_name_are_numbered(tmp_path):
    with bench(tmp_path) as desk:
        visit = desk.begin()
        images = [strip(box=(k, 1, 2, 2)) for k in range(40)]

        def add(data: bytes, name: str = "x/a.png") -> str:
            return desk.services.adding.add(visit, name, data)["added"][0]["name"]

        names = [add(data) for data in images]
        assert names[:3] == ["x/a.png", "x/a (2).png", "x/a (3).png"]
        assert len(set(names)) == 40
        assert [add(data) for data in images] == names
        assert add(images[0], "b") == "b"
        assert add(images[1], "b") == "b (2)"
        asked: list[str] = []
        desk.desk.database._plain.set_trace_callback(lambda text: asked.append(text) if "AND name =" in text else None)
        add(strip(value=5))
        desk.desk.database._plain.set_trace_callback(None)
        assert len(asked) < 20


def test_a_file_stays_while_a_visit_has_it():
    with bench() as desk:
        visit = desk.begin()
        desk.add(visit, a=strip())
        sha256 = desk.desk.row(visit, 1)["sha256"]
        desk.desk.forget_image(sha256)  # as of another visit that was deleted just before this one took the image in
        assert desk.desk.files.find(sha256) is not None
        desk.services.adding.remove(visit, 1)
        assert desk.desk.files.find(sha256) is None


def test_images_of_the_folder_that_are_gone_are_named(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.png", "b.png"):
        (images / name).write_bytes(strip())
    part = Part("images", images, None)
    (images / "b.png").unlink()
    with bench(tmp_path / "kept", [part]) as desk:
        answer = desk.services.adding.add_folder(desk.begin())
        assert answer == {
            "added": 1,
            "refused": [{"name": "b.png", "reason": "cannot be read (No such file or directory)"}],
        }
        assert desk.services.jobs.begin({"words": ""})["left_out"] == answer["refused"]
