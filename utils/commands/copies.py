"""Find copies: inside a folder, between two folders, or between the sides of a split."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from config import CopiesConfig
from utils.data.checks import thread_count
from utils.data.duplicates.copies import (
    DISAGREE,
    HALF,
    WHOLE,
    Copies,
    Copy,
    Member,
    agreement,
    find_copies,
    one_of_each,
)
from utils.data.duplicates.image_sets import ImageSet, open_images
from utils.data.duplicates.symmetry import NAMES
from utils.data.splits import SIDES, read_groups, read_sides, write_split
from utils.data.subset_folder import write_subset
from utils.data.tables import write_frame, write_listed
from utils.errors import InputError
from utils.files import make_folder, staged, write_text
from utils.reporting.copies_page import chosen, sections
from utils.reporting.page import render
from utils.text import plural
from utils.weights.run_files import SPLIT

PAGE, TABLE, LEFT_OUT, KEPT = "copies.html", "copies.csv", "left_out.csv", "kept"


@dataclass(frozen=True)
class CopiesResult:
    """What was found and where it was written.

    Attributes:
        copies: the pairs.
        counts: of sets of images in words, how many have a copy, how many there are, and where the copies are, in words.
        out: folder of the page and the tables.
        left_out: with ``-keep one``, image -> the one that stays for it; else None.
        kept: number of images that stay.
        cleaned: what to train on: a dataset folder or a split; None: nothing was written.
        notes: more lines for the user.
        seconds: time it took.
    """

    copies: Copies
    counts: list[tuple[str, int, int, str]]
    out: Path
    left_out: dict[str, str] | None
    kept: int
    cleaned: Path | None
    notes: list[str]
    seconds: float

    def text(self) -> str:
        """Return as text for a terminal what was found and where it is."""
        found = self.copies.found
        lines = [
            f"{count:,} of {total:,} {what} {'has' if count == 1 else 'have'} a copy {where}"
            for what, count, total, where in self.counts
        ]
        whole = sum(copy.share >= WHOLE for copy in found)
        if found:
            lines.append(
                f"{plural(len(found), 'pair', ',')}: {whole:,} of whole pictures, {len(found) - whole:,} that overlap in"
                " part"
            )
        comparable = sum(copy.comparable for copy in found)
        if comparable:
            differ = sum(copy.disagrees for copy in found)
            lines.append(
                f"labels differ on {differ:,} of {plural(comparable, 'labelled pair', ',')} whose pixels agree (IoU below"
                f" {DISAGREE}): {self.out / PAGE} shows the gravest"
            )
        lines += [
            f"two labels of the same steel agree by mean Dice {one.mean_dice:.3f}, defect-only {one.defect_dice:.3f}:"
            f" {plural(one.pairs, 'pair', ',')} {what}"
            for one, what in (
                (agreement(found, WHOLE), "of whole pictures"),
                (agreement(found, HALF, WHOLE), "that overlap by half or more"),
            )
            if one and one.defect_dice is not None
        ]
        lines += self.notes
        if self.left_out is not None:
            lines.append(
                f"kept {plural(self.kept, 'image', ',')}, left out {len(self.left_out):,}: {self.out / LEFT_OUT}"
            )
            if self.cleaned is not None:
                flags = f"-dir DATA -split {self.cleaned}" if self.cleaned.name == SPLIT else f"-dir {self.cleaned}"
                lines.append(f"next: python Train.py {flags}")
        lines.append(f"in {self.seconds:.1f} s: {self.out / PAGE} (open it in a browser), {self.out / TABLE}")
        return "\n".join(lines)


def copies(config: CopiesConfig, progress: bool = True) -> CopiesResult:
    """Write ``copies.csv`` and ``copies.html`` about images that show the same steel, and on request the cleaned list.

    Args:
        config: the folders or the split, what to keep, where to write.
        progress: show bars when standard error is a terminal.

    Raises:
        InputError: a folder, a table or an image is at fault, or the place to write is; nothing was written.
    """
    start = time.perf_counter()
    if config.against is not None and config.split is not None:
        raise InputError("-against, -split: copies are looked for in two folders or between sides; leave one out")
    own = open_images(config.dir, "train", "-dir")
    members, other = _members(config, own)
    out = config.out or own.root / "copies"
    if config.keep == "one" and (out / KEPT).exists():
        raise InputError(f"{out / KEPT}: exists already; remove it, or name another folder with -out")
    found = find_copies(members, thread_count(config.num_of_workers), progress)
    counts = list(_counts(found, config, own, other))
    drawn = sum(map(len, chosen(found, config.examples)))
    with tqdm(total=drawn, desc="drawing pairs", disable=None if progress else True) as bar:
        shown = [(_title(what), count, total) for what, count, total, _ in counts]
        page = render("Copies", _lead(config, own, other), sections(found, shown, config.examples, bar.update))
    left = _left_out(found, config) if config.keep == "one" else None
    make_folder(out)
    cleaned = None
    if left is not None and config.split is None:
        cleaned = _write_kept(out / KEPT, own, left)
    with staged(out) as folder:
        write_frame(table(found), folder / TABLE)
        write_text(folder / PAGE, page)
        if left is not None:
            frame = pd.DataFrame(sorted(left.items()), columns=["image", "kept"])
            write_frame(frame, folder / LEFT_OUT, formulas=True)
            if config.split is not None:
                write_split(_split_of(members, left, read_groups(config.split, own.names)), folder / SPLIT)
                cleaned = out / SPLIT
    kept = len(own.names if config.split is None else members) - len(left or {})
    notes = _notes(found, own, other)
    return CopiesResult(found, counts, out, left, kept, cleaned, notes, time.perf_counter() - start)


def table(found: Copies) -> pd.DataFrame:
    """Return a row for each pair, in order of the names."""
    with_sides = any(member.side for member in found.members)

    def row(copy: Copy) -> dict[str, Any]:
        first, second = found.members[copy.first], found.members[copy.second]
        masks = copy.masks
        return {
            "image": first.name,
            "copy": second.name,
            **({"side": first.side, "side_of_copy": second.side} if with_sides else {}),
            "copy_is_laid": NAMES[copy.symmetry],
            "down_px": copy.down,
            "right_px": copy.right,
            "overlap": round(copy.share, 4),
            "correlation": round(copy.pixels, 4),
            "iou": round(masks.iou, 4) if masks else None,
            **{
                f"iou_{name}": round(value, 4) if value is not None else None
                for name, value in zip(
                    found.class_names, masks.classes if masks else [None] * len(found.class_names), strict=True
                )
            },
            "pixels_that_differ": masks.differing if masks else None,
        }

    rows = [row(copy) for copy in sorted(found.found, key=lambda copy: (copy.first, copy.second))]
    if not rows:
        rows_of_nothing = Copies(
            [*found.members[:1]] * 2, found.sizes, [Copy(0, 1, 0, 0, 0, 1, 1, None)], found.class_names
        )
        return table(rows_of_nothing).iloc[:0]
    frame = pd.DataFrame(rows)
    return frame.astype({"pixels_that_differ": "Int64"})


def _members(config: CopiesConfig, own: ImageSet) -> tuple[list[Member], ImageSet | None]:
    """Return the images to look at, by their sides, and the other folder if there is one."""
    if config.split is not None:
        frame = read_sides(config.split, own.names)
        by_side = {side: sorted(frame.loc[frame["side"] == side, "image"]) for side in SIDES}
        if sum(map(bool, by_side.values())) < 2:
            raise InputError(f"-split {config.split}: has images on one side only; leave -split out to look among them")
        return [Member(own, name, side) for side, names in by_side.items() for name in names], None
    if config.against is None:
        return [Member(own, name) for name in own.names], None
    other = open_images(config.against, "test", "-against")
    if other.folder.resolve() == own.folder.resolve():
        raise InputError(
            f"-against {config.against}: its images are those of -dir; leave -against out to look among them"
        )
    here, there = (str(one) for one in (config.dir, config.against))
    if here == there:
        here, there = own.folder.name, other.folder.name
    members = [*(Member(own, name, here) for name in own.names), *(Member(other, name, there) for name in other.names)]
    return members, other


def _counts(
    found: Copies, config: CopiesConfig, own: ImageSet, other: ImageSet | None
) -> Iterator[tuple[str, int, int, str]]:
    """Count the images that have a copy, see ``CopiesResult.counts``."""
    members = found.members
    if other is not None:
        here, there = members[0].side, members[-1].side
        for side, end, elsewhere in ((there, 1, here), (here, 0, there)):
            count = len({(copy.first, copy.second)[end] for copy in found.found})
            yield f"images of {side}", count, sum(member.side == side for member in members), f"in {elsewhere}"
    elif config.split is not None:
        sides = [side for side in SIDES if any(member.side == side for member in members)]
        for number, side in enumerate(sides):
            for before in sides[:number]:
                count = len(
                    {
                        copy.second
                        for copy in found.found
                        if (members[copy.first].side, members[copy.second].side) == (before, side)
                    }
                )
                total = sum(member.side == side for member in members)
                yield f"images on side {side}", count, total, f"on side {before}"
    else:
        count = len({end for copy in found.found for end in (copy.first, copy.second)})
        yield f"images of {config.dir}", count, len(members), "in it"


def _left_out(found: Copies, config: CopiesConfig) -> dict[str, str]:
    """Choose the images that go, each with one that stays: of a picture one, of copies on two sides the later side's."""
    names = [member.name for member in found.members]
    if config.against is None and config.split is None:
        return {names[end]: names[other] for end, other in one_of_each(found).items()}
    left: dict[str, str] = {}
    for copy in found.found:  # the surest first
        left.setdefault(names[copy.first], names[copy.second])
    return left


