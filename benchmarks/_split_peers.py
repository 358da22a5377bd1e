"""Run other splitting tools in virtual environments of their own, at pinned versions.

A tool that cannot be installed or that fails is reported with its message; the comparison goes on.
"""

import json
import os
import resource
import shutil
import subprocess
import tempfile
import textwrap
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from esmlearn.clustering._engines.mmseqs import MMseqs


@dataclass(frozen=True)
class Peer:
    """A tool, and the script that writes a fold per row (-1: set aside) to ``folds.json``.

    The script runs beside ``proteins.csv`` (id, sequence, label), ``proteins.fasta`` (headers
    ``id|label=label``), ``plain.fasta`` and ``edges.csv`` (ids and identity of our edges); ``{k}``
    is the number of folds, ``{threads}`` of threads, ``{limit}`` the seconds it may take. With
    `holdout` fold 1 is the test part and fold 0 the training part. It may leave ``times.json``.
    """

    name: str
    requirement: str
    script: str
    holdout: bool = False

    @property
    def version(self) -> str:
        return self.requirement.split()[0].split("==")[1]


# The partition is timed inside GraphPart, where its search is done.
_GRAPHPART = """
    import json, sys, time
    from pathlib import Path
    import pandas as pd
    from graph_part import cli, graph_part
    inner, times = graph_part.partition_and_remove, {{}}
    def timed(*arguments, **options):
        cpu, wall = time.process_time(), time.perf_counter()
        result = inner(*arguments, **options)
        times.update(partition_cpu_s=time.process_time() - cpu,
                     partition_s=time.perf_counter() - wall)
        return result
    graph_part.partition_and_remove = timed
    sys.argv = ["graphpart", *MODE, "-ff", "proteins.fasta", "-pa", "{k}", "-ln", "label",
                "-of", "out.csv"]
    cli.main()
    table = pd.read_csv("out.csv").set_index("AC")["cluster"]
    ids = pd.read_csv("proteins.csv")["id"]
    folds = table.rank(method="dense").sub(1).reindex(ids).fillna(-1).astype(int)
    Path("folds.json").write_text(json.dumps(folds.tolist()))
    Path("times.json").write_text(json.dumps(times))
    """

GRAPHPART = Peer(
    "GraphPart (MMseqs2)",
    "graph-part==1.0.2",
    _GRAPHPART.replace("*MODE", '"mmseqs2", "-pr", "-th", "0.3"'),
)

GRAPHPART_SAME_EDGES = Peer(
    "GraphPart (the edges of esmlearn)",
    "graph-part==1.0.2",
    _GRAPHPART.replace("*MODE", '"precomputed", "-ef", "edges.csv", "-th", "0.01"'),
)

DATASAIL = Peer(
    "DataSAIL (C1e, MMseqs2)",
    "datasail==1.4.0",
    """
    import json
    from pathlib import Path
    import pandas as pd
    from datasail.sail import datasail
    table = pd.read_csv("proteins.csv")
    names = [str(i) for i in range({k})]
    splits, _, _ = datasail(
        techniques=["C1e"], splits=[1 / {k}] * {k}, names=names, runs=1, solver="SCIP",
        threads={threads}, e_type="P", e_data=Path("plain.fasta"), e_sim="mmseqs",
        e_strat=dict(zip(table.id, table.label)), delta=0.2, epsilon=0.2, max_sec={limit},
        verbose="E")
    fold = splits["C1e"][0]
    numbers = {{name: i for i, name in enumerate(names)}}
    Path("folds.json").write_text(json.dumps([numbers.get(fold.get(i), -1) for i in table.id]))
    """,
)

HESTIA = Peer(
    "Hestia-GOOD (ccpart, train/test)",
    "hestia-good==1.2.2 networkx==3.6.1",
    """
    import json
    from pathlib import Path
    import pandas as pd
    from hestia.partition import ccpart
    from hestia.similarity import sequence_similarity_mmseqs
    table = pd.read_csv("proteins.csv")
    similarity = sequence_similarity_mmseqs(
        table, field_name="sequence", threshold=0.3, threads={threads})
    parts = ccpart(table, sim_df=similarity, threshold=0.3, test_size=1 / {k}, valid_size=0.0)
    train, test = parts[0], parts[1]
    fold = pd.Series(-1, index=range(len(table)))
    fold[list(train)], fold[list(test)] = 0, 1
    Path("folds.json").write_text(json.dumps(fold.tolist()))
    """,
    holdout=True,
)

