"""What ``config.json`` may name: a closed table, whatever somebody has written into it, and what 0.1.0 wrote."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import final

import jax
import numpy as np
import pytest

import jaxdc
from jaxdc import fit, load, methods
from jaxdc.cli import main
from jaxdc.data.text import Embedding, TfIdf, Tokens, WordClusters
from jaxdc.errors import InputError
from jaxdc.methods.base import DataSpec, Experiment, Method, Stage
from jaxdc.runs import config

pytestmark = pytest.mark.usefixtures("one_device_alone")

VIEWS = DataSpec((16,), 5000, widths=(9, 7))
OLD = Path(__file__).parents[1] / "fixtures" / "version_0_1_0"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of k-means, the data, and texts."""
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(3, 4)) * 10)[np.arange(30) % 3] + rng.normal(size=(30, 4))
    np.savez(folder / "data.npz", x=x.astype(np.float32), y=np.arange(30) % 3)
    fit(methods.KMeans(n_clusters=3), x.astype(np.float32), workdir=folder / "run", devices=jax.devices()[:1])
    return folder


def rewritten(finished, folder, change):
    """A copy of the run whose config.json somebody has changed."""
    shutil.copytree(finished / "run", folder / "run")
    path = folder / "run" / "config.json"
    content = json.loads(path.read_text())
    change(content["run"])
    path.write_text(json.dumps(content))
    return folder / "run"


def popen(folder):
    return {"class": "subprocess:Popen", "args": ["touch", str(folder / "was-run")]}


def as_method(run, folder):
    run["stages"][-1]["method"] = popen(folder)


def as_optimizer(run, folder):
    run["stages"][-1]["optimizer"] = popen(folder)


def as_hyper_parameter(run, folder):
    run["stages"][-1]["method"]["n_init"] = popen(folder)


def as_vectorizer(run, folder):
    run["data"]["vectorizer"] = popen(folder)


def as_function(run, folder):
    function = {"class": "jaxdc.data.text.embedding:FunctionEmbedding", "function": "os:system"}
    run["data"]["vectorizer"] = function
    run["data"]["name"] = f"touch {folder / 'was-run'}"


def as_unknown_name(run, folder):
    run["stages"][-1]["method"] = {"method": "subprocess:Popen", "n_clusters": 3}


def as_two_kinds(run, folder):
    run["stages"][-1]["method"] = {"method": "kmeans", "own": "Popen", "n_clusters": 3}


def as_nonsense(run, folder):
    run["stages"][-1]["method"] = {"method": "kmeans", "n_clusters": {"a": ["b"]}}


def as_unknown_setting(run, folder):
    run["stages"][-1]["method"]["shell"] = True


ATTACKS = (
    as_method,
    as_optimizer,
    as_hyper_parameter,
    as_vectorizer,
    as_function,
    as_unknown_name,
    as_two_kinds,
    as_nonsense,
    as_unknown_setting,
)
COMMANDS = {
    "predict": ("predict", "{run}", "--data", "{data}", "--output", "{folder}/out.csv"),
    "evaluate": ("evaluate", "{run}", "--data", "{data}"),
    "probe": ("probe", "{run}", "--data", "{data}"),
    "describe": ("describe", "{run}"),
    "report": ("report", "{run}"),
    "export": ("export", "{run}", "--to", "csv", "--output", "{folder}/table.csv"),
    "train": ("train", "kmeans", "--data", "{data}", "--workdir", "{run}"),
    "init-from": ("train", "kmeans", "--data", "{data}", "--init-from", "{run}", "--workdir", "{folder}/new"),
}
WITHOUT_THE_METHOD = {"report", "export"}  # they read the results alone, and name what they don't know


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_run_folder_runs_nothing(finished, tmp_path, capsys, attack, command):
    run = rewritten(finished, tmp_path, lambda content: attack(content, tmp_path))
    places = {"run": run, "data": finished / "data.npz", "folder": tmp_path}
    code = 0
    try:
        main([part.format(**places) for part in COMMANDS[command]])
    except SystemExit as exit_:
        code = exit_.code
    said = capsys.readouterr().err
    assert not (tmp_path / "was-run").exists()
    assert code == 2 or (code == 0 and command in WITHOUT_THE_METHOD), said
    assert "Traceback" not in said
    if code == 2:
        assert said.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_loading_refuses_it_too(finished, tmp_path, attack):
    run = rewritten(finished, tmp_path, lambda content: attack(content, tmp_path))
    with pytest.raises(InputError):
        load(run).predict(["a text", "another"])
    assert not (tmp_path / "was-run").exists()


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Jitter:
    amount: float = 0.5


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Mine(Method):
    """k-means under a name of its own."""

    jitter: Jitter = Jitter()
    inherits = requires = ()

    def init(self, key, spec):
        return methods.KMeans(n_clusters=self.n_clusters).init(key, spec)

    def loss(self, model, aux, batch, key):
        raise NotImplementedError

    def embed(self, model, aux, batch):
        return batch["x"]

    def refresh(self, model, aux, features, key):
        return methods.KMeans(n_clusters=self.n_clusters).refresh(model, aux, features, key)

    def assign(self, model, aux, features):
        return methods.KMeans(n_clusters=self.n_clusters).assign(model, aux, features)

    def stages(self, recipe, spec):
        return (Stage(method=self, steps=0),)


