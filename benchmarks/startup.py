"""How long `import bayeslaw` and `bayeslaw --help` take, each in fresh processes.

    python benchmarks/startup.py [processes]

prints the median and range of wall time over 15 processes each (or as many as are asked for) and the CPU time, beside
those of a Python that does nothing. Wall times are those of whole processes: on a busy computer they say more about the
others than about bayeslaw, which is why nothing is asserted here.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = {
    "python -c pass": "pass",
    "import bayeslaw": "import bayeslaw",
    "bayeslaw --help": "import sys; sys.argv = ['bayeslaw', '--help']; from bayeslaw.cli import main; main()",
}


def seconds(code: str) -> tuple[float, float]:
    """Wall and CPU time of a fresh interpreter that runs ``code``."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", code], env=env, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure in turns, so that a busy minute falls on all alike; a first round, which fills caches, is not counted."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    rounds = [{name: seconds(code) for name, code in COMMANDS.items()} for _ in range(count + 1)][1:]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores{load}, {count} processes each\n")
    print("| process | wall, median (s) | range (s) | CPU, median (s) |\n|---|---|---|---|")
    for name in COMMANDS:
        wall, cpu = zip(*(each[name] for each in rounds), strict=True)
        low, high = min(wall), max(wall)
        print(f"| {name} | {statistics.median(wall):.3f} | {low:.3f}-{high:.3f} | {statistics.median(cpu):.3f} |")


if __name__ == "__main__":
    main()
