import itertools

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from jaxdc import metrics


def test_accuracy_tries_every_renaming():
    rng = np.random.default_rng(0)
    for _ in range(20):
        truth, guess = rng.integers(4, size=30), rng.integers(4, size=30)
        best = max(np.mean(np.array(p)[guess] == truth) for p in itertools.permutations(range(4)))
        assert metrics.clustering_accuracy_score(truth, guess) == pytest.approx(best, abs=1e-12)


def test_accuracy_with_other_numbers_of_clusters():
    truth = ["a", "a", "a", "b", "b", "b"]
    assert metrics.clustering_accuracy_score(truth, [0, 0, 1, 2, 2, 2]) == pytest.approx(5 / 6)
    assert metrics.purity_score(truth, [0, 0, 1, 2, 2, 2]) == 1.0
    assert metrics.clustering_accuracy_score(truth, [0] * 6) == 0.5


def test_nmi_and_ari_are_those_of_scikit_learn_for_any_labels():
    rng = np.random.default_rng(1)
    truth, guess = rng.integers(5, size=200), rng.integers(-3, 9, size=200)
    names = np.array(list("pqrst"))[truth]
    assert metrics.normalized_mutual_info_score(names, guess) == pytest.approx(
        sklearn_metrics.normalized_mutual_info_score(truth, guess), abs=1e-12
    )
    assert metrics.adjusted_rand_score(names, guess) == pytest.approx(
        sklearn_metrics.adjusted_rand_score(truth, guess), abs=1e-12
    )


def test_pairwise_f1_is_that_of_scikit_learns_pair_confusion_matrix():
    rng = np.random.default_rng(2)
    for n, k in ((2, 1), (30, 4), (200, 40)):
        truth, guess = rng.integers(k, size=n), rng.integers(-3, k, size=n)
        (_, only_guess), (only_truth, both) = sklearn_metrics.pair_confusion_matrix(truth, guess)
        expected = 2 * both / (2 * both + only_guess + only_truth)
        assert metrics.pairwise_f1_score(truth, guess) == pytest.approx(expected, abs=1e-12)


def test_pairwise_f1_where_there_are_no_pairs():
    assert metrics.pairwise_f1_score([0, 1, 2], ["a", "b", "c"]) == 1.0
    assert metrics.pairwise_f1_score([0, 1, 2], [0, 0, 1]) == 0.0
    assert metrics.pairwise_f1_score([0, 0, 1], [0, 1, 2]) == 0.0
    assert metrics.pairwise_f1_score([0], [0]) == 1.0


def test_matched_labels():
    np.testing.assert_array_equal(metrics.matched_labels([3, 3, 8, 8], [1, 1, 0, 1]), [3, 3, 8, 3])
    assert metrics.matched_labels([3, 3, 8], [0, 0, 5]).tolist() == [3, 3, 8]
    assert metrics.matched_labels([3, 3, 8, 8], [0, 1, 2, 2]).tolist() in (
        [3, "cluster 1", 8, 8],
        ["cluster 0", 3, 8, 8],
    )


@pytest.mark.parametrize("score", [f for name, f in vars(metrics).items() if name.endswith("_score")])
def test_lengths_must_agree(score):
    with pytest.raises(ValueError, match="the same length"):
        score([0, 1], [0, 1, 2])
    with pytest.raises(ValueError, match="empty"):
        score([], [])