PEERS = (GRAPHPART_SAME_EDGES, GRAPHPART, HESTIA, DATASAIL)


def run_peer(
    peer: Peer,
    sequences: list[str],
    y: Any,
    edges: pd.DataFrame,
    *,
    n_splits: int,
    venvs: Path,
    n_jobs: int,
    limit_s: int,
) -> dict[str, Any]:
    """Return ``fold`` per row with wall and CPU seconds and peak memory, or ``error``.

    `edges` are pairs of rows with their identity, for a peer that takes them.
    """
    try:
        python = _install(peer, venvs)
    except subprocess.CalledProcessError as error:
        return {"error": f"not installable: {_tail(error)}"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_input(folder, sequences, y, edges)
        options = {"k": n_splits, "threads": n_jobs, "limit": limit_s}
        script = textwrap.dedent(peer.script).format(**options)
        (folder / "run.py").write_text(script)
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        try:
            _run([str(python), "run.py"], cwd=folder, timeout=2 * limit_s)
        except subprocess.CalledProcessError as error:
            return {"error": f"failed: {_tail(error)}"}
        except subprocess.TimeoutExpired:
            return {"error": f"not done after {2 * limit_s} s"}
        wall, times = time.perf_counter() - start, folder / "times.json"
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "fold": json.loads((folder / "folds.json").read_text()),
            "wall_s": wall,
            "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            # The largest of all children so far: an upper bound.
            "peak_mb": after.ru_maxrss / 1024,
            **(json.loads(times.read_text()) if times.exists() else {}),
        }


def _install(peer: Peer, venvs: Path) -> Path:
    """Return the Python of the peer's environment, made where it is not there."""
    root = venvs / peer.requirement.split()[0].replace("==", "-")
    python = root / "bin" / "python"
    if not (root / "complete").exists():
        shutil.rmtree(root, ignore_errors=True)
        venv.create(root, with_pip=True)
        _run([str(python), "-m", "pip", "install", "-q", *peer.requirement.split()])
        mmseqs = MMseqs.program.find()
        if mmseqs is not None:
            (root / "bin" / "mmseqs").symlink_to(mmseqs)
        (root / "complete").touch()
    return python


def _run(command: list[str], **options: Any) -> None:
    path = f"{Path(command[0]).parent}:/usr/local/bin:/usr/bin:/bin"
    environment = {**os.environ, "PATH": path}
    subprocess.run(command, check=True, capture_output=True, env=environment, **options)


def _write_input(folder: Path, sequences: list[str], y: Any, edges: pd.DataFrame) -> None:
    """Write the proteins and edges; a continuous target becomes its quintile."""
    label = pd.Series(y if y is not None else [0] * len(sequences))
    if pd.api.types.is_numeric_dtype(label) and label.nunique() > 20:
        label = pd.qcut(label, 5, labels=False, duplicates="drop")
    label = label.astype("category").cat.codes.astype(str)
    ids = [f"p{i}" for i in range(len(sequences))]
    table = pd.DataFrame({"id": ids, "sequence": sequences, "label": label})
    table.to_csv(folder / "proteins.csv", index=False)
    named = edges.assign(**{c: "p" + edges[c].astype(str) for c in ("first", "second")})
    named.to_csv(folder / "edges.csv", index=False, header=False)
    lines = [f">{r.id}|label={r.label}\n{r.sequence}\n" for r in table.itertuples()]
    (folder / "proteins.fasta").write_text("".join(lines))
    (folder / "plain.fasta").write_text(
        "".join(f">{r.id}\n{r.sequence}\n" for r in table.itertuples())
    )


def _tail(error: subprocess.CalledProcessError) -> str:
    text = (error.stderr or b"").decode(errors="replace").strip().splitlines()
    return " | ".join(text[-3:]) or f"exit code {error.returncode}"
