"""How many runs of k-means a method takes, and from where."""

import pathlib

import jax
import jax.numpy as jnp
import pytest

from jaxdc import cluster, methods
from jaxdc.methods import AE, SimCLR
from jaxdc.methods.parts import k_means


@pytest.fixture
def asked(monkeypatch):
    """The settings of every call, of which none is computed."""
    calls = []

    def record(key, x, n_clusters, **settings):
        calls.append(settings)
        zeros = jnp.zeros((n_clusters, x.shape[1]))
        return cluster.KMeansResult(zeros, jnp.zeros(len(x), jnp.int32), jnp.zeros(()), jnp.zeros((), jnp.int32))

    monkeypatch.setattr(cluster, "k_means", record)
    return calls


@pytest.mark.parametrize(
    ("n_clusters", "n", "expected"),
    [
        (1000, 200_000, {"n_init": 20}),
        (1001, 2000, {"n_init": 1, "init": "random"}),
        (1001, 100_000, {"n_init": 1, "init": "random"}),
    ],
)
@pytest.mark.parametrize("kind", [AE, SimCLR, methods.KMeans])
def test_many_clusters_take_one_run(asked, kind, n_clusters, n, expected):
    method = kind(n_clusters=n_clusters)
    method.refresh(None, {}, jnp.zeros((n, 2)), jax.random.key(0))
    assert asked == [expected]


def test_what_a_method_asks_for_stands(asked):
    k_means.best_k_means(jax.random.key(0), jnp.zeros((200_000, 2)), 5000, 5, init="random", n_iterations=3)
    assert asked == [{"n_init": 1, "init": "random", "n_iterations": 3}]
    k_means.best_k_means(jax.random.key(0), jnp.zeros((10, 2)), 3, spherical=True)
    assert asked[1:] == [{"n_init": 1, "spherical": True}]


@pytest.mark.parametrize(
    ("n", "n_iterations", "start"),
    [(100_000, 10, "mini-batch"), (99_999, 10, "random"), (100_000, 11, "random")],
)
def test_few_iterations_on_many_samples_start_from_mini_batches(asked, n, n_iterations, start):
    k_means.best_k_means(jax.random.key(0), jnp.zeros((n, 2)), 1001, n_iterations=n_iterations)
    assert asked == [{"n_init": 1, "init": start, "n_iterations": n_iterations}]


def test_no_method_asks_k_means_itself():
    for path in pathlib.Path(methods.__file__).parent.rglob("*.py"):
        assert "cluster.k_means(" not in path.read_text() or path.name == "k_means.py", path
