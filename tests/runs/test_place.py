"""One process at a time writes a run folder, and what it wrote is checked when it is read."""

import csv
import shutil
import subprocess
import sys

import numpy as np
import pytest

import jaxdc
from jaxdc.data import ArraySource, open_source
from jaxdc.errors import InputError
from jaxdc.export.run import export_run
from jaxdc.runs.config import digest_of_run
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


@pytest.mark.full
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

    def refused(self, digest, **_):
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


NAMES = ["=cmd|' /C calc'!A0", "+1", "a\rb", "'=1", "../../x", "a,b\n"]


def test_names_of_every_kind_read_back(tmp_path):
    source = ArraySource(X, sample_names=NAMES * 10)
    jaxdc.fit(jaxdc.KMeans(n_clusters=2), source, workdir=tmp_path / "run")
    assert jaxdc.load(tmp_path / "run").sample_names == NAMES * 10
    export_run(tmp_path / "run", "csv")
    with (tmp_path / "run" / "clusters.csv").open(newline="") as file:
        cells = [row[0] for row in csv.reader(file)][1:]
    assert cells == ["'=cmd|' /C calc'!A0", "'+1", "a\rb", "''=1", "../../x", "a,b\n"] * 10


@pytest.mark.parametrize("finished", [True, False])
def test_the_same_data_under_another_spelling_are_the_same(tmp_path, monkeypatch, finished):
    np.save(tmp_path / "x.npy", X)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    first = jaxdc.fit(jaxdc.KMeans(n_clusters=3), open_source("x.npy"), workdir=folder)
    digest = digest_of_run(folder)
    if not finished:
        (folder / "metrics.json").unlink()
    other = jaxdc.fit(jaxdc.KMeans(n_clusters=3), open_source(str(tmp_path / "x.npy")), workdir=folder)
    np.testing.assert_array_equal(first.probabilities, other.probabilities)
    assert digest_of_run(folder) == digest
    if not finished:
        assert jaxdc.load(folder).config["run"]["data"]["name"] == str(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", X + 1)
    with pytest.raises(InputError, match="another configuration .data"):
        jaxdc.fit(jaxdc.KMeans(n_clusters=3), open_source("x.npy"), workdir=folder)


@pytest.mark.parametrize(
    "name", ["config.json", "embeddings.npy", "metrics.json", "checkpoints", "assignments.csv"]
)
def test_no_link_is_followed_out_of_the_folder(tmp_path, name):
    folder = tmp_path / "run"
    k_means(folder)
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    for act in (jaxdc.load, k_means, lambda folder: export_run(folder, "csv")):
        with pytest.raises(InputError, match=f"{name} is a link out of the run folder"):
            act(folder)
    (folder / name).unlink()
    (tmp_path / name).rename(folder / name)
    (folder / "notes").symlink_to(tmp_path)  # what is not ours is not followed either
    jaxdc.load(folder)


def test_nothing_is_written_through_a_link_laid_in_the_way(tmp_path):
    (tmp_path / "mine").write_text("mine")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".config.json.partial").symlink_to(tmp_path / "mine")
    k_means(folder)
    assert (tmp_path / "mine").read_text() == "mine"
