import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc.losses import jensen_shannon, one_hot_cross_entropy, pair_cross_entropy

# Cosines: 0.6 of the first two, 0.8 of the last two, 0 of the first and the third.
THREE = jnp.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("upper", "lower", "expected", "n_used"),
    [
        (0.95, 0.455, 0.0, 1),  # (1, 3) alone, and it is right
        (0.75, 0.475, 0.111572, 2),  # and (2, 3) with -ln 0.8
        (0.7, 0.7, (0.223144 - np.log(1 - 0.6)) / 3, 3),  # all: (1, 2) is told apart
        (0.9, 0.9, (-np.log(1 - 0.6) - np.log(1 - 0.8)) / 3, 3),
    ],
)
def test_three_samples_by_hand(upper, lower, expected, n_used):
    for scale in (1.0, 3.0):  # of any length
        loss, used = pair_cross_entropy(scale * THREE, THREE, upper=upper, lower=lower)
        np.testing.assert_allclose(loss, expected, atol=1e-5)
        np.testing.assert_allclose(used, n_used / 3, rtol=1e-6)


def test_no_sure_pair_costs_nothing():
    probs = jnp.array([[0.6, 0.8], [1.0, 0.0]])
    (loss, used), gradient = jax.value_and_grad(
        lambda p: pair_cross_entropy(p, probs, upper=0.9, lower=0.5), has_aux=True
    )(probs)
    assert loss == used == 0
    assert not gradient.any()


@pytest.mark.parametrize("probs", [np.eye(3), np.eye(3)[[0, 0, 0]], np.full((3, 3), 1 / 3)])
@pytest.mark.parametrize("teacher", [np.eye(3), np.eye(3)[[0, 0, 0]]])
def test_collapse_and_certainty_stay_finite(probs, teacher):
    value, gradient = jax.value_and_grad(
        lambda p: pair_cross_entropy(p, jnp.asarray(teacher, jnp.float32), upper=0.9, lower=0.4)[0]
    )(jnp.asarray(probs, jnp.float32))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_the_order_of_samples_and_of_clusters_does_not_matter():
    rng = np.random.default_rng(0)
    probs, teacher = (rng.dirichlet(np.full(4, 0.3), size=20).astype(np.float32) for _ in range(2))
    expected = pair_cross_entropy(probs, teacher, upper=0.8, lower=0.3)
    rows, columns = rng.permutation(20), rng.permutation(4)
    for order in (np.ix_(rows, range(4)), np.ix_(range(20), columns)):
        found = pair_cross_entropy(probs[order], teacher[order], upper=0.8, lower=0.3)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_nothing_flows_back_to_the_teacher():
    probs, teacher = THREE, jnp.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]])
    gradient = jax.grad(lambda t: pair_cross_entropy(probs, t, upper=0.7, lower=0.5)[0])(teacher)
    assert not gradient.any()


def test_a_label_is_learnt_cluster_by_cluster():
    probs, sure = jnp.array([[0.9, 0.1]]), jnp.array([[0.92, 0.08]])
    np.testing.assert_allclose(one_hot_cross_entropy(probs, sure), 0.105361, atol=1e-6)
    assert one_hot_cross_entropy(probs, sure, threshold=0.95) == 0
    rng = np.random.default_rng(0)
    probs, teacher = (rng.dirichlet(np.full(4, 0.3), size=20) for _ in range(2))
    y = np.eye(4)[teacher.argmax(axis=1)]
    expected = -np.mean(y * np.log(probs) + (1 - y) * np.log(1 - probs), axis=1) * (teacher.max(axis=1) >= 0.7)
    assert 0 < (expected > 0).sum() < 20
    found = one_hot_cross_entropy(probs.astype(np.float32), teacher.astype(np.float32), threshold=0.7)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    order = rng.permutation(4)
    swapped = one_hot_cross_entropy(
        probs[:, order].astype(np.float32), teacher[:, order].astype(np.float32), threshold=0.7
    )
    np.testing.assert_allclose(swapped, found, rtol=1e-5)


def test_a_critic_that_knows_nothing_and_one_that_knows_all():
    np.testing.assert_allclose(jensen_shannon(jnp.zeros((3, 5)), jnp.zeros((3, 5))), 2 * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(jensen_shannon(jnp.full((2, 3), 60.0), jnp.full((2, 3), -60.0)), 0.0, atol=1e-6)
    scores = np.array([[0.5, -1.0]]), np.array([[2.0, 0.3]])
    expected = np.mean(np.log1p(np.exp(-scores[0])) + np.log1p(np.exp(scores[1])))
    np.testing.assert_allclose(jensen_shannon(*scores), [expected], rtol=1e-6)
