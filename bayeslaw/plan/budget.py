"""Budgets as people state them, and what they are in FLOP, device-hours, days and money.

One chain of units: FLOP = device-hours × 3600 × peak × MFU; money = device-hours × price; days = device-hours / 24 /
devices. MFU is the share of the peak that training keeps up (model FLOP utilisation).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from bayeslaw.data.units import SUFFIXES, human
from bayeslaw.errors import PlanError
from bayeslaw.plan.devices import device

#: utilisation taken where none is given: what well-kept trainings of dense models report
MFU = 0.4
_NUMBER = r"(?P<number>(?:\d[\d_,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(?P<suffix>(?:[kmbgtp](?![a-z]))?)"
_FORMS = {
    "flops": re.compile(rf"{_NUMBER}\s*(?P<unit>flops?)?", re.IGNORECASE),
    "petaflop-days": re.compile(rf"{_NUMBER}\s*(?P<unit>pf(?:lop)?/?s?-?\s*days?|petaflops?-?\s*days?)", re.IGNORECASE),
    "hours": re.compile(
        rf"{_NUMBER}\s*(?P<unit>[a-z][a-z0-9]*(?:-[a-z0-9]+)??)?[\s-]*(?:hours?|hrs?|h)", re.IGNORECASE
    ),
    "money": re.compile(rf"[$€£]\s*{_NUMBER}|{_NUMBER.replace('?P<', '?P<m')}\s*(?:usd|dollars?|eur|euros?)", re.I),
    "days": re.compile(
        rf"{_NUMBER}\s*days?(?:\s*(?:on|x|×)\s*(?P<count>\d[\d,]*)\s*(?:x\s*)?(?P<unit>[a-z][\w-]*?)?s?)?",
        re.IGNORECASE,
    ),
}
_EXAMPLES = '"1e22 FLOP", "2000 H100-hours", "$50k", "30 days on 64 H100", "100 PF-days"'


@dataclass(frozen=True)
class Rates:
    """What turns FLOP into hours, days and money. ``peak`` in FLOP/s, ``price`` per device and hour."""

    peak: float | None = None
    mfu: float = MFU
    price: float | None = None
    devices: int | None = None
    name: str = "device"

    def __post_init__(self) -> None:
        if not 0 < self.mfu <= 1:
            raise PlanError(f"MFU is a share of the peak, above 0 and at most 1 (0.4 is usual); got {self.mfu:g}.")
        for what, value in (("price", self.price), ("peak", self.peak), ("devices", self.devices)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise PlanError(f"{what} is a number above 0, not {value!r}.")

    def hours(self, flops: float) -> float | None:
        """Device-hours of a training of ``flops``; None without a device."""
        return None if self.peak is None else flops / (3600 * self.peak * self.mfu)

    def money(self, flops: float) -> float | None:
        """Its price; None without a device or a price."""
        hours = self.hours(flops)
        return None if hours is None or self.price is None else hours * self.price

    def days(self, flops: float) -> float | None:
        """Its days; None without a device or a number of devices."""
        hours = self.hours(flops)
        return None if hours is None or self.devices is None else hours / 24 / self.devices

    def flops_of_hours(self, hours: float, why: str) -> float:
        """FLOP of so many device-hours. PlanError without a device."""
        if self.peak is None:
            raise PlanError(f"{why} needs a device: gpu='h100' (--gpu h100), or its peak in FLOP/s.")
        return hours * 3600 * self.peak * self.mfu

    def flops_of_money(self, money: float, why: str) -> float:
        """FLOP that money buys. PlanError without a price or a device."""
        if self.price is None:
            raise PlanError(f"{why} needs the price of a device-hour: price=2.0 (--price 2.0).")
        return self.flops_of_hours(money / self.price, why)

    def say(self, flops: float) -> str:
        """A budget in all the units that are known."""
        parts = [f"{human(flops)} FLOP"]
        hours, money, days = self.hours(flops), self.money(flops), self.days(flops)
        if hours is not None:
            parts.append(f"{human(hours)} {self.name}-hours at MFU {self.mfu:g}")
        if days is not None:
            parts.append(f"{human(days)} days on {self.devices:,}")
        if money is not None:
            parts.append(f"{human(money)} at {self.price:g} per hour")
        return ", ".join(parts)


def rates(
    gpu: str | None = None, *, peak: float | None = None, mfu: float = MFU, price: float | None = None,
    devices: int | None = None,
) -> Rates:  # fmt: skip
    """Rates from a device's name or peak. PlanError for an unknown device, naming the nearest."""
    found = device(gpu) if gpu is not None else None
    top = peak if peak is not None else (found.peak if found else None)
    return Rates(top, mfu, price, devices, found.name if found else "device")


def parse_budget(text: str | float, given: Rates | None = None) -> tuple[float, Rates]:
    """A budget in FLOP, and the rates with what the text itself says (its device, its number of devices).

    Parameters
    ----------
    text : a number of FLOP, or words: "1e22 FLOP", "2000 H100-hours", "$50k", "30 days on 64 H100", "100 PF-days".
    given : device, MFU and price for budgets that are not in FLOP.

    Raises
    ------
    PlanError
        The text is no budget, is not above zero, or needs a device or a price that nobody gave.
    """
    known = given or Rates()
    if not isinstance(text, str):
        return _above_zero(float(text), text), known
    words = text.strip()
    if words.startswith(("-", "$-")):
        raise PlanError(f"A budget is more than 0, and {text!r} is not. Write it like {_EXAMPLES}.")
    for form, pattern in _FORMS.items():
        found = pattern.fullmatch(words)
        if found is None:
            continue
        parts = found.groupdict()
        number = parts.get("number") or parts.get("mnumber")
        amount = float(str(number).replace(",", "").replace("_", ""))
        amount *= SUFFIXES[(parts.get("suffix") or parts.get("msuffix") or "").lower()]
        _above_zero(amount, text)
        unit = parts.get("unit")
        if form in ("flops", "petaflop-days"):
            return amount * (1.0 if form == "flops" else 8.64e19), known
        if form == "money":
            return known.flops_of_money(amount, f"The budget {text!r}"), known
        if unit and unit.lower() not in ("gpu", "device", "accelerator"):
            known = rates(unit, mfu=known.mfu, price=known.price, devices=known.devices)
        if form == "days":
            count = int(parts["count"].replace(",", "")) if parts.get("count") else known.devices
            if count is None:
                raise PlanError(f"The budget {text!r} needs a number of devices: '30 days on 64 H100' or devices=64.")
            known = Rates(known.peak, known.mfu, known.price, count, known.name)
            return known.flops_of_hours(amount * 24 * count, f"The budget {text!r}"), known
        return known.flops_of_hours(amount, f"The budget {text!r}"), known
    raise PlanError(f"Cannot read {text!r} as a budget: its unit is none that is known. Write it like {_EXAMPLES}.")


def _above_zero(value: float, said: object) -> float:
    if not (math.isfinite(value) and value > 0):
        raise PlanError(f"A budget is more than 0, and {said!r} is not. Write it like {_EXAMPLES}.")
    return value
