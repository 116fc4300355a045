import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from jaxdc.cluster import nearest_neighbors, neighbor_votes, neighbors

METRICS = ("cosine", "dot", "euclidean")


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(1000, 6)).astype(np.float32) + 0.5


def brute_force(x, queries, metric):
    x, queries = x.astype(np.float64), queries.astype(np.float64)
    if metric == "euclidean":
        return -((queries[:, None, :] - x[None, :, :]) ** 2).sum(2)
    if metric == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    return queries @ x.T


def check(found, x, queries, k, metric):
    similarities = brute_force(x, queries, metric)
    best = -np.sort(-similarities, axis=1)[:, :k]
    np.testing.assert_allclose(found.similarities, best, rtol=1e-5, atol=1e-5)
    at_found = np.take_along_axis(similarities, np.asarray(found.indices), axis=1)
    np.testing.assert_allclose(at_found, best, rtol=1e-5, atol=1e-5)
    assert all(len(set(row)) == k for row in np.asarray(found.indices).tolist())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [5, 30])  # fewer and more than the groups of 64 columns
def test_all_metrics_find_what_brute_force_finds(x, metric, k):
    check(nearest_neighbors(x, k, metric=metric), x, x, k, metric)


@pytest.mark.parametrize("metric", METRICS)
def test_stretches_of_columns_and_blocks_of_queries_do_not_show(x, metric, monkeypatch):
    neighbors._nearest_neighbors.clear_cache()
    monkeypatch.setattr(neighbors, "_COLUMNS", 1)
    monkeypatch.setattr(neighbors, "_LEAST_COLUMNS", 300)
    queries = x[:57] + 0.1
    check(nearest_neighbors(x, 4, queries=queries, metric=metric, block_size=10), x, queries, 4, metric)
    neighbors._nearest_neighbors.clear_cache()


def test_scikit_learn_agrees(x):
    found = nearest_neighbors(x, 5, metric="euclidean")
    distances, indices = NearestNeighbors(n_neighbors=5).fit(x).kneighbors(x)
    assert np.mean(found.indices == indices) > 0.999
    np.testing.assert_allclose(np.sqrt(-found.similarities), distances, atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_any_number_of_devices_finds_the_same(x, metric, on_devices):
    plain, sharded = nearest_neighbors(x, 5, metric=metric), nearest_neighbors(on_devices(x), 5, metric=metric)
    np.testing.assert_allclose(plain.similarities, sharded.similarities, rtol=1e-5, atol=1e-6)
    assert np.mean(plain.indices == sharded.indices) > 0.999


def test_more_neighbors_than_a_device_has_rows(x, on_devices):
    check(nearest_neighbors(on_devices(x[:16]), 11, metric="dot"), x[:16], x[:16], 11, "dot")


@pytest.mark.parametrize("metric", METRICS)
def test_samples_stay_on_their_device(sharded_shape, largest_move, metric):
    run = jax.jit(lambda x: nearest_neighbors(x, 5, metric=metric, block_size=64))
    # A block of queries, the rows for the origin, or the candidates of all devices.
    assert largest_move(run.lower(sharded_shape(80_000, 32)).compile()) <= max(64 * 32, 256 * 32, 64 * 8 * 5)


def test_memory_holds_no_square_matrix():
    shape = jax.ShapeDtypeStruct((1_280_000, 32), jnp.float32)
    compiled = jax.jit(lambda x: nearest_neighbors(x, 20)).lower(shape).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 2**30  # the matrix: 6 TiB


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_sample_finds_itself_first(x, metric):
    found = nearest_neighbors(x + 30.0 * (metric == "euclidean"), 3, metric=metric)
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(len(x)))
    if metric == "euclidean":
        np.testing.assert_array_equal(found.similarities[:, 0], 0.0)


def test_order_of_the_samples_and_scale_do_not_matter(x):
    order = np.random.default_rng(1).permutation(len(x))
    plain, other = nearest_neighbors(x, 4), nearest_neighbors(7.0 * x[order], 4)
    np.testing.assert_allclose(other.similarities, plain.similarities[order], atol=1e-5)
    assert np.mean(order[np.asarray(other.indices)] == plain.indices[order]) > 0.999


def test_a_far_away_origin_costs_no_digits(x):
    near, far = nearest_neighbors(x, 4, metric="euclidean"), nearest_neighbors(x + 4096.0, 4, metric="euclidean")
    np.testing.assert_allclose(near.similarities, far.similarities, atol=1e-2)


def test_edges():
    one = nearest_neighbors(jnp.ones((1, 2)), 1)
    np.testing.assert_array_equal(one.indices, [[0]])
    everyone = nearest_neighbors(jnp.arange(5.0)[:, None], 5, metric="euclidean").indices
    np.testing.assert_array_equal(np.sort(everyone, axis=1), np.tile(np.arange(5), (5, 1)))
    twins = nearest_neighbors(jnp.ones((300, 3)), 4)  # all equal: any four, but four
    assert all(len(set(row)) == 4 for row in twins.indices.tolist())
    zero = nearest_neighbors(jnp.array([[0.0, 0.0], [1.0, 0.0]]), 2).similarities
    np.testing.assert_array_equal(zero, [[0.0, 0.0], [1.0, 0.0]])


def test_narrow_numbers_are_computed_in_float32(x):
    narrow = jnp.asarray(x, jnp.bfloat16)
    found = nearest_neighbors(narrow, 3)
    assert found.similarities.dtype == jnp.float32
    check(found, np.asarray(narrow, np.float32), np.asarray(narrow, np.float32), 3, "cosine")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"x": jnp.ones(4)}, "x must be a matrix"),
        ({"k": 0}, "k must be from 1 to 4"),
        ({"k": 5}, "k must be from 1 to 4"),
        ({"queries": jnp.ones((2, 3))}, "queries has 3 columns, but x has 2"),
        ({"queries": jnp.ones((0, 2))}, "queries must hold"),
        ({"metric": "l1"}, "metric must be one of"),
        ({"block_size": 0}, "block_size"),
    ],
)
def test_wrong_arguments_are_named(arguments, word):
    arguments = {"x": jnp.ones((4, 2)), "k": 2, **arguments}
    with pytest.raises(ValueError, match=word):
        nearest_neighbors(arguments.pop("x"), arguments.pop("k"), **arguments)


def test_votes_are_counts_of_the_neighbours_clusters():
    rng = np.random.default_rng(0)
    labels, neighbors = rng.integers(4, size=30), rng.integers(30, size=(12, 7))
    expected = np.stack([np.bincount(labels[row], minlength=5) for row in neighbors])
    np.testing.assert_array_equal(neighbor_votes(labels, neighbors, 5), expected)
    with pytest.raises(ValueError, match="labels must be integers"):
        neighbor_votes(labels.astype(np.float32), neighbors, 5)
    with pytest.raises(ValueError, match="neighbors must be a matrix"):
        neighbor_votes(labels, neighbors[0], 5)
