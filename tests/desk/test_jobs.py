"""The watch over jobs: one that fails keeps no other from being told."""

import time

import pytest

from tests.desk.desks import bench, strip
from utils.desk import jobs
from utils.desk.desk import NotHere


@pytest.mark.parametrize("error", [NotHere("gone"), RuntimeError("a bug")], ids=repr)
def test_the_watch_outlives_a_callback_that_fails(monkeypatch, error):
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.01)
    with bench() as desk:
        watch = jobs.Jobs(desk.desk, desk.services.adding, desk.services.looking, ("http://mes",))
        first, second = (watch.begin({"callback": "http://mes/done"})["id"] for _ in range(2))
        for job in (first, second):
            desk.add(job, a=strip())

        def call(identity: str) -> bool:
            if identity == first:
                raise error
            return True

        monkeypatch.setattr(watch, "_call", call)
        watch.start()
        until = time.monotonic() + 10
        while not watch.status(second)["called_back"] and time.monotonic() < until:
            time.sleep(0.01)
        watch.close()
        assert watch.status(second)["called_back"]
        assert not watch.status(first)["called_back"]
