"""
Early stopping without leaks
============================

A network that stops early needs proteins to stop by. If they are split off after over-sampling,
copies and blends of training proteins are among them, and the loss that stops the training is far
too low. ``Pipeline(validation=...)`` draws them first, by homology, and never resamples them.
"""

# %%
# The wrong way
# -------------
# The network at the end of the pipeline sees resampled rows only, and draws its validation part
# from them.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import mean_squared_error
from sklearn.preprocessing import StandardScaler

from esmlearn.datasets import load_optimum_temperature
from esmlearn.embedding import ESMEmbedder
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.neural_network import MLPRegressor
from esmlearn.over_sampling import RegionOverSampler
from esmlearn.pipeline import Pipeline
from esmlearn.plotting import TrainingCurveDisplay

MODEL = "esmlearn_mini_v3"

sequences, temperature = load_optimum_temperature(return_X_y=True)
some = np.array([300 <= len(sequence) < 340 for sequence in sequences])
sequences, temperature = sequences[some], temperature[some]
train, test = next(CDHitGroupSplitter(5, random_state=0).split(sequences, temperature))


def make_model(validation):
    return Pipeline(
        [
            ("embed", ESMEmbedder(MODEL)),
            ("scale", StandardScaler()),
            (
                "resample",
                RegionOverSampler("smote", level=300, regions=[65.0], rare=[1], random_state=0),
            ),
            ("net", MLPRegressor((64, 64), max_iter=60, random_state=0)),
        ],
        validation=validation,
    )


leaky = make_model(validation=None).fit(sequences[train], temperature[train])

# %%
# The right way
# -------------
# One parameter: a fifth of the training proteins, whole families of them, real ones only.

honest = make_model(validation=0.2).fit(sequences[train], temperature[train])
print(f"{len(honest.train_indices_)} train, {len(honest.validation_indices_)} stop the training")

# %%
# What they believed, and what was true
# -------------------------------------
# Dotted is the loss on training rows, solid on validation rows; the mark is the epoch whose weights
# were kept. The grey line is the loss of those weights on the test fold: families that neither
# network has seen.

figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained", sharey=True)
for ax, (title, model) in zip(
    axes, {"resampled, then split": leaky, "split by homology": honest}.items(), strict=True
):
    TrainingCurveDisplay.from_estimator(model, ax=ax)
    net = model[-1]
    believed = net.history_[net.best_iter_ - 1]["valid_loss"]
    true = mean_squared_error(temperature[test], model.predict(sequences[test])) / net.y_scale_**2
    ax.axhline(true, color="0.35", linewidth=1)
    ax.annotate(
        "test fold", (0.99, true), xycoords=("axes fraction", "data"), ha="right", va="bottom"
    )
    ax.margins(y=0.4)
    ax.get_legend().set_loc("upper right")
    ax.set_title(title)
    print(f"{title}: validation loss {believed:.2f}, test loss {true:.2f}, {net.n_iter_} epochs")

# %%
# One small fold is an anecdote. On five folds of all 2,898 enzymes and three seeds, the test loss
# was 1.90 times the validation loss the wrong way, and 1.05 times the right way
# (``benchmarks/early_stopping_leak.py``).
