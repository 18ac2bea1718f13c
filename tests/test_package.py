"""The package as a user meets it: cheap to import, complete, and one version."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bayeslaw

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("jax", "numpyro", "pandas", "matplotlib", "scipy", "arviz_base", "xarray", "pyarrow", "rich")


def run_python(code: str) -> str:
    """Run code in a fresh interpreter that sees the same bayeslaw as this one; returns its stdout."""
    paths = [str(Path(bayeslaw.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run([sys.executable, "-P", "-W", "error", "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def heavy_after(code: str) -> list[str]:
    return json.loads(
        run_python(f"import sys, json\n{code}\nprint(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))")
    )


@pytest.mark.parametrize("code", ["import bayeslaw", "import bayeslaw; dir(bayeslaw)", "import bayeslaw.cli"])
def test_importing_is_cheap(code):
    assert heavy_after(code) == []


def test_the_measure_of_cheapness_can_fail():
    assert "pandas" in heavy_after("import bayeslaw; bayeslaw.Runs")


def test_every_public_name_is_there():
    for name in bayeslaw.__all__:
        assert getattr(bayeslaw, name) is not None
    assert set(bayeslaw.__all__) <= set(dir(bayeslaw))


def test_every_error_can_be_caught_by_one_public_name():
    with pytest.raises(bayeslaw.BayeslawError):
        bayeslaw.load("nowhere.csv")


def test_typing_and_run_time_agree_on_the_public_names():
    tree = ast.parse(Path(bayeslaw.__file__).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    imported = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    declared = {alias.asname: node.module for node in imported for alias in node.names}
    assert declared == {name: home or "bayeslaw" for name, home in bayeslaw._HOME.items()}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'forcast'"):
        bayeslaw.forcast  # noqa: B018


@pytest.mark.parametrize("before", ["", "import bayeslaw.fit, bayeslaw.forecast", "bl.load_fit; bl.Band", "bl.fit"])
def test_verbs_stay_verbs_whatever_was_imported_before(before):
    types = "*(type(verb).__name__ for verb in (bl.fit, bl.forecast, bl.load))"
    code = f"import bayeslaw as bl\n{before}\nprint({types})"
    assert run_python(code).split() == ["function"] * 3


def test_there_is_one_version():
    assert importlib.metadata.version("bayeslaw") == bayeslaw.__version__
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert cited is not None
    assert cited[1] == bayeslaw.__version__


def test_the_readme_commands_are_one_line_of_python3_and_pip():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for which, last in (("demo", "bayeslaw demo"), ("test", "pytest -q -n 2")):
        block = readme.split(f"<!-- {which}:begin -->")[1].split(f"<!-- {which}:end -->")[0]
        lines = [line for line in block.splitlines() if line and not line.startswith("```")]
        assert len(lines) == 1
        assert lines[0].startswith("python3 -m venv ")
        assert lines[0].endswith(last)
        assert "pip install" in lines[0]


def test_links_and_pictures_of_the_readme_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)]+)\)", readme) if not target.startswith("http")]
    assert [target for target in targets if not (ROOT / target).is_file()] == []
