"""Save and load fitted estimators without pickle, and without executing anything on load.

A saved file is a zip of three entries: ``model.skops`` (arrays and plain values, by skops),
``metadata.json`` (versions, and which language model made the features) and ``sha256`` (a digest of
both). Only types on an explicit list are built on load. The digest finds damage and careless edits;
it is no signature, since whoever can write the file can write the digest: to be sure that a file
is the one you saved, keep what `save` returns and pass it to `load`. Nothing in a file is
compressed but sparse matrices, so that it does not unpack to more than its size.

The weights of a language model are never stored, only their fingerprint: a saved model is a few
megabytes, and predicts only with the very weights it was trained with.
"""

import copy
import hashlib
import io
import json
import logging
import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from sklearn.base import clone

from esmlearn._version import __version__
from esmlearn.exceptions import CheckpointError, DataError, EsmlearnError
from esmlearn.utils._optional import import_optional
from esmlearn.utils._paths import atomic_write
from esmlearn.utils._warn import warn

__all__ = ["TRUSTED_TYPES", "file_digest", "load", "read_metadata", "save"]

_log = logging.getLogger(__name__)

_FORMAT = 1
_ENTRIES = ("metadata.json", "model.skops", "sha256")
_LIBRARIES = ("scikit-learn", "imbalanced-learn", "numpy", "torch")
#: What the sparse matrices of a saved model may unpack to.
_MAX_SPARSE = 1 << 30
#: Settings of the machine that saved a model, and what they are on the one that loads it.
_OF_THE_MACHINE: dict[str, Any] = {
    "cache": "default",
    "device": "auto",
    "memory": None,
    "n_jobs": None,
}

#: Types that `load` builds besides those that skops trusts by itself (scikit-learn's and NumPy's).
TRUSTED_TYPES = frozenset(
    {
        "esmlearn.conformal._classifier.HomologyConformalClassifier",
        "esmlearn.conformal._regressor.HomologyConformalRegressor",
        "esmlearn.embedding._embedder.ESMEmbedder",
        "esmlearn.model_selection._shuffle_split.CDHitShuffleSplit",
        "esmlearn.neural_network._classifier.MLPClassifier",
        "esmlearn.neural_network._regressor.MLPRegressor",
        "esmlearn.over_sampling._dense_weight.DenseWeightRegressor",
        "esmlearn.over_sampling._density.Density",
        "esmlearn.over_sampling._density.Histogram",
        "esmlearn.over_sampling._gaussian_noise.GaussianNoiseOverSampler",
        "esmlearn.over_sampling._region_over_sampler.RegionOverSampler",
        "esmlearn.over_sampling._region_under_sampler.RegionUnderSampler",
        "esmlearn.over_sampling._regions.TargetRegions",
        "esmlearn.over_sampling._relevance_sampler.RelevanceSampler",
        "esmlearn.over_sampling._thresholds.FoldClassifiers",
        "esmlearn.over_sampling._two_stage.TwoStageRegressor",
        "esmlearn.pipeline.Pipeline",
        "esmlearn.study._baselines.RegionLogisticRegression",
        "esmlearn.study._covariates.SequenceAndCovariates",
        "esmlearn.variants._embedder.VariantEmbedder",
        "esmlearn.variants._features.MutationOneHotEncoder",
        "esmlearn.variants._features.MutationPropertyEncoder",
        "esmlearn.variants._splitter.VariantSplitter",
        "imblearn.over_sampling._adasyn.ADASYN",
        "imblearn.over_sampling._random_over_sampler.RandomOverSampler",
        "imblearn.over_sampling._smote.base.SMOTE",
        "imblearn.over_sampling._smote.cluster.KMeansSMOTE",
        "imblearn.over_sampling._smote.filter.BorderlineSMOTE",
        "imblearn.over_sampling._smote.filter.SVMSMOTE",
        "imblearn.pipeline.Pipeline",
        # Plain holders of parameters, and of what scikit-learn's meta-estimators fitted.
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.DotProduct",
        "sklearn.gaussian_process.kernels.Matern",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.gaussian_process.kernels.RationalQuadratic",
        "sklearn.gaussian_process.kernels.Sum",
        "sklearn.gaussian_process.kernels.WhiteKernel",
        "sklearn.utils._bunch.Bunch",
        # Trees of forests: compiled, and they check the arrays that they are built from.
        "sklearn.tree._tree.Tree",
    }
)


