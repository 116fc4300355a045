import math

import numpy as np

from jaxdc.describe import (
    central_members,
    class_terms,
    cluster_means,
    describe,
    doubtful_members,
    summarize,
)

EMBEDDINGS = np.array([[0.0], [1.0], [5.0], [9.0], [10.0], [6.0]])
LABELS = np.array([0, 0, 0, 1, 1, 1])
HARD = np.eye(2)[LABELS]


def test_central_members_are_nearest_to_the_mean():
    means = cluster_means(EMBEDDINGS, LABELS, 3)
    np.testing.assert_allclose(means[:2, 0], [2.0, 25 / 3])
    assert np.isnan(means[2]).all()
    assert central_members(EMBEDDINGS, LABELS, means, 0, 2).tolist() == [1, 0]
    assert central_members(EMBEDDINGS, LABELS, means, 1, 9).tolist() == [3, 4, 5]


def test_doubtful_members_of_hard_clusters_lie_towards_another():
    means = cluster_means(EMBEDDINGS, LABELS, 2)
    assert doubtful_members(EMBEDDINGS, HARD, means, 0, 1).tolist() == [2]
    assert doubtful_members(EMBEDDINGS, HARD, means, 1, 1).tolist() == [5]


def test_doubtful_members_of_soft_clusters_have_two_likely_ones():
    soft = np.array([[0.6, 0.1, 0.3], [0.5, 0.45, 0.05], [0.4, 0.3, 0.3], *[[0, 1, 0]] * 3])
    means = cluster_means(EMBEDDINGS, soft.argmax(axis=1), 3)
    assert doubtful_members(EMBEDDINGS, soft, means, 0, 3).tolist() == [1, 2, 0]


def test_one_cluster_alone_has_nobody_in_doubt():
    one = np.eye(2)[np.zeros(6, int)]
    assert doubtful_members(EMBEDDINGS, one, cluster_means(EMBEDDINGS, np.zeros(6), 2), 0, 3).size == 0


def test_class_terms_by_hand():
    texts = ["cat cat dog", "cat", "bond share", "bond dog"]
    labels = np.array([0, 0, 1, 1])
    weight = {
        "cat": 3 / 4 * math.log(1 + 4 / 3),
        "dog": 1 / 4 * math.log(1 + 4 / 2),
        "bond": 2 / 4 * math.log(1 + 4 / 2),
        "share": 1 / 4 * math.log(1 + 4 / 1),
    }
    assert weight["bond"] > weight["share"] > weight["dog"]
    assert class_terms(texts, labels, 3) == [["cat", "dog"], ["bond", "share", "dog"], []]
    assert class_terms(texts, labels, 2, n_terms=1) == [["cat"], ["bond"]]


def test_class_terms_where_there_are_none():
    assert class_terms(["a", "the"], np.array([0, 1]), 2) == [[], []]
    assert class_terms(["the the", "cats"], np.array([0, 1]), 2, stop_words=None) == [["the"], ["cats"]]


def test_a_summary_is_central_and_diverse():
    texts = ["Cats sleep all day. Cats sleep all the day! Cats sleep all of the day.", "Dogs bark. Rain fell."]
    assert sum(sentence.startswith("Cats sleep") for sentence in summarize(texts, 2)) == 1
    assert sum(sentence.startswith("Cats sleep") for sentence in summarize(texts, 2, relevance=1.0)) == 2
    assert summarize(texts, 1, relevance=1.0)[0].startswith("Cats sleep")
    assert summarize(["One. Two."], 5) == ["One.", "Two."]
    assert summarize(["a", "b", "c"], 2) == ["a", "b"]


def test_a_text_without_sentences_is_cut():
    pieces = summarize([" ".join(f"word{i}" for i in range(100))], 3)
    assert [len(piece.split()) for piece in pieces] == [40, 40, 20]


def test_describe_puts_the_largest_first_and_keeps_empty_ones():
    probabilities = np.eye(4)[[2, 2, 2, 0, 0, 3]]
    texts = [f"word{'abc'[i % 3]} common" for i in range(6)]
    clusters = describe(EMBEDDINGS, probabilities, texts=texts, sample_names=list("uvwxyz"), n_members=2)
    assert [(c.cluster, c.size) for c in clusters] == [(2, 3), (0, 2), (3, 1), (1, 0)]
    assert clusters[0].share == 0.5
    assert [m.sample for m in clusters[0].central] == ["v", "u"]
    assert clusters[0].central[0].text == texts[1]
    assert clusters[3].central == clusters[3].terms == []
