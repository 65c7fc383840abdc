"""Cost of ranking: the stages of `ichtune rank` and its pictures, on made-up searches of two sizes.

    python benchmarks/rank.py [--many 1000] [--slices 2500] [--trials 200] [--rows 750000] [--seed 0]

The first run has many trials on few slices, the second fewer trials on as many out-of-fold rows as the whole RSNA 2019
challenge. Making them up takes minutes and isn't counted. Prints JSON: seconds of each stage, each run in its own
process including imports, and that process's peak memory in MiB.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ichtune.space import Space
from tests.made_up.runs import made_up_run
from tests.made_up.stores import made_up_store


def measure(run: Path) -> dict[str, Any]:
    """Return the seconds of each stage of a ranking in this process, including imports."""
    seconds: dict[str, float] = {}
    begun = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal begun
        now = time.perf_counter()
        seconds[name], begun = round(now - begun, 2), now

    import resource

    from analysis.findings import Findings
    from analysis.results import RankedResults

    lap("imports")
    results = RankedResults.of(run)
    lap("read")
    _ = results.certain, results.corrected_best
    lap("statistics")
    findings = Findings(results)
    _ = findings.importance, findings.effects
    lap("importance and effects")
    _ = findings.tables
    lap("tables")
    findings.write()
    lap("files and pictures")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "total_s": round(sum(seconds.values()), 1), "peak_mib": round(peak)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--slices", type=int, default=2500)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--rows", type=int, default=750_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure)))
        return
    figures = {}
    with tempfile.TemporaryDirectory(prefix="rank-") as folder:
        for name, trials, rows, epochs in (
            ("many trials", arguments.many, arguments.slices, 12),
            ("many rows", arguments.trials, arguments.rows, 1),  # one epoch is enough for ranking
        ):
            place = Path(folder) / name.replace(" ", "-")
            # One row in six is in the test set.
            store = made_up_store(place / "store", rows * 6 // 5, seed=arguments.seed)
            space = Space.load("default").changed({"model.weights": "random", "training.epochs": epochs})
            run = made_up_run(place / "runs", store, trials, space=space, seed=arguments.seed)
            command = [sys.executable, __file__, "--measure", str(run.path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            figures[name] = {"trials": trials, "rows": rows, **json.loads(done.stdout.splitlines()[-1])}
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