def save(estimator: Any, path: str | os.PathLike[str]) -> str:
    """Save a fitted estimator.

    Parameters
    ----------
    estimator : estimator
        Such as a pipeline of embedder, scaler, sampler and model. Samplers and the splitter of a
        validation part are saved as they were before fitting: prediction does not need them. Of a
        fitted search (such as GridSearchCV) ``best_estimator_`` is saved, which is what predicts.
    path : path-like
        File to write; it stands there whole or not at all.

    Returns
    -------
    digest : str
        SHA-256 of the content, for `load`.

    Raises
    ------
    DataError
        If the estimator holds something that `load` would refuse.
    EngineNotFoundError
        If skops is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from esmlearn.persistence import load, save
    >>> X, y = np.eye(4), np.arange(4.0)
    >>> model = Ridge().fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     digest = save(model, Path(folder, "model.esmlearn"))
    ...     again = load(Path(folder, "model.esmlearn"), digest=digest)
    >>> bool((again.predict(X) == model.predict(X)).all())
    True
    """
    skops_io = _skops()
    bare = _bare(estimator)
    model = skops_io.dumps(bare)
    unknown = sorted(set(skops_io.get_untrusted_types(data=model)) - TRUSTED_TYPES)
    if unknown:
        raise DataError(
            f"The estimator holds objects of type {', '.join(unknown)}, which load would refuse; "
            f"expected estimators of esmlearn, scikit-learn and imbalanced-learn. Save the steps "
            f"before it, and a model of another library (LightGBM, XGBoost, CatBoost) in the "
            f"format of that library."
        )
    about = json.dumps(_describe(bare), indent=1, sort_keys=True).encode()
    digest = _digest(about, model)
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in zip(_ENTRIES, (about, model, digest.encode()), strict=True):
            # A fixed date: saving the same content twice gives the same entries.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return digest


def load(
    path: str | os.PathLike[str],
    *,
    digest: str | None = None,
    model: str | os.PathLike[str] | None = None,
    trusted: Iterable[str] = (),
    check_weights: bool = True,
    allow_download: bool = False,
) -> Any:
    """Load an estimator that `save` wrote.

    Settings of the machine that saved it (`cache`, `device`, `memory`, `n_jobs`) are not taken
    over; ``cache=None``, no cache, is.

    Parameters
    ----------
    path : path-like
        The file.
    digest : str or None, default=None
        What `save` returned; any other content is refused.
    model : str, path-like or None, default=None
        Where the language model's weights lie on this machine, if not where they were when saving.
    trusted : iterable of str, default=()
        Further types to build, such as ``"mypackage.MyModel"``. Building a type can run its code:
        name only types you trust.
    check_weights : bool, default=True
        Whether to make sure now that the language model's weights are those of training.
    allow_download : bool, default=False
        Whether a language model that is not on this machine may be fetched.

    Returns
    -------
    estimator : estimator
        Its predictions are bit-identical to those of the estimator that was saved.

    Raises
    ------
    DataError
        If the file is no saved estimator, was changed, holds a type that is not trusted, or would
        unpack to more than it may.
    CheckpointError
        If the language model's weights are missing, others than in training, or would have to be
        fetched without `allow_download`.

    Warns
    -----
    UserWarning
        If scikit-learn, imbalanced-learn, NumPy or torch have another major or minor version.
    """
    skops_io = _skops()
    with _refusing_nonsense(path):
        about, content = _read(Path(path), digest)
        _check_sizes(path, content)
        unknown = set(skops_io.get_untrusted_types(data=content)) - TRUSTED_TYPES - set(trusted)
        if unknown:
            raise DataError(
                f"{path} holds objects of type {', '.join(sorted(unknown))}, which are not "
                f"trusted; nothing was loaded. If you know them, pass trusted={sorted(unknown)!r}."
            )
        _warn_versions(path, about)
        estimator = skops_io.loads(content, trusted=sorted(TRUSTED_TYPES | set(trusted)))
        if not hasattr(estimator, "get_params"):
            raise DataError(f"{path} holds a {type(estimator).__name__}; expected an estimator.")
        _settle_here(estimator)
        embedders = list(_embedders(estimator))
        if model is not None:
            if not embedders:
                raise DataError(f"{path} holds no language-model embedder, but model was given.")
            for embedder in embedders:
                embedder.set_params(model=os.fspath(model))
        if not allow_download:
            _refuse_downloads(path, embedders)
        if check_weights:
            _check_weights(path, embedders, about)
        return estimator


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a saved file says about itself, without loading the estimator.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    metadata : dict
        ``format``, ``versions``, ``estimator`` (its class) and ``embedders`` (model and
        fingerprint of each).

    Raises
    ------
    DataError
        If the file is no saved estimator or was changed.
    """
    with _refusing_nonsense(path):
        return _read(Path(path), None)[0]


def file_digest(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, for reports.

    Parameters
    ----------
    path : path-like
        Any file.

    Returns
    -------
    digest : str
        64 hexadecimal digits.
    """
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _skops() -> Any:
    return import_optional("skops.io", extra="study", purpose="Saving and loading models")


