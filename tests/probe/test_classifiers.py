"""The probes against scikit-learn and NumPy, and the command as a person uses it and gets it wrong."""

import io
import json

import jax
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from test_cli import refused

from jaxdc.cli import main
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.probe import classifiers, knn_probe, linear_probe, stratified_half

pytestmark = pytest.mark.usefixtures("one_device_alone")


@pytest.fixture(scope="module")
def parts(digits):
    """Features and classes to train on, then those to test on."""
    x, y = digits.array.reshape(1797, -1).astype(np.float32), digits.labels
    half = stratified_half(y, seed=0)
    return x[half], y[half], x[~half], y[~half]


@pytest.mark.parametrize("l2", [1e-1, 1e-3, 1e-5])
def test_a_linear_probe_is_scikit_learns_logistic_regression(l2, parts):
    x, y, test_x, test_y = parts
    found = linear_probe(*parts, l2=l2)
    assert found.converged
    mean, std = x.mean(axis=0), x.std(axis=0)
    std[std == 0] = 1
    oracle = LogisticRegression(C=1 / (len(x) * l2), tol=1e-8, max_iter=10_000).fit((x - mean) / std, y)
    test_x = (test_x - mean) / std
    test_x[:, x.std(axis=0) == 0] = 0  # constant in training
    expected = oracle.predict(test_x)
    assert np.mean(found.labels_pred == expected) >= 0.995
    assert found.accuracy == pytest.approx(oracle.score(test_x, test_y), abs=0.0035)
    order = np.argsort(-oracle.predict_proba(test_x), axis=1)[:, :5]
    assert found.top5 == pytest.approx(np.mean((order == test_y[:, None]).any(axis=1)), abs=0.0035)


def test_features_can_be_taken_as_they_are(parts):
    x, y, test_x, test_y = parts
    scale = np.float32(0.1) / (1 + np.arange(64, dtype=np.float32))  # which standardizing would undo
    found = linear_probe(x * scale, y, test_x * scale, test_y, l2=1e-2, standardize=False)
    oracle = LogisticRegression(C=1 / (len(x) * 1e-2), tol=1e-8, max_iter=10_000).fit(x * scale, y)
    assert np.mean(found.labels_pred == oracle.predict(test_x * scale)) >= 0.995
    assert np.mean(found.labels_pred != linear_probe(*parts, l2=1e-2).labels_pred) > 0.02


def test_a_constant_column_says_nothing_where_it_is_constant_in_training_alone():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(40, 1)), np.full((40, 1), 7.1)], axis=1)
    y = (x[:, 0] > 0).astype(int)
    test = x.copy()
    test[:, 1] = 1e6
    assert linear_probe(x, y, test, y, l2=1e-4).accuracy == 1.0


def noisy():
    """Two classes, few samples, many features, and wrong classes among them: a weak L2 term learns these too."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=400)
    x = rng.normal(size=(400, 100)) + 0.4 * (2 * y[:, None] - 1) * (np.arange(100) < 5)
    return x, np.where(rng.random(400) < 0.2, 1 - y, y)


def entangled():
    """Three classes along directions of little variance, which a strong L2 term does not find."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=400)
    x = rng.normal(size=(400, 60)) @ (0.5 * rng.normal(size=(60, 60)))
    return x + 0.8 * (np.arange(60) % 20 == y[:, None]), y


@pytest.mark.full
@pytest.mark.parametrize("make", [noisy, entangled])
def test_the_l2_term_is_chosen_on_a_tenth_of_the_training_part(make):
    x, y = make()
    data = (x[:300], y[:300], x[300:], y[300:])
    held_out = np.random.default_rng(3).permutation(300)[:30]
    kept = np.setdiff1d(np.arange(300), held_out)
    z = (x[:300] - x[:300].mean(axis=0)) / x[:300].std(axis=0)

    def right(l2):
        oracle = LogisticRegression(C=1 / (len(kept) * l2), tol=1e-8, max_iter=10_000)
        return oracle.fit(z[kept], y[kept]).score(z[held_out], y[held_out])

    strengths = (1e-4, 1e-2, 1.0)
    chosen = max(strengths, key=lambda l2: (right(l2), l2))
    assert (chosen == 1e-4) == (make is entangled)
    found = linear_probe(*data, l2=strengths, seed=3)
    assert found.l2 == chosen
    again = linear_probe(*data, l2=chosen)  # fitted on all of the training part
    np.testing.assert_array_equal(found.labels_pred, again.labels_pred)
    assert found == linear_probe(*data, l2=strengths, seed=3)._replace(labels_pred=found.labels_pred)
    assert found.top5 is None


