import json

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from jaxdc import runs
from jaxdc.cli import main
from jaxdc.data import ArraySource, ViewsSource, only_views, open_source
from jaxdc.errors import InputError
from jaxdc.methods import KMeans

pytestmark = pytest.mark.usefixtures("one_device_alone")

RNG = np.random.default_rng(0)
A, B, PIXELS = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 5)) * 100, RNG.uniform(size=(12, 2, 2)).astype("f4")
CLASSES = np.arange(12) % 3


def cell(*views):
    x = np.empty((1, len(views)), object)
    x[0] = views
    return x


def test_arrays_of_an_npz_are_views(tmp_path):
    path = tmp_path / "many.npz"
    np.savez(path, a=A, Label=CLASSES, b=B, pixels=PIXELS)
    source = open_source(str(path))
    assert source.views == {"a": 3, "b": 5}
    np.testing.assert_array_equal(source.array, np.hstack([A, B]).astype(np.float32))
    np.testing.assert_array_equal(source.labels, CLASSES)
    assert source.protocol == "all samples, views a, b"
    by_name, by_place = (open_source(str(path), views=views) for views in ("pixels, a", "2,0"))
    assert by_name.views == by_place.views == {"pixels": 4, "a": 3}
    np.testing.assert_array_equal(by_name.array, np.hstack([PIXELS.reshape(12, 4), A]).astype(np.float32))
    assert by_name.fingerprint() == by_place.fingerprint() != source.fingerprint()
    alone = only_views(source, "b")
    assert alone.views == {"b": 5}
    np.testing.assert_array_equal(alone.array, B.astype(np.float32))
    np.testing.assert_array_equal(alone.labels, CLASSES)


@pytest.mark.parametrize("transposed", [(False, False), (True, True), (False, True)])
def test_samples_of_a_mat_are_rows_or_columns(transposed, tmp_path):
    path = tmp_path / "scene.mat"
    views = [x.T if turn else x for x, turn in zip((A, B), transposed, strict=True)]
    scipy.io.savemat(path, {"X": cell(*views), "Y": CLASSES[:, None] + 1.0})
    source = open_source(str(path))
    assert source.views == {"X0": 3, "X1": 5}
    np.testing.assert_allclose(source.array, np.hstack([A, B]), rtol=1e-6)
    np.testing.assert_array_equal(source.labels, CLASSES + 1)
    if transposed != (False, True):  # without classes, the side that the views have in common
        scipy.io.savemat(path, {"X": cell(*views)})
        np.testing.assert_array_equal(open_source(str(path)).array, source.array)
    scipy.io.savemat(path, {"first": views[0], "second": views[1], "gt": CLASSES})
    assert open_source(str(path), views="second").views == {"second": 5}


def test_a_square_view_is_not_turned(tmp_path):
    square = RNG.normal(size=(12, 12))
    scipy.io.savemat(tmp_path / "a.mat", {"X": cell(square, B.T), "Y": CLASSES})
    np.testing.assert_allclose(open_source(str(tmp_path / "a.mat"), views="0").array, square, rtol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "views", "word"),
    [
        ({"a": A, "b": B[:-1]}, None, "have different lengths: 12 of a, 11 of b"),
        ({"a": A, "b": B}, "a,c", "no view c; it has a, b, or by position 0 to 1"),
        ({"a": A, "b": B}, "2", "no view 2"),
        ({"a": A, "b": B}, "0,a", "selects view a .* twice"),
        ({"a": A, "b": B}, " , ", "--views is empty"),
        ({"a": A, "b": B, "y": CLASSES[:-1]}, None, "11 labels, which match no axis"),
        ({"a": A, "b": B, "y": A[:, :2]}, None, r"one class per sample, but their shape is \[12, 2\]"),
        ({"a": A, "b": np.where(B > 200, np.nan, B)}, None, "b of .* has nan in row"),
        ({"a": CLASSES, "b": CLASSES}, "a", "no numeric matrix"),
        ({"a": A, "names": np.array(["x"] * 12)}, None, "has no array x; it holds a, names"),
    ],
)
def test_bad_views_get_one_sentence(arrays, views, word, tmp_path):
    B[0, 0] = 300.0
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=word):
        open_source(str(tmp_path / "a.npz"), views=views)