def _digest(about: bytes, model: bytes) -> str:
    parts = (hashlib.sha256(part).digest() for part in (about, model))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _bare(value: Any) -> Any:
    """Return a value without what prediction does not need, such as fitted samplers.

    What holds nothing of the kind is returned itself, so that parts which are shared stay shared.
    """
    if isinstance(value, dict | list | tuple):
        return _bare_container(value)
    if not _is_estimator(value):
        return value
    if "best_estimator_" in vars(value):
        return _bare(value.best_estimator_)
    if _is_embedder(value):
        return _bare_embedder(value)
    if hasattr(value, "fit_resample") and not hasattr(value, "steps"):
        return clone(value)
    changed = {k: _bare(v) for k, v in vars(value).items()}
    if "fold_estimators_" in changed:
        changed["cv"] = None  # calibration folds, perhaps with the sequences of a reference
    validation = changed.get("validation")
    if hasattr(value, "steps") and hasattr(validation, "get_params"):
        changed["validation"] = clone(validation)
    if all(changed[k] is v for k, v in vars(value).items()):
        return value
    bare = copy.copy(value)
    vars(bare).update(changed)
    return bare


def _bare_container(values: Any) -> Any:
    if isinstance(values, dict):
        items = {k: _bare(v) for k, v in values.items()}
        if all(items[k] is v for k, v in values.items()):
            return values
        bare = copy.copy(values)
        bare.update(items)
        return bare
    parts = [_bare(v) for v in values]
    if all(part is v for part, v in zip(parts, values, strict=True)):
        return values
    return type(values)(parts)


def _bare_embedder(embedder: Any) -> Any:
    """Return an unfitted embedder whose settings are plain text."""
    models = embedder.model
    single = isinstance(models, str | os.PathLike)
    names = os.fspath(models) if single else [os.fspath(m) for m in models]
    bare = clone(embedder).set_params(model=names)
    _settle_here(bare)
    return bare


def _is_estimator(value: Any) -> bool:
    """Return whether it may hold an embedder; some fitted parts of scikit-learn only predict."""
    if isinstance(value, type) or not hasattr(value, "__dict__"):
        return False
    return any(hasattr(value, name) for name in ("get_params", "predict_proba", "predict"))


def _is_embedder(estimator: Any) -> bool:
    # Of its own: a frozen or wrapped estimator passes on what its inner one has.
    return "model" in vars(estimator) and hasattr(estimator, "fingerprint")


def _estimators(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """Yield each estimator once, also those inside meta-estimators, in an order that is kept."""
    seen = set() if seen is None else seen
    if isinstance(value, list | tuple):
        parts = list(value)
    elif isinstance(value, dict):
        parts = [value[k] for k in sorted(value, key=str)]
    elif not _is_estimator(value) or id(value) in seen:
        return
    else:
        seen.add(id(value))
        yield value
        parts = [] if _is_embedder(value) else [v for _, v in sorted(vars(value).items())]
    for part in parts:
        yield from _estimators(part, seen)


def _embedders(value: Any) -> Iterator[Any]:
    return filter(_is_embedder, _estimators(value))


def _settle_here(estimator: Any) -> None:
    """Forget the settings of the machine that an estimator was saved on."""
    for part in _estimators(estimator):
        own = vars(part)
        own.update({k: v for k, v in _OF_THE_MACHINE.items() if own.get(k) is not None})


def _describe(estimator: Any) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "estimator": f"{type(estimator).__module__}.{type(estimator).__qualname__}",
        "versions": {
            "esmlearn": __version__,
            **{name: metadata.version(name) for name in _LIBRARIES},
        },
        "embedders": [
            {"model": str(embedder.model), "fingerprint": embedder.fingerprint()}
            for embedder in _embedders(estimator)
        ],
    }


@contextmanager
def _refusing_nonsense(path: Any) -> Iterator[None]:
    """Turn whatever a file that no `save` wrote runs into, in any library, into one error."""
    try:
        yield
    except EsmlearnError:
        raise
    except Exception as error:
        raise DataError(
            f"{path} is no intact saved model ({type(error).__name__}: {error}); save it again."
        ) from error


