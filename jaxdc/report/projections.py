"""Projections to two dimensions: PCA, t-SNE and, if it is installed, UMAP."""

from __future__ import annotations

import importlib.util
import warnings
from typing import NamedTuple

import numpy as np

FIRST_COMPONENTS = 50  # of PCA, that t-SNE and UMAP see
PERPLEXITY = 30.0
LEAST = 5  # samples, for anything but PCA


class Projection(NamedTuple):
    """Positions ``[n, 2]`` and a note for the reader."""

    name: str
    places: np.ndarray
    about: str


def sampled(n: int, at_most: int) -> np.ndarray:
    """Rows of ``at_most`` of n samples, in order; always the same ones."""
    if n <= at_most:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, at_most, replace=False))


def projections(x: np.ndarray, *, umap: bool) -> list[Projection]:
    """The maps of embeddings ``[n, d]``; PCA comes last, because the others show neighbours better. Deterministic.

    Args:
      x: finite numbers, of one sample or more.
      umap: also by UMAP (McInnes et al., 2018, arXiv 1802.03426), if the package is installed.

    Returns:
      t-SNE's (van der Maaten and Hinton, 2008), UMAP's and PCA's; PCA's alone where the samples are few or all the
      same.
    """
    from threadpoolctl import threadpool_limits  # scikit-learn brings it

    # One thread: so many points gain nothing from more, the threads wait for each other on a busy machine, and
    # sums come in one order.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        components, share = _principal_components(np.asarray(x, np.float64))
        about = f"these two axes hold {share:.0%} of the variance" if share else "all embeddings are the same"
        pca = Projection("PCA", components[:, :2], about)
        if len(x) < LEAST or share == 0:
            return [pca]
        found = [_t_sne(components)]
        if umap and importlib.util.find_spec("umap") is not None:
            found.append(_umap(components))
        return [*found, pca]


def _principal_components(x: np.ndarray) -> tuple[np.ndarray, float]:
    """``[n, 2 to 50]``, and the share of the variance that the first two hold."""
    from sklearn.decomposition import PCA

    x = x - x.mean(axis=0, keepdims=True)
    total = float(np.sum(x**2))
    if total <= 1e-12 * x.size:
        return np.zeros((len(x), 2)), 0.0
    n = min(FIRST_COMPONENTS, *x.shape)
    z = np.asarray(PCA(n, svd_solver="randomized", random_state=0).fit_transform(x))
    z = np.pad(z, ((0, 0), (0, max(2 - n, 0))))
    return z, float(np.sum(z[:, :2] ** 2)) / total


def _t_sne(x: np.ndarray) -> Projection:
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(x) - 1) / 3)
    # Its start is PCA's axes, scaled, so the second must not be the padding.
    start = x[:, :2] / x[:, 0].std() * 1e-4 + np.random.default_rng(0).normal(scale=1e-6, size=(len(x), 2))
    made = TSNE(perplexity=perplexity, init=start.astype(np.float32), random_state=0).fit_transform(x)
    about = f"perplexity {perplexity:.0f}; near points are alike, distances between far ones mean little"
    return Projection("t-SNE", np.asarray(made), about)


def _umap(x: np.ndarray) -> Projection:
    import umap as package

    n_neighbors = min(15, len(x) - 1)
    made = package.UMAP(n_neighbors=n_neighbors, random_state=0, n_jobs=1).fit_transform(x)
    about = f"{n_neighbors} neighbours; near points are alike, distances between far ones mean little"
    return Projection("UMAP", np.asarray(made), about)