def test_bad_mat_files_get_one_sentence(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(b"no MATLAB")
    with pytest.raises(InputError, match="another format, or damaged"):
        open_source(str(path))
    # What MATLAB 7.3 writes: HDF5 behind 512 bytes of text.
    path.write_bytes(
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM" + b" " * 384 + b"\x89HDF"
    )
    with pytest.raises(InputError, match="save it with -v7"):
        open_source(str(path))
    scipy.io.savemat(path, {"X": cell(A, B[:-1].T), "Y": CLASSES})
    with pytest.raises(InputError, match="have different lengths"):
        open_source(str(path))
    with pytest.raises(InputError, match="--views needs an .npz or .mat file"):
        open_source("digits", views="0")
    with pytest.raises(InputError, match="no separate views"):
        only_views(ArraySource(A), "0")


@pytest.mark.full
def test_new_samples_of_views_are_scaled_as_the_old(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    truth = rng.integers(3, size=90)
    # The large view tells nothing: unscaled it would drown the other.
    informative, large = truth[:, None] + 0.05 * rng.normal(size=(90, 2)), rng.normal(size=(90, 2)) * 1e4
    np.savez("train.npz", extra=large[:60], small=informative[:60], large=large[:60], y=truth[:60])
    np.savez("new.npz", small=informative[60:], large=large[60:], y=truth[60:])
    main(["train", "kmeans", "--data", "train.npz", "--views", "small,large", "--workdir", "run"])
    result = runs.load("run")
    data = result.config["run"]["data"]
    assert data["views"] == {"small": 2, "large": 2}
    np.testing.assert_allclose(
        data["standardized"]["mean"], np.hstack([informative, large])[:60].mean(0), rtol=1e-4
    )
    expected = result.predict_source(ViewsSource({"small": informative[60:], "large": large[60:]}))
    expected = np.concatenate([part.probabilities.argmax(1) for part in expected])
    assert len(np.unique(expected)) == 3
    # The run knows its views; the file has them in another order of its own, and more.
    main(["predict", "run", "--data", "new.npz", "--output", "out.csv"])
    written = np.loadtxt("out.csv", delimiter=",", skiprows=1)[:, 1]
    np.testing.assert_array_equal(written, expected)
    capsys.readouterr()
    main(["evaluate", "run", "--data", "new.npz"])
    figures = json.loads(capsys.readouterr().out)
    assert figures["n_samples"] == 30
    main(["train", "kmeans", "--data", "train.npz", "--views", "small", "--workdir", "alone"])
    assert runs.load("alone").metrics["acc"] == 1.0


@pytest.mark.full
def test_views_larger_than_the_device_are_standardized_too():
    views = {"a": A, "b": B}
    resident, streamed = ViewsSource(views), ViewsSource(views)
    streamed.array = None
    results = [runs.fit(KMeans(n_clusters=3), source) for source in (resident, streamed)]
    np.testing.assert_allclose(*(r.config["run"]["data"]["standardized"]["mean"] for r in results), rtol=1e-5)
    np.testing.assert_array_equal(results[0].labels, results[1].labels)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "views", "n"),
    [("Scene-15.mat", {"X0": 20, "X1": 59}, 4485), ("mfeat.npz", {"fac": 216, "fou": 76}, 2000)],
)
def test_real_views(name, views, n, real_data):
    source = open_source(str(real_data / name))
    assert source.views == views
    assert (source.n_samples, len(source.labels)) == (n, n)


def test_one_hot_classes_are_no_view(tmp_path):
    labels = np.arange(30) % 3
    views = {"a": RNG.normal(size=(30, 4)), "b": RNG.normal(size=(30, 5))}
    np.savez(tmp_path / "v.npz", a=views["a"], onehot=np.eye(3)[labels], b=views["b"], ids=np.arange(30))
    source = open_source(str(tmp_path / "v.npz"))
    assert list(source.views) == ["a", "b"]
    np.testing.assert_array_equal(source.labels, labels)
    assert source.understood == "views a, b; with classes; left out: onehot, ids"
    np.savez(tmp_path / "x.npz", x=views["a"], labels=labels, ids=np.arange(30))
    source = open_source(str(tmp_path / "x.npz"))
    np.testing.assert_array_equal(source.labels, labels)
    assert source.understood == "samples: x, vectors of 4; label: labels; left out: ids"


def test_a_sparse_matrix_in_a_mat_file(tmp_path):
    x = RNG.normal(size=(30, 4)) * (RNG.uniform(size=(30, 4)) > 0.5)
    scipy.io.savemat(tmp_path / "s.mat", {"X": scipy.sparse.csc_matrix(x), "gnd": np.arange(30) % 3})
    source = open_source(str(tmp_path / "s.mat"))
    np.testing.assert_allclose(source.array, x, rtol=1e-6)
