"""Snapshots, one of which is damaged where Orbax reads all of them: in the metadata."""

import json
import os

import jax.numpy as jnp
import numpy as np
import pytest

from jaxdc.errors import InputError
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
