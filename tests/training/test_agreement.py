"""Which answers of a teacher are worth learning."""

import numpy as np
import pytest

from utils.data.dataset import NOT_COUNTED
from utils.errors import InputError
from utils.training.agreement import Agreement, compare, read_agreement, write_agreement

SEEN = np.zeros((2, 20, 30), np.float32)
SEEN[0, 5:15, 5:15] = 0.9


@pytest.mark.parametrize(
    ("mirrored", "passes", "dice", "gate", "unsure"),
    [
        (SEEN, None, 1.0, True, 0.0),
        (SEEN, True, 1.0, True, 0.0),
        (SEEN, False, 1.0, False, 0.0),
        (np.roll(SEEN, 5, 1), None, 0.5, True, 100 / 600),
        (SEEN[::-1], True, 0.0, False, 100 / 600),  # the mean of both is below 0.5: no defect, which the gate denies
    ],
)
def test_two_answers_are_compared(mirrored, passes, dice, gate, unsure):
    found, levels = compare(SEEN, mirrored, passes)
    assert (found.dice, found.gate, found.unsure) == (pytest.approx(dice), gate, pytest.approx(unsure))
    assert float((levels == NOT_COUNTED).all(0).mean()) == pytest.approx(unsure)
    assert set(np.unique(levels[levels != NOT_COUNTED])) <= {0, round(0.9 * 254), round(0.45 * 254)}


def test_nothing_found_is_agreed_on():
    found, _ = compare(SEEN * 0, SEEN * 0, False)
    assert found.accepted(1.0)
    assert not compare(SEEN * 0, SEEN * 0, True)[0].accepted(0.0)


def test_what_is_kept_is_read(tmp_path):
    answer = tmp_path / "there" / "a.png"
    write_agreement(answer, Agreement(0.75, False, 0.125))
    assert read_agreement(answer) == Agreement(0.75, False, 0.125)
    answer.with_suffix(".json").write_text("{")
    with pytest.raises(InputError, match="missing or damaged"):
        read_agreement(answer)
