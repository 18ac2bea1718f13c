"""The page: whole, safe from what names hold, and readable in a browser at every width without scripts."""

import html
import re
import shutil
import subprocess

import pytest

import bayeslaw as bl
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
    both = CliRunner().invoke(cli, ["report", str(fit), "--to", "20B", "--to-step", "5", "-o", str(out)])
    assert both.exit_code == 2


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
