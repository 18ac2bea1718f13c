"""The public surface is documented: every name, its parameters, and the errors that it raises itself."""

import ast
import inspect
import re
import textwrap
from dataclasses import fields, is_dataclass

import pytest

import bayeslaw
from bayeslaw import errors

#: public modules whose names, without an underscore and defined there, are public too
MODULES = ("cards", "datasets", "errors", "laws", "live")
ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type)}


def surface():
    """(dotted name, object) of everything public."""
    found = {}
    for name in bayeslaw.__all__:
        if name == "__version__":
            continue
        value = getattr(bayeslaw, name)
        found[name] = value
        if name in MODULES:
            exported = getattr(value, "__all__", None) or [
                n for n, v in vars(value).items() if getattr(v, "__module__", None) == value.__name__
            ]
            found |= {f"{name}.{n}": getattr(value, n) for n in exported if not n.startswith("_")}
    for name, value in list(found.items()):
        if inspect.isclass(value):
            for part, member in vars(value).items():
                if not part.startswith("_") and (callable(member) or isinstance(member, property | classmethod)):
                    found[f"{name}.{part}"] = member.__func__ if isinstance(member, classmethod) else member
                elif not part.startswith("_") and hasattr(member, "func"):  # a cached property
                    found[f"{name}.{part}"] = member.func
    return found


SURFACE = {k: v for k, v in surface().items() if not isinstance(v, dict | tuple | str | int | float)}


def inherited(name):
    """The docstring of the method that this one overrides, if any."""
    owner, _, part = name.rpartition(".")
    value = SURFACE.get(owner)
    bases = inspect.getmro(value)[1:] if inspect.isclass(value) else ()
    return next((inspect.getdoc(getattr(b, part)) for b in bases if getattr(b, part, None) is not None), None)


def text_of(name):
    value = SURFACE[name]
    own = value.fget.__doc__ if isinstance(value, property) else value.__doc__
    return own or inherited(name) or ""


@pytest.mark.parametrize("name", SURFACE)
def test_every_public_name_is_documented(name):
    text = text_of(name)
    assert len(text.split()) >= 3, f"{name} has no docstring"
    # a dataclass without a docstring gets its signature for one
    assert not text.startswith(f"{name.rpartition('.')[2]}("), f"{name} has a generated docstring"


@pytest.mark.parametrize("name", SURFACE)
def test_every_parameter_is_named(name):
    value, text = SURFACE[name], text_of(name)
    if inspect.isclass(value):
        if not is_dataclass(value):
            return
        names = [f.name for f in fields(value) if not f.name.startswith("_")]
        # a field may be told of where it stands, by a line that begins with #:
        text += inspect.getsource(value)[inspect.getsource(value).find('"""') :]
        names = [] if issubclass(value, BaseException) else names
    elif inspect.isfunction(value):
        names = [p for p in inspect.signature(value).parameters if p not in ("self", "cls") and not p.startswith("_")]
        if (own := value.__doc__) is None or name.rpartition(".")[2].startswith("_"):
            return
        if len(names) < 2 and len(own.split()) < 60:
            return  # one argument, told in a sentence
    else:
        return
    missing = [p for p in names if not re.search(rf"\b{p}\b", text)]
    assert not missing, f"{name} says nothing of {', '.join(missing)}"


@pytest.mark.parametrize("name", SURFACE)
def test_errors_that_it_raises_itself_are_named(name):
    value = SURFACE[name]
    if not inspect.isfunction(value):
        return
    tree = ast.parse(textwrap.dedent(inspect.getsource(value)))
    raised = {
        n.exc.func.id
        for n in ast.walk(tree)
        if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call) and isinstance(n.exc.func, ast.Name)
    }
    missing = [e for e in sorted(raised & ERRORS) if e not in text_of(name)]
    assert not missing, f"{name} raises {', '.join(missing)} and does not say so"


VERBS = ["fit", "forecast", "load", "backtest", "plan", "next_runs", "anomalies", "compare", "what_if"]


@pytest.mark.parametrize("name", VERBS)
def test_the_verbs_have_sections_and_units(name):
    text = text_of(name)
    assert "Parameters\n" in text
    assert "Raises\n" in text
    assert "Returns\n" in text
    assert re.search(r"nats|FLOP|tokens|per cent|fraction|steps", text), f"{name} names no unit"


def test_the_laws_name_their_source_and_units():
    for law in bayeslaw.LAWS.values():
        assert re.search(r"arXiv \d{4}\.\d{5}", type(law).__doc__ or "")
        assert all(s.unit for s in law.symbols)


def test_the_check_sees_the_surface():
    assert {"fit", "Fit.check", "Runs.from_frame", "Band", "laws.register", "datasets.load"} <= set(SURFACE)
