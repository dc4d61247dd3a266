"""The watch over jobs: one that fails keeps no other from being told."""

import sqlite3
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


def test_the_watch_outlives_a_disk_that_was_away(monkeypatch, caplog):
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.01)
    with bench() as desk:
        watch = jobs.Jobs(desk.desk, desk.services.adding, desk.services.looking, ("http://mes",))
        job = watch.begin({"callback": "http://mes/done"})["id"]
        desk.add(job, a=strip())
        monkeypatch.setattr(watch, "_call", lambda identity: True)
        real, failures = desk.desk.database.rows, []

        def rows(query, *values):
            if "FROM jobs" in query and len(failures) < 3:
                failures.append(1)
                raise sqlite3.OperationalError("disk I/O error")
            return real(query, *values)

        monkeypatch.setattr(desk.desk.database, "rows", rows)
        watch.start()
        until = time.monotonic() + 10
        while not watch.status(job)["called_back"] and time.monotonic() < until:
            time.sleep(0.01)
        watch.close()
        assert watch.status(job)["called_back"]
        assert [record.getMessage()[:30] for record in caplog.records] == ["error at the watch over jobs: "]
