"""Instance discrimination with a memory bank, and feature decorrelation."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxdc.losses import _checks, _global
from jaxdc.losses._directions import cosines, unit


def instance_discrimination(
    z: Float[Array, "b d"],
    memory_bank: Float[Array, "n d"] | None,
    index: Int[Array, " b"] | None,
    *,
    temperature: float = 1.0,
    axis_name: str | None = None,
    n_samples: int | None = None,
) -> Float[Array, " b"]:
    """Classifies a sample among all samples: every instance is its own class.

    ``-log(exp(v_i.v / t) / sum_j exp(v_j.v / t))``, where the ``v_j`` come from the memory bank of the whole
    data set: equation (2) of Wu et al., 2018 (arXiv 1805.01978) and (1) of IDFD (Tao et al., 2021, arXiv
    2106.00131). With ``memory_bank=None`` they are the rows of the global batch, including the sample's
    own.

    Args:
      z: embeddings ``[b, d]``; normalised here.
      memory_bank: embeddings of all samples ``[n, d]``, stored with unit norm, equal on all devices; or, with
        ``n_samples``, this device's share of them; or None.
      index: rows of these samples in the bank ``[b]``; unused without a bank, and may then be None.
      temperature: softmax temperature t, > 0; 1 in IDFD.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split. It
        only matters without a bank, or with a share of one.
      n_samples: n, of a bank that is split over ``axis_name`` too: each device holds ``[m, d]``, with m >= n over
        the number of devices, and rows from the n-th on mean nothing. A device sends its embeddings, and a maximum
        and two sums for each sample of the batch; no rows of the bank.

    Returns:
      ``[b]`` nats, >= 0.

    Raises:
      ValueError: an argument has the wrong rank, the shapes don't match, ``temperature`` is not positive, or
        ``n_samples`` comes without ``axis_name``.

    Example:
      >>> bank = jnp.array([[1.0, 0.0], [0.0, 1.0]])
      >>> print(instance_discrimination(jnp.array([[3.0, 0.0]]), bank, jnp.array([0])))
      [0.313]
    """
    z = _checks.matrix("z", z)
    _checks.positive("temperature", temperature)
    v = unit(z)
    mesh = _global.split_mesh(z.shape[0], axis_name) if memory_bank is None else None
    if mesh is not None:

        def own_rows(z, axis_name):
            return instance_discrimination(z, None, None, temperature=temperature, axis_name=axis_name)

        return _global.on_each(own_rows, mesh, z)
    if memory_bank is None:
        scores = v @ _global.all_rows(v, axis_name).T / temperature
        own = jnp.sum(v * v, axis=1) / temperature
    else:
        memory_bank = _checks.matrix("memory_bank", memory_bank, ("z", z.shape[1]))
        index = _checks.indices("index", index, ("z", z.shape[0]))
        if n_samples is not None:
            return _among_shares(v, memory_bank, index, temperature, _axis(axis_name), n_samples)
        scores = v @ memory_bank.T / temperature
        own = jnp.sum(v * _global.take_rows(memory_bank, index), axis=1) / temperature
    return jax.nn.logsumexp(scores, axis=1) - own


def _axis(axis_name):
    if axis_name is None:
        raise ValueError("n_samples is of a memory bank that is split over devices, so axis_name must be given")
    return axis_name


def _among_shares(v, share, index, temperature, axis_name, n_samples):
    """The same with a share of the bank on each device: a log-sum-exp of theirs."""
    m = share.shape[0]
    first = jax.lax.axis_index(axis_name) * m
    every, rows = (jax.lax.all_gather(a, axis_name, tiled=True) for a in (v, index))
    scores = every @ share.T / temperature
    scores = jnp.where((first + jnp.arange(m) < n_samples)[None, :], scores, -jnp.inf)
    largest = jax.lax.pmax(jax.lax.stop_gradient(jnp.max(scores, axis=1)), axis_name)
    held = (rows >= first) & (rows < first + m)
    entries = jnp.where(held[:, None], share[jnp.clip(rows - first, 0, m - 1)], 0.0)
    own = jnp.sum(every * entries, axis=1) / temperature
    sums = jnp.stack([jnp.sum(jnp.exp(scores - largest[:, None]), axis=1), own])
    # Each device gets those of its own samples.
    total, own = jax.lax.psum_scatter(sums, axis_name, scatter_dimension=1, tiled=True)
    start = jax.lax.axis_index(axis_name) * len(index)
    return jax.lax.dynamic_slice_in_dim(largest, start, len(index)) + jnp.log(total) - own


def local_aggregation(
    z: Float[Array, "b d"],
    memory_bank: Float[Array, "n d"],
    index: Int[Array, " b"],
    clusterings: Int[Array, "h n"],
    *,
    n_background: int = 4096,
    temperature: float = 0.07,
) -> Float[Array, " b"]:
    """Finds the samples of the same cluster among the nearest ones of the memory bank.

    ``-log(sum_(j in C and B) exp(v_j.v / t) / sum_(j in B) exp(v_j.v / t))``: equation (3) of Local Aggregation
    (Zhuang et al., 2019, arXiv 1903.12355). The background B are the entries of the bank nearest to v, the close
    neighbours C those that share the sample's cluster in any of several clusterings. Both hold the sample itself.

    Memory: a few matrices ``[b, n]``.

    Args:
      z: embeddings ``[b, d]``; normalised here.
      memory_bank: embeddings of all samples ``[n, d]``, stored with unit norm, equal on all devices.
      index: rows of these samples in the bank ``[b]``.
      clusterings: cluster of each sample in each clustering ``[h, n]``.
      n_background: size of B, at least 1; all samples, if there are no more.
      temperature: softmax temperature t, > 0.

    Returns:
      ``[b]`` nats, >= 0.

    Raises:
      ValueError: an argument has the wrong rank, the shapes don't match, ``n_background`` is below 1, or
        ``temperature`` is not positive.

    Example:
      >>> bank = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
      >>> clusters = jnp.array([[0, 0, 1]])
      >>> print(local_aggregation(bank[:1], bank, jnp.array([0]), clusters, temperature=1.0))
      [0.094]
    """
    z = _checks.matrix("z", z)
    memory_bank = _checks.matrix("memory_bank", memory_bank, ("z", z.shape[1]))
    index = _checks.indices("index", index, ("z", z.shape[0]))
    _checks.positive("temperature", temperature)
    clusterings = jnp.asarray(clusterings)
    n = memory_bank.shape[0]
    if clusterings.ndim != 2 or clusterings.shape[1] != n:
        raise ValueError(
            f"clusterings must be [h, {n}], a row per clustering, but its shape is {clusterings.shape}"
        )
    if n_background < 1:
        raise ValueError(f"n_background must be at least 1, but is {n_background}")
    scores = unit(z) @ memory_bank.T / temperature
    own = index[:, None] == jnp.arange(n, dtype=index.dtype)[None, :]
    close = own
    for labels in clusterings:
        close |= _global.take_rows(labels, index)[:, None] == labels[None, :]
    if n_background < n:
        # The bank's entry of a sample may have fallen behind, but belongs to both sets.
        ranked = jnp.where(own, jnp.inf, jax.lax.stop_gradient(scores))
        background = ranked >= jax.lax.top_k(ranked, n_background)[0][:, -1:]
        close, scores = close & background, jnp.where(background, scores, -jnp.inf)
    return jax.nn.logsumexp(scores, axis=1) - jax.nn.logsumexp(jnp.where(close, scores, -jnp.inf), axis=1)


def update_memory_bank(
    memory_bank: Float[Array, "n d"],
    z: Float[Array, "b d"],
    index: Int[Array, " b"],
    *,
    momentum: float = 0.5,
    axis_name: str | None = None,
    n_samples: int | None = None,
) -> Float[Array, "n d"]:
    """Moves the bank's entries for the global batch towards their new embeddings.

    ``bank_i <- normalise(momentum bank_i + (1 - momentum) v_i)``: Wu et al., 2018 (arXiv 1805.01978, section
    3.2). If a sample occurs twice in a batch, one of its two embeddings is used. No gradient flows through it.

    Args:
      memory_bank: current bank ``[n, d]``, unit norm, equal on all devices; or, with ``n_samples``, this device's
        share of it.
      z: new embeddings ``[b, d]``; normalised here.
      index: their rows in the bank ``[b]``.
      momentum: weight of the old entry, from 0 to 1; 0.5 in IDFD.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split; each device's
        copy is updated with the samples of all, so that the copies stay equal.
      n_samples: n, of a bank that is split over ``axis_name`` as in ``instance_discrimination``: each device
        updates the rows that it holds.

    Returns:
      The new bank ``[n, d]``, or the new share of it.

    Raises:
      ValueError: an argument has the wrong rank, the shapes don't match, ``momentum`` is not from 0 to 1, or
        ``n_samples`` comes without ``axis_name``.

    Example:
      >>> bank = jnp.array([[1.0, 0.0], [0.0, 1.0]])
      >>> print(update_memory_bank(bank, jnp.array([[0.0, 2.0]]), jnp.array([0])))
      [[0.707 0.707]
       [0.    1.   ]]
    """
    z = _checks.matrix("z", z)
    _checks.matrix("memory_bank", memory_bank, ("z", z.shape[1]))
    index = _checks.indices("index", index, ("z", z.shape[0]))
    _checks.fraction("momentum", momentum)
    memory_bank = jnp.asarray(memory_bank)
    # The gradient of a scatter would be summed over the devices, with all n rows.
    z = jax.lax.stop_gradient(z)
    if n_samples is not None:
        m, axis_name = memory_bank.shape[0], _axis(axis_name)
        rows, v = (jax.lax.all_gather(a, axis_name, tiled=True) for a in (index, unit(z)))
        place = rows - jax.lax.axis_index(axis_name) * m
        old = memory_bank[jnp.clip(place, 0, m - 1)].astype(v.dtype)
        new = unit(momentum * old + (1.0 - momentum) * v).astype(memory_bank.dtype)
        return memory_bank.at[jnp.where(place >= 0, place, m)].set(new, mode="drop")
    rows, v = _global.equal_rows(index, axis_name), _global.equal_rows(unit(z), axis_name)
    old = _global.take_rows(memory_bank, rows).astype(v.dtype)
    new = unit(momentum * old + (1.0 - momentum) * v)
    return memory_bank.at[rows].set(new.astype(memory_bank.dtype))


def invariant_spreading(
    z1: Float[Array, "b d"],
    z2: Float[Array, "b d"],
    *,
    temperature: float = 0.1,
    axis_name: str | None = None,
) -> Float[Array, " b"]:
    """Tells the two views of a sample from all others of the batch, and all others from them.

    With ``P(j|i)`` the softmax of ``v_i.v_j / t`` over the other 2B - 1 views, ``-log P(i'|i)`` for the other view
    i' of the sample, and ``-log(1 - P(j|i))`` for every j of another sample: Ye et al., 2019 (arXiv 1904.03436,
    equation 6), as in TSUC (Han et al., 2020). Both sides of a product learn; the released code of TSUC holds the
    views that i is compared with. Probabilities are kept 1e-7 away from 1.

    Args:
      z1: embeddings of the first views ``[b, d]``; normalised here.
      z2: embeddings of the second views ``[b, d]``.
      temperature: softmax temperature t, > 0.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      ``[b]`` nats, >= 0: the mean of the two views.

    Raises:
      ValueError: an argument is no matrix, the shapes differ, or ``temperature`` is not positive.

    Example:
      >>> print(invariant_spreading(jnp.eye(2), jnp.eye(2), temperature=1.0))
      [1.028 1.028]
    """
    z1, z2 = _checks.matrices("z1", z1, "z2", z2)
    _checks.positive("temperature", temperature)
    mesh = _global.split_mesh(z1.shape[0], axis_name)
    if mesh is not None:
        return _global.on_each(functools.partial(invariant_spreading, temperature=temperature), mesh, z1, z2)
    views = unit(z1), unit(z2)
    first, second = (_global.all_rows(v, axis_name) for v in views)
    rows = _global.row_numbers(z1.shape[0], axis_name)[:, None]
    own = rows == jnp.arange(len(first), dtype=jnp.int32)[None, :]

    def of(view, same, other):
        """The loss of views, of which ``same`` has all, and ``other`` the second ones of the same samples."""
        alike = jnp.where(own, -jnp.inf, view @ same.T / temperature)
        across = view @ other.T / temperature
        log_sum = jnp.logaddexp(jax.nn.logsumexp(alike, axis=1), jax.nn.logsumexp(across, axis=1))[:, None]
        positive = jnp.sum(jnp.where(own, across - log_sum, 0.0), axis=1)
        wrong = [jnp.where(own, 0.0, jnp.exp(jnp.where(own, 0.0, x) - log_sum)) for x in (alike, across)]
        return -positive - sum(jnp.sum(jnp.log1p(-jnp.minimum(p, 1 - 1e-7)), axis=1) for p in wrong)

    return 0.5 * (of(views[0], first, second) + of(views[1], second, first))


def feature_decorrelation(
    z: Float[Array, "b d"], *, temperature: float = 2.0, axis_name: str | None = None
) -> Float[Array, " d"]:
    """Decorrelates the features, softmax form.

    ``-log(exp(f_l.f_l / t) / sum_j exp(f_j.f_l / t))`` over the columns ``f_l`` of the normalised embeddings, each
    column divided by its length over the global batch: equation (6) of IDFD (Tao et al., 2021, arXiv
    2106.00131).

    Args:
      z: embeddings ``[b, d]``; rows are normalised here, then columns.
      temperature: softmax temperature t, > 0; 2 in the paper.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      ``[d]`` nats, >= 0; equal on all devices.

    Raises:
      ValueError: ``z`` is not a matrix, or ``temperature`` is not positive.

    Example:
      >>> print(feature_decorrelation(jnp.array([[1.0, 0.0], [0.0, 1.0]]), temperature=1.0))
      [0.313 0.313]
    """
    z = _checks.matrix("z", z)
    _checks.positive("temperature", temperature)
    scores = _feature_cosines(z, axis_name) / temperature
    return jax.nn.logsumexp(scores, axis=1) - jnp.diagonal(scores)


def feature_orthogonality(z: Float[Array, "b d"], *, axis_name: str | None = None) -> Float[Array, ""]:
    """Decorrelates the features, squared form (IDFO).

    ``|(d / b) V^T V - I|^2`` (Frobenius norm) over the normalised embeddings ``V [b, d]``: the constraint that
    IDFD starts from (Tao et al., 2021, arXiv 2106.00131, equation 5, which has no factor; no code was released for
    it). Unlike in ``feature_decorrelation``, columns are not normalised: the equation has a term ``(f_l.f_l -
    1)^2`` for the length of each column, which makes all features vary equally, and which normalised columns would
    always satisfy. The squared lengths of the columns sum to b, so all d of them can be 1 only if b = d, as in the
    paper (128 and 128). The factor d / b, which is 1 there, gives every batch size the same optimum, and keeps the
    loss equal on any number of devices.

    Args:
      z: embeddings ``[b, d]``; rows are normalised here.
      axis_name: inside ``shard_map`` or ``pmap``, the mesh axis over which the batch is split.

    Returns:
      A scalar, >= 0, the sum over the d x d entries; equal on all devices.

    Raises:
      ValueError: ``z`` is not a matrix.

    Example:
      >>> print(feature_orthogonality(jnp.array([[1.0, 0.0], [0.0, 1.0]])))
      0.0
    """
    z = _checks.matrix("z", z)
    v, d = unit(z), z.shape[1]
    gram = _global.gram(v, v, axis_name) * (d / _global.n_rows(z.shape[0], axis_name))
    return jnp.sum((gram - jnp.eye(d, dtype=gram.dtype)) ** 2)


def _feature_cosines(z, axis_name):
    v = unit(z)
    return cosines(_global.gram(v, v, axis_name))
