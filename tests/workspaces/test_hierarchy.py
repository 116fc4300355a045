import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from jaxdc.workspaces.graph import Graph, co_access_graph, cosine_graph, learned_graph
from jaxdc.workspaces.hierarchy import best_cut, cut_scores, paris
from jaxdc.workspaces.sessions import Pairs


def planted(n=60, k=5, inside=0.5, outside=0.03, seed=0):
    """Pairs of documents, more of them within one of k groups."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % k
    first, second = np.triu_indices(n, 1)
    held = rng.random(len(first)) < np.where(truth[first] == truth[second], inside, outside)
    first, second = first[held].astype(np.int32), second[held].astype(np.int32)
    return truth, Pairs(first, second, 0.5 + rng.random(len(first)), np.ones(len(first)))


def test_joins_are_those_of_a_search_among_all():
    _, pairs = planted(24, 3)
    found = paris(co_access_graph(pairs, 24))
    w = np.zeros((24, 24))
    w[pairs.first, pairs.second] = w[pairs.second, pairs.first] = pairs.weights
    clusters, total = {i: [i] for i in range(24)}, w.sum()

    def apart(a, b):
        weight = w[np.ix_(clusters[a], clusters[b])].sum()
        degrees = w[clusters[a]].sum() * w[clusters[b]].sum()
        return degrees / (total * weight) if weight else np.inf

    for j, (joined, height) in enumerate(zip(found.joined, found.heights, strict=True)):
        names = sorted(clusters)
        least, a, b = min((apart(a, b), a, b) for i, a in enumerate(names) for b in names[i + 1 :])
        assert height == pytest.approx(least)
        assert sorted(joined) == [a, b]
        clusters[24 + j] = clusters.pop(a) + clusters.pop(b)
        labels = found.labels(j + 1)
        for members in clusters.values():
            assert len(set(labels[members])) == 1
        assert labels.max() + 1 == len(clusters)


def test_parts_that_nothing_links_stay_apart():
    graph = Graph(np.array([0, 3]), np.array([1, 4]), np.array([1.0, 2.0]), 6)
    found = paris(graph)
    assert len(found.joined) == 2
    labels = found.labels(2)
    assert labels[0] == labels[1]
    assert labels[3] == labels[4]
    assert len(set(labels)) == 4
    assert paris(Graph(*(np.zeros(0, int),) * 2, np.zeros(0), 3)).labels(0).tolist() == [0, 1, 2]


def test_equal_weights_come_to_an_end():
    first, second = np.triu_indices(30, 1)
    found = paris(Graph(first, second, np.ones(len(first)), 30))
    assert len(found.joined) == 29
    assert (np.diff(found.heights) >= 0).all()
    for j in range(30):
        assert len(set(found.labels(j))) == 30 - j


def test_scores_of_the_cuts_are_those_of_the_formula():
    truth, pairs = planted()
    _, asked = planted(seed=1)
    hierarchy = paris(co_access_graph(pairs, 60))
    scores = cut_scores(hierarchy, asked)
    assert len(scores) == len(hierarchy.joined) + 1
    weights = asked.weights / asked.weights.sum()
    degrees = np.bincount(asked.first, weights, 60) + np.bincount(asked.second, weights, 60)
    for j in (0, 10, 40, 55, 58):
        labels = hierarchy.labels(j)
        s = weights[labels[asked.first] == labels[asked.second]].sum()
        s0 = sum((degrees[labels == c].sum() / 2) ** 2 for c in set(labels))
        terms = s * np.log(s / s0) + (1 - s) * np.log((1 - s) / (1 - s0)) if s > s0 else 0.0
        assert scores[j] == pytest.approx(terms, abs=1e-9)
    cut = best_cut(hierarchy, asked)
    assert cut.score == max(scores)
    assert hierarchy.n_joins(cut.height) == cut.n_joins
    labels = hierarchy.labels(cut.n_joins)
    assert adjusted_rand_score(truth, labels) > 0.8


def test_pairs_at_random_are_no_reason_to_join():
    hierarchy = paris(co_access_graph(planted()[1], 60))
    apart = Pairs(np.arange(0, 60, 5), np.arange(1, 60, 5), np.ones(12), np.ones(12))  # of one group never
    assert best_cut(hierarchy, apart).score < 0.3


def test_neighbours_by_hand():
    angles = np.radians([0, 10, 30, 180])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    vectors = np.concatenate([vectors, np.zeros((1, 2), np.float32)])
    # Each names its nearest: 0 and 1 each other, 2 names 1, 3 names 2; of the last nothing is known.
    graph = learned_graph(vectors, 1, 0.5)
    weight = {degrees: np.exp((np.cos(np.radians(degrees)) - 1) / 0.5) for degrees in (10, 20, 150)}
    edges = {(int(a), int(b)): w for a, b, w in zip(*graph[:3], strict=True)}
    assert edges == pytest.approx({(0, 1): weight[10], (1, 2): weight[20] / 2, (2, 3): weight[150] / 2}, rel=1e-5)
    cosines = cosine_graph(vectors, 1)
    assert [(int(a), int(b)) for a, b in zip(*cosines[:2], strict=True)] == [(0, 1), (1, 2)]
    assert len(learned_graph(vectors, 10, 0.5).first) == 6  # more neighbours than there are


def test_equal_documents_are_not_their_own_neighbours():
    graph = cosine_graph(np.ones((9, 2), np.float32), 3)
    assert (graph.first < graph.second).all()
    assert np.bincount(np.concatenate([graph.first, graph.second]), minlength=9).min() >= 3
