import numpy as np

from jaxdc.metrics import clustering_accuracy_score
from jaxdc.report.confusion import confusion_of


def test_by_hand():
    found = confusion_of(np.array(["b", "b", "b", "a", "a"]), np.array([4, 4, 7, 7, 7]))
    assert found.classes == ["a", "b"] and found.clusters == [7, 4] and found.n_matched == 2
    assert found.counts.tolist() == [[2, 0], [1, 2]]


def test_clusters_and_classes_without_a_match_come_last():
    rng = np.random.default_rng(0)
    for n_classes, n_clusters in ((3, 6), (6, 3), (5, 5)):
        labels_true, labels = rng.integers(n_classes, size=300), 2 * rng.integers(n_clusters, size=300)
        found = confusion_of(labels_true, labels)
        assert found.counts.shape == (n_classes, n_clusters) and found.counts.sum() == 300
        assert found.n_matched == min(n_classes, n_clusters)
        assert sorted(found.clusters) == [2 * c for c in range(n_clusters)]
        for i, class_ in enumerate(found.classes):
            for j, cluster in enumerate(found.clusters):
                expected = np.sum((labels_true == int(class_)) & (labels == cluster))
                assert found.counts[i, j] == expected
        rest = found.counts[:, found.n_matched :].sum(axis=0)
        assert (np.diff(rest) <= 0).all()
        assert np.trace(found.counts) / 300 == float(clustering_accuracy_score(labels_true, labels // 2))
