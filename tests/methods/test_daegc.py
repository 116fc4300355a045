"""DAEGC's attention and loss against dense matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc import DAEGC
from jaxdc.methods.base import DataSpec, Graph
from jaxdc.methods.parts.networks import proximity


def dense_proximity(graph, order):
    t = graph.adjacency.toarray().astype(float)
    t /= np.maximum(t.sum(axis=1, keepdims=True), 1)
    return sum(np.linalg.matrix_power(t, power) for power in range(1, order + 1)) / order


def network(n=12, m=20):
    rng = np.random.default_rng(0)
    return Graph(n, rng.integers(0, n, (m, 2))), rng.normal(size=(n, 4)).astype(np.float32)


def test_proximity_is_the_chance_of_short_walks():
    graph, _ = network()
    for order in (1, 2, 3):
        expected = dense_proximity(graph, order)
        values, own = proximity(graph, order)
        np.testing.assert_allclose(values, expected[graph.targets, graph.sources], rtol=1e-5)
        np.testing.assert_allclose(own, np.diag(expected), rtol=1e-5)


def test_proximity_on_a_path_of_three_by_hand():
    values, own = proximity(Graph(3, np.array([[0, 1], [1, 2]])), 2)
    np.testing.assert_allclose(values, [0.5, 0.25, 0.25, 0.5])
    np.testing.assert_allclose(own, [0.25, 0.5, 0.25])


def dense_attention(layer, x, graph):
    """Equations 2 to 5 from full matrices."""
    h = x @ np.asarray(layer.linear.kernel[...])
    to, by = (h @ np.asarray(part.kernel[...]) for part in (layer.of_target, layer.of_source))
    scores = dense_proximity(graph, 2) * (to + by.T)
    scores = np.where(scores > 0, scores, 0.2 * scores)
    linked = graph.adjacency.toarray() + np.eye(graph.n_nodes) > 0
    weights = np.where(linked, np.exp(scores), 0)
    mean = weights / weights.sum(axis=1, keepdims=True) @ h
    return np.where(mean > 0, mean, np.expm1(mean))


@pytest.mark.full
def test_attention_and_loss_are_those_of_full_matrices():
    graph, x = network()
    method = DAEGC(n_clusters=2, hidden=6, latent=3, clustering=2.0)
    model, aux = method.init(jax.random.key(0), DataSpec((4,), 12, graph=graph))
    z = dense_attention(model.encoder.second, dense_attention(model.encoder.first, x, graph), graph)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose(method.embed(model, aux, {"x": x}), z, rtol=1e-3, atol=1e-5)

    model, aux = method.refresh(model, aux, jnp.asarray(z, jnp.float32), jax.random.key(1))
    loss, _ = method.loss(model, aux, {"x": jnp.asarray(x)}, jax.random.key(0))
    linked = graph.adjacency.toarray() + np.eye(12)
    scores = z @ z.T
    edges = np.mean(linked * np.logaddexp(0, -scores) + (1 - linked) * np.logaddexp(0, scores))
    q = 1 / (1 + np.sum((z[:, None] - np.asarray(model.centroids[...])) ** 2, axis=2))
    q /= q.sum(axis=1, keepdims=True)
    p = q**2 / q.sum(axis=0)
    p /= p.sum(axis=1, keepdims=True)
    kl = np.mean(np.sum(p * np.log(p / q), axis=1))
    np.testing.assert_allclose(loss, edges + 2 * kl, rtol=1e-4)
