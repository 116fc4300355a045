"""The drawing of a network: which nodes and edges, where, and what is said of them."""

import networkx
import numpy as np
import pytest
from html_pages import Page

from jaxdc.methods.base import Graph
from jaxdc.report import Run, network, page

# Two triangles with an edge between them, and a node without edges.
LABELS = np.array([0, 0, 0, 1, 1, 1, -1], np.int32)
GRAPH = Graph(7, np.array([[0, 1], [1, 2], [0, 2], [3, 4], [4, 5], [3, 5], [2, 3]]))
CONFIG = {
    "run": {
        "method": "GAE",
        "recipe": "fast",
        "seed": 0,
        "data": {"name": "net", "n_samples": 7, "shape": [7]},
        "stages": [{"method": {"method": "gae", "n_clusters": 2}, "epochs": 3.0}],
    },
    "environment": {"jax": "0.10", "devices": "1 x cpu"},
}


def run_of(graph=GRAPH, labels=LABELS, **changes):
    return Run(config=CONFIG, n_clusters=int(labels.max()) + 1, labels=labels, graph=graph, **changes)


def test_the_page_has_a_dot_for_each_node_and_says_what_it_is():
    names = ["<b>", *"bcdefg"]
    html = page(run_of(sample_names=names), [])
    assert "<title>&lt;b&gt;, cluster 0</title>" in html and "<b>, cluster" not in html
    assert "<title>g, in no cluster</title>" in html
    figure = html[html.index('class="network"') :]
    figure = figure[: figure.index("</svg>")]
    assert figure.count("<circle") == 7
    assert [figure.count(f'<circle class="k{c}"') for c in (-1, 0, 1)] == [1, 3, 3]
    assert [figure.count(f'<path{mark} d="') for mark in ("", ' class="k0"', ' class="k1"')] == [1, 1, 1]
    assert figure.count("L") == 7  # edges
    assert "All 7 nodes" in html and "the 7 edges between them" in html
    Page(html)


def test_the_edges_inside_clusters_are_counted_by_hand():
    # 6 of 7 edges; of 14 ends 7 are in each cluster.
    assert network.modularity(GRAPH, LABELS) == pytest.approx((6 / 7, 0.5))
    first = network.linked(GRAPH, LABELS, [0, 1])[0]
    assert first.n_edges == 4 and first.inside == pytest.approx(6 / 7)
    assert first.others == [(1, pytest.approx(1 / 7))]
    assert "86% of all 7 edges are inside clusters, where chance would put 50%" in page(run_of(), [])


def test_modularity_is_networkxs():
    karate = networkx.Graph(networkx.karate_club_graph().edges())
    labels = np.arange(34) % 3
    labels[5] = -1  # by itself
    parts = [set(np.flatnonzero(labels == c).tolist()) for c in range(3)] + [{5}]
    inside, chance = network.modularity(Graph(34, np.array(karate.edges())), labels)
    assert inside - chance == pytest.approx(networkx.community.modularity(karate, parts))


@pytest.mark.full
def test_of_many_nodes_each_cluster_has_its_share_and_the_best_linked_are_drawn():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [1500, 500])
    graph = Graph(2000, rng.integers(0, 2000, (80_000, 2)))
    rows = network.drawn_nodes(labels, graph.degrees, 500)
    assert np.bincount(labels[rows]).tolist() == [375, 125]
    left_out = np.setdiff1d(np.arange(2000), rows)
    for c in (0, 1):
        fewest = graph.degrees[rows[labels[rows] == c]].min()
        assert fewest >= graph.degrees[left_out[labels[left_out] == c]].max()
    html = page(run_of(graph, labels.astype(np.int32)), [])
    assert "500 of 2,000 nodes" in html
    n_between = len(network.edges_between(graph, rows))
    inner = (graph.adjacency[rows][:, rows]).sum() / 2
    assert n_between == inner > network.MOST_EDGES
    assert f"{network.MOST_EDGES:,} of the {n_between:,} edges between them" in html
    assert len(html) < 500_000


def test_springs_keep_linked_nodes_near():
    places = network.spring_layout(7, network.edges_between(GRAPH, np.arange(7)))
    assert np.isfinite(places).all()
    np.testing.assert_array_equal(places, network.spring_layout(7, network.edges_between(GRAPH, np.arange(7))))
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    linked = GRAPH.adjacency.toarray() > 0
    others = ~linked & ~np.eye(7, dtype=bool)
    assert apart[linked].mean() < 0.7 * apart[others].mean()


def test_other_data_have_no_drawing():
    assert network.network(run_of(graph=None)) is None
    assert 'id="network"' not in page(run_of(graph=None), [])
