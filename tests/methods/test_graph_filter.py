"""The graph filter against dense matrices, and on a network with two groups."""

import numpy as np
import pytest

import jaxdc
from jaxdc import GraphFilter, fit
from jaxdc.data import GraphSource
from jaxdc.errors import InputError
from jaxdc.methods.base import Graph
from jaxdc.methods.graph_filter import low_pass
from jaxdc.methods.parts.networks import edges_of, mean_of_neighbors

PATH = Graph(3, np.array([[0, 1], [1, 2]]))


def two_groups(n=60, seed=0):
    """Nodes of two groups, with many edges inside and few between, and noisy features."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], n // 2)
    p = np.where(labels[:, None] == labels[None, :], 0.3, 0.02)
    edges = np.argwhere(np.triu(rng.uniform(size=(n, n)) < p, 1))
    x = rng.normal(size=(n, 8)) + 0.7 * np.eye(2, 8)[labels]
    return GraphSource(edges, x, labels)


def test_neighbours_count_by_the_roots_of_their_degrees():
    means = np.asarray(mean_of_neighbors(np.eye(3, dtype=np.float32), edges_of(PATH)))
    root = 1 / np.sqrt(6)
    np.testing.assert_allclose(means, [[1 / 2, root, 0], [root, 1 / 3, root], [0, root, 1 / 2]], rtol=1e-6)


def test_the_filter_is_the_power_of_a_matrix():
    source = two_groups()
    a = source.graph.adjacency.toarray() + np.eye(60)
    d = 1 / np.sqrt(a.sum(axis=1))
    one = np.eye(60) - 2 / 3 * (np.eye(60) - d[:, None] * a * d[None, :])
    expected = np.linalg.matrix_power(one, 3) @ source.array
    np.testing.assert_allclose(low_pass(source.array, edges_of(source.graph), 3), expected, rtol=1e-4, atol=1e-5)


def test_without_edges_and_hops_the_features_are_those_of_an_svd():
    source = two_groups()
    result = fit(GraphFilter(n_clusters=2, n_hops=0, n_components=8), source)
    unit = source.array / np.linalg.norm(source.array, axis=1, keepdims=True)
    np.testing.assert_allclose(result.embeddings @ result.embeddings.T, unit @ unit.T, atol=1e-4)


def test_edges_help_where_features_are_noisy():
    source = two_groups()
    acc = [fit(GraphFilter(n_clusters=2, n_hops=t), source).metrics["acc"] for t in (0, 4)]
    assert acc[1] > 0.95 > acc[0]


def test_only_the_nodes_of_the_training_have_clusters(tmp_path):
    source = two_groups()
    made = fit(GraphFilter(n_clusters=2), source, workdir=tmp_path / "run")
    loaded = jaxdc.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.predict(source), made.labels)
    with pytest.raises(InputError, match="is not the network of this run"):
        loaded.predict(source.array)
    with pytest.raises(InputError, match="is not the network of this run"):
        loaded.predict(two_groups(seed=1))


def test_other_data_are_refused():
    with pytest.raises(InputError, match="the graph filter needs a network"):
        fit(GraphFilter(n_clusters=2), np.eye(16))
