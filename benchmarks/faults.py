"""Kill embed, cluster and study at random moments, again and again: nothing wrong, nothing lost.

    python benchmarks/faults.py --quick
    python benchmarks/faults.py --kills 66 --pairs 8

Each job runs once undisturbed, which gives the right answer and the time it takes. Then it runs in
workspaces of its own: it is killed with SIGKILL at a random moment of that time and started again,
one to four times, and then left to its end. After each kill every vector that the cache gives out
is compared with the right one, every vector that was committed before the kill must still be there,
and every output that is there must be whole. A run that takes twenty times the undisturbed time is
a hang. At last two processes fill one cache in different orders, both of them killed and restarted.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import _fault_jobs as jobs
import _forked
from _report import RESULTS, machine, write_result

import esmlearn.study
from esmlearn.embedding._inference import runtime

IMPORTED = (esmlearn.study, runtime)  # what children need is there before they start

PATIENCE = 20.0  # times the undisturbed run
SHARES = {"embed": 0.35, "embed_file": 0.2, "cluster": 0.15, "cluster_mmseqs": 0.15, "study": 0.15}


def main() -> int:
    options = parse_arguments()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        result: dict[str, Any] = {"machine": machine(), "seed": options.seed, "jobs": {}}
        if (RESULTS / "faults.json").exists() and not options.quick:  # of jobs that do not run now
            result["jobs"] = json.loads((RESULTS / "faults.json").read_text())["jobs"]
        for name in options.jobs:
            n_kills = max(1, round(options.kills * SHARES[name]))
            line = Trial(name, root / name, options.size, rng).run(n_kills)
            result["jobs"][name] = line
            result["total"] = {c: sum(job[c] for job in result["jobs"].values()) for c in COUNTS}
            write_result("faults", result, quick=options.quick)  # what was found so far is kept
        fillers = fill_together(root / "together", options.size, options.pairs, rng)
    write_result("faults", {**result, "two_processes_one_cache": fillers}, quick=options.quick)
    bad = [result["total"][count] for count in COUNTS[1:]]
    return int(any([*bad, fillers["wrong_vectors"], fillers["missing_vectors"], fillers["hangs"]]))


COUNTS = ("kills", "wrong_vectors", "lost_vectors", "wrong_outputs", "failures", "hangs")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=220, help="over all jobs")
    parser.add_argument("--pairs", type=int, default=20, help="caches that two processes fill")
    parser.add_argument("--size", type=int, default=60, help="how long a job takes")
    parser.add_argument("--jobs", nargs="+", choices=list(SHARES), default=list(SHARES))
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--quick", action="store_true", help="a few kills; nothing is kept")
    options = parser.parse_args()
    if options.quick:
        options.kills, options.pairs, options.size = 10, 1, 20
    return options


class Trial:
    """One job, killed at random moments of the time it takes.

    Parameters
    ----------
    name : str
        The job.
    root : Path
        Folder for its workspaces.
    size : int
        Scales how long it takes.
    rng : random.Random
        Where the moments come from.
    """

    def __init__(self, name: str, root: Path, size: int, rng: random.Random) -> None:
        self.job, self._root, self._size, self._rng = jobs.JOBS[name], root, size, rng
        self._counts = Counter[str]()
        self._n_workspaces = 0
        self._right = self._workspace()
        start = time.monotonic()
        pid = _forked.start(self.job.run, self._right)
        if _forked.wait(pid, 3600) != 0:
            raise RuntimeError(f"{name} does not run when it is left alone")
        self._seconds = time.monotonic() - start
        self._vectors = _forked.call(jobs.stored, self._right, seconds=600)

    def _workspace(self) -> Path:
        folder = self._root / str(self._n_workspaces)
        folder.mkdir(parents=True)
        self._n_workspaces += 1
        jobs.write_inputs(folder, self._size)
        return folder

    def run(self, n_kills: int) -> dict[str, Any]:
        """Kill one to four times in a workspace, then let it end; until that was often enough."""
        moments: list[float] = []
        while self._counts["kills"] < n_kills:
            folder = self._workspace()
            for _strike in range(self._rng.randint(1, 4)):
                moment = self._rng.uniform(0, self._seconds)
                ended = self._strike(folder, moment)
                if ended is not None:
                    break
                moments.append(round(moment / self._seconds, 3))
            else:
                ended = self._resume(folder)
            self._end(folder, ended)
        counts = {name: self._counts[name] for name in COUNTS}
        about = {"workspaces": self._n_workspaces - 1, "seconds_undisturbed": self._seconds}
        return {**counts, **about, "moments": moments}

    def _resume(self, folder: Path) -> int | None:
        """Run and leave it alone; None where it does not end."""
        pid = _forked.start(self.job.run, folder)
        code = _forked.wait(pid, PATIENCE * self._seconds)
        if code is None:
            _forked.kill(pid)
        return code

    def _strike(self, folder: Path, moment: float) -> int | None:
        """Run and kill; return the exit code where it ended before, else None."""
        pid = _forked.start(self.job.run, folder)
        ended = _forked.wait(pid, moment)
        if ended is not None:
            return ended
        before = jobs.committed(folder) if self.job.vectors else set()
        code = _forked.kill(pid)
        if code != -9:
            return code
        self._counts["kills"] += 1
        self._check(folder, before)
        return None

    def _check(self, folder: Path, before: set[bytes]) -> None:
        outputs = jobs.wrong_outputs(folder, self._right, self.job.outputs)
        self._counts["wrong_outputs"] += len(outputs)
        if self.job.vectors:
            found = _forked.call(jobs.stored, folder, seconds=600)
            self._counts["wrong_vectors"] += jobs.wrong_vectors(found, self._vectors)
            self._counts["lost_vectors"] += len(before - set(found))

    def _end(self, folder: Path, code: int | None) -> None:
        """Compare what a run that ended left behind."""
        if code is None:
            self._counts["hangs"] += 1
        elif code:
            self._counts["failures"] += 1
        else:
            self._check(folder, set(self._vectors))
            missing = [name for name in self.job.outputs if not (folder / name).exists()]
            self._counts["wrong_outputs"] += len(missing)


def fill_together(root: Path, size: int, n_pairs: int, rng: random.Random) -> dict[str, Any]:
    """Let two processes fill one cache, kill both once at random, and let both end."""
    right_folder = root / "right"
    right_folder.mkdir(parents=True)
    jobs.write_inputs(right_folder, size)
    start = time.monotonic()
    assert _forked.wait(_forked.start(jobs.embed, right_folder), 3600) == 0
    seconds = time.monotonic() - start
    right = _forked.call(jobs.stored, right_folder, seconds=600)
    counts: Counter[str] = Counter()
    computed = []
    for number in range(n_pairs):
        folder = root / str(number)
        folder.mkdir()
        jobs.write_inputs(folder, size)
        for killed in (True, False):
            pids = [_forked.start(run, folder) for run in (jobs.embed, jobs.embed_backwards)]
            for pid in pids:
                moment = rng.uniform(0, seconds) if killed else PATIENCE * seconds
                if _forked.wait(pid, moment) is None:
                    _forked.kill(pid)
                    counts["kills" if killed else "hangs"] += 1
        found = _forked.call(jobs.stored, folder, seconds=600)
        counts["wrong_vectors"] += jobs.wrong_vectors(found, right)
        counts["missing_vectors"] += len(set(right) - set(found))
        computed.append(_forked.call(jobs.n_computed, folder, seconds=600) / len(right))
    names = ("kills", "hangs", "wrong_vectors", "missing_vectors")
    most = max(computed) if computed else None
    return {**{n: counts[n] for n in names}, "caches": n_pairs, "computed_per_distinct_most": most}


if __name__ == "__main__":
    sys.exit(main())
