"""Progressive resizing: small images in the first half of the epochs, full-sized ones in the last fifth."""

import pytest

from config import TrainConfig
from utils.errors import InputError
from utils.training.flags import settle_network
from utils.training.growing import growth_in_words, shares
from utils.training.loaders import EpochBatches


def test_ten_epochs():
    assert shares(10) == pytest.approx((0, 0, 0, 0, 0, 0, 1 / 3, 2 / 3, 1, 1))


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 17, 100])
def test_they_never_shrink_and_end_full(epochs):
    ways = shares(epochs)
    assert len(ways) == epochs
    assert list(ways) == sorted(ways)
    assert ways[-1] == 1
    assert all(0 <= way <= 1 for way in ways)


def test_the_sampler_hands_out_its_epochs_share():
    batches = EpochBatches(8, 4, 1, True, 0, 1, shares(10))
    for epoch, share in enumerate(shares(10), start=1):
        batches.set_epoch(epoch)
        assert {key.share for batch in batches for key in batch} == {share}


def test_words():
    assert "begin at 96x96, grow after epoch 6 and have their full size from epoch 9" in growth_in_words((96, 96), 10)
    assert "begin at 96x96 and have their full size from epoch 2" in growth_in_words((96, 96), 2)


@pytest.mark.parametrize("changes", [{"image_size": (256, 768)}, {"image_size": None, "crop": (256, 300)}])
def test_a_start_that_is_not_smaller_is_refused(changes):
    with pytest.raises(InputError, match="-start_size: 256x768 is not below 256x"):
        settle_network(TrainConfig(start_size=(256, 768), **changes))
    settle_network(TrainConfig(start_size=(128, 768), **changes))
