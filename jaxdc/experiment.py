"""An experiment file: rows of a published table as a Python module, and the table that its runs are printed as.

A module sets ``METHOD``, or ``ROWS``: several methods by the name of their row; ``DATA``, what ``--data`` would
say, unless it is left to the caller; and ``SEEDS``. It may set ``SPLIT`` and ``IMAGE_SIZE`` of the data,
``TEST_SPLIT`` to score on samples that are not trained on, ``RECIPE``; ``RECIPES``: the recipe of a row that does
not take the one that is asked for, as in ``{"clustering": {"fast": "paper"}}``; ``SCHEDULES``: a ``Schedule`` for
a row whose length, batch or learning rate is not the recipe's; ``INIT_FROM``: for rows that begin with the run of
another row, which that is; ``PUBLISHED`` (acc, nmi, ari, purity, and protocol where it is not ours; by row where
there are ``ROWS``), ``VIEWS``, what ``--views`` would say, and ``ROW_VIEWS``: for rows that see some of these
alone, which; ``VECTORS``, what ``--vectors`` would say, of texts; ``ENCODER`` and ``ENCODER_SIZE``, what
``--encoder`` and ``--encoder-size`` would; a function ``prepare(source) -> Source`` that makes features of what
was opened, and ``load(data_dir, split) -> Source`` in place of ``DATA``.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from jaxdc.data import Source, only_views
from jaxdc.errors import InputError
from jaxdc.methods.base import Method, Schedule

SCORES = ("acc", "nmi", "ari")
TYPES: dict[str, tuple[Any, str]] = {  # of the names that are read; an imported one may be something else
    "METHOD": (Method, "DEC(n_clusters=10)"),
    "ROWS": (Mapping, "{'a row': DEC(n_clusters=10)}"),
    "DATA": (str, "'cifar10'"),
    "SEEDS": (Sequence, "(0, 1, 2)"),
    "SPLIT": (str, "'train'"),
    "IMAGE_SIZE": (int, "96"),
    "TEST_SPLIT": (str, "'test'"),
    "RECIPE": (str, "'fast'"),
    "RECIPES": (Mapping, "{'a row': {'fast': 'paper'}}"),
    "SCHEDULES": (Mapping, "{'a row': Schedule(epochs=100)}"),
    "INIT_FROM": (Mapping, "{'a row': 'the row before'}"),
    "PUBLISHED": (Mapping, "{'acc': 0.84}"),
    "VIEWS": (str, "'fac,pix'"),
    "ROW_VIEWS": (Mapping, "{'a row': 'fac'}"),
    "VECTORS": (str, "'embedding'"),
    "ENCODER": (str, "'models/dinov2-small'"),
    "ENCODER_SIZE": (int, "112"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperimentFile:
    """What an experiment file says.

    Attributes:
      name: of the file.
      rows: the method of each row; one row without a name where the file has ``METHOD``.
      data: where the samples come from; None leaves it to the caller.
      seeds: one run each.
      split: of the data.
      image_size: height and width to bring images to.
      views: of the data that all rows need.
      row_views: those that a row sees, where these are not all.
      test_split: of which results are reported, where it is not the samples of the training.
      recipe: of the rows, unless the command names another.
      recipes: by row and by the recipe that is asked for, the one that is taken in its place.
      schedules: by row, what replaces the recipe's lengths, batch and learning rate.
      init_from: the row whose run a row begins with, of the same seed.
      published: what a paper reports, by row.
      prepare: from the opened source to the one that is clustered.
      vectors: what is made of texts.
      encoder: what embeds the samples first.
      encoder_size: of the images that it is given.
      load: opens the data itself, from where they are kept and for one split; None: ``data`` does.
    """

    name: str
    rows: Mapping[str, Method]
    data: str | None
    seeds: Sequence[int]
    split: str
    image_size: int | None
    views: str | None
    row_views: Mapping[str, str]
    test_split: str | None
    recipe: str
    recipes: Mapping[str, Mapping[str, str]]
    schedules: Mapping[str, Schedule]
    init_from: Mapping[str, str]
    published: Mapping[str, Mapping[str, Any]]
    prepare: Callable[[Source], Source]
    vectors: Any
    encoder: str | None
    encoder_size: int | None
    load: Callable[[Path | None, str], Source] | None

    def recipe_of(self, row: str, asked: str) -> str:
        """The recipe that a row takes if ``asked`` is asked for."""
        return self.recipes.get(row, {}).get(asked, asked)

    def run_name(self, row: str, asked: str, seed: int) -> str:
        """The name of a run's folder."""
        recipe = self.recipe_of(row, asked)
        parts = (self.name, re.sub(r"\W+", "-", row), recipe, str(seed))
        return "-".join(part for part in parts if part)

    def views_of(self, row: str, source: Source) -> Source:
        """The views of a source that a row sees."""
        return only_views(source, self.row_views[row]) if row in self.row_views else source


