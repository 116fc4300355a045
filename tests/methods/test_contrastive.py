"""One step of each contrastive room against NumPy and optax, and what its settings and recipes mean."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from scipy.special import log_softmax, softmax

from jaxdc import augment, fit, methods, nn
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Schedule, Stage
from jaxdc.methods.parts import two_views
from jaxdc.probe import knn_probe, stratified_half
from jaxdc.train.stage_run import Stopped

N, B, K = 20, 6, 3
SPEC = DataSpec((8, 8, 3), N)
NARROW = {"n_clusters": K, "backbone": nn.Backbone(depth=6, width=16), "projection": 5}
KEY = jax.random.key(7)


def started(method):
    """The network and aux, and a batch."""
    model, aux = method.init(jax.random.key(0), SPEC)
    x = jax.random.uniform(jax.random.key(1), (B, *SPEC.shape))
    return model, aux, {"x": x, "index": jnp.array([3, 19, 0, 7, 8, 11], jnp.int32)}


def step(method, model, aux, batch):
    graphdef, state = nnx.split(model)

    @jax.jit
    def run(state, aux, batch):
        model = nnx.merge(graphdef, state, copy=True)
        loss, (aux, metrics) = method.loss(model, aux, batch, KEY)
        return loss, aux, metrics, nnx.state(model)

    return run(state, aux, batch)


def features_of(model, x):
    """In training mode, without a trace in the model."""
    graphdef, state = nnx.split(model)
    return jax.jit(lambda s, x: nnx.merge(graphdef, s, copy=True).encoder(x, train=True))(state, x)


def both_views(method, x, kind="both"):
    views = augment.two_views(KEY, x, method.augmentation)
    return {"both": views, "one": (views[0], x), "none": (x, x)}[kind]


def unit(x):
    return np.asarray(x) / np.linalg.norm(x, axis=-1, keepdims=True)


def combinations(first, second, default):
    """Each with each; those that are not among ``default`` are in the full tier."""
    marks = {True: (), False: pytest.mark.full}
    return [pytest.param(a, b, marks=marks[(a, b) in default]) for a in first for b in second]


CC_SETTINGS = combinations(("both", "instance", "cluster"), ("both", "one", "none"), {("both", "both")})
IDFD_SETTINGS = combinations(
    ("softmax", "orthogonal", "none"), ("bank", "batch"), {("softmax", "bank"), ("orthogonal", "batch")}
)


@pytest.mark.parametrize("anchors", ["both", pytest.param("first", marks=pytest.mark.full)])
def test_simclr(anchors):
    method = methods.SimCLR(**NARROW, temperature=0.3, anchors=anchors)
    model, aux, batch = started(method)
    # One view after the other here, side by side in the room: batch statistics know no order.
    z = model.projector(features_of(model, jnp.concatenate(both_views(method, batch["x"]))))
    loss, _, metrics, _ = step(method, model, aux, batch)
    if anchors == "both":
        expected = optax.losses.ntxent(z, jnp.tile(jnp.arange(B), 2), temperature=0.3)
    else:
        scores = unit(z[:B]) @ unit(z).T / 0.3
        scores[np.arange(B), np.arange(B)] = -np.inf
        expected = -log_softmax(scores, axis=1)[np.arange(B), B + np.arange(B)].mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_allclose(metrics["instance"], loss)


@pytest.mark.parametrize(("heads", "augmented"), CC_SETTINGS)
def test_cc(heads, augmented):
    method = methods.CC(**NARROW, heads=heads, augmented=augmented, entropy_weight=0.7)
    model, aux, batch = started(method)
    features = features_of(model, jnp.concatenate(both_views(method, batch["x"], augmented)))
    instance = optax.losses.ntxent(model.projector(features), jnp.tile(jnp.arange(B), 2), temperature=0.5)
    y = softmax(np.asarray(model.head(features)), axis=1)
    columns = jnp.concatenate([y[:B].T, y[B:].T])
    cluster = optax.losses.ntxent(columns, jnp.tile(jnp.arange(K), 2), temperature=1.0)
    p = np.stack([y[:B].mean(axis=0), y[B:].mean(axis=0)])
    imbalance = 0.7 * (np.log(K) + np.sum(p * np.log(p), axis=1)).sum()
    expected = (heads != "cluster") * instance + (heads != "instance") * (cluster + imbalance)
    np.testing.assert_allclose(step(method, model, aux, batch)[0], expected, rtol=1e-4)


@pytest.mark.parametrize(("decorrelation", "memory"), IDFD_SETTINGS)
def test_idfd(decorrelation, memory):
    settings = {"temperature": 0.4, "alpha": 0.3, "momentum": 0.6, "decorrelation_temperature": 1.5}
    method = methods.IDFD(**NARROW, decorrelation=decorrelation, memory=memory, **settings)
    model, aux, batch = started(method)
    z = model.projector(features_of(model, method.augmentation(KEY, batch["x"])))
    v, rows = unit(z), np.asarray(batch["index"])
    others = np.asarray(aux["memory_bank"]) if memory == "bank" else v
    own = rows if memory == "bank" else np.arange(B)
    expected = -log_softmax(v @ others.T / 0.4, axis=1)[np.arange(B), own].mean()
    if decorrelation == "softmax":
        f = v / np.linalg.norm(v, axis=0)
        expected += -0.3 * np.diagonal(log_softmax(f.T @ f / 1.5, axis=1)).mean()
    elif decorrelation == "orthogonal":
        expected += 0.3 * np.sum((5 / B * v.T @ v - np.eye(5)) ** 2) / 5
    loss, new, _, _ = step(method, model, aux, batch)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    if memory == "bank":
        bank = others.copy()
        bank[rows] = unit(0.6 * bank[rows] + 0.4 * v)
        np.testing.assert_allclose(new["memory_bank"], bank, rtol=1e-3, atol=1e-5)
    else:
        assert "memory_bank" not in new


def test_moco():
    method = methods.MoCo(**NARROW, temperature=0.25, momentum=0.8, queue_size=8)
    model, aux, batch = started(method)
    # An encoder that has moved since, and a queue with two keys in it.
    aux["momentum_encoder"] = jax.tree.map(lambda a: 0.9 * a + 0.01, aux["momentum_encoder"])
    queue = np.zeros((8, 5), np.float32)
    queue[:6] = unit(np.random.default_rng(0).normal(size=(6, 5)))
    aux |= {"queue": jnp.asarray(queue), "position": jnp.int32(6), "step": jnp.int32(1)}
    query_view, key_view = both_views(method, batch["x"])
    graphdef, state = nnx.split(model)
    average = jax.tree.map(lambda a, b: 0.8 * a + 0.2 * b, aux["momentum_encoder"], state)
    # In step 1 the average of the statistics keeps 2 / 11.
    statistics = jax.tree.map(
        lambda a, b: (2 * a + 9 * b) / 11, *(s.filter(nnx.BatchStat) for s in (aux["momentum_encoder"], state))
    )
    average = nnx.merge_state(average.filter(nnx.Param), statistics)
    keys = unit(nnx.merge(graphdef, average, copy=True)(key_view, train=False))
    queries = unit(model.projector(features_of(model, query_view)))
    scores = np.concatenate([np.sum(queries * keys, axis=1, keepdims=True), queries @ queue[:6].T], axis=1)
    expected = -log_softmax(scores / 0.25, axis=1)[:, 0].mean()
    loss, new, _, _ = step(method, model, aux, batch)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    queue[[6, 7, 0, 1, 2, 3]] = keys
    np.testing.assert_allclose(new["queue"], queue, rtol=1e-3, atol=1e-5)
    assert (int(new["position"]), int(new["step"])) == (4, 2)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), new["momentum_encoder"], average
    )


@pytest.mark.full
def test_the_memory_bank_is_scored_beside_the_plain_views(one_device):
    x = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 3), np.uint8)
    y = np.arange(40) % K
    stage = Stage(method=methods.IDFD(**NARROW), steps=4, batch_size=20)
    result = fit(Experiment((stage,)), x, y, devices=one_device)
    (name, figures), *others = result.metrics["alternatives"].items()
    assert name == "the memory bank" and not others and set(figures) == {"acc", "nmi", "ari"}
    without = fit(Experiment((stage,)), x, devices=one_device)
    assert "alternatives" not in without.metrics


def test_the_nearest_centroid_is_the_likeliest():
    rng = np.random.default_rng(0)
    features, centroids = unit(rng.normal(size=(30, 4))), rng.normal(size=(5, 4))
    squares = ((features[:, None] - centroids[None]) ** 2).sum(axis=-1)
    expected = softmax(-squares / (2 * 0.3), axis=1)
    np.testing.assert_allclose(two_views.nearest(features, centroids, 0.3), expected, rtol=1e-4, atol=1e-7)


def test_a_recipe_fills_in_what_was_left_open():
    (stage,) = methods.CC(n_clusters=10).stages("paper", DataSpec((32, 32, 3), 60_000))
    backbone, optimizer = stage.method.backbone, stage.optimizer
    assert (backbone.depth, stage.method.augmentation.size) == (34, 224)
    assert (optimizer.name, optimizer.learning_rate, stage.batch_size, stage.epochs) == ("adam", 3e-4, 256, 1000)
    mine = methods.CC(n_clusters=10, backbone=nn.Backbone(depth=18), augmentation=augment.Weak(size=32))
    (stage,) = mine.stages("paper", DataSpec((32, 32, 3), 60_000))
    assert (stage.method.backbone.depth, stage.method.augmentation.size) == (18, 32)


@pytest.mark.parametrize(("side", "stem"), [(32, "cifar"), (96, "stl"), (224, "imagenet")])
@pytest.mark.parametrize("name", ["pcl", "moco", "deepcluster_v2"])
def test_the_stem_of_the_paper_follows_the_side_of_the_views(name, side, stem):
    method = methods.ALL[name](n_clusters=10)
    (stage,) = method.stages("paper", DataSpec((side, side, 3), 5000))
    assert stage.method.backbone.depth == 50
    model = nnx.eval_shape(lambda: stage.method.backbone.make(side, 3, nnx.Rngs(0)))
    assert model.stem == stem
    # A stem that was set stays, whatever the recipe.
    mine = dataclasses.replace(method, backbone=nn.Backbone(stem="stl"))
    assert mine.stages("paper", DataSpec((side, side, 3), 5000))[0].method.backbone.stem == "stl"


def test_small_images_get_a_faster_average_and_large_ones_the_papers():
    for side, expected in ((32, (0.1, 0.99, 5e-4)), (224, (None, None, 1e-4))):
        (stage,) = methods.MoCo(n_clusters=10).stages("fast", DataSpec((side, side, 3), 5000))
        method = stage.method
        assert (method.temperature, method.momentum, stage.optimizer.weight_decay) == expected
        (stage,) = methods.PCL(n_clusters=10).stages("fast", DataSpec((side, side, 3), 5000))
        assert stage.method.momentum == expected[1]
    mine = methods.MoCo(n_clusters=10, temperature=0.3, momentum=0.9)
    method = mine.stages("fast", DataSpec((32, 32, 3), 5000))[0].method
    assert (method.temperature, method.momentum) == (0.3, 0.9)


def test_another_batch_size_sees_as_many_images():
    for name in ("simclr", "cc", "scan"):
        stages = Experiment(methods.ALL[name](n_clusters=10).stages("fast", DataSpec((32, 32, 3), 50_000)))
        other = Schedule(batch_size=64).apply(stages)
        for stage, smaller in zip(stages.stages, other.stages, strict=True):
            seen = [s.n_steps(50_000) * s.batch_size for s in (stage, smaller)]
            assert seen[1] == pytest.approx(seen[0], rel=0.01)


def test_a_small_set_gets_smaller_batches():
    for name in ("simclr", "moco", "cc", "idfd"):
        for n, expected in ((60_000, 512), (1_797, 256), (300, 64), (40, 32)):
            (stage,) = methods.ALL[name](n_clusters=3).stages("fast", DataSpec((8, 8, 1), n))
            assert stage.batch_size == expected
            assert stage.n_steps(n) >= 1000


@pytest.mark.full
def test_plain_views_have_the_size_of_the_others():
    views = augment.Weak(size=12, mean=(0.5,), std=(0.25,))
    method = methods.SimCLR(**{**NARROW, "augmentation": views})
    model, aux, batch = started(method)
    x = augment.Original(size=12, mean=(0.5,), std=(0.25,))(None, batch["x"])
    features = np.asarray(method.embed(model, aux, batch))
    np.testing.assert_allclose(features, unit(model.encoder(x)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["simclr", "moco", "cc", "idfd"])
def test_samples_that_are_no_images(name):
    method = methods.ALL[name](**NARROW)
    with pytest.raises(InputError, match="augmented views, needs images"):
        method.init(jax.random.key(0), DataSpec((64,), N))
    with pytest.raises(InputError, match="1 or 3 channels, but these have 4"):
        method.init(jax.random.key(0), DataSpec((8, 8, 4), N))


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (augment.Weak(mean=(0.5, 0.5)), "does not fit images of 8 x 8 x 3: mean must have one number"),
        (augment.Strong(size=16), "does not fit images of 8 x 8 x 3: size 16 is larger than the images, 8 x 8"),
    ],
)
def test_views_that_do_not_fit_the_images(views, message):
    method = methods.SimCLR(**{**NARROW, "augmentation": views})
    with pytest.raises(InputError, match=message):
        method.init(jax.random.key(0), SPEC)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (methods.SimCLR, {"embedding": "y"}, "embedding must be"),
        (methods.CC, {"heads": "none"}, "heads must be one of"),
        (methods.CC, {"augmented": "two"}, "augmented must be one of"),
        (methods.IDFD, {"memory": "queue"}, "memory must be one of"),
        (methods.MoCo, {"momentum": 1.0}, "momentum must be"),
        (methods.SimCLR, {"temperature": 0.0}, "temperature must be above 0"),
    ],
)
def test_settings_that_make_no_sense(kind, settings, message):
    with pytest.raises(InputError, match=message):
        kind(n_clusters=3, **settings)


def test_a_backbone_by_its_settings():
    with pytest.raises(InputError, match="depth must be one of 10, 18, 34, 50, .*not 20"):
        nn.Backbone(depth=20)
    for side, stem in ((32, "cifar"), (96, "stl"), (224, "imagenet")):
        assert nn.Backbone(depth=6, width=16).make(side, 3, nnx.Rngs(0)).stem == stem
    assert dataclasses.replace(nn.Backbone(), stem="stl").make(32, 3, nnx.Rngs(0)).stem == "stl"


@pytest.mark.full
def test_the_health_of_the_end_is_reported(one_device):
    x = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 3), np.uint8)
    stage = Stage(method=methods.CC(**NARROW), steps=6, batch_size=20)
    history = fit(Experiment((stage,)), x, devices=one_device).history
    assert [row["step"] for row in history if "active_clusters" in row] == [0, 6]


@pytest.mark.full
def test_how_the_features_tell_classes_apart_is_measured_on_the_way(one_device, tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 3), np.uint8)
    y = np.arange(40) // 20
    method = methods.AE(n_clusters=K, hidden=(8,), latent=3)  # of any method
    stages = tuple(Stage(method=method, steps=n, batch_size=20) for n in (4, 3))
    arguments = {"devices": one_device, "workdir": tmp_path / "run"}
    calls = iter(range(100))
    with pytest.raises(Stopped):
        fit(Experiment(stages), x, y, probe_epochs=1, should_stop=lambda: next(calls) == 2, **arguments)
    probed = fit(Experiment(stages), x, y, probe_epochs=1, **arguments)
    rows = [(r["stage"], r["step"], r["knn_accuracy"]) for r in probed.history if "knn_accuracy" in r]
    assert [row[:2] for row in rows] == [(1, 0), (1, 2), (1, 4), (2, 0), (2, 2), (2, 3)]
    plain = fit(Experiment(stages), x, y, devices=one_device)
    np.testing.assert_array_equal(plain.probabilities, probed.probabilities)
    half = stratified_half(y)
    last = knn_probe(plain.embeddings[half], y[half], plain.embeddings[~half], y[~half]).accuracy
    assert rows[-1][2] == last
    with pytest.raises(InputError, match="has no labels, which probe_epochs needs"):
        fit(Experiment(stages), x, probe_epochs=1, devices=one_device)
    with pytest.raises(InputError, match="probe_epochs must be above 0"):
        fit(Experiment(stages), x, y, probe_epochs=0.0, devices=one_device)


@pytest.mark.full
def test_a_queue_smaller_than_the_batch(one_device):
    x = np.zeros((40, 8, 8, 3), np.uint8)
    stage = Stage(method=methods.MoCo(**NARROW, queue_size=8), steps=1, batch_size=20)
    with pytest.raises(InputError, match="the queue of 8 keys is smaller than a batch of 20: raise queue_size"):
        fit(Experiment((stage,)), x, devices=one_device)
