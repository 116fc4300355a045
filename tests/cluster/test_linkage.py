import numpy as np
import pytest
from scipy.sparse import csr_array

from jaxdc import cluster
from jaxdc.cluster.linkage import _Clusters
from jaxdc.metrics import clustering_accuracy_score


def dense_affinity(weights, a, b):
    there, back = weights[np.ix_(a, b)], weights[np.ix_(b, a)]
    return (there @ back).sum() / len(a) ** 2 + (back @ there).sum() / len(b) ** 2


def graph(n=24, m=5, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 3))
    squared = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squared, np.inf)
    neighbors = np.argsort(squared, axis=1)[:, :m]
    return neighbors, np.take_along_axis(squared, neighbors, axis=1)


def dense(neighbors, squared):
    weights = np.zeros((len(neighbors),) * 2)
    np.put_along_axis(weights, neighbors, np.exp(-squared / squared.mean()), axis=1)
    return weights


def test_two_singletons_by_hand():
    weights = np.array([[0.0, 0.5], [0.25, 0.0]])
    np.testing.assert_allclose(_Clusters(csr_array(weights), np.arange(2)).affinity[0][1], 0.25)


@pytest.mark.parametrize("local_above", [None, 0, 8])
def test_merge_by_merge_as_on_dense_matrices(local_above):
    neighbors, squared = graph()
    weights = dense(neighbors, squared)
    clusters = [[i] for i in range(len(weights))]
    for target in range(len(weights) - 1, 2, -1):
        k = len(clusters)
        scores = np.array([[dense_affinity(weights, a, b) if a != b else 0 for b in clusters] for a in clusters])
        rating = scores.max(axis=1)
        if local_above is not None and k > local_above:
            five = np.pad(-np.sort(-scores, axis=1), ((0, 0), (0, 5)))[:, :5]
            rating = rating + (five[:, :1] - five[:, 1:]).sum(axis=1) / 4
        if scores.max() == 0:
            break
        a = int(np.argmax(rating))
        b = int(np.argmax(scores[a]))
        clusters[a] = clusters[a] + clusters[b]
        del clusters[b]
        found = cluster.graph_degree_linkage(
            neighbors, squared, np.arange(len(weights)), target, local_above=local_above
        )
        expected = np.zeros(len(weights), int)
        for number, rows in enumerate(clusters):
            expected[rows] = number
        assert len({*zip(expected.tolist(), found.tolist(), strict=True)}) == len(clusters) == found.max() + 1
    assert len(clusters) < 8


def test_blobs_are_found():
    rng = np.random.default_rng(0)
    truth = rng.integers(4, size=300)
    x = 6 * rng.normal(size=(4, 8))[truth] + rng.normal(size=(300, 8))
    found = cluster.nearest_neighbors(x, 11, metric="euclidean")
    neighbors, squared = np.asarray(found.indices)[:, 1:], -np.asarray(found.similarities)[:, 1:]
    first = cluster.nearest_neighbor_chains(neighbors[:, 0])
    assert 40 < first.max() + 1 < 120
    labels = cluster.graph_degree_linkage(neighbors, squared, first, 4)
    assert clustering_accuracy_score(truth, labels) > 0.98


def test_what_is_not_linked_both_ways_joins_the_nearest_in_the_end():
    # Sample 4 looks at 2, and nobody at it; 5 and 6 look at each other alone.
    neighbors = np.array([[1], [0], [3], [2], [2], [6], [5]])
    squared = np.ones((7, 1))
    labels = cluster.graph_degree_linkage(neighbors, squared, np.arange(7), 3)
    np.testing.assert_array_equal(labels, [0, 0, 1, 1, 1, 2, 2])
    assert set(cluster.graph_degree_linkage(neighbors, squared, np.arange(7), 1)) == {0}
    # As many as there are, and more than that.
    np.testing.assert_array_equal(cluster.graph_degree_linkage(neighbors, squared, np.arange(7), 7), np.arange(7))
    np.testing.assert_array_equal(
        cluster.graph_degree_linkage(neighbors, squared, np.zeros(7, int), 3), np.zeros(7)
    )


def test_equal_samples_have_no_distance_to_scale_by():
    labels = cluster.graph_degree_linkage(np.array([[1], [0], [3], [2]]), np.zeros((4, 1)), np.arange(4), 2)
    np.testing.assert_array_equal(labels, [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"neighbors": np.array([[1], [2]])}, "neighbors must be from 0 to 1, but one is 2"),
        ({"squared_distances": np.ones((2, 3))}, "must be matrices of the same shape"),
        ({"labels": np.arange(3)}, r"labels must have shape \(2,\)"),
        ({"n_clusters": 0}, "n_clusters must be at least 1"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    good = {"neighbors": np.array([[1], [0]]), "squared_distances": np.ones((2, 1)), "labels": np.arange(2)}
    with pytest.raises(ValueError, match=message):
        cluster.graph_degree_linkage(**{**good, "n_clusters": 1, **change})
