"""Every method through the same checks."""

import dataclasses
import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc import methods, nn
from jaxdc.data import ArraySource, ViewsSource
from jaxdc.distributed import sharding
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Optimizer, Stage
from jaxdc.runs.fit import fit
from jaxdc.train import steps
from jaxdc.train.optimizer import make_optimizer
from jaxdc.train.state import init_state, merge, replace_model

N, SHAPE = 64, (4, 4, 1)
SPEC = DataSpec(SHAPE, N, 0.5)
SMALL = {"hidden": (8, 6), "latent": 3}
ADAM = Optimizer()
NARROW = {"backbone": nn.Backbone(depth=10, width=4), "projection": 8}
TRAINED = [name for name in methods.ALL if methods.ALL[name](n_clusters=3).stages("fast", SPEC)[-1].steps != 0]


def images(seed=0):
    rng = np.random.default_rng(seed)
    means = rng.uniform(0, 255, size=(3, *SHAPE))
    x = means[rng.integers(3, size=N)] + rng.normal(scale=10, size=(N, *SHAPE))
    return np.clip(x, 0, 255).astype(np.uint8)


def spec_of(method):
    """Images, or what is no image but two views."""
    return SPEC._replace(shape=(16,), widths=(9, 7)) if isinstance(method, methods.CMSCDCCA) else SPEC


def data_for(method, x, labels=None):
    if not isinstance(method, methods.CMSCDCCA):
        return ArraySource(x, labels)
    x = x.reshape(len(x), -1) / 255
    return ViewsSource({"left": x[:, :9], "right": x[:, 9:]}, labels)


