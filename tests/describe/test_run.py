"""``jaxdc describe`` as people use it: on texts, on images, on vectors, and when things have moved."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxdc import KMeans, cli, fit

pytestmark = pytest.mark.usefixtures("one_device_alone")


def main(*arguments):
    cli.main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as error:
        main(*arguments)
    assert error.value.code == 2
    return capsys.readouterr().err


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    words = ("cat dog paw", "bank loan bond")
    path.write_text(
        "".join(json.dumps({"text": f"{words[i % 2]} w{i}", "label": i % 2}) + "\n" for i in range(40))
    )
    main("train", "kmeans", "--data", path, "--workdir", tmp_path / "run", "--no-report")
    return path


@pytest.fixture
def pictures(tmp_path):
    for i in range(8):
        Image.new("RGB", (16, 16), (255, 0, 0) if i % 2 else (0, 0, 255)).save(tmp_path / f"{i}.png")
    main("train", "kmeans", "--data", tmp_path, "--n-clusters", 2, "--workdir", tmp_path / "run", "--no-report")
    return tmp_path


def test_texts(texts, tmp_path, capsys):
    main("describe", tmp_path / "run", "--n-terms", 3)
    out = capsys.readouterr().out
    clusters = json.loads((tmp_path / "run" / "description.json").read_text())["clusters"]
    assert [c["size"] for c in clusters] == [20, 20]
    expected = {frozenset(words.split()) for words in ("cat dog paw", "bank loan bond")}
    assert {frozenset(c["terms"]) for c in clusters} == expected
    assert all(word in out for word in ("cat", "bond", "20"))
    assert all(member["text"].split()[0] in c["terms"] for c in clusters for member in c["central"])


def test_the_table_of_pictures_has_whole_paths(pictures, capsys):
    main("describe", pictures / "run", "--n-members", 2)
    assert str(pictures / "1.png") in "".join(capsys.readouterr().out.split())  # over however many lines
    clusters = json.loads((pictures / "run" / "description.json").read_text())["clusters"]
    assert [(len(c["central"]), len(c["doubtful"])) for c in clusters] == [(2, 2), (2, 2)]


def test_vectors_have_sizes_and_names_alone(tmp_path, capsys):
    x = np.repeat([[0.0, 0.0], [9.0, 9.0]], 10, axis=0) + np.random.default_rng(0).normal(size=(20, 2))
    fit(KMeans(n_clusters=2), x, workdir=tmp_path / "run")
    main("describe", tmp_path / "run")
    assert "most central samples" in capsys.readouterr().out
    clusters = json.loads((tmp_path / "run" / "description.json").read_text())["clusters"]
    assert [c["terms"] for c in clusters] == [[], []]


def test_samples_that_have_moved_or_changed(texts, tmp_path, capsys):
    moved = texts.rename(tmp_path / "moved.jsonl")
    assert "are no longer at" in refused(capsys, "describe", tmp_path / "run")
    main("describe", tmp_path / "run", "--data", moved)
    moved.write_text(moved.read_text().replace("paw", "claw"))
    assert "changed since" in refused(capsys, "describe", tmp_path / "run", "--data", moved)


@pytest.mark.full
def test_texts_from_python_have_no_place(tmp_path, capsys):
    fit(KMeans(n_clusters=2), ["cat dog", "dog cat", "bank loan", "loan bank"] * 3, workdir=tmp_path / "run")
    assert "pass the samples with --data" in refused(capsys, "describe", tmp_path / "run")
    (tmp_path / "a.txt").write_text("cat dog\ndog cat\nbank loan\nloan bank\n" * 3)
    main("describe", tmp_path / "run", "--data", tmp_path / "a.txt")


def test_counts_that_make_no_sense(tmp_path, capsys):
    assert "--n-members must be at least 1" in refused(capsys, "describe", tmp_path, "--n-members", 0)
