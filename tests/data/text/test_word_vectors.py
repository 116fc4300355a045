import gzip

import numpy as np
import pytest

from jaxdc.data.text.word_vectors import read_word_vectors
from jaxdc.errors import InputError


@pytest.fixture
def write(tmp_path):
    def write(content, name="vectors.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


GLOVE = "the 0 0\ncat 1 2.5\ndog -1 1e-3\n"


@pytest.mark.parametrize(
    "content", [GLOVE, "3 2\n" + GLOVE, GLOVE.replace("\n", " \r\n"), "\ufeff" + GLOVE, GLOVE + "\n"]
)
def test_word2vec_and_glove(write, content):
    found = read_word_vectors(write(content), {"dog", "cat", "fish"})
    assert found.words == ["cat", "dog"]
    assert found.vectors.dtype == np.float32
    np.testing.assert_array_equal(found.vectors, np.float32([[1, 2.5], [-1, 1e-3]]))


def test_compressed(write):
    path = write(gzip.compress(GLOVE.encode()), "vectors.vec.gz")
    assert read_word_vectors(path, ["cat"]).words == ["cat"]


def test_upper_case_stands_in_and_the_first_line_of_a_word_counts(write):
    found = read_word_vectors(write("Paris 1 1\nCat 2 2\ncat 3 3\ncat 4 4\nPARIS 5 5\n"), {"paris", "cat"})
    assert found.words == ["cat", "paris"]
    np.testing.assert_array_equal(found.vectors, [[3, 3], [1, 1]])


def test_words_with_spaces(write):
    found = read_word_vectors(write("cat 1 2\n. . . 3 4\ndog 5 6\n"), {"cat", "dog"})
    np.testing.assert_array_equal(found.vectors, [[1, 2], [5, 6]])


def test_lines_of_other_words_need_hold_no_numbers_that_can_be_read(write):
    assert read_word_vectors(write("x a b\ncat 1 2\n"), {"cat"}).words == ["cat"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("cat 1 2\ndog 1\n", r"'dog 1' in line 2, but must have a word and 2 numbers"),
        ("cat 1 2\ndog 1 2 3\n", r"3 numbers in line 2, but must have 2"),
        ("2 3\ncat 1 2\n", r"'cat 1 2' in line 2, but must have a word and 3 numbers"),
        ("cat\n", r"'cat' in line 1, but must have a word and its numbers"),
        ("dog 1 2\ncat 1 x\n", r"invalid numbers in line 2, after 'cat'"),
        ("cat 1 nan\n", r"invalid numbers in line 1"),
        ("horse 1 2\n", r"none of the 2 words of the texts has a vector in .*vectors.txt"),
        ("", r"none of the 2 words"),
        (
            b"cat 1 2\n\xff\xfe 1 2\n",
            r"not UTF-8 in line 2; word vectors in a binary format must be saved as text",
        ),
    ],
)
def test_what_is_wrong_is_named(write, content, sentence):
    with pytest.raises(InputError, match=sentence):
        read_word_vectors(write(content), {"cat", "dog"})


def test_files_that_can_not_be_read(write, tmp_path):
    for path in (tmp_path / "none.txt", tmp_path, write(b"no gzip", "vectors.txt.gz")):
        with pytest.raises(InputError, match="can't be read"):
            read_word_vectors(path, {"cat"})
