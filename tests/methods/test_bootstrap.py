"""BYOL and ProPos: a step by other means, the momentum that rises, the warm-up, what has no gradient."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc import augment, methods, nn
from jaxdc.cli import main
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Stage
from jaxdc.methods.parts import bootstrap, momentum

N, B, K = 20, 6, 3
SPEC = DataSpec((8, 8, 3), N)
SMALL = {"n_clusters": K, "backbone": nn.Backbone(depth=6, width=16), "projection": 5, "hidden": 7}
KEY = jax.random.key(7)


def started(method, epoch=2, step=6):
    model, aux = method.init(jax.random.key(0), SPEC)
    # An average that is elsewhere by now.
    aux["momentum_encoder"] = jax.tree.map(lambda a: 0.9 * a + 0.01, aux["momentum_encoder"])
    x = jax.random.uniform(jax.random.key(1), (B, *SPEC.shape))
    rows = jnp.array([3, 19, 0, 7, 8, 11], jnp.int32)
    return model, aux, {"x": x, "index": rows, "epoch": jnp.int32(epoch), "step": jnp.int32(step)}


def one_step(method, model, aux, batch):
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    @jax.jit
    def run(params, aux):
        def loss(params, aux):
            return method.loss(nnx.merge(graphdef, params, rest, copy=True), aux, batch, KEY)

        (value, (new, metrics)), gradient = jax.value_and_grad(loss, has_aux=True)(params, aux)
        return value, new, metrics, gradient

    return run(params, aux)


def unit(x):
    return np.asarray(x) / np.linalg.norm(x, axis=-1, keepdims=True)


def by_hand(method, model, aux, batch, views, share, noise=(0.0, 0.0)):
    """Unit embeddings and targets of both views, and the distance of each prediction."""
    average = momentum.moved(model, aux, share)
    graphdef, state = nnx.split(model)
    teacher = nnx.merge(graphdef, average["momentum_encoder"], copy=True)
    targets = [unit(teacher.projector(teacher.encoder(view))) for view in views]
    z, distances = [], []
    for view, target, shift in zip(views, targets[::-1], noise, strict=True):
        fresh = nnx.merge(graphdef, state, copy=True)
        embedded = fresh(view, train=True)
        predicted = unit(fresh.predictor(embedded + shift, train=True))
        z.append(unit(embedded))
        distances.append(np.sum((predicted - target) ** 2, axis=1))
    return z, targets, distances


@pytest.mark.full
def test_a_step_of_byol():
    method = methods.BYOL(**SMALL, momentum=0.9, momentum_epochs=4.0)
    model, aux, batch = started(method)
    # 3 steps an epoch, 12 in all, of which 6 are done: 1 - 0.1 / 2.
    views = augment.two_views(KEY, batch["x"], method.augmentation)
    z, _, (first, second) = by_hand(method, model, aux, batch, views, 0.95)
    loss, new, metrics, _ = one_step(method, model, aux, batch)
    np.testing.assert_allclose(loss, (first + second).mean(), rtol=1e-3)
    np.testing.assert_allclose(metrics["spread"], np.sqrt(5) * z[0].std(axis=0).mean(), rtol=1e-3)
    moved = momentum.moved(model, aux, 0.95)["momentum_encoder"]
    for a, b in zip(jax.tree.leaves(new["momentum_encoder"]), jax.tree.leaves(moved), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_the_momentum_rises_to_one():
    values = [float(momentum.rising(0.97, jnp.float32(share))) for share in (0.0, 0.5, 1.0, 1.5)]
    np.testing.assert_allclose(values, [0.97, 0.985, 1.0, 1.0], rtol=1e-6)
    stage = Stage(method=methods.BYOL(**SMALL), epochs=30, batch_size=10)
    (known,) = Experiment((stage,)).of_known_length(SPEC).stages
    assert known.method.momentum_epochs == 30
    mine = dataclasses.replace(stage, method=methods.BYOL(**SMALL, momentum_epochs=50.0))
    assert Experiment((mine,)).of_known_length(SPEC).stages[0].method.momentum_epochs == 50


def test_equal_embeddings_have_no_spread():
    assert bootstrap.spread(jnp.ones((6, 4))) < 1e-6
    z = jax.random.normal(KEY, (2000, 64))
    np.testing.assert_allclose(bootstrap.spread(z), 1.0, atol=0.05)


@pytest.mark.full
def test_each_view_of_byol_has_its_blur():
    x = jax.random.uniform(KEY, (4, 8, 8, 3))
    (stage,) = methods.BYOL(**SMALL).stages("paper", SPEC)
    method = dataclasses.replace(stage.method, blur=(1.0, 0.0), solarize=(0.0, 1.0))
    assert (stage.method.blur, stage.method.solarize, stage.method.momentum) == ((1.0, 0.1), (0.0, 0.2), 0.996)
    base = method.augmentation
    expected = augment.two_views(
        KEY,
        x,
        dataclasses.replace(base, blur_probability=1.0),
        dataclasses.replace(base, solarize_probability=1.0),
    )
    for a, b in zip(method._pair(KEY, x), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_solarized_views_invert_what_is_bright():
    x = jax.random.uniform(KEY, (4, 8, 8, 3))
    plain = {"crop": (1.0, 1.0), "ratio": (1.0, 1.0), "flip": False, "jitter_probability": 0.0}
    view = augment.Weak(**plain, greyscale_probability=0.0, solarize_probability=1.0)(KEY, x)
    np.testing.assert_allclose(view, np.where(x >= 0.5, 1 - x, x), atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("epoch", [0, 3])
def test_a_step_of_propos(epoch):
    method = methods.ProPos(**SMALL, momentum=0.9, noise=0.2, warmup_epochs=1.0, temperature=0.4)
    model, aux, batch = started(method, epoch=epoch)
    labels = np.arange(N) % 2  # cluster 2 has no sample
    aux["pseudo_labels"] = jnp.asarray(labels, jnp.int32)
    views_key, *noise_keys = jax.random.split(KEY, 3)
    views = augment.two_views(views_key, batch["x"], method.augmentation)
    shifts = [0.2 * (epoch > 0) * jax.random.normal(key, (B, 5)) for key in noise_keys]
    z, targets, distances = by_hand(method, model, aux, batch, views, 0.9, shifts)
    own = labels[np.asarray(batch["index"])]
    costs = []
    for a, b in zip(z, targets[::-1], strict=True):
        mu, of_targets = (unit(np.stack([v[own == c].mean(axis=0) for c in (0, 1)])) for v in (a, b))
        positive, negative = np.exp(np.sum(mu * of_targets, axis=1) / 0.4), np.exp(mu[0] @ mu[1] / 0.4)
        costs.append(-np.log(positive / (positive + negative)).mean())
    loss, _, metrics, _ = one_step(method, model, aux, batch)
    np.testing.assert_allclose(metrics["alignment"], np.mean(distances), rtol=1e-3)
    np.testing.assert_allclose(metrics["scattering"], 0.1 * np.mean(costs) * (epoch > 0), rtol=1e-3)
    np.testing.assert_allclose(loss, metrics["alignment"] + metrics["scattering"], rtol=1e-6)


def test_the_clusters_of_propos_are_those_of_the_momentum_encoder():
    method = methods.ProPos(**SMALL)
    model, aux, batch = started(method)
    features = method.embed(model, aux, batch)
    teacher = momentum.network(model, aux)
    np.testing.assert_allclose(features, unit(teacher(batch["x"])), rtol=1e-4, atol=1e-5)
    z = unit(np.random.default_rng(0).normal(size=(N, 5)))
    _, new = method.refresh(model, aux, jnp.asarray(z, jnp.float32), KEY)
    np.testing.assert_allclose(np.linalg.norm(new["centroids"], axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(new["pseudo_labels"], np.argmax(z @ new["centroids"].T, axis=1))
    np.testing.assert_array_equal(
        np.argmax(method.assign(model, new, jnp.asarray(z, jnp.float32)), axis=1), new["pseudo_labels"]
    )


def test_propos_draws_and_lasts_as_it_is_told():
    method = methods.ProPos(**SMALL, uniform=True)
    aux = {"pseudo_labels": jnp.asarray([0] * 15 + [1] * 5, jnp.int32)}
    drawn = np.asarray(method.draw(aux, KEY, N))
    assert (drawn < 15).sum() == 10
    plain = methods.ProPos(**SMALL)
    assert sorted(plain.draw(aux, KEY, N)) == list(range(N))
    known = plain.for_length(1000.0)
    assert (known.warmup_epochs, known.momentum_epochs) == (50.0, 1000.0)
    assert methods.ProPos(**SMALL, rising=False).for_length(1000.0).momentum_epochs is None
    with pytest.raises(InputError, match="the warm-up of 9 epochs is longer than the training of 5"):
        methods.ProPos(**SMALL, warmup_epochs=9.0).check_length(5.0)


def test_the_predictor_learns_faster():
    (stage,) = methods.ProPos(n_clusters=10).stages("paper", DataSpec((32, 32, 3), 60_000))
    assert (stage.method.backbone.depth, stage.method.hidden, stage.epochs) == (34, 4096, 1000)
    assert (stage.optimizer.predictor_rate, stage.optimizer.warmup_epochs) == (10.0, 50)


@pytest.mark.full
@pytest.mark.parametrize("name", ["byol", "propos", "swav", "local_agg"])
def test_from_the_command(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    network = ["--backbone.depth", "10", "--backbone.width", "8"]
    narrow = ["--hidden", "32"] if name in ("byol", "propos") else []
    command = ["train", name, "--data", "digits", "--no-report", "--epochs", "2", *network, *narrow]
    main(command)
    assert "digits: 1,797 samples of 8x8x1" in capsys.readouterr().err
    run = tmp_path / "runs" / f"{name}-digits-0"
    main(["predict", str(run), "--data", "digits", "--output", "out.csv"])
    predicted, trained = (
        np.genfromtxt(path, delimiter=",", skip_header=1)[:, 1] for path in ("out.csv", run / "assignments.csv")
    )
    np.testing.assert_array_equal(predicted, trained)
    main(command)
    assert "already finished" in capsys.readouterr().err
