"""DeepCluster and DeepCluster-v2: a step against NumPy, a refresh against scikit-learn, and whole small runs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import ndimage
from scipy.special import log_softmax
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from jaxdc import augment, fit, methods, nn
from jaxdc.data import ArraySource
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Optimizer, Stage
from jaxdc.train import stage_run, steps
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import init_state, merge, replace_model

N, B, K = 60, 6, 3
SPEC = DataSpec((8, 8, 3), N)
BACKBONE = nn.Backbone(depth=6, width=16)
KEY = jax.random.key(7)
INDEX = np.array([3, 19, 0, 7, 8, 51], np.int32)


def deepcluster(**settings):
    return methods.DeepCluster(**{"n_clusters": K, "backbone": BACKBONE, **settings})


def deepcluster_v2(**settings):
    return methods.DeepClusterV2(**{"n_clusters": K, "backbone": BACKBONE, "projection": 5, **settings})


def started(method):
    """The network and aux, and a batch."""
    model, aux = method.init(jax.random.key(0), SPEC)
    x = jax.random.uniform(jax.random.key(1), (B, *SPEC.shape))
    return model, aux, {"x": x, "index": jnp.asarray(INDEX)}


def step(method, model, aux, batch):
    graphdef, state = nnx.split(model)

    @jax.jit
    def run(state, aux, batch):
        loss, (aux, metrics) = method.loss(nnx.merge(graphdef, state, copy=True), aux, batch, KEY)
        return loss, aux, metrics

    return run(state, aux, batch)


def in_training(model, x, part=lambda model, x: model.encoder(x, train=True)):
    graphdef, state = nnx.split(model)
    return np.asarray(jax.jit(lambda s, x: part(nnx.merge(graphdef, s, copy=True), x))(state, x))


def unit(x):
    return np.asarray(x) / np.linalg.norm(x, axis=-1, keepdims=True)


def cloud(width, seed=0, n=N):
    """Features in five groups, of which no two directions have the same variance."""
    rng = np.random.default_rng(seed)
    groups = rng.normal(size=(5, width))[rng.integers(5, size=n)]
    return ((groups + 0.1 * rng.normal(size=(n, width))) * np.geomspace(3, 0.5, width)).astype(np.float32)


@pytest.mark.full
@pytest.mark.parametrize("sobel", [False, True])
def test_a_step_of_deepcluster(sobel):
    method = deepcluster(sobel=sobel, n_pseudo_clusters=7)
    model, aux, batch = started(method)
    labels = np.random.default_rng(0).integers(7, size=N).astype(np.int32)
    view = np.asarray(method.augmentation(KEY, batch["x"]))
    if sobel:
        grey = view.mean(axis=-1)
        edges = [[ndimage.sobel(image, axis=axis, mode="constant") for axis in (1, 0)] for image in grey]
        view = np.moveaxis(np.array(edges), 1, -1)
    features = in_training(model, view)
    (layer,) = model.head.mlp.layers
    logits = features @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
    loss, new, metrics = step(method, model, {**aux, "pseudo_labels": jnp.asarray(labels)}, batch)
    np.testing.assert_allclose(loss, -log_softmax(logits, axis=1)[np.arange(B), labels[INDEX]].mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics["pseudo_accuracy"], np.mean(logits.argmax(axis=1) == labels[INDEX]))
    np.testing.assert_array_equal(new["pseudo_labels"], labels)


@pytest.mark.full
def test_a_step_of_deepcluster_v2():
    method = deepcluster_v2(n_pseudo_clusters=4, temperature=0.2)
    model, aux, batch = started(method)
    rng = np.random.default_rng(0)
    prototypes = unit(rng.normal(size=(3, 4, 5))).astype(np.float32)
    labels = rng.integers(4, size=(3, N)).astype(np.int32)
    bank = unit(rng.normal(size=(2, N, 5))).astype(np.float32)
    views = jnp.concatenate(augment.two_views(KEY, batch["x"], method.augmentation))
    z = unit(in_training(model, views, lambda model, x: model(x, train=True)))
    expected = 0.0
    for i in range(3):
        scores = log_softmax(z @ prototypes[i].T / 0.2, axis=1)
        expected += -scores[np.arange(2 * B), np.tile(labels[i][INDEX], 2)].mean() / 3
    aux |= {"prototypes": prototypes, "pseudo_labels": labels, "memory_bank": bank}
    loss, new, _ = step(method, model, jax.tree.map(jnp.asarray, aux), batch)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    bank[0, INDEX], bank[1, INDEX] = z[:B], z[B:]
    np.testing.assert_allclose(new["memory_bank"], bank, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(new["prototypes"], prototypes)


def refreshed(method, features, key=KEY, aux=None):
    model, empty = method.init(jax.random.key(0), SPEC)
    return method.refresh(model, aux or empty, jnp.asarray(features), key)


@pytest.mark.full
def test_deepcluster_clusters_as_scikit_learn_does():
    method = deepcluster(n_clusters=5, n_components=6)
    features = cloud(32)
    model, aux = refreshed(method, features)
    oracle = PCA(6, whiten=True, svd_solver="full").fit(features)
    x = unit(oracle.transform(features))
    found = KMeans(5, n_init=20, random_state=0).fit(x)
    assert adjusted_rand_score(found.labels_, aux["pseudo_labels"]) == 1.0
    # The reported clusters are the pseudo-labels', and a function of the features row by row.
    probabilities = np.asarray(method.assign(model, aux, features))
    np.testing.assert_array_equal(probabilities.argmax(axis=1), aux["pseudo_labels"])
    others = cloud(32, seed=1)
    distances = ((unit(oracle.transform(others))[:, None] - found.cluster_centers_[None]) ** 2).sum(axis=2)
    assigned = np.asarray(method.assign(model, aux, others)).argmax(axis=1)
    assert adjusted_rand_score(distances.argmin(axis=1), assigned) == 1.0
    np.testing.assert_allclose(method.assign(model, aux, features[7:9]), probabilities[7:9], rtol=1e-5)


@pytest.mark.full
def test_many_pseudo_clusters_and_few_reported_ones():
    features = cloud(32)
    model, aux = refreshed(deepcluster(n_clusters=5, n_components=6, n_pseudo_clusters=20), features)
    assert model.head.mlp.layers[0].bias[...].shape == (20,)
    assert aux["centroids"].shape == (5, 6)
    assert set(np.asarray(aux["pseudo_labels"])) == set(range(20))
    method = deepcluster(n_clusters=5, n_components=6)
    alone = method.assign(model, aux, features).argmax(axis=1)
    assert adjusted_rand_score(refreshed(method, features)[1]["pseudo_labels"], alone) == 1.0


@pytest.mark.full
@pytest.mark.parametrize("reseed_empty", [True, False])
def test_empty_clusters_are_filled_by_the_guard_alone(reseed_empty):
    # Three places for ten clusters.
    features = np.repeat(cloud(32)[:3], N // 3, axis=0) + np.float32(0)
    _, aux = refreshed(deepcluster(n_clusters=10, n_components=2, reseed_empty=reseed_empty), features)
    sizes = np.bincount(aux["pseudo_labels"], minlength=10)
    assert np.sum(sizes > 0) == (10 if reseed_empty else 3)
    assert np.isfinite(aux["centroids"]).all()


@pytest.mark.parametrize("uniform", [True, False])
def test_an_epoch_draws_uniformly_over_pseudo_labels(uniform):
    method = deepcluster(uniform=uniform)
    labels = np.repeat([0, 1, 2], [45, 10, 5]).astype(np.int32)
    rows = np.asarray(method.draw({"pseudo_labels": jnp.asarray(labels)}, KEY, N))
    np.testing.assert_array_equal(np.bincount(labels[rows]), [20, 20, 20] if uniform else [45, 10, 5])


@pytest.mark.full
@pytest.mark.parametrize("embedding", ["features", "z"])
def test_deepcluster_v2_clusters_what_its_bank_holds(embedding):
    method = deepcluster_v2(n_clusters=5, n_heads=3, n_pseudo_clusters=4, embedding=embedding)
    model, _ = method.init(jax.random.key(0), SPEC)
    features = cloud(32)
    # Before the first epoch: the embeddings of the features that are at hand.
    _, aux = method.refresh(model, method.init(jax.random.key(0), SPEC)[1], jnp.asarray(features), KEY)
    z = unit(model.projector(features))
    for i in range(2):
        np.testing.assert_allclose(aux["memory_bank"][i], z, rtol=1e-4, atol=1e-6)
    x = z if embedding == "z" else unit(features)
    found = KMeans(5, n_init=20, random_state=0).fit(x)
    reported = np.asarray(method.assign(model, aux, features)).argmax(axis=1)
    assert adjusted_rand_score(found.labels_, reported) == 1.0
    # Afterwards: what the two views have left there, one after the other.
    rng = np.random.default_rng(1)
    directions = unit(rng.normal(size=(4, 5)))
    groups = rng.integers(4, size=(2, N))
    bank = unit(directions[groups] + 0.05 * rng.normal(size=(2, N, 5))).astype(np.float32)
    _, aux = method.refresh(model, {**aux, "memory_bank": jnp.asarray(bank)}, jnp.asarray(features), KEY)
    np.testing.assert_array_equal(aux["memory_bank"], bank)
    for head, view in ((0, 0), (1, 1), (2, 0)):
        labels = np.asarray(aux["pseudo_labels"][head])
        assert adjusted_rand_score(groups[view], labels) == 1.0
        for j in range(4):
            mean = unit(bank[view][labels == j].mean(axis=0)[None])[0]
            np.testing.assert_allclose(aux["prototypes"][head, j], mean, rtol=1e-4, atol=1e-5)


@pytest.mark.full
def test_the_classifier_is_fresh_and_so_are_its_moments(one_device):
    method = deepcluster()
    mesh = jax.make_mesh((1,), ("data",), devices=one_device)
    stage = Stage(method=method, steps=10, optimizer=Optimizer(name="sgd", learning_rate=0.1))
    tx = make_optimizer(stage, N)
    graphdef, state = init_state(method, tx, jax.random.key(0), SPEC, mesh)
    run = steps.make_streaming_step(method, graphdef, tx, mesh, 1)
    x = np.random.default_rng(0).integers(256, size=(B, *SPEC.shape), dtype=np.uint8)
    for _ in range(3):
        state, _ = run(state, x, INDEX)

    def arrays(tree, word):
        flat = jax.tree_util.tree_flatten_with_path(tree)[0]
        return {str(path): np.asarray(leaf) for path, leaf in flat if word in str(path)}

    def moments(word):
        return list(arrays(state.opt_state, word).values())

    assert all(moment.any() for moment in moments("head")) and len(moments("head")) == 2
    before, encoder_before = arrays(state.params, "head"), moments("encoder")
    model, aux = method.refresh(merge(graphdef, state), state.aux, jnp.asarray(cloud(32)), KEY)
    state = replace_model(state, model, aux, tx, mesh)
    assert not any(moment.any() for moment in moments("head"))
    for old, new in zip(encoder_before, moments("encoder"), strict=True):
        np.testing.assert_array_equal(old, new)
    for name, new in arrays(state.params, "head").items():
        assert (new != before[name]).any()
        if "bias" in name:
            np.testing.assert_array_equal(new, 0.0)
        else:
            np.testing.assert_allclose([new.mean(), new.std()], [0.0, 0.01], atol=0.003)
    # Every time another one.
    again, _ = method.refresh(merge(graphdef, state), state.aux, jnp.asarray(cloud(32)), jax.random.key(8))
    kernel = again.head.mlp.layers[0].kernel[...]
    assert (kernel != model.head.mlp.layers[0].kernel[...]).any()


class Stream(ArraySource):
    """An array that pretends to be too large for the device."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.array = None


