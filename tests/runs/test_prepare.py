"""What ``fit`` takes for samples, and what it refuses before anything is trained."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import sparse

from jaxdc import KMeans, fit
from jaxdc.data import ArraySource
from jaxdc.data.images import load_folder
from jaxdc.errors import InputError

pytestmark = pytest.mark.usefixtures("one_device_alone")

X = np.random.default_rng(0).normal(size=(60, 4))
METHOD = KMeans(n_clusters=3)


@pytest.mark.parametrize(
    "kind", [np.ndarray.tolist, sparse.csr_matrix, sparse.coo_array], ids=lambda kind: kind.__name__
)
def test_a_list_or_a_sparse_matrix_is_as_good_as_an_array(kind, one_device):
    expected = fit(METHOD, X, devices=one_device)
    result = fit(METHOD, kind(X), devices=one_device)
    np.testing.assert_array_equal(result.labels, expected.labels)
    np.testing.assert_array_equal(result.predict(kind(X[:7])), expected.labels[:7])


@pytest.mark.parametrize(
    ("method", "arguments", "word"),
    [
        (KMeans, {}, "must be an instance, such as DEC.*, but is the class KMeans"),
        ("dec", {}, "must be an instance, such as DEC.*, but is 'dec'"),
        (METHOD, {"seed": 1.5}, "seed must be an integer, but is 1.5"),
        (METHOD, {"x": "digits"}, "is the name 'digits'"),
        (METHOD, {"x": Path("x.npy")}, "is the name 'x.npy'"),
        (METHOD, {"labels_true": np.arange(5)}, r"60 samples but labels of shape \(5,\)"),
        (METHOD, {"labels_true": np.where(np.arange(60) == 7, np.nan, 1)}, "the label nan in row 7"),
        (METHOD, {"x": sparse.csr_matrix(X), "labels_true": np.full(60, np.inf)}, "the label inf in row 0"),
        (METHOD, {"x": ArraySource(X), "labels_true": np.zeros(60)}, "a source with its own labels"),
    ],
)
def test_what_is_refused(method, arguments, word):
    with pytest.raises(InputError, match=word):
        fit(method, **{"x": X, **arguments})


@pytest.mark.parametrize("n_clusters", [3.0, "3", None])
def test_clusters_are_counted_in_whole_numbers(n_clusters):
    with pytest.raises(InputError, match="n_clusters must be an integer"):
        KMeans(n_clusters=n_clusters)


def test_numbers_of_numpy_as_settings(tmp_path, one_device):
    labels = np.arange(60) % 3
    settings = {"seed": np.int64(1), "standardize": np.bool_(True), "resident_bytes": np.int64(2**31)}
    result = fit(KMeans(n_clusters=labels.max() + 1), X, labels, workdir=tmp_path, devices=one_device, **settings)
    assert result.config["run"]["seed"] == 1
    expected = fit(KMeans(n_clusters=3), X, labels, seed=1, standardize=True, devices=one_device)
    np.testing.assert_array_equal(result.labels, expected.labels)


def test_images_larger_than_the_device_are_refused(tmp_path):
    for i in range(2):
        Image.new("L", (8, 8), i).save(tmp_path / f"{i}.png")
    with pytest.raises(InputError, match=r"2 samples of 300000x300000x1 take .* use a smaller --image-size"):
        fit(KMeans(n_clusters=2), load_folder(tmp_path, image_size=300_000))
