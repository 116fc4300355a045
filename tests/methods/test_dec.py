"""One step of DEC and of IDEC against numbers computed by other means, and what they learn."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc import cluster, fit, losses
from jaxdc.errors import InputError
from jaxdc.methods import AE, DEC, IDEC, DataSpec, dec
from jaxdc.methods.base import Experiment, Optimizer, Stage
from jaxdc.train.stage_run import Stopped

SPEC = DataSpec((2,), 4)
X = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0], [-1.0, 0.5]], np.float32)


def tiny(method):
    """A model whose encoder is the identity, with centroids at (0, 0) and (2, 2)."""
    method = dataclasses.replace(method, hidden=(), latent=2)
    model, aux = method.init(jax.random.key(0), SPEC)
    for part in ("encoder", "decoder"):
        if hasattr(model, part):
            mlp = model.encoder.mlp if part == "encoder" else model.decoder
            mlp.layers[0].kernel[...] = jnp.eye(2)
            mlp.layers[0].bias[...] = jnp.zeros(2)
    model.centroids[...] = jnp.array([[0.0, 0.0], [2.0, 2.0]])
    return method, model, {**aux, "started": jnp.array(True)}


def q_and_p():
    distances = ((X[:, None] - np.array([[0.0, 0.0], [2.0, 2.0]])) ** 2).sum(-1)
    q = 1 / (1 + distances)
    q /= q.sum(1, keepdims=True)
    weight = q**2 / q.sum(0)
    return q, weight / weight.sum(1, keepdims=True)


def test_p_is_that_of_the_whole_data_set_and_the_loss_is_kl():
    method, model, aux = tiny(DEC(n_clusters=2))
    model, aux = method.refresh(model, aux, method.embed(model, aux, {"x": X}), jax.random.key(0))
    q, p = q_and_p()
    np.testing.assert_allclose(aux["p"], p, rtol=1e-5)
    # A batch of two takes its rows of p; a p per batch would be another method.
    batch = {"x": X[2:], "index": jnp.array([2, 3])}
    loss, (_, metrics) = method.loss(model, aux, batch, jax.random.key(0))
    expected = (p[2:] * np.log(p[2:] / q[2:])).sum(1).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    assert metrics.keys() == {"kl"}


def test_the_gradients_are_those_of_the_paper():
    """Equations (4) and (5) of DEC, with alpha = 1."""
    method, model, aux = tiny(DEC(n_clusters=2))
    model, aux = method.refresh(model, aux, jnp.asarray(X), jax.random.key(0))
    q, p = q_and_p()
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params):
        batch = {"x": X, "index": jnp.arange(4)}
        return method.loss(nnx.merge(graphdef, params, rest), aux, batch, jax.random.key(0))[0]

    gradient = jax.grad(loss)(params)
    difference = X[:, None] - np.array([[0.0, 0.0], [2.0, 2.0]])
    kernel = 1 / (1 + (difference**2).sum(-1))
    pull = 2 * (kernel * (p - q))[:, :, None] * difference
    np.testing.assert_allclose(gradient["centroids"][...], -pull.sum(0) / 4, rtol=1e-4, atol=1e-6)
    bias = gradient["encoder"]["mlp"]["layers"][0]["bias"][...]
    np.testing.assert_allclose(bias, pull.sum((0, 1)) / 4, rtol=1e-4, atol=1e-6)


def test_idec_adds_gamma_times_kl_to_the_reconstruction():
    method, model, aux = tiny(IDEC(n_clusters=2, gamma=0.3))
    model.decoder.layers[0].kernel[...] = 2.0 * jnp.eye(2)
    model, aux = method.refresh(model, aux, jnp.asarray(X), jax.random.key(0))
    q, p = q_and_p()
    batch = {"x": X, "index": jnp.arange(4)}
    loss, (_, metrics) = method.loss(model, aux, batch, jax.random.key(0))
    kl = (p * np.log(p / q)).sum(1).mean()
    np.testing.assert_allclose(metrics["reconstruction"], (X**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(loss, (X**2).mean() + 0.3 * kl, rtol=1e-4)


def test_without_back_propagation_the_encoder_stays():
    method, model, aux = tiny(DEC(n_clusters=2, train_encoder=False))
    model, aux = method.refresh(model, aux, jnp.asarray(X), jax.random.key(0))
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params):
        batch = {"x": X, "index": jnp.arange(4)}
        return method.loss(nnx.merge(graphdef, params, rest), aux, batch, jax.random.key(0))[0]

    gradient = jax.grad(loss)(params)
    assert np.abs(gradient["centroids"][...]).max() > 0
    assert all(np.abs(leaf).max() == 0 for leaf in jax.tree.leaves(gradient["encoder"]))


@pytest.mark.parametrize("kind", [DEC, IDEC])
def test_the_interval_of_p_follows_the_size_of_the_data_unless_it_is_given(kind):
    stage = Stage(method=kind(n_clusters=2), steps=1)
    assert [stage.refresh_interval(n) for n in (1_797, 19_999, 20_000, 70_000)] == [30, 30, 140, 140]
    given = Stage(method=kind(n_clusters=2, refresh_steps=7), steps=1)
    assert [given.refresh_interval(n) for n in (1_797, 70_000)] == [7, 7]


def test_k_means_places_the_centroids_once():
    method = DEC(n_clusters=2, hidden=(), latent=2)
    model, aux = method.init(jax.random.key(0), SPEC)
    x = jnp.array([[0.0, 0.0], [0.2, 0.0], [5.0, 5.0], [5.2, 5.0]])
    model, aux = method.refresh(model, aux, x, jax.random.key(0))
    placed = np.asarray(model.centroids[...])
    np.testing.assert_allclose(np.sort(placed[:, 0]), [0.1, 5.1], rtol=1e-5)
    model, aux = method.refresh(model, aux, x + 3.0, jax.random.key(0))
    np.testing.assert_array_equal(model.centroids[...], placed)


@pytest.mark.full
def test_augmentation_changes_the_batch_and_not_the_target(digits):
    spec = DataSpec((8, 8, 1), 16)
    x = digits.array[:16].astype(np.float32) / 255
    batch = {"x": jnp.asarray(x), "index": jnp.arange(16)}
    values = {}
    for flag in (False, True):
        method = DEC(n_clusters=2, hidden=(16,), augment=flag)
        model, aux = method.init(jax.random.key(0), spec)
        model, aux = method.refresh(model, aux, method.embed(model, aux, batch), jax.random.key(1))
        losses = [float(method.loss(model, aux, batch, jax.random.key(i))[0]) for i in range(2)]
        values[flag] = (aux["p"], losses)
    np.testing.assert_array_equal(values[False][0], values[True][0])
    assert values[False][1][0] == values[False][1][1]
    assert values[True][1][0] != values[True][1][1]


def test_augmentation_of_a_table_is_refused():
    with pytest.raises(InputError, match=r"needs images .* shape \(2,\)"):
        DEC(n_clusters=2, augment=True).init(jax.random.key(0), SPEC)


def test_the_paper_recipe_is_the_papers():
    stages = DEC(n_clusters=10).stages("paper", DataSpec((28, 28, 1), 70_000))
    *layers, fine_tuning, clustering = stages
    assert [stage.method.layer for stage in layers] == [0, 1, 2, 3]
    assert [stage.n_steps(70_000) for stage in stages] == [50_000] * 4 + [100_000, 20_000]
    assert all(stage.optimizer == Optimizer(name="sgd", learning_rate=0.1, decay_every=20_000) for stage in layers)
    assert {stage.method.dropout for stage in layers} == {0.2}
    assert fine_tuning.method.corruption == 0.0
    assert clustering.refresh_interval(70_000) == 140
    assert clustering.method.tolerance == 0.001
    assert all(stage.batch_size == 256 for stage in stages)


def test_the_fast_recipe_takes_larger_steps_where_images_are_augmented():
    spec = DataSpec((28, 28, 1), 70_000)
    plain, augmented = (DEC(n_clusters=10, augment=flag).stages("fast", spec) for flag in (False, True))
    assert [s.optimizer.learning_rate for s in plain] == [0.001, 0.01]
    assert [s.optimizer.learning_rate for s in augmented] == [0.001, 0.1]
    assert [s.n_steps(70_000) for s in augmented] == [6_836, 5_469]
    assert all(stage.method.augment for stage in augmented)
    # A small set is turned and shifted for as many steps; without augmentation it needs few.
    small = DataSpec((8, 8, 1), 1797)
    for kind in (DEC, IDEC):
        for flag, steps in ((False, 750), (True, 6_800)):
            assert kind(n_clusters=10, augment=flag).stages("fast", small)[0].n_steps(1797) == steps
    paper = DEC(n_clusters=10, augment=True).stages("paper", spec)[-1]
    assert (paper.optimizer.learning_rate, paper.n_steps(70_000)) == (0.01, 20_000)


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("kind", [DEC, IDEC])
def test_the_long_recipe_differs_from_the_fast_one_in_lengths_and_the_cosine(kind, augment):
    spec = DataSpec((28, 28, 1), 70_000)
    (before, fast), (longer, clustering) = (
        kind(n_clusters=10, augment=augment, start="k-means").stages(recipe, spec) for recipe in ("fast", "long")
    )
    # IDEC's step is a fifth of DEC's to the clusters; on augmented images it takes twice the steps to settle.
    factor = 2 if kind is IDEC and augment else 1
    assert clustering == dataclasses.replace(fast, steps=factor * fast.n_steps(70_000))
    assert longer.method == before.method
    assert (before.optimizer.cosine, longer.optimizer.cosine) == (False, True)
    assert [stage.n_steps(70_000) for stage in (before, longer)] == [6_836, 27_344]


@pytest.mark.parametrize("kind", [DEC, IDEC])
def test_the_sgd_recipe_pre_trains_with_sgd_and_without_noise(kind):
    spec = DataSpec((28, 28, 1), 70_000)
    method = kind(n_clusters=10, start="k-means")
    (before, fast), (first, clustering) = (method.stages(name, spec) for name in ("fast", "sgd"))
    assert clustering == fast
    assert first.optimizer == Optimizer(name="sgd", learning_rate=0.2, momentum=0.9)
    assert [stage.n_steps(70_000) for stage in (before, first)] == [6_836, 13_672]
    assert (before.method.corruption, first.method.corruption) == (0.2, 0.0)
    assert first.method == dataclasses.replace(before.method, corruption=0.0)
    noisy = kind(n_clusters=10, corruption=0.3).stages("sgd", spec)[0]
    assert noisy.method.corruption == 0.3


@pytest.mark.full
@pytest.mark.optimized
@pytest.mark.parametrize("kind", [DEC, IDEC])
def test_clustering_improves_on_the_k_means_that_it_starts_from(kind, digits, one_device):
    hidden = (128, 256)
    stages = (
        Stage(method=AE(n_clusters=10, hidden=hidden), steps=400),
        Stage(method=kind(n_clusters=10, hidden=hidden, refresh_steps=40), steps=400),
    )
    before, after = [], []
    for seed in (0, 1, 2):
        result = fit(Experiment(stages), digits, seed=seed, devices=one_device)
        rows = [row for row in result.history if "acc" in row]
        before.append(rows[0]["nmi"])
        after.append(result.metrics["nmi"])
    assert np.mean(after) > 0.70
    assert np.mean(after) > np.mean(before)


def test_a_mixture_gives_the_first_targets():
    method = DEC(n_clusters=3, hidden=(8,), latent=2, start="mixture")
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    sizes, means = np.array([[9.0, 0.3], [0.4, 0.4], [0.4, 0.4]]), np.array([[0.0, 0.0], [-5.0, 3.0], [5.0, 3.0]])
    features = jnp.asarray(means[labels] + sizes[labels] * rng.normal(size=(90, 2)), jnp.float32)
    model, aux = method.init(jax.random.key(0), DataSpec((4,), 90))
    model, aux = method.refresh(model, aux, features, jax.random.key(1))
    found = cluster.gaussian_mixture(jax.random.key(1), features, 3, n_init=dec.MIXTURES)
    np.testing.assert_allclose(aux["p"], losses.target_distribution(found.probabilities), rtol=1e-6)
    hard = np.argmax(found.probabilities, axis=1)
    expected = np.stack([np.asarray(features)[hard == j].mean(axis=0) for j in range(3)])
    np.testing.assert_allclose(model.centroids[...], expected, rtol=1e-5)
    first = np.asarray(aux["p"])
    for _ in range(dec.HELD - 1):
        model, aux = method.refresh(model, aux, 2 * features, jax.random.key(2))
        np.testing.assert_array_equal(aux["p"], first)
    model, aux = method.refresh(model, aux, 2 * features, jax.random.key(2))
    q = losses.student_t_assignment(2 * features, model.centroids[...])
    np.testing.assert_allclose(aux["p"], losses.target_distribution(q), rtol=1e-5)


def test_the_start_of_each_recipe():
    spec, vectors, many = DataSpec((4, 4, 1), 500), DataSpec((16,), 500), DataSpec((4, 4, 1), 20_000)

    def started(recipe, spec=spec, **settings):
        stage = DEC(n_clusters=3, **settings).stages(recipe, spec)[-1]
        return stage.method.start, stage.optimizer.learning_rate

    assert started("fast") == ("mixture", 0.1)
    assert started("fast", start="k-means") == ("k-means", 0.01)
    assert started("fast", train_encoder=False) == (None, 0.01)
    assert started("paper") == started("long") == started("fast", vectors) == (None, 0.01)
    assert started("fast", many) == (None, 0.01)
    assert "held" not in DEC(n_clusters=3).init(jax.random.key(0), spec)[1]  # as in older runs


@pytest.mark.full
@pytest.mark.parametrize("kind", [DEC, IDEC])
def test_a_run_from_a_mixture_goes_on_while_p_is_held(kind, tmp_path):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(3, 6))[np.arange(96) % 3] + 0.1 * rng.normal(size=(96, 6))).astype(np.float32)
    method = kind(n_clusters=3, hidden=(8,), latent=2, start="mixture", refresh_steps=2, tolerance=0.0)
    run = functools.partial(fit, Experiment((Stage(method=method, steps=40, batch_size=32),)), x)
    calls, folder = iter(range(1000)), tmp_path / "run"
    with pytest.raises(Stopped):
        run(workdir=folder, should_stop=lambda: next(calls) == 4)
    resumed, alone = run(workdir=folder), run(devices=jax.devices()[:1])
    whole = run()  # eight devices, as the first
    np.testing.assert_array_equal(resumed.probabilities, whole.probabilities)
    np.testing.assert_allclose(alone.probabilities, whole.probabilities, atol=1e-3)
