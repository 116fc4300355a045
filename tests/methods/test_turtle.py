"""TURTLE: steps by other means, several spaces, both starts of the inner problem, and what is refused."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import log_softmax, softmax
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from jaxdc import fit, methods
from jaxdc.cli import main
from jaxdc.data import ViewsSource
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Schedule, Stage
from jaxdc.runs import load
from jaxdc.train import stage_run
from jaxdc.train.stage_run import Stopped

pytestmark = pytest.mark.usefixtures("one_device_alone")

N, WIDTHS, K = 24, (4, 3), 3
SPEC = DataSpec((7,), N, widths=WIDTHS)
KEY = jax.random.key(7)


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def vectors(seed=0, n=N, d=7):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def spaces(n=N, centers=K, seed=2):
    """Blobs that one space or the other tells apart only in part."""
    x, y = make_blobs(n, n_features=7, centers=centers, cluster_std=2.0, random_state=seed)
    return {"a": x[:, :4].astype(np.float32), "b": x[:, 4:].astype(np.float32)}, y


def cross_entropy(logits, labels):
    return -(labels * log_softmax(logits, axis=1)).sum(axis=1).mean()


def entropy(probs):
    mean = probs.mean(axis=0)
    return -(mean * np.log(mean)).sum()


def labelled(weights, parts):
    """Labels of each space by the layers, whose rows have a direction and a length of their own."""
    units = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in weights["directions"]]
    layers = zip(parts, units, weights["scales"], weights["biases"], strict=True)
    return [softmax(x @ v.T * g + b, axis=1) for x, v, g, b in layers]


def learnt(kernels, biases, moments, parts, labels, rate, n_steps):
    """Steps of Adam on the mean cross-entropy, whose gradient is (softmax - labels) x / n."""
    parameters, n_done = [*kernels, *biases], moments["n"]
    for step in range(n_done + 1, n_done + n_steps + 1):
        kernels, biases = parameters[: len(parts)], parameters[len(parts) :]
        layers = zip(parts, kernels, biases, strict=True)
        errors = [(softmax(x @ w.T + b, axis=1) - labels) / len(x) for x, w, b in layers]
        gradients = [e.T @ x for e, x in zip(errors, parts, strict=True)] + [e.sum(axis=0) for e in errors]
        for i, g in enumerate(gradients):
            moments["m"][i] = 0.9 * moments["m"][i] + 0.1 * g
            moments["v"][i] = 0.999 * moments["v"][i] + 0.001 * g**2
            m, v = moments["m"][i] / (1 - 0.9**step), moments["v"][i] / (1 - 0.999**step)
            parameters[i] = parameters[i] - rate * m / (np.sqrt(v) + 1e-8)
    moments["n"] = n_done + n_steps
    return parameters[: len(parts)], parameters[len(parts) :]


def weights_of(model):
    names = ("directions", "scales", "biases")
    return {name: [np.asarray(one[...], np.float64) for one in getattr(model, name)] for name in names}


def at_rest(shapes):
    return {"n": 0, "m": [np.zeros(s) for s in shapes], "v": [np.zeros(s) for s in shapes]}


def test_two_steps_by_hand():
    """Values of the classifiers, which go on from step to step, of the loss, and the gradient of the labels."""
    method = methods.TURTLE(n_clusters=K, warm_start=True, inner_steps=3, inner_rate=0.05, entropy_weight=2.0)
    model, aux = method.init(jax.random.key(0), SPEC)
    weights, split = weights_of(model), nnx.split(model, nnx.Param, ...)
    kernels = [np.asarray(one["kernel"], np.float64) for one in aux["classifiers"]]
    biases = [np.asarray(one["bias"], np.float64) for one in aux["classifiers"]]
    moments = at_rest([w.shape for w in (*kernels, *biases)])

    @jax.jit
    def step(params, aux, x):
        def objective(params):
            return method.loss(nnx.merge(split[0], params, split[2], copy=True), aux, {"x": x}, KEY)

        return jax.value_and_grad(objective, has_aux=True)(params)

    for seed in (1, 2):
        x = vectors(seed)
        (loss, (aux, figures)), gradient = step(split[1], aux, x)
        parts = np.split(x.astype(np.float64), [4], axis=1)
        labels = np.mean(labelled(weights, parts), axis=0)
        kernels, biases = learnt(kernels, biases, moments, parts, labels, 0.05, 3)
        logits = [x @ w.T + b for x, w, b in zip(parts, kernels, biases, strict=True)]

        def outer(weights, parts=parts, logits=logits):
            by_space = labelled(weights, parts)
            error = sum(cross_entropy(each, np.mean(by_space, axis=0)) for each in logits)
            return error, sum(map(entropy, by_space))

        np.testing.assert_allclose([figures["error"], figures["entropy"]], outer(weights), rtol=1e-5)
        np.testing.assert_allclose(loss, outer(weights)[0] - 2 * outer(weights)[1], rtol=1e-5)
        for one, w, b in zip(aux["classifiers"], kernels, biases, strict=True):
            np.testing.assert_allclose(one["kernel"], w, atol=1e-5)
            np.testing.assert_allclose(one["bias"], b, atol=1e-5)
        # The classifiers are given: a change of the labels does not move them.
        for name, leaves in weights.items():
            for i, leaf in enumerate(leaves):
                found = np.asarray(gradient[name][i][...])
                for place in np.ndindex(leaf.shape):
                    ends = []
                    for shift in (1e-6, -1e-6):
                        moved = {key: [each.copy() for each in value] for key, value in weights.items()}
                        moved[name][i][place] += shift
                        error, use = outer(moved)
                        ends.append(error - 2 * use)
                    np.testing.assert_allclose(found[place], (ends[0] - ends[1]) / 2e-6, rtol=1e-3, atol=1e-5)


def test_a_cold_start_has_new_classifiers_at_every_step():
    method = methods.TURTLE(n_clusters=K, inner_steps=1, inner_rate=1e-9)
    model, aux = method.init(jax.random.key(0), SPEC)
    assert aux == {}
    batch = {"x": jnp.asarray(vectors())}
    errors = [float(method.loss(model, aux, batch, jax.random.key(i))[1][1]["error"]) for i in (1, 1, 2)]
    assert errors[0] == errors[1] != errors[2]
    # They begin at random: about as good as any guess, and far from what many steps make of them.
    assert errors[0] > 0.8 * 2 * np.log(K)
    eager = methods.TURTLE(n_clusters=K, inner_steps=300, inner_rate=0.1)
    assert eager.loss(model, aux, batch, jax.random.key(1))[1][1]["error"] < 0.95 * errors[0]


def test_the_example_of_two_samples():
    """Labels (.9, .1) and (.2, .8) against (.7, .3) and (.4, .6): 0.516662 - 10 x 0.688139."""
    method = methods.TURTLE(n_clusters=2, warm_start=True, inner_steps=1, inner_rate=1e-12)
    model, aux = method.init(KEY, DataSpec((2,), 2))
    labels, guesses = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.7, 0.3], [0.4, 0.6]])
    kernel = np.log(labels).T  # of one-hot samples: a row of logits for each
    model.directions[0][...] = jnp.asarray(kernel, jnp.float32)
    model.scales[0][...] = jnp.asarray(np.linalg.norm(kernel, axis=1), jnp.float32)
    model.biases[0][...] = jnp.zeros(2)
    aux["classifiers"] = [{"kernel": jnp.asarray(np.log(guesses).T, jnp.float32), "bias": jnp.zeros(2)}]
    loss, (_, figures) = method.loss(model, aux, {"x": jnp.eye(2)}, KEY)
    np.testing.assert_allclose(figures["error"], 0.516662, atol=1e-6)
    np.testing.assert_allclose(figures["entropy"], 0.688139, atol=1e-6)
    np.testing.assert_allclose(loss, -6.364726, atol=1e-5)
    np.testing.assert_allclose(method.assign(model, aux, jnp.eye(2)), labels, atol=1e-6)
    # A classifier that knows nothing errs by ln k, whatever the labels are.
    aux["classifiers"] = [{"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}]
    error = method.loss(model, aux, {"x": jnp.eye(2)}, KEY)[1][1]["error"]
    np.testing.assert_allclose(error, np.log(2), atol=1e-6)


@pytest.mark.full
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("edge", ["equal rows", "zeros", "huge", "a sample a cluster"])
def test_finite_at_the_edges(edge, warm):
    k = N if edge == "a sample a cluster" else K
    method = methods.TURTLE(n_clusters=k, warm_start=warm)
    x = {"equal rows": np.ones((N, 7)), "zeros": np.zeros((N, 7)), "huge": 1e6 * vectors()}.get(edge, vectors())
    model, aux = method.init(
        KEY, SPEC._replace(rms=float(np.sqrt(np.mean(x**2))) if edge == "equal rows" else 1.0)
    )
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    def objective(params):
        model = nnx.merge(graphdef, params, rest, copy=True)
        return method.loss(model, aux, {"x": jnp.asarray(x, jnp.float32)}, KEY)

    for leaf in jax.tree.leaves(jax.value_and_grad(objective, has_aux=True)(params)):
        assert np.isfinite(leaf).all()


@pytest.mark.full
def test_as_many_clusters_as_samples(one_device):
    result = fit(
        methods.TURTLE(n_clusters=8), 3 * np.eye(8, 5, dtype=np.float32) + vectors(n=8, d=5), devices=one_device
    )
    assert len(set(result.labels.tolist())) >= 7  # all are wanted in use
    assert np.isfinite(result.probabilities).all()


def test_recipes_fill_in_the_start_that_is_open():
    for recipe, warm in (("paper", False), ("fast", True)):
        for given, expected in ((None, warm), (False, False), (True, True)):
            (stage,) = methods.TURTLE(n_clusters=K, warm_start=given).stages(recipe, SPEC)
            assert stage.method.warm_start is expected
            assert stage.batch_size == N
    (stage,) = methods.TURTLE(n_clusters=K).stages("paper", SPEC._replace(n_samples=60_000))
    assert (stage.batch_size, stage.steps) == (10_000, 6000)
    for recipe, batch_size in (("paper", 1984), ("fast", 512)):  # devices share it
        (stage,) = methods.TURTLE(n_clusters=K).stages(recipe, SPEC._replace(n_samples=2000))
        assert stage.batch_size == batch_size


def test_what_is_wrong_is_said():
    method = methods.TURTLE(n_clusters=10)
    with pytest.raises(InputError, match="a batch of 8 samples can't show 10 clusters.* at least 10"):
        fit(method, vectors(), schedule=Schedule(batch_size=8), devices=jax.devices()[:1])
    with pytest.raises(InputError, match="can't make 25 clusters from 24 samples"):
        fit(methods.TURTLE(n_clusters=25), vectors(), devices=jax.devices()[:1])
    with pytest.raises(InputError, match="different lengths: 24 of a, 23 of b"):
        ViewsSource({"a": vectors(), "b": vectors()[1:]})
    for settings in ({"inner_steps": 0}, {"inner_rate": 0.0}, {"entropy_weight": -1.0}):
        with pytest.raises(InputError, match=next(iter(settings))):
            methods.TURTLE(n_clusters=K, **settings)


# Classifiers that begin anew at every step learn little in ten of them, unless they learn fast.
@pytest.mark.full
@pytest.mark.parametrize(("recipe", "rate"), [("fast", 1e-3), ("paper", 0.1)])
def test_it_learns(recipe, rate, one_device):
    x, y = spaces(150, centers=4)
    method = methods.TURTLE(n_clusters=4, inner_rate=rate)
    result = fit(method, ViewsSource(x), recipe=recipe, schedule=Schedule(epochs=600), devices=one_device)
    assert adjusted_rand_score(y, result.labels) > 0.9
    np.testing.assert_array_equal(result.predict(np.concatenate(list(x.values()), axis=1)), result.labels)
    untrained = fit(
        Experiment((Stage(method=method, steps=1, batch_size=150),)), ViewsSource(x), devices=one_device
    )
    assert adjusted_rand_score(y, untrained.labels) < 0.7


@pytest.mark.full
@pytest.mark.parametrize("warm", [False, True])
def test_stopped_and_resumed_ends_in_the_same_bits(warm, one_device, tmp_path, monkeypatch):
    monkeypatch.setattr(stage_run, "DISPATCH_SECONDS", 0.0)
    method, source = methods.TURTLE(n_clusters=K, warm_start=warm), ViewsSource(spaces()[0])
    experiment, calls = Experiment((Stage(method=method, steps=12, batch_size=8),)), iter(range(10**6))
    whole = fit(experiment, source, devices=one_device)
    run = {"workdir": tmp_path / "run", "devices": one_device}
    with pytest.raises(Stopped):
        fit(experiment, source, should_stop=lambda: next(calls) == 5, **run)
    resumed = fit(experiment, source, **run)
    np.testing.assert_array_equal(whole.probabilities, resumed.probabilities)
    np.testing.assert_array_equal(load(tmp_path / "run", devices=one_device).labels, whole.labels)


@pytest.mark.full
def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x, y = spaces()
    np.savez("spaces.npz", **x, c=x["a"][:, :2], label=y)
    np.save("one.npy", x["a"])
    train = ["train", "turtle", "--n-clusters", "3", "--epochs", "4", "--batch-size", "8"]
    main([*train, "--data", "spaces.npz", "--views", "a,b,c"])
    run = tmp_path / "runs" / "turtle-spaces-0"
    assert json.loads((run / "config.json").read_text())["run"]["data"]["views"] == {"a": 4, "b": 3, "c": 2}
    main(["predict", str(run), "--data", "spaces.npz", "--output", "out.csv"])
    assert (tmp_path / "out.csv").read_text() == (run / "assignments.csv").read_text()
    main([*train, "--data", "one.npy"])
    assert (tmp_path / "runs" / "turtle-one-0" / "assignments.csv").is_file()
    np.savez("short.npz", a=x["a"], b=x["b"][1:])
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main([*train, "--data", "short.npz", "--workdir", "other"])
    assert exit_.value.code == 2
    assert "must hold the same samples, but have different lengths" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
