"""Printed logs: lines as the trainers' own code prints them, among what else stands in such a file."""

import math

import pytest

from bayeslaw.errors import DataError, FileError
from bayeslaw.readers import load
from bayeslaw.readers.stdout import _lines, _matches
from bayeslaw.readers.stdout_patterns import FAMILIES

#: a line of each family, as its code prints it
LINES = {
    "Megatron, GPT-NeoX, validation": " validation loss at iteration 30 | lm loss value: 6.1E+00 | lm loss PPL: 4.4",
    "NeMo": "Training epoch 0, iteration 9/99 | lr: 2.999e-05 | global_step: 9 | reduced_train_loss: 10.45",
    "nanotron": "[INFO|DP=0]: iteration: 1 / 100 | consumed_tokens: 1.05M | lm_loss: 10.9 | lr: 0.0003",
    "Megatron, GPT-NeoX": " [2024-05-01 10:00:00.1] iteration        1/     100 | lm loss: 9E+00 |",
    "litgpt": "Epoch 1 | iter 4 step 1 | loss train: 10.986, val: n/a | iter time: 400.21 ms (step)",
    "llm.c, nanochat": "step    1/19560 | loss 11.009205 (+nanz)| norm 14.7 (+nanz)| lr 8.57e-07 | 1234.5 ms",
    "MaxText": "completed step: 1, seconds: 1.234, TFLOP/s/device: 200.1, total_weights: 393216, loss: 10.250",
    "torchtitan, validation": "validate step: 10  loss:  8.7500  memory: 42.10GiB(44.30%)  tps: 7,600",
    "torchtitan": "step:  1  loss: 12.2500  grad_norm:  1.5000  memory: 42.10GiB(44.30%)  tps: 7,600  mfu: 35.40%",
    "modded-nanogpt": "step:1/5100 train_loss:10.8252 train_time:200ms step_avg:200.0ms",
    "nanoGPT": "iter 10: loss 9.1000, time 120.00ms, mfu 30.11%",
    "nanoGPT, validation": "step 0: train loss 10.9871, val loss 10.9885",
    "MaxText, validation": "eval metrics after step: 2, loss=9.875, total_weights=1",
    "DeepSpeed's pipeline": "steps: 10 loss: 9.5000 iter time (s): 1.234 samples/sec: 51.234",
    "llm.c, main.log": "s:0 trl:10.9800 lr:0.000001 norm:14.50",
    "llm.c, main.log, test": "s:0 tel:11.0100",
    "OLMo": "INFO [olmo.train:1, rank=0] [step=1/???,epoch=0,eta=1h]",
    "Composer": "[epoch=1][batch=8/10]:",
    "Composer, by tokens": "[token=4096/9000]:",
    "Composer, by samples": "[sample=8/64]:",
}
NOISE = "Loading data ...\nWARNING: step counter starts at 0\n  loss_fn: cross_entropy\n\n"


def test_each_familys_line_is_read_as_that_family():
    """The first pattern that fits is taken, and some fit others' lines as well."""
    assert set(LINES) == {family.name for family in FAMILIES}
    for name, line in LINES.items():
        ((_, family, _),) = list(_matches(_lines([line.encode()])))[:1]
        assert family.name == name


@pytest.fixture
def log(tmp_path):
    """``log(text)``: loads a printed log with noise around it."""

    def read(text, name="train.log", **how):
        path = tmp_path / name
        path.write_bytes((NOISE + text).encode())
        return load(path, **how)

    return read


def rows(runs, *columns):
    return runs.curve(runs.names[0])[list(columns)].to_numpy().tolist()


MEGATRON = (
    " [2024-05-01 10:00:{s:02d}] iteration {s:8d}/     100 | consumed samples: {n:12d} | "
    "elapsed time per iteration (ms): 1.4 | throughput per GPU (TFLOP/s/GPU): 400.1 | "
    "learning rate: {lr:.6E} | global batch size: {b:5d} | lm loss: {loss:.6E} | loss scale: 1.0 | "
    "grad norm: {g:.3f} | number of skipped iterations:   0 | number of nan iterations:   0 |\n"
)


