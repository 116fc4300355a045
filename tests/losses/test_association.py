import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc.losses import association

EYE, THREE = jnp.eye(2), jnp.array([[2.0, 0.0], [0.0, 2.0], [0.0, 2.0]])


def test_three_samples_by_hand():
    walker, visit = association(EYE, THREE, jnp.array([0, 1]))
    np.testing.assert_allclose((walker, visit), (0.256892, 1.116312), atol=1e-5)
    # With one label for both centroids every trip ends well, if not as evenly as it should.
    walker, _ = association(EYE, THREE, jnp.array([7, 7]))
    there = np.exp([[2, 0, 0], [0, 2, 2]]) / np.exp([[2, 0, 0], [0, 2, 2]]).sum(axis=1, keepdims=True)
    back = np.exp(THREE) / np.exp(THREE).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(walker, -np.log(there @ back).mean(), rtol=1e-5)


def test_even_visits_cost_the_least():
    _, visit = association(EYE, jnp.ones((5, 2)), jnp.array([0, 1]))
    np.testing.assert_allclose(visit, np.log(5), rtol=1e-6)


def test_the_order_of_samples_and_of_anchors_does_not_matter():
    rng = np.random.default_rng(0)
    anchors, z = (rng.normal(size=(n, 4)).astype(np.float32) for n in (6, 20))
    labels = np.arange(6) // 2
    expected = association(anchors, z, labels)
    order = rng.permutation(6)
    np.testing.assert_allclose(association(anchors, rng.permutation(z), labels), expected, rtol=1e-5)
    np.testing.assert_allclose(association(anchors[order], z, 5 - labels[order]), expected, rtol=1e-5)


@pytest.mark.parametrize("anchors", [np.eye(4), np.zeros((4, 4)), 1e3 * np.ones((4, 4)), -1e3 * np.eye(4)])
def test_collapse_and_certainty_stay_finite(anchors):
    def loss(anchors, z):
        return sum(association(anchors, z, jnp.arange(4) // 2))

    for z in (np.ones((6, 4)), 1e3 * np.eye(4)[[0, 0, 1, 1, 2, 2]]):
        result = jax.value_and_grad(loss, (0, 1))(jnp.asarray(anchors, jnp.float32), jnp.asarray(z, jnp.float32))
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))
