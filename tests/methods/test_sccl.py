"""SCCL: one step by NumPy, views, rates, both modes learn, resume, devices."""

import functools
import gzip
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sentence_models import WORDS, packaged_model, write_model

from jaxdc import fit, load, methods
from jaxdc.augment.texts import drop_tokens, random_drop_tokens, random_drop_values
from jaxdc.data import ArraySource
from jaxdc.data.text import Documents, Embedding, TextSource, Tokens
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Optimizer, Stage
from jaxdc.train import steps
from jaxdc.train.embedding import make_embed_resident
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import init_state, merge, replace_model

B, D, K = 12, 6, 3
PETS, MONEY = WORDS[4:9], WORDS[9:]


def texts(n=96, seed=0, words=6):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    return [" ".join(rng.choice((PETS, MONEY)[label], words)) for label in labels], labels


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


def token_source(model, n=96, max_tokens=8):
    x, labels = texts(n)
    return TextSource(Documents.of(x, labels), Tokens(model=str(model), max_tokens=max_tokens))


# One step, by the paper's formulas.


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def objective(features, centroids, z1, z2, *, temperature, eta, alpha):
    z = unit(np.concatenate([z1, z2]))
    similarity = np.exp(z @ z.T / temperature)
    np.fill_diagonal(similarity, 0.0)
    positive = np.exp(np.sum(unit(z1) * unit(z2), axis=1) / temperature)
    contrast = -np.log(np.tile(positive, 2) / similarity.sum(axis=1)).mean()
    distance = ((features[:, None] - centroids[None]) ** 2).sum(axis=-1)
    q = (1 + distance / alpha) ** (-(alpha + 1) / 2)
    q /= q.sum(axis=1, keepdims=True)
    p = q**2 / q.sum(axis=0)
    p /= p.sum(axis=1, keepdims=True)
    return contrast, (p * np.log(p / q)).sum(axis=1).mean(), eta


def project(model, features):
    first, second = model.projector.layers
    hidden = np.maximum(features @ np.asarray(first.kernel[...]) + np.asarray(first.bias[...]), 0)
    return hidden @ np.asarray(second.kernel[...]) + np.asarray(second.bias[...])


@pytest.mark.full
def test_one_step_on_vectors():
    x = np.random.default_rng(0).normal(size=(B, D)).astype(np.float32)
    settings = {"temperature": 0.7, "eta": 3.0, "alpha": 2.0}
    method = methods.SCCL(n_clusters=K, projection=5, dropout=0.4, **settings)
    model, aux = method.init(jax.random.key(0), DataSpec((D,), B))
    model.centroids[...] = jnp.asarray(x[:K]) * 1.3
    kernel = np.eye(D) + np.random.default_rng(1).normal(scale=0.1, size=(D, D))
    model.encoder.layer.kernel[...] = jnp.asarray(kernel, jnp.float32)
    key = jax.random.key(5)
    loss, (_, parts) = method.loss(model, aux, {"x": jnp.asarray(x), "index": jnp.arange(B)}, key)

    drop_key, _ = jax.random.split(key)
    views = np.asarray(random_drop_values(drop_key, jnp.repeat(jnp.asarray(x), 2, axis=0), 0.4))
    z = project(model, unit(views) * np.sqrt(D) @ kernel)
    features = unit(x) * np.sqrt(D) @ kernel
    contrast, kl, eta = objective(features, np.asarray(model.centroids[...]), z[::2], z[1::2], **settings)
    np.testing.assert_allclose(parts["instance"], contrast, rtol=1e-5)
    np.testing.assert_allclose(parts["kl"], kl, rtol=1e-4)
    np.testing.assert_allclose(loss, eta * contrast + kl, rtol=1e-5)


