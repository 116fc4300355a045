"""PCL: a step and the search for prototypes against NumPy and scikit-learn; warm-up, resume, recipes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from losses.test_prototype import reference_concentration
from scipy.special import log_softmax
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from jaxdc import augment, cluster, fit, methods, nn
from jaxdc.errors import InputError
from jaxdc.methods import PCL
from jaxdc.methods.base import DataSpec, Experiment, Optimizer, Schedule, Stage
from jaxdc.methods.parts import momentum
from jaxdc.train import stage_run
from jaxdc.train.stage_run import Stopped

N, B, K, D = 40, 6, 3, 5
SPEC = DataSpec((8, 8, 3), N)
NARROW = {"n_clusters": K, "backbone": nn.Backbone(depth=6, width=16), "projection": D}
KEY = jax.random.key(7)


def unit(x):
    return np.asarray(x) / np.linalg.norm(x, axis=-1, keepdims=True)


def started(method):
    """A network that its momentum encoder lags behind, a queue with six keys, prototypes; and a batch."""
    model, aux = method.init(jax.random.key(0), SPEC)
    rng = np.random.default_rng(0)
    queue = np.zeros((10, D), np.float32)
    queue[:6] = unit(rng.normal(size=(6, D)))
    sizes = [len(p) for p in aux["prototypes"]]
    aux |= {
        "momentum_encoder": jax.tree.map(lambda a: 0.9 * a + 0.01, aux["momentum_encoder"]),
        "queue": jnp.asarray(queue),
        "position": jnp.int32(6),
        "step": jnp.int32(1),
        "prototypes": tuple(jnp.asarray(unit(rng.normal(size=(k, D))), jnp.float32) for k in sizes),
        "concentration": tuple(jnp.asarray(rng.uniform(0.1, 0.4, k), jnp.float32) for k in sizes),
        "labels": jnp.asarray(np.stack([rng.integers(k, size=N) for k in sizes]), jnp.int32),
        "warmed_up": jnp.array(True),
    }
    x = jax.random.uniform(jax.random.key(1), (B, *SPEC.shape))
    return model, aux, {"x": x, "index": jnp.array([3, 39, 0, 7, 8, 11], jnp.int32)}


def step(method, model, aux, batch):
    graphdef, state = nnx.split(model)

    @jax.jit
    def run(state, aux, batch):
        loss, (aux, metrics) = method.loss(nnx.merge(graphdef, state, copy=True), aux, batch, KEY)
        return loss, aux, metrics

    return run(state, aux, batch)


@pytest.mark.full
@pytest.mark.parametrize(
    ("head", "n_negatives"),
    [
        ("mlp", 4),
        ("linear", None),
        ("linear", 4),
        ("mlp", None),
    ],
)
def test_a_step(head, n_negatives):
    method = PCL(
        **NARROW,
        head=head,
        temperature=0.25,
        momentum=0.8,
        queue_size=10,
        n_prototypes=(4, 9),
        n_negative_prototypes=n_negatives,
    )
    model, aux, batch = started(method)
    assert len(model.projector.layers) == (1 if head == "linear" else 2)
    views_key, negatives_key = jax.random.split(KEY)
    query_view, key_view = augment.two_views(views_key, batch["x"], method.augmentation)
    graphdef, state = nnx.split(model)
    average = jax.tree.map(lambda a, b: 0.8 * a + 0.2 * b, aux["momentum_encoder"], state)
    # In step 1 the average of the statistics keeps 2 / 11.
    statistics = jax.tree.map(
        lambda a, b: (2 * a + 9 * b) / 11, *(s.filter(nnx.BatchStat) for s in (aux["momentum_encoder"], state))
    )
    average = nnx.merge_state(average.filter(nnx.Param), statistics)
    keys = unit(nnx.merge(graphdef, average, copy=True)(key_view, train=False))
    queries = unit(nnx.merge(graphdef, state, copy=True)(query_view, train=True))
    queue = np.array(aux["queue"])
    scores = np.concatenate([np.sum(queries * keys, axis=1, keepdims=True), queries @ queue[:6].T], axis=1)
    instance = -log_softmax(scores / 0.25, axis=1)[:, 0].mean()
    terms = []
    for i, k in enumerate((4, 9)):
        prototypes, phi = np.asarray(aux["prototypes"][i]), np.asarray(aux["concentration"][i])
        rows = set(range(k))
        if n_negatives is not None and n_negatives < k:
            drawn = np.asarray(method._negatives(jax.random.fold_in(negatives_key, i), k))
            rows = set(drawn.tolist())
            assert len(rows) == n_negatives
        for q, index in zip(queries, np.asarray(batch["index"]), strict=True):
            own = int(aux["labels"][i, index])
            others = sorted({own} | rows)
            logits = prototypes[others] @ q / phi[others]
            terms.append(-log_softmax(logits)[others.index(own)])
    loss, new, metrics = step(method, model, aux, batch)
    np.testing.assert_allclose(metrics["instance"], instance, rtol=1e-4)
    np.testing.assert_allclose(metrics["prototype"], np.mean(terms), rtol=1e-4)
    np.testing.assert_allclose(loss, instance + np.mean(terms), rtol=1e-4)
    queue[[6, 7, 8, 9, 0, 1]] = keys
    np.testing.assert_allclose(new["queue"], queue, rtol=1e-3, atol=1e-5)
    assert (int(new["position"]), int(new["step"])) == (2, 2)
    for name in ("labels", "prototypes", "concentration", "centroids", "warmed_up", "n_refreshes"):
        jax.tree.map(np.testing.assert_array_equal, new[name], aux[name])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), new["momentum_encoder"], average
    )
    # In the warm-up it is InfoNCE alone.
    loss, _, metrics = step(method, model, {**aux, "warmed_up": jnp.array(False)}, batch)
    np.testing.assert_allclose(loss, instance, rtol=1e-4)
    assert metrics["prototype"] == 0


def test_negatives_are_drawn_anew_and_never_twice():
    method = PCL(**NARROW, n_negative_prototypes=5)
    draws = [np.asarray(method._negatives(jax.random.key(i), 8)) for i in range(40)]
    assert all(len(set(rows.tolist())) == 5 for rows in draws)
    assert len({tuple(sorted(rows)) for rows in draws}) > 10
    assert method._negatives(jax.random.key(0), 5) is None


@pytest.mark.full
@pytest.mark.parametrize("embedding", ["features", "z"])
def test_a_search_for_prototypes(embedding):
    # Random starts have a sample of each of four blobs once in ten times.
    runs = {"n_prototypes": (4, 11), "prototype_n_init": 60}
    method = PCL(**NARROW, **runs, head="linear", embedding=embedding, smoothing=2.0, n_clustered=30)
    model, aux, _ = started(method)
    aux["warmed_up"] = jnp.array(False)
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.uniform(size=(N, *SPEC.shape)), jnp.float32)
    average = momentum.network(model, aux)
    width = np.asarray(method.embed(model, aux, {"x": x})).shape[1]
    np.testing.assert_allclose(
        method.embed(model, aux, {"x": x}),
        average.encoder(x) if embedding == "features" else unit(average(x)),
        rtol=1e-4,
        atol=1e-6,
    )
    blobs = 4 * rng.normal(size=(4, width))[np.arange(N) % 4] + 0.5 * rng.normal(size=(N, width))
    features = jnp.asarray(blobs if embedding == "features" else unit(blobs), jnp.float32)
    same, new = method.refresh(model, aux, features, KEY)
    assert same is model
    assert bool(new["warmed_up"])
    assert int(new["n_refreshes"]) == 1
    z = unit(average.projector(features)) if embedding == "features" else np.asarray(features)
    for i, k in enumerate((4, 11)):
        labels = np.asarray(new["labels"][i])
        centroids = np.stack([z[labels == j].mean(axis=0) for j in range(k)])
        distances = ((z[:, None] - centroids[None]) ** 2).sum(axis=-1)
        np.testing.assert_array_equal(distances.argmin(axis=1), labels)
        theirs = KMeans(k, n_init=20, random_state=0).fit(z)
        assert distances.min(axis=1).sum() < 1.5 * theirs.inertia_
        if k == 4:
            assert adjusted_rand_score(theirs.labels_, labels) == 1
        np.testing.assert_allclose(new["prototypes"][i], unit(centroids), rtol=1e-4, atol=1e-5)
        phi = reference_concentration(z, centroids, labels, 2.0, method.temperature)
        np.testing.assert_allclose(new["concentration"][i], phi, rtol=1e-4)
    # The end of a run searches for the reported clusters alone, and harder: the best of n_init runs.
    first = KMeans(K, n_init=20, random_state=0).fit(unit(features)[:30])
    same, ended = method.finish(model, new, features, KEY)
    assert same is model
    assert adjusted_rand_score(first.labels_, method.assign(model, ended, features[:30]).argmax(axis=1)) == 1
    for name in ("labels", "prototypes", "concentration", "n_refreshes"):
        jax.tree.map(np.testing.assert_array_equal, ended[name], new[name])


@pytest.mark.full
def test_prototypes_come_with_the_end_of_the_warm_up(one_device):
    """Counted by refreshes: twice an epoch of four steps."""
    x = np.random.default_rng(0).integers(0, 255, (N, 8, 8, 3), np.uint8)
    method = PCL(**NARROW, warmup_epochs=1.5, refresh_epochs=0.5)
    stage = Stage(method=method, steps=10, batch_size=10)
    history = fit(Experiment((stage,)), x, devices=one_device).history
    assert [row["step"] for row in history if "active_clusters" in row] == [0, 2, 4, 6, 8, 10]
    rows = [row for row in history if "loss" in row]
    assert all((row["prototype"] > 0) == (row["step"] > 6) for row in rows)
    assert {row["step"] > 6 for row in rows} == {True, False}


@pytest.mark.full
@pytest.mark.parametrize("stop_at", [2, 6, 8, 11])
def test_stopped_and_resumed_ends_in_the_same_bits(stop_at, one_device, tmp_path, monkeypatch):
    """Within an epoch of the warm-up, right at the end of it, and within an epoch after it."""
    monkeypatch.setattr(stage_run, "DISPATCH_SECONDS", 0.0)
    x = np.random.default_rng(0).integers(0, 255, (N, 8, 8, 3), np.uint8)
    method = PCL(**NARROW, warmup_epochs=2.0, refresh_epochs=1.0, n_prototypes=(4, 9), n_negative_prototypes=6)
    sgd = Optimizer(name="sgd", learning_rate=0.05)
    run = Experiment((Stage(method=method, steps=14, batch_size=10, optimizer=sgd),))
    whole = fit(run, x, devices=one_device)
    calls = iter(range(10**6))
    with pytest.raises(Stopped):
        fit(run, x, devices=one_device, workdir=tmp_path, should_stop=lambda: next(calls) == stop_at)
    resumed = fit(run, x, devices=one_device, workdir=tmp_path)
    np.testing.assert_array_equal(resumed.embeddings, whole.embeddings)
    np.testing.assert_array_equal(resumed.probabilities, whole.probabilities)
    assert all((row["prototype"] > 0) == (row["step"] > 8) for row in whole.history if "loss" in row)
    losses = {row["step"]: row["loss"] for row in whole.history if "loss" in row}
    again = {row["step"]: row["loss"] for row in resumed.history if "loss" in row}
    assert again == losses
    assert len(losses) == 14


@pytest.mark.full
@pytest.mark.parametrize(
    "name",
    ["pcl", "deepcluster", "deepcluster_v2", "cc"],
)
def test_only_the_end_of_a_run_takes_all_runs_of_k_means(name, one_device, monkeypatch):
    seen, k_means = [], cluster.k_means

    def counted(key, x, n_clusters, **settings):
        if n_clusters == K:
            seen.append(settings.get("n_init", 1))
        return k_means(key, x, n_clusters, **settings)

    monkeypatch.setattr(cluster, "k_means", counted)
    settings = {"cc": {"heads": "instance"}, "pcl": {"n_prototypes": (4,)}}.get(name, {"n_pseudo_clusters": 5})
    if name == "cc":
        settings["projection"] = 5
    method = methods.ALL[name](
        n_clusters=K, backbone=nn.Backbone(depth=6, width=16), refresh_epochs=1.0, n_init=7, **settings
    )
    x = np.random.default_rng(0).integers(0, 255, (N, 8, 8, 3), np.uint8)
    fit(Experiment((Stage(method=method, steps=6, batch_size=20),)), x, devices=one_device)
    assert seen == [1, 1, 1, 7]


def test_sizes_that_were_left_open():
    sizes = {n: PCL(n_clusters=10)._prototypes_of(n) for n in (50_000, 1_797, 64)}
    assert sizes == {50_000: (250, 500, 1000), 1_797: (10, 17, 35), 64: (10, 10, 10)}


def test_recipes_fill_in_what_was_left_open():
    spec = DataSpec((32, 32, 3), 50_000)
    (v1,) = PCL(n_clusters=10, augmentation=augment.Weak(mean=(0.5,))).stages("paper", spec)
    (v2,) = PCL(n_clusters=10).stages("paper_v2", spec)
    for stage in (v1, v2):
        method = stage.method
        assert (stage.epochs, stage.batch_size, method.backbone.depth) == (200, 256, 50)
        assert (method.queue_size, method.n_negative_prototypes) == (16_384, 16_384)
        assert method.for_length(stage.epochs).warmup_epochs == 20
    assert (v1.method.head, v2.method.head) == ("linear", "mlp")
    assert (v1.optimizer.decay_at, v1.optimizer.cosine) == ((0.6, 0.8), False)
    assert (v2.optimizer.decay_at, v2.optimizer.cosine) == ((), True)
    views = augment.Weak(jitter=(0.4, 0.4, 0.4, 0.4), jitter_probability=1.0, mean=(0.5,))
    assert v1.method.augmentation == views
    assert v2.method.augmentation == augment.Weak(blur_probability=0.5)
    (fast,) = PCL(n_clusters=10).stages("fast", spec)
    assert (fast.method.head, fast.optimizer.cosine) == ("mlp", True)
    assert [s.refresh_interval(50_000) for s in (v1, v2, fast)] == [195, 195, 4 * (50_000 // 512)]
    (kept,) = PCL(n_clusters=10, refresh_epochs=4.0).stages("paper", spec)
    assert kept.refresh_interval(50_000) == 4 * 195
    mine = PCL(n_clusters=10, head="mlp", warmup_epochs=0.0, augmentation=augment.Weak(flip=False), queue_size=512)
    for recipe in ("paper", "fast"):
        (stage,) = mine.stages(recipe, spec)
        for name in ("head", "warmup_epochs", "augmentation", "queue_size"):
            assert getattr(stage.method, name) == getattr(mine, name)


def test_the_warm_up_is_a_tenth_of_whatever_length_is_trained():
    spec, schedule = DataSpec((32, 32, 3), 50_000), Schedule(epochs=30)
    for method, expected in ((PCL(n_clusters=10), 3.0), (PCL(n_clusters=10, warmup_epochs=7.0), 7.0)):
        for recipe in method.recipe_names:
            experiment = schedule.apply(Experiment(method.stages(recipe, spec))).of_known_length(spec)
            assert experiment.stages[0].method.warmup_epochs == expected
    (stage,) = Experiment(PCL(n_clusters=10).stages("fast", spec)).of_known_length(spec).stages
    assert stage.method.warmup_epochs == 45.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "deep"}, "head must be one of linear, mlp, not 'deep'"),
        ({"n_prototypes": ()}, "n_prototypes is empty"),
        ({"n_prototypes": (4, 1)}, "n_prototypes must be at least 2, but is 1"),
        ({"n_negative_prototypes": 0}, "n_negative_prototypes must be at least 1"),
        ({"warmup_epochs": -1.0}, "warmup_epochs must be"),
        ({"refresh_epochs": 0.0}, "refresh_epochs must be above 0"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"momentum": 1.0}, "momentum must be"),
        ({"embedding": "y"}, "embedding must be one of"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(InputError, match=message):
        PCL(n_clusters=3, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_prototypes": (4, 41)}, "can't make 41 prototypes from 40 samples: lower n_prototypes"),
        ({"n_clustered": 41}, "n_clustered is 41, but there are 40 samples"),
        ({"queue_size": 8}, "the queue of 8 keys is smaller than a batch of 20"),
        ({"warmup_epochs": 4.0}, "the warm-up of 4 epochs is longer than the training of 3"),
    ],
)
def test_settings_that_do_not_fit_the_data(settings, message, one_device):
    x = np.zeros((N, 8, 8, 3), np.uint8)
    stage = Stage(method=PCL(**NARROW, **settings), steps=6, batch_size=20)
    with pytest.raises(InputError, match=message):
        fit(Experiment((stage,)), x, devices=one_device)


def test_samples_that_are_no_images():
    with pytest.raises(InputError, match="augmented views, needs images"):
        dataclasses.replace(PCL(**NARROW)).init(jax.random.key(0), DataSpec((64,), N))
