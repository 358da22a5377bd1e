"""A few of the kills that benchmarks/faults.py deals out by the hundred."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults.py"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks what it kills")
def test_killed_jobs_go_on_where_they_were(tmp_path):
    process = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick"],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-3000:]
    assert '"kills": 1' in process.stdout
