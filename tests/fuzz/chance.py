"""What chance does to files: values of any kind in place of others, and bytes that change. The same on one day."""

import copy
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, note, seed, settings
from hypothesis import strategies as st

from utils.errors import InputError

# A new one every day, so that nightly runs see new cases; FUZZ_SEED=N repeats those of another day.
SEED = int(os.environ.get("FUZZ_SEED", time.time() // 86_400))
CASES = int(os.environ.get("FUZZ_CASES", "300"))

odd = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from([0, -1, 1, 2**31, 2**63, 10**400, 0.0, -0.0, 0.5, 2.0, 1e300]),
        st.floats(),
        st.text(max_size=12),
        st.sampled_from(["", "x", "../..", "/etc/passwd", "\x1b[2J", "a\rb", "=1+1", "nan", "imagenet", "ü" * 300]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)


def by_chance(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test of Hypothesis on ``CASES`` cases of this day's seed, which a failure shows."""
    chosen = settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    return seed(SEED)(chosen(test))


def refused(work: Callable[[], Any]) -> bool:
    """Do what may be refused, and check that it is by one line; anything but ``InputError`` is a failure."""
    note(f"FUZZ_SEED={SEED}")
    try:
        work()
    except InputError as error:
        said = str(error)
    else:
        return False
    assert said.strip(), "says nothing"
    assert "\n" not in said, said
    assert "Traceback" not in said
    assert len(said) < 2000, said[:300]
    return True


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Go through the places in a value of dicts and lists, the value itself not among them."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield (*path, key)
        yield from places(one, (*path, key))


@st.composite
def changed(draw: st.DrawFn, content: Any) -> Any:
    """Return a copy in which one to three places have another value, have gone, or have a neighbour."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        every = list(places(content))
        if not every:
            return content
        *above, key = draw(st.sampled_from(every))
        holder = content
        for step in above:
            holder = holder[step]
        what = draw(st.sampled_from(["other", "other", "other", "gone", "more"]))
        if what == "other":
            holder[key] = draw(odd)
        elif what == "gone":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw(st.one_of(st.text(max_size=8), st.integers()))] = draw(odd)
        else:
            holder.append(draw(odd))
    return content


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Return bytes of which some have changed, are missing, stand twice, or are cut off."""
    chance = random.Random(draw(st.integers(0, 2**32 - 1)))
    changed_bytes = bytearray(content)
    for _ in range(chance.choice([1, 1, 1, 2, 5, 50])):
        if not changed_bytes:
            break
        at = chance.randrange(len(changed_bytes))
        match chance.randrange(5):
            case 0:
                changed_bytes[at] = chance.randrange(256)
            case 1:
                changed_bytes[at] ^= 1 << chance.randrange(8)
            case 2:
                del changed_bytes[at : at + chance.choice([1, 8, 1000])]
            case 3:
                changed_bytes[at:at] = changed_bytes[at : at + chance.choice([1, 8, 1000])]
            case _:
                piece = chance.choice([b"\0", b"\xff", b",", b'"', b"\r", b"\n", b"nan", b"-", b"9" * 30, b"{", b": "])
                changed_bytes[at : at + chance.choice([0, len(piece)])] = piece
    if chance.random() < 0.1:
        del changed_bytes[chance.randrange(len(changed_bytes) + 1) :]
    return bytes(changed_bytes)


def to_json(content: Any) -> str:
    """Return JSON text also of keys that are numbers."""
    return json.dumps(content, ensure_ascii=False, default=str)
