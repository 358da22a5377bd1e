"""How far the last bits of the features move predictions.

Each model is fitted twice, on features and on the same features times ``1 + 1e-6 * normal``, with
the same seed and a fixed number of epochs. Written is the root mean square of the difference
between the two fits' predictions, in units of the target, over all rows.

    python benchmarks/last_bits.py --data topt.csv.gz
"""

import argparse
import warnings
from typing import Any

import numpy as np
from _proteins import make_features, read_table
from _report import machine, write_result
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor as Peer
from sklearn.preprocessing import StandardScaler

from esmlearn.neural_network import MLPRegressor

EPOCHS = (1, 2, 5, 20, 100)


def models(epochs: int) -> dict[str, Any]:
    """Return the networks to fit for a number of epochs."""
    peer = Peer(
        hidden_layer_sizes=(200, 200, 200),
        batch_size=64,
        beta_2=0.99,
        alpha=0.0,
        max_iter=epochs,
        n_iter_no_change=10_000,
        random_state=0,
    )
    own = MLPRegressor(max_iter=epochs, early_stopping=False, random_state=0)
    return {
        "scikit-learn's MLPRegressor": TransformedTargetRegressor(
            peer, transformer=StandardScaler()
        ),
        "MLPRegressor": own,
        "MLPRegressor, ensemble of 10": clone(own).set_params(n_estimators=10),
    }


def moved(model: Any, X: np.ndarray, other: np.ndarray, y: np.ndarray) -> float:
    """Return by how much the predictions of two fits differ."""
    one, two = (clone(model).fit(features, y).predict(features) for features in (X, other))
    return float(np.sqrt(np.mean((one - two) ** 2)))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="table with columns sequence and target")
    parser.add_argument("--model", default="residues", help="features: see _proteins.py")
    parser.add_argument("--rows", type=int, help="a sample of so many rows")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    sequences, y = read_table(args.data, n_rows=300 if args.quick else args.rows)
    X = StandardScaler().fit_transform(make_features(sequences, args.model).astype(np.float64))
    other = X * (1 + 1e-6 * np.random.default_rng(0).normal(size=X.shape))
    networks = {
        str(epochs): {name: moved(model, X, other, y) for name, model in models(epochs).items()}
        for epochs in (EPOCHS[:2] if args.quick else EPOCHS)
    }
    drawn = [
        MLPRegressor(max_iter=1, random_state=0).fit(features, y).validation_indices_
        for features in (X, other)
    ]
    result = {
        "machine": machine(),
        "data": {"rows": len(y), "features": args.model, "std of the target": float(y.std())},
        "same validation rows": bool(np.array_equal(*drawn)),
        "rms difference": {"ridge": moved(Ridge(), X, other, y), "networks by epochs": networks},
    }
    write_result("last_bits", result, quick=args.quick)


if __name__ == "__main__":
    main()