def test_megatron(log):
    text = "".join(MEGATRON.format(s=s, n=256 * s, lr=s * 1e-5, b=256, loss=9 - s / 10, g=1 + s) for s in (10, 20, 30))
    text += " validation loss at iteration 30 | lm loss value: 6.100000E+00 | lm loss PPL: 4.458578E+02 | \n"
    runs = log(text)
    assert rows(runs, "step", "loss", "lr", "grad_norm") == [
        [10, 8.0, 1e-4, 11.0], [20, 7.0, 2e-4, 21.0], [30, 6.0, pytest.approx(3e-4), 31.0]
    ]  # fmt: skip
    assert runs.frame["consumed samples"].iloc[:3].tolist() == [2560, 5120, 7680]
    assert runs.frame["lm loss validation"].iloc[3] == 6.1
    assert runs.frame["row"].tolist() == [5, 6, 7, 8], "the rows' numbers are the file's lines"
    assert any("printed log of Megatron" in note for note in runs.notes)


def test_a_megatron_log_of_every_tenth_step_holds_means(log):
    text = "".join(MEGATRON.format(s=s, n=s, lr=1e-5, b=8, loss=9 - s / 10, g=1) for s in (1, 10, 20, 30))
    (fact,) = log(text).facts.itertuples()
    assert (fact.kind, fact.count, fact.row) == ("window_mean", 4, 5)
    assert fact.message.startswith("Each loss is the mean over the 10 steps before it, as Megatron")


def test_gpt_neox(log):
    text = (
        " samples/sec: 512.001 | iteration {s:8d}/  320000 | elapsed time per iteration (ms): 2000.1 | learning rate: "
        "{lr:.3E} | approx flops per GPU: 110.0TFLOPS | lm_loss: {loss:.6E} | loss scale: 4096.0 | number of skipped "
        "iterations:   0 | number of nan iterations:   0 |\n"
    )
    text = text.format(s=1, lr=1e-5, loss=10.5) + text.format(s=2, lr=2e-5, loss=10.25)
    runs = log(text + " validation results at iteration 2 | lm_loss value: 1.0E+01 | lm_loss_ppl value: 2.2E+04 | \n")
    assert rows(runs, "step", "loss", "lr") == [[1, 10.5, 1e-5], [2, 10.25, 2e-5]]
    assert runs.frame["lm loss validation"].iloc[-1] == 10


def test_nemo(log):
    line = (
        "Training epoch {e}, iteration {i}/99 | lr: 2.999e-05 | global_batch_size: 32 | global_step: {s} | "
        "reduced_train_loss: {loss} | train_step_timing in s: 1.234 | consumed_samples: {n}\n"
    )
    text = line.format(e=0, i=9, s=9, n=320, loss=10.45) + line.format(e=0, i=19, s=19, n=640, loss="9.8")
    runs = log(text + line.format(e=1, i=9, s=109, n=3520, loss=8) + "Validation: iteration 1/2\n")
    assert rows(runs, "step", "loss", "lr", "consumed_samples") == [
        [9, 10.45, 2.999e-5, 320], [19, 9.8, 2.999e-5, 640], [109, 8, 2.999e-5, 3520]
    ]  # fmt: skip
    assert "window_mean" in set(runs.facts["kind"])


def test_deepspeeds_pipeline(log):
    text = "steps: {s} loss: {loss:.4f} {more}iter time (s): 1.234 samples/sec: 51.234\n"
    text = text.format(s=10, loss=9.5, more="") + text.format(s=20, loss=9.25, more="load_balancing: 0.0123 ")
    assert rows(log(text), "step", "loss") == [[10, 9.5], [20, 9.25]]


def test_megatron_leaves_out_the_loss_of_a_nan_iteration(log):
    good = MEGATRON.format(s=1, n=1, lr=1e-5, b=8, loss=9.0, g=1.0)
    bad = MEGATRON.format(s=2, n=2, lr=1e-5, b=8, loss=9.0, g=1.0).replace(" lm loss: 9.000000E+00 |", "")
    runs = log(good + bad.replace("nan iterations:   0", "nan iterations:   1"))
    assert runs.facts["kind"].tolist() == ["nonfinite_loss"]


def test_megatron_batch_ramp(log):
    text = "".join(
        MEGATRON.format(s=s, n=s, lr=1e-5, b=b, loss=9 - s / 10, g=1) for s, b in ((1, 32), (2, 32), (3, 64))
    )
    (fact,) = log(text).facts.itertuples()
    assert (fact.kind, fact.count) == ("batch_ramp", 1)
    assert "goes from 32 to 64" in fact.message
    with pytest.raises(DataError, match="batch size changes, from 32 to 64"):
        log(text, batch_tokens="4M")


