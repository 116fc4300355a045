"""SCAN and its self-labelling: one step and one refresh by other means, where they begin, when they end."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax, logsumexp, softmax
from sklearn.neighbors import NearestNeighbors

from jaxdc import fit, methods, nn
from jaxdc.augment import Strong, Weak
from jaxdc.data import ArraySource
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Optimizer, Stage
from jaxdc.runs import load
from jaxdc.train import stage_run, steps
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.stage_run import Stopped
from jaxdc.train.state import init_state

N, B, K = 40, 8, 3
SPEC = DataSpec((8, 8, 3), N)
COLOURS = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.2)}
VIEWS = Strong(n_ops=1, cutout=(1, 2), **COLOURS)
NARROW = {"n_clusters": K, "backbone": nn.Backbone(depth=6, width=16), "augmentation": VIEWS}
KEY = jax.random.key(7)
ADAM = Optimizer(weight_decay=1e-2)


def scan(**settings):
    return methods.SCAN(**NARROW, **{"projection": 5, "n_neighbors": 4, **settings})


def pretext(**settings):
    views = {"n_clusters": K, "projection": 5, "augmentation": Weak(**COLOURS)}
    return methods.SimCLR(**views, **{"backbone": NARROW["backbone"], **settings})


def images(seed=0, n=N):
    rng = np.random.default_rng(seed)
    means = rng.uniform(40, 215, size=(K, 8, 8, 3))
    y = np.arange(n) % K
    return np.clip(means[y] + rng.normal(scale=15, size=(n, 8, 8, 3)), 0, 255).astype(np.uint8), y


def run_stage(method, x=None, *, steps=6, **arguments):
    stage = Stage(method=method, steps=steps, batch_size=B, optimizer=ADAM)
    return fit(Experiment((stage,)), images()[0] if x is None else x, devices=jax.devices()[:1], **arguments)


def in_training(model, x):
    graphdef, state = nnx.split(model)
    encode = jax.jit(lambda state, x: nnx.merge(graphdef, state, copy=True).encoder(x, train=True))
    return np.asarray(encode(state, x))


def loss_of(method, model, aux, batch):
    """Compiled as a whole: loss, and what belongs to it."""
    graphdef, state = nnx.split(model)
    compiled = jax.jit(lambda state, batch: method.loss(nnx.merge(graphdef, state, copy=True), aux, batch, KEY))
    return compiled(state, batch)


def entropy(p):
    return -np.sum(p * np.log(p))


@pytest.mark.parametrize("n_heads", [pytest.param(1, marks=pytest.mark.full), 2])
def test_one_step(n_heads):
    method = scan(n_heads=n_heads, entropy_weight=2.0)
    model, aux = method.init(jax.random.key(0), SPEC)
    x, neighbor = (jax.random.uniform(jax.random.key(i), (B, 8, 8, 3)) for i in (1, 2))
    key1, key2 = jax.random.split(KEY)
    features = in_training(model, jnp.concatenate([VIEWS(key1, x), VIEWS(key2, neighbor)]))
    expected = 0.0
    for head in model.heads:
        logits = log_softmax(np.asarray(head(features)), axis=1)
        p = np.exp(logits[:B]).mean(axis=0)
        expected += -np.mean(logsumexp(logits[:B] + logits[B:], axis=1)) - 2.0 * entropy(p)
    batch = {"x": x, "neighbor": neighbor, "index": jnp.arange(B), "neighbor_index": jnp.arange(B)}
    loss, _ = loss_of(method, model, aux, batch)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_one_step_on_features_that_are_kept():
    method = scan(frozen=True)
    model, aux = method.init(jax.random.key(0), SPEC)
    features = np.random.default_rng(0).normal(size=aux["features"].shape).astype(np.float32)
    index, neighbor = np.arange(B), np.arange(B)[::-1] + 9
    logits = log_softmax(np.asarray(model.heads[0](features)), axis=1)
    p = np.exp(logits[index]).mean(axis=0)
    expected = -np.mean(logsumexp(logits[index] + logits[neighbor], axis=1)) - 5.0 * entropy(p)
    batch = {"x": None, "neighbor": None, "index": jnp.asarray(index), "neighbor_index": jnp.asarray(neighbor)}
    loss, _ = method.loss(model, {**aux, "features": jnp.asarray(features)}, batch, KEY)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_neighbours_are_mined_once_on_the_projection_and_the_best_head_is_kept():
    method = scan(n_heads=3)
    model, aux = method.init(jax.random.key(0), SPEC)
    features = jax.random.normal(KEY, (N, model.encoder.n_features)) + 1.0
    _, aux = method.refresh(model, aux, features, KEY)
    z = np.asarray(model.projector(features))
    found = NearestNeighbors(n_neighbors=5, metric="cosine").fit(z).kneighbors(z)[1]
    np.testing.assert_array_equal(np.sort(aux["neighbors"]), np.sort(found))
    np.testing.assert_array_equal(aux["neighbors"][:, 0], np.arange(N))
    figures = []
    for head in model.heads:
        logits = log_softmax(np.asarray(head(features)), axis=1)
        pairs = [logsumexp(logits[i] + logits[j]) for i in range(N) for j in found[i, 1:]]
        figures.append(-np.mean(pairs) - 5.0 * entropy(np.exp(logits).mean(axis=0)))
    assert int(aux["head"]) == np.argmin(figures)
    best = softmax(np.asarray(model.heads[int(np.argmin(figures))](features)), axis=1)
    np.testing.assert_allclose(method.assign(model, aux, features), best, rtol=1e-5, atol=1e-7)
    assert method.parts(model, aux)["head"] is model.heads[int(np.argmin(figures))]
    _, again = method.refresh(model, aux, -features[::-1], KEY)
    np.testing.assert_array_equal(again["neighbors"], aux["neighbors"])


def embedding(path, n=N, **changes):
    """A file whose vectors point apart by the classes of ``images``, and the vectors; ``r7`` is row 7."""
    rng = np.random.default_rng(3)
    x = np.eye(K, 6)[np.arange(n) % K] * rng.uniform(1, 9, size=(n, 1)) + 0.1 * rng.normal(size=(n, 6))
    for row, value in changes.items():
        x[int(row[1:])] = value
    np.save(path, x)
    return str(path), x


def test_neighbours_are_mined_in_the_file_that_is_named(tmp_path):
    path, z = embedding(tmp_path / "z.npy")
    method = scan(neighbors_from=path)
    model, aux = method.init(jax.random.key(0), SPEC)
    features = jax.random.normal(KEY, (N, model.encoder.n_features))
    _, aux = method.refresh(model, aux, features, KEY)
    found = NearestNeighbors(n_neighbors=5, metric="cosine").fit(z).kneighbors(z)[1]
    np.testing.assert_array_equal(np.sort(aux["neighbors"]), np.sort(found))
    _, of_projector = scan().refresh(model, scan().init(KEY, SPEC)[1], features, KEY)
    assert (np.sort(of_projector["neighbors"]) != np.sort(found)).any()


@pytest.mark.parametrize("pretext", ["none", "simclr"])
def test_a_named_embedding_serves_every_stage(pretext):
    spec = DataSpec((32, 32, 3), 1000)
    settings = {**NARROW, "pretext": pretext, "neighbors_from": "z.npy"}
    first = [] if pretext == "none" else ["SimCLR"]
    for recipe in ("fast", "paper", "lecture"):
        *before, clustering = methods.SCAN(**settings).stages(recipe, spec)
        assert [type(stage.method).__name__ for stage in before] == first
        # An encoder that has seen nothing takes longer steps than one that has a pretext behind it.
        assert clustering.optimizer.learning_rate == (1e-3 if pretext == "none" else 1e-4)
        *before, clustering, _ = methods.SelfLabel(**settings).stages(recipe, spec)
        assert [type(stage.method).__name__ for stage in before] == first
        assert clustering.method.neighbors_from == "z.npy" and clustering.method.pretext == pretext


@pytest.mark.full
def test_images_learn_from_the_neighbours_of_an_embedding_that_is_not_needed_again(tmp_path):
    # Two patterns in each picture, the stronger of which is not the one that the embedding knows.
    n = 90
    y = np.arange(n) % K
    stronger, weaker = images(seed=1)[0][np.arange(n) // K % K].astype(float), images(seed=2)[0][y]
    x = (0.7 * stronger + 0.3 * weaker).astype(np.uint8)
    path, _ = embedding(tmp_path / "z.npy", n)
    assert fit(methods.KMeans(n_clusters=K), x, y, devices=jax.devices()[:1]).metrics["acc"] < 0.5
    method = scan(neighbors_from=path, pretext="none")
    experiment = Experiment((Stage(method=method, steps=200, batch_size=30),))
    result = fit(experiment, x, y, workdir=tmp_path / "run", devices=jax.devices()[:1])
    assert result.metrics["acc"] > 0.9
    (tmp_path / "z.npy").unlink()
    np.testing.assert_array_equal(load(tmp_path / "run").predict(x), result.labels)


def test_an_embedding_that_does_not_fit_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    def trained(*_):
        raise AssertionError("the pretext was trained")

    monkeypatch.setattr(methods.SimCLR, "loss", trained)

    def refused(match, path):
        stages = (Stage(method=m, steps=6, batch_size=B) for m in (pretext(), scan(neighbors_from=str(path))))
        with pytest.raises(InputError, match=match):
            fit(Experiment(tuple(stages)), images()[0], workdir=tmp_path / "run", devices=jax.devices()[:1])
        assert not (tmp_path / "run").exists()

    refused("there is no file .*none.npy", tmp_path / "none.npy")
    refused(r"neighbors_from: .*z.npy has 39 rows, but the data have 40", embedding(tmp_path / "z.npy", 39)[0])
    refused("has NaN or infinity in row 7", embedding(tmp_path / "z.npy", r7=np.nan)[0])
    refused("has NaN or infinity in row 0", embedding(tmp_path / "z.npy", r0=[np.inf, -np.inf, 0, 0, 0, 0])[0])
    np.save(tmp_path / "z.npy", np.zeros(N))
    refused(r"must be an .npy file of floats \[n, d\], but is an array of float64 \[40\]", tmp_path / "z.npy")
    np.save(tmp_path / "z.npy", np.zeros((N, 2), int))
    refused(r"but is an array of int64 \[40, 2\]", tmp_path / "z.npy")
    np.savez(tmp_path / "z.npz", x=np.zeros((N, 2)))
    refused("z.npz can't be read as a NumPy file: it is an archive of arrays", tmp_path / "z.npz")
    (tmp_path / "z.npy").write_text("1.0,2.0")
    refused(r"neighbors_from: .*z.npy can't be read", tmp_path / "z.npy")
    for method in (methods.SCAN, methods.SelfLabel):
        with pytest.raises(InputError, match='pretext "none" needs an embedding that defines the neighbours'):
            method(n_clusters=K, pretext="none")


def test_an_epoch_takes_every_sample_once_with_one_of_its_neighbours():
    method = scan()
    aux = {"neighbors": jnp.asarray(np.random.default_rng(0).integers(N, size=(N, 5)), jnp.int32)}
    order = np.asarray(method.draw(aux, KEY, N))
    assert sorted(order[:, 0]) == list(range(N))
    column = [np.flatnonzero(aux["neighbors"][i] == j)[0] for i, j in order]
    assert set(column) == set(range(5))


class Stream(ArraySource):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.array = None


@pytest.mark.full
@pytest.mark.parametrize("kind", [ArraySource, Stream])
def test_a_sample_comes_with_the_picture_of_a_neighbour(kind, monkeypatch):
    x, _ = images()
    seen, neighbors, refresh, loss = [], [], methods.SCAN.refresh, methods.SCAN.loss

    def watched_refresh(self, *args):
        model, aux = refresh(self, *args)
        neighbors.append(np.asarray(aux["neighbors"]))
        return model, aux

    def watched_loss(self, model, aux, batch, key):
        jax.debug.callback(lambda **batch: seen.append(batch), **batch)
        return loss(self, model, aux, batch, key)

    monkeypatch.setattr(methods.SCAN, "refresh", watched_refresh)
    monkeypatch.setattr(methods.SCAN, "loss", watched_loss)
    run_stage(scan(), kind(x), steps=5)
    jax.effects_barrier()
    assert len(seen) == 5
    for batch in seen:
        for image, row in (("x", "index"), ("neighbor", "neighbor_index")):
            np.testing.assert_allclose(batch[image], x[batch[row]] / np.float32(255), rtol=1e-6)
        assert all(j in neighbors[0][i] for i, j in zip(batch["index"], batch["neighbor_index"], strict=True))
    others = [i != j for batch in seen for i, j in zip(batch["index"], batch["neighbor_index"], strict=True)]
    assert any(others)


@pytest.mark.full
def test_pairs_from_the_host_are_the_same_as_on_the_device():
    resident, streamed = (
        run_stage(scan(refresh_epochs=1.0), kind(*images()), steps=12) for kind in (ArraySource, Stream)
    )
    np.testing.assert_allclose(resident.probabilities, streamed.probabilities, rtol=1e-3, atol=1e-4)


@pytest.mark.full
def test_heads_alone_leave_the_encoder_as_it_was(tmp_path):
    before = run_stage(pretext(), workdir=tmp_path / "p")
    frozen = run_stage(scan(frozen=True, refresh_epochs=1.0), steps=30, init_from=tmp_path / "p")
    x = images()[0]
    unit = frozen.embed(x) / np.linalg.norm(frozen.embed(x), axis=1, keepdims=True)
    np.testing.assert_allclose(unit, before.embed(x), rtol=1e-4, atol=1e-5)
    whole = run_stage(scan(), steps=30, init_from=tmp_path / "p")
    assert not np.allclose(whole.embed(x), frozen.embed(x), rtol=0.05)
    losses = [row["loss"] for row in frozen.history if "loss" in row]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    np.testing.assert_array_equal(frozen.predict(x), frozen.labels)


@pytest.mark.full
def test_vectors_are_embedded_already():
    rng = np.random.default_rng(0)
    y = np.arange(120) % K
    x = rng.normal(size=(K, 16))[y] * 3 + rng.normal(size=(120, 16))
    method = methods.SCAN(n_clusters=K, n_neighbors=5)
    assert [type(stage.method).__name__ for stage in method.stages("paper", DataSpec((16,), 120))] == ["SCAN"]
    result = fit(method, x, y, devices=jax.devices()[:1])
    assert result.metrics["acc"] > 0.95
    with pytest.raises(InputError, match=r"SelfLabel, which learns .* needs images"):
        fit(methods.SelfLabel(n_clusters=K, n_neighbors=5), x, devices=jax.devices()[:1])


@pytest.mark.full
@pytest.mark.parametrize(
    ("label_view", "balanced"),
    [
        ("weak", False),
        ("plain", True),
        ("plain", False),
        ("weak", True),
    ],
)
def test_one_step_of_self_labelling(label_view, balanced):
    method = methods.SelfLabel(**NARROW, class_balanced=balanced, label_view=label_view)
    model, aux = method.init(jax.random.key(0), SPEC)
    model.head.mlp.layers[0].kernel[...] *= 20
    x = jax.random.uniform(jax.random.key(1), (B, 8, 8, 3))
    weak_key, strong_key = jax.random.split(KEY)
    plain = (x - jnp.array([[[[0.4, 0.5, 0.6]]]])) / jnp.array([[[[0.2, 0.3, 0.2]]]])
    first = plain if label_view == "plain" else Weak(**COLOURS)(weak_key, x)
    teacher = softmax(np.asarray(model.head(in_training(model, first))), axis=1)
    graphdef, state = nnx.split(model)

    @jax.jit
    def of_the_student(state, first):
        student = nnx.merge(graphdef, state, copy=True)
        student.encoder(first, train=True)
        return student.head(student.encoder(VIEWS(strong_key, x), train=True))

    logits = log_softmax(np.asarray(of_the_student(state, first)), axis=1)
    threshold = float(np.median(teacher.max(axis=1)))  # half of them are confident
    method = dataclasses.replace(method, threshold=threshold)
    sure = teacher.max(axis=1) > threshold
    labels = teacher.argmax(axis=1)
    weights = np.ones(B)
    if balanced:
        weights = np.array([sure.sum() / max((labels[sure] == label).sum(), 1) for label in labels])
    weights = weights * sure
    assert 0 < sure.sum() < B
    loss, (_, metrics) = loss_of(method, model, aux, {"x": x, "index": jnp.arange(B)})
    np.testing.assert_allclose(loss, -np.sum(weights * logits[np.arange(B), labels]) / weights.sum(), rtol=1e-3)
    np.testing.assert_allclose(metrics["confident"], sure.mean())


@pytest.mark.full
def test_a_batch_without_a_confident_sample_changes_nothing():
    x = images()[0]
    method = methods.SelfLabel(**NARROW, threshold=0.9999)
    spec, mesh = DataSpec((8, 8, 3), N), sharding.make_mesh(jax.devices()[:1])
    stage = Stage(method=method, steps=20, batch_size=B, optimizer=ADAM)
    graphdef, state = init_state(method, make_optimizer(stage, N), KEY, spec, mesh)
    before = jax.tree.map(np.array, (state.params, state.model_state, state.opt_state))
    step = steps.make_streaming_step(method, graphdef, make_optimizer(stage, N), mesh, 1)
    for _ in range(3):
        state, metrics = step(state, x[:B], np.arange(B, dtype=np.int32))
    assert float(metrics["confident"]) == 0.0 and int(state.step) == 3
    jax.tree.map(np.testing.assert_array_equal, before, (state.params, state.model_state, state.opt_state))
    sure = dataclasses.replace(method, threshold=0.01)
    step = steps.make_streaming_step(sure, graphdef, make_optimizer(stage, N), mesh, 1)
    state, _ = step(state, x[:B], np.arange(B, dtype=np.int32))
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), before[0], state.params)
    assert min(jax.tree.leaves(moved)) > 0


def test_self_labelling_runs_its_whole_length_unless_it_is_told_to_end():
    for recipe in methods.SelfLabel.recipe_names:
        stage = methods.SelfLabel(n_clusters=10).stages(recipe, DataSpec((32, 32, 3), 50_000))[-1]
        assert stage.epochs == 200
        aux = {"most": jnp.int32(30_000), "looks": jnp.int32(40), "highest": jnp.float32(1.0)}
        assert stage.method.ending(aux) is None


def test_self_labelling_ends_when_confident_samples_no_longer_grow():
    method = methods.SelfLabel(**NARROW, threshold=0.5, patience=2)
    model, aux = method.init(jax.random.key(0), SPEC)
    endings = []
    for n_confident in (10, 20, 20, 15, 30):
        confident = jnp.arange(N) < n_confident
        features = jnp.where(confident, 1.0, 0.0)[:, None] * jnp.ones((1, model.encoder.n_features))
        layer = model.head.mlp.layers[0]
        layer.kernel[...] = jnp.zeros(layer.kernel.shape).at[:, 0].set(1.0)
        layer.bias[...] = jnp.zeros(K)
        _, aux = method.refresh(model, aux, features, KEY)
        endings.append(method.ending(aux))
    assert [ending is not None for ending in endings] == [False, False, False, True, False]
    assert endings[3].reason == "the number of confident samples no longer grows (maximum 20)"
    assert not endings[3].warns


@pytest.mark.full
def test_a_threshold_that_no_sample_passes(tmp_path):
    result = run_stage(scan(), workdir=tmp_path / "scan")
    same = run_stage(methods.SelfLabel(**NARROW, threshold=0.9999), init_from=tmp_path / "scan")
    highest = result.probabilities.max()
    assert len(same.metrics["warnings"]) == 1
    assert f"(the highest is {highest:.3f}), so nothing was self-labelled" in same.metrics["warnings"][0]
    np.testing.assert_allclose(same.probabilities, result.probabilities, rtol=1e-5)
    assert not any("loss" in row for row in same.history)


@pytest.mark.full
def test_what_does_not_fit_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(
        InputError, match="n_neighbors is 40, but each of 40 samples has 39 others; use 39 or less"
    ):
        run_stage(scan(n_neighbors=40))
    run_stage(pretext(backbone=nn.Backbone(depth=6, width=8)), steps=0, workdir=tmp_path / "p")
    with pytest.raises(InputError, match=r"the encoder of SCAN does not match that of SimCLR \(.*p\)"):
        run_stage(scan(), init_from=tmp_path / "p")
    same = pretext()
    run_stage(same, steps=0, workdir=tmp_path / "q")
    with pytest.raises(InputError, match=r"SimCLR \(.*q\) has no head for SelfLabel to take over"):
        run_stage(methods.SelfLabel(**NARROW), init_from=tmp_path / "q")
    grey = methods.SCAN(**{**NARROW, "augmentation": Strong(mean=(0.5, 0.5, 0.5))}, projection=5, n_neighbors=4)
    with pytest.raises(InputError, match=r"SimCLR \(.*q\) was trained on images normalised with mean and std"):
        run_stage(grey, init_from=tmp_path / "q")
    for wrong in ({"threshold": 1.5}, {"patience": 0}, {"label_view": "strong"}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            methods.SelfLabel(**NARROW, **wrong)


def test_stages_that_a_saved_run_has_done_are_left_out():
    stages = Experiment(methods.SelfLabel(**NARROW).stages("fast", DataSpec((32, 32, 3), 1000)))

    def left(method):
        return [type(stage.method).__name__ for stage in stages.after(method).stages]

    assert [type(stage.method).__name__ for stage in stages.stages] == ["SimCLR", "SCAN", "SelfLabel"]
    assert left(methods.SimCLR(n_clusters=2)) == ["SCAN", "SelfLabel"]
    assert left(scan()) == ["SelfLabel"]
    assert left(methods.CC(n_clusters=2)) == left(methods.SelfLabel(n_clusters=2)) == ["SelfLabel"]
    lecture = methods.SelfLabel(**{**NARROW, "augmentation": Strong()}).stages("lecture", SPEC)
    assert [stage.method.augmentation.n_ops for stage in lecture[1:]] == [8, 8]


@pytest.mark.full
def test_unlabelled_samples_serve_the_pretext_alone(tmp_path):
    x, y = images(n=60)
    source = ArraySource(x, y[:N], n_reported=N)
    seen = []

    class Watched(ArraySource):
        def rms(self):
            value = super().rms()
            seen.clear()
            return value

        def read(self, rows):
            for part in rows:
                seen.extend(part.tolist())
                yield self._x[part], part

    stage = Stage(method=scan(), steps=6, batch_size=B, reported_only=True)
    result = fit(Experiment((stage,)), source, devices=jax.devices()[:1], workdir=tmp_path / "run")
    assert result.labels.shape == (N,)
    back = load(tmp_path / "run", devices=jax.devices()[:1])
    np.testing.assert_array_equal(back.predict(x[:N]), result.labels)
    streamed = Watched(x, y[:N], n_reported=N)
    streamed.array = None
    np.testing.assert_allclose(
        fit(Experiment((stage,)), streamed, devices=jax.devices()[:1]).probabilities,
        result.probabilities,
        atol=1e-4,
    )
    assert seen
    assert max(seen) < N


@pytest.mark.full
@pytest.mark.parametrize("kind", [ArraySource, Stream])
@pytest.mark.parametrize("stop_at", [4, 9, 18])
def test_stopped_and_resumed_ends_in_the_same_bits(kind, stop_at, tmp_path, monkeypatch):
    monkeypatch.setattr(stage_run, "DISPATCH_SECONDS", 0.0)
    # Stops in the first, the second and the third stage, within an epoch.
    stages = (
        Stage(method=pretext(), steps=6, batch_size=B),
        Stage(method=scan(refresh_epochs=0.4), steps=9, batch_size=B),
        Stage(method=methods.SelfLabel(**NARROW, threshold=0.34, refresh_epochs=0.4), steps=9, batch_size=B),
    )
    source, device = kind(*images()), jax.devices()[:1]
    whole = fit(Experiment(stages), source, devices=device)
    calls = iter(range(10**6))
    run = {"workdir": tmp_path / "run", "devices": device}
    with pytest.raises(Stopped):
        fit(Experiment(stages), source, should_stop=lambda: next(calls) == stop_at, **run)
    resumed = fit(Experiment(stages), source, **run)
    np.testing.assert_array_equal(whole.probabilities, resumed.probabilities)
    np.testing.assert_array_equal(whole.embeddings, resumed.embeddings)


def test_recipes():
    cifar, stl = DataSpec((32, 32, 3), 50_000), DataSpec((96, 96, 3), 105_000, n_reported=5000)
    pretext, clustering, labelling = methods.SelfLabel(n_clusters=10).stages("paper", cifar)
    assert (pretext.epochs, pretext.batch_size, pretext.method.anchors) == (500, 512, "first")
    assert (clustering.epochs, clustering.batch_size, labelling.epochs, labelling.batch_size) == (
        50,
        128,
        200,
        1000,
    )
    # Over-clustering CIFAR-10 is no other data set.
    clustering = methods.SCAN(n_clusters=20).stages("paper", cifar)[-1]
    assert (clustering.epochs, clustering.batch_size) == (50, 128)
    _, clustering, labelling = methods.SelfLabel(n_clusters=10).stages("paper", stl)
    assert (clustering.epochs, clustering.batch_size, labelling.epochs) == (100, 128, 100)
    assert clustering.part_of(stl).n_samples == labelling.part_of(stl).n_samples == 5000
    pretext, clustering, labelling = methods.SelfLabel(n_clusters=10).stages("fast", stl)
    # Epochs of the 5,000 for those that see no others.
    lengths = [stage.n_steps(stage.part_of(stl).n_samples) for stage in (pretext, clustering, labelling)]
    assert lengths == [400 * (105_000 // 512), 100 * (5000 // 128), 1000]
    pretext, clustering, labelling = methods.SelfLabel(n_clusters=10).stages("fast", cifar)
    assert [stage.epochs for stage in (pretext, clustering, labelling)] == [400, 50, 200]
    assert (clustering.batch_size, clustering.n_steps(50_000)) == (128, 19_500)
    assert (clustering.method.refresh_epochs, labelling.batch_size) == (5.0, 1024)
    moco = methods.SCAN(n_clusters=10, pretext="moco").stages("paper", cifar)[0].method
    assert isinstance(moco, methods.MoCo)
    assert moco.backbone == methods.SCAN(n_clusters=10).backbone
    assert dataclasses.replace(moco, queue_size=None).augmentation == Weak()
