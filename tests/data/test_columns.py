import pytest

from bayeslaw.data.aliases import ALIASES, CROSS_ENTROPY, EVAL_LOSS
from bayeslaw.data.columns import CANONICAL, match
from bayeslaw.errors import DataError


def test_every_alias_belongs_to_one_canonical_column():
    names = [alias.lower() for aliases in ALIASES.values() for alias, _ in aliases if len(alias) > 1]
    assert len(names) == len(set(names))
    assert set(ALIASES) <= set(CANONICAL)
    others = [alias.lower() for alias, _ in (*EVAL_LOSS, *CROSS_ENTROPY)]
    assert len(others) == len(set(others))
    assert not set(others) & set(names)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["step", "loss", "learning_rate", "grad_norm"], {"step": "step", "loss": "loss", "lr": "learning_rate"}),
        (["_step", "train/global_step", "train/loss"], {"step": "train/global_step", "loss": "train/loss"}),
        (["_step", "_runtime", "loss"], {"step": "_step", "loss": "loss"}),
        (["step", "n_tokens_seen", "loss_metrics/global_avg_loss"], {"tokens": "n_tokens_seen"}),
        (["throughput/total_tokens", "train/CrossEntropyLoss"], {"tokens": "throughput/total_tokens"}),
        (["iteration", "consumed_tokens", "lm_loss"], {"step": "iteration", "loss": "lm_loss"}),
        (["time/batch", "time/token", "metrics/train/LanguageCrossEntropy"], {"step": "time/batch"}),
        (["Step", "Loss"], {"step": "Step", "loss": "Loss"}),
        (["N", "D", "C", "loss"], {"n_params": "N", "tokens": "D", "flops": "C"}),
        (["step", "lm loss", "learning-rate", "grad-norm"], {"loss": "lm loss", "grad_norm": "grad-norm"}),
        (["step", "train/lm_loss", "train/learning_rate", "validation/lm_loss"], {"loss": "train/lm_loss"}),
        (["step", "learning/loss", "learning/lm_loss", "eval/avg_loss"], {"loss": "learning/lm_loss"}),
        (["step", "learning/loss", "eval/avg_loss"], {"loss": "learning/loss"}),
        (["time/batch", "loss/train/total", "metrics/eval/LanguageCrossEntropy"], {"loss": "loss/train/total"}),
        (["step", "train/loss", "train/cross_entropy_loss"], {"loss": "train/cross_entropy_loss"}),
        (["step", "global_step", "reduced_train_loss", "val_loss"], {"loss": "reduced_train_loss", "step": "step"}),
    ],
)
def test_knows_the_trainers(columns, expected):
    mapping = match(columns).mapping
    assert expected.items() <= mapping.items()


def test_single_letters_keep_their_case():
    assert "n_params" not in match(["n", "d", "loss"]).mapping


def test_canonical_name_beats_every_alias():
    found = match(["step", "loss", "train/loss", "eval_loss"])
    assert found.mapping["loss"] == "loss"


def test_train_loss_beats_eval_loss_and_says_so():
    found = match(["step", "train/loss", "eval/loss"])
    assert found.mapping["loss"] == "train/loss"
    assert any("'eval/loss' was left aside" in note and "--column loss=eval/loss" in note for note in found.notes)


def test_cross_entropy_beats_a_total_and_says_so():
    found = match(["step", "train/loss", "train/CE loss"])
    assert found.mapping["loss"] == "train/CE loss"
    assert any("'train/loss', which may hold auxiliary losses, was left aside" in note for note in found.notes)


def test_lone_eval_loss_is_taken_and_said():
    found = match(["step", "val_loss"])
    assert found.mapping["loss"] == "val_loss"
    assert found.notes == ("The loss is the validation loss 'val_loss': there is no train loss here.",)


def test_ambiguous_loss_names_candidates_and_the_remedy():
    with pytest.raises(DataError) as error:
        match(["step", "train/loss", "lm loss"])
    assert str(error.value) == (
        "2 columns could be loss (nats per token): 'train/loss', 'lm loss'. Choose one: "
        'columns={"loss": "train/loss"} in Python, --column loss="train/loss" on the command line.'
    )


def test_names_that_differ_in_case_alone_are_two_candidates():
    with pytest.raises(DataError, match=r"2 columns could be loss .* 'Loss', 'LOSS'"):
        match(["step", "Loss", "LOSS"])
    assert match(["step", "Loss", "loss"]).mapping["loss"] == "loss"
    assert match(["step", "Train/Loss", "train/loss"]).mapping["loss"] == "train/loss"


def test_users_choice_settles_it():
    assert match(["train/loss", "lm loss"], {"loss": "lm loss"}).mapping["loss"] == "lm loss"


def test_no_loss_lists_columns_and_the_nearest():
    with pytest.raises(DataError) as error:
        match(["step", "train_loss_ema", "lr"])
    assert str(error.value) == (
        "There is no loss column (nats per token) among 'step', 'train_loss_ema', 'lr'. The nearest is "
        '\'train_loss_ema\': if that is it, columns={"loss": "train_loss_ema"}, or --column loss="train_loss_ema".'
    )


@pytest.mark.parametrize(
    ("column", "remedy"),
    [
        ("bpb", "bits per byte: multiply by ln 2 = 0.6931 and by the tokenizer's mean bytes per token"),
        ("eval/bits_per_byte", "bits per byte"),
        ("bits_per_token", "bits per token: multiply by ln 2"),
        ("bits", "bits per token: multiply by ln 2"),
        ("train/perplexity", "perplexity: take its natural logarithm"),
        ("ppl", "perplexity: take its natural logarithm"),
    ],
)
def test_other_units_come_with_the_conversion(column, remedy):
    with pytest.raises(DataError) as error:
        match(["step", column])
    assert repr(column) in str(error.value)
    assert remedy in str(error.value)


def test_unknown_names_in_columns():
    with pytest.raises(DataError, match="names 'los', which is not a column of bayeslaw"):
        match(["step", "loss"], {"los": "loss"})
    with pytest.raises(DataError, match=r"asks for loss from 'train/los'.*Did you mean 'train/loss'\?"):
        match(["step", "train/loss"], {"loss": "train/los"})


def test_gates_are_found():
    assert match(["loss", "gate_1", "gate_2"]).mapping["gate_2"] == "gate_2"


def test_a_message_names_some_of_hundreds_of_columns():
    with pytest.raises(DataError, match="'layer_27', and 272 more"):
        match(["step", *(f"layer_{i}" for i in range(300))])
