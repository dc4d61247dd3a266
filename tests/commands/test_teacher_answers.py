"""Answers of teachers, turned into the classes that are learnt; what is kept of them is looked at in test_teachers.py."""

import dataclasses

import numpy as np
import pytest

from utils.commands.teacher_answers import answer_files, as_learnt
from utils.data.bit_depth import BitDepth
from utils.data.dataset_folder import open_dataset
from utils.models.spec import ModelSpec

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


def test_images_read_by_another_bit_depth_are_asked_about_anew(make_dataset, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    dataset = open_dataset(make_dataset(count=2))
    spec = ModelSpec("unet", "test_resnet", "multilabel", ("pits", "cracks"))

    def files(depth: BitDepth) -> set:
        return set(answer_files(spec, dataclasses.replace(dataset, depth=depth), [], dataset.images).values())

    assert files(BitDepth(12)) == files(BitDepth(12))
    assert not files(BitDepth(12)) & files(BitDepth(14)), "brighter images have joined them"
