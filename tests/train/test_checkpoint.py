"""Snapshots, one of which is damaged where Orbax reads all of them: in the metadata."""

import errno
import json
import os
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc.errors import InputError
from jaxdc.train import checkpoint
from jaxdc.train.checkpoint import Checkpoints, abstract_like

METADATA = "_CHECKPOINT_METADATA"


def number(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "init_timestamp_nsecs": 1.5}))


def device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = pytest.mark.parametrize("damage", [number, device, pipe])


def tree(value):
    return {"a": jnp.full(3, value)}


@pytest.fixture
def folder(tmp_path):
    checkpoints = Checkpoints(tmp_path / "stage", "run")
    for step in (1, 2):
        checkpoints.save(step, tree(float(step)))
    checkpoints.close()
    return tmp_path / "stage"


def loaded(folder):
    return np.asarray(Checkpoints(folder, "run").load(abstract_like(tree(0.0)))["a"]).tolist()


@DAMAGES
def test_an_older_one_that_is_damaged_is_not_read(folder, damage):
    damage(folder / "1" / METADATA)
    assert loaded(folder) == [2.0, 2.0, 2.0]


@DAMAGES
def test_a_new_one_is_not_saved_beside_one_that_is_damaged(folder, damage):
    damage(folder / "1" / METADATA)
    with pytest.raises(InputError, match="a checkpoint in .* is damaged.*: run the train command again with"):
        Checkpoints(folder, "run").save(3, tree(3.0))


@DAMAGES
@pytest.mark.parametrize("step", [1, 2])
def test_damaged_ones_are_set_aside_and_training_goes_on(folder, damage, step):
    damage(folder / str(step) / METADATA)
    checkpoints = Checkpoints(folder, "run")
    moved = checkpoints.set_aside(abstract_like(tree(0.0)))
    assert [path.name for path in moved] == [f"refused-stage-{step}"]
    checkpoints.save(3, tree(3.0))
    checkpoints.close()
    assert loaded(folder) == [3.0, 3.0, 3.0]


@DAMAGES
def test_the_newest_is_refused_and_the_last_good_one_named(folder, damage):
    damage(folder / "2" / METADATA)
    with pytest.raises(InputError, match="stage/2 is damaged.*; the last good one is .*stage/1: run"):
        loaded(folder)


@pytest.fixture
def held_seal(monkeypatch):
    """Keeps what is written in the background from its end until the event is set."""
    go_on, write = threading.Event(), checkpoint.write_json

    def wait_and_write(*args):
        assert go_on.wait(60)
        write(*args)

    monkeypatch.setattr(checkpoint, "write_json", wait_and_write)
    yield go_on
    go_on.set()


def test_a_save_returns_before_the_snapshot_is_complete(tmp_path, held_seal):
    checkpoints = Checkpoints(tmp_path / "stage", "run")
    checkpoints.save(1, tree(1.0))
    assert not (tmp_path / "stage" / "1" / checkpoint.SEAL).exists()
    held_seal.set()
    checkpoints.wait()
    assert (tmp_path / "stage" / "1" / checkpoint.SEAL).exists()
    checkpoints.close()
    assert loaded(tmp_path / "stage") == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("then", ["save", "wait", "close", "latest"])
def test_an_error_of_the_writing_is_raised_by_what_comes_next(tmp_path, monkeypatch, then):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_json", full)
    checkpoints = Checkpoints(tmp_path / "stage", "run")
    checkpoints.save(1, tree(1.0))
    with pytest.raises(InputError, match="the disk is full: no room for a checkpoint in"):
        getattr(checkpoints, then)(*((2, tree(2.0)) if then == "save" else ()))
    checkpoints.close()


def test_arrays_may_be_given_away_while_they_are_written(tmp_path, held_seal):
    step = jax.jit(lambda x: x + 1.0, donate_argnums=0)
    x = jnp.arange(2_000_000, dtype=jnp.float32)
    expected = np.array(x)
    checkpoints = Checkpoints(tmp_path / "stage", "run")
    checkpoints.save(1, {"a": x})
    for _ in range(3):
        x = step(x)
    x.block_until_ready()
    held_seal.set()
    checkpoints.close()
    found = Checkpoints(tmp_path / "stage", "run").load(abstract_like({"a": x}))["a"]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(x, expected + 3)
