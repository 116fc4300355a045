import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import SpectralClustering
from sklearn.datasets import make_circles
from sklearn.manifold import spectral_embedding
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import rbf_kernel

from jaxdc.cluster import spectral_clustering

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def rings():
    x, y = make_circles(200, factor=0.4, noise=0.04, random_state=0)
    return rbf_kernel(x, gamma=30.0), y


@pytest.mark.parametrize("n_clusters", [2, pytest.param(4, marks=pytest.mark.full)])
def test_scikit_learn_agrees(rings, n_clusters):
    affinity, y = rings
    ours = spectral_clustering(KEY, affinity, n_clusters)
    oracle = SpectralClustering(n_clusters, affinity="precomputed", random_state=0).fit(affinity).labels_
    assert adjusted_rand_score(ours.labels, oracle) > 0.95
    assert ours.labels.dtype == jnp.int32
    if n_clusters == 2:
        assert adjusted_rand_score(y, ours.labels) == 1.0


def test_the_embedding_is_scikit_learns_up_to_sign(rings):
    affinity, _ = rings
    ours = np.asarray(spectral_clustering(KEY, affinity, 4).embedding)
    oracle = spectral_embedding(affinity, n_components=4, drop_first=False, random_state=0)
    np.testing.assert_allclose(ours * np.sign((ours * oracle).sum(0)), oracle, atol=1e-2 * np.abs(oracle).max())


def test_separate_parts_are_found_and_eigenvalues_tell():
    affinity = np.kron(np.eye(3), np.ones((20, 20)))
    result = spectral_clustering(KEY, affinity, 3)
    assert adjusted_rand_score(np.repeat(np.arange(3), 20), result.labels) == 1.0
    np.testing.assert_allclose(result.eigenvalues, 0.0, atol=1e-5)
    assert spectral_clustering(KEY, affinity, 4).eigenvalues[3] > 0.9


def test_scale_and_order_of_the_nodes_do_not_matter(rings):
    affinity, _ = rings
    order = np.random.default_rng(1).permutation(len(affinity))
    plain, other = (
        spectral_clustering(KEY, affinity, 2),
        spectral_clustering(KEY, 9 * affinity[order][:, order], 2),
    )
    assert adjusted_rand_score(plain.labels[order], other.labels) == 1.0


def test_nodes_without_edges_give_no_nan(rings):
    affinity = rings[0].copy()
    affinity[[3, 50]] = affinity[:, [3, 50]] = 0.0
    affinity[3, 3] = 1.0  # an affinity to oneself is no edge
    result = spectral_clustering(KEY, affinity, 2)
    assert np.isfinite(result.embedding).all()
    rest = np.delete(np.arange(200), [3, 50])
    assert adjusted_rand_score(rings[1][rest], result.labels[rest]) == 1.0
    assert np.isfinite(spectral_clustering(KEY, jnp.zeros((6, 6)), 2).embedding).all()


@pytest.mark.full
def test_edges():
    np.testing.assert_array_equal(spectral_clustering(KEY, jnp.ones((5, 5)), 1).labels, 0)
    assert len(set(spectral_clustering(KEY, jnp.ones((5, 5)), 5).labels.tolist())) == 5
    assert spectral_clustering(KEY, jnp.ones((1, 1)), 1).labels.tolist() == [0]
    assert spectral_clustering(KEY, jnp.ones((5, 5), jnp.bfloat16), 2).embedding.dtype == jnp.float32


@pytest.mark.parametrize(
    ("affinity", "n_clusters", "word"),
    [
        (jnp.ones(3), 1, "affinity must be a matrix"),
        (jnp.ones((3, 2)), 1, "affinity must be square"),
        (-jnp.eye(3), 1, "affinity must not be negative"),
        (jnp.ones((3, 3)), 0, "n_clusters"),
        (jnp.ones((3, 3)), 4, "n_clusters must be from 1 to 3"),
    ],
)
def test_wrong_arguments_are_named(affinity, n_clusters, word):
    with pytest.raises(ValueError, match=word):
        spectral_clustering(KEY, affinity, n_clusters)
