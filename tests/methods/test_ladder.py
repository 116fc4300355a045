"""Kingdra's ladder networks: a pass, the decoder and the costs by hand, and what is learnt from them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxdc.errors import InputError
from jaxdc.methods import Kingdra
from jaxdc.methods.base import DataSpec
from jaxdc.methods.parts.ladder import Ladders, combinator
from jaxdc.train.optimizer import is_weight

M, K, N, D, H = 3, 2, 8, 5, 6
SPEC = DataSpec((D,), N, 0.5)
METHOD = Kingdra(n_clusters=K, n_members=M, hidden=(H, H), ladder=True)


@pytest.fixture(scope="module")
def start():
    """A model whose biases and combinators are not 0, as after some training, and its aux."""
    model, aux = METHOD.init(jax.random.key(0), SPEC)
    rng = np.random.default_rng(7)
    for some in (model.encoder.biases, model.encoder.combinators, model.encoder.means):
        for one in some:
            one[...] = jnp.asarray(one[...] + rng.normal(scale=0.5, size=one.shape), jnp.float32)
    return *nnx.split(model, nnx.Param, ...), aux


def batch(rows=range(N)):
    rows = np.array(rows)
    x = np.random.default_rng(1).random((N, D), np.float32)
    return {"x": jnp.asarray(x[rows]), "index": jnp.asarray(rows), "step": jnp.int32(0), "epoch": jnp.int32(0)}


def encoder_of(start):
    return nnx.merge(*start[:3], copy=True).encoder


@pytest.fixture(scope="module")
def step(start):
    graphdef, _, rest, _ = start

    def of(params, aux, data, key):
        model = nnx.merge(graphdef, params, rest, copy=True)
        loss, (_, figures) = METHOD.loss(model, aux, data, key)
        return loss, (figures, nnx.state(model, nnx.BatchStat))

    return jax.jit(jax.value_and_grad(of, has_aux=True))


def norm(z):
    return (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-5)


def by_hand(encoder, x, noise):
    """One member after the other, in float64: logits of both passes, [m, b, k], and costs [m, levels]."""

    def of(some, member):
        return [np.asarray(one[...], np.float64)[..., member, :] for one in some]

    logits, noisy_logits, costs = [], [], []
    for j in range(M):
        up = [np.asarray(one[j], np.float64) for one in encoder.kernels]
        down = [np.asarray(one[j], np.float64) for one in encoder.down]
        beta, table = of(encoder.biases, j), of(encoder.combinators, j)
        e = [np.asarray(one, np.float64)[:, j] for one in noise]
        x0 = np.asarray(x, np.float64) / 0.5
        z1 = norm(x0 @ up[0])
        z2 = norm(np.maximum(z1 + beta[0], 0) @ up[1])
        z3 = np.maximum(z2 + beta[1], 0) @ up[2]
        n0 = x0 + e[0]
        n1 = norm(n0 @ up[0]) + e[1]
        n2 = norm(np.maximum(n1 + beta[0], 0) @ up[1]) + e[2]
        n3 = np.maximum(n2 + beta[1], 0) @ up[2] + e[3]
        logits.append(z3 + beta[2])
        noisy_logits.append(n3 + beta[2])

        def estimate(z, u, a):
            mean = a[0] / (1 + np.exp(-(a[1] * u + a[2]))) + a[3] * u + a[4]
            v = a[5] / (1 + np.exp(-(a[6] * u + a[7]))) + a[8] * u + a[9]
            return v * z + (1 - v) * mean

        e3 = estimate(n3, norm(n3 + beta[2]), table[3])
        e2 = estimate(n2, norm(e3 @ down[2]), table[2])
        e1 = estimate(n1, norm(e2 @ down[1]), table[1])
        e0 = estimate(n0, norm(e1 @ down[0]), table[0])
        pairs = [(x0, e0), (z1, e1), (z2, e2), (z3, e3)]
        # The paper's: the sum over units, its mean over samples, divided by the width.
        costs.append([((a - b) ** 2).sum(axis=1).mean() / a.shape[1] for a, b in pairs])
    return np.stack(logits), np.stack(noisy_logits), np.array(costs)


def softmax(z):
    z = np.exp(z - z.max(axis=-1, keepdims=True))
    return z / z.sum(axis=-1, keepdims=True)


def entropy(p):
    return -np.sum(p * np.log(p), axis=-1)


def test_the_passes_and_the_costs_by_hand(start):
    encoder, x = encoder_of(start), batch()["x"]
    key = jax.random.key(5)
    plain, noisy, costs = encoder.passes(encoder.scaled(x), key)
    logits, noisy_logits, expected = by_hand(encoder, x, encoder.draw(key, N))
    np.testing.assert_allclose(plain.swapaxes(0, 1), logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(noisy.swapaxes(0, 1), noisy_logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(costs, expected.mean(axis=0), rtol=1e-4)


def test_the_loss_by_hand(start, step):
    _, params, _, aux = start
    data, key = batch(), jax.random.key(5)
    labels = np.array([0, 1, -1, 0, -1, 1, 1, -1])
    names = np.array([[0, 1], [1, 0], [0, 1]])
    weights = np.array([1 / 2, 1 / 3], np.float32)
    new = {"labels": jnp.asarray(labels, jnp.int32), "names": jnp.asarray(names, jnp.int32), "weights": weights}
    (loss, (figures, _)), _ = step(params, {**aux, **new}, data, key)
    encoder = encoder_of(start)
    logits, noisy_logits, costs = by_hand(encoder, data["x"], encoder.draw(key, N))
    plain, noisy = softmax(logits), softmax(noisy_logits)
    information = [entropy(p).mean(1) - 4 * entropy(p.mean(1)) for p in (plain, noisy)]
    error = [-np.mean([np.log(noisy[m, labels == c, names[m, c]]).mean() for c in range(K)]) for m in range(M)]
    expected = {
        "information": 0.1 * np.mean(information[0] + information[1]),
        "consistency": np.sum(plain * np.log(plain / noisy), axis=2).mean(),
        "labels": np.mean(error),
        "denoising": (costs @ [1000, 10, 0.1, 0.1]).mean(),
        "members": M,
    }
    assert set(figures) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(figures[name], value, rtol=2e-4, err_msg=name)
    np.testing.assert_allclose(loss, sum(figures[name] for name in list(expected)[:4]), rtol=1e-5)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [((1000.0, 10.0, 0.1), 1020.7), ((2.0,), 20.0), ((1.0, 0.0, 3.0, 4.0, 5.0, 6.0), 1 + 9 + 16)],
)
def test_the_last_weight_is_for_the_levels_above(weights, expected):
    value = dataclasses.replace(METHOD, denoising_weights=weights)._denoising([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_combinators_begin_with_an_estimate_of_0_and_can_pass_the_noisy_value_on():
    rng = np.random.default_rng(0)
    z, u = (jnp.asarray(rng.normal(size=(4, M, K)), jnp.float32) for _ in range(2))
    model, _ = METHOD.init(jax.random.key(0), SPEC)
    values = model.encoder.combinators[-1][...]
    np.testing.assert_array_equal(combinator(z, u, values), np.zeros(z.shape))
    np.testing.assert_allclose(combinator(z, u, values.at[9].set(1.0)), z, rtol=1e-6)
    np.testing.assert_allclose(combinator(z, u, values.at[3].set(2.0)), 2 * u, rtol=1e-6)


def test_noise_has_its_deviation_and_is_of_each_level_and_member_alone():
    encoder = Ladders(DataSpec((40,), N, 1.0), (40, 40, 3), M, 0.3, nnx.Rngs(0))
    draws = encoder.draw(jax.random.key(0), 200)
    assert [draw.shape for draw in draws] == [(200, M, 40), (200, M, 40), (200, M, 3)]
    np.testing.assert_allclose([np.std(draw) for draw in draws], 0.3, rtol=0.05)
    apart = np.concatenate([np.asarray(draw).swapaxes(0, 1).reshape(M, -1) for draw in draws[:2]])
    assert np.abs(np.corrcoef(apart) - np.eye(2 * M)).max() < 0.1


def test_the_key_decides(start, step):
    _, params, _, aux = start
    losses = [float(step(params, aux, batch(), jax.random.key(seed))[0][0]) for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]


def test_without_noise_both_passes_are_one():
    method = dataclasses.replace(METHOD, noise=0.0)
    model, aux = method.init(jax.random.key(0), SPEC)
    encoder = model.encoder
    plain, noisy, _ = encoder.passes(encoder.scaled(batch()["x"]), jax.random.key(0))
    np.testing.assert_allclose(plain, noisy, rtol=1e-5, atol=1e-6)
    _, (_, figures) = method.loss(model, aux, batch(), jax.random.key(0))
    assert abs(float(figures["consistency"])) < 1e-6


def test_running_statistics_are_those_of_the_plain_pass(start, step):
    _, params, _, aux = start
    (_, (_, after)), _ = step(params, aux, batch(), jax.random.key(5))
    encoder, x = encoder_of(start), np.asarray(batch()["x"], np.float64) / 0.5
    for j in range(M):
        product = x @ np.asarray(encoder.kernels[0][j], np.float64)
        mean = 0.9 * np.asarray(encoder.means[0][j]) + 0.1 * product.mean(axis=0)
        var = 0.9 + 0.1 * product.var(axis=0, ddof=1)
        np.testing.assert_allclose(after["encoder"]["means"][0][...][j], mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(after["encoder"]["variances"][0][...][j], var, rtol=1e-4)


def test_samples_are_embedded_by_running_statistics_and_without_noise(start):
    model, aux = nnx.merge(*start[:3], copy=True), start[-1]
    encoder = model.encoder
    for one in encoder.variances:
        one[...] = 2.0 * one[...]
    logits = METHOD.embed(model, aux, batch())
    for j in range(M):
        h = np.asarray(batch()["x"], np.float64) / 0.5
        for i in range(3):
            h = h @ np.asarray(encoder.kernels[i][j], np.float64)
            if i < 2:
                h = (h - np.asarray(encoder.means[i][j])) / np.sqrt(np.asarray(encoder.variances[i][j]) + 1e-5)
            h = h + np.asarray(encoder.biases[i][j])
            h = np.maximum(h, 0) if i < 2 else h
        np.testing.assert_allclose(logits[:, j * K : (j + 1) * K], h, rtol=1e-4, atol=1e-5)
    # Sample by sample, whatever else is in the batch.
    np.testing.assert_allclose(METHOD.embed(model, aux, batch([3])), logits[3:4], rtol=1e-5, atol=1e-6)


def norms(tree):
    return [float(jnp.linalg.norm(leaf)) for leaf in jax.tree.leaves(tree)]


@pytest.mark.full
def test_every_cost_reaches_the_decoder_above_it_and_the_encoder(start):
    graphdef, params, rest, _ = start
    z = encoder_of(start).scaled(batch()["x"])

    def costs(params):
        return jnp.stack(nnx.merge(graphdef, params, rest, copy=True).encoder.passes(z, jax.random.key(5))[2])

    gradients = jax.jacobian(costs)(params)["encoder"]
    for level in range(4):
        each = jax.tree.map(lambda leaf, level=level: leaf[level], gradients)
        assert all(value > 1e-5 for value in norms(each["kernels"])[: max(level, 1)])
        # The decoder runs from the top down: what is below a level has no part in its estimate.
        assert [value > 1e-6 for value in norms(each["down"])] == [i >= level for i in range(3)]
        assert [value > 1e-6 for value in norms(each["combinators"])] == [i >= level for i in range(4)]


def test_the_plain_value_learns_too():
    """As in the paper. Estimates of 0 leave the mean square of the plain values, whose top is not normalised."""
    model, _ = METHOD.init(jax.random.key(0), SPEC)
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    z = model.encoder.scaled(batch()["x"])

    def top(params):
        return nnx.merge(graphdef, params, rest, copy=True).encoder.passes(z, jax.random.key(5))[2][3]

    gradient = jax.grad(top)(params)["encoder"]["kernels"][2][...]
    logits, levels = model.encoder.plain(z, train=True)
    below = np.maximum(levels[2], 0)
    expected = 2 * np.einsum("bmi,bmo->mio", below, logits) / logits.size
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(expected).max() > 0.01


def test_equal_samples_have_a_finite_gradient(start, step):
    _, params, _, aux = start
    (loss, _), gradient = step(params, aux, batch([3] * N), jax.random.key(5))
    assert np.isfinite(loss)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.full
def test_members_learn_apart(start):
    """What one member costs has no gradient in another."""
    graphdef, params, rest, _ = start
    z = encoder_of(start).scaled(batch()["x"])

    def of_first(params):
        encoder = nnx.merge(graphdef, params, rest, copy=True).encoder
        logits, levels = encoder.noisy(z, encoder.draw(jax.random.key(5), N))
        return sum(jnp.sum(estimate[:, 0] ** 2) for estimate in encoder.estimates(logits, levels))

    gradient = jax.grad(of_first)(params)["encoder"]
    for name in ("kernels", "down", "biases"):
        for leaf in jax.tree.leaves(gradient[name]):
            assert np.abs(leaf[0]).max() > 0 and np.abs(leaf[1:]).max() == 0
    for leaf in jax.tree.leaves(gradient["combinators"]):
        assert np.abs(leaf[:, 0]).max() > 0 and np.abs(leaf[:, 1:]).max() == 0


@pytest.mark.full
@pytest.mark.parametrize("hidden", [(16,), (16, 12, 10)])
def test_the_denoising_cost_falls(hidden):
    """From initial weights, whose estimates are all 0, to less than the noise costs: the decoder helps."""
    method = dataclasses.replace(METHOD, hidden=hidden)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 2)) @ rng.normal(size=(2, D))
    x = jnp.asarray(x / np.sqrt(np.mean(x**2)), jnp.float32)
    data = {**batch(), "x": x, "index": jnp.zeros(64, jnp.int32)}
    model, aux = method.init(jax.random.key(0), SPEC._replace(rms=1.0))
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    adam = optax.adam(0.01)

    @jax.jit
    def train(params, opt_state, key):
        def of(params):
            model = nnx.merge(graphdef, params, rest, copy=True)
            loss, (_, figures) = method.loss(model, aux, data, key)
            return loss, figures

        gradient, figures = jax.grad(of, has_aux=True)(params)
        updates, opt_state = adam.update(gradient, opt_state)
        return optax.apply_updates(params, updates), opt_state, figures["denoising"]

    costs, opt_state = [], adam.init(params)
    for i in range(300):
        params, opt_state, cost = train(params, opt_state, jax.random.key(i))
        costs.append(float(cost))
    assert costs[0] == pytest.approx(1000 + 10, rel=0.05)  # the mean squares of plain values, weighted
    assert np.mean(costs[-20:]) < 0.75 * 1000 * 0.3**2


def test_weight_decay_leaves_biases_and_combinators_alone():
    model, _ = METHOD.init(jax.random.key(0), SPEC)
    weighs = is_weight(nnx.to_pure_dict(nnx.state(model, nnx.Param)))["encoder"]
    each = {name: set(jax.tree.leaves(part)) for name, part in weighs.items()}
    assert each == {"kernels": {True}, "down": {True}, "biases": {False}, "combinators": {False}}


def test_only_the_recipe_paper_has_ladder_networks_unless_asked():
    def kind(method):
        return type(method.init(jax.random.key(0), SPEC)[0].encoder).__name__

    small = Kingdra(n_clusters=3, n_members=2, hidden=(4,))
    for ladder, paper, fast in ((None, True, False), (True, True, True), (False, False, False)):
        method = dataclasses.replace(small, ladder=ladder)
        for recipe, expected in (("paper", paper), ("fast", fast)):
            (stage,) = method.stages(recipe, SPEC._replace(n_samples=1000))
            assert bool(stage.method.ladder) == expected
            assert kind(stage.method) == ("Ladders" if expected else "Perceptrons")
    # A run of the release before, whose settings have no word about it, had plain networks.
    assert kind(small) == "Perceptrons"


def test_weights_must_be_some():
    with pytest.raises(InputError, match="denoising_weights is empty"):
        Kingdra(n_clusters=3, denoising_weights=())
    with pytest.raises(InputError, match="noise must be at least 0"):
        Kingdra(n_clusters=3, noise=-0.1)
