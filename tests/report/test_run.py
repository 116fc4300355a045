"""``jaxdc report`` as people use it, and the page at the end of ``jaxdc train``."""

import base64
import io
import json
import os
import re
import shutil

import numpy as np
import pytest
from html_pages import Page
from PIL import Image

from jaxdc import KMeans, cli, fit
from jaxdc.report import run as reporting

pytestmark = pytest.mark.usefixtures("one_device_alone")

FOLDER = 'my "odd" <i>pictures</i> & more'


def main(*arguments):
    cli.main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as error:
        main(*arguments)
    assert error.value.code == 2
    return capsys.readouterr().err


def opened(run):
    found = Page((run / "report.html").read_text(encoding="utf-8"))
    found.check()
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Pictures in folders of odd names, and a run on them that ended in a page."""
    top = tmp_path_factory.mktemp("trained")
    for i in range(12):
        folder = top / FOLDER / ("bl" if i % 2 else "кот's")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (255, 0, 0) if i % 2 else (0, 0, 255)).save(folder / f'{i} "<b>".png')
    main("train", "kmeans", "--data", top / FOLDER, "--workdir", top / "run")
    return top


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run, to do harm to."""
    return shutil.copytree(trained / "run", tmp_path / "run")


def test_train_ends_in_a_page(trained):
    found = opened(trained / "run")
    assert 'кот\'s/0 "<b>".png' in found.text and FOLDER in found.text
    assert "ACC 1.0000" in found.text and "Every sample is in the cluster of its class." in found.text
    images = [
        Image.open(io.BytesIO(base64.b64decode(x))) for x in re.findall(r'src="data:.*?,([^"]+)', found.html)
    ]
    assert {image.convert("RGB").getpixel((0, 0))[1:] for image in images} <= {(0, 0), (0, 255), (0, 254)}
    assert len(images) == 2 * (5 + 5)


def test_report_again_is_the_same_page(trained, run):
    before = (run / "report.html").read_text()
    main("report", run)
    assert (run / "report.html").read_text() == before


def test_the_same_command_does_not_write_it_again(trained, tmp_path, capsys):
    page = trained / "run" / "report.html"
    before = page.stat().st_mtime_ns
    main("train", "kmeans", "--data", trained / FOLDER, "--workdir", trained / "run")
    assert page.stat().st_mtime_ns == before
    main("train", "kmeans", "--data", trained / FOLDER, "--workdir", tmp_path / "other", "--no-report")
    assert (tmp_path / "other" / "metrics.json").exists() and not (tmp_path / "other" / "report.html").exists()


def test_a_failure_does_not_lose_the_run(trained, tmp_path, capsys, monkeypatch):
    def fails(*arguments, **options):
        raise MemoryError("no room\nfor it")

    monkeypatch.setattr(reporting.report, "page", fails)
    main("train", "kmeans", "--data", trained / FOLDER, "--workdir", tmp_path / "run")
    error = " ".join(capsys.readouterr().err.split())
    assert "the results are saved, but the report failed (no room)" in error and "retry with" in error
    assert (tmp_path / "run" / "assignments.csv").exists()
    assert not [path for path in (tmp_path / "run").iterdir() if "report" in path.name]


def test_a_full_disk_is_a_sentence(run, capsys, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reporting.report, "page", lambda *arguments, **options: "page")
    monkeypatch.setattr(reporting, "replacing", full)
    before = (run / "report.html").read_text()
    assert "the disk is full" in refused(capsys, "report", run)
    assert (run / "report.html").read_text() == before


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("embeddings.npy", "The run folder has no embeddings.npy, so nothing is shown of the embeddings."),
        (
            "probabilities.npy",
            "The run folder has no probabilities.npy, so nothing is shown of the probabilities.",
        ),
        ("metrics.jsonl", "The run folder has no metrics.jsonl, so nothing is shown of the history."),
        ("metrics.json", "The run is not finished"),
        ("assignments.csv", "Cluster sizes"),
    ],
)
def test_a_file_that_is_missing_is_named(run, name, told):
    (run / name).unlink()
    main("report", run)
    found = opened(run)
    assert told in found.text
    assert {"summary", "map", "sizes", "clusters", "curves"} <= set(found.ids)
    assert "2 of 2 clusters in use" in found.text


def test_files_that_are_damaged(run):
    for name in ("embeddings.npy", "metrics.json", "metrics.jsonl", "assignments.csv"):
        (run / name).write_bytes(b"\x93NUMPY no")
    np.save(run / "probabilities.npy", np.ones((3, 2)))
    main("report", run)
    found = opened(run)
    for name in ("embeddings.npy", "metrics.json", "metrics.jsonl", "probabilities.npy"):
        assert f"Its {name} is damaged" in found.text


def test_a_run_of_an_older_version(run):
    config = json.loads((run / "config.json").read_text())
    del config["opened"], config["environment"]
    (run / "config.json").write_text(json.dumps(config))
    main("report", run)
    assert "pass the samples with --data" in opened(run).text


def test_samples_that_have_moved_or_changed(trained, run, capsys):
    config = json.loads((run / "config.json").read_text())
    config["opened"]["data"] = "/no/such/place"
    (run / "config.json").write_text(json.dumps(config))
    main("report", run)
    assert "are no longer at" in capsys.readouterr().err
    found = opened(run)
    assert "are no longer at /no/such/place" in found.text and not found.all("img")
    moved = shutil.copytree(trained / FOLDER, run.parent / "moved")
    main("report", run, "--data", moved, "--n-members", 1)
    assert len(opened(run).all("img")) == 2 * (1 + 1)
    next(moved.rglob("*.png")).unlink()
    assert "changed since" in refused(capsys, "report", run, "--data", moved)


@pytest.mark.full
def test_texts_and_vectors(tmp_path):
    words = ("cat dog paw", "bank loan bond")
    (tmp_path / "a.txt").write_text("".join(f"{words[i % 2]} w{i} <b>\n" for i in range(40)))
    main("train", "kmeans", "--data", tmp_path / "a.txt", "--n-clusters", 2, "--workdir", tmp_path / "run")
    found = opened(tmp_path / "run")
    assert all(word in found.text for word in ("cat", "bond", "w7 <b>")) and found.samples["texts"]
    before = found.html
    main("report", tmp_path / "run")
    assert opened(tmp_path / "run").html == before
    x = np.random.default_rng(0).normal(size=(20, 3))
    fit(KMeans(n_clusters=2), x, workdir=tmp_path / "vectors")
    assert not (tmp_path / "vectors" / "report.html").exists()  # fit writes none
    main("report", tmp_path / "vectors", "--n-points", 7)
    assert "7 of 20 samples" in opened(tmp_path / "vectors").text


@pytest.mark.full
def test_copies_are_not_reported(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(256, size=(20, 8, 8), dtype=np.uint8))
    main("train", "kmeans", "--data", tmp_path / "x.npy", "--n-clusters", 2, "--copies", 1, "--workdir",
         tmp_path / "run")  # fmt: skip
    assert "All 20 samples" in opened(tmp_path / "run").text
    main("report", tmp_path / "run")
    found = opened(tmp_path / "run")
    assert "All 20 samples" in found.text and found.all("img")


def test_wrong_input(tmp_path, capsys):
    assert "there is no folder" in refused(capsys, "report", tmp_path / "nothing")
    assert "config.json" in refused(capsys, "report", tmp_path)
    assert "--n-points must be at least 1" in refused(capsys, "report", tmp_path, "--n-points", 0)
    assert os.listdir(tmp_path) == []
