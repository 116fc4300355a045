"""What a release holds: wheel and source distribution are whole, and the wheel works where it is installed."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Of a checkout, not of a release.
LEFT_OUT = (".ci/", ".github/")


def run(*command, cwd, **options):
    """A command that must succeed, without this process's way of finding jaxdc; gives what it said."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(*options):
    """Files of the repository as git lists them, by default those that it has and those that may be added."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout, so nobody knows which files belong to it")
    options = options or ("--cached", "--others", "--exclude-standard")
    return {name for name in run("git", "ls-files", *options, cwd=ROOT).splitlines() if (ROOT / name).exists()}


def python_of(folder):
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def test_no_file_of_the_repository_is_ignored():
    """A file that ``.gitignore`` names would be missing in what is built."""
    assert files("--cached", "--ignored", "--exclude-standard") == set()


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """A Python that has build and twine."""
    folder = tmp_path_factory.mktemp("tools")
    venv.create(folder, with_pip=True)
    command = [str(python_of(folder)), "-m", "pip", "install", "--quiet", "build", "twine", "hatchling"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"build, twine and hatchling could not be installed: {done.stderr.strip()[-200:]}")
    return python_of(folder)


@pytest.fixture(scope="module")
def built(tools, tmp_path_factory):
    """The source distribution, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(tools, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.mark.full
def test_descriptions_are_in_order(tools, built):
    said = run(tools, "-m", "twine", "--no-color", "check", "--strict", *built, cwd=built[0].parent)
    assert said.count("PASSED") == 2


@pytest.mark.full
def test_the_source_distribution_is_the_repository(built):
    with tarfile.open(built[0]) as archive:
        found = {member.name.partition("/")[2] for member in archive if member.isfile()}
    assert found == {name for name in files() if not name.startswith(LEFT_OUT)} | {"PKG-INFO"}


@pytest.mark.full
def test_the_wheel_is_the_package(built):
    with zipfile.ZipFile(built[1]) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == {name for name in files() if name.startswith("jaxdc/")}


@pytest.mark.full
def test_the_wheel_works_where_it_is_installed(built, tmp_path):
    """In an environment that has the wheel, and sees the packages it depends on, which are not installed anew."""
    venv.create(tmp_path / "env")
    python = python_of(tmp_path / "env")
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        built[1],
        cwd=tmp_path,
    )
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    at = run(python, "-c", "import jaxdc; print(jaxdc.__file__)", cwd=tmp_path)
    assert Path(at.strip()).is_relative_to(own)
    command = (python, "-m", "jaxdc")
    assert "kmeans" in run(*command, "list", cwd=tmp_path)
    run(*command, "train", "kmeans", "--data", "digits", "--workdir", "run", "--no-report", cwd=tmp_path)
    assert (tmp_path / "run" / "assignments.csv").exists() and not (tmp_path / "run" / "report.html").exists()
    run(*command, "report", "run", cwd=tmp_path)
    assert "Content-Security-Policy" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    script = python.with_name("jaxdc.exe" if os.name == "nt" else "jaxdc")
    assert "report" in run(script, "--help", cwd=tmp_path)
