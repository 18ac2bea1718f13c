"""Reading logs into Runs: one module per format, ``sniff`` picks by content.

To add a format, write ``read(source: Source) -> Table`` in a module of its own and add it to ``loading.READERS`` and
to ``sniff`` (a way of printing needs only an entry in ``stdout_patterns.FAMILIES``, a folder of runs one in
``folders``). Raise FileError for what cannot be read, and say in ``Table.remarks`` what was left out. Nothing here
ever unpickles or runs what it reads.
"""

from bayeslaw.readers.loading import READERS, load

__all__ = ["READERS", "load"]
