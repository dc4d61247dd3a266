"""Orders of the plant: what makes no sense is refused before it reaches a file name or a topic."""

import pytest

from utils.line.orders import Order, OrderError


@pytest.mark.parametrize("coil_id", [None, "4711", "C-1.2:b", "a b"])
def test_order_is_taken(coil_id):
    assert Order("coil", coil_id).coil_id == coil_id


@pytest.mark.parametrize(
    ("kind", "coil_id"),
    [("stop", None), ("", None), ("coil", "../x"), ("coil", ""), ("coil", "x" * 65), ("coil", "a\nb"), ("coil", 5)],
)
def test_order_that_makes_no_sense_is_refused(kind, coil_id):
    with pytest.raises(OrderError):
        Order(kind, coil_id)
