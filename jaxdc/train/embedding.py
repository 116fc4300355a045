"""Compiled functions that embed samples, all of them or those of a batch."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

from jaxdc.cluster import layout
from jaxdc.distributed import sharding
from jaxdc.methods.base import Method
from jaxdc.train.state import TrainState, merge
from jaxdc.train.steps import as_float, loops_well

LARGEST_GATHER = 2**26  # values that a device receives at a time


def _make_embedding(method: Method, graphdef: nnx.GraphDef, mesh: Mesh) -> Callable[..., jax.Array]:
    """(state, x [b, ...]) -> features [b, d], to be traced; the samples are sharded."""

    def embed(state, x):
        x = jax.lax.with_sharding_constraint(x, sharding.by_sample(mesh))
        return method.embed(merge(graphdef, state), state.aux, {"x": as_float(x)})

    return embed


def make_embed(method: Method, graphdef: nnx.GraphDef, mesh: Mesh) -> Callable[..., jax.Array]:
    """Returns ``(state, x [b, ...]) -> features [b, d]`` of some samples, on every device."""
    return jax.jit(_make_embedding(method, graphdef, mesh), out_shardings=sharding.replicated(mesh))


class _Shares:
    """Features while they are computed: ``[s, m, d]``, a share of the rows for each of s devices.

    Args:
      n: number of samples; the rows of the last share beyond it mean nothing.
      mesh: the devices.
    """

    def __init__(self, n: int, mesh: Mesh):
        self.n, self.m, self.mesh = n, -(-n // mesh.size), mesh
        self._zeros = jax.jit(jnp.zeros, static_argnums=(0, 1), out_shardings=sharding.by_sample(mesh))
        self._finish: Any = None

    def begin(self, like: jax.ShapeDtypeStruct) -> jax.Array:
        """Zeros for features like these of a batch."""
        return self._zeros((self.mesh.size, self.m, *like.shape[1:]), like.dtype)

    def finish(self, features: jax.Array) -> jax.Array:
        """``[n, d]``, where ``layout.sharding_of`` says."""
        if self._finish is None:
            out = layout.sharding_of((self.n, *features.shape[2:]), self.mesh)
            given_away = (0,) if self.n == self.m * self.mesh.size else ()
            self._finish = jax.jit(self.whole, donate_argnums=given_away, out_shardings=out)
        return self._finish(features)

    def whole(self, features: jax.Array) -> jax.Array:
        """The same, to be traced."""
        rows = features.reshape(-1, *features.shape[2:])
        return layout.from_rows(rows, self.n, layout.cut_over(self.mesh))


def make_embed_resident(
    method: Method, graphdef: nnx.GraphDef, mesh: Mesh, block: int, *, looped: bool | None = None
) -> Callable[..., jax.Array]:
    """Returns ``(state, x [n, ...]) -> features [n, d]`` for resident data, in blocks of ``block`` rows.

    Every device embeds the samples whose features it keeps: no features are communicated, unless the devices don't
    divide n. ``layout.sharding_of`` says where they are. A block of at least n rows is all samples at once, in
    order. ``looped`` is as in ``make_resident_steps``.
    """
    embed = _make_embedding(method, graphdef, mesh)
    shares_of = functools.cache(lambda n: _Shares(n, mesh))

    def rows_of(shares):
        return min(max(block // mesh.size, 1), shares.m)

    def put(features, state, x, i):
        # The last block reaches back so that all blocks have the same size; recomputed rows do not change.
        shares = shares_of(len(x))
        start = jnp.minimum(i * rows_of(shares), shares.m - rows_of(shares))
        places = (np.arange(mesh.size) * shares.m)[:, None] + (start + jnp.arange(rows_of(shares)))[None, :]
        places = jax.lax.with_sharding_constraint(
            jnp.minimum(places, shares.n - 1).reshape(-1), sharding.by_sample(mesh)
        )
        new = embed(state, x[places])
        return jax.lax.dynamic_update_slice_in_dim(features, new.reshape(mesh.size, -1, *new.shape[1:]), start, 1)

    def like(state, x):
        return jax.eval_shape(embed, state, jax.ShapeDtypeStruct((mesh.size, *x.shape[1:]), x.dtype))

    def n_blocks(x):
        shares = shares_of(len(x))
        return -(-shares.m // rows_of(shares))

    def at_rest(features):
        return jax.lax.with_sharding_constraint(features, layout.sharding_of(features.shape, mesh))

    def embed_all(state, x):
        shares, one = shares_of(len(x)), like(state, x)
        features = jnp.zeros((mesh.size, shares.m, *one.shape[1:]), one.dtype)
        features = jax.lax.with_sharding_constraint(features, sharding.by_sample(mesh))
        features = jax.lax.fori_loop(0, n_blocks(x), lambda i, f: put(f, state, x, i), features)
        return at_rest(shares.whole(features))

    whole, together = jax.jit(embed_all), jax.jit(lambda state, x: at_rest(embed(state, x)))
    put_one = jax.jit(put, donate_argnums=0, out_shardings=sharding.by_sample(mesh))
    in_one_dispatch = loops_well(mesh) if looped is None else looped

    def embed_resident(state, x):
        if block >= len(x):
            return together(state, x)
        if in_one_dispatch:
            return whole(state, x)
        shares = shares_of(len(x))
        features = shares.begin(like(state, x))
        for i in range(n_blocks(x)):
            features = put_one(features, state, x, np.int32(i))
        return shares.finish(features)

    return embed_resident


class EmbedStreamed:
    """Features ``[n, d]`` of samples that come in batches, in any order.

    ``put`` embeds a batch from the host, sharded by sample, and brings every row to the device that keeps it.

    Args:
      method: the method.
      graphdef: its network.
      mesh: the devices.
      n: number of samples.
    """

    def __init__(self, method: Method, graphdef: nnx.GraphDef, mesh: Mesh, n: int):
        self._shares = _Shares(n, mesh)
        self._embed = _make_embedding(method, graphdef, mesh)
        m, split = self._shares.m, PartitionSpec(sharding.AXIS)

        def place(own, new, index):
            """Within ``shard_map``: a share [1, m, d], and rows [c, d] of the batch with their index [c]."""
            first = jax.lax.axis_index(sharding.AXIS) * m
            n_parts = _parts(len(new), len(new) * mesh.size * math.prod(new.shape[1:]))

            def take(i, own):
                part = len(new) // n_parts
                mine = (jax.lax.dynamic_slice_in_dim(a, i * part, part) for a in (new, index))
                rows, places = (jax.lax.all_gather(a, sharding.AXIS, tiled=True) for a in mine)
                places = jnp.where((places >= first) & (places < first + m), places - first, m)
                return own.at[0, places].set(rows, mode="drop")

            return jax.lax.fori_loop(0, n_parts, take, own)

        def put(features, state, x, index):
            new = self._embed(state, x)
            return jax.shard_map(place, mesh=mesh, in_specs=split, out_specs=split)(features, new, index)

        self._put = jax.jit(put, donate_argnums=0, out_shardings=sharding.by_sample(mesh))

    def begin(self, state: TrainState, x: Any) -> jax.Array:
        """Space for the features."""
        return self._shares.begin(jax.eval_shape(self._embed, state, x))

    def put(self, features: jax.Array, state: TrainState, x: jax.Array, index: jax.Array) -> jax.Array:
        """Adds samples ``x [b, ...]``; those with ``index`` -1 are left out."""
        return self._put(features, state, x, index)

    def finish(self, features: jax.Array) -> jax.Array:
        """The features ``[n, d]``, where ``layout.sharding_of`` says."""
        return self._shares.finish(features)


def _parts(rows: int, n_values: int) -> int:
    """Into how many equal parts to cut rows, so that one has at most ``LARGEST_GATHER`` values on all devices."""
    wanted = -(-n_values // LARGEST_GATHER)
    return next(parts for parts in range(min(wanted, rows), rows + 1) if rows % parts == 0)