def test_old_megatron_without_colons(log):
    runs = log(
        " iteration       10/  200 | elapsed time per iteration (ms): 80.1 | learning rate 1.500E-04 | lm loss "
        "9.100000E+00 | loss scale 65536.0 |\n"
    )
    assert rows(runs, "step", "loss", "lr") == [[10, 9.1, 1.5e-4]]


def test_nanotron(log):
    text = (
        "05/01/2024 10:00:00 [INFO|DP=0|PP=0|TP=0]: iteration: {s} / 100 | consumed_tokens: {t} | elapsed_time_per_"
        "iteration_ms: 1.2K | tokens_per_sec: 855K | global_batch_size: 1.02K | lm_loss: {loss} | lr: 0.0003 | "
        "model_tflops_per_gpu: 400 | grad_norm: 0.61\n"
    )
    runs = log(text.format(s=1, t="1.05M", loss=10.9) + text.format(s=2, t="2.1M", loss=10.2))
    assert rows(runs, "step", "tokens", "loss", "lr", "grad_norm") == [
        [1, 1.05e6, 10.9, 3e-4, 0.61], [2, 2.1e6, 10.2, 3e-4, 0.61]
    ]  # fmt: skip


def test_torchtitan_in_colour(log):
    line = (
        "[rank0]:[titan] 2025-01-01 00:00:00,123 - root - INFO - \x1b[31mstep: {s:2}  \x1b[32mloss: {loss:7.4f}  "
        "\x1b[38;5;208mgrad_norm: {g:7.4f}  \x1b[36mmemory: 42.10GiB(44.30%)  \x1b[34mtps: 7,600  \x1b[35mtflops: "
        "350.10  \x1b[35mmfu: 35.40%\x1b[0m\n"
    )
    text = line.format(s=1, loss=12.25, g=1.5) + line.format(s=10, loss=8.5, g=2.25)
    text += "[titan] INFO - \x1b[33mvalidate step: 10  \x1b[32mloss:  8.7500  \x1b[36mmemory: 42.10GiB(44.30%)\x1b[0m\n"
    runs = log(text)
    assert rows(runs, "step", "loss", "grad_norm", "tps") == [[1, 12.25, 1.5, 7600], [10, 8.5, 2.25, 7600]]
    assert runs.frame["eval_loss"].iloc[-1] == 8.75


def test_nanogpt(log):
    text = "step 0: train loss 10.9871, val loss 10.9885\niter 0: loss 10.9886, time 48531.26ms, mfu -100.00%\n"
    text += "iter 10: loss 9.1, time 120.00ms, mfu 30.11%\niter 20: loss nan, time 120.00ms, mfu 30.11%\n"
    runs = log(text)
    assert rows(runs, "step", "loss") == [[0, 10.9886], [10, 9.1]]
    assert runs.frame["val_loss"].iloc[0] == 10.9885
    assert set(runs.facts["kind"]) == {"nonfinite_loss", "sparse_rows", "before_training"}


def test_modded_nanogpt_behind_its_own_source(log):
    source = 'print0(f"step:{step}/{train_steps} val_loss:{val_loss:.4f} train_time:{t:.0f}ms")\n' * 2000
    text = "step:0/5100 val_loss:10.8258 train_time:0ms step_avg:nanms\n"
    text += "step:1/5100 train_loss:10.8252 train_time:200ms step_avg:200.0ms\n"
    text += "step:2/5100 train_loss:9.5 train_time:400ms step_avg:200.0ms\n"
    runs = log(source + text, "log.txt")
    assert rows(runs, "step", "loss") == [[1, 10.8252], [2, 9.5]]
    assert runs.frame["val_loss"].iloc[0] == 10.8258


