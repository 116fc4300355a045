"""Kingdra: its graph and its loss by hand, members that are left out, and the rounds of labels."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxdc import losses
from jaxdc.errors import InputError
from jaxdc.methods import Kingdra
from jaxdc.methods.base import DataSpec
from jaxdc.methods.parts.consensus import buckets, named, names_of

M, K, N = 3, 2, 8
SPEC = DataSpec((5,), N, 0.5)
METHOD = Kingdra(n_clusters=K, n_members=M, hidden=(6,), radius=0.2)
EVERY = np.ones(4, bool)
# Samples A to D by three members: A and B are together in all, D is with C in two.
BY_MEMBER = np.array([[0, 0, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]])


@pytest.mark.parametrize(
    ("sure", "most_shared", "expected"),
    [
        (EVERY, 1, [0, 0, 1, -1]),
        (EVERY, 2, [0, 0, 1, -1]),  # k = 2 buckets are full before D has its turn
        (np.array([True, True, False, True]), 1, [0, 0, -1, 1]),
        (np.array([True, False, True, True]), 1, [0, -1, 1, -1]),  # the first of equally many
        (EVERY, 0, [0, 0, 1, -1]),
        (np.zeros(4, bool), 1, [-1, -1, -1, -1]),
    ],
)
def test_buckets_by_hand(sure, most_shared, expected):
    np.testing.assert_array_equal(buckets(BY_MEMBER, sure, 2, most_shared=most_shared), expected)


def test_there_may_be_too_few_buckets():
    # D is in one cluster with C by two members, and with A by one.
    assert buckets(BY_MEMBER, EVERY, 3, most_shared=2).tolist() == [0, 0, 1, 2]
    assert buckets(BY_MEMBER, EVERY, 3, most_shared=1).tolist() == [0, 0, 1, -1]
    assert buckets(BY_MEMBER, EVERY, 3, most_shared=0).tolist() == [0, 0, 1, -1]


def test_the_numbers_of_clusters_do_not_matter():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=(4, 60))
    renamed = np.stack([rng.permutation(3)[one] for one in labels])
    sure = rng.random(60) < 0.8
    made = [buckets(x, sure, 3, most_shared=2) for x in (labels, renamed)]
    np.testing.assert_array_equal(*made)
    assert made[0].max() > 0


def test_names_are_a_one_to_one_match():
    labels, reference = np.array([2, 2, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2])
    assert names_of(labels, reference, 3).tolist() == [2, 0, 1]
    # Two buckets with most votes for cluster 0, of which one gives way.
    assert named(np.array([[0, 0, 0], [0, 0, 1]]), 2).tolist() == [0, 1]


def test_information_by_hand():
    p = jnp.array([[0.9, 0.1], [0.2, 0.8]])
    assert float(losses.information_maximisation(p)) == pytest.approx(-2.339813, abs=1e-5)
    # For mu = 1 it is minus the mutual information of sample and cluster.
    joint = np.asarray(p) / 2
    product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    expected = -np.sum(joint * np.log(joint / product))
    assert float(losses.information_maximisation(p, mu=1.0)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("p", [jnp.eye(2), jnp.ones((3, 1)), jnp.full((4, 2), 0.5), jnp.eye(3)[jnp.zeros(4, int)]])
def test_information_of_degenerate_assignments_is_finite(p):
    value, gradient = jax.value_and_grad(losses.information_maximisation)(p)
    assert np.isfinite(value) and np.isfinite(gradient).all()


def batch(rows=range(N)):
    x = np.random.default_rng(1).random((N, 5), np.float32)
    rows = np.array(rows)
    return {"x": jnp.asarray(x[rows]), "index": jnp.asarray(rows), "step": jnp.int32(0), "epoch": jnp.int32(0)}


@pytest.fixture(scope="module")
def start():
    model, aux = METHOD.init(jax.random.key(0), SPEC)
    return *nnx.split(model, nnx.Param, ...), aux


@pytest.fixture(scope="module")
def step(start):
    graphdef, _, rest, _ = start

    @jax.jit
    def of(params, aux, data):
        model = nnx.merge(graphdef, params, rest, copy=True)
        loss, (_, figures) = METHOD.loss(model, aux, data, jax.random.key(5))
        return loss, (figures, nnx.state(model, nnx.BatchStat))

    return jax.jit(jax.value_and_grad(of, has_aux=True))


def passes(start, z):
    """Softmax of each member of a pass in training mode, in NumPy: [b, m, d] -> [m, b, k]."""
    graphdef, params, rest, _ = start
    for i, kernels in enumerate(nnx.merge(graphdef, params, rest).encoder.kernels):
        z = np.einsum("bmi,mio->bmo", np.maximum(z, 0) if i else z, np.asarray(kernels[...]))
        z = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)
    z = np.exp(z - z.max(2, keepdims=True)).swapaxes(0, 1)
    return z / z.sum(2, keepdims=True)


def perturbation(start, data):
    """The samples for each member, and the step that the method takes from there."""
    graphdef, params, rest, _ = start
    encoder = nnx.merge(graphdef, params, rest, copy=True).encoder
    z = encoder.scaled(data["x"])

    def logits(z):
        return nnx.merge(*nnx.split(encoder), copy=True).logits(z, train=True)

    return z, METHOD._direction(jax.random.key(5), logits, z, logits(z))


def divergence(p, q):
    return np.sum(p * np.log(p / q), axis=2)


@pytest.mark.full
def test_the_perturbation_has_its_length_and_hurts_more_than_others(start):
    z, step = perturbation(start, batch())
    np.testing.assert_allclose(z, np.repeat(np.asarray(batch()["x"])[:, None] / 0.5, M, axis=1), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(step, axis=2), 0.2 * np.sqrt(5), rtol=1e-5)
    plain = passes(start, z)
    rng = np.random.default_rng(0)
    others = []
    for _ in range(50):
        other = rng.normal(size=z.shape)
        other *= 0.2 * np.sqrt(5) / np.linalg.norm(other, axis=2, keepdims=True)
        others.append(divergence(plain, passes(start, z + other)).mean())
    assert divergence(plain, passes(start, z + step)).mean() > 1.2 * np.mean(others)


def entropy(p):
    return -np.sum(p * np.log(p), axis=-1)


def test_plain_networks_are_what_they_were_before_there_were_ladders(start, step):
    _, params, rest, aux = start
    paths = {".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.merge_state(params, rest))}
    layers = [f"encoder.kernels.{i}" for i in range(2)]
    norms = [f"encoder.norms.{i}.{name}" for i in range(2) for name in ("scale", "bias", "mean", "var")]
    assert paths == {"encoder.scale", *layers, *norms}
    (loss, (figures, _)), _ = step(params, aux, batch())
    assert set(figures) == {"information", "consistency", "labels", "members"}
    # By version 390a76f, for this key.
    np.testing.assert_allclose(loss, -0.3600824, rtol=1e-4)


@pytest.mark.full
def test_the_loss_by_hand(start, step):
    _, params, _, aux = start
    data = batch()
    labels = np.array([0, 1, -1, 0, -1, 1, 1, -1])
    names = np.array([[0, 1], [1, 0], [0, 1]])
    weights = np.array([1 / 2, 1 / 3], np.float32)
    new = {"labels": jnp.asarray(labels, jnp.int32), "names": jnp.asarray(names, jnp.int32), "weights": weights}
    (loss, (figures, _)), _ = step(params, {**aux, **new}, data)
    z, direction = perturbation(start, data)
    plain, perturbed = passes(start, z), passes(start, z + direction)
    information = [entropy(p).mean(1) - 4 * entropy(p.mean(1)) for p in (plain, perturbed)]
    # Each member learns the label by its own name for it; both classes weigh the same.
    error = [-np.mean([np.log(perturbed[m, labels == c, names[m, c]]).mean() for c in range(K)]) for m in range(M)]
    expected = {
        "information": 0.1 * np.mean(information[0] + information[1]),
        "consistency": divergence(plain, perturbed).mean(),
        "labels": np.mean(error),
        "members": M,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(figures[name], value, rtol=2e-4, err_msg=name)
    np.testing.assert_allclose(loss, sum(figures[name] for name in list(expected)[:3]), rtol=1e-5)


def test_without_labels_nothing_is_learnt_from_them(start, step):
    _, params, _, aux = start
    (_, (figures, _)), gradient = step(params, aux, batch())
    assert float(figures["labels"]) == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_equal_samples_have_a_finite_gradient(start, step):
    _, params, _, aux = start
    (loss, _), gradient = step(params, aux, batch([3] * N))
    assert np.isfinite(loss)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_statistics_are_those_of_the_plain_pass(start, step):
    graphdef, params, rest, aux = start
    (_, (_, after)), _ = step(params, aux, batch())
    model = nnx.merge(graphdef, params, rest, copy=True)
    model.encoder.logits(model.encoder.scaled(batch()["x"]), train=True)
    expected = nnx.state(model, nnx.BatchStat)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), after, expected)


def features(by_member, sure=5.0):
    """Logits [n, m k] of members with these clusters [m, n]."""
    by_member = np.asarray(by_member)
    return jnp.asarray(
        sure * np.eye(K, dtype=np.float32)[by_member].swapaxes(0, 1).reshape(by_member.shape[1], -1)
    )


@pytest.fixture
def after_a_round(start):
    return {**start[-1], "round": jnp.int32(1)}


def refreshed(aux, by_member, **settings):
    method = dataclasses.replace(METHOD, **settings)
    z = features(by_member)
    return z, method.refresh(None, aux, z, jax.random.key(0))[1]


CLEAR = [[0, 0, 0, 1, 1, 1, 0, 1], [1, 1, 1, 0, 0, 0, 0, 1], [0, 0, 0, 1, 1, 1, 1, 0]]


def test_members_agree_whatever_their_numbers(after_a_round):
    z, aux = refreshed(after_a_round, CLEAR)
    assert aux["names"].tolist() == [[0, 1], [1, 0], [0, 1]]
    # The last two samples are those that the members do not agree on.
    assert aux["labels"].tolist() == [0, 0, 0, 1, 1, 1, -1, -1]
    np.testing.assert_allclose(aux["weights"], 1 / 3)
    probs = METHOD.assign(None, aux, z)
    assert jnp.argmax(probs, axis=1).tolist() == [0, 0, 0, 1, 1, 1, 1, 0]
    sure = np.exp(5) / (1 + np.exp(5))
    np.testing.assert_allclose(probs[0], [sure, 1 - sure], rtol=1e-5)
    np.testing.assert_allclose(probs[6], [(2 - sure) / 3, (1 + sure) / 3], rtol=1e-5)


def test_a_member_that_collapsed_is_left_out_and_said(after_a_round, start, step):
    by_member = [CLEAR[0], [0] * N, CLEAR[2]]
    z, aux = refreshed(after_a_round, by_member)
    assert aux["members"].tolist() == [True, False, True]
    assert "some networks" in METHOD.warning(aux) and "are left out" in METHOD.warning(aux)
    assert METHOD.warning({**aux, "round": jnp.int32(1)}) is None  # these have not been trained
    assert METHOD.warning({**aux, "members": jnp.ones(M, bool)}) is None
    assert aux["labels"].tolist() == [0, 0, 0, 1, 1, 1, -1, -1]
    changed = z.at[:, K : 2 * K].set(7.0 * jax.random.normal(jax.random.key(0), (N, K)))
    np.testing.assert_array_equal(METHOD.assign(None, aux, z), METHOD.assign(None, aux, changed))
    (_, (figures, _)), _ = step(start[1], aux, batch())
    assert float(figures["members"]) == 2
    # It is back as soon as it has recovered.
    assert refreshed(aux, CLEAR)[1]["members"].all()


def test_members_that_all_collapsed_are_all_kept_and_label_nothing(after_a_round):
    z, aux = refreshed(after_a_round, np.zeros((M, N), int))
    assert not aux["members"].any()
    assert "all networks" in METHOD.warning(aux) and "none can be left out" in METHOD.warning(aux)
    np.testing.assert_allclose(
        METHOD.assign(None, aux, z), METHOD.assign(None, {**aux, "members": jnp.ones(M, bool)}, z)
    )
    assert (np.asarray(aux["labels"]) == -1).all()


def test_labels_come_after_the_first_round_and_stay_if_there_are_no_better(start):
    _, first = refreshed(start[-1], CLEAR)
    assert (np.asarray(first["labels"]) == -1).all() and int(first["round"]) == 1
    _, second = refreshed(first, CLEAR)
    assert second["labels"].tolist() == [0, 0, 0, 1, 1, 1, -1, -1]
    mixed = [[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1]]
    _, third = refreshed(second, mixed, most_shared=0, confidence=0.999)  # of which nobody is that sure
    np.testing.assert_array_equal(third["labels"], second["labels"])
    np.testing.assert_array_equal(third["weights"], second["weights"])


def test_clusters_keep_their_names_from_round_to_round(after_a_round):
    _, aux = refreshed(after_a_round, CLEAR)
    swapped = 1 - np.array(CLEAR)
    _, again = refreshed(aux, swapped)
    np.testing.assert_array_equal(again["clusters"], aux["clusters"])
    np.testing.assert_array_equal(again["labels"], aux["labels"])
    np.testing.assert_array_equal(again["names"], aux["names"][:, ::-1])


def test_a_stage_has_eight_rounds_whatever_its_length():
    (stage,) = Kingdra(n_clusters=3).stages("fast", SPEC._replace(n_samples=1000))
    assert stage.method.refresh_epochs is None
    assert stage.method.for_length(40.0).refresh_epochs == 5.0
    assert dataclasses.replace(stage.method, refresh_epochs=2.0).for_length(40.0).refresh_epochs == 2.0
    (paper,) = Kingdra(n_clusters=3).stages("paper", SPEC._replace(n_samples=1000))
    assert (paper.method.n_members, paper.method.hidden, paper.method.refresh_epochs) == (10, (1200, 1200), 5.0)


def test_settings_that_make_no_sense():
    with pytest.raises(InputError, match="n_members must be at least 2"):
        Kingdra(n_clusters=3, n_members=1)
    with pytest.raises(InputError, match="a batch of 5 samples can't show 10 even clusters"):
        Kingdra(n_clusters=10).check_batch_size(5, SPEC)
