import shutil

import numpy as np
import pandas as pd
import pytest

from benchmarks.pretrain import find_distant
from benchmarks.pretrain.prepare_data import read_fasta
from tests._proteins import random_protein

pytestmark = pytest.mark.skipif(shutil.which("diamond") is None, reason="needs diamond")


def mutated(sequence, share, rng):
    letters = np.array(list(sequence))
    changed = rng.random(len(letters)) < share
    letters[changed] = list(random_protein(int(changed.sum()), rng))
    return "".join(letters)


@pytest.fixture
def family(tmp_path):
    """Proteins of a table, and queries: a relative, a fragment of one, and strangers."""
    rng = np.random.default_rng(0)
    apart = [random_protein(300, rng) for _ in range(3)]
    pd.DataFrame({"sequence": apart}).to_csv(tmp_path / "apart.csv", index=False)
    relative = mutated(apart[0], 0.5, rng)
    fragment = random_protein(200, rng) + apart[1][:120]  # 40 % of the shorter is 120 residues
    too_little = random_protein(300, rng) + apart[2][:60]
    return tmp_path / "apart.csv", [relative, fragment, too_little, random_protein(250, rng)]


def test_relatives_are_found_and_strangers_are_not(family):
    table, sequences = family
    rows = find_distant.without_homologs(sequences, np.arange(4), [table], 1)
    assert rows.tolist() == [2, 3]


def test_where_there_is_no_hit_all_rows_stay(family):
    table, sequences = family
    rows = find_distant.without_homologs(sequences, np.array([3]), [table], 1)
    assert rows.tolist() == [3]


def test_the_program_writes_the_distant_ones(tmp_path, family, monkeypatch):
    table, sequences = family
    source, output = tmp_path / "all.fasta", tmp_path / "distant.fasta"
    source.write_text("".join(f">{i}\n{s}\n" for i, s in enumerate(sequences)))
    arguments = [str(source), "--apart", str(table), "--output", str(output), "--threads", "1"]
    monkeypatch.setattr("sys.argv", ["find_distant", *arguments])
    find_distant.main()
    assert sorted(read_fasta(output)) == sorted(sequences[2:])
