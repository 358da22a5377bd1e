"""Over-samplers of imbalanced-learn for continuous targets.

`adapter` runs a sampler on regions of a target, `fallback` decides what happens where it cannot
make rows, `augmented_rows` carries targets and row numbers through it, `proxies` replace the
estimators inside it, and `nearest` and `neighbor_cache` find neighbours quickly, and only once.
"""
