import dataclasses
import json

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.preprocessing import normalize

from jaxdc import KMeans, cli, fit, load
from jaxdc.data.text import Documents, SkipGram, TextSource, TfIdf, WordClusters, read_documents
from jaxdc.errors import InputError
from jaxdc.probe import linear_probe

N_CLASSES, N_SYNONYMS = 4, 60
QUICK = SkipGram(dim=16, batch_size=256, epochs=1, least_steps=250, learning_rate=0.02)
QUICK_EXPANSION = WordClusters(skip_gram=QUICK, n_word_clusters=8)


pytestmark = pytest.mark.usefixtures("one_device_alone")


def texts_of_synonyms(n=1000, seed=0):
    """Three of a class's sixty synonyms and six of thirty words that say nothing: few share one of class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(N_CLASSES, size=n)
    texts = []
    for label in labels:
        words = [f"word{label}x{i}" for i in rng.choice(N_SYNONYMS, 3, replace=False)]
        words += [f"filler{i}" for i in rng.choice(30, 6, replace=False)]
        texts.append(" ".join(rng.permutation(words)))
    return texts, labels


@pytest.fixture(scope="module")
def expanded():
    """Texts, classes, what was learnt, plain and expanded vectors."""
    texts, labels = texts_of_synonyms()
    fitted = QUICK_EXPANSION.fit(texts)
    plain = TextSource(Documents.of(texts, labels), TfIdf())
    return fitted, plain, TextSource(Documents.of(texts, labels), fitted)


@pytest.mark.full
def test_synonyms_are_in_one_cluster_of_words(expanded):
    fitted, *_ = expanded
    clusters = {}
    for word, place in zip(fitted.learned["words"], fitted.learned["clusters"], strict=True):
        if word.startswith("word"):
            clusters.setdefault(int(place), []).append(word[4])
    most = sum(max(map(members.count, members)) for members in clusters.values())
    assert most / sum(map(len, clusters.values())) > 0.95


@pytest.mark.full
def test_a_classifier_of_few_labels_gains(expanded):
    _, plain, source = expanded
    rng = np.random.default_rng(0)
    train = np.concatenate([rng.permutation(np.flatnonzero(plain.labels == c))[:5] for c in range(N_CLASSES)])
    test = np.setdiff1d(np.arange(plain.n_samples), train)
    accuracy = [
        linear_probe(one.array[train], one.labels[train], one.array[test], one.labels[test]).accuracy
        for one in (plain, source)
    ]
    assert accuracy[1] > 0.9
    assert accuracy[1] > accuracy[0] + 0.3


@pytest.mark.full
def test_a_clusterer_gains(expanded):
    _, plain, source = expanded
    scores = [fit(KMeans(n_clusters=N_CLASSES, n_init=3), one).metrics["acc"] for one in (plain, source)]
    assert scores[1] > 0.9
    assert scores[1] > scores[0] + 0.3


@pytest.mark.full
def test_each_part_is_what_scikit_learn_makes_of_it(expanded):
    fitted, plain, _ = expanded
    learned = fitted.learned
    everything = WordClusters(n_word_clusters=8, parts=("words", "clusters", "vectors", "centroids"))
    new = [*texts_of_synonyms(50, seed=1)[0], "word0x1 word0x1 filler3 unheardof"]
    made = everything.vectors(learned, new).toarray()
    words, clusters, vectors, centroids = np.split(made, np.cumsum([len(learned["terms"]), 8, 16]), axis=1)
    np.testing.assert_array_equal(words, plain.fitted.transform(new).toarray())
    # The text in which every word is replaced by its cluster, as one more tf-idf.
    place = dict(zip(learned["words"].tolist(), learned["clusters"].tolist(), strict=True))
    replaced = [[f"c{place[w]}" for w in t.split() if w in place] for t in (*plain.texts, *new)]
    counts = CountVectorizer(analyzer=lambda text: text, vocabulary=[f"c{i}" for i in range(8)]).transform(
        replaced
    )
    oracle = TfidfTransformer().fit(counts[: len(plain.texts)]).transform(counts[len(plain.texts) :])
    np.testing.assert_allclose(clusters, oracle.toarray(), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(learned["vectors"].mean(axis=0), 0, atol=1e-5)
    vector = dict(zip(learned["words"].tolist(), learned["vectors"], strict=True))
    means = [np.mean([vector[w] for w in t.split() if w in vector], axis=0) for t in new]
    np.testing.assert_allclose(vectors, normalize(means), rtol=1e-4, atol=1e-6)
    center = [np.mean([vector[w] for w in vector if place[w] == c], axis=0) for c in range(8)]
    means = [np.mean([center[place[w]] for w in t.split() if w in place], axis=0) for t in new]
    np.testing.assert_allclose(centroids, normalize(means), rtol=1e-4, atol=1e-6)


def test_texts_without_a_known_word_are_zero_and_told_of(expanded):
    fitted, *_ = expanded
    said = []
    source = TextSource(Documents(["word0x1", "unheard of", "", "the"]), fitted, say=said.append)
    assert source.array.any(axis=1).tolist() == [True, False, False, False]
    assert said == ["3 of the 4 documents contain no known term, so they can't be told apart"]


def test_a_word_without_a_vector_counts_as_a_word_alone(tmp_path):
    (tmp_path / "vectors.txt").write_text("cat 1 0\nDog 0.9 0.1\nbond 0 1\nthe 5 5\n")
    settings = WordClusters(word_vectors=str(tmp_path / "vectors.txt"), n_word_clusters=2)
    fitted = settings.fit(["the cat and the dog", "a bond", "the walrus"])
    assert fitted.learned["words"].tolist() == ["bond", "cat", "dog"]  # stop words have no part in it
    cat, dog, walrus = fitted.transform(["cat", "dog", "walrus"]).toarray()
    n_terms = len(fitted.learned["terms"])
    assert cat[:n_terms] @ dog[:n_terms] == 0
    np.testing.assert_array_equal(cat[n_terms : n_terms + 2], dog[n_terms : n_terms + 2])
    assert walrus[:n_terms].any() and not walrus[n_terms:].any()


def test_given_vectors_and_stop_words_of_another_language(tmp_path):
    (tmp_path / "vectors.txt").write_text("the 1 0\ncat 0 1\ndog 0 1\n")
    settings = WordClusters(word_vectors=str(tmp_path / "vectors.txt"), stop_words="none")
    assert settings.fit(["the cat", "the dog"]).learned["words"].tolist() == ["cat", "dog", "the"]


@pytest.mark.full
def test_the_same_seed_gives_the_same_vectors():
    texts, _ = texts_of_synonyms(100)
    one, again = (QUICK_EXPANSION.fit(texts).transform(texts) for _ in range(2))
    np.testing.assert_array_equal(one.toarray(), again.toarray())


def main(*arguments):
    cli.main([str(argument) for argument in arguments])


@pytest.mark.full
def test_the_command(tmp_path, capsys):
    data, run = tmp_path / "texts.jsonl", tmp_path / "run"
    texts, labels = texts_of_synonyms(150)
    rows = ({"text": text, "label": int(label)} for text, label in zip(texts, labels, strict=True))
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = {word for text in texts for word in text.split()}
    vectors = [f"{w} {int(w[4]) - 1.5 if w[0] == 'w' else 0} {int(w[0] == 'f')}" for w in sorted(words)]
    (tmp_path / "vectors.vec").write_text(f"{len(vectors)} 2\n" + "\n".join(vectors))
    main("train", "kmeans", "--data", data, "--vectors", "word-clusters", "--n-word-clusters", 5,
         "--word-vectors", tmp_path / "vectors.vec", "--seed", 3, "--workdir", run)  # fmt: skip
    config = json.loads((run / "config.json").read_text())["run"]["data"]
    assert config["vectorizer"]["vectorizer"] == "word-clusters"
    assert config["vectorizer"]["n_word_clusters"] == 5
    assert config["vectorizer"]["seed"] == 3
    (tmp_path / "vectors.vec").unlink()  # the run keeps what it needs
    loaded = load(run)
    np.testing.assert_array_equal(loaded.predict(texts), loaded.labels)
    (tmp_path / "new.txt").write_text("word0x1 word0x2\nword3x1 filler2\n")
    main("predict", run, "--data", tmp_path / "new.txt", "--output", tmp_path / "new.csv")
    assert len((tmp_path / "new.csv").read_text().splitlines()) == 3
    capsys.readouterr()
    with pytest.raises(SystemExit) as error:
        main("train", "kmeans", "--data", data, "--n-word-clusters", 5, "--workdir", tmp_path / "other")
    assert error.value.code == 2
    assert "--n-word-clusters requires --vectors word-clusters" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "texts", "sentence"),
    [
        ({}, ["one cat", "one dog"], r"in which 1 word occurs 2 times"),
        ({"n_word_clusters": 9}, ["cat dog", "dog cat", "cat dog"], r"can't make 9 clusters from 2 words"),
        (
            {"stop_words": "english"},
            ["the and", "and the", "cat"],
            "all words with a vector in the 3 texts are stop words",
        ),
        ({"word_vectors": "/nowhere/at/all"}, ["cat dog"], "/nowhere/at/all can't be read: No such file"),
        ({}, ["a", "the"], "the 2 documents contain no term of two letters or more"),
    ],
)
def test_texts_with_too_few_words(settings, texts, sentence):
    quick = SkipGram(dim=2, epochs=1, least_steps=1, batch_size=4, subsample=1.0)  # or many passes make up a step
    with pytest.raises(InputError, match=sentence):
        WordClusters(skip_gram=quick, **settings).fit(texts)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"n_word_clusters": 1}, "at least 2, but is 1"),
        ({"n_terms": 1}, "n_terms must be at least 2"),
        ({"parts": ("words", "letters")}, "parts must be a selection of words, clusters, vectors, centroids"),
        ({"parts": ()}, "parts must be a selection of"),
        ({"parts": ("words", "words")}, "parts must be a selection of"),
    ],
)
def test_settings_that_make_no_sense(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        WordClusters(**settings)


@pytest.mark.realdata
@pytest.mark.long
def test_real_short_texts_gain(real_data):
    """Every third web snippet of SearchSnippets, 4,114 of them in 8 classes."""
    read = read_documents(real_data / "searchsnippets.jsonl.gz")
    texts, labels = read.texts[::3], np.asarray(read.labels)[::3]
    fitted = WordClusters(seed=1).fit(texts)
    train = np.zeros(len(texts), bool)
    rng = np.random.default_rng(1)
    for label in np.unique(labels):
        train[rng.permutation(np.flatnonzero(labels == label))[:10]] = True
    accuracy, found = {}, {}
    for parts in (("words",), WordClusters().parts):
        x = dataclasses.replace(fitted.vectorizer, parts=parts).vectors(fitted.learned, texts).toarray()
        accuracy[len(parts)] = linear_probe(
            x[train], labels[train], x[~train], labels[~train], standardize=False
        ).accuracy
        found[len(parts)] = fit(KMeans(n_clusters=8, n_init=3), x, labels, seed=1).metrics
    assert accuracy[3] > accuracy[1] + 0.05
    assert found[3]["acc"] > found[1]["acc"] + 0.1
    assert found[3]["nmi"] > found[1]["nmi"] + 0.1
