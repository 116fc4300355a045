import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from jaxdc.cluster import _blocks, _lloyd, _seeding, k_means, kmeans, nearest_centroid

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def blobs():
    x, y = make_blobs(600, n_features=5, centers=7, cluster_std=0.5, random_state=0)
    return x.astype(np.float32), y


@pytest.fixture(scope="module")
def cloud():
    """No clusters at all: many iterations, and samples near every border."""
    return np.random.default_rng(0).normal(size=(840, 6)).astype(np.float32)


def test_finds_blobs_and_keeps_its_promises(blobs):
    x, y = blobs
    result = k_means(KEY, x, 7, n_init=3)
    assert adjusted_rand_score(y, result.labels) > 0.99
    assert result.labels.dtype == jnp.int32
    # Each sample has its nearest centroid, each centroid is the mean of its samples.
    np.testing.assert_array_equal(nearest_centroid(x, result.centroids), result.labels)
    for j in range(7):
        np.testing.assert_allclose(result.centroids[j], x[result.labels == j].mean(0), atol=1e-3)
    inertia = ((x - np.asarray(result.centroids)[np.asarray(result.labels)]) ** 2).sum()
    np.testing.assert_allclose(result.inertia, inertia, rtol=1e-4)


def test_inertia_is_that_of_scikit_learn(digits):
    x = digits.array.reshape(len(digits.array), -1).astype(np.float32)
    oracle = KMeans(10, n_init=10, random_state=0).fit(x).inertia_
    assert k_means(jax.random.key(1), x, 10, n_init=10).inertia <= oracle * 1.005


@pytest.mark.parametrize("n_iterations", [1, 3, 100])
def test_given_centroids_take_scikit_learns_path(cloud, n_iterations):
    start = cloud[:12]
    ours = k_means(KEY, cloud, 12, n_iterations=n_iterations, tolerance=0.0, init=start)
    oracle = KMeans(12, init=start, n_init=1, tol=0.0, max_iter=n_iterations).fit(cloud)
    np.testing.assert_allclose(ours.inertia, oracle.inertia_, rtol=1e-4)
    np.testing.assert_allclose(ours.centroids, oracle.cluster_centers_, atol=1e-3)
    assert np.mean(ours.labels == oracle.labels_) > 0.995
    assert ours.n_iterations == oracle.n_iter_


@pytest.mark.full
def test_any_number_of_devices_gives_the_same_clusters(cloud, on_devices):
    plain, sharded = k_means(KEY, cloud, 12, n_init=2), k_means(KEY, on_devices(cloud), 12, n_init=2)
    assert len(sharded.labels.sharding.device_set) == len(on_devices(cloud).sharding.device_set)
    np.testing.assert_allclose(plain.inertia, sharded.inertia, rtol=1e-5)
    np.testing.assert_allclose(plain.centroids, sharded.centroids, atol=1e-4)
    assert np.mean(plain.labels == sharded.labels) > 0.995
    np.testing.assert_array_equal(nearest_centroid(on_devices(cloud), plain.centroids), plain.labels)


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_samples_stay_on_their_device(sharded_shape, largest_move, init):
    n, d, k = 16_000, 32, 20
    run = jax.jit(lambda x: k_means(KEY, x, k, n_init=2, init=init))
    assert largest_move(run.lower(sharded_shape(n, d)).compile()) <= 256 * d  # rows for the origin


@pytest.mark.full
def test_memory_holds_no_distances_of_all_samples(usual_blocks):
    n, d, k = 1_280_000, 32, 10_000
    shape, key = jax.ShapeDtypeStruct((n, d), jnp.float32), jax.eval_shape(lambda: KEY)
    compiled = jax.jit(lambda key, x: k_means(key, x, k, n_init=2)).lower(key, shape).compile()
    # One copy of x, some 20 numbers a sample from the seeding (11 trials), and a block: [n, k] is 48 GiB.
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * n * (d + 20) * jax.device_count()
    assert compiled.memory_analysis().temp_size_in_bytes < 2 * 2**30
    label = jax.jit(nearest_centroid).lower(shape, jax.ShapeDtypeStruct((k, d), jnp.float32)).compile()
    assert label.memory_analysis().temp_size_in_bytes < 2**27


