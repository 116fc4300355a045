"""The command, as a person uses it and as a person gets it wrong."""

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from jaxdc.cli import main

pytestmark = pytest.mark.usefixtures("one_device_alone")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys, *arguments):
    """The one sentence on standard error of a command that ends with code 2."""
    with pytest.raises(SystemExit) as exit_:
        main([str(a) for a in arguments])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def test_train_predict_evaluate(here, capsys):
    main(["train", "kmeans", "--data", "digits", "--seed", "3", "--no-report"])
    error = capsys.readouterr().err
    assert "digits: 1,797 samples of 8x8x1" in error
    assert "ACC 0.7" in error
    run = here / "runs" / "kmeans-digits-3"
    assert json.loads((run / "metrics.json").read_text())["seed"] == 3
    main(["predict", str(run), "--data", "digits", "--output", "out.csv"])
    assert (here / "out.csv").read_text() == (run / "assignments.csv").read_text()
    capsys.readouterr()
    main(["evaluate", str(run), "--data", "digits"])
    scored = json.loads(capsys.readouterr().out)
    assert scored["acc"] == json.loads((run / "metrics.json").read_text())["acc"]
    main(["train", "kmeans", "--data", "digits", "--seed", "3", "--no-report"])
    assert "already finished" in capsys.readouterr().err


def test_an_unlabelled_folder_of_pictures(here, capsys):
    rng = np.random.default_rng(0)
    (here / "my pictures").mkdir()
    for i in range(40):
        image = np.clip((i % 2) * 200 + rng.normal(20, 10, size=(12, 12, 3)), 0, 255)
        Image.fromarray(image.astype(np.uint8)).save(here / "my pictures" / f"{i:02}.png")
    arguments = ["train", "dec", "--data", "my pictures", "--n-clusters", "2", "--batch-size", "8"]
    main([*arguments, "--hidden", "8", "--latent", "2", "--pretrain-epochs", "8", "--epochs", "4"])
    rows = (here / "runs" / "dec-my pictures-0" / "assignments.csv").read_text().splitlines()
    assert rows[1].startswith("my pictures/00.png,")
    clusters = [row.split(",")[1] for row in rows[1:]]
    assert len({*zip(clusters, [i % 2 for i in range(40)], strict=True)}) == 2
    metrics = json.loads((here / "runs" / "dec-my pictures-0" / "metrics.json").read_text())
    assert metrics["acc"] is None


