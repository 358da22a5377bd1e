"""Partition of a homology graph into folds without homology between training and test parts.

`planner` makes a plan of folds: `components` cuts those too large for a fold, `assignment` assigns
whole groups to folds, `rebalance` moves single proteins of what was cut, and `separator` sets
proteins aside so that no edge joins two folds.
"""