def test_a_method_of_ones_own_is_handed_over(finished, tmp_path):
    x = np.load(finished / "data.npz")["x"]
    result = fit(Mine(n_clusters=3, jitter=Jitter(amount=0.25)), x, workdir=tmp_path / "run")
    described = json.loads((tmp_path / "run" / "config.json").read_text())["run"]["stages"][0]["method"]
    assert described == {"own": "Mine", "n_clusters": 3, "jitter": {"own": "Jitter", "amount": 0.25}}
    with pytest.raises(InputError, match=r"this run uses Mine, .*jaxdc.load\(folder, methods=\[Mine\]\)"):
        load(tmp_path / "run")
    again = load(tmp_path / "run", methods=[Mine, Jitter])
    assert again.method == Mine(n_clusters=3, jitter=Jitter(amount=0.25))
    np.testing.assert_array_equal(again.predict(x), result.labels)
    # The same call finds the run finished, and no name of it is needed.
    assert fit(result.method, x, workdir=tmp_path / "run").method == result.method


def test_what_config_json_can_not_hold_is_refused_before_it_is_written(finished, tmp_path):
    x = np.load(finished / "data.npz")["x"]
    with pytest.raises(InputError, match="can't be saved to config.json"):
        fit(Mine(n_clusters=3, jitter={1, 2}), x, workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_method_is_described_and_made_again():
    spec = DataSpec((32, 32, 3), 5000)
    for entry in methods.entries():
        if not entry.is_listed:
            continue
        method = entry.make(n_clusters=3)
        for recipe in method.recipe_names:
            for stage in method.stages(recipe, spec if method.n_views == 1 else VIEWS):
                described = json.loads(json.dumps(config.describe_stage(stage)))
                assert config.experiment_of({"run": {"stages": [described]}}).stages == (stage,)
                assert config.title_of(described["method"]) == type(stage.method).__name__
    for vectorizer in (TfIdf(), WordClusters(word_vectors="v"), Tokens(model="m"), Embedding(model="m")):
        assert config.vectorizer_of(json.loads(json.dumps(config.describe(vectorizer)))) == vectorizer
    assert len({name for kind, name in config.OLD_NAMES.values() if kind == "method"}) == 26  # those of 0.1.0
    for kind, name in config.OLD_NAMES.values():
        assert name in config.tables()[kind]


@pytest.mark.parametrize(("name", "data", "kind"), [("dec", "table", "DEC"), ("scan", "images", "SCAN")])
def test_runs_of_version_0_1_0_load(tmp_path, capsys, name, data, kind):
    shutil.copytree(OLD / name, tmp_path / name)
    x = np.load(OLD / f"{data}.npy")
    result = load(tmp_path / name, devices=jax.devices()[:1])
    assert type(result.method).__name__ == kind
    np.testing.assert_allclose(result.predict_proba(x), result.probabilities, atol=1e-4)
    np.testing.assert_array_equal(result.predict(x), result.labels)
    jaxdc.load(tmp_path / name).save(tmp_path / "copy")
    assert '"class"' not in (tmp_path / "copy" / "config.json").read_text()
    main(["report", str(tmp_path / name)])
    assert f"Stage 2: {kind}" in (tmp_path / name / "report.html").read_text()
    capsys.readouterr()


def test_settings_of_stages_that_do_not_exist(finished, tmp_path):
    run = rewritten(finished, tmp_path, lambda content: content["stages"][0].update(sleep=3))
    with pytest.raises(InputError, match="gives a stage the unknown setting 'sleep'"):
        load(run)
    assert Experiment((Stage(method=methods.KMeans(n_clusters=3), steps=0),)).stages[0].steps == 0