@pytest.mark.full
def test_of_equal_strengths_the_greatest_is_taken():
    x = np.random.default_rng(0).normal(size=(60, 3)) + 20 * (np.arange(60) % 2)[:, None]
    assert linear_probe(x, np.arange(60) % 2, x, np.arange(60) % 2, l2=(1e-3, 1e-2, 1e-1)).l2 == 1e-1


@pytest.mark.parametrize(("k", "temperature"), [(20, 0.07), (200, 0.5), (5000, 0.07), (30, 0.001)])
def test_a_knn_probe_is_the_weighted_vote(k, temperature, parts):
    x, y, test_x, test_y = (part.astype(np.float64) for part in parts)
    x, test_x = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, test_x))
    similarities = test_x @ x.T
    if k < len(x):
        last = np.sort(similarities, axis=1)[:, -k]
        similarities[similarities < last[:, None]] = -np.inf
    weights = np.exp((similarities - similarities.max(axis=1, keepdims=True)) / temperature)
    votes = np.stack([weights[:, y == c].sum(axis=1) for c in range(10)], axis=1)
    found = knn_probe(*parts, k=k, temperature=temperature)
    assert found.k == min(k, len(x))
    assert np.mean(found.labels_pred == votes.argmax(axis=1)) >= 0.999
    assert found.accuracy == np.mean(found.labels_pred == test_y)
    first = np.argsort(-votes, axis=1, kind="stable")[:, :5]
    assert found.top5 == pytest.approx(np.mean((first == test_y[:, None]).any(axis=1)), abs=0.0015)


def test_similar_neighbours_count_for_more():
    x, labels = [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], ["near", "far", "far"]
    asked = ([[0.9, 0.1]], ["near"])
    assert knn_probe(x, labels, *asked, k=3).labels_pred.tolist() == ["near"]
    assert knn_probe(x, labels, *asked, k=3, temperature=100.0).labels_pred.tolist() == ["far"]


def test_many_test_samples_go_in_blocks(parts, monkeypatch):
    whole = knn_probe(*parts)
    monkeypatch.setattr(classifiers, "KNN_BLOCK", 100)
    in_blocks = knn_probe(*parts)
    np.testing.assert_array_equal(in_blocks.labels_pred, whole.labels_pred)
    assert in_blocks.accuracy == whole.accuracy


def test_half_of_each_class_is_held_out():
    labels = np.repeat(["a", "b", "c"], [10, 5, 1])
    half = stratified_half(labels, seed=1)
    assert [half[labels == label].sum() for label in "abc"] == [5, 3, 1]
    np.testing.assert_array_equal(half, stratified_half(labels, seed=1))
    assert (half != stratified_half(labels, seed=2)).any()


X = np.random.default_rng(0).normal(size=(6, 2))
Y = [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "settings", "word"),
    [
        ((X[0], Y, X, Y), {}, "train_features must be a matrix"),
        ((X, Y, X[:0], []), {}, "test_features must be a matrix"),
        ((X, Y, np.ones((2, 3)), [0, 1]), {}, "test_features have 3 columns, but train_features 2"),
        ((X * np.inf, Y, X, Y), {}, "train_features must be finite"),
        ((X, Y[1:], X, Y), {}, r"train_labels must be \[6\]"),
        ((X, Y, X, [Y]), {}, r"test_labels must be \[6\]"),
        ((X, [4] * 6, X, [4] * 6), {}, "the whole training part has class 4"),
        ((X, Y, X, [0, 1, 2, 7, 0, 1]), {}, "the test part has classes that are not in the training part: 2, 7"),
        ((X, Y, X, ["0", "1"] * 3), {}, "classes that are not in the training part: 0, 1"),
        ((X, Y, X, Y), {"l2": 0.0}, "l2 must be above 0"),
        ((X, Y, X, Y), {"l2": ()}, "l2 must be above 0"),
        ((X, Y, X, Y), {"seed": -1}, "seed must be at least 0"),
        ((X, Y, X, Y), {"k": 0}, "k must be at least 1"),
        ((X, Y, X, Y), {"temperature": 0.0}, "temperature must be above 0"),
    ],
)
def test_what_does_not_fit_is_told(arguments, settings, word):
    function = knn_probe if {"k", "temperature"} & set(settings) else linear_probe
    with pytest.raises(InputError, match=word):
        function(*arguments, **settings)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def probed(capsys, *arguments):
    """The figures that the command prints, which are those that it leaves in the run folder."""
    capsys.readouterr()
    main(["probe", *map(str, arguments)])
    return json.loads(capsys.readouterr().out)


