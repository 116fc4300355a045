import numpy as np
import pytest
from sklearn.decomposition import PCA

from jaxdc.report.projections import projections, sampled


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    return np.arange(90) % 3, rng.normal(size=(90, 8)) + 30 * rng.normal(size=(3, 8))[np.arange(90) % 3]


def test_principal_components(blobs):
    _, x = blobs
    pca = projections(x, umap=False)[-1]
    oracle = PCA(2).fit(x)
    assert np.abs(pca.places) == pytest.approx(np.abs(oracle.transform(x)), abs=1e-6)
    assert f"{oracle.explained_variance_ratio_.sum():.0%} of the variance" in pca.about


def test_neighbours_stay_neighbours_and_the_map_is_the_same_every_time(blobs):
    labels, x = blobs
    first, again = (projections(x, umap=False)[0] for _ in range(2))
    assert first.name == "t-SNE" and np.array_equal(first.places, again.places)
    apart = np.linalg.norm(first.places[:, None] - first.places[None], axis=2) + np.diag([np.inf] * 90)
    assert (labels[apart.argmin(axis=1)] == labels).all()


@pytest.mark.parametrize("shape", [(1, 3), (4, 3), (20, 1), (6, 300), (2, 1)])
def test_few_samples_and_few_columns(shape):
    found = projections(np.random.default_rng(0).normal(size=shape).astype(np.float32), umap=False)
    assert [p.name for p in found] == (["t-SNE", "PCA"] if shape[0] >= 5 else ["PCA"])
    assert all(p.places.shape == (shape[0], 2) and np.isfinite(p.places).all() for p in found)


def test_embeddings_that_are_all_the_same():
    (found,) = projections(np.full((30, 4), 7.0), umap=False)
    assert found.name == "PCA" and not found.places.any()


def test_sampled():
    assert sampled(5, 10).tolist() == [0, 1, 2, 3, 4]
    rows = sampled(1000, 10)
    assert len(set(rows.tolist())) == 10 and (np.diff(rows) > 0).all()
    assert np.array_equal(rows, sampled(1000, 10))
