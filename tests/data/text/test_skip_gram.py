import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc.data.text import skip_gram
from jaxdc.data.text.skip_gram import SkipGram, negative_sampling
from jaxdc.distributed import sharding
from jaxdc.errors import InputError

# Two topics of ten words: words of one are met in one another's texts, and "the" everywhere.
TOPICS = [[f"{name}{i}" for i in range(10)] for name in ("pet", "money")]

ONE = jax.devices()[:1]


def topic_texts(n=400, seed=0):
    rng = np.random.default_rng(seed)
    return [["the", *rng.choice(TOPICS[i % 2], 5)] for i in range(n)]


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def test_loss_and_gradients_are_those_of_the_formula():
    b, c, m, d, weight = 4, 3, 5, 6, 2.5
    u, v, w = draw(0, b, d), draw(1, b, c, d), draw(2, m, d)
    held = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 0], [1, 1, 1]], bool)
    total, du, dv, dw = 0.0, np.zeros_like(u), np.zeros_like(v), np.zeros_like(w)
    for i, j in zip(*np.nonzero(held), strict=True):  # pair by pair, as Mikolov et al. have it
        s = 1 / (1 + np.exp(-u[i] @ v[i, j]))
        total -= np.log(s)
        du[i] += (s - 1) * v[i, j]
        dv[i, j] += (s - 1) * u[i]
        for k in range(m):
            s = 1 / (1 + np.exp(-u[i] @ w[k]))
            total -= weight / m * np.log(1 - s)
            du[i] += weight / m * s * w[k]
            dw[k] += weight / m * s * u[i]
    value, gradients = jax.value_and_grad(negative_sampling, argnums=(0, 1, 3))(
        *(jnp.asarray(x, jnp.float32) for x in (u, v)), jnp.asarray(held), jnp.asarray(w, jnp.float32), weight
    )
    assert value == pytest.approx(total / held.sum(), rel=1e-5)
    for one, expected in zip(gradients, (du, dv, dw), strict=True):
        np.testing.assert_allclose(one, expected / held.sum(), rtol=1e-4, atol=1e-6)


def test_a_batch_without_a_pair_has_no_loss():
    held = jnp.zeros((2, 3), bool)
    loss, gradient = jax.value_and_grad(negative_sampling)(
        jnp.ones((2, 4)), jnp.ones((2, 3, 4)), held, jnp.ones((5, 4)), 5.0
    )
    assert loss == 0
    np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.full
def test_words_of_a_topic_come_together():
    made = SkipGram(dim=16, batch_size=256, least_steps=500).train(topic_texts(), devices=ONE)
    about = made.vectors - made.vectors.mean(axis=0)  # all words have a direction in common
    unit = about / np.linalg.norm(about, axis=1, keepdims=True)
    rows = [[made.words.index(word) for word in topic] for topic in TOPICS]
    within = np.mean([(unit[one] @ unit[one].T)[~np.eye(10, dtype=bool)].mean() for one in rows])
    between = (unit[rows[0]] @ unit[rows[1]].T).mean()
    assert within > 0.8
    assert between < -0.5
    assert made.words[0] == "the"  # the most frequent first
    assert made.vectors.shape == (21, 16)
    assert made.vectors.dtype == np.float32


