"""One timed pass of one program over proteins, in a process and an environment of its own.

Called by embed_speed.py; it has to run where esmlearn is not installed, in the peers' environments.
Times are CPU seconds of the pass alone, without imports, loading and a first trial on two proteins.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np

BUDGET = 4096  # tokens of a batch, fair-esm's own default
N_COMPARED = 8
# the alphabet of ESM-1b, ESM-1v and ESM-2
TOKENS = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>"]


def pieces(batches, part):
    """Return every k-th batch of a plan, from the i-th on."""
    i, k = part
    return batches[i::k]


# fair-esm ----------------------------------------------------------------------------------------


def fair_esm(arguments, sequences, batch_size=None):
    """Return a pass as fair-esm's extract.py makes it, or in file order as many scripts do."""
    import esm
    import torch

    with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, alphabet = esm.pretrained.load_model_and_alphabet(str(arguments.checkpoint))
    model.eval()
    data = esm.FastaBatchedDataset([str(i) for i in range(len(sequences))], sequences)
    batches = data.get_batch_indices(BUDGET, extra_toks_per_seq=1)
    if batch_size is not None:
        starts = range(0, len(sequences), batch_size)
        batches = [list(range(s, min(s + batch_size, len(sequences)))) for s in starts]
    convert, layer = alphabet.get_batch_converter(1022), len(model.layers)

    def run(batches):
        vectors = {}
        with torch.no_grad():
            for batch in batches:
                _, strings, tokens = convert([data[i] for i in batch])
                states = model(tokens, repr_layers=[layer])["representations"][layer]
                for row, index in enumerate(batch):
                    vectors[index] = states[row, 1 : len(strings[row]) + 1].mean(0).numpy().copy()
        return vectors

    return run, pieces(batches, arguments.part)


# esmlearn ----------------------------------------------------------------------------------------


def esmlearn(arguments, sequences, precision="float32", order=None):
    """Return a pass through ESMEmbedder without a cache; `order` is how the proteins come."""
    from esmlearn.embedding import ESMEmbedder
    from esmlearn.embedding._inference.batches import plan_batches

    embedder = ESMEmbedder(arguments.checkpoint, precision=precision, device="cpu", cache=None)
    plan = plan_batches([len(s) + 2 for s in sequences], budget=BUDGET)
    chosen = sorted(i for batch in pieces(plan, arguments.part) for i in batch)
    if order == "sorted":
        chosen.sort(key=lambda i: len(sequences[i]))
    elif order == "shuffled":
        chosen = np.random.default_rng(1).permutation(chosen).tolist()

    def run(batches):
        chosen = [i for batch in batches for i in batch]
        return dict(zip(chosen, embedder.transform([sequences[i] for i in chosen]), strict=True))

    return run, [chosen]


# transformers ------------------------------------------------------------------------------------


def transformers(arguments, sequences, precision="float32"):
    """Return a pass of EsmModel with SDPA over padded batches, sorted by length as above."""
    import torch
    from transformers import EsmModel

    model = EsmModel.from_pretrained(
        arguments.folder, add_pooling_layer=False, attn_implementation="sdpa"
    )
    model = model.eval().to(getattr(torch, precision))
    index = {token: i for i, token in enumerate(TOKENS)}
    batches = [[]]
    for i in sorted(range(len(sequences)), key=lambda i: len(sequences[i])):
        if (len(batches[-1]) + 1) * (len(sequences[i]) + 2) > BUDGET:
            batches.append([])
        batches[-1].append(i)

    def run(batches):
        vectors = {}
        with torch.inference_mode():
            for batch in batches:
                lengths = [len(sequences[i]) + 2 for i in batch]
                tokens = torch.full((len(batch), max(lengths)), index["<pad>"])
                for row, i in zip(tokens, batch, strict=True):
                    text = ["<cls>", *sequences[i], "<eos>"]
                    row[: len(text)] = torch.tensor([index[t] for t in text])
                mask = (tokens != index["<pad>"]).long()
                states = model(input_ids=tokens, attention_mask=mask).last_hidden_state
                for row, (i, n) in enumerate(zip(batch, lengths, strict=True)):
                    vectors[i] = states[row, 1 : n - 1].float().mean(0).numpy()
        return vectors

    return run, pieces([b for b in batches if b], arguments.part)


