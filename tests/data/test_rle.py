import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from utils.data import rle
from utils.errors import InputError

masks = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12), elements=st.integers(0, 1)
)


def slow_encode(mask):
    """Walk over the pixels, down the columns first."""
    pairs, position = [], 0
    for x in range(mask.shape[1]):
        for y in range(mask.shape[0]):
            position += 1
            if not mask[y, x]:
                continue
            if pairs and sum(pairs[-1]) == position:
                pairs[-1][1] += 1
            else:
                pairs.append([position, 1])
    return " ".join(f"{start} {length}" for start, length in pairs)


def slow_decode(text, height, width):
    mask = np.zeros((height, width), np.uint8)
    numbers = [int(word) for word in text.split()]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        for position in range(start - 1, start - 1 + length):
            mask[position % height, position // height] = 1
    return mask


def borders(height, width):
    mask = np.zeros((height, width), np.uint8)
    mask[[0, -1], :] = 1
    mask[:, [0, -1]] = 1
    return mask


def single(height, width, y, x):
    mask = np.zeros((height, width), np.uint8)
    mask[y, x] = 1
    return mask


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (np.zeros((3, 4)), ""),
        (np.ones((3, 4)), "1 12"),
        (single(3, 4, 0, 0), "1 1"),
        (single(3, 4, 1, 0), "2 1"),
        (single(3, 4, 0, 1), "4 1"),
        (single(3, 4, 2, 3), "12 1"),
        (borders(3, 4), "1 4 6 2 9 4"),
        (np.ones((1, 1)), "1 1"),
        (np.array([[1, 0, 1]]), "1 1 3 1"),
        (np.array([[1], [0], [1]]), "1 1 3 1"),
    ],
)
def test_known_masks(mask, text):
    assert rle.encode(mask) == text
    assert np.array_equal(rle.decode(text, *mask.shape), mask)


@given(masks)
def test_agrees_with_the_slow_reference(mask):
    text = rle.encode(mask)
    assert text == slow_encode(mask)
    decoded = rle.decode(text, *mask.shape)
    assert np.array_equal(decoded, slow_decode(text, *mask.shape))
    assert np.array_equal(decoded, mask)
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_every_nonzero_value_is_defect(dtype):
    assert rle.encode((single(3, 4, 1, 1) * 7).astype(dtype)) == "5 1"


def test_a_strided_mask_is_encoded_like_its_copy():
    both = np.random.default_rng(0).integers(0, 2, (9, 10, 3))
    assert rle.encode(both[..., 1]) == rle.encode(both[..., 1].copy())


def test_touching_runs_are_accepted():
    assert np.array_equal(rle.decode("1 2 3 1", 3, 2), rle.decode("1 3", 3, 2))


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_white_space_is_an_empty_mask(text):
    assert rle.parse(text, 4, 4).shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "pair", "reason"),
    [
        ("1 2 x 4", 2, "'x' is not a whole number"),
        ("1 2.5", 1, "'2.5' is not a whole number"),
        ("1_0 2", 1, "'1_0' is not a whole number"),
        ("\u0661 2", 1, "'\u0661' is not a whole number"),
        ("1 2 3\u00a05", 2, "'3\\xa05' is not a whole number"),
        ("1 2 3\u30005", 2, "'3\\u30005' is not a whole number"),
        ("1 2 3 5\u00a0", 2, "'5\\xa0' is not a whole number"),
        ("--1 2", 1, "'--1' is not a whole number"),
        (f"1 {'9' * 5000}", 1, "is not a whole number"),
        (f"1 {'9' * 30}", 1, "past the end of any image"),
        (f"-{'9' * 30} 2", 1, "past the end of any image"),
        ("1 2 3", None, "3 numbers; start and length must come in pairs"),
        ("1 2 0 4", 2, "start 0, must be 1 or more"),
        ("-3 2", 1, "start -3, must be 1 or more"),
        ("3 0", 1, "length 0, must be 1 or more"),
        ("3 -1", 1, "length -1, must be 1 or more"),
        ("9 1 5 1", 2, "start 5 is unsorted, comes after 9"),
        ("5 3 7 1", 2, "start 7 overlaps the run before it, which ends at 7"),
        ("5 1 5 1", 2, "start 5 overlaps the run before it, which ends at 5"),
        ("12 2", 1, "run ends at 13, past the image's 12 pixels"),
        ("1 1 13 1", 2, "run ends at 13, past the image's 12 pixels"),
    ],
)
def test_malformed_code_is_a_named_error(text, pair, reason):
    with pytest.raises(rle.RleError) as caught:
        rle.decode(text, 3, 4)
    assert caught.value.pair == pair
    assert reason in caught.value.reason
    assert isinstance(caught.value, InputError)
    assert str(caught.value).startswith(f"pair {pair}: " if pair else "3 numbers")


def test_the_end_is_not_checked_without_a_size():
    assert rle.parse("1000000 5").tolist() == [[1000000, 5]]


