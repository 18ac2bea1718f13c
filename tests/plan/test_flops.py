"""Counts of FLOP against published ones."""

import numpy as np
import pandas as pd
import pytest

from bayeslaw.errors import PlanError
from bayeslaw.plan.flops import CONVENTIONS, Transformer, inference_flops, looped_per_token, per_token, training_flops

#: Brown et al. 2020 (arXiv 2005.14165), table 2.1; Hoffmann et al. 2022, table 4
GPT3 = Transformer(layers=96, width=12288, heads=96, vocabulary=50257, sequence=2048)
CHINCHILLA = Transformer(layers=80, width=8192, heads=64, vocabulary=32000, sequence=2048)


def test_gpt3_as_published():
    # table D.1 counts 174,600M parameters, 300B tokens, 3.14e23 FLOP, as 6 N D
    assert training_flops(174.6e9, 300e9) == pytest.approx(3.14e23, rel=0.03)
    assert per_token(GPT3, "6N") * 300e9 == pytest.approx(3.14e23, rel=0.03)
    assert GPT3.n_params == pytest.approx(174.6e9, rel=0.005)


@pytest.mark.parametrize("convention", ["palm", "hoffmann", "looped"])
def test_chinchilla_as_published(convention):
    assert per_token(CHINCHILLA, convention) * 1.4e12 == pytest.approx(5.76e23, rel=0.03)
    assert training_flops(70e9, 1.4e12) == pytest.approx(5.76e23, rel=0.03)


def test_the_looped_remainder_of_the_published_models(shared_data):
    frame = pd.read_csv(shared_data("looped-iso-depth") / "runs.csv").query("group == 'vanilla'")
    width = frame["run"].str.extract(r"/s(\d+)$")[0].astype(int)
    looped = looped_per_token(frame["n_params_once"], frame["n_params_recurrent"], frame["recurrence"])
    rest = frame["flops_per_token"] - looped
    assert (rest == 43_769_856 * width).all()
    # 20 effective layers of width 64 s over 2,048 tokens, and an unembedding of 32,064 words
    whole = looped_per_token(
        frame["n_params_once"], frame["n_params_recurrent"], frame["recurrence"],
        layers=20, width=64 * width, vocabulary=32064, sequence=2048,
    )  # fmt: skip
    assert np.allclose(whole, frame["flops_per_token"], rtol=1e-12)


def test_a_loop_costs_as_often_as_it_is_run():
    once = Transformer(layers=4, looped_layers=0, width=512, heads=8, vocabulary=1000, sequence=256)
    twice = Transformer(layers=2, looped_layers=2, recurrence=1, width=512, heads=8, vocabulary=1000, sequence=256)
    thrice = Transformer(layers=2, looped_layers=2, recurrence=3, width=512, heads=8, vocabulary=1000, sequence=256)
    deep = Transformer(layers=8, width=512, heads=8, vocabulary=1000, sequence=256)
    for convention in CONVENTIONS:
        assert per_token(once, convention) == per_token(twice, convention)
        assert per_token(thrice, convention) == per_token(deep, convention)
    assert thrice.n_params == once.n_params


def test_experts_count_where_they_are_active():
    dense = Transformer(layers=2, width=64, heads=4, vocabulary=100, sequence=32)
    sparse = Transformer(layers=2, width=64, heads=4, vocabulary=100, sequence=32, experts=8, active_experts=1)
    assert per_token(sparse) == per_token(dense)
    assert sparse.n_params - dense.n_params == 2 * 7 * 2 * 64 * 256
    assert inference_flops(1e9, 10) == 2e10


def test_what_is_no_transformer():
    with pytest.raises(PlanError, match="layer"):
        Transformer(layers=0, width=64, heads=4, vocabulary=100, sequence=32)
    with pytest.raises(PlanError, match="active"):
        Transformer(layers=1, width=64, heads=4, vocabulary=100, sequence=32, active_experts=2)
    with pytest.raises(PlanError, match="6N, palm"):
        per_token(GPT3, "guess")
