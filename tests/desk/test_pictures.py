"""Decoded images: what lies in memory is counted once, however many ask for it at once."""

import threading

import numpy as np

from utils.desk.pictures import DecodedImages


def test_an_image_that_two_decode_at_once_is_counted_once():
    images, together = DecodedImages(room=5000), threading.Barrier(2, timeout=10)

    def decode() -> np.ndarray:
        together.wait()
        return np.zeros((10, 100, 1), np.uint8)

    for number in range(4):
        threads = [threading.Thread(target=images.get, args=(str(number), decode)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    # All four have room. Counted twice each, but one would have gone, and for good.
    assert [name for name in "0123" if images._find(name) is not None] == list("0123")
    assert images._bytes == 4000
