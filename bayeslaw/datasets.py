"""Public loss curves by name: what there is, whose it is, under which licence; ``load`` finds or fetches the table.

Each set is a table ``<name>/runs.csv`` in bayeslaw's columns, made from the published files that ``source`` names.
``BAYESLAW_DATA`` says where the tables are: a folder, or the address (http or https) of a copy that someone keeps, such
as a team's own server. From an address a table is downloaded once, checked against ``sha256``, and kept in
``~/.cache/bayeslaw/data``, which is also where tables are looked for if the variable is not set. Then ``lr-schedules``
is made from its authors' own files, fetched from their repository and held to the same checksum; the other sets' files
are not fetched, for no way from them to the tables is written here. Sets whose authors state no licence are not listed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayeslaw import datasets_lr
from bayeslaw.errors import FileError
from bayeslaw.files import written_whole

if TYPE_CHECKING:
    from bayeslaw.data.runs import Runs


@dataclass(frozen=True)
class DataSet:
    """A public data set.

    ``runs`` and ``rows`` count what it holds; ``columns`` are those that its table needs; ``source`` is the
    repository and commit whose files it was made from, ``licence`` that repository's; ``sha256`` is the checksum of
    the table that bayeslaw's own figures were made with; ``authors``, where there is one, is the module that makes the
    table of the authors' own files (``ADDRESS``, ``FILES`` and ``table``).
    """

    name: str
    what: str
    runs: int
    rows: int
    columns: str
    source: str
    licence: str
    sha256: str
    file: str = "runs.csv"
    authors: Any = None

    def __str__(self) -> str:
        return f"{self.name}: {self.what} {self.runs:,} runs, {self.rows:,} rows. {self.licence}, from {self.source}."


_ALL = (
    DataSet(
        "gadre-overtraining",
        "Final losses of over-trained models on three corpora, 11M to 6.9B parameters (Gadre et al. 2024).",
        104, 104, "run, group, n_params, tokens, lr, loss",
        "https://github.com/mlfoundations/scaling at a003c49", "MIT",
        "0f89ace29d41135539df075a4d05cc6ff96ee7f96f3a86d91c3069f4a27cb24a",
    ),
    DataSet(
        "llm360-k2-65b",
        "One 65B run with real loss spikes, and a second record of spiked branches (LLM360's public log).",
        2, 10_420, "run, step, tokens, n_params, loss",
        "https://github.com/IBM/ColPret at 16f23bb", "MIT",
        "ab699511581c61f5ba2b1eab04481b6b50f374f46b8a5c2a52fa33cb5b82d3f8",
    ),
    DataSet(
        "looped-iso-depth",
        "Looped models with 1, 2, 4 and 8 recurrences at six budgets, read off a figure (arXiv 2604.21106).",
        240, 240, "run, group, recurrence, n_params, n_params_once, n_params_recurrent, flops, tokens, loss",
        "https://github.com/kschwethelm/looped-lm-scaling at ad7d8f3", "MIT",
        "6a4a5ec5cf7fe25cb535f10a8739fec866904d5b58edfdadd093f4da9b050cef",
    ),
    DataSet(
        "lr-schedules",
        "Train curves under cosine and WSD schedules of several lengths, 60M to 166M, all in one data order.",
        17, 3_288, "run, n_params, step, tokens, lr, loss",
        "https://github.com/fabian-sp/lr-scheduling at 8ace3a3", "MIT",
        "65bc90eed2d23ca521bcb89a2a4a80059998aea15fd77fe9c715584a5284af74", authors=datasets_lr,
    ),
    DataSet(
        "modded-nanogpt",
        "Per-step train losses of one micro-batch, runs of record attempts, most of them in one data order.",
        21, 145_192, "run, group, step, loss",
        "https://github.com/KellerJordan/modded-nanogpt at f411b3d", "MIT",
        "7143349ed02368be1798e5a398499bef9078b24ecce87dd853fd9bd47f8438c6", "runs.csv.gz",
    ),
    DataSet(
        "multipowerlaw",
        "Validation curves under nine learning-rate schedules at 25M, 100M and 400M; split is the authors'.",
        27, 6_265, "run, split, n_params, step, lr, loss",
        "https://github.com/thu-yao-01-luo/MultiPowerLaw at 8da9f19", "MIT",
        "ca82a425890d893fb60aa693643000eca46dd3eefe848c2925de194e82c6514f",
    ),
)  # fmt: skip

#: name → what is known of the set
DATASETS: dict[str, DataSet] = {entry.name: entry for entry in _ALL}


def folder() -> Path:
    """Where tables lie on this machine: ``BAYESLAW_DATA`` if it names a folder, else ``~/.cache/bayeslaw/data``."""
    chosen = os.environ.get("BAYESLAW_DATA")
    return Path(chosen) if chosen and not _is_address(chosen) else Path.home() / ".cache" / "bayeslaw" / "data"


def fetch(name: str, address: str | None = None) -> Path:
    """The path of a data set's table: the one in ``folder()``, else fetched, checked and kept there.

    Parameters
    ----------
    name : a key of ``DATASETS``, which shows source and licence.
    address : of a copy of the tables (http or https), below which ``<name>/runs.csv`` lies; by default that of
        ``BAYESLAW_DATA``, if it is one.

    Raises
    ------
    FileError
        There is no set of this name; or the table is neither here nor to be had, and the message says what was wanted
        and where to put it; or what came is not the table, by its checksum: then nothing is kept.
    """
    entry = DATASETS.get(name)
    if entry is None:
        raise FileError(f"There is no data set {name!r}. There are {', '.join(DATASETS)}.")
    home = folder() / name
    here = next((home / file for file in (entry.file, "runs.csv", "runs.csv.gz") if (home / file).is_file()), None)
    if here is not None:
        return here
    address = address or os.environ.get("BAYESLAW_DATA", "")
    if not address and entry.authors:
        return _from_authors(entry, home)
    if not _is_address(address):
        raise FileError(
            f"The data set {name} is not in {folder()}, and no address of a copy is known. {_by_hand(entry, home)}"
        )
    return _download(f"{address.rstrip('/')}/{name}/{entry.file}", entry.sha256, home / entry.file, entry, home)


def load(name: str) -> Runs:
    """Read a data set, fetched if need be (see ``fetch``); its source and licence stand in ``runs.notes``.

    Parameters
    ----------
    name : a key of ``DATASETS``.

    Returns
    -------
    Runs, losses in nats per token. A table in your own folder that differs from the one that bayeslaw was tested with
    is read too, and a note says so.

    Raises
    ------
    FileError
        As ``fetch``.
    DataError
        The table breaks the contract of ``Runs``.
    """
    from bayeslaw import readers

    path = fetch(name)
    entry = DATASETS[name]
    runs = readers.load(path)
    notes = [f"Data set {entry}"]
    if hashlib.sha256(path.read_bytes()).hexdigest() != entry.sha256:
        notes.append(f"{path.name} is not byte for byte the table that bayeslaw's own figures were made with.")
    return replace(runs, source=name, notes=(*runs.notes, *notes))


def _is_address(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _by_hand(entry: DataSet, home: Path) -> str:
    return (
        f"Take it from {entry.source} ({entry.licence}), make a table with the columns {entry.columns}, and put it at "
        f"{home / entry.file}; or set BAYESLAW_DATA to the folder or the address that holds {entry.name}/{entry.file}."
    )


def _from_authors(entry: DataSet, home: Path) -> Path:
    """Fetch the authors' files, make the table, and keep it if it is the right one."""
    address = entry.authors.ADDRESS
    with tempfile.TemporaryDirectory() as scratch:
        files = {
            name: _download(f"{address}/{name}", None, Path(scratch) / name, entry, home).read_bytes()
            for name in entry.authors.FILES
        }
    made = entry.authors.table(files)
    if hashlib.sha256(made).hexdigest() != entry.sha256:
        raise FileError(
            f"The files at {address} do not give the table of {entry.name}: its SHA-256 is another. Nothing was kept. "
            f"{_by_hand(entry, home)}"
        )
    home.mkdir(parents=True, exist_ok=True)
    with written_whole(home / entry.file) as draft:
        draft.write_bytes(made)
    return home / entry.file


def _download(url: str, sha256: str | None, target: Path, entry: DataSet, home: Path) -> Path:
    """Download to ``target``, whole and with the right checksum (None: any) or not at all."""
    try:
        import pooch
    except ImportError:
        raise FileError(
            f"To download {entry.name}, install pooch: pip install 'bayeslaw[fetch]'. {_by_hand(entry, home)}"
        ) from None
    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(pooch.retrieve(url, sha256 and f"sha256:{sha256}", fname=target.name, path=target.parent))
    except (ValueError, OSError) as error:
        if sha256 and isinstance(error, ValueError) and "hash" in str(error).lower():
            raise FileError(
                f"What {url} holds is not the table of {entry.name}: its SHA-256 is another. Nothing was kept. "
                f"{_by_hand(entry, home)}"
            ) from None
        raise FileError(f"Cannot download {url}: {error}. {_by_hand(entry, home)}") from None
