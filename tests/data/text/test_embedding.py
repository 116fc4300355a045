"""Sentence embeddings, token ids and functions of one's own as vectorizers."""

import json
import sys
import types

import jax
import numpy as np
import pytest
from sentence_models import CONFIG, packaged_model, write_model

from jaxdc import KMeans, cli, fit, load
from jaxdc.data.text import Documents, Embedding, FunctionEmbedding, TextSource, Tokens
from jaxdc.data.text.encoder import BUCKETS, TOKENS, Encoder, batches
from jaxdc.errors import InputError
from jaxdc.nn.sentence_model import open_sentence_model

pytestmark = pytest.mark.usefixtures("one_device_alone")

PETS, MONEY = ("cat", "dog", "fur", "paw", "vet"), ("bank", "loan", "bond", "share", "cash")


def texts(n=60, seed=0, words=6):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    return [" ".join(rng.choice((PETS, MONEY)[label], words)) for label in labels], labels


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


def one_by_one(model, texts):
    net, opened = open_sentence_model(model).load(), open_sentence_model(model)
    return np.concatenate([net(np.array(opened.tokens([text]), np.int32)) for text in texts])


@pytest.mark.full
def test_vectors_are_those_of_each_text_alone(model):
    rng = np.random.default_rng(1)
    x = [" ".join(rng.choice(PETS, n)) for n in (1, 12, 3, 13, 14, 20, 2)] + ["", "cat unheard of"]
    vectors = Embedding(model=str(model)).fit(x).transform(x)
    assert vectors.dtype == np.float32
    assert vectors.shape == (9, CONFIG["hidden_size"])
    np.testing.assert_allclose(vectors, one_by_one(model, x), rtol=1e-4, atol=1e-6)
    # Sixteen tokens are the model's limit, and two of them are [CLS] and [SEP].
    cut = Embedding(model=str(model)).fit(x).transform([x[5], " ".join(x[5].split()[:14])])
    np.testing.assert_array_equal(cut[0], cut[1])


@pytest.mark.full
@pytest.mark.parametrize("n_devices", [2, 4, 8])
def test_the_number_of_devices_does_not_matter(model, n_devices):
    opened, x = open_sentence_model(model), texts(21)[0]
    alone, shared = (Encoder(opened, jax.devices()[:n])(x) for n in (1, n_devices))
    np.testing.assert_allclose(shared, alone, rtol=1e-4, atol=1e-6)


def test_few_shapes_and_no_text_is_left_out():
    lengths = np.random.default_rng(0).integers(2, 300, size=5000)
    parts = list(batches(lengths, 4))
    np.testing.assert_array_equal(np.sort(np.concatenate([rows for rows, _, _ in parts])), np.arange(5000))
    assert all(lengths[rows].max() <= length and len(rows) <= n for rows, length, n in parts)
    shapes = {(length, n) for _, length, n in parts}
    assert len(shapes) == len({length for length, _ in shapes}) <= len(BUCKETS)
    assert all(length * n <= 4 * TOKENS and n % 4 == 0 for length, n in shapes)
    assert [(length, n) for _, length, n in batches([5], 1)] == [(16, 1)]


def test_progress_is_told(model, monkeypatch):
    from jaxdc.data.text import progress

    monkeypatch.setattr(progress, "SECONDS", -1.0)
    x, said = [*texts(5)[0], *(" ".join(["cat"] * 40) for _ in range(5))], []
    deep = open_sentence_model(model)._replace(max_tokens=24)
    Encoder(deep, jax.devices()[:1])(x, said.append)
    # Two lengths, two batches, and nothing is left to say after the last.
    assert len(said) == 1
    assert said[0].startswith("embedding texts: ") and said[0].endswith(" left")


def test_a_bar_on_a_terminal():
    import io

    from rich.console import Console

    from jaxdc.data.text.progress import Progress

    screen = io.StringIO()
    with Progress("embedding texts", 10, Console(file=screen, force_terminal=True, width=80).print) as progress:
        progress.advance(5)
        progress._bar.refresh()
    assert "50%" in screen.getvalue()


