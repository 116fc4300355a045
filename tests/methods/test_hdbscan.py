"""HDBSCAN against scikit-learn's, on new samples, and where there is nothing to find."""

import numpy as np
import pytest
import sklearn.cluster

import jaxdc
from jaxdc import HDBSCAN, fit
from jaxdc.errors import InputError
from jaxdc.metrics import adjusted_rand_score


def blobs_and_noise():
    """Two dense groups, of 60 and 40, and ten samples far from everything."""
    rng = np.random.default_rng(0)
    dense = np.concatenate([rng.normal(0, 0.1, (40, 2)), rng.normal(5, 0.1, (60, 2))])
    angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    return np.concatenate([dense, 40 * np.stack([np.cos(angle), np.sin(angle)], axis=1)]).astype(np.float32)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    labels_true = np.repeat([0, 1, 2], [40, 60, 10])
    folder = tmp_path_factory.mktemp("run") / "run"
    made = fit(HDBSCAN(min_cluster_size=10), blobs_and_noise(), labels_true, workdir=folder)
    return made, jaxdc.load(folder)


def test_the_labels_are_scikit_learns_by_size(result):
    oracle = sklearn.cluster.HDBSCAN(10, min_samples=10, copy=True).fit_predict(blobs_and_noise())
    assert adjusted_rand_score(oracle, result[0].labels) == 1
    assert np.bincount(result[0].labels + 1).tolist() == [10, 60, 40]


def test_noise_is_one_more_group_in_the_scores_and_no_cluster(result):
    made, loaded = result
    assert made.metrics["acc"] == 1 and made.metrics["n_noise"] == 10
    assert made.metrics["n_clusters"] == made.metrics["active_clusters"] == made.n_clusters == 2
    assert made.probabilities.shape == (110, 2) and made.metrics["warnings"] == []
    np.testing.assert_array_equal(loaded.labels, made.labels)


def test_new_samples_join_the_dense_region_they_lie_in(result):
    x = blobs_and_noise()
    new = np.array([[0.02, 0.0], [5.0, 5.01], [2.5, 2.5], [100.0, 0.0]], np.float32)
    for one in result:
        np.testing.assert_array_equal(one.predict(x), one.labels)
        assert one.predict(new).tolist() == [1, 0, -1, -1]


def test_no_more_clusters_than_asked_for_the_largest_first():
    rng = np.random.default_rng(1)
    sizes = [30, 50, 20, 40]
    x = np.concatenate([rng.normal(10 * i, 0.1, (size, 2)) for i, size in enumerate(sizes)]).astype(np.float32)
    labels = fit(HDBSCAN(n_clusters=2, min_cluster_size=10), x).labels
    assert np.bincount(labels + 1).tolist() == [50, 50, 40]
    assert (labels[30:80] == 0).all()


def test_data_without_a_dense_region_are_refused():
    x = np.random.default_rng(0).uniform(size=(40, 30)).astype(np.float32)
    with pytest.raises(InputError, match="dense enough for a cluster of 30 samples"):
        fit(HDBSCAN(min_cluster_size=30), x)
    with pytest.raises(InputError, match="min_cluster_size is 41, but there are only 40 samples"):
        fit(HDBSCAN(min_cluster_size=41), x)
