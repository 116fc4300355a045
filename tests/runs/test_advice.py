import numpy as np
import pytest

from jaxdc import CMSCDCCA, DEC, Spectral
from jaxdc.runs.advice import next_step, ways_to_train_longer

FIGURES = {"acc": 0.8, "nmi": 0.7, "ari": 0.6, "recipe": "fast", "warnings": []}
WORSE, BETTER = {"acc": 0.5, "nmi": 0.5, "ari": 0.5}, {"acc": 0.9, "nmi": 0.8, "ari": 0.7}


def of_sizes(*sizes, sure=1.0):
    """Probabilities of clusters of these sizes; the rest goes to all alike."""
    k = len(sizes)
    return sure * np.eye(k)[np.repeat(np.arange(k), sizes)] + (1 - sure) / k


EVEN = of_sizes(5, 5, 5)


@pytest.mark.parametrize(
    ("probabilities", "changes", "k_means", "expected"),
    [
        (of_sizes(15, 0, 0), {}, BETTER, "one cluster"),
        (EVEN, {"warnings": ["DAC has learnt nothing in 9 steps"]}, None, "what its batches lacked"),
        (EVEN, {"warnings": ["the loss has stayed at 1.10, the value"]}, None, "hardly learned"),
        (of_sizes(9, 6, 0), {}, BETTER, "1 of 3 clusters are empty"),
        (EVEN, {}, BETTER, "plain k-means does better here: try --recipe paper, more --epochs"),
        (EVEN, {}, {**BETTER, "nmi": 0.1}, "vary by seed"),  # better by one score alone
        (of_sizes(2, 11, 2), {}, WORSE, "cluster 1 holds 73%"),
        (of_sizes(12, 3), {}, WORSE, "vary by seed"),  # of two clusters one always holds half
        (of_sizes(5, 5, 5, sure=0.2), {}, WORSE, "100% of the samples lie between clusters"),
        (EVEN, {"acc": None, "nmi": None}, None, "check the clusters in the report"),
        (EVEN, {}, WORSE, "--seed 1"),
    ],
)
def test_the_most_pressing_thing_is_said(probabilities, changes, k_means, expected):
    assert expected in next_step(FIGURES | changes, probabilities, k_means=k_means)


def test_where_to_look_is_named():
    assert "runs/x/report.html" in next_step(FIGURES, EVEN, where="runs/x/report.html")


def test_many_clusters_are_no_doubt():
    # A kernel with long tails leaves little for the own cluster, and still hardly more for any other.
    probabilities = of_sizes(*[2] * 50, sure=0.2)
    assert probabilities.max() < 0.25
    assert "vary by seed" in next_step(FIGURES, probabilities)


def test_a_few_in_doubt_are_not_worth_a_word():
    some = np.concatenate([EVEN, np.full((3, 3), 1 / 3)])  # 3 of 18
    assert "vary by seed" in next_step(FIGURES, some)
    assert "25% of the samples" in next_step(FIGURES, np.concatenate([some, some[-2:]]))


@pytest.mark.parametrize(
    ("method", "recipe", "expected"),
    [
        (DEC(n_clusters=3), "fast", "try --recipe paper, more --epochs, or another method"),
        (DEC(n_clusters=3), "paper", "try more --epochs, or another method"),
        (CMSCDCCA(n_clusters=3), "fast", "try more --epochs, or another method"),
        (Spectral(n_clusters=3), "fast", "better here: try another method"),
    ],
)
def test_no_option_is_advised_that_the_method_does_not_have(method, recipe, expected):
    longer = ways_to_train_longer(method, recipe)
    assert expected in next_step(FIGURES, EVEN, k_means=BETTER, longer=longer)
