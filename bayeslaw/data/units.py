"""Large numbers as people write them: "70B", "1.4T", "5.76e23 FLOP".

Suffixes are short-scale (k, M, B or G, T, P) in either case, so "70b" is 7e10. A trailing
word that only names the quantity (params, parameters, tokens, FLOP, FLOPs, steps) is allowed and ignored.
"""

from __future__ import annotations

import math
import re

from bayeslaw.errors import DataError

SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12, "p": 1e15}
_WORDS = r"params?|parameters?|tokens?|toks?|flops?|steps?"
_NUMBER = re.compile(
    rf"\s*(?P<number>[+-]?(?:\d[\d_,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(?P<suffix>[kmbgtp]?)\s*(?:{_WORDS})?\s*",
    re.IGNORECASE,
)


def parse(value: str | float, what: str = "number") -> float:
    """Read a number with an optional short-scale suffix.

    Parameters
    ----------
    value : "70B", "1.4T", "125M", "1e9", "5.76e23 FLOP", "300,000", or a plain number.
    what : what the number is, for the message ("n_params").

    Returns
    -------
    float, in units (parameters, tokens, FLOP).

    Raises
    ------
    DataError
        The text is not such a number, or the number is not finite.
    """
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value)
        if match is None or not _commas_are_thousands(match["number"]):
            raise DataError(_complaint(value, what))
        number = float(match["number"].replace(",", "").replace("_", "")) * SUFFIXES[match["suffix"].lower()]
        # 1.4 * 1e12 is 1399999999999.9998 in floating point; the user meant the decimal.
        number = float(f"{number:.15g}")
    else:
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise DataError(_complaint(value, what)) from None
    if not math.isfinite(number):
        raise DataError(_complaint(value, what))
    return number


def human(number: float, digits: int = 3) -> str:
    """Write a number the way people say it: ``human(70e9)`` is ``"70B"``, ``human(5.76e23)`` is ``"5.76e+23"``.

    ``digits`` is the number of significant digits. From 1e18 on, and below 0.001, scientific notation is clearer.
    """
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    rounded = float(f"{number:.{digits - 1}e}")
    size = abs(rounded)
    if size >= 1e18 or size < 1e-3:
        return f"{rounded:.{digits}g}"
    for suffix, scale in (("P", 1e15), ("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0)):
        if size >= scale:
            return _plain(rounded / scale, digits) + suffix
    return _plain(rounded, digits)


def exact(value: object) -> str:
    """A cell of a table in a message, where two values must not look the same: all digits, thousands apart."""
    return value if isinstance(value, str) else f"{float(value):,.12g}"  # type: ignore[arg-type]


def _plain(number: float, digits: int) -> str:
    return f"{number:.{max(digits, 3)}g}"


def _commas_are_thousands(text: str) -> bool:
    """True unless a comma could be a decimal comma: "1,4" must not become 14."""
    return "," not in text or re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", text) is not None


def _complaint(value: object, what: str) -> str:
    return (
        f"Cannot read {value!r} as {what}. Write a plain number or one with a suffix k, M, B, T: "
        f'"70B", "1.4T", "125M", "1e9" or "5.76e23 FLOP".'
    )
