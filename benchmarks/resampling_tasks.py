"""One measurement of benchmarks/resampling.py, run by itself in the Python of the library it needs.

    PYTHON resampling_tasks.py TASK FOLDER

FOLDER holds X.npy, y.npy and edge.npy. Imports and loading are not measured.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np

warnings.simplefilter("ignore")
LEVEL = 300


def imblearn(name):
    import imblearn.over_sampling as samplers

    def run(X, y, edge):
        labels = (y >= edge).astype(int)
        total = int(labels.sum() * (1 + LEVEL / 100))
        sampler = getattr(samplers, name)(sampling_strategy={1: total}, random_state=0)
        return sampler.fit_resample(X, labels)

    return run


def esmlearn(name):
    from esmlearn.over_sampling import RegionOverSampler

    def run(X, y, edge):
        sampler = RegionOverSampler(name, level=LEVEL, regions=[edge], rare=[1], random_state=0)
        return sampler.fit_resample(X, y)

    return run


def esmlearn_grid():
    """Nine candidates of one training fold: what a grid over samplers and levels does."""
    from esmlearn.over_sampling import RegionOverSampler

    def run(X, y, edge):
        for level in (100, 200, 300):
            for name in ("random", "smote", "adasyn"):
                RegionOverSampler(
                    name, level=level, regions=[edge], rare=[1], random_state=0
                ).fit_resample(X, y)

    return run


def esmlearn_density():
    from esmlearn.over_sampling import TargetRegions

    return lambda X, y, edge: TargetRegions("density").fit(y).weights(y)


def denseweight():
    from denseweight import DenseWeight

    return lambda X, y, edge: DenseWeight(alpha=1.0).fit(y)


def resreg():
    import resreg as library

    def run(X, y, edge):
        relevance = (y >= edge).astype(float)
        over = LEVEL / 100
        return library.smoter(X, y, relevance, 0.5, k=5, over=over, under=0.5, random_state=0)

    return run


def _frame(X, y):
    import pandas as pd

    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(X.shape[1])])
    return frame.assign(target=y)


def _control_points(y, edge):
    return [[float(y.min()), 0, 0], [float(np.median(y)), 0, 0], [float(edge), 1, 0]]


def _unframe(frame):
    return frame.drop(columns="target").to_numpy(), frame["target"].to_numpy()


def imbreg():
    import imbreg as library

    def run(X, y, edge):
        phi = library.phi_control(y, method="range", control_pts=_control_points(y, edge))
        frame = _frame(X, y)
        return _unframe(
            library.smogn_regress(frame, "target", phi_ctrl=phi, thr_rel=0.9, seed=0, pert=1e-6)
        )

    return run


def smogn():
    import os

    os.environ["TQDM_DISABLE"] = "1"
    import smogn as library

    def run(X, y, edge):
        points = _control_points(y, edge)
        return _unframe(
            library.smoter(
                _frame(X, y),
                "target",
                k=5,
                rel_method="manual",
                rel_ctrl_pts_rg=points,
                rel_thres=0.9,
                pert=1e-6,
            )
        )

    return run


TASKS = {
    **{f"imblearn {name}": (imblearn, name) for name in ("SMOTE", "ADASYN")},
    **{
        f"esmlearn {name}": (esmlearn, name)
        for name in ("random", "smote", "adasyn", "borderline", "svm", "kmeans")
    },
    "esmlearn grid": (esmlearn_grid,),
    "esmlearn density": (esmlearn_density,),
    "denseweight": (denseweight,),
    "resreg": (resreg,),
    "imbreg": (imbreg,),
    "smogn": (smogn,),
}


def peak():
    """Peak memory of this program in bytes; getrusage would count its parent's peak as its own."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def line_error(X, y, X_resampled, y_resampled):
    """Mean distance of synthetic targets from the line on which the rare rows lie."""
    known = {row.tobytes() for row in X.round(5)}
    new = np.array([row.tobytes() not in known for row in X_resampled.astype(X.dtype).round(5)])
    new &= y_resampled > 60
    return float(np.abs(y_resampled[new] - (100 + 10 * X_resampled[new, 0])).mean())


def main(task, folder):
    make, *args = TASKS[task]
    run = make(*args)
    X, y, edge = (np.load(Path(folder, f"{name}.npy")) for name in ("X", "y", "edge"))
    before = peak()
    wall, cpu = time.perf_counter(), time.process_time()
    result = run(X, y, edge.item())
    figures = {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "extra_memory_of_X": (peak() - before) / X.nbytes,
    }
    if Path(folder, "line").exists():
        figures["line_error"] = line_error(X, y, *map(np.asarray, result))
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
