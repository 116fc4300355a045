"""The scikit-learn estimators: scikit-learn's own checks, and what it does not check."""

import dataclasses
import inspect
import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

import jaxdc
import jaxdc.sklearn
from jaxdc import methods
from jaxdc.sklearn import CC, DEC, Clusterer, KMeans, NMFKMeans

CLASSES = {
    name: value
    for name, value in vars(jaxdc.sklearn).items()
    if isinstance(value, type) and issubclass(value, Clusterer) and value is not Clusterer
}
SMALL = {"hidden": (16,), "latent": 4, "n_init": 3, "n_neighbors": 5, "projection": 8, "n_components": 2}
ON_MATRICES = [
    name for name, kind in CLASSES.items() if kind(n_clusters=2).__sklearn_tags__().input_tags.two_d_array
]
ONE_CLUSTER = "it sets n_clusters to 1; a clustering method needs two"
A_DATACLASS = "its backbone is a frozen dataclass of settings, a kind of default that scikit-learn does not know"
NOT_BY_ITSELF = "it takes whatever has predict_proba for a classifier, and reads the tags of one"
EXPECTED_TO_FAIL = {
    "check_dont_overwrite_parameters": ONE_CLUSTER,
    "check_methods_subset_invariance": ONE_CLUSTER,
    "check_fit2d_1feature": ONE_CLUSTER,
    "check_fit2d_predict1d": ONE_CLUSTER,
    "check_estimator_sparse_array": NOT_BY_ITSELF,
    "check_estimator_sparse_matrix": NOT_BY_ITSELF,
}
CHEAP = (  # of scikit-learn's checks, those that don't train
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_valid_tag_types",
    "check_mixin_order",
    "check_estimators_unfitted",
    "check_complex_data",
    "check_estimators_empty_data_messages",
    "check_fit1d",
    "check_fit2d_1sample",
)


def small(name, **settings):
    estimator = CLASSES[name](n_clusters=2, n_devices=1)
    known = estimator.get_params()
    settings = {key: value for key, value in {**SMALL, "epochs": 30, **settings}.items() if key in known}
    return estimator.set_params(**settings)


def blobs(n=60, k=3, seed=0):
    x, y = make_blobs(n, n_features=5, centers=k, random_state=seed)
    return x, y


@pytest.mark.parametrize("check", CHEAP)
def test_the_cheap_ones_of_scikit_learns_checks(check):
    ran = 0
    for estimator, run in estimator_checks_generator(small("DEC")):
        if getattr(run, "func", run).__name__ == check:
            run(estimator)
            ran += 1
    assert ran == 1


ALONE = {
    "NMFKMeans": {"check_clustering": "its samples are standardized, so negative, which NMF refuses"},
    "SCAN": {
        "check_clustering": "heads that begin at random need more than 30 epochs, as in the test below",
        "check_parameters_default_constructible": A_DATACLASS,
    },
}


def expected_to_fail(estimator):
    return EXPECTED_TO_FAIL | ALONE.get(type(estimator).__name__, {})


@pytest.mark.full
def test_scan_finds_blobs_in_the_epochs_of_its_recipe():
    x, y = make_blobs(50, random_state=1)
    labels = small("SCAN", n_clusters=3, epochs=None, random_state=0).fit_predict(
        StandardScaler().fit_transform(x)
    )
    assert adjusted_rand_score(y, labels) > 0.8


UNFINISHED = "ignore::sklearn.exceptions.ConvergenceWarning"  # NMF's, of samples without structure


# Of those that are trained one goes through scikit-learn's checks in the tier full, the others in the tier long.
CHECKED = [name for name in ON_MATRICES if name == "DEC" or CLASSES[name]._method.__module__.endswith("shallow")]


def checks_of(names):
    return parametrize_with_checks(
        [small(name) for name in names], expected_failed_checks=expected_to_fail, xfail_strict=True
    )


@pytest.mark.full
@pytest.mark.filterwarnings(UNFINISHED)
@checks_of(CHECKED)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.long
@pytest.mark.filterwarnings(UNFINISHED)
@checks_of([name for name in ON_MATRICES if name not in CHECKED])
def test_scikit_learns_checks_of_the_others(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings(UNFINISHED)
@pytest.mark.parametrize("check", [name for name, why in EXPECTED_TO_FAIL.items() if why == ONE_CLUSTER])
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.full if name in CHECKED else pytest.mark.long) for name in ON_MATRICES],
)
def test_the_checks_that_want_one_cluster_pass_with_two(name, check):
    class AtLeastTwo(CLASSES[name]):
        def __setattr__(self, key, value):
            super().__setattr__(key, max(value, 2) if key == "n_clusters" else value)

    estimator = AtLeastTwo(**small(name).get_params())
    getattr(estimator_checks, check)(name, estimator)


