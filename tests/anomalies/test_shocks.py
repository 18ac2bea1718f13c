"""Runs of one data order are found by their shocks, with the offset; others are not."""

from dataclasses import replace

import numpy as np

from bayeslaw.anomalies.shocks import Curve, align, lookup


def curves(frame):
    return {
        run: Curve(run, part["step"].to_numpy(), part["loss"].to_numpy(), part["step"].to_numpy())
        for run, part in frame.groupby("run")
    }


def test_an_offset_is_found(make_family):
    frame = make_family(3, 600)
    late = frame["run"] == "r2"
    frame.loc[late, "step"] += 1
    found = align(curves(frame))
    assert {(s.run, s.offset) for s in found["r0"]} == {("r1", 0), ("r2", 1)}
    assert {(s.run, s.offset) for s in found["r2"]} == {("r0", -1), ("r1", -1)}
    assert all(s.correlation > 0.98 and s.evidence > 100 for group in found.values() for s in group)


def test_runs_with_other_batches_are_not_aligned(make_family):
    one, two = make_family(1, 600, seed=1), make_family(1, 600, seed=2)
    two["run"] = "other"
    assert all(not s for s in align({**curves(one), **curves(two)}).values())


def test_lookup_takes_the_sibling_at_the_offset(make_family):
    frame = make_family(2, 100)
    frame.loc[frame["run"] == "r1", "step"] += 3
    c = curves(frame)
    c["r1"] = replace(c["r1"], lr=np.linspace(1e-3, 0, 100))
    loss, lr = lookup(c["r0"], align(c)["r0"], c)
    assert np.array_equal(loss[:, 0], c["r1"].loss)
    assert np.array_equal(lr[:, 0], c["r1"].lr)
    back = lookup(c["r1"], align(c)["r1"], c)[1]
    assert np.isnan(back).all()


def test_real_families(shared_data):
    import bayeslaw as bl

    runs = bl.load(shared_data("modded-nanogpt") / "runs.csv.gz")
    names = [n for n in runs.names if "PyTorch25" in n or "Muon" in n or "Warmup/30" in n or "llmc" in n or "1B" in n]
    c = {}
    for name in names:
        f = runs.curve(name)
        f = f[(f["step"] > 0) & (f["step"] < 2000)]
        c[name] = Curve(name, f["step"].to_numpy(float), f["loss"].to_numpy(), f["step"].to_numpy(float))
    found = align(c)
    warm = "2024-11-24_WindowWarmup/30"
    assert {s.offset for s in found[warm]} == {1}
    assert not found["2024-10-13_llmc/3"]
    assert not found["2024-10-20_ScaleUp1B/7"]
    assert [s.run for s in found["2024-10-20_ScaleUp1B/8"]] == ["2024-10-20_ScaleUp1B/9"]
    assert found[warm][0].correlation > 0.95
