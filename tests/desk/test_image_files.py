"""What is kept beside images is only that: a disk that does not take it costs time and nothing else."""

import errno

import pytest

from tests.desk.desks import bench, strip
from utils.desk import image_files


@pytest.mark.parametrize("place", ["replacing", "shutil"])
def test_an_image_is_inspected_though_nothing_can_be_kept_beside_it(monkeypatch, place):
    """As beyond a quota, which the free room of the disk does not tell, or on a network disk that is away for a moment."""
    with bench() as desk:
        visit = desk.begin()
        real = image_files.ImageFiles.keep

        def keep(self, kind, name, data):
            def refuse(*_):
                raise OSError(errno.EDQUOT, "Disk quota exceeded")

            with monkeypatch.context() as within:
                if place == "replacing":
                    within.setattr(image_files, "replacing", refuse)
                else:
                    within.setattr(image_files.shutil, "disk_usage", refuse)
                real(self, kind, name, data)

        monkeypatch.setattr(image_files.ImageFiles, "keep", keep)
        desk.add(visit, a=strip())
        assert desk.desk.row(visit, 1)["status"] == "done"
