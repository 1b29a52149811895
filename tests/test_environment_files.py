"""environment.yml, pyproject.toml and the Makefile say the same."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from labcore.__main__ import OLDEST
from labcore.student.environment import NEWEST

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"pytorch": "torch"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def required(*extras: str) -> dict[str, Requirement]:
    lines = list(PROJECT["dependencies"])
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return {Requirement(line).name: Requirement(line) for line in lines}


def pinned() -> dict[str, str]:
    lines = [line for line in CONDA["dependencies"] if isinstance(line, str)]
    pairs = [line.partition("=") for line in lines if line != "pip"]
    return {CONDA_NAMES.get(name, name): version for name, _, version in pairs}


def imported(*files: Path) -> set[str]:
    """The packages of others that these files import, anywhere in them."""
    nodes = [n for file in files for n in ast.walk(ast.parse(file.read_bytes()))]
    names = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    names += [n.module for n in nodes if isinstance(n, ast.ImportFrom) and not n.level]
    own = {"labcore", "tests", *(path.stem for path in (ROOT / "tests").rglob("*.py"))}
    others = {name.partition(".")[0] for name in names} - own - sys.stdlib_module_names
    owners = packages_distributions()
    return {canonicalize_name(owners.get(name, [name])[0]) for name in others}


def test_what_labcore_and_the_tests_import_is_declared():
    optional = {*PROJECT["optional-dependencies"]} - {"test"}
    tests = {*optional, "test"}
    for files, extras in (
        ("labcore/**/*.py", optional),
        ("tests/*.py", tests),
        ("tests/browser/*.py", tests),
    ):
        declared = {canonicalize_name(name) for name in required(*extras)}
        assert imported(*ROOT.glob(files)) <= declared


def test_conda_has_all_that_the_labs_need():
    assert set(required("vision")) <= set(pinned())


def test_conda_has_nothing_that_pyproject_does_not_name():
    assert set(pinned()) - {"python"} <= set(required("vision", "test"))


@pytest.mark.parametrize("name", sorted(set(pinned()) - {"python"}))
def test_the_tested_version_is_pinned_and_satisfies_the_lower_bound(name):
    bound = required("vision", "test")[name].specifier
    assert [part.operator for part in bound] == [">="]
    assert Version(pinned()[name]) in bound


def test_torchvision_takes_the_torch_that_it_was_tested_with():
    pytest.importorskip("torchvision")
    if not f"{version('torchvision')}.".startswith(f"{pinned()['torchvision']}."):
        pytest.skip("another torchvision is installed here")
    needs = {need.name: need for need in map(Requirement, requires("torchvision"))}
    assert Version(pinned()["torch"]) in needs["torch"].specifier


def test_readme_says_tested_with_the_versions_that_are_pinned():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tested = re.search(r"with torch ([\d.]+), torchvision ([\d.]+)", readme)
    for said, name in zip(tested.groups(), ("torch", "torchvision"), strict=True):
        assert f"{said}.".startswith(f"{pinned()[name]}."), name


def test_every_requirement_has_a_lower_bound():
    for name, requirement in required(*PROJECT["optional-dependencies"]).items():
        assert ">=" in str(requirement.specifier), name


def test_condas_python_is_one_the_labs_support():
    version = tuple(map(int, pinned()["python"].split(".")))
    assert OLDEST <= version <= NEWEST
    assert ".".join(map(str, OLDEST)) in PROJECT["requires-python"]


def test_labcore_comes_from_the_folder():
    (pip,) = [line["pip"] for line in CONDA["dependencies"] if isinstance(line, dict)]
    assert pip == ["-e ."]
    assert CONDA["channels"][0] == "conda-forge"


def test_the_makefile_asks_for_parts_that_exist():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = re.search(r"^EXTRAS := (.*)$", text, re.MULTILINE)[1].split()
    assert (
        {"test", "instructor"} <= set(extras) <= set(PROJECT["optional-dependencies"])
    )


def test_continuous_integration_sets_up_the_makefiles_parts_where_there_is_no_make():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = re.search(r"^EXTRAS := (.*)$", makefile, re.MULTILINE)[1]
    workflow = ROOT / ".github" / "workflows" / "test.yml"
    assert f"labcore setup {extras}\n" in workflow.read_text(encoding="utf-8")
