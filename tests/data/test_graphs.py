"""Networks: what is read, what is dropped and said, and what is refused."""

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from jaxdc.data import GraphSource, open_source
from jaxdc.errors import InputError
from jaxdc.methods.base import Graph

EDGES = np.array([[0, 1], [1, 0], [1, 2], [2, 2], [1, 2]])


def test_edges_are_undirected_once_and_sorted_by_target():
    graph = Graph(4, EDGES)
    np.testing.assert_array_equal(graph.targets, [0, 1, 1, 2])
    np.testing.assert_array_equal(graph.sources, [1, 0, 2, 1])
    assert (graph.n_edges, graph.n_self_loops, graph.n_duplicates, graph.n_components()) == (2, 1, 2, 2)
    np.testing.assert_array_equal(graph.degrees, [1, 2, 1, 0])
    np.testing.assert_array_equal(graph.adjacency.toarray(), graph.adjacency.toarray().T)


def test_what_is_dropped_is_said():
    source = GraphSource(EDGES, np.ones((4, 3)), [0, 0, 1, 1])
    assert source.understood == (
        "a network of 4 nodes and 2 undirected edges, 3 features; with classes; dropped 1 self-loop; dropped 2 "
        "edges given before, in the same or the other direction; 1 node without edges, kept; 2 components"
    )


def test_the_fingerprint_changes_with_the_edges():
    x = np.ones((4, 3))
    assert GraphSource([[0, 1]], x).fingerprint() != GraphSource([[0, 2]], x).fingerprint()
    assert GraphSource([[0, 1]], x).fingerprint() == GraphSource([[1, 0]], x).fingerprint()


def test_nodes_without_features_are_told_apart():
    np.testing.assert_array_equal(GraphSource(EDGES).array, np.eye(3))
    many = GraphSource([[0, 1]], n_nodes=9000).array
    assert many.shape == (9000, 128)
    np.testing.assert_allclose(np.sum(many[:100] ** 2, axis=1).mean(), 1, atol=0.05)


def sparse_npz(path, **more):
    adjacency = scipy.sparse.csr_array((np.ones(2), ([0, 1], [1, 2])), shape=(4, 4))
    x = scipy.sparse.csr_array(np.eye(4, 2))
    parts = {}
    for name, matrix in (("adj", adjacency), ("attr", x)):
        parts |= {f"{name}_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr", "shape")}
    np.savez(path, **parts, labels=np.array([0, 0, 1, 1]), **more)


def test_npz_of_edges_or_of_a_sparse_matrix(tmp_path):
    np.savez(tmp_path / "a.npz", edges=EDGES, x=np.eye(4, 2), label=np.array([0, 0, 1, 1]))
    sparse_npz(tmp_path / "b.npz", node_names=np.array(["a", "b", "c", "d"]))
    a, b = (open_source(str(tmp_path / name)) for name in ("a.npz", "b.npz"))
    np.testing.assert_array_equal(a.array, b.array)
    np.testing.assert_array_equal(a.labels, b.labels)
    np.testing.assert_array_equal(a.graph.sources, b.graph.sources)
    assert list(b.sample_names) == ["a", "b", "c", "d"]


def test_csv_with_names_and_with_numbers(tmp_path):
    (tmp_path / "names.csv").write_text("source,target,weight\nbob,alice,2\nalice,carl,1\n")
    named = open_source(str(tmp_path / "names.csv"))
    assert list(named.sample_names) == ["alice", "bob", "carl"]
    np.testing.assert_array_equal(named.graph.degrees, [2, 1, 1])
    assert "left out: the weights of the edges" in named.understood
    (tmp_path / "numbers.csv").write_text("src,dst\n10,2\n2,7\n")
    numbered = open_source(str(tmp_path / "numbers.csv"))
    assert list(numbered.sample_names) == ["2", "7", "10"]
    np.testing.assert_array_equal(numbered.graph.degrees, [2, 1, 1])


@pytest.mark.parametrize("suffix", ["mtx", "graphml", "gml"])
def test_other_formats(tmp_path, suffix):
    networkx = pytest.importorskip("networkx")
    path, network = tmp_path / f"g.{suffix}", networkx.path_graph(4)
    if suffix == "mtx":
        scipy.io.mmwrite(path, networkx.to_scipy_sparse_array(network, dtype=float))
    else:
        getattr(networkx, f"write_{suffix}")(network, path)
    source = open_source(str(path))
    np.testing.assert_array_equal(source.graph.degrees, [1, 2, 2, 1])


@pytest.mark.parametrize(
    ("edges", "said"),
    [
        ([[0, 4]], "edge to node 4, but its 4 nodes must be numbered from 0 to 3"),
        ([[-1, 2]], "edge to node -1"),
        (np.zeros((0, 2), int), "has no edges"),
        ([[0.5, 1]], "whole numbers"),
        ([[0, 1, 2]], r"numbers \[m, 2\]"),
    ],
)
def test_what_is_no_network_is_refused(edges, said):
    with pytest.raises(InputError, match=said):
        GraphSource(edges, np.ones((4, 3)))


def test_damaged_files_are_refused(tmp_path):
    (tmp_path / "g.csv").write_text("source,target\na\n")
    with pytest.raises(InputError, match="no two nodes in line 2"):
        open_source(str(tmp_path / "g.csv"))
    np.savez(tmp_path / "g.npz", adj_indptr=np.arange(3))
    with pytest.raises(InputError, match="can't be read as a network"):
        open_source(str(tmp_path / "g.npz"))
    pytest.importorskip("networkx")
    (tmp_path / "g.gml").write_text("graph [")
    with pytest.raises(InputError, match="can't be read as a network"):
        open_source(str(tmp_path / "g.gml"))
