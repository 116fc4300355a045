"""LDMGI, SEC, and what they share, against NumPy and scikit-learn."""

import jax
import numpy as np
import pytest
from scipy.sparse import diags_array
from sklearn.linear_model import Ridge

from jaxdc import fit, metrics
from jaxdc.errors import InputError
from jaxdc.methods import LDMGI, SEC
from jaxdc.methods.base import DataSpec
from jaxdc.methods.ldmgi import discriminant_laplacian
from jaxdc.methods.parts import eigenvectors
from jaxdc.methods.parts.eigenvectors import smallest_eigenvectors, spectral_rotation
from jaxdc.methods.sec import embedded_laplacian, graph_laplacian, linear_map


def blobs(n=90, d=4, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return rng.normal(size=(n, d)) + 6 * np.eye(3, d)[y], y


def neighbours(x, m):
    distances = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    return np.argsort(distances, axis=1)[:, :m]


def test_discriminant_laplacian_is_the_cost_of_the_best_local_models():
    """For any indicators F: over all cliques the ridge regression's residuals and penalty, divided by lamb."""
    x, _ = blobs(20)
    cliques, lamb = neighbours(x, 5), 0.3
    laplacian = discriminant_laplacian(x, cliques, lamb).toarray()
    f = np.random.default_rng(1).normal(size=(20, 2))
    cost = 0.0
    for clique in cliques:
        ridge = Ridge(alpha=lamb).fit(x[clique], f[clique])
        cost += np.sum((ridge.predict(x[clique]) - f[clique]) ** 2) + lamb * np.sum(ridge.coef_**2)
    np.testing.assert_allclose(np.trace(f.T @ laplacian @ f), cost, rtol=1e-8)
    np.testing.assert_allclose(laplacian.sum(axis=1), 0, atol=1e-10)
    assert np.linalg.eigvalsh(laplacian).min() > -1e-10
    # A very stiff model is the clique's mean.
    stiff = discriminant_laplacian(x, cliques[:1], 1e12).toarray()
    np.testing.assert_allclose(stiff[np.ix_(cliques[0], cliques[0])], np.eye(5) - 0.2, atol=1e-8)


def test_graph_laplacian():
    x, _ = blobs(20)
    near = neighbours(x, 4)
    distances = np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))
    widths = distances[np.arange(20), near[:, -1]]
    w = np.zeros((20, 20))
    for i in range(20):
        for j in near[i, 1:]:
            w[i, j] = w[j, i] = np.exp(-(distances[i, j] ** 2) / (widths[i] * widths[j]))
    root = np.sqrt(w.sum(axis=1))
    np.testing.assert_allclose(graph_laplacian(x, 3).toarray(), np.eye(20) - w / np.outer(root, root), atol=1e-5)


def test_graph_of_copies_has_finite_weights():
    x = np.repeat(blobs(5)[0], 8, axis=0)
    assert np.isfinite(graph_laplacian(x, 3).toarray()).all()


def test_the_embedded_laplacian_is_the_cost_of_the_best_linear_map():
    x, _ = blobs(30)
    f = np.random.default_rng(1).normal(size=(30, 2))
    laplacian, mu, gamma = graph_laplacian(x, 3), 0.7, 2.0
    ridge = Ridge(alpha=gamma).fit(x, f)
    np.testing.assert_allclose(linear_map(x, gamma) @ f, ridge.coef_.T, atol=1e-8)
    cost = np.sum((ridge.predict(x) - f) ** 2) + gamma * np.sum(ridge.coef_**2)
    operator = embedded_laplacian(laplacian, x, mu, gamma)
    np.testing.assert_allclose(
        np.trace(f.T @ (operator @ f)), np.trace(f.T @ laplacian @ f) + mu * cost, rtol=1e-8
    )
    # Without the linear map it is spectral clustering's.
    np.testing.assert_allclose(embedded_laplacian(laplacian, x, 0.0, gamma) @ f, laplacian @ f, atol=1e-12)


def test_smallest_eigenvectors_by_iteration_are_those_of_the_whole_matrix(monkeypatch):
    x, _ = blobs(120)
    for matrix in (
        discriminant_laplacian(x, neighbours(x, 5), 1.0),
        embedded_laplacian(graph_laplacian(x, 5), x, 0.1, 1.0),
    ):
        whole = smallest_eigenvectors(matrix, 3, 0)
        np.testing.assert_allclose(whole.T @ whole, np.eye(3), atol=1e-10)
        monkeypatch.setattr(eigenvectors, "DENSE", 0)
        iterated = smallest_eigenvectors(matrix, 3, 0)
        monkeypatch.undo()
        # The same space: an eigenvector has either sign.
        np.testing.assert_allclose(np.linalg.svd(whole.T @ iterated)[1], 1, atol=1e-5)


def test_no_copy_of_an_eigenvalue_is_missed(monkeypatch):
    monkeypatch.setattr(eigenvectors, "DENSE", 0)
    for copies in (3, 10):  # as many as a graph has parts
        matrix = diags_array(np.concatenate([np.zeros(copies), np.linspace(0.3, 2, 240 - copies)])).tocsr()
        found = smallest_eigenvectors(matrix, copies, 0)
        np.testing.assert_allclose(matrix @ found, 0, atol=1e-4)
        np.testing.assert_allclose(found.T @ found, np.eye(copies), atol=1e-6)


def test_spectral_rotation_reads_rotated_indicators():
    rng = np.random.default_rng(0)
    y = np.concatenate([np.arange(4), rng.integers(4, size=80)])
    indicators = np.eye(4)[y] / np.sqrt(np.bincount(y))[y][:, None]
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    found = spectral_rotation(indicators @ turn + 1e-3 * rng.normal(size=(84, 4)), 0)
    assert metrics.clustering_accuracy_score(y, found.labels) == 1
    np.testing.assert_allclose(found.rotation.T @ found.rotation, np.eye(4), atol=1e-10)
    np.testing.assert_array_equal(found.labels, np.argmax(indicators @ turn @ found.rotation, axis=1))


@pytest.mark.parametrize("method", [LDMGI(n_clusters=3, clique_size=6), SEC(n_clusters=3)])
def test_clusters_and_new_samples(method, one_device):
    x, y = blobs()
    result = fit(method, x.astype(np.float32), y, devices=one_device)
    assert result.metrics["acc"] == 1
    new, y_new = blobs(30, seed=1)
    assert metrics.clustering_accuracy_score(y_new, result.predict(new.astype(np.float32))) == 1


def test_sec_has_its_eigenvectors_for_known_samples_and_its_map_for_new_ones(one_device):
    """In a ring around a ball, the linear map can't follow the graph."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, size=100)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1) * 5
    x = np.concatenate([ring, rng.normal(scale=0.3, size=(50, 2))]).astype(np.float32)
    y = np.repeat([0, 1], [100, 50])
    result = fit(SEC(n_clusters=2, mu=1e-6), x, y, devices=one_device)
    assert result.metrics["acc"] == 1
    assert metrics.clustering_accuracy_score(y, result.predict(x + np.float32(1e-3))) < 0.9


def test_more_neighbours_than_samples():
    spec = DataSpec((4,), 5)
    with pytest.raises(InputError, match="clique_size is 6, but there are only 5 samples"):
        LDMGI(n_clusters=2, clique_size=6).init(jax.random.key(0), spec)
    with pytest.raises(InputError, match="n_neighbors is 5, but there are only 5 samples"):
        SEC(n_clusters=2).init(jax.random.key(0), spec)
