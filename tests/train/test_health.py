"""What a run notices of itself: a loss at chance, parameters that are not finite, how long it will take."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc import fit, nn
from jaxdc.errors import InputError
from jaxdc.methods import AE, DAC, IIC, Kingdra, SimCLR, kingdra
from jaxdc.methods.base import DataSpec, Experiment, Optimizer, Stage
from jaxdc.runs.progress import Reporter, plain_console
from jaxdc.train import stage_run
from jaxdc.train.health import LEAST_STEPS, ChanceWatch, LessonWatch

SPEC = DataSpec((8, 8, 1), 80)
METHOD = SimCLR(n_clusters=3, backbone=nn.Backbone(depth=10, width=4))
CHANCE = math.log(15)  # of a batch of 8: the partner among the 15 others
X = np.random.default_rng(0).normal(size=(80, 6)).astype(np.float32)


def watch(**length):
    return ChanceWatch(Stage(method=METHOD, batch_size=8, **length), SPEC)


def told_at(watch, values, every=10):
    """The steps at which it warns, of a report every ten steps."""
    steps = range(every, every * len(values) + 1, every)
    return [s for s, v in zip(steps, values, strict=True) if watch.warning(s, every, {"instance": v}) is not None]


def test_a_loss_at_chance_is_told_after_a_while():
    assert told_at(watch(steps=400), [CHANCE] * 30)[0] == LEAST_STEPS
    assert told_at(watch(steps=400), [0.995 * CHANCE] * 30)[0] == LEAST_STEPS
    assert told_at(watch(steps=10_000), [CHANCE] * 60)[0] == 500  # a twentieth of a long stage
    assert told_at(watch(steps=400), [CHANCE] * 19) == []


def test_a_loss_that_leaves_chance_is_not_told():
    assert told_at(watch(steps=400), [CHANCE] * 19 + [0.9 * CHANCE] + [CHANCE] * 19) == []
    assert told_at(watch(steps=400), [0.98 * CHANCE] * 40) == []


@pytest.mark.parametrize("chance", [-4.39, 0.0])
def test_a_value_of_constant_outputs_may_be_negative_or_none(chance, monkeypatch):
    monkeypatch.setattr(SimCLR, "chance", lambda self, batch_size, spec: {"instance": chance})
    assert told_at(watch(steps=400), [chance] * 30)[0] == LEAST_STEPS
    assert told_at(watch(steps=400), [chance + 0.3] * 30)[0] == LEAST_STEPS  # worse is no better
    assert told_at(watch(steps=400), [chance - 0.1] * 30) == []


def test_the_sentence_names_the_value():
    sentence = watch(steps=400).warning(LEAST_STEPS, LEAST_STEPS, {"instance": CHANCE})
    assert "'instance'" in sentence and "has stayed at 2.71" in sentence


def test_a_run_warns_once(capsys):
    stage = Stage(method=METHOD, batch_size=8, steps=1000)
    reporter = Reporter(Experiment((stage,)), SPEC, console=plain_console())
    for step in range(100, 1001, 100):
        reporter.steps_done(0, step, 100, {"loss": CHANCE, "instance": CHANCE}, 0.1)
    assert capsys.readouterr().err.count("is not learning") == 1
    assert len(reporter.warnings) == 1


def lessons(stage, *learnt, every=5):
    """The steps at which it warns, of a report every five steps with these shares of batches that taught."""
    watch = LessonWatch(stage, SPEC)
    found = [watch.warning(every * (i + 1), every, {"learnt": share}) for i, share in enumerate(learnt)]
    return [every * (i + 1) for i, text in enumerate(found) if text is not None]


def test_an_epoch_in_which_no_batch_teaches_is_told():
    stage = Stage(
        method=DAC(n_clusters=3, backbone=METHOD.backbone), batch_size=8, steps=100
    )  # epochs of 10 steps
    assert lessons(stage, 0, 0, 0)[0] == 10
    assert lessons(stage, 0, 0.2, 0, 0.2, 0.2) == []
    assert lessons(stage, 1, 1, 0, 0) == [20]
    assert lessons(dataclasses.replace(stage, steps=5), 0) == [5]  # the whole stage
    assert LessonWatch(stage, SPEC).warning(50, 50, {"loss": 0.0}) is None  # that of every other method


def test_a_kill_does_not_make_a_run_forget_that_nothing_was_learnt(tmp_path):
    stage = Stage(method=DAC(n_clusters=3, backbone=METHOD.backbone), batch_size=8, steps=100)
    path = tmp_path / "metrics.jsonl"
    Reporter(Experiment((stage,)), SPEC, path=path).steps_done(0, 5, 5, {"loss": 0.0, "learnt": 0.0}, None)
    again = Reporter(Experiment((stage,)), SPEC, path=path)
    again.resumed(0, 5)
    again.steps_done(0, 10, 5, {"loss": 0.0, "learnt": 0.0}, None)
    (text,) = again.warnings
    assert text.startswith("DAC has learnt nothing in 10 steps")
    last = Reporter(Experiment((stage,)), SPEC, path=path)
    last.resumed(0, 10)
    last.steps_done(0, 15, 5, {"loss": 0.0, "learnt": 0.0}, None)
    assert last.warnings == [text]  # which is not given again


def test_each_stage_gives_its_own_warning():
    reporter = Reporter(Experiment((Stage(method=METHOD, batch_size=8, steps=10),) * 2), SPEC)
    for stage, text in ((0, "mind"), (0, "mind"), (1, "mind")):
        reporter.warned(stage, 1, text)
    assert [row["stage"] for row in reporter.history] == [1, 2]


def warnings_of(method, data, tmp_path, capsys, **stage):
    """Of a run: those that were printed, which are those that were kept."""
    experiment = Experiment((Stage(method=method, **stage),))
    result = fit(experiment, data, workdir=tmp_path / "run", progress=True, devices=jax.devices()[:1])
    told = capsys.readouterr().err
    assert all(" ".join(text.split()) in " ".join(told.split()) for text in result.metrics["warnings"])
    return result.metrics["warnings"]


IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)


@pytest.mark.full
def test_a_run_without_a_usable_pair_says_so(tmp_path, capsys):
    blind = DAC(n_clusters=3, backbone=METHOD.backbone, upper=1.0, lower=0.0, adaptive_epochs=1e6)
    texts = warnings_of(blind, IMAGES, tmp_path, capsys, steps=6, batch_size=8)
    assert any("no batch had a pair that the thresholds tell apart" in text for text in texts)


@pytest.mark.full
def test_a_run_says_before_it_begins_that_its_batches_are_small(tmp_path, capsys):
    method = IIC(n_clusters=3, backbone=METHOD.backbone, repeats=1)
    texts = warnings_of(method, IMAGES, tmp_path, capsys, steps=1, batch_size=16)
    assert any("a batch makes 16 pairs for a joint of 9 cells" in text for text in texts)


@pytest.mark.full
def test_a_run_says_once_which_members_collapsed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(kingdra, "_is_whole", lambda labels, n_clusters: False)
    method = Kingdra(n_clusters=3, n_members=2, hidden=(4,), refresh_epochs=1.0)
    texts = warnings_of(method, X, tmp_path, capsys, steps=20, batch_size=16)
    assert sum("all networks of the ensemble" in text for text in texts) == 1


def poisoned(loss):
    """A finite loss whose gradient is NaN: of a square root at 0."""

    def with_nan_gradient(method, model, aux, batch, key):
        value, rest = loss(method, model, aux, batch, key)
        weight = jax.tree.leaves(nn_params(model))[0]
        return value + jnp.sqrt(0.0 * jnp.sum(weight)), rest

    return with_nan_gradient


def nn_params(model):
    from flax import nnx

    return nnx.state(model, nnx.Param)


def ae(steps):
    return Experiment((Stage(method=AE(n_clusters=3, hidden=(8,), latent=3), steps=steps, batch_size=16),))


@pytest.mark.full
def test_parameters_that_are_not_finite_are_never_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(AE, "loss", poisoned(AE.loss))
    with pytest.raises(
        InputError, match=r"parameters became NaN or infinite at or before step 1 of stage 1"
    ) as told:
        fit(ae(1), X, workdir=tmp_path / "run")
    assert "there is no earlier checkpoint of this stage" in str(told.value)
    assert not list(tmp_path.glob("run/checkpoints/*/*"))


@pytest.mark.parametrize("rate", [1e30, 1e8])
def test_parameters_beyond_all_digits_have_diverged(rate):
    stage = dataclasses.replace(ae(1).stages[0], optimizer=Optimizer(learning_rate=rate))
    with pytest.raises(InputError, match=f"parameters grew to {rate:.0e}.*: lower the l".replace("+", "[+]")):
        fit(Experiment((stage,)), X)


@pytest.mark.full
def test_a_diverged_run_names_the_steps_and_the_last_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(stage_run, "DISPATCH_SECONDS", 0.0)  # a step each
    asked = iter(range(100))
    with pytest.raises(stage_run.Stopped):
        fit(ae(40), X, workdir=tmp_path / "run", should_stop=lambda: next(asked) == 7)
    monkeypatch.setattr(AE, "loss", poisoned(AE.loss))
    with pytest.raises(InputError, match=r"the loss became nan in step 9 of stage 1, AE") as told:
        fit(ae(40), X, workdir=tmp_path / "run")
    assert "the last checkpoint before that is of step 7" in str(told.value)


def test_the_time_of_a_long_stage_is_foretold(capsys):
    reporter = Reporter(ae(1001), DataSpec((6,), 80), console=plain_console())
    reporter.steps_done(0, 1, 1, {"loss": 1.0}, None)  # held the compilation
    reporter.steps_done(0, 2, 1, {"loss": 1.0}, 0.4)  # a single step shows what a dispatch costs
    reporter.steps_done(0, 52, 50, {"loss": 1.0}, 5.0)
    reporter.steps_done(0, 102, 50, {"loss": 1.0}, 5.0)
    assert capsys.readouterr().err.count("stage 1, time: 100 ms per step, 1:35 for the 949 remaining") == 1
    reporter = Reporter(ae(20), DataSpec((6,), 80), console=plain_console())
    reporter.steps_done(0, 11, 10, {"loss": 1.0}, 1.0)
    assert "per step" not in capsys.readouterr().err  # a second is not worth a line
