"""DeepWalk: where walks go, the loss pair by pair, and a network of two groups without features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc import DeepWalk, fit
from jaxdc.data import GraphSource
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Graph, Optimizer, Stage
from jaxdc.methods.deepwalk import N_DRAWN, random_walks

# A star of four nodes with a tail, and a node without edges.
STAR = Graph(6, np.array([[0, 1], [0, 2], [0, 3], [3, 4]]))


def begun(graph, **settings):
    method = DeepWalk(n_clusters=2, **settings)
    model, aux = method.init(jax.random.key(0), DataSpec((1,), graph.n_nodes, graph=graph))
    return method, model, aux


def test_a_walk_goes_along_edges_and_to_every_neighbour_alike():
    _, _, aux = begun(STAR)
    walks = np.asarray(random_walks(jax.random.key(1), jnp.tile(jnp.arange(6), 500), aux, 7))
    assert walks.shape == (3000, 7)
    np.testing.assert_array_equal(walks[:, 0], np.tile(np.arange(6), 500))
    linked = STAR.adjacency.toarray() > 0
    moving = walks[walks[:, 0] != 5]
    assert linked[moving[:, :-1], moving[:, 1:]].all()
    assert (walks[walks[:, 0] == 5] == 5).all()
    after = np.bincount(walks[:, 1][walks[:, 0] == 0], minlength=6) / 500
    np.testing.assert_allclose(after, [0, 1 / 3, 1 / 3, 1 / 3, 0, 0], atol=0.1)


def test_negatives_are_drawn_by_the_degrees():
    _, _, aux = begun(STAR)
    weights = np.array([3, 1, 1, 2, 1, 0]) ** 0.75
    np.testing.assert_allclose(np.diff(aux["noise"], prepend=0), weights / weights.sum(), atol=1e-6)


def test_the_loss_is_the_sum_over_pairs():
    method, model, aux = begun(STAR, dim=3, walk_length=5, window=2, n_negatives=2.0)
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=(2, 6, 3)).astype(np.float32)
    model.encoder.nodes[...], model.encoder.contexts[...] = jnp.asarray(u), jnp.asarray(v)
    key, start = jax.random.key(3), jnp.array([0, 4, 5])
    loss, _ = method.loss(model, aux, {"x": jnp.zeros((3, 1)), "index": start}, key)

    walk_key, reach_key, noise_key = jax.random.split(key, 3)
    walks = np.asarray(random_walks(walk_key, start, aux, 5))
    reach = np.asarray(jax.random.randint(reach_key, (3, 5), 1, 3))
    drawn = np.searchsorted(aux["noise"], jax.random.uniform(noise_key, (N_DRAWN,)), side="right")
    total, n_pairs = 0.0, 0
    assert set(np.unique(reach)) == {1, 2}
    for walk, reaches in zip(walks[:2], reach[:2], strict=True):  # the third goes nowhere
        for i, center in enumerate(walk):
            for j in range(max(i - reaches[i], 0), min(i + reaches[i], 4) + 1):
                if j != i:
                    total += np.logaddexp(0, -u[center] @ v[walk[j]])
                    total += 2.0 * np.mean(np.logaddexp(0, u[center] @ v[drawn].T))
                    n_pairs += 1
    assert n_pairs > 10
    np.testing.assert_allclose(loss, total / n_pairs, rtol=1e-5)


@pytest.mark.full
def test_a_node_without_edges_stays_where_it_began():
    method, model, aux = begun(STAR, dim=3)
    model.encoder.contexts[...] += 1  # or else only they would have gradients
    graphdef, params = nnx.split(model)
    batch = {"x": jnp.zeros((6, 1)), "index": jnp.arange(6)}

    def loss(params):
        return method.loss(nnx.merge(graphdef, params), aux, batch, jax.random.key(0))[0]

    gradients = jax.grad(loss)(params)
    for gradient in jax.tree.leaves(gradients):
        np.testing.assert_array_equal(gradient[5], 0.0)
        assert (np.abs(gradient[:5]).max(axis=1) > 0).all()


@pytest.mark.full
def test_two_groups_are_found_by_the_edges_alone():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    p = np.where(labels[:, None] == labels, 0.4, 0.02)
    source = GraphSource(np.argwhere(np.triu(rng.uniform(size=p.shape) < p, 1)), labels=labels)
    method = DeepWalk(n_clusters=2, dim=8, walk_length=10, window=3)
    stage = Stage(method=method, steps=200, batch_size=56, optimizer=Optimizer(learning_rate=0.02))
    assert fit(Experiment((stage,)), source).metrics["acc"] > 0.95


def test_other_data_are_refused():
    with pytest.raises(InputError, match="DeepWalk needs a network"):
        fit(DeepWalk(n_clusters=2), np.eye(40))
