"""TEMI: a step by other means, what the slow clock does, and that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import erf, softmax
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors

from jaxdc import fit, methods
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Schedule, Stage
from jaxdc.methods.temi import FAST, PAPER

N, D, B, K, H = 30, 6, 8, 3, 2
SPEC = DataSpec((D,), N)
KEY = jax.random.key(7)
SMALL = {"n_clusters": K, "n_heads": H, "hidden": (5, 4), "n_neighbors": 4, "momentum": 0.7}


def vectors(seed, n=B):
    return np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)


def started(**settings):
    """The method with a model whose teacher is no longer its student."""
    method = methods.TEMI(**{**SMALL, **settings})
    model, aux = method.init(jax.random.key(0), SPEC)
    noise = jax.tree.map(lambda x: x + 0.3 * jax.random.normal(jax.random.key(x.size), x.shape), aux["teacher"])
    marginal = np.random.default_rng(3).dirichlet(np.ones(K), size=H).astype(np.float32)
    return method, model, {**aux, "teacher": noise, "marginal": jnp.asarray(marginal)}


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def weights_of(state):
    return {"/".join(map(str, path)): np.asarray(leaf[...], np.float64) for path, leaf in nnx.to_flat_state(state)}


def logits_by_hand(state, x, head):
    w, z = weights_of(state), unit(x) * np.sqrt(D)
    for i in range(2):
        z = (gelu(z) if i else z) @ w[f"kernels/{i}"][head] + w[f"biases/{i}"][head]
    return unit(z) @ unit(w["directions"][head]).T * w["scales"][head]


@pytest.mark.full
def test_one_step():
    method, model, aux = started(beta=0.6, temperature=0.2)
    x, neighbor = vectors(1), vectors(2)
    student = nnx.state(model.heads)
    teacher = jax.tree.map(lambda old, new: 0.7 * old + 0.3 * new, aux["teacher"], student)
    probs = {
        (name, i): np.stack([softmax(logits_by_hand(state, side, h) / 0.2, axis=1) for h in range(H)])
        for name, state in (("s", student), ("t", teacher))
        for i, side in enumerate((x, neighbor))
    }
    marginal = 0.9 * np.asarray(aux["marginal"]) + 0.05 * (probs["t", 0].mean(axis=1) + probs["t", 1].mean(axis=1))
    weights = (probs["t", 0] * probs["t", 1]).sum(axis=2).mean(axis=0)
    pmi = [np.log(((probs["s", i] * probs["t", 1 - i]) ** 0.6 / marginal[:, None]).sum(axis=2)) for i in range(2)]
    per_head = -(weights * np.mean(pmi, axis=0)).mean(axis=1)
    batch = {"x": jnp.asarray(x), "neighbor": jnp.asarray(neighbor), "index": jnp.arange(B)}
    step = jax.jit(lambda aux: method.loss(model, aux, batch, KEY))
    loss, (new, figures) = step(aux)
    # GELU by its tanh formula: hence the tolerance.
    np.testing.assert_allclose(loss, per_head.mean(), rtol=2e-3)
    np.testing.assert_allclose(new["losses"], per_head, rtol=2e-3)
    np.testing.assert_allclose(figures["agreement"], weights.mean(), rtol=2e-3)
    np.testing.assert_allclose(new["marginal"], marginal, rtol=2e-3)
    for name, value in weights_of(teacher).items():
        np.testing.assert_allclose(weights_of(new["teacher"])[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    # Losses add up until the next look.
    _, (more, _) = step(new)
    assert (np.abs(more["losses"]) > 1.5 * np.abs(new["losses"])).all()


def test_the_slow_clock_mines_once_and_keeps_the_head_of_the_lowest_loss():
    method, model, aux = started()
    x = vectors(5, N)
    _, new = method.refresh(model, {**aux, "losses": jnp.array([-1.0, -2.0])}, jnp.asarray(x), KEY)
    found = NearestNeighbors(n_neighbors=5, metric="cosine").fit(x).kneighbors(x)[1][:, 1:]
    np.testing.assert_array_equal(np.sort(new["neighbors"]), np.sort(found))
    assert int(new["head"]) == 1
    assert not np.any(new["losses"])
    _, again = method.refresh(model, new, -jnp.asarray(x[::-1]), KEY)
    np.testing.assert_array_equal(again["neighbors"], new["neighbors"])
    # It is the teacher that assigns.
    features = method.embed(model, new, {"x": jnp.asarray(x)})
    expected = softmax(logits_by_hand(aux["teacher"], x, 1) / 0.1, axis=1)
    np.testing.assert_allclose(method.assign(model, new, features), expected, atol=5e-3)


def test_an_epoch_takes_every_sample_once_with_one_of_its_neighbours():
    method, _, aux = started()
    neighbors = jnp.arange(N)[:, None] + 100 * jnp.arange(1, 5)[None, :]
    pairs = np.asarray(method.draw({**aux, "neighbors": neighbors}, KEY, N))
    np.testing.assert_array_equal(np.sort(pairs[:, 0]), np.arange(N))
    np.testing.assert_array_equal(pairs[:, 1] % 100, pairs[:, 0])
    assert set(pairs[:, 1] // 100) == {1, 2, 3, 4}


def test_a_recipe_fills_in_what_is_open_alone():
    for recipe, settings in (("paper", PAPER), ("fast", FAST)):
        (stage,) = methods.TEMI(n_clusters=K).stages(recipe, SPEC)
        assert {name: getattr(stage.method, name) for name in settings} == settings
        (stage,) = methods.TEMI(n_clusters=K, n_heads=3).stages(recipe, SPEC)
        assert {name: getattr(stage.method, name) for name in settings} == {**settings, "n_heads": 3}


def test_what_is_wrong_is_said():
    with pytest.raises(InputError, match="n_neighbors is 50, but each of 30 samples has 29 others"):
        methods.TEMI(n_clusters=K).init(KEY, SPEC)
    with pytest.raises(InputError, match="beta must be above 0 and at most 1, but is 1.5"):
        methods.TEMI(n_clusters=K, beta=1.5)
    with pytest.raises(InputError, match="momentum must be"):
        methods.TEMI(n_clusters=K, momentum=1.0)


@pytest.mark.full
def test_it_learns(one_device):
    x, y = make_blobs(300, n_features=D, centers=K, cluster_std=2.0, random_state=2)
    method = methods.TEMI(n_clusters=K, n_heads=3, hidden=(16,), n_neighbors=20)
    result = fit(method, x, schedule=Schedule(epochs=60), devices=one_device)
    assert adjusted_rand_score(y, result.labels) > 0.9
    np.testing.assert_array_equal(result.predict(x), result.labels)
    untrained = fit(Experiment((Stage(method=method, steps=1, batch_size=32),)), x, devices=one_device)
    assert adjusted_rand_score(y, untrained.labels) < 0.7
