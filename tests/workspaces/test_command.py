"""``jaxdc workspaces``, as a person uses it and as a person gets it wrong."""

import json

import pytest

from jaxdc.cli import main
from jaxdc.workspaces import LogMaker

pytestmark = pytest.mark.usefixtures("one_device_alone")

QUICK = ("--epochs", "1", "--batch-size", "64")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LogMaker(n_workspaces=4, n_users=8, most=8, n_sessions=10).make(0).write(tmp_path)
    return tmp_path


def refused(capsys, *arguments):
    """The one sentence on standard error of a command that ends with code 2."""
    with pytest.raises(SystemExit) as exit_:
        main(["workspaces", *map(str, arguments)])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


@pytest.mark.full
def test_from_a_log_to_workspaces(here, capsys):
    command = ["workspaces", "log.csv", "--texts", "documents.csv", "--labels", "workspace", *QUICK]
    main(command)
    error = capsys.readouterr().err
    assert "accesses of" in error
    assert "F1 of pairs" in error
    folder = here / "runs" / "workspaces-log-0"
    table = (folder / "workspaces.csv").read_text().splitlines()
    assert table[0] == "document,workspace,confidence"
    assert len({line.split(",")[0] for line in table[1:]}) == len(table) - 1
    metrics = json.loads((folder / "metrics.json").read_text())
    assert len(table) - 1 == metrics["n_documents"]
    assert 0 < metrics["pairwise_f1"] <= 1
    assert metrics["n_known_workspaces"] == 4
    assert "without labels" in metrics["protocol"]

    # The same command finds the run finished; another one is refused, and may take its place.
    main(command)
    assert "already finished" in capsys.readouterr().err
    assert "another configuration (labels is '" in refused(capsys, *command[1:4], *QUICK)
    assert "seed is 0 there and 1 here" in refused(capsys, *command[1:], "--seed", 1, "--workdir", folder)
    assert (folder / "workspaces.csv").read_text().splitlines() == table
    main([*command, "--fresh"])
    assert (folder / "workspaces.csv").read_text().splitlines() == table
    capsys.readouterr()

    # What one run has found is a file of labels for another.
    labels = folder / "workspaces.csv"
    main(["workspaces", "log.csv", "--similarity", "co-count", "--labels", str(labels), "--workdir", "counts"])
    assert json.loads((here / "counts" / "metrics.json").read_text())["n_known_workspaces"] >= 2

    # It has no clusters of samples that other commands could go on with.
    with pytest.raises(SystemExit) as exit_:
        main(["describe", "counts"])
    assert exit_.value.code == 2
    assert "counts holds workspaces, not the run of a method" in capsys.readouterr().err


def test_other_folders_are_left_alone(here, capsys):
    (here / "mine").mkdir()
    (here / "mine" / "letter.txt").write_text("dear")
    assert "is not a run folder" in refused(capsys, "log.csv", "--workdir", "mine", "--fresh")
    (here / "theirs").mkdir()
    (here / "theirs" / "config.json").write_text('{"run": {"method": "DEC", "stages": [], "data": {}}}')
    assert "holds the run of another command" in refused(capsys, "log.csv", "--workdir", "theirs", "--fresh")
    (here / "theirs" / "config.json").write_text("{")
    assert "damaged or was not written by jaxdc" in refused(capsys, "log.csv", "--workdir", "theirs")
    assert not (here / "runs").exists()


def test_bad_input_is_one_sentence(here, capsys):
    (here / "alone.csv").write_text("user,document,time\na,x,1\nb,y,2\n")
    assert "each user accesses only one document" in refused(capsys, "alone.csv")
    assert "no column 'who'; its columns are 'user', 'document', 'time'" in refused(
        capsys, "log.csv", "--user-column", "who"
    )
    assert "is not a file; to use a column, also pass --texts" in refused(capsys, "log.csv", "--labels", "team")
    assert "no column 'team'" in refused(capsys, "log.csv", "--texts", "documents.csv", "--labels", "team")
    assert "needs the texts" in refused(capsys, "log.csv", "--similarity", "text")
    (here / "other.csv").write_text("document,text,workspace\nx,some words,1\n")
    assert "no document in common" in refused(capsys, "log.csv", "--texts", "other.csv")
    assert "no document of log.csv has a label" in refused(capsys, "log.csv", "--labels", "other.csv")
    assert "--skip-unmatched" in refused(capsys, "alone.csv", "--texts", "other.csv")
    assert "epochs of the towers must be above 0" in refused(capsys, "log.csv", "--epochs", "0")
    assert not (here / "runs").exists()
