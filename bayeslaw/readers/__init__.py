"""Reading files into Runs: one module per format, ``sniff`` picks by content.

To add a format, write ``read(data: bytes, name: str) -> Table`` in a module of its own and add it to
``loading.READERS`` and to ``sniff``. Nothing here ever unpickles.
"""

from bayeslaw.readers.loading import READERS, load

__all__ = ["READERS", "load"]