@pytest.mark.full
def test_the_seed_fixes_the_vectors():
    settings = SkipGram(dim=8, epochs=2, least_steps=1)
    one, again, other = (settings.train(topic_texts(50), seed=seed, devices=ONE).vectors for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


@pytest.mark.full
def test_devices_do_not_matter():
    settings = SkipGram(dim=8, epochs=4, least_steps=1, subsample=1.0, batch_size=62)  # three can't divide 62
    one, three = (settings.train(topic_texts(50), devices=jax.devices()[:n]).vectors for n in (1, 3))
    np.testing.assert_allclose(three, one, rtol=1e-3, atol=1e-5)


def one_epoch(texts, monkeypatch, **settings):
    """Pairs that an epoch sees, as (center, context) words, with how often, and the drawn negatives."""
    seen, drawn = [], []

    def spy(center, context, held, negatives, n_negatives):
        def note(*seen_by_step):
            center, context, held, negatives = map(np.asarray, seen_by_step)
            for i, j in zip(*np.nonzero(held), strict=True):
                seen.append((int(center[i, 0]), int(context[i, j, 0])))
            drawn.extend(negatives[:, 0].astype(int).tolist())

        jax.debug.callback(note, center, context, held, negatives)
        return 0.0 * (jnp.sum(center) + jnp.sum(context) + jnp.sum(negatives))

    monkeypatch.setattr(skip_gram, "negative_sampling", spy)
    settings = SkipGram(**{"epochs": 1, "min_count": 1, "dim": 1, "subsample": 1e9, **settings})
    words, corpus = skip_gram._corpus(texts, settings)
    mesh = sharding.make_mesh(ONE)
    places = jnp.arange(len(words), dtype=jnp.float32)[:, None]  # a word's vector is its place in the list
    tables = skip_gram._Tables(places, places.copy())
    state = skip_gram._State(tables, skip_gram.scale_by_adam().init(tables))
    skip_gram._epoch(settings, mesh, sharding.replicate(state, mesh), sharding.replicate(corpus, mesh),
                     jax.random.key(0), jnp.array([0.0, 1.0]))  # fmt: skip
    jax.effects_barrier()
    return [(words[one], words[other]) for one, other in seen], [words[i] for i in drawn]


def test_pairs_are_those_of_one_text_within_the_window(monkeypatch):
    texts = [list("abcdef"), list("gh"), list("i"), list("jkl")]
    pairs, _ = one_epoch(texts, monkeypatch, window=1, batch_size=5)
    expected = [pair for text in texts for a, b in itertools.pairwise(text) for pair in ((a, b), (b, a))]
    assert sorted(pairs) == sorted(expected)  # each once, none across texts, though batches of 5 do not divide 12


def test_a_window_reaches_from_one_to_its_width(monkeypatch):
    text = [f"{i:03d}" for i in range(600)]
    pairs, _ = one_epoch([text], monkeypatch, window=3, batch_size=512)
    distances = np.bincount([abs(int(a) - int(b)) for a, b in pairs])
    assert len(distances) == 4
    np.testing.assert_allclose(distances[1:] / 1200, [1, 2 / 3, 1 / 3], atol=0.06)


def test_frequent_words_are_skipped_and_what_is_around_them_moves_together(monkeypatch):
    texts = [["the", f"a{i}", "the", f"b{i}"] for i in range(500)]
    pairs, _ = one_epoch(texts, monkeypatch, window=1, batch_size=256, subsample=0.02)
    # "the" is half of all words: a share of sqrt(0.02 / 0.5) = 0.2 is kept.
    with_the = sum(a == "the" for a, b in pairs)
    assert 350 > with_the > 180
    direct = sum(a[0] == "a" and b[0] == "b" for a, b in pairs)
    assert 450 > direct > 350  # b follows a wherever the word between is gone: 0.8 of 500


def test_negatives_are_drawn_by_counts_to_three_quarters(monkeypatch):
    texts = [["a"] * 81, ["b"] * 16, ["c"] * 1]
    _, drawn = one_epoch(texts, monkeypatch, n_drawn=20_000, batch_size=98)
    shares = np.array([drawn.count(word) for word in "abc"]) / len(drawn)
    np.testing.assert_allclose(shares, np.array([27, 8, 1]) / 36, atol=0.012)


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ([], "0 texts in which 0 word"),
        ([["a"], ["b"]], "in which 0 word occurs 2 times or more"),
        ([["a", "a", "b"]], "in which 1 word occurs 2 times or more"),
        ([["a"], ["a"], ["b"], ["b"]], "no two of them are in one text"),
    ],
)
def test_texts_to_learn_nothing_from(texts, sentence):
    with pytest.raises(InputError, match=sentence):
        SkipGram().train(texts)


@pytest.mark.parametrize("name", ["dim", "window", "epochs", "learning_rate"])
def test_settings_that_make_no_sense(name):
    with pytest.raises(InputError, match=f"{name} of the word vectors must be above 0, but is 0"):
        SkipGram(**{name: 0})