def _read(path: Path, digest: str | None) -> tuple[dict[str, Any], bytes]:
    """Return metadata and model of an intact file; only the digest is looked at before."""
    if not path.is_file():
        raise DataError(f"There is no file {path}; check the path.")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if sorted(names) != sorted(_ENTRIES):
            raise DataError(
                f"{path} holds {', '.join(names[:9]) or 'nothing'}; expected "
                f"{', '.join(_ENTRIES)}. It was not written by esmlearn.persistence.save."
            )
        _refuse_packed(path, archive, path.stat().st_size)
        about, model, written = (archive.read(name) for name in _ENTRIES)
    found, expected = _digest(about, model), digest or written.decode("ascii", "replace")
    if found != expected or found.encode() != written:
        raise DataError(
            f"{path} has the digest {found}; expected {expected}. It was changed after saving, or "
            f"is another model; nothing was loaded."
        )
    described = json.loads(about)
    if described["format"] != _FORMAT:
        raise DataError(
            f"{path} has format {described['format']}; this version of esmlearn reads {_FORMAT}. "
            f"Install esmlearn {described['versions']['esmlearn']}."
        )
    return described, model


def _refuse_packed(path: Any, archive: zipfile.ZipFile, size: int) -> None:
    """Refuse an archive that could unpack to more than its size."""
    entries = archive.infolist()
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not stored or sum(entry.file_size for entry in entries) > size:
        raise DataError(
            f"{path} would unpack to more than its size; it was not written by "
            f"esmlearn.persistence.save, which compresses nothing. Nothing was loaded."
        )


def _check_sizes(path: Any, content: bytes) -> None:
    """Refuse a model whose arrays would take much more memory than the file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        _refuse_packed(path, archive, len(content))
        unpacked = 0
        for name in archive.namelist():
            if name.endswith(".npz"):
                with zipfile.ZipFile(io.BytesIO(archive.read(name))) as sparse:
                    unpacked += sum(entry.file_size for entry in sparse.infolist())
        schema = json.loads(archive.read("schema.json"))
    if unpacked > _MAX_SPARSE:
        raise DataError(
            f"{path} holds sparse matrices of {unpacked:,} bytes; expected at most "
            f"{_MAX_SPARSE:,}. Nothing was loaded."
        )
    _refuse_copies(path, schema)


def _refuse_copies(path: Any, schema: Any) -> None:
    """Refuse a model that reads one array again and again under other names."""
    names: dict[Any, Any] = {}
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            file, name = node.get("file"), node.get("__id__")
            if isinstance(file, str) and names.setdefault(file, name) != name:
                raise DataError(f"{path} holds one array under several names; save it again.")
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _warn_versions(path: Any, about: dict[str, Any]) -> None:
    """Name the libraries whose major or minor version is another, in one warning."""
    other = {}
    for name in _LIBRARIES:
        saved, installed = about["versions"][name], metadata.version(name)
        if saved.split(".")[:2] != installed.split(".")[:2]:
            other[name] = (saved, installed)
    if other:
        versions = ", ".join(
            f"{name} {saved} ({found} is here)" for name, (saved, found) in other.items()
        )
        wanted = " ".join(f'"{name}=={saved}"' for name, (saved, _) in other.items())
        warn(
            f"{path} was saved with {versions}: predictions may differ. To be sure: python -m pip "
            f"install {wanted}",
        )


def _refuse_downloads(path: Any, embedders: list[Any]) -> None:
    """Refuse a model whose language model would have to be fetched."""
    for embedder in embedders:
        for name in embedder.missing_models():
            raise CheckpointError(
                f"{path} needs the language model {name}, which is not on this machine. If you "
                f"trust the file, pass allow_download=True (on the command line --allow-download) "
                f"to fetch it; or pass the place of its weights as model=."
            )


def _check_weights(path: Any, embedders: list[Any], about: dict[str, Any]) -> None:
    """Make sure that the embedders find the weights that the model was trained with."""
    if len(embedders) != len(about["embedders"]):
        raise DataError(
            f"{path} lists {len(about['embedders'])} language-model embedders and holds "
            f"{len(embedders)}; save it again with this version of esmlearn."
        )
    for embedder, saved in zip(embedders, about["embedders"], strict=True):
        try:
            found = embedder.fingerprint()
        except CheckpointError as error:
            raise CheckpointError(
                f"{path} was trained on the language model {saved['model']}, which cannot be read "
                f"here ({error}). Pass the place of its weights as model=."
            ) from error
        if found != saved["fingerprint"]:
            raise CheckpointError(
                f"{path} was trained on {saved['model']} with the fingerprint "
                f"{saved['fingerprint']}; got {found}. These are other weights or settings: its "
                f"predictions would be wrong. Pass the right weights as model=."
            )
