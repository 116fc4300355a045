"""``jaxdc edit`` on a finished run: what every command then shows, and what is refused."""

import csv
import json
import pickle
import shutil

import numpy as np
import pytest

import jaxdc
from jaxdc import KMeans, cli, fit
from jaxdc.edit import edit_run
from jaxdc.errors import InputError
from jaxdc.runs.lock import RunLock


def blobs(n=20):
    """Four groups on a line; the last two are close."""
    rng = np.random.default_rng(0)
    centers = np.repeat([0.0, 100.0, 200.0, 204.0], n)
    return (centers[:, None] + rng.normal(0, 0.1, (4 * n, 2))).astype(np.float32)


def main(*arguments):
    cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    top = tmp_path_factory.mktemp("trained")
    np.savez(top / "x.npz", x=blobs(), y=np.repeat(np.arange(4), 20))
    main("train", "kmeans", "--data", top / "x.npz", "--workdir", top / "run", "--n-clusters", 4, "--no-report")
    return top


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained / "run", tmp_path / "run")


@pytest.fixture
def groups(trained):
    """The cluster of each of the four groups."""
    return [int(c) for c in jaxdc.load(trained / "run").labels[::20]]


def test_every_reader_sees_the_edits_and_undo_returns(trained, run, groups, tmp_path, capsys):
    a, b, c, d = groups
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    main("edit", run, "--merge", c, d, "--divide", a, "--rename", b, "the  second", "--drop", b)
    assert f"merged {d} into {c}: 40 samples" in capsys.readouterr().err
    main("edit", run, "--undo")
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    with pytest.raises(InputError, match="no edit to undo"):
        edit_run(run, undo=True)

    main("edit", run, "--merge", c, d, "--rename", c, "the  pair")
    main("edit", run, "--divide", a, "--drop", b)
    result = jaxdc.load(run)
    assert sorted(np.unique(result.labels)) == sorted({-1, a, c, 4})
    assert (result.labels[20:40] == -1).all() and (result.labels[40:] == c).all()
    assert result.n_clusters == 3
    np.testing.assert_array_equal(result.predict(blobs()), result.labels)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(result)).predict(blobs()), result.labels)
    assert (jaxdc.load(run, edited=False).labels == jaxdc.load(trained / "run").labels).all()

    main("predict", run, "--data", trained / "x.npz", "--output", tmp_path / "new.csv")
    assert (tmp_path / "new.csv").read_text() == (run / "edited.csv").read_text()
    main("export", run, "--to", "csv", "--output", tmp_path / "table.csv")
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert [row["cluster"] for row in rows] == [str(label) for label in result.labels]
    assert {row["name"] for row in rows} == {"", "the pair"}
    capsys.readouterr()
    main("evaluate", run, "--data", trained / "x.npz")
    scored = json.loads(capsys.readouterr().out)
    assert scored["n_samples"] == 80 and scored["kept"]["n_samples"] == 60 and scored["n_clusters"] == 3
    main("describe", run)
    described = json.loads((run / "description.json").read_text())
    assert {(one["cluster"], one["name"], one["size"]) for one in described["clusters"]} >= {(c, "the pair", 40)}
    assert d not in {one["cluster"] for one in described["clusters"]}
    assert len(described["hierarchy"]) == 2
    main("report", run)
    page = (run / "report.html").read_text()
    assert "the pair" in page and "20 samples" in page and "In no cluster" in page

    saved = tmp_path / "saved"
    result.save(saved)
    assert (jaxdc.load(saved).labels == result.labels).all()
    assert (np.load(saved / "probabilities.npy") == np.load(run / "probabilities.npy")).all()


def test_reject_says_what_it_does(run, capsys):
    main("edit", run, "--reject", "0.1")
    assert "rejected 0.1 of the samples by distance from their cluster: 8 samples" in capsys.readouterr().err
    main("edit", run)
    listed = capsys.readouterr().err
    assert listed.startswith("rejected 0.1") and "samples that belong nowhere: 8" in listed


def test_training_again_shows_what_was_trained(trained, run, capsys):
    edit_run(run, drop=[0])
    arguments = ("train", "kmeans", "--data", trained / "x.npz", "--workdir", run, "--n-clusters", 4)
    main(*arguments, "--no-report")
    assert "samples per cluster: 20, 20, 20, 20" in capsys.readouterr().err
    assert (jaxdc.load(run).labels == -1).sum() == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"merge": [(0, 9)]}, "there is no cluster 9: their numbers are 0 to 3"),
        ({"merge": [(0,)]}, "two or more different clusters"),
        ({"merge": [(1, 1)]}, "two or more different clusters"),
        ({"merge": [(0, 1), (1, 2)]}, "there is no cluster 1 any more"),
        ({"divide": [-1]}, "there is no cluster -1"),
        ({"divide": [0], "n_parts": 21}, "20 different embeddings"),
        ({"divide": [0], "n_parts": 1}, "n_parts must be at least 2"),
        ({"drop": [0, 1, 2, 3]}, "no sample is left in any cluster"),
        ({"drop": [0, 0]}, "there is no cluster 0 any more"),
        ({"reject": 1.0}, "above 0 and below 1"),
        ({"reject": float("nan")}, "above 0 and below 1"),
        ({"undo": True, "drop": [0]}, "can't be combined"),
    ],
)
def test_an_impossible_edit_changes_nothing(run, options, message):
    with pytest.raises(InputError, match=message):
        edit_run(run, **options)
    assert not (run / "edits.json").exists() and not (run / "edited.csv").exists()


@pytest.mark.full
def test_a_rejection_that_empties_a_cluster_says_so(tmp_path):
    x = np.concatenate([blobs(), [[500.0, 0.0]]]).astype(np.float32)
    result = fit(KMeans(n_clusters=5), x, workdir=tmp_path / "run")
    alone = int(result.labels[-1])
    assert (result.labels == alone).sum() == 1
    edited = edit_run(tmp_path / "run", merge=[(alone, int(result.labels[0]))], reject=0.0124)
    assert edited.labels[-1] == -1
    edited = edit_run(tmp_path / "run", divide=[int(result.labels[20])], n_parts=20)
    lonely = [c for c, size in enumerate(edited.sizes) if size == 1]
    assert lonely
    said = edit_run(tmp_path / "run", drop=lonely[:1]).said[0]
    assert said.endswith("1 samples belong nowhere now")


def test_runs_that_are_not_ready(run, tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        edit_run(tmp_path / "nowhere")
    lock = RunLock(run)
    lock.take()
    try:
        with pytest.raises(InputError, match="in use by process"):
            edit_run(run, drop=[0])
    finally:
        lock.release()
    (run / "metrics.json").unlink()
    with pytest.raises(InputError, match="not finished"):
        edit_run(run, drop=[0])
