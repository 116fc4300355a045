"""``jaxdc choose-k``, as a person uses it and as a person gets it wrong."""

import json

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from jaxdc.cli import main

pytestmark = pytest.mark.usefixtures("one_device_alone")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y = make_blobs(160, centers=12 * np.eye(4, 6), random_state=0)
    np.savez(tmp_path / "blobs.npz", x=x.astype(np.float32), y=y)
    return tmp_path


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(["choose-k", *map(str, arguments)])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return " ".join(error.split())


def test_from_data_to_a_number(here, capsys):
    command = ["choose-k", "--data", "blobs.npz", "--from", "3", "--to", "6", "--embedding", "input"]
    main(command)
    shown = capsys.readouterr()
    assert "4 *" in shown.out
    assert "4 clusters have the highest silhouette, and no other number comes near" in shown.err
    content = json.loads((here / "runs" / "choose-k-blobs-0" / "choose_k.json").read_text())
    assert content["k"] == content["n_classes"] == 4
    assert content["as_good"] == [4]
    assert content["understood"].startswith("samples: x, vectors of ")
    assert [row["k"] for row in content["scores"]] == [3, 4, 5, 6]
    main(command)  # a second time is no error
    assert json.loads((here / "runs" / "choose-k-blobs-0" / "choose_k.json").read_text())["k"] == 4


@pytest.mark.full
def test_the_features_of_a_run_or_of_an_autoencoder(here, capsys):
    main(["train", "kmeans", "--data", "blobs.npz", "--workdir", "run"])
    few = ("--data", "blobs.npz", "--from", "4", "--to", "5")
    main(["choose-k", *few, "--init-from", "run", "--workdir", "of_run"])
    content = json.loads((here / "of_run" / "choose_k.json").read_text())
    assert content["k"] == 4
    assert content["embedding"] == "run"
    assert not (here / "of_run" / "autoencoder").exists()


@pytest.mark.full
def test_an_autoencoder_is_trained_once(here, capsys):
    few = ("--data", "blobs.npz", "--workdir", "w", "--epochs", "2")
    main(["choose-k", *few, "--from", "4", "--to", "5"])
    assert "already finished" not in capsys.readouterr().err
    main(["choose-k", *few, "--from", "2", "--to", "3"])
    assert "already finished" in capsys.readouterr().err
    assert json.loads((here / "w" / "choose_k.json").read_text())["embedding"] == "autoencoder"


def test_bad_input_is_one_sentence(here, capsys):
    data = ("--data", "blobs.npz")
    assert "start at 2" in refused(capsys, *data, "--from", 1)
    assert "--to is not below --from" in refused(capsys, *data, "--from", 9, "--to", 3)
    assert "lower --to" in refused(capsys, *data, "--to", 90)
    (here / "mine").mkdir()
    (here / "mine" / "letter.txt").write_text("dear")
    assert "holds something else" in refused(capsys, *data, "--workdir", "mine")
    assert not (here / "runs").exists()
