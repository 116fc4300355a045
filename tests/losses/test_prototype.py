import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from losses.members import unit_vectors, vectors

from jaxdc.losses import concentration, proto_nce, prototype_scattering


def reference_concentration(features, centroids, labels, smoothing, temperature):
    """The same, cluster by cluster."""
    k = len(centroids)
    phi = np.zeros(k)
    for j in range(k):
        members = features[labels == j]
        if len(members) > 1:
            distances = np.linalg.norm(members - centroids[j], axis=1)
            phi[j] = distances.mean() / np.log(len(members) + smoothing)
    for j in range(k):
        if (labels == j).sum() <= 1:
            phi[j] = phi.max()
    phi = phi.clip(np.percentile(phi, 10), np.percentile(phi, 90))
    return temperature * phi / phi.mean()


def test_concentration_with_small_and_empty_clusters():
    features, centroids = vectors(0, 60), vectors(1, 9)
    # Cluster 7 has one member, cluster 8 none.
    labels = np.append(np.random.default_rng(0).integers(7, size=59), 7)
    expected = reference_concentration(features, centroids, labels, 10.0, 0.2)
    value = concentration(features, centroids, labels)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(value.mean(), 0.2, rtol=1e-5)
    other = concentration(features, centroids, labels, smoothing=2.0, temperature=0.5)
    np.testing.assert_allclose(other, reference_concentration(features, centroids, labels, 2.0, 0.5), rtol=1e-5)


def test_without_any_extent_all_are_alike():
    points = vectors(0, 3)
    np.testing.assert_allclose(concentration(points, points, jnp.arange(3)), 0.2)
    twice = np.repeat(points, 2, 0)
    np.testing.assert_allclose(concentration(twice, points, jnp.repeat(jnp.arange(3), 2)), 0.2)


@pytest.mark.full
def test_clusters_of_copies_get_no_temperature_of_zero():
    centroids = unit_vectors(0, 10)
    # Two clusters of three equal members, eight with some extent.
    features = np.repeat(centroids, 3, 0) + np.repeat(np.arange(10) > 1, 3)[:, None] * 0.1 * vectors(1, 30)
    labels = np.repeat(np.arange(10), 3)
    phi = concentration(features, centroids, labels)
    np.testing.assert_allclose(phi[:2], 0.002, rtol=1e-5)
    assert np.isfinite(proto_nce(features, centroids, phi, labels)).all()


def test_a_tight_cluster_gets_a_small_temperature():
    centroids = np.array([[0.0, 0.0], [10.0, 0.0]])
    features = np.concatenate([0.1 * vectors(0, 30, 2), [10.0, 0.0] + 2.0 * vectors(1, 30, 2)])
    phi = concentration(features, centroids, np.repeat([0, 1], 30))
    assert phi[0] < 0.5 * phi[1]


def test_proto_nce_is_a_cross_entropy_over_the_prototypes():
    z, prototypes = vectors(0), unit_vectors(1, 8)
    phi, labels = np.linspace(0.1, 0.5, 8), np.random.default_rng(0).integers(8, size=len(z))
    logits = z / np.linalg.norm(z, axis=1, keepdims=True) @ prototypes.T / phi
    oracle = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    np.testing.assert_allclose(proto_nce(z, prototypes, phi, labels), oracle, rtol=1e-5, atol=1e-6)


def test_proto_nce_against_sampled_negatives():
    z, prototypes = vectors(0), unit_vectors(1, 8)
    phi, labels = np.linspace(0.1, 0.5, 8), np.random.default_rng(0).integers(8, size=len(z))
    negatives = np.array([6, 1, 3])
    assert 0 < np.isin(labels, negatives).sum() < len(z)
    expected = []
    for v, s in zip(z / np.linalg.norm(z, axis=1, keepdims=True), labels, strict=True):
        rows = [s, *(j for j in negatives if j != s)]
        scores = prototypes[rows] @ v / phi[rows]
        expected.append(np.log(np.exp(scores).sum()) - scores[0])
    value = proto_nce(z, prototypes, phi, labels, negatives=negatives)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)
    # All of them, in whatever order, are what is meant without negatives.
    everyone = proto_nce(z, prototypes, phi, labels, negatives=np.random.default_rng(1).permutation(8))
    np.testing.assert_allclose(everyone, proto_nce(z, prototypes, phi, labels), rtol=1e-5, atol=1e-6)


def test_relabelled_prototypes_change_nothing():
    z, prototypes, phi = vectors(0), unit_vectors(1, 8), np.linspace(0.1, 0.5, 8)
    labels = np.random.default_rng(0).integers(8, size=len(z))
    order = np.random.default_rng(1).permutation(8)
    renamed = np.argsort(order)[labels]
    np.testing.assert_allclose(
        proto_nce(z, prototypes[order], phi[order], renamed), proto_nce(z, prototypes, phi, labels), rtol=1e-5
    )


def test_scattering_by_hand():
    mu, of_targets = np.array([[1.0, 0.0], [0.6, 0.8]]), np.array([[0.8, 0.6], [0.0, 1.0]])
    labels = jnp.array([0, 1])
    # Logits [[1.6, 1.2], [1.2, 1.6]]: log(1 + exp(-0.4)).
    np.testing.assert_allclose(prototype_scattering(mu, of_targets, labels, 2), 0.513015, atol=1e-6)
    # A cluster without samples changes nothing, nor do other lengths, names or orders.
    np.testing.assert_allclose(prototype_scattering(3 * mu, of_targets, labels + 1, 4), 0.513015, atol=1e-6)
    again = prototype_scattering(mu[::-1], of_targets[::-1], labels, 2)
    np.testing.assert_allclose(again, 0.513015, atol=1e-6)


def test_scattering_of_means():
    z, targets = unit_vectors(0, 20), unit_vectors(1, 20)
    labels = np.random.default_rng(2).choice([0, 1, 3], 20)  # none of cluster 2
    mu, of_targets = (
        np.stack([v / np.linalg.norm(v) for v in (x[labels == c].mean(axis=0) for c in (0, 1, 3))])
        for x in (z, targets)
    )
    scores = mu @ mu.T / 0.3
    np.fill_diagonal(scores, np.sum(mu * of_targets, axis=1) / 0.3)
    expected = np.mean(np.log(np.exp(scores).sum(axis=1)) - np.diagonal(scores))
    value = prototype_scattering(z, targets, jnp.asarray(labels), 4, temperature=0.3)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    of_z, of_both = jax.grad(prototype_scattering), jax.grad(prototype_scattering, argnums=1)
    assert np.abs(of_z(z, targets, jnp.asarray(labels), 4)).max() > 1e-3
    np.testing.assert_array_equal(of_both(z, targets, jnp.asarray(labels), 4), 0.0)


def test_one_cluster_scatters_nothing():
    z = vectors(0, 5)
    value, gradient = jax.value_and_grad(prototype_scattering)(z, z, jnp.zeros(5, int), 3)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0.0)
    for settings, message in (
        ({"n_clusters": 0}, "n_clusters must be at least 1"),
        ({"n_clusters": 2, "temperature": 0.0}, "temperature must be a positive"),
    ):
        with pytest.raises(ValueError, match=message):
            prototype_scattering(z, z, jnp.zeros(5, int), **settings)