def test_llm_c_and_nanochat(log):
    text = (
        "step    1/19560 | loss 11.009205 (+nanz)| norm 14.7 (+nanz)| lr 8.57e-07 | 1234.5 ms | 50.1% bf16 MFU | 424 "
        "tok/s\nstep    2/19560 | loss 10.5 (-1.20z)| norm 12.5 (-0.1z)| lr 1.70e-06 | 1234.5 ms | 50% bf16 MFU | 424"
        " tok/s\n"
    )
    runs = log(text)
    assert rows(runs, "step", "loss", "lr", "grad_norm") == [[1, 11.009205, 8.57e-7, 14.7], [2, 10.5, 1.7e-6, 12.5]]
    text = "step {s:05d}/21400 (0.05%) | loss: {loss} | grad norm: 0.4 | lrm: 1.00 | dt: 50.10ms | tok/sec: 1,000 |\n"
    runs = log("Step 00250 | Validation bpb: 1.05\n" + text.format(s=10, loss=9.5) + text.format(s=11, loss=9.25))
    assert rows(runs, "step", "loss", "grad_norm") == [[10, 9.5, 0.4], [11, 9.25, 0.4]]
    runs = log("s:0 tel:11.01\ns:0 trl:10.98 lr:0.000001 norm:14.5\ns:1 trl:10.5 lr:0.000002 norm:12.5\n", "main.log")
    assert rows(runs, "step", "loss", "lr") == [[0, 10.98, 1e-6], [1, 10.5, 2e-6]]


def test_litgpt_and_maxtext(log):
    text = "Epoch 1 | iter {i} step {s} | loss train: {loss}, val: {v} | iter time: 400.21 ms (step)\n"
    runs = log(text.format(i=4, s=1, loss="10.986", v="n/a") + text.format(i=8, s=2, loss="10.5", v="10.625"))
    assert rows(runs, "step", "loss") == [[1, 10.986], [2, 10.5]]
    assert runs.frame["val_loss"].iloc[1] == 10.625
    text = (
        "completed step: {s}, seconds: 1.234, TFLOP/s/device: 200.1, Tokens/s/device: 25000.2, total_weights: 393216, "
        "loss: {loss}\n"
    )
    runs = log(text.format(s=0, loss=10.25) + text.format(s=1, loss=9.75))
    assert rows(runs, "step", "loss", "total_weights") == [[0, 10.25, 393216], [1, 9.75, 393216]]


def test_maxtext_since_it_prints_the_cross_entropy(log):
    text = (
        "completed step: {s}, seconds: 1.2, TFLOP/s/device: 200.1, Tokens/s/device: 2.2, total_weights: 393216, loss: "
        "{loss}, lm_loss: {lm}, perplexity: 20000.1, moe_lb_loss: 0.012, main_model_loss: 9.9, mtp_loss: 0.3\n"
    )
    text = text.format(s=1, loss=10.25, lm=9.875) + text.format(s=2, loss=10.0, lm=9.75)
    text += "completed profiler activation/deactivation step: 3, total_weights: 1, loss: 9.5, lm_loss: 9.25\n"
    text += "eval metrics after step: 2, loss=9.875, total_weights=1\n"
    text += "Completed eval after train step 3, loss=9.625, perplexity=15000.1, total_weights=1\n"
    runs = log(text)
    assert any(note.endswith("the printed log of MaxText and MaxText, validation.") for note in runs.notes)
    assert rows(runs, "step", "loss") == [[1, 9.875], [2, 9.75], [3, 9.25]]
    assert runs.frame["eval_loss"].dropna().tolist() == [9.875, 9.625]
    assert "auxiliary_loss" not in set(runs.facts["kind"])
    line = "completed step: {s}, seconds: 1.2, total_weights: 1, loss: {loss}, lm_loss: 0.000, perplexity: 0.000\n"
    assert rows(log(line.format(s=1, loss=0.75) + line.format(s=2, loss=0.5)), "loss") == [[0.75], [0.5]]


def test_blocks_of_olmo_and_composer(log):
    text = (
        "2024-01-01 INFO [olmo.train:1, rank=0] [step={s}/739,328,epoch=0]\n    optim/total_grad_norm=1.5\n"
        "    train/CrossEntropyLoss={loss}\n    train/Perplexity=1,800\n    throughput/total_tokens={t}\n"
        "    optim/learning_rate_group0=0.0003\n2024-01-01 INFO something else\n    train/CrossEntropyLoss=99\n"
    )
    runs = log(
        text.format(s="1,000", loss=7.5, t="4,194,304,000") + text.format(s="1,001", loss=7.25, t="4,198,498,304")
    )
    assert rows(runs, "step", "loss", "lr", "grad_norm", "tokens") == [
        [1000, 7.5, 3e-4, 1.5, 4194304000], [1001, 7.25, 3e-4, 1.5, 4198498304]
    ]  # fmt: skip
    text = "[batch={s}/4800]:\n\t Train time/batch: {s}\n\t Train time/token: {t}\n\t Train loss/train/total: {loss}\n"
    runs = log(text.format(s=1, t=4096, loss=11.5) + text.format(s=2, t=8192, loss=11.25))
    assert rows(runs, "step", "tokens", "loss") == [[1, 4096, 11.5], [2, 8192, 11.25]]
    block = "\n\t Train time/batch: {s}\n\t Train loss/train/total: {loss}\n"
    for head in ("[token={s}000/9000]:", "[sample={s}8/64]:", "[epoch=1][batch={s}]:", "[epoch=2][batch={s}/70]:"):
        runs = log((head + block).format(s=1, loss=11.5) + (head + block).format(s=2, loss=11.25))
        assert rows(runs, "step", "loss") == [[1, 11.5], [2, 11.25]]


