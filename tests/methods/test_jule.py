"""JULE: the graph, the clock, one step by other means, what is drawn and embedded, the end."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc import cluster, methods, nn
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec

N, B, K, D = 60, 12, 3, 16
SPEC = DataSpec((4, 4, 1), N)
METHOD = methods.JULE(
    n_clusters=K, backbone=nn.Backbone(depth=6, width=16), projection=D, n_neighbors=4, margin=0.3, gamma=0.8
)
X = jax.random.uniform(jax.random.key(1), (N, 4, 4, 1))


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def blobs(seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(K, size=N)
    x = 8 * rng.normal(size=(K, D))[truth] + rng.normal(size=(N, D))
    return truth, jnp.asarray(x, jnp.float32)


@pytest.mark.full
def test_one_step():
    model, aux = METHOD.init(jax.random.key(0), SPEC)
    labels = np.arange(N) % 5
    aux = {**aux, "pseudo_labels": jnp.asarray(labels, jnp.int32)}
    index = np.arange(20, 20 + B)
    copy = nnx.merge(*nnx.split(model), copy=True)
    z = np.asarray(copy(X[index], train=True), np.float64)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1.0, rtol=1e-5)
    costs, own = [], labels[index]
    for a in range(B):
        for p in range(B):
            for n in range(B):
                if a != p and own[a] == own[p] != own[n]:
                    costs.append(max(0, 0.8 * ((z[a] - z[p]) ** 2).sum() - ((z[a] - z[n]) ** 2).sum() + 0.3))
    batch = {"x": X[index], "index": jnp.asarray(index)}
    loss, (_, metrics) = METHOD.loss(model, aux, batch, jax.random.key(3))
    np.testing.assert_allclose(loss, np.mean(costs), rtol=1e-3)
    assert metrics["triplets"] == len(costs)
    assert METHOD.learns(metrics) and not METHOD.learns({"triplets": jnp.float32(0)})


def test_pixels_are_clustered_first_and_embeddings_later():
    model, aux = METHOD.init(jax.random.key(0), SPEC)
    first = METHOD.embed(model, aux, {"x": X})
    np.testing.assert_allclose(gram(first), gram(X.reshape(N, -1)), rtol=1e-4)  # turned, and otherwise the same
    wider = dataclasses.replace(METHOD, projection=40)
    model, aux = wider.init(jax.random.key(0), SPEC)
    np.testing.assert_allclose(gram(wider.embed(model, aux, {"x": X})), gram(X.reshape(N, -1)), rtol=1e-4)
    later = wider.embed(model, {**aux, "periods": jnp.int32(1)}, {"x": X})
    np.testing.assert_allclose(later, model(X), rtol=1e-5, atol=1e-6)


def gram(x):
    return np.asarray(x) @ np.asarray(x).T


def test_every_period_merges_a_share_of_the_clusters_until_k_are_left():
    method = dataclasses.replace(METHOD, unrolling=0.5)
    truth, features = blobs()
    model, aux = method.init(jax.random.key(0), SPEC)
    near = cluster.nearest_neighbors(features, 2, metric="euclidean").indices[:, 1]
    n_left = int(cluster.nearest_neighbor_chains(near).max()) + 1
    before = np.arange(N)
    while n_left > K:
        assert method.ending(aux) is None
        n_left = max(n_left - -(-n_left // 2), K)
        model, aux = method.refresh(model, aux, features, jax.random.key(1))
        labels = np.asarray(aux["pseudo_labels"])
        assert labels.max() + 1 == len(set(labels.tolist())) == n_left
        # Clusters only merge.
        assert len({*zip(before.tolist(), labels.tolist(), strict=True)}) == len(set(before.tolist()))
        before = labels
        # What is reported has k clusters from the first.
        found = np.argmax(method.assign(model, aux, features), axis=1)
        assert len({*zip(truth.tolist(), found.tolist(), strict=True)}) == K
    assert method.ending(aux) is None  # these have not taught yet
    _, aux = method.refresh(model, aux, features, jax.random.key(1))
    assert "3 clusters were left" in method.ending(aux).reason


def test_the_clusters_that_are_left_are_the_answer_and_a_re_clustering_is_scored():
    truth, features = blobs()
    model, aux = METHOD.init(jax.random.key(0), SPEC)
    left = np.where(np.arange(N) < 3, (truth + 1) % K, truth)  # which taught the network, right or wrong
    taught = {**aux, "pseudo_labels": jnp.asarray(left, jnp.int32), "periods": jnp.int32(3)}
    _, aux = METHOD.finish(model, taught, features, jax.random.key(1))
    for c in range(K):
        np.testing.assert_allclose(aux["centroids"][c], features[left == c].mean(axis=0), rtol=1e-4, atol=1e-5)
    (again,) = METHOD.alternatives(model, aux, features).values()
    found = np.argmax(again, axis=1)
    assert len({*zip(truth.tolist(), found.tolist(), strict=True)}) == K
    in_truth = [features[truth == c].mean(axis=0) for c in range(K)]
    for mean in in_truth:
        assert np.abs(aux["centroids_again"] - mean[None]).max(axis=1).min() < 1e-4
    np.testing.assert_array_equal(aux["pseudo_labels"], left)


def test_equal_samples_are_neighbours_of_each_other_and_not_of_themselves():
    features = jnp.repeat(blobs()[1][:10], 6, axis=0)
    neighbors, squared = METHOD._graph(features)
    assert (neighbors != np.arange(N)[:, None]).all()
    assert (squared == 0).all()


def test_a_few_of_a_cluster_are_drawn_beside_each_other():
    method = dataclasses.replace(METHOD, group=4)
    labels = np.repeat([0, 1, 2, 3], [30, 17, 12, 1])
    labels = np.random.default_rng(0).permutation(labels)
    aux = {"pseudo_labels": jnp.asarray(labels, jnp.int32)}
    rows = np.asarray(method.draw(aux, jax.random.key(0), N))
    np.testing.assert_array_equal(np.sort(rows), np.arange(N))
    drawn, start, sizes = labels[rows], 0, []
    while start < N:
        # Two groups of a cluster may meet; each is of 4, but for the last of its cluster.
        end = start
        while end < N and drawn[end] == drawn[start]:
            end += 1
        sizes.append(end - start)
        start = end
    n_odd = sum(size % 4 != 0 for size in sizes)
    assert n_odd <= 4 and len(sizes) > 8
    assert (method.draw(aux, jax.random.key(1), N) != rows).any()


def test_what_is_refused():
    with pytest.raises(InputError, match="a graph of 60 neighbours needs more than 60 samples"):
        dataclasses.replace(METHOD, n_neighbors=60).init(jax.random.key(0), SPEC)
    with pytest.raises(InputError, match="at least 3"):
        METHOD.check_batch_size(2, SPEC)


def test_recipes():
    (paper,) = methods.JULE(n_clusters=10).stages("paper", DataSpec((28, 28, 1), 70_000))
    assert (paper.epochs, paper.batch_size) == (100, 100)  # 17,500 clusters, 1,750, 175, 17, 10
    (fast,) = methods.JULE(n_clusters=10).stages("fast", DataSpec((8, 8, 1), 1797))
    assert fast.refresh_interval(1797) == 20 * (1797 // 128)
