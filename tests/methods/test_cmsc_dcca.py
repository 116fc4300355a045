"""CMSC-DCCA and DSC-Net: the objective by other means, known subspaces, both phases, and what is refused."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from sklearn.metrics import adjusted_rand_score

from jaxdc import cluster, fit, methods
from jaxdc.cli import main
from jaxdc.data import ViewsSource
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Optimizer, Stage
from jaxdc.methods.cmsc_dcca import RIDGE
from jaxdc.methods.parts.self_expression import off_diagonal
from jaxdc.methods.view_autoencoders import ViewAutoencoders
from jaxdc.runs import load
from jaxdc.train import memory, stage_run, steps
from jaxdc.train.checks import check_stage
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.stage_run import Stopped
from jaxdc.train.state import init_state, merge

pytestmark = pytest.mark.usefixtures("one_device_alone")

N, WIDTHS = 45, (6, 5)  # samples that no number of devices divides
SPEC = DataSpec((11,), N, widths=WIDTHS)
SMALL = {"n_clusters": 3, "hidden": (4,), "latent": 2}
FIELDS = [f.name for f in dataclasses.fields(ViewAutoencoders)]


def views(n=N, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(n, d)).astype(np.float32) for name, d in zip("ab", WIDTHS, strict=True)}


def method(**settings):
    return methods.CMSCDCCA(**{**SMALL, **settings})


def pretext(of):
    return ViewAutoencoders(**{name: getattr(of, name) for name in FIELDS})


def both_phases(of, *, first=5, second=6, optimizer=None):
    own = Stage(method=of, steps=second, optimizer=optimizer or Optimizer(learning_rate=1e-2))
    return Experiment((Stage(method=pretext(of), steps=first, batch_size=40), own))


def network(of, spec=SPEC):
    model, aux = of.init(jax.random.key(0), spec)
    model.coefficients[...] = 0.3 * jax.random.normal(jax.random.key(1), model.coefficients[...].shape)
    return model, aux


def forward(mlp, x):
    for i, layer in enumerate(mlp.layers):
        x = x @ np.asarray(layer.kernel[...], np.float64) + np.asarray(layer.bias[...], np.float64)
        x = np.maximum(x, 0) if i + 1 < len(mlp.layers) else x
    return x


def correlations(z1, z2):
    """Their sum, by the generalised eigenvalues of S12 S22^-1 S21 and S11."""
    d = z1.shape[1]
    s = np.cov(z1, z2, rowvar=False)
    s11, s12, s22 = s[:d, :d] + RIDGE * np.eye(d), s[:d, d:], s[d:, d:] + RIDGE * np.eye(s.shape[0] - d)
    squares = scipy.linalg.eigh(s12 @ np.linalg.solve(s22, s12.T), s11, eigvals_only=True)
    return np.sqrt(np.clip(squares, 0, None)).sum()


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_objective_by_other_means(norm):
    weights = {"expression": 0.7, "correlation": 0.4, "norm_weight": 0.2}
    of = method(norm=norm, **weights)
    model, aux = network(of)
    x = np.concatenate(list(views().values()), axis=1)
    loss, (_, terms) = of.loss(model, aux, {"x": jnp.asarray(x), "index": jnp.arange(N)}, None)

    c = np.asarray(model.coefficients[...], np.float64)
    np.fill_diagonal(c, 0)
    parts = [x[:, :6], x[:, 6:]]
    codes = [forward(mlp, part) for mlp, part in zip(model.encoder.parts, parts, strict=True)]
    made = [forward(mlp, c @ z) for mlp, z in zip(model.decoder.parts, codes, strict=True)]
    expected = {
        "reconstruction": sum(((a - b) ** 2).mean() for a, b in zip(parts, made, strict=True)),
        "expression": sum(np.linalg.norm(z - c @ z, "fro") ** 2 for z in codes) / N,
        "correlation": -correlations(*codes),
        "norm": (np.abs(c).sum() if norm == "l1" else (c**2).sum()) / N,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=2e-4, err_msg=name)
    total = expected["reconstruction"] + sum(
        weights[w] * expected[t]
        for w, t in (("expression", "expression"), ("correlation", "correlation"), ("norm_weight", "norm"))
    )
    np.testing.assert_allclose(loss, total, rtol=2e-4)
    # Of one view it is DSC-Net, without a correlation.
    alone = methods.DSCNet(**SMALL, norm=norm, expression=0.7, norm_weight=0.2)
    model, aux = network(alone, DataSpec((6,), N))
    loss, (_, terms) = alone.loss(model, aux, {"x": jnp.asarray(parts[0]), "index": jnp.arange(N)}, None)
    z = forward(model.encoder.parts[0], parts[0])
    np.testing.assert_allclose(terms["expression"], np.sum((z - c @ z) ** 2) / N, rtol=2e-4)
    total = terms["reconstruction"] + 0.7 * terms["expression"] + 0.2 * terms["norm"]
    np.testing.assert_allclose(loss, total, rtol=1e-6)


def test_without_a_weight_the_expression_has_a_degree_of_freedom_per_cluster():
    of = method(latent=4, expression=0.7, correlation=0.0)
    model, aux = network(of)
    x = np.concatenate(list(views().values()), axis=1)
    batch = {"x": jnp.asarray(x), "index": jnp.arange(N)}
    loss, (_, terms) = of.loss(model, aux, batch, None)

    c = np.asarray(model.coefficients[...], np.float64)
    np.fill_diagonal(c, 0)
    parts = [x[:, :6], x[:, 6:]]
    codes = [forward(mlp, part) for mlp, part in zip(model.encoder.parts, parts, strict=True)]
    means = [z.mean(axis=0) for z in codes]
    # Each view has the share of the energy that it has of the 11 columns, and the samples have 1 together.
    scaled = [(z - m) / np.sqrt(((z - m) ** 2).sum() / N) for z, m in zip(codes, means, strict=True)]
    s = np.concatenate([scaled[0] * np.sqrt(6 / 11), scaled[1] * np.sqrt(5 / 11)], axis=1)
    squares = np.linalg.svd(s, compute_uv=False) ** 2
    weight = scipy.optimize.brentq(lambda w: (squares / (squares + w)).sum() - 3, 1e-6, 1e6)  # three clusters
    made = [forward(mlp, m + c @ (z - m)) for mlp, z, m in zip(model.decoder.parts, codes, means, strict=True)]
    reconstruction = sum(((a - b) ** 2).mean() for a, b in zip(parts, made, strict=True))
    np.testing.assert_allclose(terms["reconstruction"], reconstruction, rtol=2e-4)
    np.testing.assert_allclose(terms["expression"], ((s - c @ s) ** 2).sum() / N, rtol=2e-4)
    total = reconstruction + 0.7 * ((s - c @ s) ** 2).sum() / N + 0.7 * weight * (c**2).sum() / N
    np.testing.assert_allclose(loss, total, rtol=5e-4)
    # Codes ten times as large, moved by 3, of decoders that undo both, change nothing.
    for encoder, decoder in zip(model.encoder.parts, model.decoder.parts, strict=True):
        last, first = encoder.layers[-1], decoder.layers[0]
        last.kernel[...], last.bias[...] = 10 * last.kernel[...], 10 * last.bias[...] + 3
        first.kernel[...] = 0.1 * first.kernel[...]
        first.bias[...] = first.bias[...] - 3 * jnp.sum(first.kernel[...], axis=0)
    np.testing.assert_allclose(of.loss(model, aux, batch, None)[0], loss, rtol=5e-4)


def test_phase_one_reconstructs_each_view_by_itself():
    of = pretext(method())
    model, aux = of.init(jax.random.key(0), SPEC)
    x = views()
    batch = {"x": jnp.concatenate([x["a"], x["b"]], axis=1), "index": jnp.arange(N)}
    loss, _ = of.loss(model, aux, batch, None)
    parts = zip(x.values(), model.encoder.parts, model.decoder.parts, strict=True)
    expected = sum(((v - forward(decoder, forward(encoder, v))) ** 2).mean() for v, encoder, decoder in parts)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def subspaces():
    """Three pairs of directions in either view: 20 samples in the plane of each."""
    rng = np.random.default_rng(0)
    labels, found = np.repeat(np.arange(3), 20), {}
    for view, d in (("a", 9), ("b", 8)):
        directions = np.linalg.qr(rng.normal(size=(d, 6)))[0].T.reshape(3, 2, d)
        places = rng.normal(size=(3, 20, 2))
        places -= places.mean(axis=1, keepdims=True)  # views are centred, and planes are to go through 0
        found[view] = np.concatenate([of @ plane for of, plane in zip(places, directions, strict=True)])
    return ViewsSource(found, labels), labels


@pytest.mark.full
def test_planes_make_a_graph_in_blocks(one_device):
    """Linear encoders leave planes as they are, so a sample can be made of those of its own plane alone."""
    source, labels = subspaces()
    the_papers_graph = {"n_neighbors": None, "keep": 1.0, "subspace": None, "power": 1.0}
    of = method(hidden=(), latent=6, norm="l1", norm_weight=0.3, correlation=0.1, **the_papers_graph)
    adam = Optimizer(learning_rate=5e-3, encoder_rate=0.1, cosine=True)
    stages = both_phases(of, first=200, second=1000, optimizer=adam)
    result = fit(stages, source, devices=one_device)
    model = merge(result._graphdef, result._state)
    affinity = np.asarray(cluster.subspace_affinity(off_diagonal(model.coefficients[...])))
    same = labels[:, None] == labels
    assert affinity[same].sum() > 0.95 * affinity.sum()
    np.testing.assert_array_equal(np.diag(affinity), 0.0)
    assert adjusted_rand_score(labels, result.labels) == 1.0
    k_means = fit(methods.KMeans(n_clusters=3), source, devices=one_device).labels
    assert adjusted_rand_score(labels, k_means) < 0.5  # or else planes are no harder than blobs
    # A new sample goes with the one of the training whose code is nearest, scaled as the training was.
    new = np.asarray(source.array) * 1.0001
    np.testing.assert_array_equal(result.predict(new), result.labels)


@pytest.mark.full
def test_phase_two_begins_where_phase_one_ended(one_device):
    experiment = both_phases(method(), first=400, second=1, optimizer=Optimizer(learning_rate=1e-9))
    result = fit(experiment, ViewsSource(views()), devices=one_device)
    first, *_, trained, last = (row for row in result.history if "reconstruction" in row)
    assert trained["reconstruction"] < 0.9 * first["reconstruction"]
    # No sample is made of others yet: all of its code is left, of which this is the share.
    np.testing.assert_allclose(last["expression"], 1.0, rtol=1e-5)
    x = np.concatenate(list(views().values()), axis=1).astype(np.float64)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    model = merge(result._graphdef, result._state)
    codes = np.split(np.asarray(result.embeddings, np.float64), 2, axis=1)
    parts = zip(np.split(x, [6], axis=1), codes, model.decoder.parts, strict=True)
    error = sum(((v - forward(decoder, z)) ** 2).mean() for v, z, decoder in parts)
    np.testing.assert_allclose(error, trained["reconstruction"], rtol=0.05)


@pytest.mark.parametrize("n_devices", [2, 8])
@pytest.mark.full  # the contract has 8 devices, and tests/train/test_full_batch.py such samples
def test_devices_that_do_not_divide_the_samples(n_devices):
    sgd = Optimizer(name="sgd", learning_rate=1e-3)
    runs = [
        fit(both_phases(method(), optimizer=sgd), ViewsSource(views()), devices=jax.devices()[:n])
        for n in (1, n_devices)
    ]
    rows = [[row for row in run.history if "correlation" in row][-1] for run in runs]
    for name in ("loss", "reconstruction", "expression", "correlation", "norm"):
        np.testing.assert_allclose(rows[1][name], rows[0][name], rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(runs[1].embeddings, runs[0].embeddings, rtol=1e-3, atol=1e-5)


@pytest.mark.full
@pytest.mark.parametrize("stop_at", [3, 8])
def test_stopped_and_resumed_ends_in_the_same_bits(stop_at, one_device, tmp_path, monkeypatch):
    monkeypatch.setattr(stage_run, "DISPATCH_SECONDS", 0.0)
    experiment, source = both_phases(method()), ViewsSource(views())
    whole, calls = fit(experiment, source, devices=one_device), iter(range(10**6))
    run = {"workdir": tmp_path / "run", "devices": one_device}
    with pytest.raises(Stopped):
        fit(experiment, source, should_stop=lambda: next(calls) == stop_at, **run)
    resumed = fit(experiment, source, **run)
    np.testing.assert_array_equal(whole.probabilities, resumed.probabilities)
    np.testing.assert_array_equal(whole.embeddings, resumed.embeddings)
    np.testing.assert_array_equal(load(tmp_path / "run", devices=one_device).labels, whole.labels)


@pytest.mark.full
def test_views_that_are_pictures(one_device):
    of = method(shapes=("2x3", "vector"), channels=(2,))
    assert of.init(jax.random.key(0), SPEC)[0].encoder.parts[0].shape == (2, 3, 1)
    assert fit(both_phases(of), ViewsSource(views()), devices=one_device).embeddings.shape == (N, 4)
    for shapes, sentence in (
        (("2x3",), "shapes must have one entry per view, 2, but has 1 .*separate them by spaces"),
        (("2x4", "vector"), "a view of 6 columns can't be an image of shape 2x4"),
        (("2by3", "vector"), "like 16x15, 32x32x3 or vector, not '2by3'"),
    ):
        with pytest.raises(InputError, match=sentence):
            method(shapes=shapes).init(jax.random.key(0), SPEC)


@pytest.mark.parametrize(
    ("of", "widths", "sentence"),
    [
        (
            method(),
            None,
            "CMSC-DCCA needs samples of 2 views, but these are one matrix, or images: give",
        ),
        (method(), (11,), "needs samples of 2 views, but these have 1: .* name 2 of them with --views"),
        (method(), (5, 3, 3), "needs samples of 2 views, but these have 3"),
        (methods.DSCNet(**SMALL), (6, 5), "DSC-Net needs samples of one view, but these have 2"),
    ],
)
def test_other_numbers_of_views(of, widths, sentence):
    with pytest.raises(InputError, match=sentence):
        of.init(jax.random.key(0), SPEC._replace(widths=widths))


@pytest.mark.parametrize(
    "settings",
    [{"correlation": -1.0}, {"keep": 0.0}, {"keep": 1.1}, {"norm": "l3"}, {"subspace": 0}, {"n_neighbors": 0}],
)
def test_hyper_parameters_out_of_range(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        method(**settings)


def test_what_does_not_go_together():
    with pytest.raises(InputError, match="norm l1 needs a norm_weight, such as 0.36"):
        method(norm="l1")
    with pytest.raises(InputError, match="n_neighbors is 45, but there are only 45 samples"):
        method(n_neighbors=N).init(jax.random.key(0), SPEC)


def test_too_many_samples(monkeypatch):
    mesh, stage = sharding.make_mesh(jax.devices()[:1]), both_phases(method()).stages[1]
    monkeypatch.setattr(memory, "device_limit", lambda mesh: 2**30)
    with pytest.raises(InputError, match=r"100,000 samples are too many for CMSCDCCA.*use at most 5,461 samples"):
        check_stage(stage, SPEC._replace(n_samples=100_000), mesh)
    check_stage(stage, SPEC._replace(n_samples=5461), mesh)


def test_what_is_said_of_the_memory_is_what_a_step_takes(one_device):
    of, n = method(), 600
    mesh = sharding.make_mesh(one_device)
    stage = Stage(method=of, steps=5)
    tx = make_optimizer(stage, n)
    graphdef, state = init_state(of, tx, jax.random.key(0), SPEC._replace(n_samples=n), mesh)
    run = steps.make_resident_steps(of, graphdef, tx, mesh, n)
    x = sharding.replicate(np.concatenate(list(views(n).values()), axis=1), mesh)
    order = sharding.replicate(np.arange(n, dtype=np.int32), mesh)
    compiled = run.compile(state, x, order, np.int32(0))
    taken = memory.estimate(compiled, state, (x, order))
    total = taken.state + taken.temporaries
    assert 0.5 * of.device_bytes(n) < total < 1.1 * of.device_bytes(n)


def test_more_samples_than_lapack_counts(monkeypatch):
    of, key = method(), jax.random.key(0)
    jax.eval_shape(lambda: of.init(key, SPEC._replace(n_samples=32_766))[1])
    with pytest.raises(InputError, match=r"32,767 samples are too many for CMSCDCCA on a CPU.* up to 32,766"):
        of.init(key, SPEC._replace(n_samples=32_767))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    jax.eval_shape(lambda: of.init(key, SPEC._replace(n_samples=32_767))[1])


@pytest.mark.full
def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x = views()
    np.savez("two.npz", **x, c=x["a"][:, :2], label=np.arange(N) % 3)
    short = ["--n-clusters", "3", "--hidden", "4", "--latent", "2", "--epochs", "2", "--pretrain-epochs", "1"]
    train = ["train", "cmsc_dcca", "--data", "two.npz", "--batch-size", "40", *short]
    main([*train, "--views", "1,0"])
    run = tmp_path / "runs" / "cmsc_dcca-two-0"
    assert json.loads((run / "config.json").read_text())["run"]["data"]["views"] == {"b": 5, "a": 6}
    main(["predict", str(run), "--data", "two.npz", "--output", "out.csv"])
    assert (tmp_path / "out.csv").read_text() == (run / "assignments.csv").read_text()
    capsys.readouterr()
    for chosen, has in (("0", 1), ("0,1,2", 3)):
        with pytest.raises(SystemExit) as exit_:
            main([*train, "--views", chosen, "--workdir", "other"])
        assert exit_.value.code == 2
        assert f"CMSC-DCCA needs samples of 2 views, but these have {has}" in capsys.readouterr().err
        assert not (tmp_path / "other").exists()
