"""The page about several networks on the same images: their scores beside each other, and how far they are apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from utils.reporting.page import Section, Table, Text
from utils.scoring.bootstrap import LEVEL
from utils.scoring.paired import Comparison


def comparison_sections(
    comparison: Comparison,
    runs: Sequence[str],
    notes: Sequence[str],
    left_out: Sequence[tuple[str, str]],
    facts: Mapping[str, Any],
) -> list[Section]:
    """Build the sections for ``utils.reporting.page``.

    Args:
        comparison: the scores.
        runs: names of the networks; the others are compared with the first.
        notes: sentences that a reader has to know before believing the scores.
        left_out: names of images that one of the networks skipped, and why.
        facts: what was compared, by label.
    """
    drawn = (
        f"The intervals hold {LEVEL:.0%} of {comparison.resamples:,} resamples, in each of which all networks are scored on"
        f" the same images; groups of copies are drawn whole. Where 0 lies inside, these images cannot tell which is better."
        if comparison.resamples
        else "There are no intervals, so that a difference may be chance."
    )
    scores = Table(
        ["score", *runs], [[row.words, *row.values] for row in comparison.rows], "All networks on the same images."
    )
    apart = [
        [row.words, run, found.value, found.low, found.high, found.verdict]
        for k, run in enumerate(runs[1:])
        for row in comparison.rows
        if (found := row.differences[k]) is not None
    ]
    differences = Table(
        ["score", "network", f"better than {runs[0]} by", "low", "high", "verdict"],
        apart,
        f"Differences to {runs[0]}; below 0 is worse.",
    )
    sections = [
        Section("Scores", [scores]),
        Section("Differences", [Text(drawn), differences, *map(Text, notes)]),
    ]
    if left_out:
        skipped = Table(
            ["image", "why"], [list(row) for row in left_out], "Left out for all, since one could not see them."
        )
        sections.append(Section("Images left out", [skipped]))
    return [
        *sections,
        Section("What was compared", [Table(["", "value"], [[*one] for one in facts.items()], ordered=True)]),
    ]
