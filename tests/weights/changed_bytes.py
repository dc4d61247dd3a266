"""Damage to files: one changed byte at some forty places."""

from collections.abc import Iterator
from pathlib import Path


def change_one_byte(path: Path, change: int) -> Iterator[int]:
    """Write the file again and again with another byte changed, XOR ``change``; yield the byte's place each time."""
    whole = path.read_bytes()
    for offset in range(0, len(whole), len(whole) // 40):
        changed = bytearray(whole)
        changed[offset] ^= change
        path.write_bytes(changed)
        yield offset
