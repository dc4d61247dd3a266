"""How clean images are parted into folds."""

import pytest

from utils.commands.train_anomaly import STRETCHES, stretches


def names(count: int) -> list[str]:
    return [f"coil{number // 25:02d}_{number:04d}.png" for number in range(count)]


def test_neighbours_are_in_one_stretch_and_stretches_are_of_one_size():
    found = stretches({name: number for number, name in enumerate(names(500))}, 5)
    parts = [found[name] for name in names(500)]
    assert parts == sorted(parts)
    assert [parts.count(part) for part in range(5 * STRETCHES)] == [25] * 20


def test_copies_stay_together_wherever_they_are():
    groups = {name: number % 50 for number, name in enumerate(names(100))}
    found = stretches(groups, 5)
    assert all(found[one] == found[other] for one, other in zip(names(100)[:50], names(100)[50:], strict=True))
    assert len(set(found.values())) == 20


@pytest.mark.parametrize("sizes", [(10, 1, 1), (1, 1, 10), (30, 2, 2), (1, 1, 1)])
def test_every_fold_gets_something(sizes):
    groups = [group for group, size in enumerate(sizes) for _ in range(size)]
    found = stretches(dict(zip(names(len(groups)), groups, strict=True)), 3)
    assert len(set(found.values())) == 3
    together = dict(zip(groups, found.values(), strict=False))
    assert [found[name] for name in names(len(groups))] == [together[group] for group in groups]