def convert(arguments):
    """Write the checkpoint as transformers keeps it, which esm-cpp reads too."""
    import torch
    from transformers import EsmConfig, EsmForMaskedLM

    with torch.serialization.safe_globals([argparse.Namespace]):
        content = torch.load(arguments.checkpoint, weights_only=True)
    rotary = "cfg" in content
    values = vars(content["cfg"]["model"] if rotary else content["args"])
    shape = {key.removeprefix("encoder_"): value for key, value in values.items()}
    config = EsmConfig(
        vocab_size=len(TOKENS),
        mask_token_id=TOKENS.index("<mask>"),
        pad_token_id=TOKENS.index("<pad>"),
        hidden_size=shape["embed_dim"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["attention_heads"],
        intermediate_size=shape["ffn_embed_dim"],
        max_position_embeddings=1026,
        position_embedding_type="rotary" if rotary else "absolute",
        layer_norm_eps=1e-5,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        emb_layer_norm_before=False,
        token_dropout=True,
    )
    model = EsmForMaskedLM(config)
    tensors = {theirs(name): tensor for name, tensor in content["model"].items()}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    forgotten = [m for m in missing if not m.endswith(("position_ids", "inv_freq"))]
    forgotten = [m for m in forgotten if "contact_head" not in m and "lm_head.decoder" not in m]
    if forgotten or [u for u in unexpected if not u.endswith("inv_freq")]:
        raise SystemExit(f"the conversion lost {forgotten} and has {unexpected} too many")
    model.save_pretrained(arguments.folder)
    if rotary:  # esm-cpp wants the names of the released files, and their rotary frequencies
        from safetensors.torch import save_file

        kept = {name: tensor.float().clone() for name, tensor in tensors.items()}
        save_file(kept, arguments.folder / "esm_cpp.safetensors")


def theirs(name):
    """Return transformers' name of a tensor of fair-esm's."""
    changes = {
        "encoder.sentence_encoder.embed_tokens": "esm.embeddings.word_embeddings",
        "encoder.sentence_encoder.embed_positions": "esm.embeddings.position_embeddings",
        "encoder.sentence_encoder.emb_layer_norm_after": "esm.encoder.emb_layer_norm_after",
        "encoder.sentence_encoder.layers": "esm.encoder.layer",
        "self_attn_layer_norm": "attention.LayerNorm",
        "self_attn.q_proj": "attention.self.query",
        "self_attn.k_proj": "attention.self.key",
        "self_attn.v_proj": "attention.self.value",
        "self_attn.out_proj": "attention.output.dense",
        "self_attn.rot_emb": "attention.self.rotary_embeddings",
        "final_layer_norm": "LayerNorm",
        "fc1": "intermediate.dense",
        "fc2": "output.dense",
        "encoder.lm_head.weight": "lm_head.decoder.weight",
        "encoder.lm_head": "lm_head",
    }
    for old, new in changes.items():
        name = name.replace(old, new)
    return name


# esm-cpp -----------------------------------------------------------------------------------------


def esm_cpp(arguments, sequences, precision="float32"):
    """Return a pass of esm-cpp, protein after protein as its own tools do."""
    from esm_cpp import Model, Tokenizer

    model = Model.load_from_safetensors(str(arguments.folder / "esm_cpp.safetensors"))
    if precision == "int8":
        model.quantize_weights()
    tokenizer = Tokenizer()
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))

    def run(batches):
        vectors = {}
        for (i,) in batches:
            tokens = np.asarray(tokenizer.encode(sequences[i]), dtype=np.int32)
            _, states = model.forward_with_hidden_states(tokens, np.ones_like(tokens))
            vectors[i] = np.asarray(states[-1]).reshape(len(tokens), -1)[1:-1].mean(0)
        return vectors

    return run, pieces([[i] for i in order], arguments.part)


# Ceiling -----------------------------------------------------------------------------------------


def ceiling(arguments, precision="float32", *, rows=2048, seconds=2.0):
    """Return FLOP/s of large matrix products, the faster of torch's and oneDNN's."""
    import torch

    dtype = getattr(torch, precision)
    x, w = torch.randn(rows, 1280).to(dtype), torch.randn(3840, 1280).to(dtype)
    bias, flop = torch.zeros(3840, dtype=dtype), 2.0 * rows * 1280 * 3840
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
                best = max(best, flop / (time.process_time() - start))
    return best


RUNNERS = {
    "fair-esm": fair_esm,
    "fair-esm file order": lambda a, s: fair_esm(a, s, batch_size=16),
    "esmlearn float32": esmlearn,
    "esmlearn float32 sorted": lambda a, s: esmlearn(a, s, order="sorted"),
    "esmlearn float32 shuffled": lambda a, s: esmlearn(a, s, order="shuffled"),
    "esmlearn bfloat16": lambda a, s: esmlearn(a, s, "bfloat16"),
    "transformers float32": transformers,
    "transformers bfloat16": lambda a, s: transformers(a, s, "bfloat16"),
    "esm-cpp float32": esm_cpp,
    "esm-cpp int8": lambda a, s: esm_cpp(a, s, "int8"),
}


def measure(arguments):
    """Run one pass and tell what it took; the vectors go into a file."""
    sequences = json.loads(arguments.sequences.read_text())
    run, batches = RUNNERS[arguments.runner](arguments, sequences)
    run([batches[0][:2]])
    start, wall = time.process_time(), time.perf_counter()
    vectors = run(batches)
    seconds, wall = time.process_time() - start, time.perf_counter() - wall
    timed = sorted(vectors)
    # parts of different plans may have no protein in common: some for comparing the vectors
    vectors |= run([[i] for i in range(min(N_COMPARED, len(sequences)))])
    indices = sorted(vectors)
    np.savez(arguments.out, indices=indices, vectors=np.stack([vectors[i] for i in indices]))
    return {"cpu_seconds": seconds, "wall_seconds": wall, "proteins": timed}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runner", help="a name in RUNNERS, 'ceiling <precision>' or 'convert'")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--folder", type=Path, help="the checkpoint as transformers keeps it")
    parser.add_argument("--sequences", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if "esm-cpp" not in arguments.runner:
        import torch

        torch.set_num_threads(arguments.threads)
    if arguments.runner == "convert":
        convert(arguments)
    elif arguments.runner.startswith("ceiling"):
        print(json.dumps({"flops": ceiling(arguments, arguments.runner.split()[1])}))
    else:
        print(json.dumps(measure(arguments)))


if __name__ == "__main__":
    main()
