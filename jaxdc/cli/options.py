"""Options shared by the commands that open data or train; other commands define theirs in their own module."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console

from jaxdc.errors import InputError
from jaxdc.runs.trackers import is_installed
from jaxdc.settings import integer, number, seed_of

if TYPE_CHECKING:
    from jaxdc.data import Source
    from jaxdc.data.sound import LogMel
    from jaxdc.data.text import Vectorizer
    from jaxdc.embed import ImageEncoder
    from jaxdc.runs import Result

EMBEDDINGS = "embeddings"  # folder beside the runs, of what encoders made


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """The samples to use.

    Attributes:
      data: digits, a TensorFlow Datasets name, a .npy, .npz, .csv, .parquet, .mat, .txt or .jsonl file, or a
        folder of images, recordings or texts.
      data_dir: TensorFlow Datasets directory.
      split: split of a TensorFlow Datasets set or of a file of encoded images: all, a name, or several names
        joined by +. Unlabelled splits, as in all+unlabelled, are trained on but not reported.
      image_size: height and width to resize images to.
      skip_bad_images: skip unreadable images instead of stopping.
      sound_rate: samples per second of recordings; defaults to the lowest among them, at most 16,000.
      sound_bands: number of mel bands of a recording's spectrogram; defaults to 40.
      sound_frames: number of its columns; defaults to 32.
      sound_fit: how recordings get this length: stretch (the default) resizes them, for words; middle takes the
        middle of each, 10 ms a column, for scenes.
      sound_levels: normalized (the default) brings each band of each recording to mean 0 and variance 1; raw keeps
        levels, and so the speaker and the microphone.
      skip_bad_sounds: skip unreadable recordings instead of stopping.
      views: arrays of a .npz or .mat file to use as the views of a sample, by name or by position from 0,
        separated by commas; defaults to the first two, or those of the run.
      download: let TensorFlow Datasets fetch a set that is not there yet, and the Hugging Face hub an encoder.
      text_column: column or JSON field that holds the texts; defaults to the first of text, document, sentence,
        content, body, abstract, description and title that is there.
      label_column: column of a table with the classes, by name, or by number from 1 if there are no names;
        none if no column does. By default label, class, target or y, or a single column of words that repeat.
      skip_empty_texts: skip empty documents instead of stopping.
      vectors: how to vectorise texts: tfidf (the default); word-clusters, which adds word vectors and their
        clusters for short texts; embedding, by the language model that --encoder names (then the default); or
        tokens, for a method that trains the model itself.
      n_terms: size of the tf-idf vocabulary.
      stop_words: stop words that tf-idf leaves out: english, or none for texts in another language.
      word_vectors: text file of word vectors for word-clusters, in word2vec or GloVe format; by default they
        are learned from the texts.
      n_word_clusters: number of word clusters for word-clusters; defaults to a tenth of the words, from 2 to 300.
      encoder: pretrained encoder that embeds the samples first. For images, its folder (DINOv2, DINOv3, CLIP,
        SigLIP, ViT or ResNet-50 of timm, EfficientNet-lite0) or its name on the Hugging Face hub; for texts, the
        directory of a sentence-transformers model, or its name if that package is installed. Also --text-model.
      encoder_size: height and width of the encoder's input; defaults to those of its training.
      encoder_dtype: dtype of the encoder's matrix products.
      max_tokens: maximum number of tokens per text; longer texts are truncated.
      resident_gib: stream data sets above this size instead of holding them on the device.
      distributed: join the other processes of a multi-host run. Automatic if SLURM, Open MPI, a TPU slice or
        JAX_COORDINATOR_ADDRESS describe several processes (docs/many-devices.md).
      no_distributed: run as a single process, whatever the environment says.
    """

    data: str
    data_dir: Path | None = None
    split: str = "all"
    image_size: int | None = None
    skip_bad_images: bool = False
    sound_rate: int | None = None
    sound_bands: int | None = None
    sound_frames: int | None = None
    sound_fit: Literal["stretch", "middle"] | None = None
    sound_levels: Literal["normalized", "raw"] | None = None
    skip_bad_sounds: bool = False
    views: str | None = None
    download: bool = False
    text_column: str | None = None
    label_column: str | None = None
    skip_empty_texts: bool = False
    vectors: Literal["tfidf", "word-clusters", "embedding", "tokens"] | None = None
    n_terms: int = 2000
    stop_words: Literal["english", "none"] = "english"
    word_vectors: Path | None = None
    n_word_clusters: int | None = None
    encoder: Annotated[str | None, tyro.conf.arg(aliases=("--text-model",))] = None
    encoder_size: int | None = None
    encoder_dtype: Literal["float32", "bfloat16"] = "float32"
    max_tokens: int = 32
    resident_gib: float = 2.0
    distributed: tyro.conf.FlagCreatePairsOff[bool] = False
    no_distributed: tyro.conf.FlagCreatePairsOff[bool] = False

    def check(self) -> None:
        """Checks the numbers before anything is opened.

        Raises:
          InputError: one is out of range.
        """
        number("--resident-gib", self.resident_gib, at_least=0, at_most=2**20)
        for name in ("image_size", "encoder_size", "n_word_clusters", "n_terms", "max_tokens"):
            if getattr(self, name) is not None:
                integer(f"--{name.replace('_', '-')}", getattr(self, name), at_least=1)

    def open(
        self,
        console: Console,
        run: Result | None = None,
        *,
        most_bytes: int | None = None,
        cache: Path = Path("runs") / EMBEDDINGS,
    ):
        """The source that they name; of samples like those of ``run``, where there is one.

        Images are brought to the run's shape, its views are chosen, and texts become vectors as its texts did, as
        images do if an encoder was before it. What is larger than ``most_bytes`` streams, whatever --resident-gib
        says. ``cache`` is the folder of embeddings.
        """
        self.check()
        encoder = None if self._holds_texts else self._encoder_for(run)
        source = self.open_images(console, encoder, run, most_bytes=most_bytes)
        if encoder is None or len(source.shape) == 1:
            from jaxdc.embed import with_note

            if encoder is not None and run is None:
                raise InputError(f"{self.data} holds vectors, where --encoder needs images")
            return with_note(source, self.data)
        from jaxdc.embed import embedded

        resident = int(self.resident_gib * 2**30)
        made = embedded(source, encoder, cache, resident_bytes=resident, say=console.print)
        made.opened = {**(made.opened or {}), "encoder": encoder.folder}
        return made

    def open_images(
        self,
        console: Console,
        encoder: ImageEncoder | None = None,
        run: Result | None = None,
        *,
        most_bytes: int | None = None,
    ) -> Source:
        """The samples before the encoder, of the size that it takes; without one, those that a method sees."""
        from jaxdc.data import open_source
        from jaxdc.data.open import VIEW_SUFFIXES

        trained_on = {} if run is None else run.config["run"]["data"]
        shape, views = trained_on.get("shape"), self.views
        if views is None and Path(self.data).suffix.lower() in VIEW_SUFFIXES:
            views = ",".join(trained_on.get("views") or ()) or None
        how: dict[str, Any] = {"image_size": self.image_size}
        sound = self._log_mel(run)
        if sound is not None:
            how = {"sound": sound}
        elif shape and len(shape) == 3:
            how = {"image_size": shape[0], "channels": shape[2]}
        elif encoder is not None:
            how["channels"] = 3
            if Path(self.data).is_dir():
                preprocess = encoder.open().preprocess
                before = None if run is None else (run.config.get("opened") or {}).get("image_size")
                how["image_size"] = self.image_size or before or preprocess.resize
                how |= {"resample": preprocess.resample, "stretch": preprocess.stretch}
        source = open_source(
            self.data,
            data_dir=self.data_dir,
            split=self.split,
            skip_bad_images=self.skip_bad_images,
            divisors=None if run is None else run.config.get("understood", {}).get("divisors"),
            skip_bad_sounds=self.skip_bad_sounds,
            views=views,
            download=self.download,
            text_column=self.text_column,
            label_column=self.label_column,
            skip_empty_texts=self.skip_empty_texts,
            vectorizer=self.vectorizer() if run is None else run.fitted,
            resident_bytes=min(int(self.resident_gib * 2**30), 2**62 if most_bytes is None else most_bytes),
            say=console.print,
            **how,
        )
        if self.image_size is not None and source.shape[:1] != (self.image_size,):
            asked = f"--image-size {self.image_size}"
            if shape:
                raise InputError(f"new samples are brought to the size of the run's: leave out {asked}")
            raise InputError(f"{asked} can't resize {self.data}, of samples of {list(source.shape)}: leave it out")
        return source

    def _log_mel(self, run: Result | None) -> LogMel | None:
        """How recordings become spectrograms: as in ``run``; None if nothing is said about it."""
        from jaxdc.data.sound import LogMel
        from jaxdc.runs.samples import log_mel_of

        said = {
            "rate": self.sound_rate,
            "n_mels": self.sound_bands,
            "n_frames": self.sound_frames,
            "fit": self.sound_fit,
            "normalized": None if self.sound_levels is None else self.sound_levels == "normalized",
        }
        said = {name: value for name, value in said.items() if value is not None}
        if run is None:
            return LogMel(**said) if said else None
        of_run = log_mel_of(run.config.get("opened"))
        if said and (of_run is None or dataclasses.replace(of_run, **said) != of_run):
            raise InputError("new recordings are treated as those of the run were: leave out the options of sound")
        return of_run

    @property
    def _holds_texts(self) -> bool:
        from jaxdc.data.open import holds_sounds, holds_texts

        if Path(self.data).exists() and holds_sounds(Path(self.data)):
            return False
        return Path(self.data).exists() and holds_texts(Path(self.data), self.text_column)

    def image_encoder(self) -> ImageEncoder:
        """The encoder that --encoder names."""
        from jaxdc.embed import ImageEncoder

        assert self.encoder is not None
        return ImageEncoder.of(
            self.encoder, side=self.encoder_size, dtype=self.encoder_dtype, download=self.download
        )

    def _encoder_for(self, run: Result | None) -> ImageEncoder | None:
        """That of the options; of a run its own, which --encoder may only find elsewhere."""
        if run is None:
            return None if self.encoder is None else self.image_encoder()
        if self.encoder is None or run.encoder is None:
            if self.encoder is not None:
                raise InputError("this run saw its samples as they are, so --encoder means nothing here")
            return run.encoder
        trained = run.encoder
        here = dataclasses.replace(self, encoder_size=trained.side, encoder_dtype=trained.dtype).image_encoder()
        if here != trained:
            raise InputError(
                f"the encoder in {self.encoder} is {here}, but this run was trained on that of {trained}"
            )
        return here

    @property
    def vectors_seed(self) -> int:
        """The seed for vectorising texts."""
        return 0

    def vectorizer(self) -> Vectorizer:
        """The vectoriser for texts."""
        from jaxdc.data.text import Embedding, TfIdf, Tokens, WordClusters

        vectors = self.vectors or ("tfidf" if self.encoder is None else "embedding")
        for kinds, name in (
            (("word-clusters",), "word_vectors"),
            (("word-clusters",), "n_word_clusters"),
            (("embedding", "tokens"), "encoder"),
        ):
            if getattr(self, name) is not None and vectors not in kinds:
                flag = name.replace("_", "-")
                raise InputError(f"--{flag} requires --vectors {' or '.join(kinds)}")
        if vectors == "word-clusters":
            return WordClusters(
                n_terms=self.n_terms,
                stop_words=self.stop_words,
                n_word_clusters=self.n_word_clusters,
                word_vectors=None if self.word_vectors is None else str(self.word_vectors.absolute()),
                seed=self.vectors_seed,
            )
        if vectors != "tfidf" and self.encoder is None:
            raise InputError(f"--vectors {vectors} needs a language model: pass its directory with --encoder")
        if vectors == "embedding":
            return Embedding(model=str(self.encoder))
        if vectors == "tokens":
            return Tokens(model=str(self.encoder), max_tokens=self.max_tokens)
        return TfIdf(n_terms=self.n_terms, stop_words=self.stop_words)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions(DataOptions):
    """Options of ``jaxdc train``.

    Attributes:
      n_clusters: number of clusters; defaults to the number of classes, if the data have labels.
      recipe: fast, paper (the paper's settings), or another one shown by jaxdc list.
      train_encoder: continue training the encoder, with a method that trains one (scan, selflabel, cc, ...).
      trained_blocks: number of the encoder's last blocks to train; defaults to all.
      encoder_rate: factor on the learning rate for the encoder; defaults to 0.1 with --train-encoder.
      layer_decay: factor on the encoder's rate for each block that follows, from 0 to 1; defaults to 1.
      workdir: run folder; defaults to runs/METHOD-DATA-SEED.
      seed: random seed.
      seeds: train once with each of these seeds, and say how far the results agree; excludes --seed.
      config: TOML or JSON file of flags by name, or the config.json of a run; other flags override it.
      estimate: run the first steps of each stage, print the expected total time and memory, and exit.
      fresh: replace the run in the run folder.
      from_last_good: if something in the run folder is damaged, resume from the last good checkpoint.
      init_from: folder of a finished run to start from, such as a pretext run; its stages are not trained again.
      standardize: scale the columns of a table to mean 0 and variance 1.
      copies: augmented copies of each image, made once and trained on too; results cover the originals only.
      epochs: passes over the data for the method's own stage.
      pretrain_epochs: passes over the data for each stage before it.
      batch_size: global batch size over all devices, for stages that do not use full batches.
      learning_rate: learning rate of the method's own stage.
      checkpoint_minutes: minimum time between two checkpoints.
      probe_epochs: epochs between two measurements of the features' kNN accuracy (needs labels).
      no_report: do not write report.html at the end.
      track: also log to wandb (Weights & Biases) or mlflow; needs their packages.
      no_tensorboard: do not write TensorBoard event files (they are written only if tensorboard is installed).
    """

    n_clusters: int | None = None
    recipe: str = "fast"
    train_encoder: tyro.conf.FlagCreatePairsOff[bool] = False
    trained_blocks: int | None = None
    encoder_rate: float | None = None
    layer_decay: float | None = None
    workdir: Path | None = None
    seed: int = 0
    seeds: tuple[int, ...] = ()
    config: Path | None = None
    estimate: tyro.conf.FlagCreatePairsOff[bool] = False
    fresh: bool = False
    from_last_good: tyro.conf.FlagCreatePairsOff[bool] = False
    init_from: Path | None = None
    standardize: bool = False
    copies: int = 0
    epochs: float | None = None
    pretrain_epochs: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    checkpoint_minutes: float = 5.0
    probe_epochs: float | None = None
    no_report: tyro.conf.FlagCreatePairsOff[bool] = False
    track: tuple[Literal["wandb", "mlflow"], ...] = ()
    no_tensorboard: tyro.conf.FlagCreatePairsOff[bool] = False

    def check(self) -> None:
        super().check()
        seed_of(self.seed, "--seed")
        number("--checkpoint-minutes", self.checkpoint_minutes, at_least=0)
        integer("--copies", self.copies, at_least=0)
        for name in ("epochs", "pretrain_epochs"):
            if getattr(self, name) is not None:
                number(f"--{name.replace('_', '-')}", getattr(self, name), at_least=0)
        for name in ("learning_rate", "probe_epochs"):
            if getattr(self, name) is not None:
                number(f"--{name.replace('_', '-')}", getattr(self, name), above=0)

    def trackers(self) -> tuple[str, ...]:
        """Names of the experiment trackers to use."""
        board = not self.no_tensorboard and is_installed("tensorboard")
        return (("tensorboard",) if board else ()) + self.track

    @property
    def vectors_seed(self) -> int:
        """The seed of the run."""
        return self.seed


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Runs an experiment over its seeds and prints mean and deviation next to the published numbers.

    Attributes:
      file: an experiment; see experiments/ for examples. It is Python, and is run as such.
      on: which of its data sets, by the name in the file; a file with one alone needs none.
      data: another copy of the experiment's data, such as a file of encoded images or a folder.
      data_dir: TensorFlow Datasets directory.
      split: split to use instead of the experiment's.
      image_size: height and width to resize images to, instead of the experiment's.
      skip_bad_images: skip unreadable images instead of stopping.
      download: let TensorFlow Datasets download a missing data set.
      encoder: what embeds the samples, as in ``jaxdc train``; by default the experiment's own. Also --text-model.
      resident_gib: stream data sets above this size instead of holding them on the device.
      rows: some rows of the table, by name; by default all.
      recipe: recipe to use instead of the experiment's.
      seeds: seeds to run instead of the experiment's.
      set: hyper-parameters to override in every row, such as backbone.depth=10 backbone.width=16.
      epochs: passes over the data for the last stage of every row, instead of the recipe's.
      pretrain_epochs: passes over the data for each stage before it.
      batch_size: global batch size, instead of the recipe's.
      probe_epochs: epochs between two measurements of the features' kNN accuracy, logged to metrics.jsonl.
      checkpoint_minutes: minimum time between two checkpoints.
      fresh: replace the runs in the run folders instead of resuming them.
      from_last_good: if something in a run folder is damaged, resume from its last good checkpoint.
      workdir: parent folder of the run folders, one per row and seed.
      output: JSON file for the results, updated after every run.
      distributed: join the other processes of a multi-host run, as in ``jaxdc train``.
      no_distributed: run as a single process, whatever the environment says.
    """

    file: tyro.conf.Positional[Path]
    on: str | None = None
    data: str | None = None
    data_dir: Path | None = None
    split: str | None = None
    image_size: int | None = None
    skip_bad_images: bool = False
    download: bool = False
    encoder: Annotated[str | None, tyro.conf.arg(aliases=("--text-model",))] = None
    resident_gib: float = 2.0
    rows: tuple[str, ...] = ()
    recipe: str | None = None
    seeds: tuple[int, ...] = ()
    set: tuple[str, ...] = ()
    epochs: float | None = None
    pretrain_epochs: float | None = None
    batch_size: int | None = None
    probe_epochs: float | None = None
    checkpoint_minutes: float = 5.0
    fresh: bool = False
    from_last_good: tyro.conf.FlagCreatePairsOff[bool] = False
    workdir: Path = Path("runs")
    output: Path | None = None
    distributed: tyro.conf.FlagCreatePairsOff[bool] = False
    no_distributed: tyro.conf.FlagCreatePairsOff[bool] = False


def counts(options: Any, *names: str) -> dict[str, int]:
    """The named options as integers, each at least 1."""
    chosen = {name: getattr(options, name) for name in names}
    for name, count in chosen.items():
        if count < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, but is {count}")
    return chosen