@pytest.mark.full
def test_new_pictures_are_brought_to_the_shape_of_the_old(here, capsys):
    rng = np.random.default_rng(0)
    for folder, size, mode in (("old", 12, "RGB"), ("new", 30, "L")):
        (here / folder).mkdir()
        for i in range(20):
            pixels = np.clip((i % 2) * 200 + rng.normal(20, 10, size=(size, size, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(here / folder / f"{i:02}\udcff.png")
    main(["train", "kmeans", "--data", "old", "--n-clusters", "2"])
    main(["predict", "runs/kmeans-old-0", "--data", "new", "--output", "new.csv"])
    lines = (here / "new.csv").read_bytes().splitlines()[1:]
    assert lines[0].startswith(b"new/00\xff.png,")
    clusters = [line.split(b",")[1] for line in lines]
    assert clusters == [clusters[i % 2] for i in range(20)]
    assert clusters[0] != clusters[1]
    again = ["predict", "runs/kmeans-old-0", "--data", "new", "--output", "again.csv", "--image-size"]
    assert "leave out --image-size 16" in refused(capsys, *again, "16")
    main([*again, "12"])


def test_images_without_labels_are_trained_on_and_not_reported(here, capsys):
    def files(n, seed):
        rng = np.random.default_rng(seed)
        for i in range(n):
            pixels = np.clip((i % 2) * 200 + rng.normal(20, 10, size=(6, 6, 3)), 0, 255).astype(np.uint8)
            with io.BytesIO() as file:
                Image.fromarray(pixels).save(file, "PNG")
                yield file.getvalue()

    def packed(split, n, seed):
        data = list(files(n, seed))
        offset = np.cumsum([0, *map(len, data)])
        return {f"{split}_jpeg": np.frombuffer(b"".join(data), np.uint8), f"{split}_offset": offset}

    np.savez("set.npz", **packed("more", 20, 1), **packed("train", 10, 0), train_label=np.arange(10) % 2)
    main(["train", "kmeans", "--data", "set.npz", "--split", "all+more"])
    error = capsys.readouterr().err
    assert "set.npz: 30 samples" in error
    assert "train + more (30 samples); trained on them without labels and scored on the first 10 of 30" in error
    rows = (here / "runs" / "kmeans-set-0" / "assignments.csv").read_text().splitlines()[1:]
    assert len(rows) == 10
    main(["evaluate", "runs/kmeans-set-0", "--data", "set.npz", "--split", "all+more"])
    scored = json.loads(capsys.readouterr().out)
    assert (scored["acc"], scored["n_samples"]) == (1.0, 10)
    assert scored["protocol"].endswith("scored on set.npz: the 10 labelled samples of train + more (30 samples)")
    main(["predict", "runs/kmeans-set-0", "--data", "set.npz", "--split", "more", "--output", "more.csv"])
    assert len((here / "more.csv").read_text().splitlines()) == 21


def test_an_experiment_file(here, capsys):
    (here / "row.py").write_text(
        '"""A row."""\nfrom jaxdc.methods import KMeans\n'
        "from jaxdc.experiment import DataSet, Published, Row, Table\n"
        'ROWS = {"k-means": Row(KMeans(n_clusters=10), Published(acc=0.79, source="A paper"))}\n'
        'TABLES = {"digits": Table(data=DataSet(data="digits", n_classes=10), rows=ROWS, seeds=(0, 1))}\n'
    )
    main(["run", "row.py"])
    out = capsys.readouterr().out
    assert "published" in out
    assert "0.7900" in out
    assert "±" in out


def test_list_and_help(capsys):
    main(["list"])
    out = capsys.readouterr().out
    assert "idec" in out
    assert "Deep Embedded Clustering" in out
    main([])
    assert "usage: jaxdc COMMAND" in capsys.readouterr().out
    with pytest.raises(SystemExit) as exit_:
        main(["train", "dec", "--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert "--refresh-steps" in out
    assert "degrees of freedom" in out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["trian"], "did you mean train"),
        (["train"], "name the method"),
        (["train", "decc", "--data", "digits"], "did you mean dec or idec"),
        (["train", "dec"], "--data"),
        (["train", "dec", "--data", "mnits"], "did you mean mnist"),
        (["train", "dec", "--data", "no/such/folder"], "there is no file or folder"),
        (["train", "dec", "--data", "digits", "--n-clusters", "1"], "at least 2"),
        (["train", "kmeans", "--data", "digits", "--n-clusters", "1798"], "from 2 to 1797"),
        (["train", "dec", "--data", "digits", "--batch-size", "2000"], "fewer than a batch of 2000"),
        (["train", "dec", "--data", "digits", "--alpha", "x"], "--alpha"),
        (["train", "dec", "--data", "digits", "--alpha", "0"], "alpha must be above 0, but is 0"),
        (["train", "dec", "--data", "digits", "--hidden", "8", "0"], "hidden must be at least 1"),
        (
            ["train", "ae_kmeans", "--data", "digits", "--corruption", "1"],
            "at least 0 and below 1, but is 1",
        ),
        (["train", "dec", "--data", "digits", "--alpha", "nan"], "alpha must be finite, but is nan"),
        (["train", "kmeans", "--data", "digits", "--n-init", "0"], "n_init must be"),
        (["train", "spectral", "--data", "digits", "--n-neighbors", "1797"], "only 1797 samples"),
        (["train", "dec", "--data", "digits", "--learning-rate", "-1"], "--learning-rate must be above 0"),
        (
            ["train", "dec", "--data", "digits", "--learning-rate", "nan"],
            "--learning-rate must be finite, but is nan",
        ),
        (["train", "dec", "--data", "digits", "--epochs", "inf"], "epochs must be finite, but is inf"),
        (["train", "dec", "--data", "digits", "--pretrain-epochs", "nan"], "epochs must be finite, but is nan"),
        (["train", "kmeans", "--data", "digits", "--seed", str(2**63)], "--seed is too large"),
        (["train", "kmeans", "--data", "digits", "--seed", str(2**32)], "--seed must be at least 0 and at most"),
        (["choose-k", "--data", "digits", "--seed", "-1"], "--seed must be at least 0 and at most 4294967295"),
        (
            ["train", "dec", "--data", "digits", "--checkpoint-minutes", "nan"],
            "--checkpoint-minutes must be finite",
        ),
        (["train", "dec", "--data", "digits", "--resident-gib", "inf"], "--resident-gib must be finite"),
        (["choose-k", "--data", "digits", "--resident-gib", "-1"], "--resident-gib must be at least 0"),
        (["train", "dec", "--data", "digits", "--split", "nosuch"], "--split nosuch needs data with splits"),
        (
            ["train", "kmeans", "--data", "digits", "--n-init", "1000000000"],
            "n_init must be at least 1 and at most",
        ),
        (["train", "simclr", "--data", "digits", "--block-size", "0"], "block_size must be at least 1"),
        (["train", "dec", "--data", "digits", "--hidden", "1000000000000"], "use narrower layers"),
        (
            ["train", "dec", "--data", "digits", "--hidden", str(10**20)],
            "hidden is too large: a number of 67 bits",
        ),
        (["train", "dec", "--data", "digits", "--epochs", "1e300"], "steps are too many"),
        (["train", "kmeans", "--data", "digits", "--recipe", "paper"], "unknown recipe 'paper'"),
        (["train", "kmeans", "--data", "digits", "--standardize"], "only tables"),
        (["train", "kmeans", "--data", "digits", "--image-size", "16"], "--image-size 16 can't resize digits"),
        (["predict", "nowhere", "--data", "digits", "--output", "x.csv"], "there is no folder nowhere"),
        (["predict", "nowhere", "--data", "digits", "--output", "no/x.csv"], "there is no folder"),
        (["run", "nothing.py"], "there is no experiment"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_nothing(arguments, word, here, capsys):
    assert word in refused(capsys, *arguments)
    assert list(here.iterdir()) == []


def test_data_without_labels_need_a_number_of_clusters(here, capsys):
    np.save("x.npy", np.random.default_rng(0).random((30, 4)))
    assert "pass --n-clusters" in refused(capsys, "train", "kmeans", "--data", "x.npy")
    main(["train", "kmeans", "--data", "x.npy", "--n-clusters", "3"])
    capsys.readouterr()
    assert "no labels to score with" in refused(capsys, "evaluate", "runs/kmeans-x-0", "--data", "x.npy")
    np.save("y.npy", np.ones((5, 7)))
    error = refused(capsys, "predict", "runs/kmeans-x-0", "--data", "y.npy", "--output", "p.csv")
    assert "samples of shape [7]" in error
    assert not (here / "p.csv").exists()
    error = refused(capsys, "train", "kmeans", "--data", "x.npy", "--n-clusters", "4")
    assert "n_clusters is 3 there and 4 here" in error


def test_without_tensorflow(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert "jaxdc[data]" in refused(capsys, "train", "dec", "--data", "mnist")
