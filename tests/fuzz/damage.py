"""What happens to files on their way: bytes change, vanish, come twice, or are cut off; the same seed, the same damage."""

import random

TELLING = (
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x80\0\0\0",
    b"\x7f\xff\xff\xff",
    b"\r\n",
    b"--",
    b'"',
    b",",
)


def damaged(data: bytes, seed: int) -> bytes:
    """Damage bytes in one to six places.

    Args:
        data: a whole file.
        seed: of the damage; what Hypothesis prints when a test fails.
    """
    chance, changed = random.Random(seed), bytearray(data)
    for _ in range(chance.randint(1, 6)):
        # Headers are short and tell the most.
        place = chance.randrange(max(1, min(len(changed), 200) if chance.random() < 0.6 else len(changed)))
        length = chance.choice((1, 1, 2, 4, 16, 200))
        kind = chance.randrange(7)
        if kind == 0:
            changed[place : place + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            word = chance.choice(TELLING)
            changed[place : place + len(word)] = word
        elif kind == 2:
            del changed[place : place + length]
        elif kind == 3:
            changed[place:place] = changed[place : place + length]
        elif kind == 4:
            changed[place:place] = chance.randbytes(length)
        elif kind == 5:
            del changed[place:]
        elif changed:
            changed[place % len(changed)] ^= 1 << chance.randrange(8)
    return bytes(changed)
