"""Reads a number of a ``tf.train.Example`` without reading the images beside it.

An Example is a message of the protocol buffers: a map from names to features, in any order, each entry with its
length before it. What isn't wanted is stepped over.
"""

from __future__ import annotations

from jaxdc.data.records import Piece

BYTES = 512  # read at a time
AROUND = 48  # more than an entry takes for its lengths, its tags and a number, beside its name
# Tags: the number of a field times 8, plus 2 for something whose length comes first, or 0 for an integer.
_FEATURES, _ENTRY, _NAME, _VALUE, _INTEGERS, _PACKED, _SINGLE = 0x0A, 0x0A, 0x0A, 0x12, 0x1A, 0x0A, 0x08


def integer_of(piece: Piece, length: int, name: str) -> int:
    """The integer that an Example has under a name.

    Args:
      piece: reads the bytes of the Example from a start to a stop.
      length: number of bytes of the Example.
      name: name of the feature.

    Raises:
      ValueError: there is no such feature, it is not one integer, or this is no Example.
    """
    try:
        feature = _value(piece, length, name.encode())
    except IndexError:
        raise ValueError("it is no tf.train.Example") from None
    return _integer(feature)


def _value(piece: Piece, length: int, name: bytes) -> bytes:
    """The feature of that name, as it is encoded."""
    data, first = piece(0, min(length, BYTES)), 0  # what has been read, and where it starts
    tag, _, at = _head(data, 0)
    if tag != _FEATURES:
        raise ValueError("it is no tf.train.Example")
    while at < length:
        if at - first + len(name) + AROUND > len(data) and first + len(data) < length:
            data, first = piece(at, min(length, at + BYTES)), at
        tag, n, begin = _head(data, at - first)
        name_tag, n_name, name_at = _head(data, begin)
        if tag != _ENTRY or name_tag != _NAME:
            raise ValueError("it is no tf.train.Example")
        if data[name_at : name_at + n_name] == name:
            tag, n, begin = _head(data, name_at + n_name)
            if tag != _VALUE:
                break
            return data[begin : begin + n] if begin + n <= len(data) else b""  # a long one is no number
        at = first + begin + n
    raise ValueError(f"it has no feature {name.decode()}")


def _integer(feature: bytes) -> int:
    try:
        tag, _, at = _head(feature, 0)
        if tag != _INTEGERS:
            raise ValueError
        if feature[at] == _PACKED:
            _, n, begin = _head(feature, at)
            value, end = _varint(feature, begin)
            alone = end == begin + n
        else:
            value, end = _varint(feature, at + 1)
            alone = feature[at] == _SINGLE
        if not alone or end != len(feature):
            raise ValueError
    except (IndexError, ValueError):
        raise ValueError("its label is not one integer") from None
    return value - 2**64 if value >= 2**63 else value


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag and length of what begins there, and where its content begins."""
    n, begin = _varint(data, at + 1)
    return data[at], n, begin


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        group = data[at]
        value |= (group & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if group < 0x80:
            return value, at
