"""The API reference builds without a warning, has every public name, and its links lead somewhere."""

import re
import runpy
from pathlib import Path

import pytest

import bayeslaw

SCRIPT = Path(__file__).resolve().parent.parent / "docs" / "api.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if not SCRIPT.is_file():
        pytest.skip("docs/ is not beside the tests: this is not a checkout")
    folder = tmp_path_factory.mktemp("api")
    runpy.run_path(str(SCRIPT))["build"](folder)
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}


def test_every_public_name_has_its_place(site):
    page = site["bayeslaw.html"]
    for name in bayeslaw.__all__:
        assert f'id="{name}"' in page or f"bayeslaw/{name}.html" in site, name
    for method in ("Fit.summary", "Runs.from_frame", "Band.frame", "Monitor.push"):
        assert f'id="{method}"' in page, method


def test_links_lead_somewhere(site):
    checked = 0
    for here, text in site.items():
        page = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)  # the search box writes its links itself
        for target in re.findall(r'href="([^"]+)"', page):
            if re.match(r"https?:|data:|mailto:", target):
                continue
            path, _, anchor = target.partition("#")
            there = here if not path else _join(here, path)
            assert there in site, f"{here} links to {target}"
            assert not anchor or f'id="{anchor}"' in site[there], f"{here} links to {target}"
            checked += 1
    assert checked > 100


def _join(here: str, path: str) -> str:
    parts = here.split("/")[:-1]
    for part in path.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