def load_experiment(path: Path) -> ExperimentFile:
    """Runs the module and reads its names.

    Raises:
      InputError: there is no such file, or it does not say which method, which seeds.
    """
    if not path.is_file():
        raise InputError(f"there is no experiment {path}")
    module_spec = importlib.util.spec_from_file_location(path.stem, path)
    if module_spec is None or module_spec.loader is None:
        raise InputError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    said = vars(module)
    if ("METHOD" in said) == ("ROWS" in said):
        raise InputError(f"{path} is no experiment: it must set METHOD, or ROWS, and not both")
    if "SEEDS" not in said:
        raise InputError(f"{path} is no experiment: it does not set SEEDS")
    for name, (kind, example) in TYPES.items():
        if name in said and not isinstance(said[name], kind):
            raise InputError(f"{name} of {path} must be like {example}, but is {said[name]!r}")
    rows, published = said.get("ROWS"), said.get("PUBLISHED", {})
    if rows is None:
        rows, published = {"": said["METHOD"]}, {"": published}
    by_row = {"PUBLISHED": published, "RECIPES": said.get("RECIPES", {}), "SCHEDULES": said.get("SCHEDULES", {})}
    for name, of_rows in by_row.items():
        if not set(of_rows) <= set(rows):
            raise InputError(f"{name} of {path} names {', '.join(set(of_rows) - set(rows))}, which is no row")
    init_from, names = said.get("INIT_FROM", {}), list(rows)
    for row, before in init_from.items():
        if row not in names or before not in names[: names.index(row)]:
            raise InputError(f"INIT_FROM of {path} lets {row!r} begin with {before!r}, which is no row before it")
    return ExperimentFile(
        name=path.stem,
        rows=rows,
        data=said.get("DATA"),
        seeds=said["SEEDS"],
        split=said.get("SPLIT", "all"),
        image_size=said.get("IMAGE_SIZE"),
        views=said.get("VIEWS"),
        row_views=said.get("ROW_VIEWS", {}),
        test_split=said.get("TEST_SPLIT"),
        recipe=said.get("RECIPE", "fast"),
        recipes=by_row["RECIPES"],
        schedules=by_row["SCHEDULES"],
        init_from=init_from,
        published=published,
        vectors=said.get("VECTORS"),
        encoder=said.get("ENCODER"),
        encoder_size=said.get("ENCODER_SIZE"),
        prepare=said.get("prepare", lambda source: source),
        load=said.get("load"),
    )


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


def results_table(title: str, measured: Mapping[str, Sequence[Mapping[str, Any]]], published: Mapping) -> Table:
    """The figures of each row over its seeds, beside the published ones."""
    table = Table(title=title)
    # With more clusters than classes the figure of a table is the purity: many clusters to one class.
    over = any(run["n_clusters"] != run["n_classes"] for figures in measured.values() for run in figures)
    columns = (*SCORES, "purity") if over else SCORES
    for column in ("", *(score.upper() for score in columns), "seconds"):
        table.add_column(column)
    for row, figures in measured.items():
        spread = [mean_and_std([run[score] for run in figures]) for score in columns]
        seconds = f"{np.mean([run['seconds'] for run in figures]):.0f}"
        table.add_row(", ".join(filter(None, (row, "measured"))), *spread, seconds)
        for name in figures[0].get("alternatives", {}):
            others = [run["alternatives"][name] for run in figures]
            spread = [
                mean_and_std([run[score] for run in others]) if score in SCORES else "-" for score in columns
            ]
            table.add_row(", ".join(filter(None, (row, f"measured by {name}"))), *spread)
        theirs = published.get(row)
        if theirs:
            protocol = f"published ({theirs['protocol']})" if "protocol" in theirs else "published"
            scores = (f"{theirs[score]:.4f}" if score in theirs else "-" for score in columns)
            table.add_row(", ".join(filter(None, (row, protocol))), *scores)
    return table


def mean_and_std(values: Sequence[float]) -> str:
    """Mean and standard deviation, or the value where there is one alone."""
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
