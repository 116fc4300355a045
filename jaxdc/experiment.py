"""An experiment file: published tables as a Python module, and the table that its runs are printed as.

A module sets ``TABLES``, a `Table` for each data set, by the name that ``--on`` takes::

    from jaxdc.experiment import DataSet, Row, Table
    from jaxdc.methods import DEC

    DIGITS = DataSet(data="digits", n_classes=10)
    TABLES = {"digits": Table(data=DIGITS, rows={"DEC": Row(DEC(n_clusters=10))})}

It is run as the Python that it is. What several files share is a file beside them, which they import as that of a
package: ``from .datasets import DIGITS``.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib.util
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from rich.table import Table as PrintedTable

from jaxdc.data import Source, only_views
from jaxdc.errors import InputError
from jaxdc.methods.base import Method, Schedule

SCORES = ("acc", "nmi", "ari")
OTHER = "nmi_"  # begins the name of an NMI with another grouping than the classes


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """Scores that a paper reports for a row, from 0 to 1.

    Attributes:
      source: the paper, or whoever else reports it.
      acc: clusters and classes matched one to one.
      nmi: normalised mutual information.
      ari: adjusted Rand index.
      purity: each cluster counts for its commonest class; the figure of more clusters than classes.
      protocol: how the paper's protocol differs from ours.
    """

    source: str
    acc: float | None = None
    nmi: float | None = None
    ari: float | None = None
    purity: float | None = None
    protocol: str = ""

    def scores(self) -> dict[str, float]:
        """The published scores, by name."""
        found = {name: getattr(self, name) for name in (*SCORES, "purity")}
        return {name: score for name, score in found.items() if score is not None}


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSet:
    """Where a table's samples come from, and what its rows need to know about them.

    Attributes:
      n_classes: number of true classes; most rows have as many clusters.
      data: value of ``--data``; None leaves it to the caller.
      about: what the caller must pass, if ``data`` is None.
      image_size: height and width to bring images to.
      colours: ``mean`` and ``std`` of the three channels, for the augmentation.
      vectors: value of ``--vectors``, for texts; None as there.
      encoder: value of ``--encoder``, to embed the samples first.
      encoder_size: height and width of the images that the encoder gets.
      prepare: makes features of what was opened.
      others: other groupings of the samples that clusters might follow, by name, such as the speakers of
        recordings; the NMI of each row with them is printed beside that with the classes.
      load: opens the data itself, in place of ``data``, from where they are kept and for one split.
    """

    n_classes: int
    data: str | None = None
    about: str = ""
    image_size: int | None = None
    colours: Mapping[str, tuple[float, float, float]] = dataclasses.field(default_factory=dict)
    vectors: Any = None
    encoder: str | None = None
    encoder_size: int | None = None
    prepare: Callable[[Source], Source] | None = None
    others: Mapping[str, Callable[[Source], np.ndarray]] = dataclasses.field(default_factory=dict)
    load: Callable[[Path | None, str], Source] | None = None

    def prepared(self, source: Source) -> Source:
        """The source to cluster, made from the one that was opened."""
        return source if self.prepare is None else self.prepare(source)


@final
@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
      method: the method, with its hyper-parameters.
      published: figures that a paper reports, if any.
      init_from: the row before it, with whose run of the same seed this one begins.
      schedule: overrides of the recipe's lengths, batch and learning rate.
      recipes: by the recipe that is asked for, the one that is taken in its place.
      views: subset of the table's views for this row.
    """

    method: Method
    published: Published | None = None
    _: dataclasses.KW_ONLY
    init_from: str | None = None
    schedule: Schedule | None = None
    recipes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    views: str | None = None

    def recipe(self, asked: str) -> str:
        """The recipe to use if ``asked`` is requested."""
        return self.recipes.get(asked, asked)

    def seen(self, source: Source) -> Source:
        """The views of a source that the row sees."""
        return source if self.views is None else only_views(source, self.views)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Rows on one data set, with one protocol.

    Attributes:
      data: data set to cluster.
      rows: by name, in the order in which they are run and printed.
      seeds: one run each.
      split: split to train on.
      test_split: split to score, if not the training samples.
      views: value of ``--views``.
      recipe: recipe of the rows, unless the command names another.

    Raises:
      InputError: a row begins with the run of one that is not before it.
    """

    data: DataSet
    rows: Mapping[str, Row]
    seeds: Sequence[int] = (0, 1, 2)
    split: str = "all"
    test_split: str | None = None
    views: str | None = None
    recipe: str = "fast"

    def __post_init__(self) -> None:
        names = list(self.rows)
        for i, (name, row) in enumerate(self.rows.items()):
            if not isinstance(row, Row):
                raise InputError(f"the row {name!r} must be a Row, such as Row(DEC(n_clusters=10)), not {row!r}")
            if row.init_from is not None and row.init_from not in names[:i]:
                raise InputError(f"the row {name!r} begins with {row.init_from!r}, which is no row before it")


def load_tables(path: Path) -> dict[str, Table]:
    """Runs an experiment file and returns its tables by data set.

    Raises:
      InputError: there is no such file, or it sets no tables.
    """
    if not path.is_file():
        raise InputError(f"there is no experiment {path}")
    try:
        tables = vars(_run(path)).get("TABLES")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if not isinstance(tables, Mapping) or not tables or not all(isinstance(t, Table) for t in tables.values()):
        raise InputError(f"{path} is no experiment: it must set TABLES, a Table for each data set by name")
    return dict(tables)


def choose(path: Path, on: str | None) -> tuple[str, Table]:
    """The file's table for this data set, or its only table.

    Raises:
      InputError: as `load_tables`; the file has several tables and none is named, or none of this name.
    """
    tables = load_tables(path)
    names = ", ".join(tables)
    if on is None:
        if len(tables) > 1:
            raise InputError(f"{path} has tables on several data sets; choose one with --on: {names}")
        (on,) = tables
    if on not in tables:
        raise InputError(f"{path} has no table on {on!r}; it has {names}")
    return on, tables[on]


def _run(path: Path) -> types.ModuleType:
    """The file as a module of a package made of its folder, so that it can import the files beside it."""
    folder = path.resolve().parent
    package = "_experiments_" + hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    if package not in sys.modules:
        parent = types.ModuleType(package)
        parent.__path__ = [str(folder)]
        sys.modules[package] = parent
    name = f"{package}.{re.sub(r'[^0-9a-zA-Z_]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError("it is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_settings(method: Method, settings: Sequence[str]) -> Method:
    """The method with hyper-parameters replaced, each given as ``name=value`` or ``backbone.depth=10``.

    Raises:
      InputError: one is not of that form, names no hyper-parameter, or has a value that the method refuses.
    """
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"a setting is NAME=VALUE, such as backbone.depth=10, not {setting!r}")
        method = _replaced(method, name.split("."), _value(text), setting)
    return method


def _replaced(owner: Any, path: list[str], value: Any, setting: str) -> Any:
    names = [field.name for field in dataclasses.fields(owner)] if dataclasses.is_dataclass(owner) else []
    if path[0] not in names:
        has = f"which has {', '.join(names)}" if names else "which is a single value"
        raise InputError(f"{setting} names {path[0]!r} of {type(owner).__name__}, {has}")
    if len(path) > 1:
        value = _replaced(getattr(owner, path[0]), path[1:], value, setting)
    made: Any = owner
    try:
        return dataclasses.replace(made, **{path[0]: value})
    except TypeError as error:
        raise InputError(f"{setting} is no value for {path[0]} of {type(owner).__name__}: {error}") from error


def _value(text: str) -> Any:
    """A number, a tuple, None or True as in Python; anything else is a text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def results_table(
    title: str, measured: Mapping[str, Sequence[Mapping[str, Any]]], published: Mapping[str, Published]
) -> PrintedTable:
    """The scores of each row over its seeds, beside the published ones."""
    table = PrintedTable(title=title)
    # With more clusters than classes the figure of a table is the purity: many clusters to one class.
    over = any(run["n_clusters"] != run["n_classes"] for figures in measured.values() for run in figures)
    columns = (*SCORES, "purity") if over else SCORES
    others = [name for name in next(iter(measured.values()))[0] if name.startswith(OTHER)] if measured else []
    headings = [f"NMI with {name.removeprefix(OTHER)}" for name in others]
    for column in ("", *(score.upper() for score in columns), *headings, "seconds"):
        table.add_column(column)
    for row, figures in measured.items():
        spread = [mean_and_std([run[score] for run in figures]) for score in (*columns, *others)]
        table.add_row(f"{row}, measured", *spread, f"{np.mean([run['seconds'] for run in figures]):.0f}")
        for name in figures[0].get("alternatives", {}):
            alternative = [run["alternatives"][name] for run in figures]
            spread = [
                mean_and_std([run[score] for run in alternative]) if score in SCORES else "-" for score in columns
            ]
            spread += ["-"] * len(others)
            table.add_row(f"{row}, measured by {name}", *spread)
        if row in published:
            theirs, scores = published[row], published[row].scores()
            by = "; ".join(filter(None, (theirs.source, theirs.protocol)))
            found = (f"{scores[name]:.4f}" if name in scores else "-" for name in (*columns, *others))
            table.add_row(f"{row}, published ({by})", *found)
    return table


def mean_and_std(values: Sequence[float]) -> str:
    """Mean and standard deviation, or the value if there is only one."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
