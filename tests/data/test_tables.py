"""Tables: which column is a feature, which holds classes, and what is left out."""

import numpy as np
import pytest

import jaxdc
from jaxdc.data import ArraySource, open_source
from jaxdc.data.frames import source_of_frame
from jaxdc.errors import InputError

pytestmark = pytest.mark.usefixtures("one_device_alone")

RNG = np.random.default_rng(0)
CLASSES = np.tile([0, 1, 2], 30)
MEANS = np.array([[0, 0, 0, 0], [6, 0, 6, 0], [0, 6, 0, 6]], float)
X = MEANS[CLASSES] + RNG.normal(0, 0.5, (90, 4))
ROWS = [[f"{value:.4f}" for value in row] for row in X]


def write(path, header, rows, separator=","):
    lines = [*([] if header is None else [header]), *rows]
    path.write_text("".join(separator.join(map(str, line)) + "\n" for line in lines))
    return str(path)


def table(tmp_path, header, rows, label_column=None, **options):
    return open_source(write(tmp_path / "t.csv", header, rows, **options), label_column=label_column)


def with_column(values):
    return [[*row, value] for row, value in zip(ROWS, values, strict=True)]


def test_what_was_understood_is_said(tmp_path):
    said = []
    path = write(tmp_path / "t.csv", ["a", "b", "c", "d", "species"], with_column([f"k{i}" for i in CLASSES]))
    source = open_source(path, say=said.append)
    assert said == [f"{path}: 4 features: a, b, c, d; label: species; header: yes"]
    assert source.columns == ("a", "b", "c", "d")
    assert source.labels.tolist() == [f"k{i}" for i in CLASSES]


@pytest.mark.parametrize("header", [["0", "1", "2", "3"], ["a", "b", "c", "d"]])
def test_a_header_may_count(tmp_path, header):
    source = table(tmp_path, header, ROWS)
    assert source.n_samples == 90
    assert source.columns == tuple(header)


def test_a_first_row_of_numbers_is_a_sample(tmp_path):
    source = table(tmp_path, None, ROWS)
    assert (source.n_samples, source.columns) == (90, None)
    assert table(tmp_path, None, [["0", "2", "1", "3"], *ROWS]).n_samples == 91


@pytest.mark.parametrize("missing", ["NA", "?", "", "null"])
@pytest.mark.parametrize("row", [0, 5])
def test_a_missing_value_is_refused_wherever_it_is(tmp_path, missing, row):
    rows = [list(each) for each in ROWS]
    rows[row][0] = missing
    with pytest.raises(InputError, match=f"in line {row + 1}, column 1, where a number is needed: remove"):
        table(tmp_path, None, rows)


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_an_index_column_is_left_out(tmp_path, name):
    rows = [[100 * i, *row] for i, row in enumerate(ROWS)]
    source = table(tmp_path, [name, "a", "b", "c", "d"], rows)
    assert source.columns == ("a", "b", "c", "d")
    assert f'left out: "{name}", without a name' in source.understood


def test_a_column_that_counts_rows_is_told_of(tmp_path):
    source = table(tmp_path, ["id", "a", "b", "c", "d"], [[i, *row] for i, row in enumerate(ROWS)])
    assert source.shape == (5,)
    assert '"id" only counts the rows' in source.understood


def test_coordinates_are_no_classes(tmp_path):
    assert table(tmp_path, ["x", "y"], [row[:2] for row in ROWS]).labels is None
    assert table(tmp_path, ["x", "y", "z"], [row[:3] for row in ROWS]).columns == ("x", "y", "z")
    whole = [[row[0], i % 3] for i, row in enumerate(ROWS)]
    with pytest.raises(InputError, match="columns x and y: pass --label-column y if y holds classes"):
        table(tmp_path, ["x", "y"], whole)
    assert table(tmp_path, ["x", "y"], whole, label_column="y").shape == (1,)
    assert table(tmp_path, ["x", "y"], whole, label_column="none").shape == (2,)


def test_whatever_is_named_like_a_class_never_enters_training(tmp_path):
    rows = [[*row, f"k{i}", 100 * i] for row, i in zip(ROWS, CLASSES, strict=True)]
    source = table(tmp_path, ["a", "b", "c", "d", "label", "target"], rows)
    assert source.columns == ("a", "b", "c", "d")
    assert set(source.labels.tolist()) == {"k0", "k1", "k2"}
    continuous = table(tmp_path, ["a", "b", "c", "d", "target"], with_column(X.sum(axis=1).round(5)))
    assert continuous.labels is None
    assert continuous.columns == ("a", "b", "c", "d")
    with pytest.raises(InputError, match="column target of .* is continuous"):
        table(tmp_path, ["a", "b", "c", "d", "target"], with_column(X.sum(axis=1).round(5)), label_column="target")


@pytest.mark.parametrize("missing", ["", "nan", "NA"])
def test_without_some_labels_nothing_is_scored(tmp_path, missing):
    labels = [missing if i % 9 == 0 else k for i, k in enumerate(CLASSES)]
    source = table(tmp_path, ["a", "b", "c", "d", "label"], with_column(labels))
    assert source.labels is None
    assert "10 samples have no label, so nothing is scored" in source.understood


