"""ARCHITECTURE.md is true, imports go downward, files stay small, and the project speaks only of itself."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "bayeslaw"
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py"))


def floors() -> dict[str, int]:
    """Unit (second part of the dotted name) -> floor, as the page numbers them."""
    section = PAGE.split("## Floors")[1].split("\n## ")[0]
    lines = re.findall(r"^(\d+)\. (.*)$", section, flags=re.MULTILINE)
    return {unit: int(number) for number, units in lines for unit in re.findall(r"`(\w+)`", units)}


def unit_of(name: str) -> str:
    """The unit of a module: ``cards`` for ``bayeslaw.cards`` and for its helper ``bayeslaw.cards_text``."""
    return name.split(".")[1].split("_")[0]


def dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def first_sentence(path: str) -> str:
    """The first line of a module's docstring, as the page has it: plain code marks, no roles."""
    line = (ast.get_docstring(ast.parse(read(path))) or "?").splitlines()[0]
    return re.sub(r":\w+:(?=`)", "", line).replace("``", "`")


NAMES = {dotted(path): path for path in MODULES}


def imports(source: str, *, at_load_only: bool = False) -> set[str]:
    """Modules of the package that a source text imports; ``from bayeslaw.x import y`` is y if y is a module."""
    tree = ast.parse(source)
    if at_load_only:
        tree = _AtLoad().visit(tree)
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import on line {node.lineno}: write it out"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in NAMES else str(node.module))
    return {name for name in found if name.split(".")[0] == "bayeslaw"}


class _AtLoad(ast.NodeTransformer):
    """Drops what does not run when a module is loaded: function bodies and ``if TYPE_CHECKING``."""

    def visit_FunctionDef(self, node):
        return None

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_If(self, node):
        return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)


def upward(name: str, source: str, level: dict[str, int]) -> list[str]:
    """Modules that ``source`` imports from above ``name``, or, when it is loaded, from another unit beside it."""
    unit, wrong = unit_of(name), []
    loading = imports(source, at_load_only=True)
    for target in sorted(imports(source) - {"bayeslaw"}):
        other = unit_of(target)
        beside = other != unit and level[other] == level[unit] and target in loading
        if level[other] > level[unit] or beside:
            wrong.append(target)
    return wrong


def find_cycle(graph: dict[str, set[str]]) -> list[str] | None:
    """A cycle of the graph as a path that ends where it began, or None."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str] | None:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        for following in sorted(graph.get(node, ())):
            if found := walk(following, [*path, node]):
                return found
        done.add(node)
        return None

    return next((found for node in sorted(graph) if (found := walk(node, []))), None)


def tracked_files() -> list[Path]:
    """What git would commit; in a tree without git, every file that is not hidden or generated."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True, check=True,
        ).stdout  # fmt: skip
        files = [ROOT / name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        skip = {".git", ".venv", "__pycache__", "build", "dist", ".pytest_cache", ".ruff_cache", ".hypothesis"}
        files = [path for path in ROOT.rglob("*") if not skip & set(path.relative_to(ROOT).parts)]
    return [path for path in files if path.is_file()]


def test_every_module_is_in_the_map_and_every_entry_exists():
    rows = re.findall(r"^\| `(bayeslaw/[\w/]+\.py)` \| (.*) \|$", PAGE.split("## Module map")[1], flags=re.MULTILINE)
    listed = [path for path, _ in rows]
    missing = [f"| `{path}` | {first_sentence(path)} |" for path in MODULES if path not in listed]
    assert not missing, "add to ARCHITECTURE.md:\n" + "\n".join(missing)
    assert not [path for path in listed if path not in MODULES], "listed in ARCHITECTURE.md, but not there"
    assert listed == sorted(listed), "the module map of ARCHITECTURE.md is alphabetical"
    assert len(listed) == len(set(listed))
    wrong = [f"| `{path}` | {first_sentence(path)} |" for path, said in rows if said != first_sentence(path)]
    assert not wrong, "ARCHITECTURE.md says otherwise than the module's first line:\n" + "\n".join(wrong)


def test_the_contract_table_names_the_columns_that_the_code_knows():
    from bayeslaw.data.columns import CANONICAL

    section = PAGE.split("## The data contract")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in section.splitlines() if "|" in line)))
    assert set(CANONICAL) <= named, "columns that the data contract of ARCHITECTURE.md leaves out"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("bayeslaw", "bayeslaw.__main__")])
def test_imports_go_downward(name):
    level = floors()
    assert unit_of(name) in level, f"{name} stands on no floor of ARCHITECTURE.md"
    assert upward(name, read(NAMES[name]), level) == []


def test_no_circle_when_loading():
    graph = {name: imports(read(path), at_load_only=True) for name, path in NAMES.items()}
    assert find_cycle({name: targets - {name} for name, targets in graph.items()}) is None


def test_nothing_but_the_version_is_taken_from_the_top():
    for name, path in NAMES.items():
        if name.startswith("bayeslaw.cli"):
            continue  # the commands call the public functions
        for node in ast.walk(ast.parse(read(path))):
            if isinstance(node, ast.ImportFrom) and node.module == "bayeslaw" and name != "bayeslaw":
                taken = {a.name for a in node.names if f"bayeslaw.{a.name}" not in NAMES}
                assert taken <= {"__version__"}, f"{path} takes {taken} from the package: import it from its module"


def test_files_are_small():
    sizes = {path: len(read(path).splitlines()) for path in MODULES}
    assert {path: lines for path, lines in sizes.items() if lines > 350} == {}


def test_the_project_speaks_only_of_itself():
    # Spelled in pieces, so that this file does not hold the words it looks for.
    words = ["/" + "work/", "/" + "root/", "/" + "home/", "/" + "tmp/w", "/" + "Users/", "shared/" + "design"]
    words += ["sub" + "agent", "this " + "session", "CONTRACT" + r"\.md", r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b"]
    pattern = re.compile("|".join(words))
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_no_large_files():
    assert [path for path in tracked_files() if path.stat().st_size > 2_000_000] == []


def test_the_checks_can_fail():
    level = {"data": 1, "storage": 2, "fit": 2}
    assert upward("bayeslaw.data.runs", "def f():\n    from bayeslaw.fit import fit", level) == ["bayeslaw.fit"]
    assert upward("bayeslaw.fit", "from bayeslaw.data.runs import Runs", level) == []
    assert upward("bayeslaw.fit", "from bayeslaw.storage import save", level) == ["bayeslaw.storage"]
    assert upward("bayeslaw.fit", "def f():\n    from bayeslaw.storage import save", level) == []
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}}) is None
    assert imports("if TYPE_CHECKING:\n    import bayeslaw.fit", at_load_only=True) == set()
