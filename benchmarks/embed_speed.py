"""Speed and exactness of the encoder beside fair-esm's own extraction, in one run.

Peers and ours take turns; what is reported is the ratio of medians. The ceiling, the speed of a
large matrix product in the same precision, is measured in the same run. The weights are untrained:
speed and rounding do not depend on training. fair-esm profits from malloc settings, so every
measurement is made twice, in child processes with and without them.

    python benchmarks/embed_speed.py --data proteins.csv.gz --models 8M 150M ESM-1v
    python benchmarks/embed_speed.py --data proteins.csv.gz --quick
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from _report import machine, write_result
from torch.nn.functional import cosine_similarity

from esmlearn.embedding import write_untrained_checkpoint
from esmlearn.embedding._batching import plan_batches
from esmlearn.embedding._registry import resolve_model

MODELS = {
    "tiny": ("esm2", 2, 64, 4),
    "8M": ("esm2", 6, 320, 20),
    "35M": ("esm2", 12, 480, 20),
    "150M": ("esm2", 30, 640, 20),
    "ESM-1v": ("esm1v", 33, 1280, 20),
}
MALLOC_TUNED = {"MALLOC_TRIM_THRESHOLD_": "-1", "MALLOC_MMAP_THRESHOLD_": "4294967296"}


def read_sequences(path, number, seed=0):
    """Return `number` real sequences of at most 1022 residues from a CSV or FASTA file."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as file:
        if ".fa" in path.name:
            text = file.read().split(">")[1:]
            sequences = ["".join(record.split("\n")[1:]) for record in text]
        else:
            header = file.readline().strip().split(",")
            column = header.index("sequence")
            sequences = [line.strip().split(",")[column] for line in file]
    sequences = sorted({s for s in sequences if s and len(s) <= 1022 and s.isalpha()})
    order = np.random.default_rng(seed).permutation(len(sequences))[:number]
    return [sequences[i] for i in order]


def load_fair_esm(path):
    import esm

    with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, alphabet = esm.pretrained.load_model_and_alphabet(str(path))
    return model.eval(), alphabet


def fair_esm_extract(model, alphabet, sequences, *, batch_size=None):
    """Embed as fair-esm's extract.py does (sorted, 4096 tokens), or in file order as many do."""
    import esm

    names = [str(i) for i in range(len(sequences))]
    data = esm.FastaBatchedDataset(names, sequences)
    if batch_size is None:
        batches = data.get_batch_indices(4096, extra_toks_per_seq=1)
    else:
        starts = range(0, len(sequences), batch_size)
        batches = [list(range(s, min(s + batch_size, len(sequences)))) for s in starts]
    convert, out = alphabet.get_batch_converter(1022), [None] * len(sequences)
    layer = len(model.layers)
    with torch.no_grad():
        for batch in batches:
            _, strings, tokens = convert([data[i] for i in batch])
            states = model(tokens, repr_layers=[layer])["representations"][layer]
            for row, index in enumerate(batch):
                out[index] = states[row, 1 : len(strings[row]) + 1].mean(0).clone()
    return torch.stack(out)


def esmlearn_encode(encoder, sequences, *, budget=4096):
    tokens = [encoder.tokenize(s) for s in sequences]
    out = [None] * len(sequences)
    with torch.inference_mode():
        for batch in plan_batches([len(t) for t in tokens], budget=budget):
            (states,) = encoder.encode([tokens[i] for i in batch], [encoder.n_layers])
            start = 0
            for index in batch:
                stop = start + len(tokens[index])
                out[index] = states[start + encoder.n_prefix : stop - encoder.n_suffix].mean(0)
                start = stop
    return torch.stack(out)


def gemm_ceiling(dtype, *, size=2048, seconds=1.0):
    """Return FLOP/s of large products, the faster of torch's and oneDNN's."""
    x, w = torch.randn(size, 1280).to(dtype), torch.randn(3840, 1280).to(dtype)
    bias, flops = torch.zeros(3840, dtype=dtype), 2.0 * size * 1280 * 3840
    calls = [lambda: torch.nn.functional.linear(x, w, bias)]
    if torch.backends.mkldnn.is_available():
        calls.append(lambda: torch.ops.mkldnn._linear_pointwise(x, w, bias, "none", [], ""))
    best = 0.0
    with torch.inference_mode():
        for call in calls:
            call()
            stop = time.perf_counter() + seconds
            while time.perf_counter() < stop:
                start = time.process_time()
                call()
                best = max(best, flops / (time.process_time() - start))
    return best


def model_flops(sequences, n_layers, width):
    lengths = np.array([len(s) + 2.0 for s in sequences])
    return n_layers * (24 * width**2 * lengths.sum() + 4 * width * (lengths**2).sum())


