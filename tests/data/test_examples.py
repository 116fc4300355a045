"""Integers of tf.train.Examples, found without reading the rest, against messages written here by hand."""

import pytest

from jaxdc.data.examples import integer_of


def varint(n):
    n %= 2**64
    out = b""
    while n >= 0x80:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])


def field(number, content):
    return bytes([number * 8 + 2]) + varint(len(content)) + content


def example(**features):
    """bytes become a bytes_list, integers an int64_list; ``...`` an int64_list that isn't packed."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            value = field(1, field(1, value))
        elif isinstance(value, list):
            value = field(3, field(1, b"".join(map(varint, value))))
        entries += field(1, field(1, name.encode()) + field(2, value if isinstance(value, bytes) else b""))
    return field(1, entries)


def read(message, name, n_bytes=None):
    def piece(start, stop):
        if n_bytes is not None:
            n_bytes.append(stop - start)
        assert 0 <= start <= stop <= len(message)
        return message[start:stop]

    return integer_of(piece, len(message), name)


@pytest.mark.parametrize("label", [0, 7, 127, 128, 70_000, 2**63 - 1, -1, -(2**63)])
def test_an_integer_anywhere_in_an_example(label):
    long = b"x" * 100_000
    for features in (
        {"label": [label]},
        {"image": long, "label": [label]},
        {"label": [label], "image": long},
        {"a" * 200: b"", "image": long, "label": [label], "other": [3], "zeta": long},
        {f"feature {i}": bytes(i) for i in range(40)} | {"label": [label]},
    ):
        n_bytes = []
        assert read(example(**features), "label", n_bytes) == label
        assert sum(n_bytes) < 6000


@pytest.mark.parametrize("name", ["label", "lab", "labels"])
def test_a_name_is_compared_whole(name):
    assert read(example(labels=[1], lab=[2], label=[3]), name) == {"labels": 1, "lab": 2, "label": 3}[name]


def test_what_is_no_integer_is_refused():
    with pytest.raises(ValueError, match="has no feature label"):
        read(example(image=b"x"), "label")
    for value in ([1, 2], [], b"a", b"a" * 1000):
        with pytest.raises(ValueError, match="not one integer"):
            read(example(label=value), "label")
    for damaged in (b"", b"\x0a", b"\x0a\x05ab", b"\x12\x01a", example(label=[1])[:-6], b"\x0a\xff\xff\xff"):
        with pytest.raises(ValueError):
            read(damaged, "label")


def test_an_integer_that_is_not_packed():
    feature = field(3, b"\x08" + varint(300))
    assert read(field(1, field(1, field(1, b"label") + field(2, feature))), "label") == 300


@pytest.mark.full
def test_the_real_serializer():
    tf = pytest.importorskip("tensorflow")
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x" * 1000])),
        "size": tf.train.Feature(float_list=tf.train.FloatList(value=[1.5])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[-1])),
    }
    message = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    assert read(message, "label") == -1
