"""Fixtures of tests that fetch weights."""

from tests.weights.served import _no_waiting, site, small_disk  # noqa: F401
