"""Trace masks as outlines that run along the edges of pixels, so that filling them gives the same mask again."""

from collections.abc import Iterator

import cv2
import numpy as np


def components(mask: np.ndarray) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yield the connected parts of a mask, those that touch at a corner being one.

    Args:
        mask: (H, W) bool.

    Yields:
        The part in its box, (h, w) bool, with its holes; column and row of the box's upper left pixel in the mask.
    """
    count, numbers, boxes, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(mask).view(np.uint8), connectivity=8
    )
    for number in range(1, count):
        x, y, width, height = boxes[number, :4].tolist()
        yield numbers[y : y + height, x : x + width] == number, x, y


def rings(part: np.ndarray) -> list[np.ndarray]:
    """Trace the edges of a mask.

    Args:
        part: (h, w) bool.

    Returns:
        Closed lines along edges of pixels, (n, 2) int64 x and y of the corners each, (0, 0) is the upper left corner of
        the upper left pixel. Filled together by the even-odd rule they give the mask: those that surround a part come
        before those of its holes. Pixels that touch at a corner only are surrounded by one line.
    """
    padded = np.zeros((part.shape[0] + 2, part.shape[1] + 2), dtype=bool)
    padded[1:-1, 1:-1] = part
    above_left, above_right = padded[:-1, :-1], padded[:-1, 1:]
    below_left, below_right = padded[1:, :-1], padded[1:, 1:]
    left, right = above_left != below_left, above_right != below_right  # edges that leave the vertex to these sides
    up, down = above_left != above_right, below_left != below_right
    corner = (left | right) & (up | down)
    crossing = left & right & up & down
    ys, xs = np.nonzero(corner)
    double = crossing[ys, xs]
    falling = double & above_left[ys, xs]  # the pixels that touch are those above left and below right
    # A vertex where two pixels touch is two corners; each has one edge to its side and one up or down. To keep both pixels
    # in one line, an edge meets the one of the other pixel.
    first = np.arange(len(xs))
    x = np.concatenate([xs, xs[double]])
    y = np.concatenate([ys, ys[double]])
    # Of the two corners the first takes the edge to the left. Falling: left goes with down, right with up.
    takes_left = np.concatenate([np.zeros(len(first), np.int64), np.ones(int(double.sum()), np.int64)])
    takes_up = np.concatenate([np.where(falling, 1, 0), np.where(falling[double], 0, 1)])
    takes_up[: len(first)][~double] = 0
    flat = _partners(np.lexsort((takes_left, x, y)))
    upright = _partners(np.lexsort((takes_up, y, x)))
    return _loops(x, y, flat, upright)


def _partners(order: np.ndarray) -> np.ndarray:
    """Return for each corner the other end of its edge: along a line corners come in pairs."""
    partner = np.empty(len(order), dtype=np.int64)
    partner[order[::2]], partner[order[1::2]] = order[1::2], order[::2]
    return partner


def _loops(x: np.ndarray, y: np.ndarray, flat: np.ndarray, upright: np.ndarray) -> list[np.ndarray]:
    next_flat, next_upright = flat.tolist(), upright.tolist()
    seen = bytearray(len(next_flat))
    found = []
    for start in np.lexsort((x, y)).tolist():
        if seen[start]:
            continue
        loop, at = [], start
        while not seen[at]:
            other = next_flat[at]
            seen[at] = seen[other] = 1
            loop += [at, other]
            at = next_upright[other]
        found.append(np.stack([x[loop], y[loop]], axis=1))
    return found


def outline(part: np.ndarray) -> np.ndarray:
    """Trace a connected mask as one outline; a hole is reached by a level line there and back through the mask.

    Args:
        part: (h, w) bool, connected, also at corners.

    Returns:
        (n, 2) int64 x and y of the corners, see ``rings``. Filled by the even-odd rule it gives the mask.
    """
    found = rings(part)
    if len(found) == 1:
        return found[0]
    corners = [[(x, y) for x, y in ring.tolist()] for ring in found]
    for number, ring in enumerate(corners[1:], 1):
        first = min(range(len(ring)), key=ring.__getitem__)  # the uppermost of those farthest to the left
        corners[number] = ring[first:] + ring[:first]
    joints = _joints(part, corners)
    whole: list[tuple[int, int]] = []
    waiting = [_steps(0, corners, joints)]
    while waiting:  # instead of a recursion, which a chain of a thousand holes would end
        for step in waiting[-1]:
            if isinstance(step, int):
                waiting.append(_steps(step, corners, joints))
                break
            whole.append(step)
        else:
            waiting.pop()
    return np.array(whole, dtype=np.int64)


Joints = dict[tuple[int, int], list[tuple[int, int, int]]]


def _joints(part: np.ndarray, corners: list[list[tuple[int, int]]]) -> Joints:
    """Find where the level line to the left of each hole's first corner ends.

    Returns:
        Number of a ring and of its upright edge -> row and column where a hole is joined, and the number of the hole, in
        the order in which the edge meets them.
    """
    owner = np.zeros((part.shape[0], part.shape[1] + 1, 2), dtype=np.int64)
    for number, ring in enumerate(corners):
        for edge, ((x0, y0), (x1, y1)) in enumerate(zip(ring, [*ring[1:], ring[0]], strict=True)):
            if x0 == x1:
                owner[min(y0, y1) : max(y0, y1), x0] = number, edge
    joints: Joints = {}
    for number, ring in enumerate(corners[1:], 1):
        x, y = ring[0]
        outside = np.flatnonzero(~part[y, :x])
        end = int(outside[-1]) + 1 if len(outside) else 0
        other, edge = owner[y, end].tolist()
        joints.setdefault((other, edge), []).append((y, end, number))
    for (number, edge), found in joints.items():
        ring = corners[number]
        found.sort(reverse=ring[edge][1] > ring[(edge + 1) % len(ring)][1])
    return joints


def _steps(number: int, corners: list[list[tuple[int, int]]], joints: Joints) -> Iterator[tuple[int, int] | int]:
    """Yield the corners of a ring, and where a hole is joined its number, between the two ends of the line there."""
    ring = corners[number]
    for edge, corner in enumerate(ring):
        yield corner
        for y, x, hole in joints.get((number, edge), ()):
            yield x, y
            yield hole
            yield x, y
    if number:
        yield ring[0]
