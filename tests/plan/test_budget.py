"""Budgets as people write them."""

import pytest

from bayeslaw.errors import PlanError
from bayeslaw.plan.budget import Rates, parse_budget, rates
from bayeslaw.plan.devices import PEAK, device

H100 = rates("h100", mfu=0.4, price=2.0)
HOUR = 3600 * 989e12 * 0.4


@pytest.mark.parametrize(
    ("text", "flops"),
    [
        ("1e22 FLOP", 1e22),
        ("1e22", 1e22),
        (3e21, 3e21),
        ("2000 H100-hours", 2000 * HOUR),
        ("2k h100 hours", 2000 * HOUR),
        ("2000 gpu-hours", 2000 * HOUR),
        ("2,000 hours", 2000 * HOUR),
        ("$50k", 25_000 * HOUR),
        ("50k USD", 25_000 * HOUR),
        ("30 days on 64 H100", 30 * 24 * 64 * HOUR),
        ("30 days on 64 x H100s", 30 * 24 * 64 * HOUR),
        ("1 PF-days", 8.64e19),
        ("100 a100-hours", 100 * 3600 * 312e12 * 0.4),
        ("500 tpu-v5e hours", 500 * 3600 * 197e12 * 0.4),
    ],
)
def test_budgets(text, flops):
    assert parse_budget(text, H100)[0] == pytest.approx(flops, rel=1e-12)


@pytest.mark.parametrize("text", ["0", "$0", "-1", "-5 FLOP", "0 hours", "nan", "inf", 0.0, -2.0, float("nan")])
def test_a_budget_is_above_zero(text):
    with pytest.raises(PlanError, match=r"more than 0|Cannot read"):
        parse_budget(text, H100)


@pytest.mark.parametrize("text", ["3 bananas", "", "many", "1e22 watts", "12 parsecs"])
def test_an_unknown_unit_is_named(text):
    with pytest.raises(PlanError, match="2000 H100-hours"):
        parse_budget(text, H100)


def test_what_a_budget_lacks_is_asked_for():
    with pytest.raises(PlanError, match="price"):
        parse_budget("$50k", rates("h100"))
    with pytest.raises(PlanError, match="gpu="):
        parse_budget("100 hours")
    with pytest.raises(PlanError, match="number of devices"):
        parse_budget("30 days", H100)


def test_an_unknown_device_is_met_with_the_nearest():
    with pytest.raises(PlanError, match="h100"):
        device("h101")
    with pytest.raises(PlanError, match="peak"):
        device("quux")
    with pytest.raises(PlanError, match="h100"):
        parse_budget("2000 H101-hours", H100)
    assert device("NVIDIA H100 SXM5 80GB").peak == PEAK["h100"]
    assert device("TPU v5p").peak == PEAK["tpu-v5p"]


def test_rates_there_and_back():
    one = Rates(1e15, 0.5, 3.0, 10)
    assert one.hours(1.8e18) == pytest.approx(1)
    assert one.money(1.8e18) == pytest.approx(3)
    assert one.days(1.8e18 * 240) == pytest.approx(1)
    assert Rates().hours(1e20) is None
    assert Rates(1e15).money(1e20) is None
    for bad in ({"mfu": 0}, {"mfu": 1.5}, {"price": -1}, {"peak": 0}, {"devices": 0}):
        with pytest.raises(PlanError):
            Rates(**bad)
