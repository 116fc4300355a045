import numpy as np
import pytest
from sklearn import metrics
from sklearn.datasets import make_blobs

from jaxdc.choose_k import KScores, choose, k_scores
from jaxdc.errors import InputError


@pytest.mark.parametrize(
    "k", [pytest.param(2, marks=pytest.mark.full), 4, pytest.param(7, marks=pytest.mark.full)]
)
def test_well_separated_clusters_are_counted(k):
    z, _ = make_blobs(60 * k, centers=20 * np.eye(k, 8), cluster_std=1.0, random_state=0)
    scores = k_scores(z, range(2, 10), n_divisions=2)
    choice = choose(scores)
    assert choice.k == k
    assert choice.as_good == (k,)
    at = list(scores.ks).index(k)
    assert scores.stability[:, at].min() == 1.0
    assert scores.davies_bouldin.mean(axis=0).argmin() == at


def test_one_cloud_leaves_the_number_open():
    z = np.random.default_rng(0).normal(size=(200, 10))
    choice = choose(k_scores(z, range(2, 9), n_divisions=2))
    assert len(choice.as_good) > 1


def test_scores_are_those_of_the_clusters_of_a_half():
    """Two halves of the same two points each: every score is known."""
    z = np.array([[0.0], [0.0], [1.0], [1.0]] * 10)
    scores = k_scores(z, [2], n_divisions=1)
    np.testing.assert_allclose(scores.silhouette, 1.0)
    np.testing.assert_allclose(scores.davies_bouldin, 0.0, atol=1e-6)
    np.testing.assert_allclose(scores.stability, 1.0)


def test_the_silhouette_is_that_of_each_half_by_itself():
    z, _ = make_blobs(80, centers=3, random_state=0)
    scores = k_scores(z, [3], n_divisions=1)
    order = np.random.default_rng((0, 0)).permutation(80)
    from sklearn.cluster import KMeans

    for i, half in enumerate((z[order[:40]], z[order[40:]])):
        labels = KMeans(3, n_init=3, random_state=0).fit_predict(half)
        assert scores.silhouette[i, 0] == pytest.approx(metrics.silhouette_score(half, labels))


def test_the_same_seed_scores_the_same_and_tells_of_each_step():
    z, told = np.random.default_rng(1).normal(size=(100, 3)), []
    one = k_scores(z, [2, 3], n_divisions=2, seed=4, advance=told.append)
    again = k_scores(z, [2, 3], n_divisions=2, seed=4)
    np.testing.assert_array_equal(one.silhouette, again.silhouette)
    np.testing.assert_array_equal(one.stability, again.stability)
    assert told == [1] * 4
    assert not np.array_equal(one.silhouette, k_scores(z, [2, 3], n_divisions=2, seed=5).silhouette)


def test_as_good_is_within_two_deviations_of_the_best():
    silhouette = np.array([[0.30, 0.50, 0.46, 0.30], [0.32, 0.54, 0.50, 0.44]])
    scores = KScores(np.arange(3, 7), silhouette, silhouette, silhouette[:1])
    assert choose(scores) == (4, (4, 5))  # 0.52 less 2 x 0.0283 is 0.463


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_what_can_not_be_judged_is_refused():
    with pytest.raises(InputError, match="start at 2"):
        k_scores(np.zeros((20, 2)), [1, 2])
    with pytest.raises(InputError, match=r"10 clusters are too many .* up to 9"):
        k_scores(np.zeros((20, 2)), [2, 10])
    with pytest.raises(InputError, match="all alike"):
        choose(k_scores(np.zeros((20, 2)), [2, 3], n_divisions=1))
