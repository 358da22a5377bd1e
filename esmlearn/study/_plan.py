"""From the parameters of a study to what will be fitted."""

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

from sklearn.base import clone

from esmlearn.exceptions import DataError
from esmlearn.study._candidates import COMPLEXITY, PipelineFactory, default_models

if TYPE_CHECKING:
    from esmlearn.study._study import Study


def check_candidates(models: Any, resamplers: Sequence[str], levels: Sequence[int]) -> None:
    """Refuse what cannot compete now, and not after the search and the embedding."""
    from esmlearn.over_sampling._imblearn.adapter import SAMPLERS

    if len(models) == 0:
        raise DataError(f"models is empty; expected names out of {', '.join(COMPLEXITY)}.")
    if isinstance(models, list | tuple):
        _check_names("models", models, COMPLEXITY)
    _check_names("resamplers", resamplers, SAMPLERS)
    for level in levels:
        if not isinstance(level, Integral) or level < 1:
            raise DataError(f"levels has {level!r}; expected whole per cents of 1 or more.")


def _check_names(parameter: str, names: Any, known: Any) -> None:
    for name in names:
        if name not in known:
            raise DataError(f"{parameter} has {name!r}; expected names out of {', '.join(known)}.")


def make_embedder(model: Any, *, n_jobs: int | None, verbose: int) -> Any:
    """Return an embedder of its own from what a user may pass for it."""
    from esmlearn.embedding import ESMEmbedder

    if hasattr(model, "transform"):
        return clone(model)
    return ESMEmbedder(model, n_jobs=n_jobs, verbose=int(verbose > 0))


def choose_models(models: Any, task: str, regions: Any, random_state: int) -> dict[str, Any]:
    """Return the unfitted models that compete, by name."""
    if isinstance(models, dict):
        return models
    known = default_models(task, regions=regions, random_state=random_state)
    return known if models == "all" else {name: known[name] for name in models}


def make_factory(study: "Study", embedder: Any) -> PipelineFactory:
    """Return what makes the pipeline of each candidate of a study whose data are prepared."""
    from esmlearn.model_selection import CDHitGroupSplitter, CDHitShuffleSplit

    data, seed = study.data_, study.random_state
    homology: dict[str, Any] = {"identity": study.identity, "coverage": study.coverage}
    regions = None if data.regions is None else clone(data.regions)
    return PipelineFactory(
        embedder=clone(embedder).set_params(n_jobs=None, verbose=0),
        models=choose_models(study.models, data.task, regions, seed),
        regions=regions,
        target="continuous" if data.regions is not None else "classes",
        validation=CDHitShuffleSplit(1, test_size=study.validation, random_state=seed, **homology),
        inner=CDHitGroupSplitter(study.n_inner_splits, random_state=seed, **homology),
        grid={
            "resample__sampler": [None, *study.resamplers],
            "resample__level": list(study.levels),
        },
        scoring=_inner_scoring(data.regions),
        random_state=seed,
    )


def _inner_scoring(regions: Any) -> Any:
    if regions is None:
        return "f1_macro"
    from esmlearn.metrics import make_region_scorer

    return make_region_scorer("balanced_mae", regions=regions)
