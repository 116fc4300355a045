"""Exact nearest neighbours with blocked products."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int, Real

from jaxdc.cluster import _blocks, _checks, layout
from jaxdc.cluster._blocks import PRECISION

METRICS = ("cosine", "dot", "euclidean")
_COLUMNS = 2**16  # rows of x compared with a block of queries at a time, over all devices
_LEAST_COLUMNS = 2**13  # minimum of these rows on each device
_GROUP = 64


class Neighbors(NamedTuple):
    """The nearest rows of ``x`` for each query, most similar first."""

    indices: Int[Array, "q k"]
    similarities: Float[Array, "q k"]


def nearest_neighbors(
    x: Real[Array, "n d"],
    k: int,
    *,
    queries: Real[Array, "q d"] | None = None,
    metric: str = "cosine",
    block_size: int | None = None,
) -> Neighbors:
    """The ``k`` most similar rows of ``x`` for each query, by comparison with all of them.

    SCAN (Van Gansbeke et al., 2020, arXiv 2005.12320, section 2.1) mines these after the pretext task.
    Without ``queries``, every row of ``x`` is a query and finds itself too: with ``"cosine"`` and
    ``"euclidean"`` at position 0, unless another row is equally near to the last digit; with ``"dot"`` a
    longer row may come before it.

    Memory in addition to ``x``: a float32 copy of it, two for ``"euclidean"``, and a block of similarities.
    If ``x`` is sharded, each device compares every block of queries with its own rows, and keeps the neighbours
    of its own queries; the queries and what is found are communicated, ``x`` is not. Equally similar rows come in
    any order.

    Args:
      x: samples ``[n, d]``, finite; computed in float32.
      k: neighbours per query, from 1 to n.
      queries: queries ``[q, d]`` (default: ``x``).
      metric: ``"cosine"`` (a zero row has similarity 0 to all), ``"dot"``, or ``"euclidean"``, whose
        similarity is the negative squared distance.
      block_size: queries per block. Each device holds at most ``block_size`` x 65,536 similarities at a time
        (default: 256 on a CPU, 2048 elsewhere).

    Returns:
      ``Neighbors``: int32 row numbers of ``x`` and float32 similarities, both ``[q, k]``, in descending
      order of similarity.

    Raises:
      ValueError: an argument is not a numeric matrix, the widths differ, k is not from 1 to n, the
        metric is unknown, or ``block_size`` is not positive.

    Example:
      >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])
      >>> print(nearest_neighbors(x, 2).indices.tolist())
      [[0, 2], [1, 2], [2, 0]]
    """
    x = _checks.matrix("x", x)
    if queries is not None:
        queries = _checks.matrix("queries", queries, ("x", x.shape[1]))
    _checks.within("k", k, 1, x.shape[0], "(the number of samples)")
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {METRICS}, but is {metric!r}")
    if block_size is None:
        block_size = 256 if _blocks.on_cpu() else 2048
    _checks.at_least("block_size", block_size, 1)
    return _nearest_neighbors(x, queries, k, metric, block_size, layout.cut_of(x))


@functools.partial(jax.jit, static_argnames="n_clusters")
def neighbor_votes(labels: Int[Array, " n"], neighbors: Int[Array, "q m"], n_clusters: int) -> Float[Array, "q k"]:
    """How many neighbours of each sample are in each cluster.

    RUC (Park et al., 2021, arXiv 2012.11150) trusts a label that the most of 100 neighbours share.

    Args:
      labels: clusters of all samples ``[n]``, from 0 to k - 1.
      neighbors: rows of each sample's neighbours ``[q, m]``, such as ``nearest_neighbors(...).indices``.
      n_clusters: k.

    Returns:
      Counts ``[q, k]``; every row sums to m.

    Raises:
      ValueError: ``labels`` are no integers ``[n]``, or ``neighbors`` is no matrix.

    Example:
      >>> print(neighbor_votes(jnp.array([0, 0, 1]), jnp.array([[0, 1, 2], [2, 1, 0]]), 2))
      [[2. 1.]
       [2. 1.]]
    """
    labels = _checks.labels("labels", labels, n_clusters)
    neighbors = _checks.matrix("neighbors", neighbors)

    def add(j, votes):
        return votes + jax.nn.one_hot(labels[neighbors[:, j]], n_clusters)

    return jax.lax.fori_loop(0, neighbors.shape[1], add, jnp.zeros((len(neighbors), n_clusters)))


@functools.partial(jax.jit, static_argnames=("k", "metric", "block_size", "cut"))
def _nearest_neighbors(x, queries, k, metric, block_size, cut):
    prepare, n = _prepare(x, metric), x.shape[0]
    if cut.mesh is None:
        xs = _blocks.shares(x, cut, prepare)
        return _in_one_program(xs, None if queries is None else prepare(queries), k, metric, block_size)
    rows = layout.to_rows(x, cut, prepare)
    n_queries, asking = n, rows
    if queries is not None:
        n_queries, asking = queries.shape[0], layout.to_rows(queries, cut, prepare)
    block_size = -(-block_size // cut.n_shares)
    search = functools.partial(_on_a_device, n=n, k=k, metric=metric, block_size=block_size)
    by_row = PartitionSpec(layout.ROWS)
    found = jax.shard_map(search, mesh=cut.mesh, in_specs=by_row, out_specs=by_row)(rows, asking)
    return jax.tree.map(lambda part: layout.from_rows(part, n_queries, cut), found)


class _Stretches(NamedTuple):
    """Rows ``xs [s, m, d]`` in stretches of equal width, with what is added to the scores of each.

    The last stretch begins earlier, so that it is as wide as the others.
    """

    xs: jax.Array
    bias: jax.Array
    n_blocks: int
    width: int


def _stretches(xs, m, metric, n_shares):
    """Of shares whose first m rows count."""
    n_blocks = -(-xs.shape[1] // max(_COLUMNS // n_shares, _LEAST_COLUMNS))
    width = -(-xs.shape[1] // (n_blocks * _GROUP)) * _GROUP
    if n_blocks == 1:
        xs = jnp.pad(xs, ((0, 0), (0, width - xs.shape[1]), (0, 0)))
    bias = -jnp.sum(xs**2, axis=2) if metric == "euclidean" else jnp.zeros(xs.shape[:2], xs.dtype)
    return _Stretches(xs, jnp.where((jnp.arange(xs.shape[1]) < m)[None, :], bias, -jnp.inf), n_blocks, width)


def _compare(block, rows, i, k, metric):
    """The k best of a block of queries ``[q, d]`` in the i-th stretch of every share, and where: ``[q, s, k]``."""
    start = jnp.minimum(i * rows.width, rows.xs.shape[1] - rows.width)
    stretch = jax.lax.dynamic_slice_in_dim(rows.xs, start, rows.width, axis=1)
    scores = jnp.einsum("qd,sbd->qsb", block, stretch, precision=PRECISION)
    scores = (2.0 if metric == "euclidean" else 1.0) * scores
    scores = scores + jax.lax.dynamic_slice_in_dim(rows.bias, start, rows.width, axis=1)[None]
    fresh = start + jnp.arange(rows.width) >= i * rows.width
    scores = jnp.where(fresh[None, None, :], scores, -jnp.inf)
    values, places = _top(scores, min(k, rows.width))
    if metric == "euclidean":
        # Direct differences: |q|^2 + |x|^2 - 2 q.x cancels for the nearest ones.
        found = jax.vmap(lambda rows, places: rows[places], in_axes=(0, 1), out_axes=1)(stretch, places)
        exact = -jnp.sum((block[:, None, None, :] - found) ** 2, axis=3)
        values = jnp.where(jnp.isneginf(values), values, exact)
    return values, start + places


def _search(block, rows, first_row, k, metric):
    """The candidates of all stretches of each share, and the rows that they are: ``[q, c]``."""
    if rows.n_blocks == 1:
        values, places = _compare(block, rows, 0, k, metric)
    else:
        each = jax.lax.map(lambda i: _compare(block, rows, i, k, metric), jnp.arange(rows.n_blocks))
        values, places = (jnp.moveaxis(part, 0, 2) for part in each)
    indices = first_row.reshape(1, -1, *(1 for _ in places.shape[2:])) + places
    return values.reshape(len(block), -1), indices.reshape(len(block), -1)


def _best(values, indices, k):
    values, places = jax.lax.top_k(values, k)
    return values, jnp.take_along_axis(indices, places, axis=1)


def _fill(n_queries, k, block_size, answer, dtype, like=()):
    """Neighbours of all queries by ``answer(start)``, which gives the values and indices of a block."""

    def body(j, found):
        start = jnp.minimum(j * block_size, n_queries - block_size)
        values, indices = answer(start)
        return jax.tree.map(
            lambda whole, part: jax.lax.dynamic_update_slice_in_dim(whole, part, start, axis=0),
            found,
            Neighbors(indices, values),
        )

    nothing = Neighbors(jnp.zeros((n_queries, k), jnp.int32), jnp.zeros((n_queries, k), dtype))
    nothing = jax.lax.pcast(nothing, like, to="varying") if like else nothing
    return jax.lax.fori_loop(0, -(-n_queries // block_size), body, nothing)


def _on_a_device(own, asking, *, n, k, metric, block_size):
    """Within ``shard_map``: the neighbours of this device's queries ``[q, d]``, of n rows in all.

    In each step all devices send a few queries to all others, look among their own rows, and send what they found
    back to where the query lives: one all-gather and two all-to-alls.
    """
    n_shares, m = jax.lax.axis_size(layout.ROWS), own.shape[0]
    first_row = jax.lax.axis_index(layout.ROWS) * m
    rows = _stretches(own[None], jnp.minimum(n - first_row, m), metric, n_shares)
    block_size = min(block_size, len(asking))

    def answer(start):
        mine = jax.lax.dynamic_slice_in_dim(asking, start, block_size)
        block = jax.lax.all_gather(mine, layout.ROWS, tiled=True)
        values, indices = _search(block, rows, first_row, k, metric)
        found = _best(values, indices, min(k, m))
        values, indices = (jax.lax.all_to_all(part, layout.ROWS, 0, 1, tiled=True) for part in found)
        return _best(values, indices, k)

    return _fill(len(asking), k, block_size, answer, own.dtype, like=(layout.ROWS,))


def _in_one_program(xs, queries, k, metric, block_size):
    """On one device, or on those that the compiler knows of."""
    n_shares, m = xs.shape[:2]
    rows = _stretches(xs, m, metric, n_shares)
    first_row = jnp.arange(n_shares, dtype=jnp.int32) * m
    asking = rows.xs.reshape(-1, xs.shape[2]) if queries is None else queries
    n_queries = n_shares * m if queries is None else len(queries)
    block_size = min(block_size, n_queries)

    def answer(start):
        # A gather instead of a slice: for sharded queries it sends only these rows to all devices.
        places = start + jnp.arange(block_size)
        places = places // m * rows.xs.shape[1] + places % m if queries is None else places
        block = jnp.take(asking, places, axis=0, mode="clip")
        values, indices = _search(block, rows, first_row, k, metric)
        if values.shape[1] == k and metric != "euclidean":
            return values, indices
        return _best(values, indices, k)

    return _fill(n_queries, k, block_size, answer, xs.dtype)


def _prepare(x, metric):
    """Transforms the rows so that a product compares them."""
    if metric == "cosine":
        return lambda rows: _blocks.unit(rows.astype(jnp.float32))
    if metric == "euclidean":
        origin = _blocks.origin_of(x.astype(jnp.float32))
        return lambda rows: rows.astype(jnp.float32) - origin[None, :]
    return lambda rows: rows.astype(jnp.float32)


def _top(scores, k):
    """The k largest of ``scores [q, s, b]`` and their positions, like ``top_k`` without sorting all b.

    The k groups with the largest maxima contain the k largest values: any value above the k-th largest
    maximum is in one of them. Maxima are vectorised, so that little is left to sort.
    """
    n_groups = scores.shape[-1] // _GROUP
    if n_groups <= k:
        return _sorted_top(scores, k)
    grouped = scores.reshape(*scores.shape[:-1], n_groups, _GROUP)
    _, groups = _sorted_top(jnp.max(grouped, axis=-1), k)
    candidates = jnp.take_along_axis(grouped, groups[..., None], axis=-2)
    values, places = _sorted_top(candidates.reshape(*scores.shape[:-1], k * _GROUP), k)
    return values, jnp.take_along_axis(groups, places // _GROUP, axis=-1) * _GROUP + places % _GROUP


def _sorted_top(scores, k):
    if scores.shape[1] == 1:
        return jax.lax.top_k(scores, k)
    # Within another's jit the devices are unknown, and the compiler sends a sharded top_k's whole operand to every
    # device, but keeps a sort local.
    places = jax.lax.broadcasted_iota(jnp.int32, scores.shape, scores.ndim - 1)
    values, places = jax.lax.sort_key_val(-scores, places, is_stable=True)
    return -values[..., :k], places[..., :k]
