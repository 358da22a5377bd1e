"""
What embeddings look like
=========================

A language model turns a protein into a few hundred numbers. ``EmbeddingPCADisplay`` shows them in
two dimensions, coloured by what you want to predict. Look at it before you train anything: a target
that is a matter of a few large families, and a batch that was measured elsewhere, can be seen here.
"""

# %%
# A continuous target
# -------------------
# Optimum temperatures of enzymes. The colour scale rises in lightness, so that it can be read in
# grey and by every kind of colour vision.

import numpy as np

from esmlearn.datasets import load_optimum_temperature, load_subcellular_location
from esmlearn.embedding import ESMEmbedder
from esmlearn.plotting import EmbeddingPCADisplay

MODEL = "esmlearn_mini_v3"

sequences, temperature = load_optimum_temperature(return_X_y=True)
some = np.array([300 <= len(sequence) < 340 for sequence in sequences])
embedder = ESMEmbedder(MODEL).fit(sequences[some])
_ = EmbeddingPCADisplay.from_estimator(
    embedder, sequences[some], temperature[some], name="optimum temperature", unit="°C"
)

# %%
# The axes tell how much of the variance they show. If it is little, proteins that lie on top of
# each other may be far apart in the other directions.

# %%
# Classes
# -------
# Where a protein works in the cell. Classes get a legend; from the seventh on, markers change too.

sequences, location = load_subcellular_location(return_X_y=True)
single = np.array([";" not in place for place in location])
short = np.array([len(sequence) < 85 for sequence in sequences])
sequences, location = sequences[single & short], location[single & short]

X = embedder.transform(sequences)
display = EmbeddingPCADisplay.from_embedding(X, location)
display.ax_.set_title(f"{len(location)} short proteins and where they are found")

# %%
# The vectors are plain NumPy rows, one per protein, in the order given.

print(X.shape, X.dtype)