def test_order_and_scale_of_the_samples_do_not_matter(cloud):
    start = cloud[:12]
    plain = k_means(KEY, cloud, 12, init=start)
    order = np.random.default_rng(1).permutation(len(cloud))
    permuted = k_means(KEY, cloud[order], 12, init=start)
    np.testing.assert_allclose(permuted.centroids, plain.centroids, atol=1e-3)
    assert np.mean(permuted.labels == plain.labels[order]) > 0.99
    scaled = k_means(KEY, 4.0 * cloud, 12, init=4.0 * start)
    np.testing.assert_array_equal(scaled.labels, plain.labels)
    np.testing.assert_allclose(scaled.inertia, 16.0 * plain.inertia, rtol=1e-5)


@pytest.mark.full
def test_more_runs_never_hurt_and_a_key_decides_all(blobs):
    x, _ = blobs
    one = k_means(jax.random.key(5), x, 12)
    again = k_means(jax.random.key(5), x, 12)
    np.testing.assert_array_equal(one.labels, again.labels)
    assert k_means(jax.random.key(5), x, 12, n_init=8).inertia <= one.inertia * 1.05


def test_an_empty_cluster_takes_a_sample_of_a_big_one():
    # Three groups, the widest first; two of three starts are out of reach of every sample.
    rng = np.random.default_rng(0)
    x = np.concatenate([v + w * rng.normal(size=(200, 2)) for v, w in ((0.0, 3.0), (50.0, 0.1), (90.0, 0.1))])
    far = np.array([[45.0, 45.0], [1e4, 1e4], [2e4, 2e4]])
    result = k_means(KEY, x, 3, init=far)
    assert adjusted_rand_score(np.repeat([0, 1, 2], 200), result.labels) == 1.0
    # With a start in each narrow group, the empty cluster goes where the errors are: not to the small one.
    start = np.array([[0.0, 0.0], [50.0, 50.0], [90.0, 90.0], [1e4, 1e4]])
    sizes = np.bincount(k_means(KEY, x, 4, n_iterations=3, init=start).labels[200:], minlength=4)
    assert sorted(sizes) == [0, 0, 200, 200]


@pytest.mark.full
@pytest.mark.parametrize("spherical", [False, True])
def test_empty_clusters_may_stay_empty(cloud, on_devices, spherical):
    start = np.concatenate([cloud[:8], np.full((3, 6), -1e3) + np.arange(3)[:, None]]).astype(np.float32)
    # Lloyd's steps in NumPy; a centroid without samples is left alone.
    x, centroids = (a / np.linalg.norm(a, axis=1, keepdims=True) if spherical else a for a in (cloud, start))
    if spherical:
        x = np.abs(x)
    first = centroids
    for _ in range(6):
        labels = ((x[:, None] - centroids[None]) ** 2).sum(axis=2).argmin(axis=1)
        means = [x[labels == j].mean(axis=0) if (labels == j).any() else centroids[j] for j in range(11)]
        centroids = np.stack(means)
        if spherical:
            centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    settings = {"init": start, "n_iterations": 6, "tolerance": 0.0, "spherical": spherical}
    result = k_means(KEY, on_devices(x), 11, empty="keep", **settings)
    np.testing.assert_allclose(result.centroids, centroids, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(result.centroids[8:], first[8:], rtol=1e-6)
    assert len(np.unique(result.labels)) == len(np.unique(labels)) <= 8
    assert len(np.unique(k_means(KEY, x, 11, **settings).labels)) > 8


def test_many_empty_clusters_are_filled(cloud):
    start = np.full((30, 6), 100.0) + np.arange(30)[:, None]
    assert len(np.unique(k_means(KEY, cloud, 30, init=start).labels)) == 30


def test_sums_on_an_accelerator_are_those_on_a_cpu():
    rng = np.random.default_rng(0)
    block, labels = jnp.array(rng.normal(size=(2, 50, 3)), jnp.float32), jnp.array(rng.integers(0, 4, (2, 50)))
    arguments = (
        jnp.ones((2, 4, 3)),
        jnp.ones((2, 4)),
        block,
        labels,
        jnp.array(rng.integers(0, 2, (2, 50)), jnp.float32),
    )
    for ours, other in zip(_lloyd._scatter_to_sums(*arguments), _lloyd._multiply_to_sums(*arguments), strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-5)


def test_seeds_follow_the_squared_distance():
    # Of 3 far points among 997 on one spot, k-means++ must find all; "random" finds none of them.
    x = np.zeros((1000, 2), np.float32)
    x[[100, 500, 900]] = [[50.0, 0.0], [0.0, 50.0], [50.0, 50.0]]
    assert k_means(KEY, x, 4, n_iterations=1).inertia == 0.0
    assert k_means(KEY, x, 4, n_iterations=1, init="random").inertia > 0.0


@pytest.mark.full
def test_draws_are_in_proportion():
    from jaxdc.cluster import _seeding

    for n in (7, 840, 1009):
        weights = jnp.arange(n, dtype=jnp.float32) % 5
        draws = _seeding._draw(KEY, weights, _seeding._group_shape(n), 20_000)
        observed = np.bincount(draws % 5, minlength=5) / 20_000
        by_rest = np.bincount(np.arange(n) % 5, weights=np.asarray(weights), minlength=5)
        np.testing.assert_allclose(observed, by_rest / by_rest.sum(), atol=0.02)
        assert draws.min() >= 0 and draws.max() < n
    # Two stretches of 1,009 in four groups each: the only sample with a weight is the one drawn.
    for only in (0, 1008, 1009, 1500, 2017):
        one = jnp.zeros(2018).at[only].set(1.0)
        np.testing.assert_array_equal(_seeding._draw(KEY, one, _seeding._group_shape(2018), 5), only)


def test_a_far_away_origin_costs_no_digits(blobs):
    x, _ = blobs
    near, far = k_means(KEY, x, 7, n_init=3), k_means(KEY, x + 1000.0, 7, n_init=3)
    np.testing.assert_allclose(far.inertia, near.inertia, rtol=1e-2)
    np.testing.assert_array_equal(nearest_centroid(x + 20_000.0, near.centroids + 20_000.0), near.labels)


def test_spherical_clusters_directions():
    rng = np.random.default_rng(0)
    angles = np.repeat([0.0, 2.0, 4.0], 50) + 0.05 * rng.normal(size=150)
    x = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.1, 50, size=(150, 1))
    result = k_means(KEY, x, 3, n_init=5, spherical=True)
    assert adjusted_rand_score(np.repeat([0, 1, 2], 50), result.labels) == 1.0
    np.testing.assert_allclose(np.linalg.norm(result.centroids, axis=1), 1.0, rtol=1e-5)
    given = k_means(KEY, x, 3, spherical=True, init=100.0 * result.centroids)
    np.testing.assert_array_equal(given.labels, result.labels)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.uint8])
