import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from jaxdc.runs.agreement import agreement


def test_the_clustering_that_agrees_most_with_the_others():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 300)
    noisy = [np.where(rng.random(300) < share, rng.integers(0, 4, 300), truth) for share in (0.3, 0.05, 0.2)]
    found = agreement([*noisy, rng.integers(0, 4, 300)])
    assert found.best == 1
    assert found.ari[0, 2] == pytest.approx(adjusted_rand_score(noisy[0], noisy[2]))
    np.testing.assert_array_equal(found.ari, found.ari.T)
    assert found.means[3] == pytest.approx(found.ari[3, :3].mean())
    assert found.mean == pytest.approx(found.ari[np.triu_indices(4, 1)].mean())


def test_numbers_of_clusters_make_no_difference():
    assert agreement([np.array([0, 0, 1, 1]), np.array([7, 7, 2, 2])]).mean == 1