@pytest.mark.full
def test_the_features_of_a_run_are_probed(here, capsys, digits):
    main(["train", "pca_kmeans", "--data", "digits", "--n-components", "6"])
    run = here / "runs" / "pca_kmeans-digits-0"
    before = {path.name for path in run.iterdir()}
    figures = probed(capsys, run, "--data", "digits", "--seed", "5", "--k", "30")
    assert {path.name for path in run.iterdir()} - before == {"probe.json"}
    assert json.loads((run / "probe.json").read_text()) == figures
    half = stratified_half(digits.labels, seed=5)
    x, y = np.load(run / "embeddings.npy"), digits.labels
    linear = linear_probe(x[half], y[half], x[~half], y[~half], seed=5)
    assert figures["linear_accuracy"] == pytest.approx(linear.accuracy, abs=0.005)
    assert figures["linear_top5"] == pytest.approx(linear.top5, abs=0.005)
    assert figures["l2"] == linear.l2
    knn = knn_probe(x[half], y[half], x[~half], y[~half], k=30)
    assert figures["knn_accuracy"] == pytest.approx(knn.accuracy, abs=0.005)
    assert min(figures["linear_accuracy"], figures["knn_accuracy"]) > 0.5
    assert [figures[name] for name in ("n_train", "n_test", "n_features", "k")] == [901, 896, 6, 30]
    assert "PCAKMeans on digits" in figures["protocol"]
    assert figures["protocol"].endswith("tested on the other 896: half of each class, held out by seed 5")
    main(["evaluate", str(run), "--data", "digits"])  # the folder is a run's as before


def squares(n, seed, n_classes=2):
    """Small images, red, green or blue by their class, as PNG files, and the classes."""
    rng, files = np.random.default_rng(seed), []
    for i in range(n):
        pixels = rng.normal(50, 5, size=(6, 6, 3)) + 100 * (np.arange(3) == i % n_classes)
        with io.BytesIO() as file:
            Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
            files.append(file.getvalue())
    return files, np.arange(n) % n_classes


def packed(prefix, n, seed, n_classes=2):
    files, labels = squares(n, seed, n_classes)
    arrays = {"jpeg": np.frombuffer(b"".join(files), np.uint8), "offset": np.cumsum([0, *map(len, files)])}
    return {f"{prefix}{name}": value for name, value in {**arrays, "label": labels}.items()}


@pytest.mark.full
def test_splits_called_train_and_test_are_taken(here, capsys):
    unlabelled = packed("more_", 8, 2)
    del unlabelled["more_label"]
    np.savez(
        "set.npz", **packed("train_", 24, 0), **packed("test_", 10, 1), **packed("odd_", 6, 3, 3), **unlabelled
    )
    np.savez("plain.npz", **packed("", 12, 5))
    main(["train", "kmeans", "--data", "set.npz"])
    run = "runs/kmeans-set-0"
    figures = probed(capsys, run, "--data", "set.npz", "--k", "3")
    assert [figures[name] for name in ("n_train", "n_test", "n_features", "k")] == [24, 10, 108, 3]
    assert (figures["linear_accuracy"], figures["linear_top5"], figures["knn_accuracy"]) == (1.0, None, 1.0)
    assert "trained on set.npz (train (24 samples)), tested on set.npz (test (10 samples))" in figures["protocol"]
    figures = probed(capsys, run, "--data", "set.npz", "--split", "train+test")
    assert (figures["n_train"], figures["n_test"]) == (18, 16)
    figures = probed(capsys, run, "--data", "set.npz", "--split", "odd", "--test-split", "train+test")
    assert (figures["n_train"], figures["n_test"]) == (6, 34)
    figures = probed(capsys, run, "--data", "set.npz", "--split", "test", "--test-data", "plain.npz")
    assert (figures["n_train"], figures["n_test"], figures["linear_accuracy"]) == (10, 12, 1.0)
    (here / run / "probe.json").unlink()
    for arguments, word in (
        (["--test-split", "odd"], "the test part has classes that are not in the training part: 2"),
        (["--split", "more", "--test-split", "test"], r"set.npz (more (8 samples)) has no labels"),
        (["--test-split", "more"], r"set.npz (more (8 samples)) has no labels"),
        (["--test-split", "nothing"], "has no split 'nothing'"),
        (["--split", "test", "--test-split", "test"], "--split test and --test-split test have samples in common"),
        (["--split", "test+odd", "--test-split", "all"], "have samples in common"),
        (
            ["--split", "train", "--test-data", "set.npz", "--test-split", "train"],
            "has the same samples as set.npz",
        ),
    ):
        assert word in refused(capsys, "probe", run, "--data", "set.npz", *arguments)
    assert not (here / run / "probe.json").exists()


