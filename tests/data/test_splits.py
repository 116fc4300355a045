import pytest

from jaxdc.data.splits import choose_splits
from jaxdc.errors import InputError

STL = {"unlabelled": False, "test": True, "train": True}


@pytest.mark.parametrize(
    ("split", "labelled", "chosen"),
    [
        ("all", STL, ["test", "train"]),
        ("train", STL, ["train"]),
        ("unlabelled", STL, ["unlabelled"]),
        ("train+test", STL, ["train", "test"]),
        ("all+unlabelled", STL, ["test", "train", "unlabelled"]),
        ("unlabelled+train", STL, ["train", "unlabelled"]),
        ("train+all", STL, ["train", "test"]),
        ("all", {"a": False, "b": False}, ["a", "b"]),
        ("a+b", {"a+b": True, "a": True}, ["a+b"]),
    ],
)
def test_those_with_labels_come_first(split, labelled, chosen):
    assert choose_splits(split, labelled, "set") == chosen


def test_an_unknown_one_is_named():
    with pytest.raises(InputError, match=r"set has no split 'tset'; it has 'unlabelled', 'test', 'train', or all"):
        choose_splits("train+tset", STL, "set")
