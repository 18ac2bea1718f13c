"""README and docs: every block of code and every command runs, every message and every link is true.

Blocks run in the order of their page, in one folder with small made-up runs, and with draws that nobody sampled: what
is tested is that they work, not what comes out. ``future``, ``prefix`` and ``candidates`` are tables, as the pages say.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import bayeslaw
from bayeslaw.engine.sampler import Draws
from bayeslaw.errors import BayeslawError

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
if not (ROOT / "docs").is_dir():
    pytest.skip("docs/ is not beside the tests: this is not a checkout", allow_module_level=True)

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: what the CI runs word for word, on a clean machine
MARKED = re.compile(r"<!-- (demo|test):begin -->.*?<!-- \1:end -->", re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(MARKED.sub("", page.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def material(tmp_path_factory, truth):
    """A folder with logs, a fit and rows to forecast, under the names that the pages use."""
    home = tmp_path_factory.mktemp("docs")
    rng = np.random.default_rng(2)
    steps = np.linspace(500, 40_000, 40).round()
    parts = [truth.curve(f"{n:.0e}", "c4", n, steps, rng) for n in (1e8, 3e8, 1e9)]
    table = pd.concat(parts, ignore_index=True).drop(columns="group")
    table.to_csv(home / "runs.csv", index=False)
    table[table["run"] == "1e+08"].drop(columns="run").to_json(home / "train.jsonl", orient="records", lines=True)
    future = pd.DataFrame({"run": "3B", "n_params": 3e9, "tokens": [2e10, 4e10]})
    future.to_csv(home / "future.csv", index=False)
    few = {"seed": 0, "chains": 2, "warmup": 60, "draws": 60, "max_bins": 8}
    bayeslaw.fit(bayeslaw.Runs.from_frame(table), "chinchilla", **few).save(home / "fit.nc")
    begun = truth.curve("3B", "c4", 3e9, np.arange(500, 5000, 500), rng).drop(columns="group")
    candidates = pd.DataFrame({"run": ["a", "b"], "n_params": [1e9, 2e9], "tokens": [2e10, 4e10]})
    candidates.to_csv(home / "candidates.csv", index=False)
    return home, {"future": future, "prefix": begun, "candidates": candidates}


@pytest.fixture
def place(material, monkeypatch):
    """The folder as the current one; fits draw near their priors' centres, which needs no sampling."""
    home, names = material
    monkeypatch.chdir(home)
    monkeypatch.delenv("BAYESLAW_DATA", raising=False)
    monkeypatch.setattr("bayeslaw.engine.sampler.sample", near_the_prior)
    monkeypatch.setattr(bayeslaw.backtest, "__kwdefaults__", {**bayeslaw.backtest.__kwdefaults__, "baselines": ()})
    return dict(names)


def near_the_prior(layout, data, *, seed, chains, warmup, draws, report=None) -> Draws:
    """In place of the sampler: draws around zero, the centre of every prior."""
    rng, shape = np.random.default_rng(seed), (2, 40)
    stats = {name: rng.standard_normal(shape) for name in ("energy", "lp", "accept")}
    stats |= {"diverging": np.zeros(shape, bool), "steps": np.full(shape, 7)}
    return Draws(0.05 * rng.standard_normal((*shape, layout.dim)), stats, 0.5, warmup)


def run_command(line: str) -> None:
    """One line of a shell block: ours is run here, a script of the repository must be there, all else is refused."""
    words = shlex.split(line, comments=True)
    if not words:
        return
    if words[0] in ("python", "python3") and words[1].endswith(".py"):
        assert (ROOT / words[1]).is_file(), f"{words[1]} is not in the repository"
        return
    assert words[0] == "bayeslaw", f"a command that no test runs: {line}"
    from bayeslaw.cli import cli

    light = {"backtest": {"no_baselines": True}}
    result = CliRunner().invoke(cli, words[1:], default_map=light, catch_exceptions=True)
    # 1 is bad news, such as so few draws bring; 2 would be a command that does not work
    assert result.exit_code in (0, 1), f"{line}\n{result.output}"
    assert result.exception is None or isinstance(result.exception, SystemExit), f"{line}\n{result.exception!r}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_block_runs(page, place):
    found = blocks(page)
    for i, (kind, text) in enumerate(found):
        if kind == "sh":
            for line in text.replace("\\\n", " ").splitlines():
                run_command(line)
        elif kind == "python":
            code = compile(text, f"{page.name}, block {i + 1}", "exec")
            if i + 1 < len(found) and found[i + 1][0] == "text":
                expect(code, place, found[i + 1][1])
            else:
                exec(code, place)
        else:
            assert kind == "text", f"{page.name}: a block of kind {kind!r} is tested by nobody"
            assert i
            assert found[i - 1][0] == "python", f"{page.name}: a message without the code that brings it"


def expect(code, names, message: str) -> None:
    """The code ends in the error that the page shows; ``...`` stands for anything."""
    with pytest.raises(BayeslawError) as error:
        exec(code, names)
    said = f"{type(error.value).__name__}: {error.value}"
    pattern = ".*".join(re.escape(part.strip()) for part in " ".join(message.split()).split("..."))
    assert re.fullmatch(pattern, said, flags=re.DOTALL), f"the page says {message!r}, the code {said!r}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_inside_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name} links to {target}"
        if anchor:
            heads = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in slugs, f"{page.name}: {there.name} has no heading {anchor}"


def test_the_readme_is_short_and_shows_a_picture_early():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 160
    assert any(line.startswith("![") for line in lines[:30])


def test_the_guide_quotes_the_backtests_as_they_are(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import quotes

    said = quotes.MARKS.search(quotes.PAGE.read_text(encoding="utf-8"))[0]
    table = quotes.quoted(quotes.SOURCE.read_text(encoding="utf-8"))
    sys.modules.pop("quotes")
    assert table in said, "run python benchmarks/quotes.py"
    assert re.search(r"\| 0\.\d\d \|", table)


def test_the_guide_names_every_kind_of_anomaly():
    from bayeslaw.anomalies.events import KINDS

    table = (ROOT / "docs" / "guide" / "anomalies.md").read_text(encoding="utf-8")
    firsts = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", firsts)) == set(KINDS)


def test_the_guide_names_every_card():
    text = (ROOT / "docs" / "guide" / "models.md").read_text(encoding="utf-8")
    from bayeslaw.cards import card_names

    assert [name for name in card_names() if f"`{name}`" not in text] == []