def pictures(n=N):
    rng = np.random.default_rng(0)
    means = rng.uniform(0, 255, size=(K, *SPEC.shape))
    x = means[rng.choice(K, size=n, p=[0.7, 0.2, 0.1])] + rng.normal(scale=20, size=(n, *SPEC.shape))
    return np.clip(x, 0, 255).astype(np.uint8)


RESUMED = {
    "deepcluster": (deepcluster(), [0, 5, 10, 13]),
    # The labels change within an epoch, the rest of which is drawn anew.
    "deepcluster-3": (deepcluster(refresh_epochs=0.6), [0, 3, 6, 9, 12, 13]),
    "deepcluster_v2": (deepcluster_v2(), [0, 5, 10, 13]),
}


@pytest.mark.full
@pytest.mark.parametrize("kind", [ArraySource, Stream])
@pytest.mark.parametrize(("method", "at"), RESUMED.values(), ids=RESUMED)
def test_stopped_within_an_epoch_and_resumed_ends_in_the_same_bits(
    method, at, kind, one_device, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(stage_run, "DISPATCH_SECONDS", 0.0)  # a step each, before which a stop is asked for
    # Five steps an epoch.
    experiment = Experiment((Stage(method=method, steps=13, batch_size=12),))
    whole = fit(experiment, kind(pictures()), devices=one_device)
    calls = iter(range(100))
    run = {"workdir": tmp_path / "run", "devices": one_device}
    with pytest.raises(stage_run.Stopped):
        fit(experiment, kind(pictures()), should_stop=lambda: next(calls) == 7, **run)
    resumed = fit(experiment, kind(pictures()), progress=True, **run)
    assert "step 7" in capsys.readouterr().err
    np.testing.assert_array_equal(resumed.probabilities, whole.probabilities)
    np.testing.assert_array_equal(resumed.embeddings, whole.embeddings)
    ticks = [row["step"] for row in resumed.history if "active_clusters" in row]
    assert ticks == at


@pytest.mark.full
@pytest.mark.parametrize("kind", [ArraySource, Stream])
def test_every_epoch_of_a_run_is_uniform(kind, one_device, monkeypatch):
    drawn, refresh, loss = [], methods.DeepCluster.refresh, methods.DeepCluster.loss

    def watched_refresh(self, *args):
        jax.effects_barrier()
        model, aux = refresh(self, *args)
        drawn.append((np.asarray(aux["pseudo_labels"]), []))
        return model, aux

    def watched_loss(self, model, aux, batch, key):
        jax.debug.callback(lambda rows: drawn[-1][1].extend(rows.tolist()), batch["index"])
        return loss(self, model, aux, batch, key)

    monkeypatch.setattr(methods.DeepCluster, "refresh", watched_refresh)
    monkeypatch.setattr(methods.DeepCluster, "loss", watched_loss)
    stage = Stage(method=deepcluster(), steps=15, batch_size=12)
    fit(Experiment((stage,)), kind(pictures()), devices=one_device)
    jax.effects_barrier()
    assert len(drawn) == 4
    for labels, rows in drawn[:3]:
        np.testing.assert_array_equal(np.bincount(labels[rows], minlength=K), [N // K] * K)
    assert any((np.bincount(labels) != N // K).any() for labels, _ in drawn)


@pytest.mark.full
@pytest.mark.parametrize("uniform", [True, False])
def test_without_uniform_sampling_the_classifier_says_the_same_of_every_image(uniform, one_device, monkeypatch):
    # The trivial solution of section 3.3 of the paper: nearly all images have one pseudo-label, and an encoder
    # whose output is constant fits them nearly as well as one that sees the others. On blobs k-means of whitened
    # features cuts the large cluster up by itself, so the uneven labels are imposed here.
    sizes = [300, 6, 6, 6]
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(4), sizes).astype(np.int32)
    means = rng.uniform(0, 255, size=(4, *SPEC.shape))
    x = np.clip(means[kinds] + rng.normal(scale=40, size=(len(kinds), *SPEC.shape)), 0, 255).astype(np.uint8)
    refresh, said = methods.DeepCluster.refresh, []

    def imposed(self, model, aux, features, key):
        said.append(np.asarray(model.head(features).argmax(axis=1)))
        model, aux = refresh(self, model, aux, features, key)
        return model, {**aux, "pseudo_labels": jnp.asarray(kinds)}

    monkeypatch.setattr(methods.DeepCluster, "refresh", imposed)
    method = deepcluster(n_clusters=4, uniform=uniform, refresh_epochs=1000)
    sgd = Optimizer(name="sgd", learning_rate=0.02)
    fit(Experiment((Stage(method=method, steps=300, batch_size=32, optimizer=sgd),)), x, devices=one_device)
    recall = [np.mean(said[-1][kinds == kind] == kind) for kind in range(4)]
    if uniform:
        assert min(recall) > 0.5
    else:
        assert recall == [1, 0, 0, 0]


@pytest.mark.parametrize("make", [deepcluster, deepcluster_v2])
def test_settings_that_make_no_sense(make):
    for settings, word in (
        ({"n_pseudo_clusters": 1}, "n_pseudo_clusters must be at least 2"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"n_init": 0}, "n_init must be at least 1"),
    ):
        with pytest.raises(InputError, match=word):
            make(**settings)
    with pytest.raises(InputError, match="can't make 61 pseudo-clusters from 60 samples: n_pseudo_clusters must"):
        make(n_pseudo_clusters=61).init(jax.random.key(0), SPEC)
    with pytest.raises(InputError, match="augmented views, needs images"):
        make().init(jax.random.key(0), DataSpec((64,), N))


def test_recipes():
    spec = DataSpec((32, 32, 3), 60_000)
    (stage,) = deepcluster().stages("paper", spec)
    rate, decay = stage.optimizer.learning_rate, stage.optimizer.weight_decay
    assert (stage.epochs, stage.batch_size, rate, decay, stage.optimizer.momentum) == (200, 256, 0.05, 1e-5, 0.9)
    (stage,) = methods.DeepClusterV2(n_clusters=10).stages("paper", spec)
    scaled = stage.optimizer.learning_rate * stage.batch_size / 256
    assert (stage.optimizer.name, stage.epochs, stage.batch_size) == ("lars", 400, 4096)
    np.testing.assert_allclose(scaled, 4.8)
    assert (stage.method.backbone.depth, stage.method.n_heads, stage.method.temperature) == (50, 3, 0.1)
    for method in (deepcluster(), deepcluster_v2()):
        assert dataclasses.replace(method) == method
        assert method.stages("fast", spec)[0].batch_size == 512
        assert method.stages("fast", spec)[0].refresh_interval(60_000) == 4 * (60_000 // 512)
        (paper,) = method.stages("paper", spec)
        assert paper.refresh_interval(60_000) == 60_000 // paper.batch_size
        (kept,) = dataclasses.replace(method, refresh_epochs=4.0).stages("paper", spec)
        assert kept.refresh_interval(60_000) == 4 * (60_000 // kept.batch_size)
