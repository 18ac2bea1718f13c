"""The looped language model of examples/looplm: its objective by hand, and that a run is its seed and nothing else."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import bayeslaw as bl

pytest.importorskip("equinox", reason="examples/looplm wants equinox (examples/looplm/requirements.txt)")
pytest.importorskip("optax", reason="examples/looplm wants optax (examples/looplm/requirements.txt)")

HOME = Path(__file__).parent.parent / "examples" / "looplm"
MODULES = ("corpus", "model", "objective", "train", "grid", "pack")


@pytest.fixture(scope="module")
def looplm():
    """The example's modules, by name, imported as its commands import them."""
    sys.path.insert(0, str(HOME))
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(HOME))
        for name in MODULES:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def corpus(looplm):
    """A few batches of a language of counting letters, 2 rows of 12 tokens each."""
    letters = (np.arange(2000) ** 2 % 97 + 20).astype(np.uint8)
    rows = looplm["corpus"].chunks([letters.tobytes()], 12)
    return looplm["corpus"].Corpus("toy", "made up", "", rows[:-4], rows[-4:])


@pytest.fixture
def tiny(looplm):
    def make(**settings):
        base = {"length": 12, "batch": 2, "steps": 8, "warmup": 2, "held_out_every": 4, "seed": 3}
        return looplm["train"].Config(
            **{"name": "tiny", "corpus": "toy", "width": 8, "recurrence": 2, **base, **settings}
        )

    return make


def log_of(path):
    with np.load(path, allow_pickle=False) as saved:
        return saved["log"]


def test_objective_by_hand(looplm):
    # One token, three steps. Gates at logit 0 stop with chance a half: q = (1/2, 1/4, 1/4), whatever the last one is.
    total, parts = looplm["objective"].objective(
        np.array([[3.0], [2.0], [1.0]]), np.array([[0.0], [0.0], [-7.0]]), beta=0.1
    )
    entropy = 0.5 * np.log(2) + 0.5 * np.log(4)
    np.testing.assert_allclose(parts["weights"], [0.5, 0.25, 0.25], rtol=1e-6)
    np.testing.assert_allclose(parts["entropy"], entropy, rtol=1e-6)
    np.testing.assert_allclose(total, 0.5 * 3 + 0.25 * 2 + 0.25 * 1 - 0.1 * entropy, rtol=1e-6)


def test_objective_of_one_step_is_the_plain_loss(looplm):
    total, parts = looplm["objective"].objective(np.array([[2.0, 4.0]]), np.array([[5.0, -5.0]]), beta=0.1)
    assert float(total) == pytest.approx(3.0)
    assert float(parts["entropy"]) == 0.0


def test_objective_weighs_token_by_token(looplm):
    # Two tokens whose gates disagree: the mean of the products, not the product of the means.
    gates = np.array(
        [[np.log(3.0), -np.log(3.0)], [0.0, 0.0]]
    )  # the first stops at once with chance 3/4, the other 1/4
    total, parts = looplm["objective"].objective(np.array([[1.0, 5.0], [2.0, 3.0]]), gates, beta=0.0)
    assert float(total) == pytest.approx(((0.75 * 1 + 0.25 * 2) + (0.25 * 5 + 0.75 * 3)) / 2)
    np.testing.assert_allclose(parts["weights"], [0.5, 0.5], rtol=1e-6)


def test_token_losses_are_cross_entropies(looplm):
    logits = np.log(np.array([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]]))
    losses = looplm["objective"].token_losses(logits, np.array([0, 2]))
    np.testing.assert_allclose(losses, [[np.log(2), -np.log(0.8)]], rtol=1e-6)


def test_block_is_tied(looplm):
    import jax

    train = looplm["train"]
    configs = [train.Config("x", "toy", 8, t) for t in (1, 2)]
    shallow, deep = (train.initial(config)[0] for config in configs)
    assert train.counts(configs[0]) == train.counts(configs[1])
    assert sum(leaf.size for leaf in jax.tree.leaves(deep)) == 12 * 8**2 + 2 * 8 + 8 + 9 + 128 * 8
    block = 12 * 8**2 + 2 * 8  # four matrices of 12 width^2 entries in all, two norms
    assert train.counts(configs[1]) == {"n_params": block + 8 + 9, "n_params_recurrent": block, "n_embedding": 128 * 8}
    tokens = np.arange(12)[None]
    np.testing.assert_array_equal(deep(tokens)[0][0], shallow(tokens)[0][0])  # same seed: the first step is the same
    assert not np.allclose(deep(tokens)[0][1], deep(tokens)[0][0])
    assert jax.tree.structure(shallow.block) == jax.tree.structure(deep.block)


def test_model_sees_no_future(looplm):
    model = looplm["train"].initial(looplm["train"].Config("x", "toy", 8, 2))[0]
    tokens = np.arange(12)[None]
    changed = np.where(tokens < 7, tokens, 99)
    np.testing.assert_array_equal(model(tokens)[0][:, :, :7], model(changed)[0][:, :, :7])
    assert not np.allclose(model(tokens)[0][:, :, 7:], model(changed)[0][:, :, 7:])


def test_same_seed_same_curve_and_learning_happens(looplm, tiny, corpus, tmp_path):
    run = looplm["train"].run
    logs = [log_of(run(tiny(name=name, steps=40, lr=0.02), corpus, tmp_path)) for name in "ab"]
    np.testing.assert_array_equal(*logs)
    other = log_of(run(tiny(name="c", steps=40, lr=0.02, seed=4), corpus, tmp_path))
    total = looplm["train"].columns(2).index("total")
    assert not np.allclose(other[:, total], logs[0][:, total])
    assert logs[0][-5:, total].mean() < logs[0][0, total] - 0.1


