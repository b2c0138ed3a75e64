"""Two runs of ``synthgen demo`` at once against one alone: their threads must not wait for one
another. Two should take at most 2.5 times as long as one; run it on an idle machine.

    python evaluation/side_by_side.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time


def seconds(runs: int) -> float:
    """Wall time until all of so many demos, started together, are done."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "synthgen", "demo", "--out", f"{folder}/{run}"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for run in range(runs)
        ]
        if any(process.wait() for process in started):
            raise SystemExit("a demo failed: run synthgen demo to see why")
        return time.perf_counter() - began


def main() -> None:
    alone, two = seconds(1), seconds(2)
    print(f"one demo {alone:.0f} s, two at once {two:.0f} s: {two / alone:.2f} times as long")
    raise SystemExit(two > 2.5 * alone)


if __name__ == "__main__":
    main()