@given(st.text(alphabet="0123456789 -x", max_size=20))
def test_any_text_is_read_or_refused_and_what_is_read_encodes_back_to_the_same_pixels(text):
    try:
        mask = rle.decode(text, 5, 6)
    except rle.RleError:
        return
    assert np.array_equal(rle.decode(rle.encode(mask), 5, 6), slow_decode(text, 5, 6))


@pytest.mark.parametrize(
    "first", [1, 9, 99, 998, 999, 1000, 1001, 9_999, 999_998, 999_999, 1_000_000, 1_000_001, 2_000_500]
)
@pytest.mark.parametrize("more", [0, 2 * rle.FEW])
def test_numbers_of_any_length_are_written_whole(first, more):
    flat = np.zeros(3_000_000, bool)
    lengths = [1, 7, 10, 100, 999, 1000, 1001, 12_345, 100_000, *[3] * more]
    expected, start = [], first
    for length in lengths:
        flat[start - 1 : start - 1 + length] = True
        expected += [start, length]
        start += length + 1
    assert rle.encode(flat.reshape(1000, 3000, order="F")) == " ".join(map(str, expected))


def test_a_mask_of_a_transposed_or_cut_array_is_read_as_it_looks():
    whole = np.random.default_rng(0).random((30, 40)) < 0.5
    for mask in (whole.T, whole[::2, 3:], np.asfortranarray(whole), whole.astype(float) * 0.2):
        assert rle.encode(mask) == slow_encode(np.ascontiguousarray(mask))


@pytest.mark.parametrize("seed", range(20))
def test_part_of_a_mask_is_written_as_the_whole(seed):
    random = np.random.default_rng(seed)
    mask = np.zeros((17, 23), bool)
    y, height = (0, 17) if seed % 4 == 0 else (3, 9)  # whole columns run into each other
    x, width = (int(random.integers(0, 10)), int(random.integers(1, 13)))
    mask[y : y + height, x : x + width] = random.random((height, width)) < (0.3, 0.9, 1.0)[seed % 3]
    assert rle.encode_part(mask[y : y + height, x : x + width], x, y, 17) == rle.encode(mask)


@pytest.mark.parametrize(
    "code",
    ["1", "0 3", "3 0", "5 2 6 1", "9 1 2 1", "1 2\t5 1", "+1 2", "1 x", "1_0 2", "1 1234567890123456789", "1 2\n5 1"],
)
@pytest.mark.parametrize("place", [0, 3, rle.AT_ONCE])
def test_one_bad_code_among_many_is_seen(code, place):
    codes = ["1 2 4 3", "", "7 1"] * (rle.AT_ONCE // 2)
    assert rle.are_valid(codes)
    assert not rle.are_valid([*codes[:place], code, *codes[place:]])


@given(st.lists(st.lists(st.integers(0, 30), max_size=6), max_size=5))
def test_codes_are_valid_together_when_each_is(numbers):
    codes = [" ".join(map(str, some)) for some in numbers]

    def valid(code):
        try:
            return bool(len(rle.parse(code)) + 1)
        except rle.RleError:
            return False

    assert rle.are_valid(codes) == all(map(valid, codes))


@pytest.mark.parametrize("band", [1, 7, 26, 40, 1000])
def test_mask_encoded_band_by_band_is_the_same(band, monkeypatch):
    random = np.random.default_rng(3)
    masks = [random.random((13, 29)) < share for share in (0, 0.1, 0.5, 0.95, 1)]
    whole = [rle.encode(mask) for mask in masks]
    monkeypatch.setattr(rle, "BAND", band)
    assert [rle.encode(mask) for mask in masks] == whole
    assert whole[-1] == f"1 {13 * 29}"


@given(st.lists(st.lists(st.integers(0, 10**9), min_size=1, max_size=6), max_size=5))
def test_last_pixels_of_codes_are_those_of_each(numbers):
    codes = [" ".join(map(str, some)) for some in numbers]
    try:
        wanted = [int(rle.parse(code)[-1].sum()) - 1 for code in codes]
    except rle.RleError:
        wanted = None
    found = rle.last_pixels([code.encode() for code in codes])
    if max((number for some in numbers for number in some), default=0) < 10**8:
        assert (None if found is None else found.tolist()) == wanted
    else:
        assert found is None


@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 9), st.integers(1, 30_000)), min_size=1, max_size=9), min_size=1, max_size=6
    )
)
def test_last_pixels_of_well_formed_codes(gaps):
    codes = []
    for some in gaps:
        ends = np.cumsum([gap + length for gap, length in some])
        codes.append(" ".join(f"{end - length} {length}" for end, (_, length) in zip(ends, some, strict=True)))
    found = rle.last_pixels([code.encode() for code in codes])
    assert found is not None
    assert found.tolist() == [int(rle.parse(code)[-1].sum()) - 1 for code in codes]


@pytest.mark.parametrize("code", ["1  2", "1 2 ", " 1 2", "+1 2", "1\t2", "1", "", "1 2 3", "5 1 5 1", "0 1", "1 0"])
def test_last_pixels_leave_what_is_rare_or_wrong_to_others(code):
    assert rle.last_pixels([b"1 2", code.encode(), b"4 1"]) is None
    assert rle.last_pixels([]) is not None
