"""What contributors are told: the hooks run what the tests run, and what CONTRIBUTING.md names is there."""

import json
import re
import subprocess

import yaml

from tests.conftest import ROOT

CHECKS = ("lint", "format", "types", "core")
TOOLS = re.compile(r"\b(ruff|mypy|clang-format)\b")


def code_of(script):
    """The lines of a script that are no comments."""
    lines = (ROOT / "scripts" / script).read_text().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def test_the_hooks_and_the_tests_run_the_same_checks_which_one_script_names():
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"  # nothing is downloaded, no version is pinned twice
    hooks = repository["hooks"]
    assert [hook["entry"] for hook in hooks] == [f"bash scripts/check.sh {check}" for check in CHECKS]
    assert all(hook["language"] == "system" for hook in hooks)
    assert f"set -- {' '.join(CHECKS)}\n" in code_of("check.sh")  # what it runs when none is named
    assert "bash scripts/check.sh\n" in code_of("test.sh")
    assert not TOOLS.search(code_of("test.sh"))


def test_an_unknown_check_is_refused_with_those_there_are():
    done = subprocess.run(["bash", ROOT / "scripts" / "check.sh", "lint2"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "bash scripts/check.sh lint types" in done.stderr


def test_what_contributing_names_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = set(re.findall(r"\b(?:scripts|tests|csrc|benchmarks|rescale_fast)/[\w/.]*", text))
    assert len(paths) > 10
    assert not [path for path in paths if not (ROOT / path.rstrip(".")).exists()]
    presets = {preset["name"] for preset in json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]}
    assert {"release", *re.findall(r"cmake --preset (\w+)", text)} <= presets
    names = set(re.findall(r"`([A-Z]\w+)` \(`?([\w/.]+)`?\)", text))
    assert len(names) > 5
    for name, file in names:
        homes = [path for path in (ROOT / "rescale_fast").rglob(file.split("/")[-1]) if str(path).endswith(file)]
        assert any(re.search(rf"^{name}\b", path.read_text(), re.MULTILINE) for path in homes), (name, file)
