"""The page: whole, safe from what names hold, and readable in a browser at every width without scripts."""

import html
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

import bayeslaw as bl
from bayeslaw.backtest_result import Backtest
from bayeslaw.cli import cli
from bayeslaw.errors import DataError, FileError, FitError

NASTY = '<script>alert("run")</script>'
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
SECTIONS = ("Forecast", "Events", "Calibration", "Plan", "Model", "Provenance")


@pytest.fixture(scope="module")
def page(toy_fit, toy_runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    text = bl.report(toy_fit, path, runs=toy_runs, tokens="20B", title=f"Toy {NASTY}")
    assert path.read_text(encoding="utf-8") == text
    return path


def words(page):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8"))))


def test_every_section_is_there_with_its_numbers(page, toy_fit):
    text = words(page)
    for name in SECTIONS:
        assert f"> {name} " not in text
        assert f" {name} " in text
    assert str(toy_fit.check()).splitlines()[0] in text
    assert toy_fit.meta["fingerprint"] in text
    assert "at 20B tokens" in text
    assert f"{toy_fit.summary().loc['alpha', 'mean']:.4g}" in text
    assert page.read_text(encoding="utf-8").count("<svg") >= 7


def test_the_page_is_whole_in_itself(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"<script|<link(?! rel=\"icon\" href=\"data:)|@import|url\((?!#)|src=\"(?!data:)", text)
    assert not re.search(r"href=\"(?!#|data:)", text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert all(f'id="{one}"' in text for one in re.findall(r'(?:url\(#|href="#)([^")]+)', text))


def test_names_from_strangers_are_only_text(page):
    text = page.read_text(encoding="utf-8")
    assert NASTY not in text
    assert html.escape(NASTY) in text.replace("&#34;", "&quot;")


def verdict(text):
    box = re.search(r'<div class="verdict.*?</div>', text, re.DOTALL)
    assert box is not None
    return html.unescape(re.sub(r"<[^>]+>", " ", box[0]))


def backtest_of(card, name):
    """A backtest of one card on other rows, whose 90 % bands held half of ten losses of each of six runs."""
    runs, loss = 6, np.where(np.arange(10) < 5, 3.0, 4.0)
    points = pd.DataFrame(
        {"model": name, "split": "s", "fold": "f", "origin": 0.5, "run": np.repeat([f"r{i}" for i in range(runs)], 10),
         "level": "raw", "final": True, "loss": np.tile(loss, runs), "mean": 3.0, "crps": 0.01, "pit": 0.5,
         "log_score": 0.0, "curve_error": 0.0, "reach": 1.5, "reach_n": 1.0, "seen": True,
         **{f"lo{q}": 2.9 for q in (50, 80, 90, 95)}, **{f"hi{q}": 3.1 for q in (50, 80, 90, 95)}}
    )  # fmt: skip
    return Backtest(points, (), {"models": {name: dict(card.source)}, "fingerprint": "other rows"})


def test_a_fit_is_credited_with_the_backtest_of_its_own_model_alone(toy_fit):
    mine = bl.report(toy_fit, backtest=backtest_of(toy_fit.card, toy_fit.card.name))
    assert "50% of observed losses lay in their 90 % band" in verdict(mine)
    assert "The backtest was made on other rows than the fit" in mine
    other = bl.report(toy_fit, backtest=backtest_of(bl.load_card("power-law"), "power-law"))
    assert "lay in their 90 % band" not in verdict(other)
    assert "The backtest has no model like this fit's (chinchilla)" in verdict(other)


def test_logs_of_other_runs_say_nothing_of_the_fit(toy_fit, toy_frame):
    first = toy_frame[toy_frame["run"] == toy_frame["run"].iloc[0]]
    others = bl.Runs.from_frame(first.assign(run="stranger"))
    said = verdict(bl.report(toy_fit, runs=others))
    assert "No anomalies in the logs" not in said
    assert "The logs hold none of the fit's runs: they are of stranger" in said
    both = bl.Runs.from_frame(pd.concat([first, first.assign(run="stranger")], ignore_index=True))
    assert "Of the 2 runs in the logs 1 are not in the fit: stranger." in verdict(bl.report(toy_fit, runs=both))


def test_a_table_of_single_points_has_its_law_for_a_headline(truth):
    size, tokens = np.tile([1e8, 3e8, 1e9], 6), np.geomspace(1e9, 1e11, 18)
    loss = truth.law(size, tokens) * np.exp(0.003 * np.random.default_rng(0).standard_normal(18))
    names = [f"p{i}" for i in range(18)]
    runs = bl.Runs.from_frame({"run": names, "n_params": size, "tokens": tokens, "loss": loss})
    fit = bl.fit(runs, "chinchilla", chains=1, warmup=100, draws=50)
    said = verdict(bl.report(fit))
    assert "L = E + A / N^alpha + B / D^beta: half of the 18 losses fitted lie within 0." in said
    assert not re.search(r"\bp\d+ at ", said)
    with pytest.raises(DataError, match="single point"):
        bl.report(fit, tokens="1T")


def test_what_cannot_be_had_is_said(toy_fit):
    text = bl.report(toy_fit)
    assert "without the runs" in text
    assert "has not been measured" in text


def test_what_was_asked_for_and_cannot_be_had_is_an_error(toy_fit):
    with pytest.raises(DataError, match="Nothing lies ahead"):
        bl.report(toy_fit, tokens="1M")
    with pytest.raises(FitError, match="load_fit"):
        bl.report("fit.nc")


def test_a_page_that_cannot_be_written_leaves_nothing(toy_fit, tmp_path, monkeypatch):
    with pytest.raises(FileError, match="Cannot write"):
        bl.report(toy_fit, tmp_path / "missing" / "report.html")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_the_page(toy_fit, toy_frame, tmp_path):
    from click.testing import CliRunner

    fit, log, out = tmp_path / "fit.nc", tmp_path / "log.csv", tmp_path / "out.html"
    toy_fit.save(fit)
    toy_frame.to_csv(log, index=False)
    result = CliRunner().invoke(cli, ["report", str(fit), "--runs", str(log), "--to", "20B", "-o", str(out)])
    assert result.exit_code == (0 if toy_fit.check().ok else 1), result.output
    assert f"wrote {out}" in result.stderr
    assert "at 20B tokens" in out.read_text(encoding="utf-8")
    warned = "bayeslaw: warning: Do not trust this fit yet: " in result.stderr
    assert warned != toy_fit.check().ok
    both = CliRunner().invoke(cli, ["report", str(fit), "--to", "20B", "--to-step", "5", "-o", str(out)])
    assert both.exit_code == 2
    unread = CliRunner().invoke(cli, ["report", str(fit), "--group", "c4", "-o", str(out)])
    assert unread.exit_code == 2
    assert "--group says how a log is read, and none is given" in unread.stderr


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the page is not looked at in a browser")
@pytest.mark.parametrize("width", [390, 1440])
def test_a_browser_shows_it_without_errors_or_overflow(page, tmp_path, width):
    # the page has no scripts: one is put into a copy, inside a frame of the width, to measure it
    measure = (
        "<script>addEventListener('load', () => { const all = document.documentElement; parent.postMessage("
        "[all.scrollWidth - all.clientWidth, innerWidth].join(' over '), '*') })</script></body>"
    )
    copy = page.read_text(encoding="utf-8").replace("</body>", measure)
    frame = (
        "<!doctype html><body><script>addEventListener('message', e => document.body.dataset.wide = e.data)</script>"
        f'<iframe style="width:{width}px;height:2000px;border:0" srcdoc="{html.escape(copy)}"></iframe></body>'
    )
    outer = tmp_path / "outer.html"
    outer.write_text(frame, encoding="utf-8")
    seen = subprocess.run(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
         "--enable-logging=stderr", "--virtual-time-budget=10000", "--window-size=1600,2200", "--dump-dom",
         outer.as_uri()],
        capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    # a scrollbar takes some of the width: what overflows is what is wider than the rest
    assert f'data-wide="0 over {width}"' in seen.stdout
    assert "CONSOLE" not in seen.stderr