@pytest.mark.full
def test_one_step_on_tokens(model):
    ids = jnp.asarray(token_source(model, B).array)
    settings = {"temperature": 0.5, "eta": 10.0, "alpha": 1.0}
    method = methods.SCCL(n_clusters=2, transformer=str(model), projection=5, dropout=0.0, token_dropout=0.5)
    net, aux = method.init(jax.random.key(0), DataSpec(ids.shape[1:], B, dtype="int32"))
    features = np.asarray(net.encoder(ids))
    assert np.std(np.linalg.norm(features, axis=1)) > 0.01  # not of unit length, as the model has them elsewhere
    net.centroids[...] = jnp.asarray(features[:2])
    key = jax.random.key(5)
    loss, (_, parts) = method.loss(net, aux, {"x": ids, "index": jnp.arange(B)}, key)
    views = random_drop_tokens(jax.random.split(key)[0], jnp.repeat(ids, 2, axis=0), 0.5)
    assert (np.sum(np.asarray(views) != 0, axis=1) < 8).mean() > 0.9
    z = project(net, np.asarray(net.encoder(views)))
    contrast, kl, eta = objective(features, features[:2], z[::2], z[1::2], **settings)
    np.testing.assert_allclose([parts["instance"], parts["kl"]], [contrast, kl], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(loss, eta * contrast + kl, rtol=1e-4)


def test_a_layer_on_vectors_begins_as_the_identity():
    x = np.random.default_rng(0).normal(size=(B, D)).astype(np.float32)
    method = methods.SCCL(n_clusters=K)
    model, aux = method.init(jax.random.key(0), DataSpec((D,), B))
    features = method.embed(model, aux, {"x": jnp.asarray(x)})
    np.testing.assert_allclose(features, unit(x) * np.sqrt(D), rtol=1e-5)


@pytest.mark.full
def test_the_target_has_no_gradient():
    x = jax.random.normal(jax.random.key(0), (B, D))
    method = methods.SCCL(n_clusters=K, projection=5, eta=0.0, alpha=1.0)
    model, aux = method.init(jax.random.key(0), DataSpec((D,), B))
    model.centroids[...] = x[:K]
    from flax import nnx

    graphdef, state = nnx.split(model)

    def loss(state):
        return method.loss(nnx.merge(graphdef, state), aux, {"x": x, "index": jnp.arange(B)}, jax.random.key(1))[0]

    # Of KL(p || q) with p fixed, the gradient by a centroid is DEC's: equation 5 with alpha 1, over the batch.
    got = np.asarray(jax.grad(loss)(state)["centroids"][...], np.float64)
    features = np.asarray(unit(np.asarray(x, np.float64))) * np.sqrt(D)
    centroids = np.asarray(x[:K], np.float64)
    difference = features[:, None] - centroids[None]
    kernel = 1 / (1 + (difference**2).sum(axis=-1))
    q = kernel / kernel.sum(axis=1, keepdims=True)
    p = q**2 / q.sum(axis=0)
    p /= p.sum(axis=1, keepdims=True)
    expected = -2 * ((kernel * (p - q))[..., None] * difference).sum(axis=0) / B
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-6)


# Views.


def test_tokens_that_are_left_out():
    tokens = jnp.array([[2, 5, 6, 7, 3, 0], [2, 3, 0, 0, 0, 0], [2, 5, 6, 7, 8, 3]])
    dropped = jnp.array([[1, 0, 1, 0, 1, 0], [1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 1, 0]], bool)
    expected = [[2, 5, 7, 3, 0, 0], [2, 3, 0, 0, 0, 0], [2, 3, 0, 0, 0, 0]]
    np.testing.assert_array_equal(drop_tokens(tokens, dropped), expected)
    many = jnp.tile(jnp.array([[2, *range(4, 24), 3]]), (500, 1))
    kept = np.sum(np.asarray(random_drop_tokens(jax.random.key(0), many, 0.3)) != 0, axis=1) - 2
    np.testing.assert_allclose(kept.mean(), 14, atol=0.3)
    np.testing.assert_array_equal(random_drop_tokens(jax.random.key(0), many, 0.0), many)


def test_values_that_are_set_to_zero():
    x = random_drop_values(jax.random.key(0), jnp.ones((100, 100)), 0.75)
    np.testing.assert_array_equal(np.unique(x), [0, 4])
    np.testing.assert_allclose(np.mean(x), 1.0, atol=0.05)


# Training.


def settings_of(mode, model):
    if mode == "vectors":
        rng = np.random.default_rng(0)
        labels = rng.integers(3, size=96)
        x = rng.normal(size=(3, 16))[labels] + 0.5 * rng.normal(size=(96, 16))
        return ArraySource(x, labels), {"n_clusters": 3}
    return token_source(model), {"n_clusters": 2, "transformer": str(model)}


