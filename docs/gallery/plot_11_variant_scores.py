"""
Scores of mutations
===================

A language model that has learnt which residues fit where can tell, without any measurement, which
mutations a protein is likely to bear. ``ESMVariantScorer`` compares the probability of the mutant
residue with that of the wild type at the same position.
"""

# %%
# One protein, every mutation
# ---------------------------
# The protein is the B1 domain of streptococcal protein G, 56 residues, the workhorse of mutational
# scans. With ``method="masked"`` the model does not see the residue that it judges.

import matplotlib.pyplot as plt
import numpy as np

from esmlearn.embedding import ESMVariantScorer

MODEL = "esmlearn_mini_v3"
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"

gb1 = "MTYKLILNGKTLKGETTTEAVDAATAEKVFKQYANDNGVDGEWTYDDATKTFTVTE"
scorer = ESMVariantScorer(MODEL, wild_type=gb1, method="masked").fit()
mutations = [f"{own}{i}{new}" for i, own in enumerate(gb1, start=1) for new in RESIDUES]
scores = scorer.transform(mutations)[:, 0].reshape(len(gb1), len(RESIDUES))

# %%
# The pseudo-perplexity measures how well the model predicts this protein: 1 is everything, 20 is
# nothing. The higher it is, the less its scores mean.

print(f"pseudo-perplexity {scorer.pseudo_perplexity_:.1f} of 20")

# %%
# A map of tolerance
# ------------------
# Blue is what the model expects rather than the wild type, red what it does not; the wild type
# itself is marked.

limit = np.abs(scores).max()
figure, ax = plt.subplots(figsize=(10, 4), layout="constrained")
image = ax.imshow(scores.T, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
own = [RESIDUES.index(residue) for residue in gb1]
ax.plot(range(len(gb1)), own, "k.", markersize=3)
ax.set_yticks(range(len(RESIDUES)), RESIDUES, fontsize=7)
ax.set_xticks(range(0, len(gb1), 5), [f"{gb1[i]}{i + 1}" for i in range(0, len(gb1), 5)])
ax.set(xlabel="Position", ylabel="Mutant residue")
_ = figure.colorbar(image, ax=ax, label="log p(mutant) − log p(wild type)")

# %%
# Several mutations at once
# -------------------------
# Join them with a colon, or give whole mutant sequences. Scores of several mutations are added:
# the model is asked about each by itself, so what mutations do to one another is not in the score.

variants = ["T2Q", "T2Q:D47K", "E42A"]
for variant, score in zip(variants, scorer.transform(variants)[:, 0], strict=True):
    print(f"{variant:>60}  {score:+.2f}")

# %%
# As a feature
# ------------
# The scorer is a transformer, so the score can stand beside other features in a pipeline. How to
# split measured mutants is another matter: see :doc:`/howto/mutational_scans`.
