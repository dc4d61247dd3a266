"""Which mistake explains that a network denies a label."""

import numpy as np
import pytest

from utils.scoring.suspicion import CLASS, KINDS, MISSING, MOST, NOTHING, PLACE, cleanlab_score, doubt, oddity


@pytest.fixture
def label():
    masks = np.zeros((2, 120, 160), np.bool_)
    masks[0, 30:60, 40:90] = True
    return masks


def answered(masks, sure=0.9):
    return np.where(masks, sure, 0.03).astype(np.float32)


def test_a_label_that_the_network_agrees_with_is_not_in_doubt(label):
    said = doubt(label, answered(label))
    assert said.score < 0.02
    assert said.agreement > 0.9
    assert set(MOST) == set(KINDS)


@pytest.mark.parametrize(("down", "right"), [(8, 0), (-6, 5), (0, -16), (3, 0)])
def test_a_mask_that_lies_off_is_told_where_it_fits(label, down, right):
    said = doubt(np.roll(label, (-down, -right), (1, 2)), answered(label))
    assert (said.kind, said.shift) == (PLACE, (down, right))
    assert said.mended == pytest.approx(doubt(label, answered(label)).agreement, abs=0.02)


def test_shift_at_the_border_counts_only_what_stays_inside():
    label = np.zeros((1, 64, 64), np.bool_)
    label[0, :20, 10:40] = True  # the upper half of it lies outside at the shift that fits
    seen = np.zeros_like(label)
    seen[0, :10, 10:40] = True
    said = doubt(label, answered(seen))
    assert (said.kind, said.shift) == (PLACE, (-10, 0))
    assert said.mended > 0.9


def test_a_defect_of_another_class(label):
    said = doubt(label[::-1], answered(label))
    assert (said.kind, said.classes) == (CLASS, (1, 0))
    assert said.score > 0.8


def test_a_defect_that_nobody_drew(label):
    said = doubt(np.zeros_like(label), answered(label))
    assert (said.kind, said.classes) == (MISSING, (0,))
    assert said.score > 0.8
    more = label.copy()
    more[1, 80:110, 100:140] = True
    said = doubt(label, answered(more))
    assert (said.kind, said.classes) == (MISSING, (1,))


def test_a_defect_where_the_network_sees_nothing(label):
    said = doubt(label, np.full(label.shape, 0.03, np.float32))
    assert (said.kind, said.classes) == (NOTHING, (0,))
    assert 0.5 < said.score <= MOST[NOTHING]


def test_a_network_that_is_vague_speaks_against_little(label):
    assert doubt(np.zeros_like(label), answered(label, 0.55)).score < doubt(np.zeros_like(label), answered(label)).score
    assert doubt(label, np.zeros(label.shape, np.float32) + 0.09).score > 0, "vague is not the same as blind"
    # Pixels whose class nobody knows say nothing.
    counted = ~label[0]
    assert doubt(np.zeros_like(label), answered(label), counted).score == 0


def test_odd_masks_are_told(label):
    assert oddity(label) is None
    assert oddity(np.stack([label[0], label[0]])) == ("twice", (0, 1))
    whole = label.copy()
    whole[1] = True
    assert oddity(whole) == ("whole", (1,))
    assert oddity(label, counted=label[0]) == ("whole", (0,))


def test_cleanlab_doubts_a_swapped_label_more(label):
    pytest.importorskip("cleanlab")
    assert cleanlab_score(label[::-1], answered(label)) > cleanlab_score(label, answered(label)) + 0.3