@pytest.mark.full
@pytest.mark.parametrize("mode", ["vectors", "tokens"])
def test_the_encoder_has_its_own_rate(mode, model):
    source, settings = settings_of(mode, model)
    method = methods.SCCL(projection=4, **settings)
    spec = DataSpec(source.shape, source.n_samples, dtype=str(source.dtype))
    mesh = sharding.make_mesh(jax.devices()[:1])
    moved = {}
    for rate in (1.0, 0.25, 0.0):
        optimizer = Optimizer(name="sgd", learning_rate=0.01, encoder_rate=rate)
        stage = Stage(method=method, steps=1, batch_size=32, optimizer=optimizer)
        tx = make_optimizer(stage, source.n_samples)
        graphdef, state = init_state(method, tx, jax.random.key(0), spec, mesh)
        before = jax.device_get(state.params)
        run = steps.make_streaming_step(method, graphdef, tx, mesh, 1)
        state, _ = run(state, jnp.asarray(source.array[:32]), jnp.arange(32))
        moved[rate] = jax.tree.map(
            lambda a, b: np.asarray(b) - np.asarray(a), before, jax.device_get(state.params)
        )
    for name in ("encoder", "projector"):
        for rate, factor in ((0.25, 0.25), (0.0, 0.0)):
            factor = factor if name == "encoder" else 1.0
            pairs = zip(jax.tree.leaves(moved[1.0][name]), jax.tree.leaves(moved[rate][name]), strict=True)
            for full, part in pairs:
                # A difference of weights of order 1.
                np.testing.assert_allclose(part, factor * full, rtol=1e-3, atol=3e-7)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(moved[1.0]["encoder"])) > 1e-4


@functools.cache
def losses_of(model, n_devices):
    """Of three steps, and the features after them."""
    source = token_source(model)
    method = methods.SCCL(n_clusters=2, transformer=str(model), projection=4)
    stage = Stage(method=method, steps=3, batch_size=32, optimizer=Optimizer(name="sgd", learning_rate=1e-3))
    tx, mesh = make_optimizer(stage, source.n_samples), sharding.make_mesh(jax.devices()[:n_devices])
    spec = DataSpec(source.shape, source.n_samples, dtype="int32")
    graphdef, state = init_state(method, tx, jax.random.key(0), spec, mesh)
    x = sharding.replicate(source.array, mesh)
    embed = make_embed_resident(method, graphdef, mesh, 96)
    model, aux = method.refresh(merge(graphdef, state), state.aux, embed(state, x), jax.random.key(1))
    state = replace_model(state, model, aux, tx, mesh)
    run = steps.make_resident_steps(method, graphdef, tx, mesh, 32)
    order, losses = sharding.replicate(np.arange(96, dtype=np.int32), mesh), []
    for i in range(3):
        state, metrics = run(state, x, order, jnp.int32(i), jnp.int32(1))
        losses.append(float(metrics["loss"]))
    return losses, np.asarray(embed(state, x))


@pytest.mark.parametrize(
    "n_devices",
    [*(pytest.param(n, marks=pytest.mark.long) for n in (2, 4)), pytest.param(8, marks=pytest.mark.full)],
)
def test_tokens_on_many_devices(n_devices, model):
    (alone, features), (shared, same) = (losses_of(model, n) for n in (1, n_devices))
    np.testing.assert_allclose(shared, alone, rtol=1e-5)
    np.testing.assert_allclose(same, features, rtol=1e-3, atol=1e-4)
    assert len(set(alone)) == 3


@pytest.mark.full
@pytest.mark.parametrize("mode", ["vectors", "tokens"])
def test_stopped_and_resumed_ends_in_the_same_bits(mode, model, tmp_path, one_device):
    from jaxdc.train.stage_run import Stopped

    source, settings = settings_of(mode, model)
    stage = Stage(method=methods.SCCL(projection=4, n_init=2, **settings), steps=9, batch_size=32)
    whole = fit(Experiment((stage,)), source, devices=one_device)
    calls = iter(range(100))
    with pytest.raises(Stopped):
        fit(
            Experiment((stage,)),
            source,
            devices=one_device,
            workdir=tmp_path / "run",
            should_stop=lambda: next(calls) == 2,
        )
    resumed = fit(Experiment((stage,)), source, devices=one_device, workdir=tmp_path / "run")
    np.testing.assert_array_equal(resumed.probabilities, whole.probabilities)
    loaded = load(tmp_path / "run", devices=one_device)
    if mode == "tokens":
        new = texts(20, seed=3)[0]
        np.testing.assert_allclose(loaded.predict_proba(new), resumed.predict_proba(new), rtol=1e-6)


