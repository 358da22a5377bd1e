import numpy as np
import pandas as pd
import pytest
from joblib.externals.loky import get_reusable_executor

from esmlearn.embedding import ESM1V_ENSEMBLE, write_untrained_checkpoint
from esmlearn.io import write_fasta
from tests._proteins import make_families

RELEASED = [*ESM1V_ENSEMBLE, "esm1b_t33_650M_UR50S", "esm2_t6_8M_UR50D", "esm2_t33_650M_UR50D"]


@pytest.fixture(scope="session")
def torch_home(tmp_path_factory):
    """A torch home in which small checkpoints lie under the names of released models."""
    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    for name in RELEASED:
        write_untrained_checkpoint(
            folder / f"{name}.pt",
            architecture=name.split("_")[0],
            n_layers=2,
            width=32,
            n_heads=4,
        )
    return home


@pytest.fixture(scope="session")
def measured():
    """Real-looking proteins: 40 families of three, with a temperature of which a tenth is hot."""
    sequences, families = make_families(40, 3, length=60, seed=0)
    rng = np.random.default_rng(0)
    temperature = np.where(families < 8, 80.0, 40.0) + rng.normal(0, 4, len(families))
    return pd.DataFrame(
        {
            "id": [f"P{i}" for i in range(len(sequences))],
            "sequence": sequences,
            "temperature": temperature.round(1),
            "location": np.where(families % 2, "Nucleus", "Membrane"),
            "fold": families % 5,
            "split": np.array(["train", "train", "train", "valid", "test"])[families % 5],
        }
    )


@pytest.fixture
def user_folder(tmp_path, monkeypatch, torch_home, measured):
    """The current folder of a reader: a table and a FASTA file of proteins, and released models."""
    get_reusable_executor().shutdown(kill_workers=True)  # they sit in other tests' folders
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(torch_home))
    measured.to_csv("proteins.csv", index=False)
    write_fasta("proteins.fasta", measured["sequence"], ids=measured["id"])
    return tmp_path
