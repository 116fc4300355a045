import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from jaxdc.data.text import Documents, TextSource, TfIdf
from jaxdc.errors import InputError

pytestmark = pytest.mark.usefixtures("one_device_alone")

TEXTS = [
    "the cat sat on the mat",
    "dogs chase cats",
    "stocks fell sharply",
    "stocks and shares rose",
    "shares fell",
]


def test_tfidf_is_scikit_learns():
    source = TextSource(Documents.of(TEXTS), TfIdf(n_terms=6))
    oracle = TfidfVectorizer(max_features=6, stop_words="english")
    np.testing.assert_allclose(source.array, oracle.fit_transform(TEXTS).toarray(), rtol=1e-6)
    new = ["cats fell", "a stock of shares"]
    np.testing.assert_allclose(source.fitted.transform(new).toarray(), oracle.transform(new).toarray(), rtol=1e-6)


def test_stop_words_are_a_choice():
    source = TextSource(Documents.of(TEXTS), TfIdf(stop_words="none"))
    assert {"the", "on", "and"} < set(source.fitted.learned["terms"])
    assert not {"the", "on", "and"} & set(TfIdf().fit(TEXTS).learned["terms"])


def test_what_is_too_large_stays_sparse_and_streams_the_same():
    resident = TextSource(Documents.of(TEXTS), TfIdf())
    streamed = TextSource(Documents.of(TEXTS), TfIdf(), resident_bytes=10)
    assert streamed.array is None and streamed.shape == resident.shape
    blocks = list(streamed.blocks(2, shard=(0, 1)))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in blocks]), resident.array)
    assert streamed.fingerprint() == resident.fingerprint()
    assert streamed.rms() == resident.rms()


def test_the_fingerprint_is_of_the_texts():
    one, other = (TextSource(Documents.of(texts), TfIdf()) for texts in (TEXTS, [*TEXTS[:-1], "shares fell!"]))
    np.testing.assert_array_equal(one.array, other.array)
    assert one.fingerprint() != other.fingerprint()


def test_a_document_without_a_known_term_is_zero_and_told_of():
    said = []
    source = TextSource(Documents.of([*TEXTS, "x", "y"]), TfIdf(), say=said.append)
    assert not source.array[-2:].any()
    assert said == ["2 of the 7 documents contain no known term, so they can't be told apart"]
    said.clear()
    TextSource(Documents.of([*TEXTS, "x"]), TfIdf(), resident_bytes=10, say=said.append)
    assert said == ["1 of the 6 documents contain no known term, so they can't be told apart"]


def test_one_word_documents():
    source = TextSource(Documents.of(["cats", "dogs", "cats"]), TfIdf())
    np.testing.assert_array_equal(source.array, [[1, 0], [0, 1], [1, 0]])


def test_documents_that_are_all_the_same():
    with pytest.raises(InputError, match="all 3 documents of the texts are the same text"):
        TextSource(Documents.of(["one text"] * 3), TfIdf())
    # New ones may be: they are only assigned.
    assert TextSource(Documents.of(["stocks"] * 3), TfIdf().fit(TEXTS)).n_samples == 3


def test_no_term_to_go_by():
    with pytest.raises(InputError, match="the 2 documents contain no term of two letters or more"):
        TextSource(Documents.of(["a", "the"]), TfIdf())


@pytest.mark.parametrize(
    ("settings", "sentence"), [({"n_terms": 1}, "at least 2"), ({"stop_words": "french"}, "none")]
)
def test_settings_that_make_no_sense(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        TfIdf(**settings)