def test_every_method_that_clusters_has_a_class():
    kinds = {getattr(make, "func", make) for make in methods.ALL.values()} - {methods.CMSCDCCA}  # it has two views
    assert {kind._method for kind in CLASSES.values()} == kinds
    assert all(name == kind.__name__ == kind._method.__name__ for name, kind in CLASSES.items())


@pytest.mark.parametrize("name", CLASSES)
def test_parameters_are_those_of_the_method_and_of_the_training(name):
    kind = CLASSES[name]
    parameters = inspect.signature(kind).parameters
    fields = {
        field.name: field.default for field in dataclasses.fields(kind._method) if field.name != "n_clusters"
    }
    assert {key: parameters[key].default for key in fields} == fields
    own = {field.name: field.default for field in dataclasses.fields(kind._method)}["n_clusters"]
    assert parameters["n_clusters"].default == (8 if own is dataclasses.MISSING else own)
    assert {"random_state", "n_devices", "verbose"} <= set(parameters)
    trained = {"recipe", "epochs", "pretrain_epochs", "batch_size", "learning_rate", "init_from"}
    assert trained & set(parameters) == (set() if kind._method.is_trained is False else trained)
    assert all(f"  {key}: " in kind.__doc__ for key in parameters)
    estimator = kind(n_clusters=3, random_state=5)
    assert set(estimator.get_params()) == set(parameters)
    copy = clone(estimator)
    assert copy is not estimator and copy.get_params() == estimator.get_params()
    assert pickle.loads(pickle.dumps(estimator)).get_params() == estimator.get_params()


@pytest.fixture(scope="module")
def fitted():
    x, y = blobs()
    # Lists and NumPy's numbers, as a grid has them, are hyper-parameters too.
    sizes = {"n_clusters": np.int64(3), "hidden": [16, np.int32(8)], "latent": np.int64(4), "n_init": 2}
    return DEC(**sizes, alpha=np.float64(2.0), epochs=30, n_devices=1, random_state=7).fit(x, y), x


def test_it_is_jaxdc_fit(fitted, one_device):
    model, x = fitted
    result = jaxdc.fit(
        jaxdc.DEC(n_clusters=3, hidden=(16, 8), latent=4, n_init=2, alpha=2.0),
        x,
        seed=7,
        schedule=jaxdc.methods.base.Schedule(epochs=30, batch_size=60),
        devices=one_device,
    )
    np.testing.assert_array_equal(model.predict_proba(x), result.predict_proba(x))
    np.testing.assert_array_equal(model.labels_, result.labels)
    assert model.result_.method == result.method
    assert model.hidden == [16, 8]  # as it was given


def test_what_it_says_of_samples(fitted):
    model, x = fitted
    np.testing.assert_array_equal(model.predict(x), model.labels_)
    np.testing.assert_array_equal(model.predict_proba(x).argmax(axis=1), model.labels_)
    np.testing.assert_allclose(model.transform(x), model.result_.embeddings, rtol=1e-5, atol=1e-6)
    assert model.predict_proba(x).shape == (60, 3)
    assert model.predict_proba(x).dtype == model.transform(x).dtype == np.float32
    assert model.n_features_in_ == 5
    assert list(model.get_feature_names_out()) == ["dec0", "dec1", "dec2", "dec3"]


@pytest.mark.full
def test_labels_do_not_enter(fitted):
    model, x = fitted
    again = clone(model).fit(x)
    np.testing.assert_array_equal(again.result_.probabilities, model.result_.probabilities)


def test_a_fitted_one_is_pickled_with_all_it_knows(fitted, tmp_path):
    model, x = fitted
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back.predict_proba(x), model.predict_proba(x))
    np.testing.assert_array_equal(back.transform(x), model.transform(x))
    np.testing.assert_array_equal(back.labels_, model.labels_)
    # Its result is whole: what is saved of it is read again.
    back.result_.save(tmp_path / "run")
    saved = jaxdc.load(tmp_path / "run")
    np.testing.assert_allclose(saved.predict_proba(x), model.predict_proba(x), rtol=1e-4, atol=1e-6)


def test_a_random_state():
    x, _ = blobs(40, 3)

    def seed(state):
        return KMeans(n_clusters=2, n_init=1, n_devices=1, random_state=state)._seed()

    assert seed(5) == seed(np.int64(5)) == 5
    assert seed(np.random.RandomState(1)) == seed(np.random.RandomState(1)) != seed(np.random.RandomState(2))
    assert seed(None) != seed(None)
    with pytest.raises(ValueError, match="'no'"):
        KMeans(n_clusters=2, random_state="no").fit(x)