@pytest.mark.full
def test_a_run_keeps_its_model_and_its_share_of_the_time(model, tmp_path):
    x, labels = texts()
    source = TextSource(Documents.of(x, labels), Embedding(model=str(model)))
    result = fit(KMeans(n_clusters=2), source)
    assert result.metrics["vectorize_seconds"] > 0
    assert 0 < result.metrics["vectorize_share"] < 1
    result.save(tmp_path / "run")
    new = texts(10, seed=1)[0]
    np.testing.assert_array_equal(load(tmp_path / "run").predict(new), result.predict(new))


def test_another_model_under_the_same_name_is_refused(tmp_path):
    model = write_model(tmp_path / "model")
    fitted = Embedding(model=str(model)).fit(["cat"])
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(InputError, match="differs from the one that this run was trained on"):
        fitted.transform(["cat"])


def test_tokens(model):
    fitted = Tokens(model=str(model), max_tokens=5).fit(["cat"])
    expected = [[2, 4, 3, 0, 0], [2, 4, 5, 6, 3], [2, 1, 3, 0, 0]]
    ids = fitted.transform(["cat", "cat dog fur paw vet", "unheard"])
    assert ids.dtype == np.int32
    shorter = Tokens(model=str(model), max_tokens=4).fit(["cat"]).transform(["cat dog fur paw vet"])
    np.testing.assert_array_equal(shorter, [[2, 4, 5, 3]])
    np.testing.assert_array_equal(ids, expected)
    source = TextSource(Documents.of(["cat", "dog"]), fitted)
    assert (source.dtype, source.array.dtype, source.shape) == (np.int32, np.int32, (5,))
    with pytest.raises(InputError, match="max_tokens is 17, but .* takes at most 16"):
        Tokens(model=str(model), max_tokens=17).fit(["a"]).transform(["a"])
    with pytest.raises(InputError, match="max_tokens must be at least 3"):
        Tokens(model=str(model), max_tokens=2)


def test_token_ids_are_not_clustered_as_vectors(model):
    source = TextSource(Documents.of(texts()[0]), Tokens(model=str(model), max_tokens=8))
    with pytest.raises(InputError, match="KMeans needs vectors, but these samples are token ids"):
        fit(KMeans(n_clusters=2), source)


def lengths_and_cats(texts):
    return [[len(text), text.count("cat")] for text in texts]


def test_a_function_of_ones_own(tmp_path):
    x = ["cat cat", "dog", "cat", "a long text of dogs"]
    embedding = FunctionEmbedding.of(lengths_and_cats)
    vectors = embedding.fit(x).transform(x)
    np.testing.assert_array_equal(vectors, [[7, 2], [3, 0], [3, 1], [19, 0]])
    assert vectors.dtype == np.float32
    result = fit(KMeans(n_clusters=2), TextSource(Documents.of(x), embedding), devices=jax.devices()[:1])
    result.save(tmp_path / "run")
    np.testing.assert_array_equal(load(tmp_path / "run", embed=lengths_and_cats).predict(x), result.labels)
    # Nothing is imported by what a run folder says.
    with pytest.raises(InputError, match=r"embeds texts with the function '.*lengths_and_cats': pass it"):
        load(tmp_path / "run").predict(x)


def test_functions_that_are_no_good():
    assert FunctionEmbedding.of(json.dumps).function == "json:dumps"
    with pytest.raises(InputError, match=r"json:dumps returned <U\d+ values of shape \(\) for 2 texts"):
        FunctionEmbedding.of(json.dumps).fit(["a"]).transform(["a", "b"])


class FakeTransformer:
    def __init__(self, name):
        if name == "unknown":
            raise OSError("no such model")
        self.name = name

    def encode(self, texts):
        return np.array([[len(text), len(self.name)] for text in texts], np.float64)


@pytest.fixture
def sentence_transformers(monkeypatch):
    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = FakeTransformer
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)


def other_kind(folder):
    model = write_model(folder)
    config = {**CONFIG, "model_type": "mpnet"}
    (model / "config.json").write_text(json.dumps(config))
    return model


