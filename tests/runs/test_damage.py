"""What is damaged is never believed: the last good checkpoint is offered, and used when it is asked for."""

import json
import shutil

import jax
import numpy as np
import pytest

import jaxdc
from jaxdc.errors import InputError
from jaxdc.methods import AE, DEC
from jaxdc.methods.base import Experiment, Stage
from jaxdc.train.stage_run import Stopped

SMALL = {"hidden": (16,), "latent": 4}


def experiment(steps=20):
    stages = (
        Stage(method=AE(n_clusters=4, **SMALL), steps=12, batch_size=40),
        Stage(method=DEC(n_clusters=4, refresh_steps=5, tolerance=0.0, **SMALL), steps=steps, batch_size=40),
    )
    return Experiment(stages)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    means, labels = rng.uniform(0, 255, size=(4, 6, 6, 1)), rng.integers(4, size=200)
    return np.clip(means[labels] + rng.normal(scale=20, size=(200, 6, 6, 1)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory):
    """A run with a checkpoint at every step; the two newest of each stage are left."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    result = jaxdc.fit(experiment(), images, workdir=folder, devices=jax.devices()[:1], checkpoint_seconds=0.0)
    return folder, result


@pytest.fixture
def run(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "run")
    return tmp_path / "run"


def newest(run, stage="1-dec"):
    return max((run / "checkpoints" / stage).iterdir(), key=lambda path: int(path.name))


def flip(path, at, bit=4):
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= bit
    path.write_bytes(content)


def damage(checkpoint):
    """Flips bits in the middle of the values."""
    for path in checkpoint.rglob("d/*"):
        for at in range(path.stat().st_size // 4, path.stat().st_size // 2, 997):
            flip(path, at)


def same(a, b):
    return np.array_equal(a.probabilities, b.probabilities) and np.array_equal(a.embeddings, b.embeddings)


def flips(folder, n, seed=0):
    """Places in the files of the final checkpoint and the results."""
    rng = np.random.default_rng(seed)
    files = [path for path in sorted(newest(folder).rglob("*")) if path.is_file() and path.stat().st_size]
    files += [folder / name for name in ("config.json", "probabilities.npy", "embeddings.npy", "assignments.csv")]
    for i in range(n):
        yield files[i % len(files)].relative_to(folder), int(rng.integers(2**31)), 1 << int(rng.integers(8))


@pytest.mark.parametrize("n", [13, pytest.param(200, marks=pytest.mark.full)])
def test_a_flipped_bit_is_refused_or_changes_nothing(whole, run, images, one_device, n):
    result, refused = whole[1], 0
    want = result.predict_proba(images)
    for name, at, bit in flips(run, n, seed=n):
        content = (run / name).read_bytes()
        flip(run / name, at, bit)
        try:
            loaded = jaxdc.load(run, devices=one_device)
            assert same(loaded, result), (name, at, bit)
            np.testing.assert_array_equal(loaded.predict_proba(images), want, err_msg=str((name, at, bit)))
        except InputError:
            refused += 1
        (run / name).write_bytes(content)
    assert refused > n // 3
    assert same(jaxdc.load(run, devices=one_device), result)


def test_the_last_good_checkpoint_is_offered_and_used(whole, run, images, one_device):
    bad = newest(run)
    damage(bad)
    (good,) = (path for path in bad.parent.iterdir() if path != bad)
    offer = f"1-dec/{bad.name} is damaged.*; the last good one is {good}: run the train command again with"
    with pytest.raises(InputError, match=offer):
        jaxdc.load(run, devices=one_device)
    again = {"workdir": run, "devices": one_device, "checkpoint_seconds": 0.0}
    with pytest.raises(InputError, match=offer):
        jaxdc.fit(experiment(), images, **again)
    result = jaxdc.fit(experiment(), images, from_last_good=True, **again)
    assert same(result, whole[1])
    assert (run / "checkpoints" / f"refused-1-dec-{bad.name}").is_dir()
    assert same(jaxdc.load(run, devices=one_device), whole[1])


def test_a_stage_without_a_good_checkpoint_starts_again(whole, run, images, one_device):
    for checkpoint in list((run / "checkpoints" / "1-dec").iterdir()):
        damage(checkpoint)
    with pytest.raises(InputError, match="the stage has no good one: .* to go on from the stage before"):
        jaxdc.load(run, devices=one_device)
    result = jaxdc.fit(experiment(), images, workdir=run, devices=one_device, from_last_good=True)
    assert same(result, whole[1])


def test_damaged_results_are_written_again(whole, run, images, one_device):
    flip(run / "embeddings.npy", -9)
    with pytest.raises(InputError, match=r"embeddings.npy is damaged: .* again with --from-last-good"):
        jaxdc.load(run, devices=one_device)
    result = jaxdc.fit(experiment(), images, workdir=run, devices=one_device, from_last_good=True)
    assert same(result, whole[1])
    assert same(jaxdc.load(run, devices=one_device), whole[1])


def test_the_checkpoints_of_another_run_are_refused(run, images, one_device, tmp_path):
    calls = iter(range(10**6))
    other = {"workdir": tmp_path / "other", "devices": one_device}
    with pytest.raises(Stopped):
        jaxdc.fit(experiment(), images, seed=1, should_stop=lambda: next(calls) == 3, **other)
    for name in ("0-ae", "1-dec"):
        shutil.rmtree(tmp_path / "other" / "checkpoints" / name, ignore_errors=True)
        shutil.copytree(run / "checkpoints" / name, tmp_path / "other" / "checkpoints" / name)
    with pytest.raises(InputError, match="is of another run than config.json describes"):
        jaxdc.fit(experiment(), images, seed=1, **other)


def test_a_setting_that_was_changed_by_hand_is_found(run, one_device):
    config = json.loads((run / "config.json").read_text())
    config["run"]["seed"] = 7
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="or config.json is damaged"):
        jaxdc.load(run, devices=one_device)
