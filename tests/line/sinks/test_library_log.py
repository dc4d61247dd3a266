"""A library's lines: counted, and one of ours now and then."""

import logging

from utils.line.sinks.library_log import sum_up


def test_flood_of_a_library_is_one_line(logged):
    sum_up("a_library", "opcua://here", logging.ERROR)
    summed = sum_up("a_library", "opcua://here", logging.ERROR)  # opened again
    below = logging.getLogger("a_library.server.protocol")
    for number in range(50):
        below.error("damage %d\nof 0xff bytes", number)
        below.warning("a session has ended")
    assert summed.count == 50
    assert logged == [("steel.line", "opcua://here: 1 damaged requests or lost connections so far: damage 0")]