def test_what_a_person_gets_wrong(here, capsys):
    rng = np.random.default_rng(0)
    np.save("x.npy", rng.random((30, 4)))
    np.savez("y.npz", x=rng.random((30, 4)), y=np.arange(30))
    np.savez("z.npz", x=rng.random((30, 5)), y=np.arange(30) % 2)
    np.savez("one.npz", x=rng.random((30, 4)), y=np.zeros(30))
    main(["train", "kmeans", "--data", "x.npy", "--n-clusters", "3"])
    run = here / "runs" / "kmeans-x-0"
    before = {path.name for path in run.iterdir()}
    for arguments, word in (
        (["nowhere", "--data", "y.npz"], "there is no folder nowhere"),
        ([run, "--data", "x.npy"], "x.npy (all samples) has no labels, which a probe needs"),
        ([run, "--data", "y.npz"], "only one sample per class, so none is left to test on"),
        ([run, "--data", "y.npz", "--test-data", "x.npy"], "x.npy (all samples) has no labels"),
        ([run, "--data", "y.npz", "--test-data", "y.npz"], "y.npz has the same samples as y.npz"),
        ([run, "--data", "y.npz", "--test-split", "test"], "--test-split needs splits, but y.npz has none"),
        ([run, "--data", "z.npz"], "samples of shape [5]"),
        ([run, "--data", "one.npz"], "the whole training part has class 0"),
        ([run, "--data", "no.npz"], "there is no file or folder no.npz"),
        ([run, "--data", "no.npz", "--test-split", "test"], "there is no file or folder no.npz"),
        ([run, "--data", "y.npz", "--k", "0"], "k must be at least 1"),
        ([run, "--data", "y.npz", "--temperature", "-1"], "temperature must be above 0"),
        ([run, "--data", "y.npz", "--seed", "-1"], "seed must be at least 0"),
        ([run], "--data"),
    ):
        assert word in refused(capsys, "probe", *arguments)
    assert {path.name for path in run.iterdir()} == before


@pytest.mark.full
def test_rows_that_are_not_reported_are_left_out(here, capsys):
    more = packed("more_", 8, 2)
    del more["more_label"]
    np.savez("set.npz", **packed("train_", 24, 0), **more)
    main(["train", "kmeans", "--data", "set.npz"])
    figures = probed(capsys, "runs/kmeans-set-0", "--data", "set.npz", "--split", "all+more")
    assert (figures["n_train"], figures["n_test"], figures["linear_accuracy"]) == (12, 12, 1.0)


@pytest.mark.full
def test_samples_shared_out_over_devices_are_probed_alike(parts):
    mesh = sharding.make_mesh(jax.devices()[:4])
    x, y, *test = parts
    shared = (jax.device_put(x[:896], sharding.by_sample(mesh)), y[:896], *test)
    alone = (x[:896], y[:896], *test)
    linear, expected = linear_probe(*shared, l2=1e-2), linear_probe(*alone, l2=1e-2)
    assert np.mean(linear.labels_pred == expected.labels_pred) >= 0.998
    knn, expected = knn_probe(*shared), knn_probe(*alone)
    assert np.mean(knn.labels_pred == expected.labels_pred) >= 0.998
