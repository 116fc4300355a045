"""The graph autoencoder against dense matrices, and on a network with two groups."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc import GAE, fit
from jaxdc.data import GraphSource
from jaxdc.methods.base import DataSpec, Experiment, Graph, Optimizer, Stage
from jaxdc.methods.parts import networks

PATH = Graph(3, np.array([[0, 1], [1, 2]]))


def dense_loss(z, graph):
    """The loss as in the paper, from full matrices."""
    a = graph.adjacency.toarray() + np.eye(len(z))
    linked = len(graph.targets)
    weight = (a.size - linked) / linked
    norm = a.size / (2 * (a.size - linked))
    scores = np.asarray(z, np.float64) @ np.asarray(z, np.float64).T
    softplus = lambda s: np.logaddexp(0, s)  # noqa: E731
    return norm * np.mean(weight * a * softplus(-scores) + (1 - a) * softplus(scores))


def random_network(n, m, seed=0):
    rng = np.random.default_rng(seed)
    return Graph(n, rng.integers(0, n, (m, 2))), rng.normal(size=(n, 4)).astype(np.float32)


def test_codes_of_zero_cost_what_they_cost_by_hand():
    loss = networks.edge_loss(jnp.zeros((3, 2)), networks.edges_of(PATH), jax.random.key(0))
    np.testing.assert_allclose(loss, 0.9 * np.log(2) * (7 * 1.25 + 2) / 9, rtol=1e-6)


def test_the_loss_is_that_of_full_matrices():
    graph, z = random_network(50, 120)
    loss = networks.edge_loss(jnp.asarray(z), networks.edges_of(graph), jax.random.key(0))
    np.testing.assert_allclose(loss, dense_loss(z, graph), rtol=1e-5)


def test_sampled_pairs_have_the_same_expectation(monkeypatch):
    graph, z = random_network(60, 200)
    monkeypatch.setattr(networks, "PAIRS", 10)
    edges = networks.edges_of(graph)
    sampled = jax.vmap(lambda key: networks.edge_loss(jnp.asarray(z), edges, key))(
        jax.random.split(jax.random.key(0), 2000)
    )
    assert np.std(sampled) > 0
    np.testing.assert_allclose(np.mean(sampled), dense_loss(z, graph), rtol=0.01)


def test_sums_over_neighbours_in_blocks_of_columns_are_the_same(monkeypatch):
    graph, x = random_network(20, 40)
    edges = networks.edges_of(graph)
    weights = jnp.asarray(np.random.default_rng(1).uniform(size=len(graph.targets)), jnp.float32)

    def squares(x, weights):
        return jnp.sum(networks.sum_of_neighbors(x, edges, weights) ** 2)

    whole = jax.value_and_grad(squares, argnums=(0, 1))(jnp.asarray(x), weights)
    monkeypatch.setattr(networks, "BLOCK", 3 * len(graph.targets))  # of 4 columns: a block of 3, and one more
    parts = jax.value_and_grad(squares, argnums=(0, 1))(jnp.asarray(x), weights)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), parts, whole)
    dense = graph.adjacency.toarray()
    dense[graph.targets, graph.sources] = weights
    np.testing.assert_allclose(networks.sum_of_neighbors(jnp.asarray(x), edges, weights), dense @ x, rtol=1e-4)


def test_two_convolutions_of_full_matrices():
    graph, x = random_network(20, 40)
    method = GAE(n_clusters=2, hidden=5, latent=3)
    model, aux = method.init(jax.random.key(0), DataSpec((4,), 20, graph=graph))
    a = graph.adjacency.toarray() + np.eye(20)
    root = 1 / np.sqrt(a.sum(axis=1))
    a = root[:, None] * a * root
    first, second = (np.asarray(part.kernel[...]) for part in (model.encoder.first, model.encoder.mean))
    expected = a @ np.maximum(a @ x @ first, 0) @ second
    np.testing.assert_allclose(method.embed(model, aux, {"x": x}), expected, rtol=1e-4, atol=1e-5)


def test_the_variational_form_pays_for_its_codes():
    graph, x = random_network(20, 40)
    method = GAE(n_clusters=2, variational=True)
    model, aux = method.init(jax.random.key(0), DataSpec((4,), 20, graph=graph))
    for part in (model.encoder.mean, model.encoder.log_deviation):
        part.kernel[...] = jnp.zeros_like(part.kernel[...])
    _, (_, metrics) = method.loss(model, aux, {"x": jnp.asarray(x)}, jax.random.key(0))
    assert metrics["divergence"] == 0  # every code is drawn from the standard Gaussian
    model.encoder.mean.kernel[...] += 1
    mean = np.asarray(method.embed(model, aux, {"x": jnp.asarray(x)}))
    _, (_, metrics) = method.loss(model, aux, {"x": jnp.asarray(x)}, jax.random.key(0))
    np.testing.assert_allclose(metrics["divergence"], np.mean(np.sum(mean**2, axis=1)) / 2 / 20, rtol=1e-4)


@pytest.mark.full
@pytest.mark.parametrize("variational", [False, True])
def test_it_finds_two_groups(variational):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    p = np.where(labels[:, None] == labels, 0.4, 0.02)
    source = GraphSource(np.argwhere(np.triu(rng.uniform(size=p.shape) < p, 1)), labels=labels)
    method = GAE(n_clusters=2, hidden=16, latent=8, variational=variational)
    stage = Stage(method=method, steps=100, optimizer=Optimizer(learning_rate=0.01))
    assert fit(Experiment((stage,)), source).metrics["acc"] > 0.95
