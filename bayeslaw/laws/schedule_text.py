"""Reads a schedule written in one line: ``wsd:peak=3e-4,total=24000,warmup=2000,decay=0.2,shape=linear``."""

from __future__ import annotations

from typing import Any

from bayeslaw.errors import DataError, nearest

WHOLE, NUMBER, WORD = "a whole number of steps", "a number", "a word"

#: constructor of Schedule -> its arguments; those marked True must be given
KINDS: dict[str, dict[str, tuple[str, bool]]] = {
    "constant": {"peak": (NUMBER, True), "total": (WHOLE, True), "warmup": (WHOLE, False)},
    "cosine": {
        "peak": (NUMBER, True),
        "total": (WHOLE, True),
        "warmup": (WHOLE, False),
        "final_fraction": (NUMBER, False),
    },
    "wsd": {
        "peak": (NUMBER, True),
        "total": (WHOLE, True),
        "warmup": (WHOLE, False),
        "decay": (NUMBER, False),
        "shape": (WORD, False),
        "final_fraction": (NUMBER, False),
    },
    "two_stage": {
        "peak": (NUMBER, True),
        "second": (NUMBER, True),
        "at": (WHOLE, True),
        "total": (WHOLE, True),
        "warmup": (WHOLE, False),
    },
}

EXAMPLES = {
    "constant": "constant:peak=3e-4,total=24000,warmup=2000",
    "cosine": "cosine:peak=3e-4,total=24000,warmup=2000,final_fraction=0.1",
    "wsd": "wsd:peak=3e-4,total=24000,warmup=2000,decay=0.2,shape=linear",
    "two_stage": "two-stage:peak=3e-4,second=9e-5,at=8000,total=16000,warmup=2000",
}


def read_schedule(text: str) -> tuple[str, dict[str, Any]]:
    """Name of the Schedule constructor and its arguments; DataError if the line cannot be read."""
    head, _, rest = text.partition(":")
    kind = head.strip().lower().replace("-", "_")
    if kind not in KINDS:
        near = nearest(kind, KINDS, most=1)
        example = EXAMPLES[near[0] if near else "wsd"]
        names = ", ".join(k.replace("_", "-") for k in KINDS)
        raise DataError(f"No schedule is called {head.strip()!r} (in {text!r}); there are {names}. Write {example!r}.")
    allowed, hint = KINDS[kind], f"Write {EXAMPLES[kind]!r}."
    arguments: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in rest.split(","))):
        name, equals, value = (p.strip() for p in part.partition("="))
        if not equals or not value:
            raise DataError(f"{part!r} in {text!r} is not of the form name=value. {hint}")
        if name not in allowed:
            raise DataError(
                f"A {head.strip()} schedule has no {name!r} (in {text!r}), only {', '.join(allowed)}. {hint}"
            )
        if name in arguments:
            raise DataError(f"{name!r} comes twice in {text!r}. {hint}")
        arguments[name] = _value(name, value, allowed[name][0], text, hint)
    missing = [name for name, (_, needed) in allowed.items() if needed and name not in arguments]
    if missing:
        raise DataError(f"{text!r} lacks {', '.join(missing)}. {hint}")
    return kind, arguments


def _value(name: str, value: str, what: str, text: str, hint: str) -> Any:
    if what == WORD:
        return value
    try:
        number = float(value)
    except ValueError:
        raise DataError(f"{name}={value!r} in {text!r} is not {what}. {hint}") from None
    if what == WHOLE:
        if not number.is_integer():
            raise DataError(f"{name}={value!r} in {text!r} is not {what}. {hint}")
        return int(number)
    return number
