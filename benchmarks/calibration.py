"""Do probabilities of classes mean what they say on unseen families, also after over-sampling?

    python benchmarks/calibration.py --data scl2205.csv.gz --rows 5000

Embeddings of the bundled model, five homology folds. Logistic regression, and a network of 15
epochs, with and without random over-sampling at +300 % of the rare classes, each as it is and
calibrated inside the training part by ``CalibratedClassifierCV`` on homology folds (temperature;
of the regression also sigmoid, isotonic, and the temperature of random folds). Written are expected
calibration error, log loss, accuracy and macro F1 over all test parts.
"""

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from _proteins import make_features, read_table
from _report import machine, write_result
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from esmlearn.clustering import homology_graph
from esmlearn.metrics import expected_calibration_error
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.neural_network import MLPClassifier
from esmlearn.over_sampling import RegionOverSampler
from esmlearn.pipeline import Pipeline


def candidates() -> dict[str, Any]:
    """Return the models, by name."""
    found = {}
    models = {
        "logistic": LogisticRegression(C=0.01, max_iter=500),
        "network": MLPClassifier(early_stopping=False, max_iter=15, random_state=0),
    }
    for kind, model in models.items():
        for name, sampler in {"no over-sampling": None, "random +300 %": "random"}.items():
            resample = RegionOverSampler(sampler, level=300, target="classes", random_state=0)
            steps = [("scale", StandardScaler()), ("resample", resample), ("model", clone(model))]
            found[f"{kind}, {name}"] = Pipeline(steps)
    return found


def measure(y: np.ndarray, found: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    """Return what probabilities are worth."""
    predicted = classes[found.argmax(axis=1)]
    return {
        "ece": expected_calibration_error(y, found, labels=classes),
        "log_loss": float(log_loss(y, found, labels=classes)),
        "accuracy": float(accuracy_score(y, predicted)),
        "macro_f1": float(f1_score(y, predicted, average="macro")),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="table with columns sequence and target")
    parser.add_argument("--rows", type=int, help="a sample of so many rows")
    parser.add_argument("--model", default="esmlearn_mini_v3", help="features: see _proteins.py")
    parser.add_argument("--quick", action="store_true", help="600 rows; nothing is kept")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if args.quick:
        args.rows, args.model = 600, "residues"
    sequences, y = read_table(args.data, n_rows=args.rows)
    X = make_features(sequences, args.model).astype(np.float64)
    graph, classes = homology_graph(sequences), np.unique(y)
    folds = list(CDHitGroupSplitter(5, random_state=0, reference=graph).split(sequences, y))
    found: dict[str, np.ndarray] = {}
    for train, test in folds:
        inner = CDHitGroupSplitter(3, random_state=1, reference=graph)
        own = list(inner.split(sequences[train], y[train]))
        random = list(KFold(3, shuffle=True, random_state=1).split(train))
        ways = {"temperature": own, "sigmoid": own, "isotonic": own, "random temperature": random}
        for name, model in candidates().items():
            fits = {"as it is": model}
            for way, cv in ways.items():
                if name.startswith("network") and way != "temperature":
                    continue  # each is four fits
                method = way.split()[-1]
                fits[way] = CalibratedClassifierCV(model, method=method, cv=cv, ensemble=False)
            for way, estimator in fits.items():
                fitted = clone(estimator).fit(X[train], y[train])
                whole = found.setdefault(f"{name}, {way}", np.zeros((len(y), len(classes))))
                columns = np.searchsorted(classes, fitted.classes_)
                whole[np.ix_(test, columns)] = fitted.predict_proba(X[test])
    result = {
        "machine": machine(),
        "data": {"rows": len(y), "features": args.model, "classes": len(classes)},
        "models": {name: measure(y, whole, classes) for name, whole in found.items()},
    }
    name = Path(args.data).name.split(".")[0]
    write_result(f"calibration_{name}", result, quick=args.quick)


if __name__ == "__main__":
    main()
