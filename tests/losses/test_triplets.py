import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc.losses import triplet

A, P, N = [1.0, 0.0], [0.8, 0.6], [0.0, 1.0]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([A, P, N], (0.0 + 0.0) / 2),  # 0.4 - 2 + 0.2 of a, and 0.4 - 0.8 + 0.2 of p
        ([A, N, P], (1.8 + 1.4) / 2),  # the two of one cluster are the far ones
    ],
)
def test_three_samples_by_hand(rows, expected):
    loss, n = triplet(2.0 * jnp.array(rows), jnp.array([3, 3, 7]))
    np.testing.assert_allclose(loss, expected, atol=1e-5)
    assert n == 2


def test_every_triplet_counts_once():
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(9, 4)), np.array([0, 0, 0, 1, 1, 1, 1, 2, 3])
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    squared = ((unit[:, None] - unit[None]) ** 2).sum(axis=2)
    costs = [
        max(0.0, 0.9 * squared[a, p] - squared[a, n] + 0.5)
        for a in range(9)
        for p in range(9)
        for n in range(9)
        if a != p and labels[a] == labels[p] != labels[n]
    ]
    loss, count = triplet(jnp.asarray(z, jnp.float32), jnp.asarray(labels), margin=0.5, gamma=0.9)
    np.testing.assert_allclose(loss, np.mean(costs), rtol=1e-5)
    assert count == len(costs)
    order = rng.permutation(9)
    again = triplet(jnp.asarray(z[order], jnp.float32), jnp.asarray(7 - labels[order]), margin=0.5, gamma=0.9)
    np.testing.assert_allclose(again[0], loss, rtol=1e-5)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3]])
@pytest.mark.parametrize("z", [np.eye(4), np.ones((4, 4)), np.zeros((4, 4))])
def test_a_batch_without_triplets_costs_nothing(labels, z):
    def loss(z):
        return triplet(z, jnp.array(labels))

    (value, n), gradient = jax.value_and_grad(loss, has_aux=True)(jnp.asarray(z, jnp.float32))
    assert value == n == 0
    assert not gradient.any()
