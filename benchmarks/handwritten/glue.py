"""The method by hand: fair-esm, MMseqs2, scikit-learn and imbalanced-learn, without esmlearn.

Written as carefully as such scripts are by people who know the traps: vectors are means over
residues alone and kept on disk, folds come from clusters, scaling and over-sampling see training
rows only, targets of synthetic rows are interpolated.
"""

import argparse
import subprocess
import tempfile
import warnings
from pathlib import Path

import esm
import joblib
import numpy as np
import pandas as pd
import torch
from imblearn.over_sampling import ADASYN, SMOTE, RandomOverSampler
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

HOT, LEVELS = 65.0, (100, 200, 300)
SAMPLERS = {"random": RandomOverSampler, "smote": SMOTE, "adasyn": ADASYN}
STRATEGIES = [(None, 0)] + [(name, level) for name in SAMPLERS for level in LEVELS]
MODELS = {
    "ridge": Ridge(300.0),
    "net": MLPRegressor(
        hidden_layer_sizes=(200, 200, 200), early_stopping=True, batch_size=64, random_state=0
    ),
}


def embed(sequences, checkpoint, kept):
    if kept.exists():
        return np.load(kept)
    with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, alphabet = esm.pretrained.load_model_and_alphabet(str(checkpoint))
    model.eval()
    layer = model.num_layers
    data = esm.FastaBatchedDataset([str(i) for i in range(len(sequences))], sequences)
    batches = data.get_batch_indices(4096, extra_toks_per_seq=1)
    loader = torch.utils.data.DataLoader(
        data, collate_fn=alphabet.get_batch_converter(1022), batch_sampler=batches
    )
    vectors = np.empty((len(sequences), model.embed_dim), dtype=np.float32)
    with torch.no_grad():
        for names, texts, tokens in loader:
            states = model(tokens, repr_layers=[layer])["representations"][layer]
            for name, text, state in zip(names, texts, states, strict=True):
                length = min(len(text), 1022)
                vectors[int(name)] = state[1 : length + 1].mean(0).numpy()
    np.save(kept, vectors)
    return vectors


def cluster(sequences, mmseqs):
    with tempfile.TemporaryDirectory() as folder:
        fasta = Path(folder, "proteins.fasta")
        fasta.write_text("".join(f">{i}\n{s}\n" for i, s in enumerate(sequences)))
        options = ["--min-seq-id", "0.3", "-c", "0.5", "--threads", "1", "-v", "1"]
        command = [mmseqs, "easy-cluster", str(fasta), f"{folder}/out", f"{folder}/tmp", *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        pairs = pd.read_csv(f"{folder}/out_cluster.tsv", sep="\t", header=None)
    return pairs.set_index(1)[0].loc[range(len(sequences))].to_numpy()


def over_sample(X, y, name, level):
    hot = (y >= HOT).astype(int)
    if name is None or hot.sum() < 6:
        return X, y
    wanted = {1: int(hot.sum() * (1 + level / 100))}
    sampler = SAMPLERS[name](sampling_strategy=wanted, random_state=0)
    scale = y.std()
    resampled, _ = sampler.fit_resample(np.column_stack([X, (y - y.mean()) / scale]), hot)
    return resampled[:, :-1], resampled[:, -1] * scale + y.mean()


def score(y, predicted):
    hot, said = y >= HOT, predicted >= HOT
    error = np.abs(y - predicted)
    return {
        "mae": error.mean(),
        "balanced_mae": (error[hot].mean() + error[~hot].mean()) / 2,
        "recall": said[hot].mean(),
        "precision": hot[said].mean() if said.any() else 0.0,
    }


def fit(X, y, name, strategy):
    scaler = StandardScaler().fit(X)
    X, y = over_sample(scaler.transform(X), y, *strategy)
    return scaler, MODELS[name].fit(X, y)


def main():
    parser = argparse.ArgumentParser()
    for name in ("table", "checkpoint", "out", "mmseqs"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    out = Path(arguments.out)
    frame = pd.read_csv(arguments.table).drop_duplicates("sequence")
    sequences, y = frame["sequence"].tolist(), frame["target"].to_numpy()
    X = embed(sequences, arguments.checkpoint, out / "vectors.npy")
    groups = cluster(sequences, arguments.mmseqs)
    splits = list(GroupKFold(5).split(X, y, groups))
    rows = []
    for name in MODELS:
        for strategy in STRATEGIES:
            for fold, (train, test) in enumerate(splits):
                scaler, model = fit(X[train], y[train], name, strategy)
                scores = score(y[test], model.predict(scaler.transform(X[test])))
                sampler, level = strategy
                rows.append(
                    {"model": name, "sampler": sampler, "level": level, "fold": fold, **scores}
                )
    table = pd.DataFrame(rows)
    table.to_csv(out / "results.csv", index=False)
    means = table.groupby(["model", "sampler", "level"], dropna=False)["balanced_mae"].mean()
    name, sampler, level = means.idxmin()
    sampler = None if pd.isna(sampler) else sampler
    joblib.dump(fit(X, y, name, (sampler, level)), out / "model.joblib")
    fold_of = np.empty(len(y), dtype=int)
    for fold, (_, test) in enumerate(splits):
        fold_of[test] = fold
    frame.assign(fold=fold_of).to_csv(out / "folds.csv", index=False)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
