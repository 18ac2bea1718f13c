"""The notebooks run from their texts, and those stored with their outputs are the same notebooks."""

import importlib.util
import warnings
from pathlib import Path

import nbformat
import pytest

HOME = Path(__file__).resolve().parent.parent / "notebooks"
TEXTS = sorted(HOME.glob("[0-9]*.py"))


@pytest.fixture(scope="module")
def build():
    """The script that runs and stores them."""
    if not HOME.is_dir():
        pytest.skip("notebooks/ is not beside the tests: this is not a checkout")
    spec = importlib.util.spec_from_file_location("notebooks_build", HOME / "build.py")
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that it imports
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("text", TEXTS, ids=lambda p: p.stem)
# the kernel and the client speak over sockets that the libraries close in their own time
@pytest.mark.filterwarnings("ignore")
def test_it_runs_and_draws(text, build):
    book = build.run(text)
    assert build.pictures(book)
    said = "".join(o.get("text", "") for cell in book.cells for o in cell.get("outputs", []))
    assert said.strip()
    assert any("## The decision" in cell.source for cell in book.cells)


@pytest.mark.parametrize("text", TEXTS, ids=lambda p: p.stem)
def test_the_stored_one_is_the_same_with_outputs(text, build):
    path = text.with_suffix(".ipynb")
    stored, fresh = nbformat.read(path, 4), build.jupytext.read(text)
    assert [(c.cell_type, c.source) for c in stored.cells] == [(c.cell_type, c.source) for c in fresh.cells], (
        "the text was changed: run python notebooks/build.py"
    )
    assert build.pictures(stored)
    assert all(c.execution_count for c in stored.cells if c.cell_type == "code")
    assert path.stat().st_size < 400_000
    outputs = [o for c in stored.cells for o in c.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]


def test_the_gallery_shows_the_notebooks_pictures(build):
    for stem, (name, which) in build.GALLERY.items():
        book = nbformat.read(HOME / f"{stem}.ipynb", 4)
        assert (HOME.parent / "docs" / "gallery" / f"{name}.png").read_bytes() == build.pictures(book)[which]


def test_there_are_five(build):
    assert [p.stem[:2] for p in TEXTS] == ["01", "02", "03", "04", "05"]