def make(name):
    fields = {f.name for f in dataclasses.fields(methods.ALL[name](n_clusters=3))}
    settings = {}
    if name in TRAINED:
        settings = NARROW if "backbone" in fields else SMALL
        settings = {key: value for key, value in settings.items() if key in fields}
    if name == "selflabel":
        settings = {**settings, "threshold": 0.35}  # a head that has not learnt is not confident
    if name == "deepcluster_v2":
        # Normalised, 32 features of 4 x 4 pixels turn a rounding of 1e-7 into 1e-5 in a step. Batch statistics on
        # many devices are in tests/nn/test_norm.py.
        settings = {**settings, "batch_norm": False}
    if "warmup_epochs" in fields:
        settings = {**settings, "warmup_epochs": 0.0}  # or else prototypes are seen by no test here
    if name == "temi":
        settings = {**settings, "n_heads": 3, "n_neighbors": 8}  # 50 of 64 would not be near
    if name == "nmf":
        settings = {"n_components": 3}
    return methods.ALL[name](n_clusters=3, **settings)


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    """A great many programs are compiled here, and each runs a few times."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


VARIANTS = {"id", "idfo"}  # of IDFD, by one hyper-parameter


def each(names):
    return [pytest.param(name, marks=pytest.mark.slow) if name in VARIANTS else name for name in names]


@pytest.fixture(params=each(methods.ALL))
def method(request):
    return make(request.param)


@pytest.fixture(params=each(TRAINED))
def trained_method(request):
    return make(request.param)


class Bench:
    """A method with its state, outside the loop."""

    def __init__(self, method, n_devices=1, optimizer=ADAM):
        self.method, self.mesh = method, sharding.make_mesh(jax.devices()[:n_devices])
        self.tx = make_optimizer(Stage(method=method, steps=10, optimizer=optimizer), N)
        self.graphdef, self.state = init_state(method, self.tx, jax.random.key(0), spec_of(method), self.mesh)
        x = data_for(method, images())
        self.x = sharding.replicate(x.array, self.mesh)
        self.batch_size = N if method.full_batch else 32

    def features(self):
        embed = steps.make_embed_resident(self.method, self.graphdef, self.mesh, N)
        return embed(self.state, self.x)

    def refresh(self):
        model, aux = self.method.refresh(
            merge(self.graphdef, self.state), self.state.aux, self.features(), jax.random.key(1)
        )
        self.state = replace_model(self.state, model, aux, self.tx, self.mesh)

    def order(self):
        """The rows as they are, or pairs of them, or what a method samples."""
        if type(self.method).draw is methods.Method.draw:
            return sharding.replicate(np.arange(N, dtype=np.int32), self.mesh)
        return steps.make_draw(self.method, self.mesh, N)(self.state.aux, jax.random.key(2), 0)

    def train(self, n_steps):
        run = steps.make_resident_steps(self.method, self.graphdef, self.tx, self.mesh, self.batch_size)
        order, losses = self.order(), []
        for i in range(n_steps):
            self.state, values = run(
                self.state, self.x, order, jnp.int32(i % (N // self.batch_size)), jnp.int32(1)
            )
            losses.append(jax.device_get(values))
        return losses

    def assign(self, features):
        return np.asarray(steps.make_assign(self.method, self.graphdef, self.mesh)(self.state, features))


def test_hyper_parameters_are_the_object(method):
    assert hash(method) == hash(dataclasses.replace(method))
    assert method == dataclasses.replace(method)
    assert type(method).__doc__
    assert sys.modules[type(method).__module__].__doc__
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.n_clusters = 4


def test_every_hyper_parameter_is_documented():
    from jaxdc.methods.base.helps import helps_of

    for name, entry in methods.ALL.items():
        kind = entry.func if isinstance(entry, functools.partial) else entry
        missing = {f.name for f in dataclasses.fields(kind)} - set(helps_of(kind))
        assert not missing, (name, missing)


@pytest.mark.parametrize("n_clusters", [1, 0, -3])
def test_too_few_clusters(method, n_clusters):
    with pytest.raises(InputError, match="n_clusters must be at least 2"):
        dataclasses.replace(method, n_clusters=n_clusters)


def test_recipes_end_in_the_method(method):
    for recipe in method.recipe_names:
        stages = method.stages(recipe, SPEC)
        assert type(stages[-1].method) is type(method)
        assert stages[-1].method.n_clusters == method.n_clusters
    with pytest.raises(InputError, match="no recipe 'slow'"):
        method.stages("slow", SPEC)


def test_features_and_assignments(method):
    bench = Bench(method)
    if len(method.stages("fast", SPEC)) == 1 or "hidden" in vars(method):
        bench.refresh()
    features = bench.features()
    assert features.shape[0] == N
    assert features.ndim == 2
    probabilities = bench.assign(features)
    assert probabilities.shape == (N, 3)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    # Sample by sample: a part is assigned as within the whole.
    np.testing.assert_allclose(bench.assign(features[10:20]), probabilities[10:20], rtol=1e-5, atol=1e-7)


def test_refresh_is_repeatable_and_keeps_the_form(method):
    first, second = Bench(method), Bench(method)
    form = jax.tree.map(lambda x: (x.shape, x.dtype), first.state)
    for bench in (first, second):
        bench.refresh()
    assert jax.tree.map(lambda x: (x.shape, x.dtype), first.state) == form
    jax.tree.map(assert_same, first.state, second.state)
    # Nothing in aux shares memory with a parameter: a step donates both.
    pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((first.state.params, first.state.aux))]
    assert len(set(pointers)) == len(pointers)


def assert_same(a, b):
    if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
        a, b = jax.random.key_data(a), jax.random.key_data(b)
    np.testing.assert_array_equal(a, b)


@functools.cache
def one_update(method, n_devices):
    """From one and the same state: the metrics of a step, its gradient, and all else that it changes."""
    bench = Bench(method, n_devices, Optimizer(name="sgd", learning_rate=1.0, momentum=0.0))
    # A copy: the step is given its state away.
    bench.state = sharding.replicate(jax.tree.map(jnp.copy, under_way(method)), bench.mesh)
    before = jax.tree.map(np.array, bench.state.params)
    (metrics,) = bench.train(1)
    gradient = jax.tree.map(lambda a, b: a - np.asarray(b), before, bench.state.params)
    return metrics, gradient, jax.device_get((bench.state.model_state, bench.state.aux))


@functools.cache
def under_way(method):
    """The state after two steps on one device: a queue has keys in it by then."""
    bench = Bench(method, optimizer=Optimizer(name="sgd", learning_rate=1e-3, momentum=0.0))
    bench.refresh()
    bench.train(2)
    return bench.state


@pytest.mark.parametrize(
    "n_devices", [pytest.param(2, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow), 8]
)
def test_the_number_of_devices_does_not_matter(trained_method, n_devices):
    metrics, gradient, rest = one_update(trained_method, 1)
    other_metrics, other_gradient, other_rest = one_update(trained_method, n_devices)
    # Rounding, 6e-8 for each number, grows with the layers and the samples that a sum runs over.
    largest = max(1.0, *(abs(float(value)) for value in metrics.values()))
    for name, value in metrics.items():
        np.testing.assert_allclose(value, other_metrics[name], rtol=0, atol=1e-5 * largest, err_msg=name)
    steepest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(gradient))
    assert steepest > 1e-4  # or else the comparison says little
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(other_gradient), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=3e-4 * steepest)
    for a, b in zip(jax.tree.leaves(rest), jax.tree.leaves(other_rest), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_the_step_is_pure_and_traced_once(trained_method, monkeypatch):
    traces, loss = [], type(trained_method).loss
    monkeypatch.setattr(type(trained_method), "loss", lambda *args: traces.append(set(args[3])) or loss(*args))
    first, second = Bench(trained_method), Bench(trained_method)
    for bench in (first, second):
        bench.refresh()
    assert first.train(3) == second.train(3)
    # Once for each of the two; and a batch has no labels.
    assert len(traces) == 2
    alone = {"x", "index", "step", "epoch"}
    assert all(batch in (alone, alone | {"neighbor", "neighbor_index"}) for batch in traces)


def test_many_steps_in_one_dispatch_are_the_same(trained_method):
    one_by_one, looped = Bench(trained_method), Bench(trained_method)
    for bench in (one_by_one, looped):
        bench.refresh()
    n_steps = N // looped.batch_size  # of an epoch, which no dispatch outlasts
    expected = one_by_one.train(n_steps)
    settings = (trained_method, looped.graphdef)
    run = steps.make_resident_steps(*settings, looped.tx, looped.mesh, looped.batch_size, looped=True)
    looped.state, means = run(looped.state, looped.x, looped.order(), jnp.int32(0), jnp.int32(n_steps))
    for name, mean in jax.device_get(means).items():
        np.testing.assert_allclose(mean, np.mean([m[name] for m in expected]), rtol=1e-4, atol=1e-7, err_msg=name)
    embed = steps.make_embed_resident(*settings, looped.mesh, 40, looped=True)
    np.testing.assert_allclose(embed(looped.state, looped.x), one_by_one.features(), rtol=1e-3, atol=1e-4)


def test_training_lowers_the_loss(trained_method):
    if isinstance(trained_method, methods.TEMI):
        pytest.skip("its marginal follows the teacher, so no two losses compare; test_temi.py sees that it learns")
    # Against the same steps without learning: a loss may be negative, or its task grow harder as a queue fills.
    ends = []
    for rate in (1e-3, 1e-30):
        bench = Bench(trained_method, optimizer=Optimizer(learning_rate=rate))
        bench.refresh()
        ends.append(np.mean([float(values["loss"]) for values in bench.train(60)[-4:]]))
    learnt, untrained = ends
    assert learnt < untrained - 0.002 * abs(untrained)


WITH_CHANCE = {name for name in TRAINED if methods.ALL[name](n_clusters=3).chance(32, SPEC)}
AT_CHANCE = [pytest.param(name, marks=pytest.mark.slow) for name in sorted(WITH_CHANCE - {"simclr", "scan"})]


@pytest.mark.parametrize("name", ["simclr", "scan", *AT_CHANCE])
def test_what_is_said_to_be_chance_is_what_constant_outputs_cost(name):
    method = make(name)
    bench = Bench(method, optimizer=Optimizer(name="sgd", learning_rate=1e-30))
    bench.refresh()
    zeros = jax.tree.map(jnp.zeros_like, bench.state.params)
    bench.state = dataclasses.replace(bench.state, params=zeros)
    values = bench.train(6)[-1]  # a queue is full by then
    for part, chance in method.chance(bench.batch_size, SPEC).items():
        np.testing.assert_allclose(values[part], chance, rtol=1e-3, err_msg=part)


def test_a_run_from_end_to_end(method, one_device):
    stages = method.stages("fast", SPEC)
    shorter = tuple(
        stage if stage.steps == 0 else Stage(method=stage.method, steps=6, batch_size=32) for stage in stages
    )
    x = data_for(method, images())
    result = fit(Experiment(shorter), x, devices=one_device)
    assert result.labels.shape == (N,)
    assert result.labels.dtype == np.int32
    assert result.probabilities.shape == (N, 3)
    np.testing.assert_array_equal(result.predict(x), result.labels)
    few = x.array[:5]
    np.testing.assert_allclose(result.embed(few), result.embeddings[:5], rtol=1e-4, atol=1e-5)
    again = fit(Experiment(shorter), x, devices=one_device)
    np.testing.assert_array_equal(result.probabilities, again.probabilities)


def test_a_saved_result_predicts_the_same(method, one_device, tmp_path):
    from jaxdc.runs import load

    stages = tuple(
        stage if stage.steps == 0 else Stage(method=stage.method, steps=4, batch_size=32)
        for stage in method.stages("fast", SPEC)
    )
    x = data_for(method, images(), np.arange(N) % 3)
    result = fit(Experiment(stages), x, devices=one_device)
    result.save(tmp_path / "run")
    back = load(tmp_path / "run", devices=one_device)
    assert back.method == result.method
    assert back.metrics == result.metrics
    assert result.metrics["acc"] is not None  # the labels have arrived
    np.testing.assert_array_equal(back.labels, result.labels)
    np.testing.assert_array_equal(back.predict_proba(x), result.predict_proba(x))
    # And on another number of devices.
    everywhere = load(tmp_path / "run")
    np.testing.assert_allclose(everywhere.predict_proba(x), result.predict_proba(x), rtol=1e-4, atol=1e-6)
