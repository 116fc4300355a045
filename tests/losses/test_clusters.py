import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from losses.members import assignments
from sklearn.metrics import mutual_info_score

from jaxdc.losses import cluster_nt_xent, mean_entropy, mutual_information, nt_xent, partition_uncertainty


def test_cluster_nt_xent_by_hand():
    # Columns (1, 0, 0), (0, 1, 1) and (1, 1, 0), (0, 0, 1): cosines 1/sqrt 2, 0 and 1/2, 1/sqrt 2.
    y1, y2 = jnp.array([[1.0, 0], [0, 1], [0, 1]]), jnp.array([[1.0, 0], [1, 0], [0, 1]])
    r, h = np.exp(2**-0.5), np.exp(0.5)
    # y1's columns are orthogonal to each other, and so are y2's.
    first = [np.log(1 + r + 1), np.log(1 + h + r)]
    second = [np.log(1 + r + h), np.log(1 + 1 + r)]
    expected = [(f + s) / 2 - 2**-0.5 for f, s in zip(first, second, strict=True)]
    np.testing.assert_allclose(cluster_nt_xent(y1, y2), expected, rtol=1e-6)


def test_cluster_nt_xent_is_nt_xent_of_the_columns():
    y1, y2 = assignments(0), assignments(1)
    np.testing.assert_allclose(
        cluster_nt_xent(y1, y2, temperature=0.7), nt_xent(y1.T, y2.T, temperature=0.7), rtol=1e-5
    )


def test_mean_entropy_from_collapse_to_balance():
    np.testing.assert_allclose(mean_entropy(jnp.tile(jnp.eye(4)[:1], (6, 1))), 0.0)
    np.testing.assert_allclose(mean_entropy(jnp.eye(4)), np.log(4), rtol=1e-6)
    np.testing.assert_allclose(mean_entropy(jnp.full((3, 4), 0.25)), np.log(4), rtol=1e-6)
    by_hand = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    np.testing.assert_allclose(mean_entropy(jnp.array([[1.0, 0.0], [0.5, 0.5]])), by_hand, rtol=1e-6)


def test_mutual_information_of_hard_labels_is_scikit_learns():
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=300)
    noisy = np.where(rng.uniform(size=300) < 0.3, rng.integers(5, size=300), labels)
    # IIC's joint is symmetrised: that of the pairs in both orders.
    oracle = mutual_info_score(np.concatenate([labels, noisy]), np.concatenate([noisy, labels]))
    np.testing.assert_allclose(mutual_information(np.eye(5)[labels], np.eye(5)[noisy]), -oracle, rtol=1e-4)


def test_lamb_weighs_the_marginals():
    y1, y2 = assignments(0), assignments(1)
    joint = y1.T @ y2
    joint = (joint + joint.T) / (2 * joint.sum())
    marginal = joint.sum(1)
    expected = -np.sum(joint * (np.log(joint) - 1.7 * np.log(np.outer(marginal, marginal))))
    np.testing.assert_allclose(mutual_information(y1, y2, lamb=1.7), expected, rtol=1e-4)


def test_partition_uncertainty_is_a_cross_entropy_of_cosines_over_the_rows():
    y1, y2 = assignments(0), assignments(1)
    cosines = (y1 / np.linalg.norm(y1, axis=0)).T @ (y2 / np.linalg.norm(y2, axis=0))
    oracle = optax.losses.softmax_cross_entropy_with_integer_labels(cosines, np.arange(5)).mean()
    share = y1.mean(0)
    balance = np.log(5) + np.sum(share * np.log(share))
    np.testing.assert_allclose(partition_uncertainty(y1, y2, lamb=0.0), oracle, rtol=1e-5)
    np.testing.assert_allclose(partition_uncertainty(y1, y2, lamb=3.0), oracle + 3 * balance, rtol=1e-5)


@pytest.mark.parametrize("loss", [cluster_nt_xent, mutual_information, partition_uncertainty])
def test_order_and_names_do_not_matter(loss):
    y1, y2 = assignments(0), assignments(1)
    value = jnp.mean(loss(y1, y2))
    rng = np.random.default_rng(2)
    rows, columns = rng.permutation(len(y1)), rng.permutation(5)
    np.testing.assert_allclose(jnp.mean(loss(y1[rows], y2[rows])), value, rtol=1e-4)
    np.testing.assert_allclose(jnp.mean(loss(y1[:, columns], y2[:, columns])), value, rtol=1e-4)


@pytest.mark.parametrize("loss", [cluster_nt_xent, mutual_information])
def test_views_may_change_places(loss):
    y1, y2 = assignments(0), assignments(1)
    np.testing.assert_allclose(loss(y1, y2), loss(y2, y1), rtol=1e-5)


def test_a_perfect_balanced_partition_is_best():
    perfect, balanced = np.eye(4)[np.arange(20) % 4], np.full((20, 4), 0.25)
    collapsed = np.eye(4)[np.zeros(20, int)]
    for loss in (mutual_information, partition_uncertainty):
        assert loss(perfect, perfect) < min(loss(balanced, balanced), loss(collapsed, collapsed)) - 0.1


@pytest.mark.full
@pytest.mark.parametrize("loss", [cluster_nt_xent, partition_uncertainty, mutual_information])
@pytest.mark.parametrize("depth", [10.0, 40.0, 42.0, 45.0, 60.0, 80.0, 85.0, 100.0, 300.0])
def test_a_dying_cluster_has_a_finite_gradient(loss, depth):
    # Its column's squares go through all sizes down to zero; a power of them in a derivative must not overflow.
    logits = jax.random.normal(jax.random.key(0), (32, 5)) - depth * jnp.array([[0.0, 0.0, 0.0, 1.0, 0.5]])

    def value(logits):
        return jnp.sum(loss(jax.nn.softmax(logits), jax.nn.softmax(1.1 * logits)))

    result, gradient = jax.value_and_grad(value)(logits)
    assert jnp.isfinite(result)
    assert jnp.isfinite(gradient).all()
