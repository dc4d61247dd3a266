"""The words that controllers read: their places, and a verdict of OK that is taken back in time."""

import dataclasses
from pathlib import Path

import pytest

from utils.line.sinks.plc_block import (
    COIL_NG,
    HEALTHY,
    LAYOUT,
    NG,
    NO_VERDICT,
    OK,
    UNKNOWN_POSITION,
    WORDS,
    PlcCounters,
    flags_of,
)
from utils.line.state import LineState


def number(words, place):
    value = words[place] << 16 | words[place + 1]
    return value - 2**32 if value >= 2**31 else value


def test_layout_covers_every_word_once():
    covered = [place for first, count, _, _ in LAYOUT for place in range(first, first + count)]
    assert covered == list(range(WORDS))


def test_page_shows_the_layout():
    page = (Path(__file__).resolve().parents[3] / "docs/line-sinks.md").read_text("utf-8")
    assert [row for row in LAYOUT if "| {} | {} | {} | {} |".format(*row) not in page] == []


@pytest.mark.parametrize("verdict", ["OK", "NG", "NO_VERDICT", "", "ok", None])
@pytest.mark.parametrize("healthy", [True, False])
def test_exactly_one_verdict_is_set_and_ok_only_while_healthy(verdict, healthy):
    flags = flags_of(verdict, healthy)
    assert (flags & 0b111).bit_count() == 1
    assert bool(flags & 1 << OK) == (verdict == "OK" and healthy)
    assert bool(flags & 1 << NG) == (verdict == "NG" and healthy)
    assert bool(flags & 1 << HEALTHY) == healthy


def test_words_of_a_defective_frame(frame, running):
    counters = PlcCounters(("pit", "crack"))
    counters.see(dataclasses.replace(running, depth=70_000, shed=3, lost=4))
    counters.take(70_001, frame(70_001, "NG", position_m=-12.5))
    words = counters.block.shown(True, 65_537)
    assert words[0] == 1 << NG | 1 << HEALTHY
    assert words[1] == 1
    assert number(words, 2) == number(words, 62) == 70_001
    assert words[4:6] == (2, 2)  # the larger one, a crack
    assert number(words, 6) == 4000
    assert words[8:13] == (100, 20, 300, 40, 9000)
    assert number(words, 14) == -12_500
    assert [number(words, place) for place in range(16, 32, 2)] == [1, 0, 1, 0, 0, 70_000, 3, 4]
    assert b"".join(word.to_bytes(2) for word in words[32:48]) == b"A4711".ljust(32, b"\0")
    assert len(words) == WORDS
    assert all(0 <= word <= 0xFFFF for word in words)


def test_before_the_first_frame_there_is_no_verdict(running):
    counters = PlcCounters(())
    counters.see(running)
    words = counters.block.shown(True, 5)
    assert words[0] == 1 << NO_VERDICT | 1 << HEALTHY
    assert number(words, 14) == UNKNOWN_POSITION


def test_values_that_are_too_large_are_the_largest(frame):
    counters = PlcCounters(("pit",))
    defects = (dataclasses.replace(frame(1, "NG").defects[1], box=(-5, 70_000, 1, 2)),) * 70_000
    counters.take(2**32 + 5, frame(1, "NG", defects=defects, coil_id="Ä" * 40))
    words = counters.block.words
    assert (words[4], words[5], words[8], words[9]) == (0xFFFF, 0xFFFF, 0, 0xFFFF)
    assert number(words, 2) == 5
    assert words[32] == ord("?") << 8 | ord("?")


def test_event_that_comes_again_counts_once(frame, coil):
    counters = PlcCounters(())
    assert [counters.take(1, frame(1)), counters.take(1, frame(1)), counters.take(9, coil)] == [True, False, True]
    words = counters.block.words
    assert (number(words, 16), number(words, 24)) == (1, 1)
    assert words[0] & 1 << COIL_NG


def test_state_that_is_no_longer_healthy_takes_ok_back(frame, running):
    counters = PlcCounters(())
    counters.see(running)
    counters.take(1, frame(1))
    assert counters.block.shown(True, 0)[0] & 1 << OK
    counters.see(LineState(condition="starved"))
    assert counters.block.words[0] == 1 << NO_VERDICT
    assert counters.block.words[13] == 1
