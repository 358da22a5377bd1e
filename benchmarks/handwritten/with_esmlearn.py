"""The method with esmlearn: the same models, strategies, scores and files as in glue.py."""

import argparse
import warnings
from pathlib import Path

import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler

from esmlearn.embedding import ESMEmbedder
from esmlearn.metrics import make_region_scorer
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.neural_network import MLPRegressor
from esmlearn.over_sampling import RegionOverSampler
from esmlearn.persistence import save
from esmlearn.pipeline import Pipeline

HOT, LEVELS = 65.0, (100, 200, 300)
STRATEGIES = [
    {"resample__sampler": [None]},
    {"resample__sampler": ["random", "smote", "adasyn"], "resample__level": LEVELS},
]
MODELS = {
    "ridge": (Ridge(300.0), None),
    "net": (MLPRegressor((200, 200, 200), batch_size=64, random_state=0), 0.1),
}
SCORES = {
    "mae": "neg_mean_absolute_error",
    "balanced_mae": make_region_scorer("balanced_mae", regions=[HOT]),
    "recall": make_region_scorer("recall", regions=[HOT], labels=[1]),
    "precision": make_region_scorer("precision", regions=[HOT], labels=[1]),
}


def main():
    parser = argparse.ArgumentParser()
    for name in ("table", "checkpoint", "out"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    out = Path(arguments.out)
    frame = pd.read_csv(arguments.table).drop_duplicates("sequence")
    sequences, y = frame["sequence"].tolist(), frame["target"].to_numpy()
    folds = CDHitGroupSplitter(n_splits=5, identity=0.3, random_state=0)
    searches = {}
    for name, (model, validation) in MODELS.items():
        steps = [
            ("embed", ESMEmbedder(arguments.checkpoint, long_sequences="truncate")),
            ("scale", StandardScaler()),
            ("resample", RegionOverSampler(regions=[HOT], rare=[1], random_state=0)),
            ("model", model),
        ]
        pipeline = Pipeline(steps, validation=validation)
        search = GridSearchCV(pipeline, STRATEGIES, cv=folds, scoring=SCORES, refit="balanced_mae")
        searches[name] = search.fit(sequences, y)
    tables = [pd.DataFrame(s.cv_results_).assign(model=name) for name, s in searches.items()]
    pd.concat(tables).to_csv(out / "results.csv", index=False)
    best = max(searches.values(), key=lambda search: search.best_score_)
    save(best.best_estimator_, out / "model.esmlearn")
    frame["fold"] = -1
    for fold, (_, test) in enumerate(folds.split(sequences, y)):
        frame.iloc[test, frame.columns.get_loc("fold")] = fold
    frame.to_csv(out / "folds.csv", index=False)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
