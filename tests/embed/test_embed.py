"""Images before an encoder: the file of their vectors, its cache, and runs on them."""

import json
import shutil

import jax
import numpy as np
import pytest
from encoders import FOLDER, images
from safetensors.numpy import load_file, save_file

import jaxdc
from jaxdc import cli
from jaxdc.data import ArraySource
from jaxdc.embed import EmbeddedSource, ImageEncoder, embed, embedded
from jaxdc.embed import embedder as embedder_module
from jaxdc.errors import InputError

pytestmark = pytest.mark.usefixtures("one_device_alone")

FEATURES = np.load(FOLDER / "features.npz")
DINO = FOLDER / "dinov2"


@pytest.fixture
def encoder():
    return ImageEncoder.of(DINO, side=14)


@pytest.fixture
def photos():
    """Ten pictures, of which the first three are those of the stored features."""
    more = np.random.default_rng(5).integers(0, 256, (7, 14, 14, 3)).astype(np.uint8)
    x = np.concatenate([images(14), more])
    return ArraySource(x, np.arange(10) % 2, name="photos")


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(embedder_module, "PER_DEVICE", {"cpu": 4})


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_vectors_are_the_features_at_unit_length(encoder, photos, tmp_path):
    # At its own size the picture is not resized, and nothing is cut.
    encoder_256 = encoder.open().preprocess
    assert (encoder_256.side, encoder_256.resize) == (14, 16)
    pictures = ArraySource(np.pad(photos.array, ((0, 0), (1, 1), (1, 1), (0, 0))), name="photos")
    made = embed(pictures, encoder, tmp_path / "x.npy", devices=jax.devices()[:1])
    np.testing.assert_allclose(made[:3], unit(FEATURES["dinov2/14"]), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, rtol=1e-6)


