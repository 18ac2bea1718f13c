"""Run effects on a law's symbols: their columns in the likelihood are slopes of the log loss."""

import jax
import numpy as np
import pytest

from bayeslaw.engine.density import law_rows
from bayeslaw.engine.layout import Entry, Layout
from bayeslaw.laws import LAWS, get_law

STEP = 1e-5

#: compiled whole, as the engine has it: one operation at a time takes many times as long
columns_of = jax.jit(law_rows, static_argnums=0)


def layout_with_effects(name):
    """The law's symbols, with a run effect on every positive one."""
    entries = tuple(Entry(s.name, s.kind, s.link) for s in get_law(name).symbols)
    return Layout(name, entries, "curves", effects=tuple(e.symbol for e in entries if e.link == "log"))


@pytest.mark.parametrize("name", LAWS)
def test_the_column_of_an_effect_is_the_slope_of_the_log_loss_in_the_log_of_its_symbol(cases, name):
    layout, case = layout_with_effects(name), cases[name]
    x = {k: np.asarray(v, float)[None, None] for k, v in case.row.items() if not k.startswith("seg_")}
    seg = {k: np.asarray(v, float)[None] for k, v in case.row.items() if k.startswith("seg_")}
    rows = {"x": x} | ({"blocks": [seg | {"series": np.array([0])}], "back": np.array([0])} if seg else {})

    def at(**changes):
        p = {k: np.array([float(v)]) for k, v in {**case.values, **changes}.items()}
        log_loss, columns = columns_of(layout, p, rows)
        return float(log_loss[0, 0]), {k: float(v[0, 0]) for k, v in columns.items()}

    with jax.enable_x64(True):
        _, columns = at()
        for symbol in layout.effects:
            value = case.values[symbol]
            up, down = (at(**{symbol: value * np.exp(d)})[0] for d in (STEP, -STEP))
            assert columns[symbol] == pytest.approx((up - down) / (2 * STEP), rel=1e-5, abs=1e-9), symbol
