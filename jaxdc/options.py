"""What the command's options are: its own as dataclasses, a method's from its hyper-parameters."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import docstring_parser
import tyro
from rich.console import Console

from jaxdc.errors import InputError

if TYPE_CHECKING:
    from jaxdc.data.text import Vectorizer
    from jaxdc.training import Result


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where the samples come from.

    Attributes:
      data: digits, a TensorFlow Datasets name, a .npy, .npz, .csv, .mat, .txt or .jsonl file, or a folder of
        images or of texts.
      data_dir: where TensorFlow Datasets keeps its files.
      split: of a TensorFlow Datasets set or a file of encoded images: all, the name of one, or several joined
        by +; those without labels, as in all+unlabelled, are trained on but not reported.
      image_size: height and width to bring images to.
      skip_bad_images: go on without images that can't be read.
      views: which arrays of a .npz or .mat file of several are a sample's views, by name or by place from 0,
        with commas between; by default the first two, or those of the run.
      download: let TensorFlow Datasets fetch a set that is not there yet.
      text_column: of a table or of records, that holds the texts; by default the one that is called so.
      skip_empty_texts: go on without empty documents.
      vectors: what is made of texts: tfidf; word-clusters, for short texts, which adds to it what the vectors of
        words and the clusters of these say; the embedding of a language model; or tokens, for a method that trains
        the model itself.
      n_terms: of tf-idf, the most frequent words that are counted.
      stop_words: of tf-idf, english, or none, for texts in another language.
      word_vectors: of word-clusters, a text file of word vectors, as word2vec and GloVe write it; by default they
        are learnt from the texts.
      n_word_clusters: of word-clusters, how many; by default a tenth of the words, from 2 to 300.
      text_model: of embedding and tokens, the directory of a sentence-transformers model; embedding also takes the
        name of one, where that package is installed.
      max_tokens: of tokens; longer texts are cut.
      resident_gib: data sets above this size are streamed instead of held on the device.
      distributed: join the other processes of a run on several hosts; without it this is done where
        SLURM, Open MPI, a TPU slice or JAX_COORDINATOR_ADDRESS name several (docs/many-devices.md).
      no_distributed: stay alone, whatever the environment says.
    """

    data: str
    data_dir: Path | None = None
    split: str = "all"
    image_size: int | None = None
    skip_bad_images: bool = False
    views: str | None = None
    download: bool = False
    text_column: str | None = None
    skip_empty_texts: bool = False
    vectors: Literal["tfidf", "word-clusters", "embedding", "tokens"] = "tfidf"
    n_terms: int = 2000
    stop_words: Literal["english", "none"] = "english"
    word_vectors: Path | None = None
    n_word_clusters: int | None = None
    text_model: str | None = None
    max_tokens: int = 32
    resident_gib: float = 2.0
    distributed: tyro.conf.FlagCreatePairsOff[bool] = False
    no_distributed: tyro.conf.FlagCreatePairsOff[bool] = False

    def open(self, console: Console, run: Result | None = None):
        """The source that they name; of samples like those of ``run``, where there is one.

        Images are brought to the run's shape, its views are chosen, and texts become vectors as its texts did.
        """
        from jaxdc.data import open_source
        from jaxdc.data.open import VIEW_SUFFIXES

        trained_on = {} if run is None else run.config["run"]["data"]
        shape, views = trained_on.get("shape"), self.views
        if views is None and Path(self.data).suffix.lower() in VIEW_SUFFIXES:
            views = ",".join(trained_on.get("views") or ()) or None
        return open_source(
            self.data,
            data_dir=self.data_dir,
            split=self.split,
            image_size=shape[0] if shape and len(shape) == 3 else self.image_size,
            channels=shape[2] if shape and len(shape) == 3 else None,
            skip_bad_images=self.skip_bad_images,
            views=views,
            download=self.download,
            text_column=self.text_column,
            skip_empty_texts=self.skip_empty_texts,
            vectorizer=self.vectorizer() if run is None else run.fitted,
            resident_bytes=int(self.resident_gib * 2**30),
            say=console.print,
        )

    @property
    def vectors_seed(self) -> int:
        """Of what is random in the making of vectors."""
        return 0

    def vectorizer(self) -> Vectorizer:
        """What makes vectors of texts."""
        from jaxdc.data.text import Embedding, TfIdf, Tokens, WordClusters

        for kinds, name in (
            (("word-clusters",), "word_vectors"),
            (("word-clusters",), "n_word_clusters"),
            (("embedding", "tokens"), "text_model"),
        ):
            if getattr(self, name) is not None and self.vectors not in kinds:
                flag = name.replace("_", "-")
                raise InputError(f"--{flag} means nothing without --vectors {' or '.join(kinds)}")
        if self.vectors == "word-clusters":
            return WordClusters(
                n_terms=self.n_terms,
                stop_words=self.stop_words,
                n_word_clusters=self.n_word_clusters,
                word_vectors=None if self.word_vectors is None else str(self.word_vectors.absolute()),
                seed=self.vectors_seed,
            )
        if self.vectors != "tfidf" and self.text_model is None:
            raise InputError(
                f"--vectors {self.vectors} needs a language model: name its directory by --text-model"
            )
        if self.vectors == "embedding":
            return Embedding(model=str(self.text_model))
        if self.vectors == "tokens":
            return Tokens(model=str(self.text_model), max_tokens=self.max_tokens)
        return TfIdf(n_terms=self.n_terms, stop_words=self.stop_words)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions(DataOptions):
    """Options of ``jaxdc train``.

    Attributes:
      n_clusters: number of clusters; by default the number of classes, where there are labels.
      recipe: fast, or the paper's setting.
      workdir: run folder; by default runs/METHOD-DATA-SEED.
      seed: of everything random.
      fresh: start over where the run folder holds a run.
      init_from: folder of a finished run to begin with, such as a pretext; its stages are not trained again.
      standardize: bring the columns of a table to mean 0 and variance 1.
      copies: augmented copies of each image, made once, to train on besides; results are of the originals.
      epochs: length of the method's own training, in passes over the data.
      pretrain_epochs: length of each stage before it.
      batch_size: samples of a gradient step, over all devices, where a stage does not take all of them.
      learning_rate: of the method's own training.
      checkpoint_minutes: least time between two checkpoints.
    """

    n_clusters: int | None = None
    recipe: str = "fast"
    workdir: Path | None = None
    seed: int = 0
    fresh: bool = False
    init_from: Path | None = None
    standardize: bool = False
    copies: int = 0
    epochs: float | None = None
    pretrain_epochs: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    checkpoint_minutes: float = 5.0

    @property
    def vectors_seed(self) -> int:
        """That of the run."""
        return self.seed


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictOptions(DataOptions):
    """Options of ``jaxdc predict``.

    Attributes:
      workdir: folder of a finished run.
      output: table to write, with the columns sample, cluster and confidence.
    """

    workdir: tyro.conf.Positional[Path]
    output: Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions(DataOptions):
    """Options of ``jaxdc evaluate``.

    Attributes:
      workdir: folder of a finished run.
    """

    workdir: tyro.conf.Positional[Path]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProbeOptions(DataOptions):
    """Options of ``jaxdc probe``. Train and test part are what --split and --test-split, or --test-data, name.

    Without these, splits called train and test are taken where the data have them, and elsewhere half of each
    class is held out to test on.

    Attributes:
      workdir: folder of a finished run.
      test_split: splits to test on, of --test-data where that is given; else of --data, whose split train is then
        trained on unless --split says otherwise.
      test_data: other data to test on, such as a second file or folder.
      k: nearest training samples that vote; all, where there are fewer.
      temperature: of their votes, exp(cosine / temperature).
      seed: of the half that is held out, and of the tenth of the training part that chooses the L2 term.
    """

    workdir: tyro.conf.Positional[Path]
    test_split: str | None = None
    test_data: str | None = None
    k: int = 200
    temperature: float = 0.07
    seed: int = 0

    def parts(self) -> tuple[DataOptions, DataOptions | None]:
        """What to train and what to test on; None: half of each class of the one is held out.

        Raises:
          InputError: a split is in both, or the data have none.
        """
        from jaxdc.data import split_names

        if self.test_data is not None:
            return self, dataclasses.replace(self, data=self.test_data, split=self.test_split or "all")
        splits = split_names(self.data, data_dir=self.data_dir, download=self.download)
        if self.test_split is None and not (self.split == "all" and {"train", "test"} <= set(splits)):
            return self, None
        if not splits:
            raise InputError(
                f"{self.data} has no splits, so --test-split names nothing: give --test-data, or leave both away "
                "and half of each class is held out"
            )
        train = "train" if self.split == "all" and "train" in splits else self.split
        test = self.test_split or "test"
        named = [set(splits if part == "all" else part.split("+")) for part in (train, test)]
        if named[0] & named[1]:
            raise InputError(
                f"a probe can't be tested on what it is trained on, but --split {train} and --test-split {test} "
                "have samples in common"
            )
        return dataclasses.replace(self, split=train), dataclasses.replace(self, split=test)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DescribeOptions:
    """Options of ``jaxdc describe``.

    Attributes:
      workdir: folder of a finished run.
      data: where its samples are, if they have moved since.
      n_terms: terms a cluster of texts, at most.
      n_members: central, and doubtful, samples a cluster, at most.
      n_sentences: of the summary of a cluster of texts, at most.
    """

    workdir: tyro.conf.Positional[Path]
    data: str | None = None
    n_terms: int = 10
    n_members: int = 5
    n_sentences: int = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkspacesOptions:
    """Options of ``jaxdc workspaces``.

    Attributes:
      log: of accesses, a .csv or .jsonl file, plain or .gz, of user, document and time, which is ISO 8601 or
        seconds since 1970.
      texts: what the documents say, such a file of document and text.
      labels: for scoring alone, the workspaces that documents are known to be in: a column of --texts, or a file
        of document and workspace.
      workdir: run folder; by default runs/workspaces-LOG-SEED.
      seed: of everything random.
      fresh: start over where the run folder holds a run.
      similarity: of documents: learned, or, to compare with, text (the cosine of tf-idf), or co-count (how often
        two were accessed together).
      user_column: of the log.
      document_column: of the log, the texts and the labels.
      time_column: of the log.
      text_column: of the texts; by default the one that is called so.
      skip_unmatched: go on where log and texts do not hold the same documents, without those of the texts alone,
        and by the log alone for those without a text.
      gap_minutes: a longer pause of a user ends a session.
      window_minutes: how far apart two accesses of a session may be to count as together.
      n_neighbors: of each document in the graph that is clustered.
      n_terms: of tf-idf, the most frequent words that are counted.
      stop_words: of tf-idf, english, or none, for texts in another language.
      epochs: passes of the training over the pairs of documents, by default 26; few pairs are passed over more
        often.
      batch_size: pairs a step.
    """

    log: tyro.conf.Positional[Path]
    texts: Path | None = None
    labels: str | None = None
    workdir: Path | None = None
    seed: int = 0
    fresh: bool = False
    similarity: Literal["learned", "text", "co-count"] = "learned"
    user_column: str = "user"
    document_column: str = "document"
    time_column: str = "time"
    text_column: str | None = None
    skip_unmatched: bool = False
    gap_minutes: float = 30.0
    window_minutes: float = 10.0
    n_neighbors: int = 10
    n_terms: int = 2000
    stop_words: Literal["english", "none"] = "english"
    epochs: float | None = None
    batch_size: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of ``jaxdc run``.

    Attributes:
      file: an experiment; see experiments/ for examples.
      data: another place of the same data, such as a file of encoded images or a folder.
      data_dir: where TensorFlow Datasets keeps its files.
      split: instead of the experiment's own.
      image_size: instead of the experiment's own.
      skip_bad_images: go on without images that can't be read.
      download: let TensorFlow Datasets fetch a set that is not there yet.
      text_model: directory of a language model, for an experiment on what one makes of texts.
      resident_gib: data sets above this size are streamed instead of held on the device.
      rows: some rows of the experiment, by name; by default all.
      recipe: instead of the experiment's own.
      seeds: instead of the experiment's own.
      workdir: folder for the run folders, one a row and seed.
      distributed: join the other processes of a run on several hosts, as in ``jaxdc train``.
      no_distributed: stay alone, whatever the environment says.
    """

    file: tyro.conf.Positional[Path]
    data: str | None = None
    data_dir: Path | None = None
    split: str | None = None
    image_size: int | None = None
    skip_bad_images: bool = False
    download: bool = False
    text_model: str | None = None
    resident_gib: float = 2.0
    rows: tuple[str, ...] = ()
    recipe: str | None = None
    seeds: tuple[int, ...] = ()
    workdir: Path = Path("runs")
    distributed: tyro.conf.FlagCreatePairsOff[bool] = False
    no_distributed: tyro.conf.FlagCreatePairsOff[bool] = False


def kind_of(make: Callable) -> Any:
    """The class of an entry of ``methods.ALL``."""
    return make.func if isinstance(make, functools.partial) else make


def about(make: Callable) -> str:
    """One line on an entry of ``methods.ALL``: that of its class, and what it sets."""
    text = (kind_of(make).__doc__ or "").strip().splitlines()[0]
    if isinstance(make, functools.partial):
        text += " With " + ", ".join(f"{k} {v}" for k, v in make.keywords.items()) + "."
    return text


def command_options(make: Callable) -> type:
    """A dataclass of the options of ``train`` and of all hyper-parameters of a method, as tyro reads it."""
    defaults = make.keywords if isinstance(make, functools.partial) else {}
    fields = []
    for owner in (TrainOptions, kind_of(make)):
        hints, helps = get_type_hints(owner, include_extras=True), helps_of(owner)
        for field in dataclasses.fields(owner):
            if owner is not TrainOptions and field.name == "n_clusters":
                continue
            hint = Annotated[hints[field.name], tyro.conf.arg(help=helps.get(field.name, ""))]
            default = defaults.get(field.name, field.default)
            fields.append((field.name, hint, dataclasses.field(default=default, kw_only=True)))
    return dataclasses.make_dataclass("Train", fields)


def helps_of(owner: type) -> dict[str, str]:
    """The help of each field, from the docstrings of a class and its bases."""
    helps: dict[str, str] = {}
    for base in owner.__mro__:
        for entry in docstring_parser.parse(base.__doc__ or "").params:
            helps.setdefault(entry.arg_name, " ".join((entry.description or "").split()))
    return helps