def test_the_number_of_devices_changes_nothing(encoder, photos, tmp_path, small_batches):
    one, two = (embed(photos, encoder, tmp_path / f"{n}.npy", devices=jax.devices()[:n]) for n in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_killed_embedding_goes_on_and_ends_in_the_same(encoder, photos, tmp_path, small_batches):
    whole = embed(photos, encoder, tmp_path / "whole.npy", devices=jax.devices()[:1])
    read = []

    class Dying(ArraySource):
        def read(self, rows):
            for part in rows:
                if len(read) == 2:
                    raise KeyboardInterrupt
                read.append(part)
                yield self._x[part], part

    dying = Dying(photos.array, name="photos")
    with pytest.raises(KeyboardInterrupt):
        embed(dying, encoder, tmp_path / "x.npy", devices=jax.devices()[:1])
    assert not (tmp_path / "x.npy").exists()
    said = []
    photos.labels = None
    made = embed(photos, encoder, tmp_path / "x.npy", devices=jax.devices()[:1], say=said.append)
    assert said[0] == "resuming after 8 of 10 images" and "embedded 2 images" in said[-1]
    np.testing.assert_array_equal(made, whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["whole.json", "whole.npy", "x.json", "x.npy"]


def test_a_file_of_something_else_is_not_replaced(encoder, photos, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros(3))
    with pytest.raises(InputError, match="not what this encoder made"):
        embed(photos, encoder, path)
    assert embed(photos, encoder, path, fresh=True).shape == (10, 24)
    with pytest.raises(InputError, match="not what this encoder made"):
        embed(ArraySource(photos.array[:5]), encoder, path)


def test_only_images_are_embedded(encoder, tmp_path):
    with pytest.raises(InputError, match="takes images of 1 or 3 channels"):
        embed(ArraySource(np.zeros((3, 8))), encoder, tmp_path / "x.npy")
    with pytest.raises(InputError, match=r"written to an \.npy file"):
        embed(ArraySource(np.zeros((3, 8, 8, 3), np.uint8)), encoder, tmp_path / "x.csv")


def test_features_that_are_not_finite_are_refused(photos, tmp_path):
    folder = shutil.copytree(DINO, tmp_path / "encoder")
    tensors = load_file(folder / "model.safetensors")
    tensors["layernorm.weight"] = np.full_like(tensors["layernorm.weight"], np.nan)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(
        InputError, match="NaN or infinite features for sample 0 of photos: its weights are damaged"
    ):
        embed(photos, ImageEncoder.of(folder, side=14), tmp_path / "x.npy", devices=jax.devices()[:1])
    assert not (tmp_path / "x.npy").exists()


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [((3, 14, 14, 4), "images of 1 or 3 channels"), ((3, 0, 14, 3), "empty|no pixels"), ((3, 1, 1, 3), None)],
)
def test_pictures_of_odd_sizes(encoder, tmp_path, shape, sentence):
    x = np.full(shape, 7, np.uint8)
    if sentence is None:  # smaller than a patch, but resized before
        assert embed(ArraySource(x), encoder, tmp_path / "x.npy", devices=jax.devices()[:1]).shape == (3, 24)
        return
    with pytest.raises(InputError, match=sentence):
        embed(ArraySource(x), encoder, tmp_path / "x.npy", devices=jax.devices()[:1])


def test_embeddings_are_kept_and_used_again(encoder, photos, tmp_path, monkeypatch):
    first = embedded(photos, encoder, tmp_path)
    monkeypatch.setattr("jaxdc.embed.run.Embedder", None)
    again = embedded(photos, encoder, tmp_path)
    np.testing.assert_array_equal(first.array, again.array)
    assert isinstance(again, EmbeddedSource) and again.encoder == encoder
    assert again.fingerprint() == photos.fingerprint() and (again.labels == photos.labels).all()
    streamed = embedded(photos, encoder, tmp_path, resident_bytes=100)
    assert streamed.array is None
    np.testing.assert_array_equal(next(streamed.blocks(10, shard=(0, 1)))[0], first.array)


@pytest.mark.full
def test_a_run_on_embeddings_predicts_images(encoder, photos, tmp_path):
    source = embedded(photos, encoder, tmp_path / "cache")
    source.opened = {"encoder": encoder.folder}
    result = jaxdc.fit(jaxdc.KMeans(n_clusters=2), source, workdir=tmp_path / "run")
    described = json.loads((tmp_path / "run" / "config.json").read_text())["run"]["data"]["encoder"]
    assert described == {
        "encoder": "image",
        "kind": "dinov2",
        "checksum": encoder.checksum,
        "side": 14,
        "dtype": "float32",
    }
    again = jaxdc.load(tmp_path / "run")
    assert again.encoder == encoder and again.encoder.folder == str(DINO)
    np.testing.assert_array_equal(again.predict(photos), result.labels)
    other = embedded(photos, ImageEncoder.of(FOLDER / "timm_vit", side=16), tmp_path / "cache")
    with pytest.raises(InputError, match="embeddings by timm vit.*trained on those by dinov2"):
        again.predict(other)


@pytest.fixture
def folder(tmp_path):
    """Red and blue pictures of several shapes, in a folder a class."""
    from PIL import Image

    random = np.random.default_rng(0)
    for color, name in enumerate(("blue", "red")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(6):
            x = random.integers(0, 60, (18, 18 + 3 * (i % 2), 3)).astype(np.uint8)
            x[..., 2 * (1 - color)] += 180
            Image.fromarray(x).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


def test_the_commands(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "one"
    chosen = ["--encoder", str(DINO), "--encoder-size", "14"]
    cli.main(["train", "kmeans", "--data", str(folder), *chosen, "--workdir", str(run)])
    out = capsys.readouterr()
    assert "embedded 12 images" in out.out + out.err
    config = json.loads((run / "config.json").read_text())
    assert config["run"]["data"]["shape"] == [24] and config["opened"]["encoder"] == str(DINO)
    page = (run / "report.html").read_text()
    assert "data:image" in page
    cache = list((tmp_path / "runs" / "embeddings").glob("*.npy"))
    assert len(cache) == 1
    before = cache[0].stat().st_mtime_ns

    cli.main(["predict", str(run), "--data", str(folder), "--output", str(tmp_path / "clusters.csv")])
    rows = (tmp_path / "clusters.csv").read_text().splitlines()[1:]
    assert [row.split(",")[1] for row in rows] == [
        row.split(",")[1] for row in (run / "assignments.csv").read_text().splitlines()[1:]
    ]
    cli.main(["evaluate", str(run), "--data", str(folder)])
    assert '"acc": 1.0' in capsys.readouterr().out
    cli.main(["report", str(run)])
    cli.main(
        ["choose-k", "--data", str(folder), *chosen, "--embedding", "input", "--to", "3", "--workdir", "runs/k"]
    )
    assert cache[0].stat().st_mtime_ns == before
    assert len(list((tmp_path / "runs" / "embeddings").glob("*.npy"))) == 1

    cli.main(["embed", "--data", str(folder), *chosen, "--output", "x.npy"])
    np.testing.assert_array_equal(np.load("x.npy"), np.load(cache[0]))
    cli.main(["evaluate", str(run), "--data", str(folder), "--encoder", str(DINO)])
    for arguments, sentence in (
        (
            ["predict", str(run), "--data", str(folder), "--encoder", str(FOLDER / "timm_vit")],
            "trained on that of",
        ),
        (["train", "kmeans", "--data", "x.npy", *chosen, "--n-clusters", "2"], "holds vectors"),
        (["train", "kmeans", "--data", str(folder), "--encoder", str(folder)], "holds no weights"),
        (["embed", "--data", str(folder), "--output", "y.npy"], "pass the folder of a pretrained encoder"),
    ):
        if arguments[0] == "predict":
            arguments += ["--output", "y.csv"]
        with pytest.raises(SystemExit, match="2"):
            cli.main(arguments)
        assert sentence in capsys.readouterr().err

    # Vectors by their file: the note beside it says which encoder made them.
    cli.main(["train", "kmeans", "--data", "x.npy", "--n-clusters", "2", "--workdir", "runs/two", "--no-report"])
    assert (
        json.loads((tmp_path / "runs/two/config.json").read_text())["run"]["data"]["encoder"]["kind"] == "dinov2"
    )
    cli.main(["predict", "runs/two", "--data", "x.npy", "--output", "again.csv"])
    cli.main(["predict", "runs/two", "--data", str(folder), "--encoder", str(DINO), "--output", "images.csv"])
    vectors, pictures = (
        [row.split(",")[1] for row in (tmp_path / name).read_text().splitlines()]
        for name in ("again.csv", "images.csv")
    )
    assert vectors == pictures
    cli.main(["embed", "--data", str(folder), "--encoder", str(FOLDER / "timm_vit"), "--output", "z.npy"])
    with pytest.raises(SystemExit, match="2"):
        cli.main(["predict", str(run), "--data", "z.npy", "--output", "y.csv"])
    assert "embeddings by timm" in capsys.readouterr().err


def test_an_experiment_names_an_encoder(folder, tmp_path, capsys):
    file = tmp_path / "table.py"
    file.write_text(
        "from jaxdc.experiment import DataSet, Row, Table\n"
        "from jaxdc.methods import KMeans\n"
        f"DATA = DataSet(data={str(folder)!r}, n_classes=2, encoder={str(DINO)!r}, encoder_size=14)\n"
        "TABLES = {'pictures': Table(data=DATA, rows={'k-means': Row(KMeans(n_clusters=2))})}\n"
    )
    cli.main(["run", str(file), "--workdir", str(tmp_path / "runs"), "--seeds", "0"])
    assert "k-means, seed 0: ACC" in capsys.readouterr().err
    run = jaxdc.load(next((tmp_path / "runs").glob("table_pictures-k-means-*")))
    assert run.encoder is not None and run.config["run"]["data"]["shape"] == [run.embeddings.shape[1]]