def test_narrow_numbers_are_computed_in_float32(dtype):
    # 250 + 251 + ... in bfloat16 or uint8 would be far off.
    x = (jnp.arange(64)[:, None] % 8 + jnp.array([[0, 240]])).astype(dtype)
    result = k_means(KEY, x, 1)
    assert result.centroids.dtype == jnp.float32
    np.testing.assert_allclose(result.centroids[0], np.asarray(x, np.float32).mean(0), rtol=1e-6)


@pytest.mark.full
def test_duplicates_and_as_many_clusters_as_samples():
    assert k_means(KEY, jnp.ones((10, 3)), 4).inertia == 0.0
    x = jnp.arange(5.0)[:, None]
    np.testing.assert_allclose(k_means(KEY, x, 5, n_init=5).inertia, 0.0, atol=1e-9)
    np.testing.assert_allclose(k_means(KEY, x, 1).centroids, [[2.0]])
    assert k_means(KEY, x[:1], 1).labels.tolist() == [0]
    np.testing.assert_array_equal(nearest_centroid(x, jnp.array([[1.0], [1.0], [3.0]])), [0, 0, 0, 2, 2])


def test_wide_numbers_may_be_on(cloud):
    with jax.enable_x64(True):
        result = k_means(KEY, cloud.astype(np.float64), 12, init=cloud[:12])
        assert result.centroids.dtype == jnp.float32
    np.testing.assert_allclose(result.inertia, k_means(KEY, cloud, 12, init=cloud[:12]).inertia, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"x": jnp.ones(4)}, "x must be a matrix"),
        ({"x": jnp.ones((0, 2))}, "x must hold at least one sample"),
        ({"x": jnp.ones((8, 2), bool)}, "x must hold real numbers"),
        ({"n_clusters": 0}, "n_clusters"),
        ({"n_clusters": 9}, "from 1 to 8 .the number of samples."),
        ({"n_init": 0}, "n_init"),
        ({"n_iterations": 0}, "n_iterations"),
        ({"tolerance": -1.0}, "tolerance"),
        ({"init": "guess"}, "guess"),
        ({"empty": "drop"}, 'empty must be "farthest" or "keep"'),
        ({"init": jnp.ones((3, 2))}, "init must be centroids of shape"),
        ({"init": jnp.ones((2, 2)), "n_init": 2}, "n_init must be 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, word):
    arguments = {"x": jnp.ones((8, 2)), "n_clusters": 2, **arguments}
    with pytest.raises(ValueError, match=word):
        k_means(KEY, arguments.pop("x"), **arguments)


def test_wrong_centroids_are_named():
    with pytest.raises(ValueError, match="centroids has 3 columns, but x has 2"):
        nearest_centroid(jnp.ones((4, 2)), jnp.ones((2, 3)))


def three_products(x, y):
    """``x @ y^T`` as a matrix unit computes it in three products of bfloat16 (``BF16_BF16_F32_X3``)."""

    def halves(a):
        high = np.asarray(jnp.asarray(a, jnp.bfloat16), np.float32)
        return high, np.asarray(jnp.asarray(a - high, jnp.bfloat16), np.float32)

    (x1, x2), (y1, y2) = halves(np.asarray(x)), halves(np.asarray(y))
    return x2 @ y1.T + x1 @ y2.T + x1 @ y1.T, x1 @ y1.T


def test_three_products_of_half_the_digits_find_the_same_clusters():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 64)).astype(np.float32)
    centroids = x[:200] + 0.1 * rng.normal(size=(200, 64)).astype(np.float32)
    squares = (centroids.astype(np.float64) ** 2).sum(axis=1)
    products = x.astype(np.float64) @ centroids.T, x @ centroids.T, *three_products(x, centroids)
    exact, full, three, one = ((squares - 2.0 * product).argmin(axis=1) for product in products)
    agree = [float(np.mean(labels == exact)) for labels in (full, three, one)]
    assert agree[0] > 0.9999
    assert agree[1] > 0.9995
    assert agree[2] < 0.998  # a single product of bfloat16 does not


