"""What names and ships a release: changelog, citation, container, issue forms."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from labcore.__main__ import _parser

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions: name and argument, continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text("Dockerfile")))
    return [tuple(line.split(" ", 1)) for line in lines.splitlines() if line]


def test_the_citation_and_the_changelog_know_this_version():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["version"] == PROJECT["version"]
    released = f"## [{PROJECT['version']}] - {citation['date-released']}"
    assert released in text("CHANGELOG.md").splitlines()


def test_the_changelog_has_its_newest_part_first_and_known_headings():
    headings = re.findall(r"(?m)^## \[([^\]]*)\]", text("CHANGELOG.md"))
    assert headings[0] == "Unreleased"
    assert headings[1:] == sorted(headings[1:], reverse=True)
    kinds = set(re.findall(r"(?m)^### (.*)$", text("CHANGELOG.md")))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_container_is_slim_has_cpu_wheels_and_does_not_run_as_root():
    steps = instructions()
    assert steps[0] == ("FROM", "python:3.11-slim")
    (torch,) = [run for name, run in steps if name == "RUN" and " torch==" in run]
    assert "--index-url https://download.pytorch.org/whl/cpu" in torch
    names = [name for name, _ in steps]
    assert names.index("USER") > max(i for i, name in enumerate(names) if name == "RUN")
    (user,) = [value for name, value in steps if name == "USER"]
    assert user != "0" and f"--uid {user} " in torch


def test_the_container_has_the_torch_that_was_tested():
    conda = yaml.safe_load(text("environment.yml"))["dependencies"]
    pins = dict(line.split("=") for line in conda if "=" in line)
    versions = dict(re.findall(r"(torch\w*)==(\d+\.\d+)", text("Dockerfile")))
    assert versions == {"torch": pins["pytorch"], "torchvision": pins["torchvision"]}


def test_the_container_starts_jupyterlab_with_parts_and_options_that_exist():
    steps = instructions()
    (parts,) = re.findall(r'-e "\.\[(.*?)\]"', text("Dockerfile"))
    assert set(parts.split(",")) <= set(PROJECT["optional-dependencies"])
    program, *arguments = json.loads(steps[-1][1])
    assert program in PROJECT["scripts"]
    assert _parser().parse_args(arguments).run.__name__ == "lab"


def test_the_devcontainer_builds_the_same_container():
    dev = json.loads(text(".devcontainer/devcontainer.json"))
    folder = ROOT / ".devcontainer"
    assert (folder / dev["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert (folder / dev["build"]["context"]).resolve() == ROOT
    assert f" {dev['remoteUser']} " in text("Dockerfile")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_has_what_github_requires(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.name == "config.yml":
        assert form == {"blank_issues_enabled": False}
        return
    assert form["name"] and form["description"]
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert all(part["type"] in ("input", "textarea") for part in fields)
    assert all(part["attributes"]["label"] for part in fields)
    assert len({part["id"] for part in fields}) == len(fields)
    (report,) = [part for part in fields if part["id"] == "report"]
    assert "python -m labcore doctor --report" in report["attributes"]["description"]


def test_who_reports_a_check_is_asked_for_its_message_the_lab_and_the_code():
    form = yaml.safe_load(text(".github/ISSUE_TEMPLATE/check.yml"))
    required = {
        p["id"] for p in form["body"] if p.get("validations", {}).get("required")
    }
    assert {"exercise", "message", "answer", "report"} <= required