def test_a_restarted_job_appends(log):
    line = "iter {s}: loss {loss}, time 1.00ms, mfu 1.00%\n"
    text = "".join(line.format(s=s, loss=10 - s / 10) for s in range(1, 11))
    text += NOISE + "".join(line.format(s=s, loss=9.9 - s / 10) for s in range(6, 16))
    runs = log(text)
    assert runs.curve("train")["step"].tolist() == list(range(1, 16))
    assert runs.curve("train")["loss"].iloc[5] == pytest.approx(9.3)
    assert runs.facts["kind"].tolist() == ["rewind"]


def test_progress_bars_long_lines_and_bytes_that_are_no_text(log, tmp_path):
    path = tmp_path / "job.out"
    body = b"\xff\xfe junk\n" + b"x" * 200_000 + b"\niter 1: loss 9.5, time\r\niter 2: loss 9.0, time\r\n"
    bar = b"\r".join(b"%d%%|#####     | 1.2it/s" % i for i in range(1000))
    path.write_bytes(bar + b"\riter 0: loss 9.75, time\r" + bar + b"\n" + body)
    runs = load(path)
    assert rows(runs, "step", "loss") == [[0, 9.75], [1, 9.5], [2, 9.0]]
    assert runs.frame["row"].tolist() == [1, 4, 5]


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_last_line_that_was_cut_off_gives_no_wrong_number(log, cut):
    """Printed text is written in blocks: "loss 9.8750" may end in "loss 9"."""
    text = "".join(f"iter {i}: loss {10 - i / 8:.4f}, time 1.00ms, mfu 1.25%\n" for i in range(1, 4))
    runs = log(text[:-cut])
    whole = cut <= len(" time 1.00ms, mfu 1.25%\n")
    assert rows(runs, "step", "loss") == [[i, 10 - i / 8] for i in range(1, 3 + whole)]
    if 25 < cut < 29:  # within the decimals of the loss
        assert runs.facts["kind"].tolist() == ["torn_line"]


def test_a_block_that_was_cut_off_gives_no_wrong_number(log):
    text = "[step=1/9,epoch=0]\n    train/CrossEntropyLoss=9.875\n[step=2/9,epoch=0]\n    train/CrossEntropyLoss=9"
    runs = log(text)
    assert runs.curve("train")["loss"].tolist() == [9.875]
    assert "torn_line" in runs.facts["kind"].tolist()


def test_a_log_of_nobody_we_know(log):
    with pytest.raises(FileError, match="no line in which a trainer that bayeslaw knows"):
        log("epoch 3 done\n")


def test_what_transformers_prints_has_no_step(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("{'loss': 3.2, 'grad_norm': 1.0, 'learning_rate': 1e-4, 'epoch': 0.1}\n" * 2)
    with pytest.raises(FileError, match=r"read trainer_state.json of the output folder instead"):
        load(path)


def test_a_log_of_transformers_is_sent_to_its_state(log):
    with pytest.raises(FileError, match="It has what transformers' Trainer prints, which names no step"):
        log("{'loss': '3.2', 'grad_norm': '1.0', 'learning_rate': '1e-4', 'epoch': '0.1'}\n" * 2)


def test_a_loss_in_bits_is_refused_with_the_factor(log, tmp_path):
    line = "step:{s}/100 val_loss:{v} val_bpb:{b} train_time:1ms\n"
    assert rows(log(line.format(s=1, v=3.5, b=1.2) + line.format(s=2, v=3.4, b=1.1)), "loss") == [[3.5], [3.4]]
    path = tmp_path / "x.csv"
    path.write_text("step,val_bpb\n1,1.2\n2,1.1\n")
    with pytest.raises(DataError, match=rf"bits per byte: multiply by ln 2 = {math.log(2):.4f}"):
        load(path)