def test_other_models_are_left_to_their_package(sentence_transformers, tmp_path):
    model = other_kind(tmp_path / "model")
    vectors = Embedding(model="a-name").fit(["a"]).transform(["a", "bc"])
    np.testing.assert_array_equal(vectors, [[1, 6], [2, 6]])
    assert vectors.dtype == np.float32
    assert Embedding(model=str(model)).fit(["a"]).transform(["a"])[0, 1] == len(str(model))
    with pytest.raises(InputError, match="sentence-transformers can't open the model 'unknown': no such model"):
        Embedding(model="unknown").fit(["a"]).transform(["a"])


def test_without_that_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    missing = "other models need sentence-transformers, which is not installed"
    with pytest.raises(InputError, match=f"there is no model directory a-name; {missing}"):
        Embedding(model="a-name").fit(["a"]).transform(["a"])
    model = other_kind(tmp_path / "model")
    with pytest.raises(InputError, match=f"is a 'mpnet', but must be a 'bert'; {missing}"):
        Embedding(model=str(model)).fit(["a"]).transform(["a"])
    # One that is broken is not handed on.
    (model / "config.json").write_text(json.dumps(CONFIG))
    (model / "model.safetensors").unlink()
    with pytest.raises(InputError, match="has no weights"):
        Embedding(model=str(model)).fit(["a"]).transform(["a"])


@pytest.mark.parametrize("package", ["safetensors", "tokenizers"])
def test_without_the_extra(package, model, monkeypatch):
    from jaxdc.nn import sentence_model

    sentence_model._weights.cache_clear()
    sentence_model._tokenizer.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"needs {package}: pip install 'jaxdc\[text\]'"):
        Encoder(open_sentence_model(model))(["cat"])


def test_the_command(model, tmp_path, capsys):
    x, labels = texts()
    data = tmp_path / "texts.jsonl"
    rows = zip(x, labels.tolist(), strict=True)
    data.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    run = [str(word) for word in ("train", "kmeans", "--data", data, "--workdir", tmp_path / "run")]
    cli.main([*run, "--vectors", "embedding", "--text-model", str(model)])
    config = json.loads((tmp_path / "run" / "config.json").read_text())["run"]["data"]
    assert config["shape"] == [CONFIG["hidden_size"]]
    assert config["vectorizer"]["model"] == str(model)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert 0 < metrics["vectorize_share"] < 1
    for vectors in ("embedding", "tokens"):
        with pytest.raises(SystemExit) as error:
            cli.main([*run, "--fresh", "--vectors", vectors])
        assert error.value.code == 2
        assert f"--vectors {vectors} needs a language model" in capsys.readouterr().err


def test_an_experiment_on_embeddings(model, tmp_path, capsys):
    x, labels = texts()
    rows = zip(x, labels.tolist(), strict=True)
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    experiment = tmp_path / "k_means.py"
    experiment.write_text(
        "from jaxdc import KMeans\nfrom jaxdc.experiment import DataSet, Row, Table\n"
        "DATA, ROWS = DataSet(n_classes=2, vectors='embedding'), {'k-means': Row(KMeans(n_clusters=2))}\n"
        "TABLES = {'texts': Table(data=DATA, rows=ROWS, seeds=(0, 1))}\n"
    )
    command = ["run", str(experiment), "--data", str(data), "--workdir", str(tmp_path / "runs")]
    cli.main([*command, "--text-model", str(model)])
    assert "k_means" in capsys.readouterr().out
    config = json.loads((tmp_path / "runs" / "k_means_texts-k-means-fast-0" / "config.json").read_text())
    assert config["run"]["data"]["vectorizer"]["model"] == str(model)
    with pytest.raises(SystemExit):
        cli.main(command)
    assert "--vectors embedding needs a language model" in capsys.readouterr().err


@pytest.mark.realdata
def test_the_packaged_model_tells_meanings_apart():
    x = ["My cat is ill", "the kitten has a fever", "The bank raised its rates", "interest on loans went up"]
    vectors = Embedding(model=str(packaged_model())).fit(x).transform(x)
    similarity = vectors @ vectors.T
    assert min(similarity[0, 1], similarity[2, 3]) > max(similarity[:2, 2:].ravel()) + 0.2
