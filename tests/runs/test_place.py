"""One process at a time writes a run folder, and what it wrote is checked when it is read."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

import jaxdc
from jaxdc.errors import InputError
from jaxdc.runs.lock import RunLock

pytestmark = pytest.mark.usefixtures("one_device_alone")

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
HOLDS = "import sys, pathlib; from jaxdc.runs.lock import RunLock; RunLock(pathlib.Path(sys.argv[1])).take()"


def k_means(folder, **settings):
    return jaxdc.fit(jaxdc.KMeans(n_clusters=3), X, workdir=folder, **settings)


@pytest.fixture
def holder(tmp_path):
    """Another process, which holds the folder ``run``."""
    (tmp_path / "run").mkdir()
    code = f"{HOLDS}; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("fresh", [False, pytest.param(True, marks=pytest.mark.full)])
def test_a_second_process_is_refused_and_changes_nothing(tmp_path, holder, fresh):
    k_means(tmp_path / "other")
    folder = tmp_path / "run"
    (folder / "config.json").write_bytes((tmp_path / "other" / "config.json").read_bytes())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match=f"in use by process {holder.pid} on .*: wait for it"):
        k_means(folder, fresh=fresh)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    holder.kill()
    holder.wait()
    k_means(folder)  # a killed process holds nothing
    assert not (folder / ".lock").exists()


def test_a_finished_run_is_read_while_another_process_holds_its_folder(tmp_path, holder):
    result = k_means(tmp_path / "other")
    shutil.copytree(tmp_path / "other", tmp_path / "run", dirs_exist_ok=True)
    np.testing.assert_array_equal(k_means(tmp_path / "run").labels, result.labels)


def test_a_lock_is_let_go(tmp_path):
    lock = RunLock(tmp_path)
    lock.take()
    lock.take()  # anew, in the same process
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_refused_run_leaves_what_others_wrote(tmp_path, monkeypatch):
    from jaxdc.train.loop import Trainer

    def refused(self):
        (tmp_path / "run" / "notes.txt").write_text("mine")
        raise InputError("no")

    monkeypatch.setattr(Trainer, "run", refused)
    with pytest.raises(InputError, match="no"):
        k_means(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["embeddings.npy", "probabilities.npy", "assignments.csv"])
def test_a_flipped_bit_is_found(tmp_path, name):
    k_means(tmp_path / "run")
    path = tmp_path / "run" / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{name} is damaged: it isn't what the run has written"):
        jaxdc.load(tmp_path / "run")


def test_images_beyond_0_and_1_are_refused_where_views_are_made():
    images = np.random.default_rng(0).uniform(0, 255, size=(64, 8, 8, 1))
    with pytest.raises(InputError, match=r"values from .* to 25\d.*: give uint8, or floats from 0 to 1"):
        jaxdc.fit(jaxdc.SimCLR(n_clusters=3), images)
