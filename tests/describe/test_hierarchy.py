"""Ward's hierarchy of clusters, against SciPy's on the samples themselves."""

import numpy as np
from scipy.cluster.hierarchy import linkage

from jaxdc.describe import hierarchy


def test_single_samples_join_as_in_scipy():
    x = np.random.default_rng(0).normal(size=(12, 3))
    groups = {i: (i,) for i in range(12)}
    for join, (a, b, _, _) in zip(hierarchy(x, np.arange(12), 12), linkage(x, "ward"), strict=True):
        assert {join.left, join.right} == {groups[int(a)], groups[int(b)]}
        groups[len(groups)] = tuple(sorted(join.left + join.right))


def test_clusters_weigh_as_many_samples_as_they_have():
    """The top of SciPy's tree of samples whose clusters are single points."""
    rng = np.random.default_rng(1)
    means, sizes = rng.normal(size=(7, 2)), rng.integers(1, 30, 7)
    labels = np.repeat(np.arange(7), sizes)
    whole = linkage(means[labels], "ward")
    groups = {i: frozenset([int(c)]) for i, c in enumerate(labels)}
    expected = []
    for a, b, height, _ in whole:
        joined = groups[int(a)], groups[int(b)]
        groups[len(groups)] = joined[0] | joined[1]
        if height > 0:
            expected.append(set(joined))
    joins = hierarchy(means[labels], labels, 7)
    assert [{frozenset(join.left), frozenset(join.right)} for join in joins] == expected


def test_heights_are_distances_of_means_and_never_fall():
    x = np.array([[0.0], [2.0], [10.0], [12.0], [50.0], [52.0]])
    joins = hierarchy(x, np.array([0, 0, 1, 1, 3, 3]), 4)
    assert [(join.left, join.right, join.height) for join in joins] == [((0,), (1,), 10.0), ((0, 1), (3,), 45.0)]
    rng = np.random.default_rng(2)
    joins = hierarchy(rng.normal(size=(300, 2)), rng.integers(0, 40, 300), 40)
    assert len(joins) == 39
    height_of = {join.left + join.right: join.height for join in joins}
    height_of = {tuple(sorted(clusters)): height for clusters, height in height_of.items()}
    for join in joins:
        assert join.height >= max(height_of.get(join.left, 0.0), height_of.get(join.right, 0.0))


def test_without_two_clusters_there_is_no_join():
    assert hierarchy(np.zeros((3, 2)), np.array([0, 0, -1]), 4) == []