@pytest.mark.parametrize("cut", [1, 5])
def test_resumed_run_is_the_unbroken_one(looplm, tiny, corpus, tmp_path, monkeypatch, cut):
    train = looplm["train"]
    unbroken = log_of(train.run(tiny(name="unbroken"), corpus, tmp_path))
    monkeypatch.setattr(train, "SAVE_EVERY", cut)

    def killed(step, total):
        if step == cut + 2:  # after the last save, so that steps are lost and done again
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train.run(tiny(), corpus, tmp_path, report=killed)
    assert train.steps_done(tiny(), tmp_path) in (cut, cut + 1)
    np.testing.assert_array_equal(log_of(train.run(tiny(), corpus, tmp_path)), unbroken)


def test_a_branch_starts_where_its_parent_ends(looplm, tiny, corpus, tmp_path):
    train = looplm["train"]
    parent = tiny()
    branch = train.branch(parent, 4)
    with pytest.raises(FileNotFoundError):
        train.run(branch, corpus, tmp_path)
    train.run(parent, corpus, tmp_path)
    log = log_of(train.run(branch, corpus, tmp_path))
    assert log[:, 0].tolist() == [9, 10, 11, 12]
    lr = log[:, train.columns(2).index("lr")] / parent.lr
    np.testing.assert_allclose(lr, [0.8, 0.6, 0.4, 0.2])
    assert parent.learning_rate(1) == parent.lr / 2
    assert parent.learning_rate(8) == parent.lr


def test_corrupted_stretch_shuffles_letters_and_nothing_else(looplm, tiny, corpus):
    train = looplm["train"]
    clean, corrupt = tiny(), tiny(corrupt=(3, 4))
    for step in range(1, 9):
        rows, other = (train.batch_rows(c, corpus, step) for c in (clean, corrupt))
        assert np.array_equal(rows, other) == (step not in (3, 4))
        np.testing.assert_array_equal(np.sort(rows, axis=1), np.sort(other, axis=1))


def test_every_byte_is_a_target_once(looplm):
    rows = looplm["corpus"].chunks([bytes(range(1, 50)), bytes(range(50, 100))], 10)
    targets = rows[:, 1:].ravel()
    stream = [*range(1, 50), 0, *range(50, 100), 0]
    assert targets.tolist() == stream[1 : len(targets) + 1]


def test_batches_are_alike(looplm):
    rng = np.random.default_rng(0)
    kinds = rng.permutation(np.repeat([2, 8, 40, 100], 50))  # letters drawn from alphabets of many sizes
    rows = np.stack([rng.integers(0, k, 33) for k in kinds]).astype(np.uint8)
    module = looplm["corpus"]
    ordered = module.stratified(rows, 4, np.random.default_rng(1))
    assert sorted(map(bytes, ordered)) == sorted(map(bytes, rows))
    hard = module.difficulty(ordered).reshape(-1, 4)
    assert hard.mean(1).std() < 0.5 * rng.permutation(hard.ravel()).reshape(-1, 4).mean(1).std()


def test_grid_goes_from_coarse_to_fine(looplm):
    todo = list(looplm["grid"].grid())
    cells = {(c.corpus, c.width, c.recurrence) for c, _ in todo}
    assert {t for _, _, t in cells} == {1, 2, 4, 8}
    assert len({w for corpus, w, _ in cells if corpus == "code"}) == 5
    parents = {c.name: until for c, until in todo if not c.parent}
    for config, until in todo:
        if config.parent:
            assert parents[config.parent] == until - config.decay


def test_packed_runs_are_what_was_logged(looplm, tiny, corpus, tmp_path, monkeypatch):
    pack, train = looplm["pack"], looplm["train"]
    with pytest.raises(FileNotFoundError, match="no runs"):
        pack.table(tmp_path)
    log = log_of(train.run(tiny(name="a"), corpus, tmp_path, until=6))
    train.run(tiny(name="b", corrupt=(3, 4)), corpus, tmp_path)
    monkeypatch.setattr("sys.argv", ["pack.py", str(tmp_path), str(tmp_path / "x.parquet")])
    pack.main()
    assert "| b | 801 | 2 | 8 | 192 |" in (tmp_path / "x.md").read_text()
    names = train.columns(2)
    runs = bl.load(tmp_path / "x.parquet")
    assert runs.frame["run"].value_counts().to_dict() == {"a": 18, "b": 24}  # total and two steps, of 6 and 8 steps
    for exit_step, column in ((np.nan, "total"), (1, "loss_1"), (2, "loss_2")):
        mine = runs.frame.loc[runs.frame["run"] == "a"]
        mine = mine.loc[mine["exit_step"].isna() if np.isnan(exit_step) else mine["exit_step"] == exit_step]
        np.testing.assert_allclose(mine["loss"], log[:, names.index(column)], atol=1e-4)
        np.testing.assert_array_equal(mine["tokens"], 24 * np.arange(1, 7))
    total = runs.frame.loc[runs.frame["exit_step"].isna()]
    np.testing.assert_allclose(total["gate_1"] + total["gate_2"], 1, atol=2e-3)
    assert total["held_out"].notna().sum() == 3
    assert runs.frame["n_params"].unique().tolist() == [train.counts(tiny())["n_params"]]
    assert set(total["data_order"]) == {"toy", "toy, corrupted"}
