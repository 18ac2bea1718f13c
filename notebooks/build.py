"""Run the notebooks' texts and store them with their outputs: `python notebooks/build.py [NAME ...]`, all by default.

`python notebooks/build.py --time [NAME ...]` stores nothing and prints how long each takes, as a table: a fresh kernel
each, with no compiled program kept from anything before it.

The texts (`*.py`, py:percent) are what is edited; the `.ipynb` beside each is made by this script, so that the pictures
can be read without running anything. Needs `pip install 'bayeslaw[notebooks]'`.
"""

from __future__ import annotations

import base64
import os
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
TEXTS = sorted(HERE.glob("[0-9]*.py"))
#: notebook → picture of the README's gallery, which of its pictures it is
GALLERY = {
    "01_forecast": ("forecast", 0),
    "02_anomalies": ("anomalies", 0),
    "03_budget": ("budget", 0),
    "04_looped": ("looped", 0),
}


def run(text: Path, timeout: float = 1200) -> nbformat.NotebookNode:
    """The notebook of a text with its outputs, run in an empty folder by this Python. Talk on stderr is left out."""
    book = jupytext.read(text)
    for number, cell in enumerate(book.cells):
        cell["id"] = f"{text.stem[:2]}-{number:02d}"  # the same at each build, so that a diff shows what changed
    with tempfile.TemporaryDirectory() as place:
        NotebookClient(book, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": place}}).execute()
        left = sorted(path.name for path in Path(place).iterdir())
    if left:
        raise SystemExit(f"{text.name} leaves files behind: {', '.join(left)}")
    for cell in book.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    book.metadata = {"kernelspec": book.metadata["kernelspec"], "language_info": {"name": "python"}}
    return book


def pictures(book: nbformat.NotebookNode) -> list[bytes]:
    """The PNGs that a notebook's outputs hold."""
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    return [base64.b64decode(o.data["image/png"]) for o in outputs if "image/png" in o.get("data", {})]


def measure(texts: list[Path]) -> None:
    """Print the seconds that each notebook takes from the start of its kernel, wall and CPU, and the load it met."""
    import resource  # where there is none, notebooks can be built all the same

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores\n")
    print("| notebook | wall (s) | CPU (s) | load |\n|---|---|---|---|")
    for text in texts:
        with tempfile.TemporaryDirectory() as cold:
            os.environ["JAX_COMPILATION_CACHE_DIR"] = cold  # inherited by the kernel: every program is compiled anew
            start, before = time.time(), spent()
            run(text)
        wall, cpu = time.time() - start, spent() - before
        print(f"| {text.stem} | {wall:.0f} | {cpu:.0f} | {os.getloadavg()[0]:.1f} |", flush=True)


def main() -> None:
    names = [name for name in sys.argv[1:] if name != "--time"]
    texts = [text for text in TEXTS if not names or text.stem in names]
    if "--time" in sys.argv[1:]:
        measure(texts)
        return
    for text in texts:
        start = time.time()
        book = run(text)
        nbformat.write(book, text.with_suffix(".ipynb"))
        if text.stem in GALLERY:
            name, which = GALLERY[text.stem]
            (HERE.parent / "docs" / "gallery" / f"{name}.png").write_bytes(pictures(book)[which])
        print(f"{text.stem}: {time.time() - start:.0f} s, {text.with_suffix('.ipynb').stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