def test_an_accelerator_takes_three_products_within_an_iteration_only(monkeypatch):
    monkeypatch.setattr(_blocks, "on_cpu", lambda: False)
    xs, centroids = jnp.ones((1, 8, 4)), jnp.ones((2, 4))
    step = str(jax.make_jaxpr(lambda x, c: _lloyd.sums_of_clusters(x, 8, c))(xs, centroids))
    last = str(jax.make_jaxpr(lambda x, c: _lloyd.labels_and_inertia(x, 8, c))(xs, centroids))
    assert "BF16_BF16_F32_X3" in step
    assert "BF16_BF16_F32_X3" not in last


def test_of_runs_that_differ_by_rounding_the_first_is_kept():
    x = np.array(
        [[0, 0], [1, 0], [0, 1 + 1e-6], [1, 1 + 1e-6]], np.float32
    )  # two columns, or hardly worse two rows
    found = [np.asarray(k_means(jax.random.key(seed), x, 2, n_init=8).labels) for seed in range(8)]
    assert {bool(labels[0] == labels[1]) for labels in found} == {True, False}
    far = x * np.array([1, 1.1], np.float32)
    found = [np.asarray(k_means(jax.random.key(seed), far, 2, n_init=8).labels) for seed in range(8)]
    assert all(labels[0] == labels[1] for labels in found)


@pytest.mark.parametrize("spherical", [False, pytest.param(True, marks=pytest.mark.full)])
def test_a_pass_of_mini_batches_is_a_better_start(cloud, monkeypatch, spherical):
    kmeans._k_means.clear_cache()
    monkeypatch.setattr(_seeding, "MINI_BATCH", 64)
    start = {"n_init": 1, "n_iterations": 1, "spherical": spherical}
    ends = [
        np.mean([float(k_means(jax.random.key(i), cloud, 40, init=init, **start).inertia) for i in range(5)])
        for init in ("random", "mini-batch")
    ]
    assert ends[1] < 0.98 * ends[0]
    kmeans._k_means.clear_cache()


@pytest.mark.full
def test_mini_batches_are_the_same_on_any_number_of_devices(cloud, on_devices, monkeypatch):
    kmeans._k_means.clear_cache()
    monkeypatch.setattr(_seeding, "MINI_BATCH", 64)
    plain, sharded = (k_means(KEY, x, 12, init="mini-batch", n_iterations=5) for x in (cloud, on_devices(cloud)))
    np.testing.assert_allclose(plain.centroids, sharded.centroids, atol=1e-4)
    kmeans._k_means.clear_cache()
