import jax.numpy as jnp
import numpy as np
import optax
import pytest
from losses.members import INDEX, unit_vectors, vectors

from jaxdc.losses import (
    feature_decorrelation,
    feature_orthogonality,
    instance_discrimination,
    local_aggregation,
    update_memory_bank,
)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_instance_discrimination_is_a_cross_entropy_over_the_bank(temperature):
    z, bank = vectors(0), unit_vectors(1, 40)
    logits = z / np.linalg.norm(z, axis=1, keepdims=True) @ bank.T / temperature
    oracle = optax.losses.softmax_cross_entropy_with_integer_labels(logits, INDEX)
    np.testing.assert_allclose(
        instance_discrimination(z, bank, INDEX, temperature=temperature), oracle, rtol=1e-5, atol=1e-6
    )


def test_in_the_batch_the_batch_is_the_bank():
    z = vectors(0)
    bank = z / np.linalg.norm(z, axis=1, keepdims=True)
    expected = instance_discrimination(z, bank, np.arange(len(z)), temperature=0.5)
    np.testing.assert_allclose(instance_discrimination(z, None, None, temperature=0.5), expected, rtol=1e-5)


def test_the_bank_moves_half_way_and_stays_on_the_sphere():
    bank = unit_vectors(1, 40)
    new = np.asarray(update_memory_bank(bank, 7.0 * vectors(0), INDEX))
    v = vectors(0) / np.linalg.norm(vectors(0), axis=1, keepdims=True)
    half = 0.5 * bank[INDEX] + 0.5 * v
    np.testing.assert_allclose(new[INDEX], half / np.linalg.norm(half, axis=1, keepdims=True), rtol=1e-5)
    others = np.setdiff1d(np.arange(40), INDEX)
    np.testing.assert_array_equal(new[others], bank[others])


@pytest.mark.parametrize(("momentum", "stays"), [(1.0, True), (0.0, False)])
def test_the_ends_of_the_momentum(momentum, stays):
    bank, z = unit_vectors(1, 40), unit_vectors(0)
    new = update_memory_bank(bank, z, INDEX, momentum=momentum)
    np.testing.assert_allclose(new[INDEX], bank[INDEX] if stays else z, rtol=1e-5, atol=1e-6)


def test_decorrelation_by_hand():
    # Rows (1, 0), (r, r), (0, 1) with r = 1/sqrt 2: columns (1, r, 0) and (0, r, 1) with cosine 0.5 / 1.5.
    z = jnp.array([[2.0, 0.0], [3.0, 3.0], [0.0, 0.1]])
    expected = np.log(np.exp(0.5) + np.exp(0.5 / 3)) - 0.5
    np.testing.assert_allclose(feature_decorrelation(z), [expected] * 2, rtol=1e-5)
    np.testing.assert_allclose(feature_orthogonality(z), 2 / 9, rtol=1e-5)


def test_features_are_told_apart():
    rng = np.random.default_rng(0)
    apart = rng.normal(size=(200, 4))
    alike = apart[:, :1] + 0.1 * rng.normal(size=(200, 4))
    for loss in (feature_decorrelation, feature_orthogonality):
        assert jnp.mean(loss(apart)) < jnp.mean(loss(alike)) - 0.1
        np.testing.assert_allclose(loss(5.0 * apart), loss(apart), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(jnp.mean(loss(apart[::-1, [2, 0, 3, 1]])), jnp.mean(loss(apart)), rtol=1e-4)


def test_decorrelation_against_a_cross_entropy():
    z = vectors(0)
    v = z / np.linalg.norm(z, axis=1, keepdims=True)
    f = v / np.linalg.norm(v, axis=0)
    oracle = optax.losses.softmax_cross_entropy_with_integer_labels(f.T @ f / 2.0, np.arange(6))
    np.testing.assert_allclose(feature_decorrelation(z), oracle, rtol=1e-5)
    d_over_b = z.shape[1] / z.shape[0]
    np.testing.assert_allclose(feature_orthogonality(z), np.sum((d_over_b * v.T @ v - np.eye(6)) ** 2), rtol=1e-4)


def test_orthogonality_minds_how_much_each_feature_varies():
    # As many samples as features, as in the paper: |V^T V - I|^2 itself, 0 for an orthogonal matrix.
    v = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    np.testing.assert_allclose(feature_orthogonality(v), 0.0, atol=1e-5)
    np.testing.assert_allclose(feature_orthogonality(np.tile(v, (3, 1))), 0.0, atol=1e-5)
    # Cosines between the columns do not see it, the lengths of the columns do.
    uneven = v * np.array([50.0, 50.0, 50.0, 1.0, 1.0, 1.0])
    rows = uneven / np.linalg.norm(uneven, axis=1, keepdims=True)
    expected = np.sum((rows.T @ rows - np.eye(6)) ** 2)
    np.testing.assert_allclose(feature_orthogonality(uneven), expected, rtol=1e-4)
    assert expected > 3.0


def test_local_aggregation_by_hand():
    bank = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], np.float32)
    clusterings = jnp.array([[0, 0, 1], [0, 1, 1]])  # together in any of them is enough
    arguments = (bank[:1], bank, jnp.array([0]))
    value = local_aggregation(*arguments, clusterings, temperature=1.0)
    np.testing.assert_allclose(value, 0.0943, atol=1e-4)
    # Alone in its cluster, and all in the background: instance discrimination.
    alone = local_aggregation(*arguments, jnp.array([[0, 1, 2]]), temperature=1.0)
    np.testing.assert_allclose(alone, instance_discrimination(*arguments), rtol=1e-6)
    # The nearest entry alone is the background, and close.
    np.testing.assert_allclose(local_aggregation(*arguments, clusterings, n_background=1), 0.0, atol=1e-6)


def test_a_sample_is_in_its_own_background():
    bank, z = unit_vectors(0, 30), vectors(1, 8)
    index = jnp.asarray(np.argmin(z @ bank.T, axis=1))  # the farthest entry of each
    clusterings = np.random.default_rng(2).integers(5, size=(2, 30))
    value = local_aggregation(z, bank, index, clusterings, n_background=6, temperature=0.3)
    v = z / np.linalg.norm(z, axis=1, keepdims=True)
    for i, row in enumerate(np.asarray(index)):
        scores = bank @ v[i] / 0.3
        background = [int(row), *[j for j in np.argsort(-scores) if j != row][:5]]
        close = [j for j in background if j == row or (clusterings[:, j] == clusterings[:, row]).any()]
        expected = np.log(np.exp(scores[background]).sum()) - np.log(np.exp(scores[close]).sum())
        np.testing.assert_allclose(value[i], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clusterings": np.zeros((2, 4), int)}, r"clusterings must be \[h, 5\]"),
        ({"n_background": 0}, "n_background must be at least 1"),
        ({"temperature": 0.0}, "temperature must be a positive"),
    ],
)
def test_local_aggregation_of_what_makes_no_sense(settings, message):
    arguments = {"clusterings": np.zeros((2, 5), int)} | settings
    with pytest.raises(ValueError, match=message):
        local_aggregation(vectors(0, 3), unit_vectors(1, 5), jnp.arange(3), **arguments)
