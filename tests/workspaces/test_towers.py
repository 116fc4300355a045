import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.workspaces import Towers
from jaxdc.workspaces.sessions import Pairs
from jaxdc.workspaces.towers import Tower, _data, batch_loss

ONE = jax.devices()[:1]
QUICK, TEXTS = Towers(dim=8, batch_size=32, least_steps=50), np.eye(20, 6, dtype=np.float32)


def made_pairs(*pairs):
    """Of ``(first, second, weight)``."""
    first, second, weights = zip(*pairs, strict=True)
    return Pairs(
        np.array(first, np.int32), np.array(second, np.int32), np.array(weights, float), np.ones(len(first))
    )


def two_groups(n=20, seed=0):
    """Documents 0 to n - 1, of which even ones go with even ones and odd ones with odd ones."""
    rng = np.random.default_rng(seed)
    some = [(a, b, 1.0) for a in range(n) for b in range(a + 1, n) if (a + b) % 2 == 0 and rng.random() < 0.5]
    return made_pairs(*some)


def test_the_loss_of_a_batch_by_hand():
    settings = Towers(dim=3, temperature=0.5, id_penalty=0.7)
    pairs = made_pairs((0, 1, 1.0), (0, 2, 2.0), (3, 4, 1.0))
    rng = np.random.default_rng(0)
    own, terms, texts = rng.normal(size=(5, 3)), rng.normal(size=(2, 3)), rng.random((5, 2))
    texts[4] = 0
    tower = Tower(settings, 5, 2, rngs=nnx.Rngs(0))
    tower.own[...], tower.terms[...] = jnp.asarray(own, jnp.float32), jnp.asarray(terms, jnp.float32)
    ids = np.array([[0, 1], [2, 0], [4, 3], [0, 1]])
    dropped = np.array([[True, False], [False, False], [False, True], [False, False]])
    graphdef, params = nnx.split(tower, nnx.Param)
    loss = jax.jit(lambda params, *batch: batch_loss(settings, nnx.merge(graphdef, params), *batch))
    value = loss(params, _data(pairs, 5, texts), ids, dropped)

    drawn = np.array([3, 1, 2, 1, 1]) / 8  # both documents of each pair, by its weight
    z = np.where(dropped[..., None], 0, own[ids]) + texts[ids] @ terms
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    expected = 0.0
    for i in range(4):
        scores = {j: z[i, 0] @ z[j, 1] / 0.5 - np.log(drawn[ids[j, 1]]) for j in range(4)}
        # Not the query itself, and not its key once more.
        others = [scores[j] for j in range(4) if j == i or ids[j, 1] not in ids[i]]
        expected += (np.log(np.sum(np.exp(others))) - scores[i]) / 4
    expected += 0.7 * np.mean(np.sum(own[ids] ** 2, axis=(1, 2)))
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_few_pairs_are_passed_over_more_often():
    settings = Towers(epochs=3, batch_size=10, least_steps=120)
    assert settings.n_steps(two_groups()) == 150  # in whole fifties
    many = Pairs(*(np.zeros(1000, np.int32),) * 2, np.ones(1000), np.ones(1000))
    assert settings.n_steps(many) == 300


def test_what_is_used_together_lies_together():
    pairs = two_groups()
    trained = Towers(batch_size=64, learning_rate=0.01).train(pairs, 22, devices=ONE)
    cosines = trained.vectors @ trained.vectors.T
    same = (np.arange(20)[:, None] + np.arange(20)) % 2 == 0
    assert cosines[:20, :20][same].mean() > cosines[:20, :20][~same].mean() + 0.8
    assert trained.losses[-1] < trained.losses[0] - 0.1
    # Nothing is known of the two that are in no pair.
    assert not trained.vectors[20:].any()


@pytest.mark.full
def test_a_text_speaks_for_a_document_that_is_never_used():
    texts = np.zeros((22, 3), np.float32)
    texts[np.arange(21), np.arange(21) % 2] = 1
    trained = Towers(batch_size=64, learning_rate=0.01).train(two_groups(), 22, texts, devices=ONE)
    towards = trained.vectors[:20] @ trained.vectors[20]
    assert towards[::2].mean() > towards[1::2].mean() + 0.8
    assert not trained.vectors[21].any()
    alone = Towers(batch_size=64, ids=False).train(two_groups(), 22, texts, devices=ONE)
    np.testing.assert_allclose(alone.vectors[0], alone.vectors[20], rtol=1e-5)


@pytest.mark.parametrize("n", [2, 4, 8])
def test_a_batch_has_the_same_loss_on_any_number_of_devices(n):
    settings, texts = Towers(dim=8), np.eye(20, 6, dtype=np.float32)
    data, tower = _data(two_groups(), 20, texts), Tower(Towers(dim=8), 20, 6, rngs=nnx.Rngs(0))
    graphdef, params = nnx.split(tower, nnx.Param)
    ids = np.random.default_rng(0).integers(20, size=(32, 2))
    dropped = np.random.default_rng(1).random((32, 2)) < 0.3

    @jax.jit
    def loss(params, data, ids, dropped):
        return jax.value_and_grad(lambda p: batch_loss(settings, nnx.merge(graphdef, p), data, ids, dropped))(
            params
        )

    def on(devices):
        mesh = sharding.make_mesh(devices)
        batch = jax.device_put((ids, dropped), sharding.by_sample(mesh))
        return loss(*sharding.replicate((params, data), mesh), *batch)

    (value, gradient), (expected, its_gradient) = on(jax.devices()[:n]), on(ONE)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    for g, e in zip(jax.tree.leaves(gradient), jax.tree.leaves(its_gradient), strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-4, atol=1e-6)


@pytest.mark.full
def test_devices_do_not_matter():
    one, eight = (QUICK.train(two_groups(), 20, TEXTS, devices=jax.devices()[:n]) for n in (1, 8))
    np.testing.assert_allclose(eight.losses, one.losses, rtol=1e-5)
    np.testing.assert_allclose(eight.vectors, one.vectors, atol=1e-4)


def test_the_seed_decides():
    one, again, other = (QUICK.train(two_groups(), 20, TEXTS, seed=s, devices=ONE).vectors for s in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


def test_impossible_settings_are_refused():
    for settings, sentence in (
        ({"dim": 0}, "dim of the towers must be above 0"),
        ({"temperature": float("nan")}, "temperature"),
        ({"id_dropout": 1.5}, "id_dropout of the towers must be from 0 to 1"),
        ({"id_penalty": -1.0}, "id_penalty"),
    ):
        with pytest.raises(InputError, match=sentence):
            Towers(**settings)
    with pytest.raises(InputError, match="need texts"):
        Towers(ids=False).train(two_groups(), 20, devices=ONE)
    with pytest.raises(InputError, match="a batch of 9 can't be divided equally among 2 devices"):
        Towers(batch_size=9).train(two_groups(), 20, devices=jax.devices()[:2])