def test_one_class_may_be_written_in_several_ways(tmp_path):
    labels = [[" 1", "1", "1.0", "01"][i % 4] if k else "0" for i, k in enumerate(CLASSES)]
    source = table(tmp_path, ["a", "b", "c", "d", "label"], with_column(labels))
    np.testing.assert_array_equal(source.labels, CLASSES > 0)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators(tmp_path, separator):
    source = table(tmp_path, ["a", "b", "c", "d"], ROWS, separator=separator)
    np.testing.assert_allclose(source.array, X, atol=1e-4)
    (tmp_path / "s.csv").write_text("sep=;\na;b\n1;2\n3;5\n")
    np.testing.assert_array_equal(open_source(str(tmp_path / "s.csv")).array, [[1, 2], [3, 5]])


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("1_000", "'1_000' in line 2, column a, .*without separators of thousands"),
        ('"1,000"', "'1,000' in line 2, column a, .*without separators of thousands"),
        ("2024-01-02", "'2024-01-02' in line 2, column a, where a number is needed"),
    ],
)
def test_what_is_no_number_is_refused(tmp_path, cell, message):
    with pytest.raises(InputError, match=message):
        table(tmp_path, ["a", "b"], [[cell, row[0]] for row in ROWS])


def test_texts_in_two_columns_are_refused(tmp_path):
    rows = [[*row, "red", "small"] for row in ROWS]
    with pytest.raises(InputError, match='has texts where numbers are needed, in "color", "size"'):
        table(tmp_path, ["a", "b", "c", "d", "color", "size"], rows)


def test_the_label_column_of_a_table_without_names(tmp_path):
    source = table(tmp_path, None, with_column(CLASSES), label_column="5")
    assert source.shape == (4,)
    np.testing.assert_array_equal(source.labels, CLASSES)
    with pytest.raises(InputError, match="has no column '6'; it has 1, 2, 3, 4, 5"):
        table(tmp_path, None, with_column(CLASSES), label_column="6")
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(InputError, match="--label-column is for tables"):
        open_source(str(tmp_path / "x.npy"), label_column="1")


def test_columns_of_new_samples_are_matched_by_name(tmp_path):
    train = table(tmp_path, ["a", "b", "c", "d"], ROWS)
    result = jaxdc.fit(jaxdc.KMeans(n_clusters=3), train)
    assert result.config["understood"]["columns"] == ["a", "b", "c", "d"]
    turned = table(tmp_path, ["d", "c", "b", "a"], [row[::-1] for row in ROWS])
    np.testing.assert_array_equal(result.predict(turned), result.labels)
    result.save(tmp_path / "run")
    again = jaxdc.load(tmp_path / "run")
    np.testing.assert_array_equal(again.predict(turned), result.labels)
    other = table(tmp_path, ["a", "b", "c", "e"], ROWS)
    with pytest.raises(InputError, match='it lacks "d"; it also has "e"'):
        result.predict(other)
    np.testing.assert_array_equal(result.predict(X.astype(np.float32)), result.labels)  # without names, by place


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X + 1e9, 'column "a", with values near 1e\\+09, varies by less than float32'),
        (np.c_[X[:, :3], np.full(90, 1.7e12)], 'column "d" is 1.7e\\+12 in every row'),
        (X * 1e25, "too large for distances in float32"),
        (X * 1e-30, "too small for distances in float32"),
    ],
)
def test_what_float32_would_lose_is_refused_or_standardized(x, message):
    source = ArraySource(x, CLASSES, columns=["a", "b", "c", "d"])
    with pytest.raises(InputError, match=message):
        jaxdc.fit(jaxdc.KMeans(n_clusters=3), source)
    result = jaxdc.fit(jaxdc.KMeans(n_clusters=3), source, standardize=True)
    assert result.metrics["acc"] == 1.0
    np.testing.assert_array_equal(result.predict(x), result.labels)


class Frame:
    """The little of a DataFrame that is relied on."""

    def __init__(self, columns):
        self._columns, self.columns = columns, list(columns)

    def __len__(self):
        return len(next(iter(self._columns.values())))

    def __getitem__(self, name):
        return self._columns[name]

    def to_numpy(self):
        return np.stack(list(self._columns.values()), axis=1)


def test_a_dataframe_is_a_table():
    frame = Frame({name: X[:, i] for i, name in enumerate("abcd")} | {"flag": CLASSES > 0, "label": CLASSES})
    source = source_of_frame(frame)
    assert source.columns == ("a", "b", "c", "d", "flag")
    np.testing.assert_array_equal(source.labels, CLASSES)
    result = jaxdc.fit(jaxdc.KMeans(n_clusters=3), Frame({name: X[:, i] for i, name in enumerate("abcd")}))
    turned = Frame({name: X[:, "abcd".index(name)] for name in "dbca"})
    np.testing.assert_array_equal(result.predict(turned), result.labels)
    with pytest.raises(InputError, match='column "when" of the table holds datetime64'):
        source_of_frame(Frame({"a": X[:, 0], "when": np.full(90, np.datetime64("2024-01-02"))}))
    nullable = Frame({"a": X[:, 0], "b": np.array([None, *X[1:, 1]], object)})
    with pytest.raises(InputError, match="nan in row 0, column 1"):
        source_of_frame(nullable)


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    columns = {name: X[:, i] for i, name in enumerate("abcd")} | {"species": [f"k{i}" for i in CLASSES]}
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    source = open_source(str(tmp_path / "t.parquet"))
    np.testing.assert_allclose(source.array, X, rtol=1e-6)
    assert source.labels.tolist() == columns["species"]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="can't be read as a Parquet file"):
        open_source(str(tmp_path / "bad.parquet"))
