"""
Auditing someone else's split
=============================

A data set often comes with its own training, validation and test parts. Whether a result on them
means anything can be checked before anything is trained: ``audit_leakage`` takes any split, whoever
made it.
"""

# %%
# A published split
# -----------------
# The package ``p-scldata`` holds proteins, where they are found in the cell, and a split that was
# made to be free of homology. The proteins of fewer than 120 residues are enough for an example.

import matplotlib.pyplot as plt
import numpy as np

from esmlearn.datasets import load_subcellular_location
from esmlearn.model_selection import audit_leakage, train_validation_test_split
from esmlearn.plotting import LeakageDisplay

frame = load_subcellular_location(merge_duplicates=False).frame
frame = frame[frame["sequence"].str.len() < 120].reset_index(drop=True)
published = {
    name: np.flatnonzero(frame["split"] == part)
    for name, part in (("train", "train"), ("validation", "valid"), ("test", "test"))
}
print({name: len(rows) for name, rows in published.items()})

# %%
# The audit
# ---------
# Every test protein is aligned with every training protein by Smith-Waterman. Four definitions of a
# relative, from strict (C) to any significant alignment (D), and the copies.

report = audit_leakage(frame["sequence"], published, y=frame["target"])
print(report.summary())

# %%
# These proteins are in two parts:

pairs = report.identical.assign(
    test_id=frame["id"].to_numpy()[report.identical["test_row"]],
    train_id=frame["id"].to_numpy()[report.identical["train_row"]],
)
print(pairs[["split", "test_id", "train_id"]].to_string(index=False))

# %%
# How close are the closest? The curve tells which share of the test proteins has a training protein
# of at least that identity, over at least half of the shorter.

figure, ax = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
for column, style in (("validation", ":"), ("test", "-")):
    ax.plot(
        100 * report.curve["identity"],
        100 * report.curve[column],
        style,
        color="#0072B2",
        label=f"{column} in training",
    )
ax.spines[["top", "right"]].set_visible(False)
ax.set(xlabel="Identity of at least (%)", ylabel="Proteins (%)", ylim=(0, None))
_ = ax.legend(frameon=False)

# %%
# A split that holds
# ------------------
# The same proteins, drawn by homology component.

ours = train_validation_test_split(
    frame["sequence"], frame["target"], n_validation=88, n_test=195, random_state=0
)
print(ours.summary())
again = audit_leakage(frame["sequence"], ours)
_ = LeakageDisplay.from_shares({"published split": report, "by homology component": again})