def measure(name, sequences, repeats):
    """Return medians, spreads, ratios and errors for one model."""
    architecture, n_layers, width, n_heads = MODELS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = write_untrained_checkpoint(
            folder, architecture=architecture, n_layers=n_layers, width=width, n_heads=n_heads
        )
        source = resolve_model(path)
        encoders = {
            precision: source.family.load(source.path, device="cpu", precision=precision)
            for precision in ("float32", "bfloat16")
        }
        model, alphabet = load_fair_esm(path)
    shuffled = [sequences[i] for i in np.random.default_rng(1).permutation(len(sequences))]
    ordered = sorted(sequences, key=len)
    runs = {
        "fair-esm extract": lambda: fair_esm_extract(model, alphabet, sequences),
        "esmlearn float32": lambda: esmlearn_encode(encoders["float32"], sequences),
        "esmlearn bfloat16": lambda: esmlearn_encode(encoders["bfloat16"], sequences),
        "esmlearn float32, sorted": lambda: esmlearn_encode(encoders["float32"], ordered),
        "esmlearn float32, shuffled": lambda: esmlearn_encode(encoders["float32"], shuffled),
        "fair-esm, file order, batch 16": lambda: fair_esm_extract(
            model, alphabet, sequences, batch_size=16
        ),
    }
    times, vectors = {key: [] for key in runs}, {}
    for _ in range(repeats):
        for key, run in runs.items():
            start = time.process_time()
            vectors[key] = run()
            times[key].append(time.process_time() - start)
    ceilings = {"float32": gemm_ceiling(torch.float32), "bfloat16": gemm_ceiling(torch.bfloat16)}
    flops = model_flops(sequences, n_layers, width)
    return {
        "ceiling_gflops": {key: value / 1e9 for key, value in ceilings.items()},
        "runs": summarise(times, flops, ceilings),
        "errors": errors(vectors),
    }


def summarise(times, flops, ceilings):
    base = np.median(times["fair-esm extract"])
    table = {}
    for key, values in times.items():
        median = float(np.median(values))
        ceiling = ceilings["bfloat16" if "bfloat16" in key else "float32"]
        table[key] = {
            "cpu_seconds_median": median,
            "cpu_seconds_min": min(values),
            "cpu_seconds_max": max(values),
            "times_fair_esm": float(base / median),
            "share_of_ceiling": flops / median / ceiling,
        }
    return table


def errors(vectors):
    exact = vectors["fair-esm extract"]
    report = {}
    for key in ("esmlearn float32", "esmlearn bfloat16"):
        ours = vectors[key]
        report[key] = {
            "max_absolute": float((ours - exact).abs().max()),
            "relative": float((ours - exact).norm() / exact.norm()),
            "min_cosine": float(cosine_similarity(ours, exact).min()),
        }
    return report


def describe_processor():
    """Return what decides the speed beside what every benchmark tells of its machine."""
    return {
        **machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "amx": bool(torch.cpu._is_amx_tile_supported()),
        "load_before": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def child(arguments):
    """Measure in this process, which was started with its malloc settings, and print JSON."""
    torch.set_num_threads(arguments.threads)
    sequences = read_sequences(arguments.data, arguments.n)
    result = {name: measure(name, sequences, arguments.repeats) for name in arguments.models}
    print(json.dumps(result))


def parent(arguments):
    result = {
        "machine": describe_processor(),
        "threads": arguments.threads,
        "n_sequences": arguments.n,
        "repeats": arguments.repeats,
        "malloc": {},
    }
    for name, settings in {"default": {}, "tuned": MALLOC_TUNED}.items():
        command = [sys.executable, __file__, *sys.argv[1:], "--child"]
        environment = {**os.environ, **settings, "OMP_NUM_THREADS": str(arguments.threads)}
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, check=True, text=True
        )
        result["malloc"][name] = json.loads(done.stdout.splitlines()[-1])
        for model, figures in result["malloc"][name].items():
            print(f"\n{model}, malloc {name}; errors {json.dumps(figures['errors'])}")
            for key, row in figures["runs"].items():
                print(
                    f"  {key:32s} {row['cpu_seconds_median']:8.2f} s  "
                    f"{row['times_fair_esm']:5.2f} x  {row['share_of_ceiling']:4.0%} of the ceiling"
                )
    write_result("embed_speed", result, quick=arguments.quick)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="CSV or FASTA of real proteins")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=["8M"])
    parser.add_argument("--n", type=int, default=300, help="sequences")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a tiny model, to try the script")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.models, arguments.n, arguments.repeats = ["tiny"], 20, 2
    child(arguments) if arguments.child else parent(arguments)


if __name__ == "__main__":
    main()
