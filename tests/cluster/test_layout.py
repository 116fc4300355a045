"""Matrices of any number of rows on eight devices, and what moves between these."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc.cluster import k_means, kmeans, layout, nearest_centroid, nearest_neighbors, neighbors, pca_whiten
from jaxdc.distributed import sharding

KEY = jax.random.key(0)
KINDS = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"


@pytest.fixture(scope="module")
def mesh():
    return sharding.make_mesh()


def clouds(n, d):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(n, d)) + 6 * rng.integers(0, 3, (n, 1))).astype(np.float32)


def lying(x, mesh):
    return jax.device_put(x, layout.sharding_of(x.shape, mesh))


@pytest.mark.parametrize(
    ("shape", "on_a_device"),
    [((40, 6), (5, 6)), ((41, 16), (41, 2)), ((41, 12), (41, 12)), ((41, 7), (41, 7))],
)
def test_a_matrix_lies_over_its_rows_or_its_columns(mesh, shape, on_a_device):
    where = layout.sharding_of(shape, mesh)
    assert where.shard_shape(shape) == on_a_device
    x = clouds(*shape)
    cut = layout.cut_of(jax.device_put(x, where))
    rows = jax.jit(lambda x: layout.to_rows(x, cut))(jax.device_put(x, where))
    assert len(rows) == -(-len(x) // cut.n_shares) * cut.n_shares
    np.testing.assert_array_equal(rows[: len(x)], x)
    np.testing.assert_array_equal(rows[len(x) :], 0)
    if shape[1] % 8 == 0:
        assert rows.sharding.shard_shape(rows.shape) == (-(-len(x) // 8), shape[1])
    back = jax.jit(lambda rows: layout.from_rows(rows, len(x), cut))(rows)
    np.testing.assert_array_equal(back, x)
    assert back.sharding.shard_shape(shape) == on_a_device


def test_a_matrix_moves_in_pieces(mesh, monkeypatch):
    monkeypatch.setattr(layout, "AT_A_TIME", 5 * 16)  # of the 14 rows of a device 5 at a time, the last ones twice
    x = clouds(107, 16)
    cut = layout.cut_of(lying(x, mesh))
    rows = jax.jit(lambda x: layout.to_rows(x, cut))(lying(x, mesh))
    np.testing.assert_array_equal(rows[:107], x)
    np.testing.assert_array_equal(rows[107:], 0)
    back = jax.jit(lambda rows: layout.from_rows(rows, 107, cut))(rows)
    np.testing.assert_array_equal(back, x)
    assert back.sharding.shard_shape(back.shape) == (107, 2)


def test_from_rows_to_columns_no_device_has_all(mesh):
    x = jax.ShapeDtypeStruct((4001, 64), np.float32, sharding=layout.sharding_of((4001, 64), mesh))
    cut = layout.cut_over(mesh)._replace(moves=True)
    both = jax.jit(lambda x: layout.from_rows(jnp.sin(layout.to_rows(x, cut)), 4001, cut))
    text = both.lower(x).compile().as_text()
    assert [kind for kind, _ in collectives(text)] == ["all-to-all"] * 2


def collectives(text):
    """Kind and numbers of each."""
    found = re.findall(rf"= (\(.*?\)|\S+) ({KINDS})(?:-start)?\(", text)
    dims = [(kind, re.findall(r"[a-z]\d+\[([\d,]*)\]", out)) for out, kind in found]
    return [
        (kind, sum(math.prod(int(one) for one in shape.split(",") if one) for shape in shapes))
        for kind, shapes in dims
    ]


@pytest.mark.parametrize(
    "shape", [(1001, 8), *(pytest.param(shape, marks=pytest.mark.full) for shape in ((1001, 12), (17, 16)))]
)
def test_the_devices_need_not_divide_the_samples(mesh, shape):
    x = clouds(*shape)
    cut = lying(x, mesh)
    assert layout.cut_of(cut).moves == (shape[1] % 8 == 0)
    plain, sharded = k_means(KEY, x, 3, n_init=2), k_means(KEY, cut, 3, n_init=2)
    np.testing.assert_allclose(plain.inertia, sharded.inertia, rtol=1e-5)
    np.testing.assert_allclose(plain.centroids, sharded.centroids, atol=1e-4)
    np.testing.assert_array_equal(plain.labels, sharded.labels)
    np.testing.assert_array_equal(nearest_centroid(cut, plain.centroids), plain.labels)
    wide = x * 1.3 ** np.arange(shape[1], dtype=np.float32)  # components that are not alike
    plain, sharded = pca_whiten(wide, 8), pca_whiten(lying(wide, mesh), 8)
    np.testing.assert_allclose(plain.whitened, sharded.whitened, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(plain.mean, sharded.mean, rtol=1e-5)
    width = 1 if shape[1] % 8 == 0 else 8
    assert sharded.whitened.sharding.shard_shape(sharded.whitened.shape) == (len(x), width)


def test_a_function_of_rows_leaves_each_device_its_part(mesh):
    x, w = clouds(41, 16), np.random.default_rng(1).normal(size=(16, 8)).astype(np.float32)
    for rows in (x, x[:40]):
        found = layout.by_rows(lambda x: jnp.tanh(x @ w), lying(rows, mesh))
        np.testing.assert_allclose(found, np.tanh(rows @ w), rtol=1e-4, atol=1e-5)
        assert found.sharding.shard_shape(found.shape) == ((41, 1) if len(rows) == 41 else (5, 8))


def test_what_is_numpys_is_on_every_device():
    x = clouds(5, 3)
    assert layout.cut_of(x) == layout.Cut(1) and layout.like(x, (5, 2)) is None
    np.testing.assert_allclose(layout.by_rows(jnp.tanh, x), np.tanh(x), rtol=1e-6)


@pytest.mark.full
def test_rows_that_are_no_samples_are_drawn_by_nobody(mesh):
    x = clouds(17, 16) + 100  # the rows of zeros at the end would be the farthest of all
    for init in ("random", np.full((9, 16), 500.0) + np.arange(9)[:, None]):
        found = k_means(KEY, lying(x, mesh), 9, init=init)
        assert np.abs(found.centroids).min() > 90
        assert len(np.unique(found.labels)) == 9


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("n", [1000, 1001, pytest.param(17, marks=pytest.mark.full)])
def test_neighbours_are_searched_where_they_are(mesh, n, metric):
    x = clouds(n, 8)
    for queries in (None, x[:57] + 0.1):
        plain = nearest_neighbors(x, 5, queries=queries, metric=metric, block_size=64)
        found = nearest_neighbors(lying(x, mesh), 5, queries=queries, metric=metric, block_size=64)
        np.testing.assert_allclose(plain.similarities, found.similarities, rtol=1e-5, atol=1e-5)
        assert np.mean(plain.indices == found.indices) > 0.999


def test_neighbours_take_one_gather_and_two_exchanges(mesh):
    x = jax.ShapeDtypeStruct((80_000, 32), np.float32, sharding=sharding.by_sample(mesh))
    search = neighbors._nearest_neighbors.lower(x, None, 5, "dot", 64, layout.cut_over(mesh))
    assert sorted(collectives(search.compile().as_text())) == [
        ("all-gather", 64 * 32),  # the queries of all devices
        ("all-to-all", 64 * 5),  # similarities and rows of what each device found
        ("all-to-all", 64 * 5),
    ]


N, D, K = 1_280_000, 2048, 10_000


@pytest.mark.full
@pytest.mark.optimized
@pytest.mark.parametrize("n", [N, N + 1_167])
@pytest.mark.parametrize("work", ["k-means", "neighbours", "labels"])
def test_memory_of_a_device_is_its_part(mesh, work, n):
    """At the size of ImageNet; the samples of 1,281,167 can't be cut into eight equal parts."""
    where = layout.sharding_of((n, D), mesh)
    x = jax.ShapeDtypeStruct((n, D), jnp.float32, sharding=where)
    cut = layout.cut_over(mesh)._replace(moves=n % 8 > 0)
    centroids = jax.ShapeDtypeStruct((K, D), jnp.float32, sharding=sharding.replicated(mesh))
    if work == "k-means":
        key = jax.eval_shape(lambda: KEY)
        static = (K, 1, False, "random", "farthest", cut)
        lowered = kmeans._k_means.lower(key, x, jax.ShapeDtypeStruct((0, D), jnp.float32), 100, 1e-4, *static)
    elif work == "neighbours":
        lowered = neighbors._nearest_neighbors.lower(x, None, 20, "cosine", 2048, cut)
    else:
        lowered = kmeans._nearest_centroid.lower(x, centroids, cut)
    memory = lowered.compile().memory_analysis()
    in_all = memory.argument_size_in_bytes + memory.temp_size_in_bytes + memory.output_size_in_bytes
    part = 4 * n * D / 8
    assert memory.argument_size_in_bytes >= part
    assert in_all <= part + 2 * 2**30, in_all / 2**30
