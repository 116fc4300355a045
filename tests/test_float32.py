import pickle

import jax
import numpy as np
import pytest

import jaxdc
from jaxdc.data import open_source
from jaxdc.data.text import WordClusters
from jaxdc.data.text.skip_gram import SkipGram
from jaxdc.runs.forecast import forecast

RNG = np.random.default_rng(0)
X = np.abs(RNG.normal(size=(64, 6)) + 4 * (np.arange(64) % 2)[:, None])


def check(method, x):
    """A run with JAX set to 64 bits, which is the same as one without. ``test_contract`` has every method."""
    expected = jaxdc.fit(method, x, devices=jax.devices()[:1])
    with jax.enable_x64(True):
        result = jaxdc.fit(method, x, devices=jax.devices()[:1])
        np.testing.assert_array_equal(result.predict(x), expected.predict(x))
    assert result.embeddings.dtype == result.probabilities.dtype == np.float32
    np.testing.assert_array_equal(result.embeddings, expected.embeddings)
    np.testing.assert_array_equal(result.probabilities, expected.probabilities)
    return result


@pytest.mark.parametrize("method", [jaxdc.KMeans, jaxdc.Spectral])
def test_a_run_is_the_same_when_jax_is_set_to_64_bits(method):
    check(method(n_clusters=2), X)


def test_what_follows_a_run_is_the_same_too(tmp_path):
    result = check(jaxdc.KMeans(n_clusters=2), X)
    with jax.enable_x64(True):
        result.save(tmp_path / "run")
        loaded = jaxdc.load(tmp_path / "run", devices=jax.devices()[:1])
        again = pickle.loads(pickle.dumps(result))
        for each in (loaded, again):
            np.testing.assert_array_equal(each.predict_proba(X), result.probabilities)
        assert forecast(jaxdc.KMeans(n_clusters=2), X, devices=jax.devices()[:1])
        assert next(result.predict_source(jaxdc.data.ArraySource(X))).embeddings.dtype == np.float32
        assert jax.numpy.ones(1).dtype == np.float64  # the caller's own setting stays


@pytest.mark.full
def test_word_vectors_are_the_same(tmp_path):
    (tmp_path / "a.txt").write_text("cats purr softly\ndogs bark loudly\ncats chase mice\ndogs chase cats\n" * 3)
    vectorizer = WordClusters(n_word_clusters=2, skip_gram=SkipGram(dim=4, epochs=1, least_steps=1))
    expected = open_source(str(tmp_path / "a.txt"), vectorizer=vectorizer)
    with jax.enable_x64(True):
        source = open_source(str(tmp_path / "a.txt"), vectorizer=vectorizer)
    np.testing.assert_array_equal(source.array, expected.array)
