"""``jaxdc export`` as people use it, and when things have moved or are there already."""

import csv
import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from jaxdc import KMeans, cli, fit
from jaxdc.runs.checksums import write_checksums

pytestmark = pytest.mark.usefixtures("one_device_alone")


def main(*arguments):
    cli.main([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as error:
        main(*arguments)
    assert error.value.code == 2
    return capsys.readouterr().err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs on red and blue pictures, of the same names in two subfolders, and on texts of two kinds."""
    top = tmp_path_factory.mktemp("trained")
    for folder in ("a", "b"):
        (top / "pictures" / folder).mkdir(parents=True)
        for i in range(4):
            color = (255, 0, 0) if i % 2 else (0, 0, 255)
            Image.new("RGB", (8, 8), color).save(top / "pictures" / folder / f"{i}.png")
    lines = (f'{{"text": "{("cat dog paw", "bank loan bond")[i % 2]} w{i}", "label": {i % 2}}}' for i in range(20))
    (top / "texts.jsonl").write_text("\n".join(lines))
    for data, run in (("pictures", "of_pictures"), ("texts.jsonl", "of_texts")):
        main("train", "kmeans", "--data", top / data, "--workdir", top / run, "--n-clusters", 2, "--no-report")
    return top


@pytest.fixture
def pictures(trained, tmp_path):
    shutil.copytree(trained / "of_pictures", tmp_path / "run")
    return tmp_path


@pytest.fixture
def texts(trained, tmp_path):
    shutil.copytree(trained / "of_texts", tmp_path / "run")
    return tmp_path


def no_longer_there(run):
    config = json.loads((run / "config.json").read_text())
    config["opened"]["data"] = str(run / "gone")
    (run / "config.json").write_text(json.dumps(config))


def colors_of(folder):
    return {Image.open(file).convert("RGB").getpixel((0, 0)) for file in folder.iterdir()}


@pytest.mark.parametrize("copy", [False, True])
def test_a_folder_a_cluster(pictures, copy):
    main("export", pictures / "run", "--to", "folders", *(["--copy"] if copy else []))
    folders = sorted((pictures / "run" / "clusters").glob("cluster_*"))
    assert sorted(map(colors_of, folders), key=str) == [{(0, 0, 255)}, {(255, 0, 0)}]
    assert {file.name for file in folders[0].iterdir()} & {"a__0.png", "a__1.png"}
    assert all(file.is_symlink() != copy for folder in folders for file in folder.iterdir())
    with (pictures / "run" / "clusters" / "clusters.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    for row in rows:
        assert Image.open(pictures / "run" / "clusters" / row["file"]).size == (8, 8)
        assert row["file"].startswith(f"cluster_{row['cluster']}/")
        assert Image.open(row["sample"]).getpixel((0, 0)) in colors_of(folders[int(row["cluster"])])


def test_pictures_that_have_moved(trained, pictures, capsys):
    no_longer_there(pictures / "run")
    error = refused(capsys, "export", pictures / "run", "--to", "folders")
    assert "8 of the 8 samples of this run are no longer in" in error
    assert not list((pictures / "run").glob("*clusters*"))
    moved = shutil.copytree(trained / "pictures", pictures / "moved")
    main("export", pictures / "run", "--to", "folders", "--data", moved)
    found = list((pictures / "run" / "clusters").glob("cluster_*/*.png"))
    assert len(found) == 8 and {file.readlink().parent.parent for file in found} == {moved}


def test_what_is_there_already_stays(pictures, capsys):
    kept = pictures / "out.csv"
    kept.write_text("mine")
    assert "already exists" in refused(capsys, "export", pictures / "run", "--to", "csv", "--output", kept)
    assert kept.read_text() == "mine"
    assert "there is no folder" in refused(
        capsys, "export", pictures / "run", "--to", "csv", "--output", kept / "x"
    )


def test_an_export_that_fails_leaves_nothing(pictures, monkeypatch):
    calls = []

    def third_fails(*paths):
        calls.append(paths)
        if len(calls) == 3:
            raise RuntimeError
        return copy2(*paths)

    copy2 = shutil.copy2
    monkeypatch.setattr(shutil, "copy2", third_fails)
    with pytest.raises(RuntimeError):
        main("export", pictures / "run", "--to", "folders", "--copy")
    assert not list((pictures / "run").glob("*clusters*"))


def test_images_of_an_array_become_files(tmp_path):
    x = np.zeros((8, 8, 8, 3), np.uint8)
    x[4:] = 200
    np.save(tmp_path / "x.npy", x)
    fit(KMeans(n_clusters=2), x, workdir=tmp_path / "run")
    where = ("--data", tmp_path / "x.npy", "--output", tmp_path / "out")
    main("export", tmp_path / "run", "--to", "folders", *where)
    values = {file.name: np.asarray(Image.open(file)).max() for file in (tmp_path / "out").glob("cluster_*/*.png")}
    assert values == {f"{i}.png": (0 if i < 4 else 200) for i in range(8)}
    assert [len({values[file.name] for file in f.iterdir()}) for f in (tmp_path / "out").glob("cluster_*")] == [
        1,
        1,
    ]


def test_lines_of_a_file_are_no_pictures(texts, capsys):
    assert "export to csv, parquet or npz" in refused(capsys, "export", texts / "run", "--to", "folders")


def test_csv(texts, capsys):
    main("export", texts / "run", "--to", "csv")
    with (texts / "run" / "clusters.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["sample", "cluster", "confidence", "class", "text"]
    assert [row["text"].split()[-1] for row in rows] == [f"w{i}" for i in range(20)]
    assert len({(row["class"], row["cluster"]) for row in rows}) == 2
    no_longer_there(texts / "run")
    main("export", texts / "run", "--to", "csv", "--output", texts / "less.csv")
    assert "without classes and texts" in capsys.readouterr().err
    assert (texts / "less.csv").read_text().startswith("sample,cluster,confidence\n0,")


def test_npz(texts):
    main("export", texts / "run", "--to", "npz")
    with np.load(texts / "run" / "clusters.npz") as found:
        probabilities = np.load(texts / "run" / "probabilities.npy")
        np.testing.assert_array_equal(found["probabilities"], probabilities)
        np.testing.assert_array_equal(found["cluster"], probabilities.argmax(axis=1))
        np.testing.assert_array_equal(found["embeddings"], np.load(texts / "run" / "embeddings.npy"))
        assert found["text"][3].endswith("w3") and found["class"][3] == "1" and found["sample"][3] == "3"


def test_parquet(texts, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    from jaxdc.export import tables

    monkeypatch.setattr(tables, "BLOCK", 7)
    main("export", texts / "run", "--to", "parquet")
    table = parquet.read_table(texts / "run" / "clusters.parquet").to_pydict()
    probabilities = np.load(texts / "run" / "probabilities.npy")
    np.testing.assert_array_equal(table["probabilities"], probabilities)
    np.testing.assert_array_equal(table["embedding"], np.load(texts / "run" / "embeddings.npy"))
    assert table["cluster"] == probabilities.argmax(axis=1).tolist()
    assert table["text"][19].endswith("w19") and table["class"][:2] == ["0", "1"]


def test_parquet_without_its_package(texts, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'jaxdc[parquet]'" in refused(capsys, "export", texts / "run", "--to", "parquet")
    assert not list((texts / "run").glob("*clusters*"))


def test_wrong_use(texts, tmp_path, capsys):
    assert "--copy requires --to folders" in refused(capsys, "export", texts / "run", "--to", "csv", "--copy")
    assert "there is no folder" in refused(capsys, "export", texts / "none", "--to", "csv")
    (texts / "run" / "metrics.json").unlink()
    assert "not finished" in refused(capsys, "export", texts / "run", "--to", "csv")


def test_nothing_is_copied_from_outside_of_the_data_folder(trained, pictures, capsys):
    data, run = shutil.copytree(trained / "pictures", pictures / "data"), pictures / "run"
    secret = (pictures / "secret.png").resolve()
    (data / "a" / "0.png").rename(secret)
    (data / "a" / "0.png").symlink_to(secret)
    error = refused(capsys, "export", run, "--to", "folders", "--copy", "--data", data)
    assert "a/0.png is a link out of" in error
    assert not (run / "clusters").exists()
    table = (run / "assignments.csv").read_text().replace("/a/0.png", "/a/../../secret.png")
    (run / "assignments.csv").write_text(table)
    write_checksums(run, ("assignments.csv", "probabilities.npy"))
    for more in ([], ["--copy"]):
        error = refused(capsys, "export", run, "--to", "folders", "--data", data, *more)
        assert "secret.png', which leads out of the folder of the samples" in error
    assert not (run / "clusters").exists()