@pytest.mark.full
def test_streamed_tokens_are_the_same(model, one_device):
    source = token_source(model)
    stage = Stage(method=methods.SCCL(n_clusters=2, transformer=str(model), projection=4), steps=0, batch_size=32)
    resident = fit(Experiment((stage,)), source, devices=one_device)
    source.array = None
    streamed = fit(Experiment((stage,)), source, devices=one_device)
    np.testing.assert_allclose(streamed.embeddings, resident.embeddings, rtol=1e-5, atol=1e-6)


def test_the_wrong_samples_are_refused(model):
    tokens, vectors = token_source(model), ArraySource(np.eye(40))
    for source, settings in ((tokens, {}), (vectors, {"transformer": str(model)})):
        with pytest.raises(InputError, match="set both --vectors tokens and --transformer, or neither"):
            fit(methods.SCCL(n_clusters=2, **settings), source)
    with pytest.raises(InputError, match="temperature must be above 0"):
        methods.SCCL(n_clusters=2, temperature=0.0)
    with pytest.raises(InputError, match="token_dropout must be at least 0 and below 1"):
        methods.SCCL(n_clusters=2, token_dropout=1.0)


def test_the_released_settings():
    spec = DataSpec((32,), 12_340, dtype="int32")
    stage = methods.SCCL(n_clusters=8, transformer="a-model").stages("paper", spec)[-1]
    assert (stage.steps, stage.batch_size) == (3000, 400)
    assert stage.optimizer.learning_rate * stage.optimizer.encoder_rate == pytest.approx(1e-5)
    assert stage.optimizer.learning_rate == pytest.approx(1e-3)
    on_vectors = methods.SCCL(n_clusters=8).stages("fast", spec)[-1]
    assert on_vectors.optimizer.encoder_rate == 1.0
    assert (on_vectors.steps, on_vectors.batch_size) == (500, 256)


def topics(n, seed, own=0.85):
    """Texts of which most words, but not all, are of one topic."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    topics = np.where(rng.random((n, 8)) < own, labels[:, None], 1 - labels[:, None])
    words = np.array([PETS, MONEY])[topics, rng.integers(5, size=(n, 8))]
    return Documents.of([" ".join(row) for row in words], labels)


@pytest.mark.long
@pytest.mark.optimized
def test_a_random_transformer_learns_what_words_go_together(model, one_device):
    scores = []
    for seed in (0, 1, 2):
        documents = topics(512, seed)
        vectors = TextSource(documents, Embedding(model=str(model)))
        k_means = fit(methods.KMeans(n_clusters=2), vectors, seed=seed, devices=one_device)
        method = methods.SCCL(n_clusters=2, transformer=str(model), projection=16)
        stage = Stage(method=method, steps=150, batch_size=128, optimizer=Optimizer(learning_rate=3e-3))
        tokens = TextSource(documents, Tokens(model=str(model), max_tokens=10))
        result = fit(Experiment((stage,)), tokens, seed=seed, devices=one_device)
        scores.append((k_means.metrics["acc"], result.metrics["acc"]))
    before, after = np.mean(scores, axis=0)
    assert before < 0.6
    assert after > before + 0.15, scores


@pytest.mark.full
@pytest.mark.realdata
@pytest.mark.optimized
def test_the_packaged_transformer_is_trained_on_search_results(real_data, one_device):
    with gzip.open(real_data / "searchsnippets.jsonl.gz", "rt") as file:
        records = [json.loads(line) for line in file][::40]
    documents = Documents.of([r["text"] for r in records], [r["label"] for r in records])
    path = str(packaged_model())
    tokens = TextSource(documents, Tokens(model=path, max_tokens=24))
    optimizer = Optimizer(learning_rate=1e-3, encoder_rate=0.03)
    stage = Stage(
        method=methods.SCCL(n_clusters=8, transformer=path), steps=16, batch_size=48, optimizer=optimizer
    )
    history = fit(Experiment((stage,)), tokens, devices=one_device).history
    contrast = [row["instance"] for row in history if "loss" in row]
    accuracy = [row["acc"] for row in history if "acc" in row]
    assert np.mean(contrast[-3:]) < 0.8 * contrast[0]
    # The first is that of k-means on the model as it came.
    assert accuracy[-1] > accuracy[0] - 0.02, accuracy
