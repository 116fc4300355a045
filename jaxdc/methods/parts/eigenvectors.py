"""What clusterings by eigenvectors share, on the host in float64: finding them, and reading clusters off them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxdc.errors import InputError

DENSE = 3000  # samples up to which the whole matrix is decomposed


class Rotated(NamedTuple):
    """Labels ``[n]``, and the rotation ``[k, k]`` after which they are the largest of a sample's coordinates."""

    labels: np.ndarray
    rotation: np.ndarray


def smallest_eigenvectors(matrix: Any, k: int, seed: int) -> np.ndarray:
    """Orthonormal eigenvectors of the k smallest eigenvalues of a symmetric matrix, in ascending order.

    Args:
      matrix: ``[n, n]``: an array, a SciPy sparse array, or a linear operator.
      k: number of eigenvectors, from 1 to n.
      seed: seed of the start, for large matrices, whose eigenvectors are found by iteration.

    Returns:
      float64 ``[n, k]``.

    Raises:
      InputError: the iteration does not converge.
    """
    from scipy.linalg import eigh
    from scipy.sparse.linalg import ArpackNoConvergence, aslinearoperator, eigsh

    n = matrix.shape[0]
    if n <= max(DENSE, 8 * k):
        whole = matrix.toarray() if hasattr(matrix, "toarray") else matrix @ np.eye(n)
        return eigh((whole + whole.T) / 2, subset_by_index=(0, k - 1))[1]
    rng, operator = np.random.default_rng(seed), aslinearoperator(matrix)
    # Neighbouring eigenvalues are close, which takes a large basis.
    how: dict[str, Any] = {"ncv": min(n, 10 * k + 50), "tol": 1e-6, "maxiter": 2000}

    rough = 1e-4  # enough to see whether there is another

    def start():
        return rng.normal(size=n)

    try:
        # Reversed, as ARPACK's tolerance is relative, and never reached, or passed over, by an eigenvalue of 0.
        scale = 2 * abs(float(eigsh(operator, 1, which="LM", v0=start(), return_eigenvectors=False)[0]))
        values, vectors = eigsh(_reversed(operator, scale), k, which="LA", v0=start(), **how)
        # From one start the iteration may miss copies of an eigenvalue, such as a graph in several parts has.
        for _ in range(k):
            rest = _reversed(operator, scale, vectors)
            missed, vector = eigsh(rest, 1, which="LA", v0=start(), **{**how, "tol": rough})
            if missed[0] <= values.min() + rough * scale:
                break
            _, vector = eigsh(rest, 1, which="LA", v0=vector[:, 0], **how)
            basis = np.linalg.qr(np.concatenate([vectors, vector], axis=1))[0]
            small, turn = eigh(basis.T @ operator.matmat(basis), subset_by_index=(0, k - 1))
            values, vectors = scale - small, basis @ turn
    except ArpackNoConvergence as error:
        raise InputError(
            f"the {k} smallest eigenvalues of the graph of {n:,} samples lie too close together to be told apart: "
            "use more neighbours"
        ) from error
    return vectors[:, np.argsort(-values)]


def _reversed(operator: Any, scale: float, without: np.ndarray | None = None) -> Any:
    """``scale - operator``, with its smallest eigenvalues at the top; the given eigenvectors have the value 0."""
    from scipy.sparse.linalg import LinearOperator

    class Reversed(LinearOperator):
        def _matvec(self, x):
            x = x.ravel()
            if without is not None:
                x = x - without @ (without.T @ x)
            x = scale * x - operator.matvec(x)
            return x if without is None else x - without @ (without.T @ x)

    return Reversed(np.float64, operator.shape)


def spectral_rotation(vectors: np.ndarray, seed: int, *, n_init: int = 10) -> Rotated:
    """Clusters from eigenvectors: the rotation that brings their rows nearest to indicators of clusters.

    Rows of unit length are rotated and rounded by turns (Yu and Shi, Multiclass spectral clustering, ICCV 2003),
    from several starts, each made of k rows that are as far from parallel as can be; the nearest is kept.

    Args:
      vectors: eigenvectors ``[n, k]``.
      seed: seed of the starts.
      n_init: number of starts.
    """
    rng = np.random.default_rng(seed)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = vectors / np.where(lengths > 0, lengths, 1.0)
    found = [_rotated(rows, int(rng.integers(len(rows)))) for _ in range(n_init)]
    return max(found, key=lambda one: one[1])[0]


def _rotated(rows: np.ndarray, first: int) -> tuple[Rotated, float]:
    n, k = rows.shape
    rotation, likeness = np.zeros((k, k)), np.zeros(n)
    rotation[:, 0] = rows[first]
    for i in range(1, k):
        likeness += np.abs(rows @ rotation[:, i - 1])
        rotation[:, i] = rows[np.argmin(likeness)]
    best = -np.inf
    for _ in range(200):
        labels = np.argmax(rows @ rotation, axis=1)
        sums = np.zeros((k, k))
        np.add.at(sums, labels, rows)
        left, values, right = np.linalg.svd(sums)
        rotation = (left @ right).T
        if values.sum() <= best * (1 + 1e-12):
            break
        best = values.sum()
    return Rotated(np.argmax(rows @ rotation, axis=1), rotation), float(best)
