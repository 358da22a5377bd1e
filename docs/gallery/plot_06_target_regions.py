"""
Where a target is sparse
========================

The proteins one wants are seldom the common ones: the hottest, the brightest, the most soluble.
``TargetRegions`` divides a continuous target and tells which regions are rare;
``TargetRegionsDisplay`` draws what it found.
"""

# %%
# Found from the data
# -------------------
# By default the box plot decides: what lies beyond the whiskers is rare. Learn it from training
# targets alone; inside a pipeline that happens by itself.

import matplotlib.pyplot as plt
import numpy as np

from esmlearn.datasets import load_optimum_temperature, load_subcellular_location
from esmlearn.over_sampling import TargetRegions
from esmlearn.plotting import TargetRegionsDisplay

_, temperature = load_optimum_temperature(return_X_y=True)
regions = TargetRegions().fit(temperature)
_ = TargetRegionsDisplay.from_target(temperature, regions, name="optimum temperature", unit="°C")
print(regions.table().round(2).to_string())

# %%
# Other rules
# -----------
# Density calls rare what has few neighbours on either side; quantiles take a fixed share; edges are
# yours. Where an assay or a process sets the limit, give it: a limit that means something is worth
# more than one that was found.

rules = {
    "density": TargetRegions("density", threshold=0.9),
    "quantiles": TargetRegions("quantile", quantiles=(0.05, 0.95), rare=[0, 2]),
    "edges": TargetRegions("edges", edges=[65.0, 85.0], rare=[1, 2]),
}
figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.2), layout="constrained", sharey=True)
for ax, (title, rule) in zip(axes, rules.items(), strict=True):
    TargetRegionsDisplay.from_target(
        temperature, rule.fit(temperature), ax=ax, name="optimum temperature", unit="°C"
    )
    ax.set_title(title)

# %%
# Classes are drawn by size. Rare means fewer than the mean class, as in ``RegionOverSampler``.

_, location = load_subcellular_location(return_X_y=True)
classes, counts = np.unique(location, return_counts=True)
_ = TargetRegionsDisplay.from_target(location, counts < counts.mean())
