"""How much memory a compressed file may ask for."""

from __future__ import annotations

from jaxdc.errors import InputError

EXPANSION = 200  # real data rarely shrink to less than a hundredth; the format of zip and gzip goes to 1/1032
ALWAYS = 2**28  # bytes that any file may expand to


def most_bytes(compressed: int) -> int:
    """The most bytes that so many compressed ones may expand to."""
    return max(ALWAYS, EXPANSION * compressed)


def check_expansion(n_bytes: int, compressed: int, what: str, advice: str) -> None:
    """Raises InputError if something of ``compressed`` bytes expands to suspiciously many."""
    if n_bytes > most_bytes(compressed):
        raise InputError(
            f"{what} would take {n_bytes / 2**30:,.1f} GiB, more than {EXPANSION} times the {compressed:,} bytes "
            f"that hold it: if that is meant, {advice}"
        )
