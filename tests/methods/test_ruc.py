"""RUC: the labels it begins with, one step and one refresh by other means, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax, softmax
from sklearn.neighbors import NearestNeighbors

from jaxdc import augment, fit, methods, nn
from jaxdc.data import ArraySource
from jaxdc.errors import InputError
from jaxdc.methods.base import Clustered, DataSpec, Experiment, Optimizer, Schedule, Stage
from jaxdc.runs import load
from jaxdc.train.stage_run import Stopped

N, B, K = 48, 8, 3
SPEC = DataSpec((8, 8, 1), N)
NARROW = {"n_clusters": K, "backbone": nn.Backbone(depth=6, width=16)}
KEY = jax.random.key(3)
SGD = Optimizer(name="sgd", learning_rate=0.01)


def ruc(**settings):
    return methods.RUC(**NARROW, **{"n_neighbors": 6, "ramp_epochs": 10.0, **settings})


def images(n=N, seed=0):
    rng = np.random.default_rng(seed)
    means = rng.uniform(0, 255, size=(K, 8, 8, 1))
    x = means[np.arange(n) % K] + rng.normal(scale=20, size=(n, 8, 8, 1))
    return np.clip(x, 0, 255).astype(np.uint8)


def before(seed=0):
    rng = np.random.default_rng(seed)
    probs = softmax(6 * rng.normal(size=(N, K)), axis=1).astype(np.float32)
    return Clustered(jnp.asarray(rng.normal(size=(N, 4)), jnp.float32), jnp.asarray(probs), "SCAN (run)")


@pytest.mark.parametrize("selection", ["confidence", "metric", "hybrid"])
def test_clean_labels_are_confident_and_agree_with_their_neighbours(selection):
    method, given = ruc(selection=selection, confidence=0.9), before()
    model, aux = method.init(KEY, SPEC)
    _, aux = method.take_clusters(model, aux, given)
    probs, z = np.asarray(given.probabilities), np.asarray(given.embeddings)
    label = probs.argmax(axis=1)
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    _, nearest = NearestNeighbors(n_neighbors=6).fit(z).kneighbors(z)
    votes = np.stack([np.bincount(label[row], minlength=K) for row in nearest])
    agrees = votes[np.arange(N), label] == votes.max(axis=1)
    sure = probs.max(axis=1) >= 0.9
    expected = {"confidence": sure, "metric": agrees, "hybrid": sure & agrees}[selection]
    assert 0 < expected.sum() < N
    np.testing.assert_array_equal(aux["label"], label)
    np.testing.assert_array_equal(aux["clean"], expected)


def test_both_networks_begin_with_the_encoder_of_the_stage_before():
    method = ruc()
    model, aux = method.init(KEY, SPEC)
    first = jax.tree.leaves(nnx.state(model.encoder))
    model, _ = method.take_clusters(model, aux, before())
    for a, b in zip(first, jax.tree.leaves(nnx.state(model.other.encoder)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (np.asarray(model.head.mlp.layers[0].kernel) != model.other.head.mlp.layers[0].kernel[...]).any()


def sharpened(p):
    return p**2 / (p**2).sum(axis=-1, keepdims=True)


def state_for_a_step(method, clean):
    model, aux = method.init(KEY, SPEC)
    rng = np.random.default_rng(1)
    aux = {
        **aux,
        "label": jnp.asarray(rng.integers(K, size=N), jnp.int32),
        "clean": jnp.asarray(clean),
        "confidence": jnp.asarray(rng.uniform(size=(2, N)), jnp.float32),
    }
    x = jax.random.uniform(jax.random.key(5), (B, 8, 8, 1))
    index = jnp.arange(B) + 4
    return model, aux, {"x": x, "index": index, "step": jnp.int32(9), "epoch": jnp.int32(4)}


@pytest.mark.full
def test_one_step(monkeypatch):
    method = ruc(unclean_weight=20.0, smoothing=0.4)
    model, aux, batch = state_for_a_step(method, np.arange(N) % 3 > 0)
    seen = []
    views = methods.RUC.three_views
    monkeypatch.setattr(methods.RUC, "three_views", lambda *args: seen.append(views(*args)) or seen[-1])
    mix_keys = jax.random.split(KEY, 3)[1:]
    graphdef, state = nnx.split(model)

    def logits(learner, x):  # of a copy: a pass moves the running statistics
        module = nnx.merge(graphdef, state, copy=True)
        module = module if learner == 0 else module.other
        rows = jnp.asarray(x).reshape(-1, 8, 8, 1)
        return np.asarray(module.head(module.encoder(rows, train=True)), np.float64).reshape(B, 3, K)

    loss, (_, metrics) = method.loss(model, aux, batch, KEY)
    weak1, weak2, strong = (np.asarray(view) for view in seen[0])
    plain = np.asarray(method.plain(batch["x"]))
    said = [softmax(logits(i, np.stack([plain, weak1, weak2], axis=1)), axis=2) for i in (0, 1)]
    index = np.asarray(batch["index"])
    label, clean = np.asarray(aux["label"])[index], np.asarray(aux["clean"])[index]
    assert 0 < clean.sum() < B
    guess = sharpened(np.mean([said[i][:, j] for i in (0, 1) for j in (1, 2)], axis=0))
    total = 0.0
    for i in (0, 1):
        w = np.asarray(aux["confidence"])[1 - i, index][:, None]
        refined = sharpened((1 - w) * np.eye(K)[label] + w * said[1 - i][:, 0])
        target = np.where(clean[:, None], refined, guess)
        pairs = np.stack([weak1, weak2], axis=1).reshape(2 * B, 8, 8, 1)
        mixed, targets = augment.mix_up(mix_keys[i], pairs, np.repeat(target, 2, axis=0), concentration=4.0)
        out = logits(i, np.concatenate([np.asarray(mixed).reshape(B, 2, 8, 8, 1), strong[:, None]], axis=1))
        of_mixed, targets, both = out[:, :2].reshape(2 * B, K), np.asarray(targets), np.repeat(clean, 2)
        total += -np.mean(np.sum(targets * log_softmax(of_mixed, axis=1), axis=1)[both])
        total += 20 * 0.4 * np.mean((softmax(of_mixed, axis=1) - targets)[~both] ** 2)
        smooth = np.where(np.eye(K)[label] == 1, 0.6, 0.2)
        total += -np.mean(np.sum(smooth * log_softmax(out[:, 2], axis=1), axis=1)[clean])
    np.testing.assert_allclose(loss, total, rtol=1e-4)
    np.testing.assert_allclose(metrics["clean_share"], clean.mean())


@pytest.mark.full
@pytest.mark.parametrize("all_clean", [False, True])
def test_an_empty_half_costs_nothing(all_clean):
    method = ruc()
    model, aux, batch = state_for_a_step(method, np.full(N, all_clean))
    step = nnx.jit(nnx.value_and_grad(method.loss, has_aux=True))
    (loss, (_, metrics)), gradient = step(model, aux, batch, KEY)
    assert np.isfinite(loss)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    empty = ["unclean"] if all_clean else ["clean", "strong"]
    assert all(metrics[name] == 0 for name in empty)
    assert loss > 0


@pytest.mark.full
def test_no_gradient_through_what_the_networks_say(monkeypatch):
    method = ruc()
    model, aux, batch = state_for_a_step(method, np.arange(N) % 2 > 0)

    def gradient():
        return nnx.jit(nnx.grad(lambda m: method.loss(m, aux, batch, KEY)[0]))(nnx.clone(model))

    expected, said = gradient(), nnx.jit(method._said)
    weak1, weak2, _ = method.three_views(jax.random.split(KEY, 3)[0], batch["x"])
    pairs = jnp.stack([weak1, weak2], axis=1).reshape(2 * B, 8, 8, 1)
    learners = (nnx.clone(model), nnx.clone(model.other))
    answers = iter([said(one, method.plain(batch["x"]), pairs) for one in learners])
    monkeypatch.setattr(methods.RUC, "_said", lambda *args: next(answers))  # numbers, as far as it can tell
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(gradient()), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * np.abs(b).max() + 1e-6)


def test_what_becomes_confident_becomes_clean_for_good():
    method = ruc(relabel=(0.8, 1.0), ramp_epochs=4.0)
    model, aux, _ = state_for_a_step(method, np.arange(N) % 2 == 0)
    features = 3 * jax.random.normal(jax.random.key(8), (N, 2 * model.encoder.n_features))
    _, first = method.refresh(model, {**aux, "confidence": jnp.zeros((2, N))}, features, KEY)
    assert int(first["looks"]) == 1
    assert not first["confidence"].any()
    np.testing.assert_array_equal(first["clean"], aux["clean"])
    logits = [model.head(features[:, :32]), model.other.head(features[:, 32:])]
    probs = np.stack([softmax(np.asarray(one, np.float64), axis=1) for one in logits])
    highest = probs.max(axis=2)
    _, second = method.refresh(model, {**first, "looks": jnp.int32(2)}, features, KEY)  # 2 of 4 epochs: 0.9
    turns = (highest.max(axis=0) >= 0.9) & (np.arange(N) % 2 == 1)
    assert 0 < turns.sum() < N // 2
    new = probs[highest.argmax(axis=0), np.arange(N)].argmax(axis=1)
    np.testing.assert_array_equal(second["clean"], np.asarray(aux["clean"]) | turns)
    np.testing.assert_array_equal(second["label"], np.where(turns, new, aux["label"]))
    scaled = (highest - highest.min(axis=1, keepdims=True)) / np.ptp(highest, axis=1, keepdims=True)
    np.testing.assert_allclose(second["confidence"], scaled, atol=1e-5)
    _, third = method.refresh(model, second, jnp.zeros_like(features), KEY)  # nobody is sure of anything
    np.testing.assert_array_equal(third["clean"], second["clean"])


def test_new_samples_get_the_sum_of_both_logits():
    method = ruc()
    model, aux = method.init(KEY, SPEC)
    x = jax.random.uniform(KEY, (5, 8, 8, 1))
    features = method.embed(model, aux, {"x": x})
    plain = method.plain(x)
    both = model.head(model.encoder(plain)) + model.other.head(model.other.encoder(plain))
    np.testing.assert_allclose(method.assign(model, aux, features), softmax(both, axis=1), rtol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("name", ["kmeans", "dac"])
def test_it_begins_with_a_saved_run(name, tmp_path, one_device):
    settings = {"backbone": NARROW["backbone"]} if name == "dac" else {}
    start = methods.ALL[name](n_clusters=K, **settings)
    source, short = ArraySource(images()), Schedule(epochs=1.0, batch_size=16)
    first = fit(start, source, workdir=tmp_path / "first", schedule=short, devices=one_device)
    method = ruc(selection="metric")
    result = fit(method, source, init_from=tmp_path / "first", schedule=short, devices=one_device)
    np.testing.assert_array_equal(np.argmax(first.probabilities, axis=1), result._state.aux["label"])
    assert result.labels.shape == (N,)


@pytest.mark.full
def test_a_killed_run_goes_on_with_the_same_labels(tmp_path, one_device, monkeypatch):
    method = ruc(selection="metric")
    stages = tuple(Stage(method=m, steps=6, batch_size=16, optimizer=SGD) for m in (methods.DAC(**NARROW), method))
    run = functools.partial(fit, Experiment(stages), ArraySource(images()), devices=one_device)
    whole = run()
    folder, looks, refresh = tmp_path / "run", [], methods.RUC.refresh
    with monkeypatch.context() as patch:
        patch.setattr(methods.RUC, "take_clusters", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):  # the stage before has ended
            run(workdir=folder)
    with monkeypatch.context() as patch:
        patch.setattr(methods.RUC, "refresh", lambda *args: looks.append(1) or refresh(*args))
        with pytest.raises(Stopped):  # RUC is under way
            run(workdir=folder, should_stop=lambda: len(looks) == 2)
    resumed = run(workdir=folder)
    np.testing.assert_array_equal(resumed.probabilities, whole.probabilities)
    back = load(folder, devices=one_device)
    np.testing.assert_array_equal(back.predict(images()), whole.labels)


def test_clusters_that_do_not_fit_are_refused(tmp_path, one_device):
    source, other = ArraySource(images()), ArraySource(images(seed=9))
    fit(methods.KMeans(n_clusters=4), source, workdir=tmp_path / "four", devices=one_device)
    with pytest.raises(InputError, match=r"KMeans \(.*four\) has 4 clusters, but RUC, .* has 3: use n_clusters=4"):
        fit(ruc(), source, init_from=tmp_path / "four", devices=one_device)
    fit(methods.KMeans(n_clusters=K), source, workdir=tmp_path / "three", devices=one_device)
    with pytest.raises(InputError, match="begins with the clusters of the same samples, but KMeans .* others"):
        fit(ruc(), other, init_from=tmp_path / "three", devices=one_device)
    alone = Experiment((Stage(method=ruc(), steps=2, batch_size=16),))
    with pytest.raises(InputError, match="RUC begins with the clusters of a stage before it"):
        fit(alone, source, devices=one_device)
    with pytest.raises(InputError, match="n_neighbors is 60, but there are 48 samples"):
        ruc(n_neighbors=60).init(KEY, SPEC)


@pytest.mark.full
def test_clusters_without_a_clean_label_are_not_given_up_and_the_run_says_so(one_device):
    unsure = Stage(method=methods.DAC(**NARROW), steps=0)
    stages = (unsure, Stage(method=ruc(confidence=1.0), steps=1, batch_size=16, optimizer=SGD))
    result = fit(Experiment(stages), ArraySource(images()), devices=one_device)
    assert any("have no label that is clean by hybrid" in text for text in result.metrics["warnings"])


def test_a_cluster_without_a_clean_label_begins_with_the_surest_of_its_labels():
    label = np.repeat(np.arange(K - 1), [20, N - 20])  # the last cluster is empty: there is nothing to rescue
    probabilities = np.linspace(0.5, 0.9, N)[:, None].repeat(K, axis=1)
    everything = np.ones(N, bool)
    clean, n_rescued = ruc()._rescued(label, everything, probabilities)
    assert clean.all() and n_rescued == 0
    clean, n_rescued = ruc()._rescued(label, label != 0, probabilities)
    assert np.flatnonzero(clean[:20]).tolist() == [18, 19] and clean[20:].all() and n_rescued == 1
    _, aux = ruc().init(KEY, SPEC)
    assert ruc().warning(aux) is None
    assert "1 of 3 clusters have no label" in ruc().warning({**aux, "n_rescued": jnp.int32(n_rescued)})


@pytest.mark.full
def test_handwriting_is_not_mirrored():
    method = ruc(
        augmentation=augment.Strong(n_ops=0, cutout=None, crop=(1.0, 1.0)),
        weak=augment.Weak(crop=(1.0, 1.0), ratio=(1.0, 1.0), jitter_probability=0.0, greyscale_probability=0.0),
        digits=augment.Digits(crops=(1.0,), degrees=0.0, jitter=(0.0, 0.0)),
    )
    x = jax.random.uniform(KEY, (40, 8, 8, 1))
    for view in method.three_views(KEY, x):
        np.testing.assert_allclose(view, x, atol=1e-5)
    mirrored = [np.abs(view - x).max(axis=(1, 2, 3)) > 0.1 for view in method.three_views(KEY, jnp.tile(x, 3))]
    assert all(0 < one.sum() < 40 for one in mirrored)


def test_recipes():
    method = methods.RUC(n_clusters=10)
    stages = method.stages("paper", DataSpec((32, 32, 3), 50_000))
    assert [type(stage.method).__name__ for stage in stages] == ["SimCLR", "SCAN", "SelfLabel", "RUC"]
    assert (stages[-1].epochs, stages[-1].batch_size) == (200, 250)
    assert stages[-1].optimizer.nesterov
    colours = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.2)}
    method = methods.RUC(n_clusters=10, augmentation=augment.Strong(**colours))
    for shape, flip in (((32, 32, 3), True), ((28, 28, 1), False)):
        for stage in method.stages("fast", DataSpec(shape, 50_000))[:-1]:
            views = stage.method.augmentation
            assert (views.mean, views.std, views.flip) == (*colours.values(), flip)
    known = Experiment(stages).of_known_length(DataSpec((32, 32, 3), 50_000))
    assert known.stages[-1].method.ramp_epochs == 200