PIPELINE = make_pipeline(StandardScaler(), KMeans(n_init=3, n_devices=1, random_state=0))
GRID = {"kmeans__n_clusters": np.array([2, 3])}


@pytest.mark.full
def test_a_pipeline_in_a_grid_search():
    x, y = blobs(90, 3)
    search = GridSearchCV(PIPELINE, GRID, scoring="adjusted_rand_score", cv=2, error_score="raise").fit(x, y)
    assert search.best_params_ == {"kmeans__n_clusters": 3}
    assert adjusted_rand_score(y, search.predict(x)) == 1.0
    assert search.best_estimator_[-1].labels_.shape == (90,)
    with pytest.raises(TypeError, match="'score' method"):
        GridSearchCV(PIPELINE, GRID, cv=2).fit(x)


@pytest.mark.full
def test_a_grid_search_without_labels():
    x, _ = blobs(90, 3)

    def silhouette(model, x, y=None):
        return silhouette_score(x, model.predict(x))

    search = GridSearchCV(PIPELINE, GRID, scoring=silhouette, cv=2, error_score="raise").fit(x)
    assert search.best_params_ == {"kmeans__n_clusters": 3}


@pytest.mark.full
def test_sparse_is_as_dense():
    x, _ = blobs(50, 3)
    x = np.where(x > 0, x, 0)
    model = KMeans(n_clusters=3, n_devices=1, random_state=0).fit(x)
    for form in (sparse.csr_matrix, sparse.csr_array, sparse.coo_array):
        other = clone(model).fit(form(x))
        np.testing.assert_array_equal(other.labels_, model.labels_)
        np.testing.assert_array_equal(other.predict(form(x)), model.labels_)
        np.testing.assert_array_equal(other.predict_proba(form(x)), model.predict_proba(x))


def test_images():
    x = np.random.default_rng(0).integers(0, 256, size=(24, 4, 4, 3), dtype=np.uint8)
    model = KMeans(n_clusters=2, n_devices=1, random_state=0).fit(x)
    assert model.n_features_in_ == 48
    assert model.result_.config["run"]["data"]["dtype"] == "uint8"
    np.testing.assert_array_equal(model.predict(x), model.labels_)
    with pytest.raises(ValueError, match=r"samples of shape \[4, 4, 1\], but this run was trained on \[4, 4, 3\]"):
        model.predict(x[..., :1])
    # A matrix of the same numbers is one of floats, as every matrix.
    flat = KMeans(n_clusters=2, n_devices=1, random_state=0).fit(x.reshape(24, -1))
    assert flat.result_.config["run"]["data"]["dtype"] == "float32"


@pytest.mark.full
def test_a_method_that_takes_images_alone():
    x = np.random.default_rng(0).integers(0, 256, size=(24, 8, 8, 3), dtype=np.uint8)
    backbone = jaxdc.nn.Backbone(depth=10, width=4)
    model = CC(n_clusters=3, backbone=backbone, projection=8, epochs=1, n_devices=1, random_state=0)
    assert clone(model).get_params()["backbone"] == backbone
    np.testing.assert_array_equal(model.fit(x).predict(x), model.labels_)


def test_what_is_wrong_is_said():
    x, _ = blobs(20, 3)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        KMeans(n_clusters=2).fit(np.where(x > x.mean(), x, np.nan))
    with pytest.raises(ValueError, match="contains NaN"):
        CC(n_clusters=2).fit(np.full((20, 4, 4, 3), np.nan))
    with pytest.raises(ValueError, match="n_samples=20 should be >= n_clusters=21"):
        KMeans(n_clusters=21).fit(x)
    with pytest.raises(ValueError, match="n_clusters must be at least 2, but is 1"):
        KMeans(n_clusters=1).fit(x)
    with pytest.raises(ValueError, match=r"CC needs images|needs images \[height, width, channels\]"):
        CC(n_clusters=2).fit(x)
    with pytest.raises(TypeError, match="Sparse data was passed"):
        CC(n_clusters=2).fit(sparse.csr_array(x))
    with pytest.raises(ValueError, match="Negative values in data passed to NMFKMeans"):
        NMFKMeans(n_clusters=2).fit(x)
    with pytest.raises(ValueError, match="n_devices must be from 1 to"):
        KMeans(n_clusters=2, n_devices=1000).fit(x)
    with pytest.raises(ValueError, match="unknown recipe 'slow'"):
        DEC(n_clusters=2, recipe="slow").fit(x)
    with pytest.raises(NotFittedError):
        KMeans(n_clusters=2).predict(x)


def test_devices():
    import jax

    model = KMeans(n_clusters=2)
    assert model._devices(1000) == jax.devices()
    assert model._devices(len(jax.devices()) - 1) == jax.devices()[:1]
    assert model.set_params(n_devices=2)._devices(1000) == jax.devices()[:2]
