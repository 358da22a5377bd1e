"""
Folds of equal size and equal difficulty
========================================

Homologous proteins must stay in one fold. That alone is easy; the art is that folds come out
equally large all the same, and that each gets its share of the rare proteins.
``FoldsDisplay`` shows both.
"""

# %%
# Homology folds
# --------------
# Connected components of the homology graph are assigned to five folds, balanced by the target.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GroupKFold

from esmlearn.clustering import cluster_sequences
from esmlearn.datasets import load_optimum_temperature
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.plotting import FoldsDisplay

sequences, temperature = load_optimum_temperature(return_X_y=True)
some = np.array([300 <= len(sequence) < 340 for sequence in sequences])
sequences, temperature = sequences[some], temperature[some]

edges = [30.0, 50.0, 65.0]
folds = CDHitGroupSplitter(n_splits=5, identity=0.3, random_state=0)
_ = FoldsDisplay.from_splitter(folds, sequences, temperature, regions=edges, unit="°C")

# %%
# ``summary`` has the numbers. ``n_purged`` counts proteins that were left out of a training part
# because a relative of theirs is tested: that happens where a family is too large for one fold.

print(folds.summary().round(2).to_string(index=False))

# %%
# The same families, assigned without looking at the target
# ---------------------------------------------------------
# scikit-learn's ``GroupKFold`` gets the same components as groups. Sizes are fine; the hot proteins
# are where chance put them, and a fold without hot proteins says nothing about hot proteins.

families = cluster_sequences(sequences, identity=0.3)
groups = np.full(len(sequences), -1)
for number, (_, test) in enumerate(GroupKFold(n_splits=5).split(sequences, groups=families)):
    groups[test] = number

ours = np.full(len(sequences), -1)
for number, (_, test) in enumerate(folds.split(sequences, temperature)):
    ours[test] = number

figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.6), layout="constrained", sharex=True)
for ax, labels, title in zip(
    axes, [ours, groups], ["CDHitGroupSplitter", "GroupKFold on the same families"], strict=True
):
    FoldsDisplay.from_folds(labels, temperature, regions=edges, unit="°C", ax=ax)
    ax.set_title(title)

hot = temperature >= 65
for name, labels in (("CDHitGroupSplitter", ours), ("GroupKFold", groups)):
    print(f"{name}: hot proteins per fold {np.bincount(labels[hot], minlength=5)}")
