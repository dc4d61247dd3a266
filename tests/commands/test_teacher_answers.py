"""Answers of teachers, turned into the classes that are learnt; what is kept of them is looked at in test_teachers.py."""

import numpy as np
import pytest

from utils.commands.teacher_answers import as_learnt

ANSWER = np.array([[[0.2, 0.9]], [[0.6, 0.3]], [[0.1, 0.0]]], np.float32)


@pytest.mark.parametrize(
    ("mapping", "task", "expected"),
    [
        ([0, 1, 2], "multilabel", ANSWER),
        ([2, 0], "multilabel", ANSWER[[2, 0]]),
        (None, "multilabel", [[[0.6, 0.9]]]),
        (None, "multiclass", [[[0.9, 1.0]]]),
    ],
)
def test_probabilities_of_the_teacher_become_those_of_the_classes_learnt(mapping, task, expected):
    assert np.allclose(as_learnt(ANSWER, mapping, task), expected)
