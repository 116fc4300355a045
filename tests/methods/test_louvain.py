"""Louvain against networkx's, and how its communities become clusters."""

import importlib.util

import jax.numpy as jnp
import networkx
import numpy as np
import pytest

import jaxdc
from jaxdc import Louvain, fit
from jaxdc.data import GraphSource
from jaxdc.errors import InputError
from jaxdc.metrics import adjusted_rand_score


def cliques(*sizes):
    """Complete groups of so many nodes, each with one edge to the next."""
    edges, first = [], 0
    for size in sizes:
        edges += [(first + i, first + j) for i in range(size) for j in range(i)]
        if first:
            edges.append((first - 1, first))
        first += size
    return GraphSource(np.array(edges), labels=np.repeat(np.arange(len(sizes)), sizes))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    return fit(Louvain(), cliques(4, 7, 5), workdir=folder), jaxdc.load(folder)


def test_groups_are_found_and_counted_the_largest_first(result):
    made, loaded = result
    assert made.metrics["acc"] == 1
    assert made.n_clusters == made.metrics["n_clusters"] == 3
    np.testing.assert_array_equal(made.labels, np.repeat([2, 0, 1], [4, 7, 5]))
    np.testing.assert_array_equal(loaded.predict(cliques(4, 7, 5)), made.labels)


def test_a_feature_is_the_share_of_a_community_around_a_node(result):
    # Node 4 has 6 neighbours in its own clique, 0, and one in clique 2; itself counts as 8.
    np.testing.assert_allclose(result[0].embeddings[4, :3], [(8 + 6) / 15, 0, 1 / 15], rtol=1e-6)


def test_the_partition_is_as_good_as_networkxs():
    network = networkx.Graph(networkx.karate_club_graph().edges())  # without its weights
    source = GraphSource(np.array(network.edges()))
    labels = fit(Louvain(), source).labels
    found = [set(np.flatnonzero(labels == c).tolist()) for c in np.unique(labels)]
    oracle = networkx.community.louvain_communities(network, seed=0)
    quality = networkx.community.modularity
    assert quality(network, found) == pytest.approx(quality(network, oracle), abs=0.02)


def test_a_higher_resolution_finds_more():
    source = GraphSource(np.array(networkx.karate_club_graph().edges()))
    few, many = (fit(Louvain(resolution=r), source).n_clusters for r in (0.3, 3.0))
    assert few < many


def test_no_more_clusters_than_asked_for():
    made = fit(Louvain(n_clusters=2), cliques(4, 7, 5))
    np.testing.assert_array_equal(made.labels, np.repeat([-1, 0, 1], [4, 7, 5]))
    assert made.metrics["n_noise"] == 4


def test_nodes_without_edges_are_clusters_of_their_own():
    source = GraphSource(np.array([[0, 1], [1, 2], [0, 2]]), np.eye(8, dtype=np.float32))
    labels = fit(Louvain(), source).labels
    assert adjusted_rand_score(labels, [0, 0, 0, 1, 2, 3, 4, 5]) == 1


def test_without_networkx_it_says_what_to_install(monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "networkx" else there(name))
    with pytest.raises(InputError, match="louvain needs networkx"):
        fit(Louvain(), cliques(6, 6))


def test_other_data_are_refused():
    with pytest.raises(InputError, match="louvain needs a network"):
        fit(Louvain(), jnp.eye(16))