def _write_kept(folder: Path, own: ImageSet, left: dict[str, str]) -> Path | None:
    """Write the images that stay, with their labels, as a dataset folder; without labels a list of them beside it."""
    names = [name for name in own.names if name not in left]
    if not names:
        raise InputError(f"{own.folder}: no image would be left; the folders show the same")
    if own.labelled is None:
        write_listed(names, folder.with_suffix(".csv"))
        return None
    return write_subset(folder, own.labelled, names)


def _split_of(members: Sequence[Member], left: dict[str, str], groups: dict[str, str]) -> pd.DataFrame:
    """Return the split without the images that go; images that stay keep their groups, or each is one of its own."""
    stay = sorted((member.name, member.side) for member in members if member.name not in left)
    frame = pd.DataFrame(stay, columns=["image", "side"])
    known = [(group,) if (group := groups.get(name)) else (name, None) for name in frame["image"]]
    numbers = {one: number for number, one in enumerate(dict.fromkeys(known))}
    return frame.assign(group=[numbers[one] for one in known])


def _notes(found: Copies, own: ImageSet, other: ImageSet | None) -> list[str]:
    """Return lines about classes that could not be compared."""
    if other is None or not (own.labelled and other.labelled):
        return []
    alone = [name for name in dict.fromkeys((*own.class_names, *other.class_names)) if name not in found.class_names]
    return [f"labels are compared by the names of classes; in one folder only: {', '.join(alone)}"] if alone else []


def _title(what: str) -> str:
    return what if len(what) < 60 else f"...{what[-57:]}"


def _lead(config: CopiesConfig, own: ImageSet, other: ImageSet | None) -> str:
    day = time.strftime("%Y-%m-%d %H:%M")
    if other is not None:
        return f"between {own.folder} and {other.folder}, on {day}"
    return (
        f"between the sides of {config.split}, {own.folder}, on {day}" if config.split else f"in {own.folder}, on {day}"
    )
