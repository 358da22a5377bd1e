import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch

from benchmarks.pretrain import compare_sizes, train
from benchmarks.pretrain._corpus import Corpus, encode
from benchmarks.pretrain._labels import GenomeLabels, number_genomes
from benchmarks.pretrain._model import Architecture, MaskedLanguageModel
from benchmarks.pretrain._training import (
    OBJECTIVES,
    Run,
    Settings,
    Trainer,
    load_state,
    locked,
    save_atomically,
)
from tests._proteins import random_protein

pytestmark = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="Muon needs torch 2.9")

SETTINGS = Settings(
    architecture=Architecture(n_layers=1, width=16, n_heads=2),
    crop=40,
    tokens_per_batch=160,
    warmup_steps=2,
)
PAIRS = dataclasses.replace(
    SETTINGS,
    architecture=Architecture(n_layers=1, width=40, n_heads=2),
    objective="residues+pairs",
    tokens_per_batch=640,
    learning_rate=1e-2,
)


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(0)
    training, held_out = (
        encode(random_protein(int(n), rng) for n in rng.integers(20, 60, count))
        for count in (40, 10)
    )
    return Corpus(training, held_out, {"made": "at random"})


@pytest.fixture(scope="module")
def labels(corpus):
    """A genome for half of the sequences, by their length."""
    genomes = [
        None if i % 2 else f"A{n // 20}" for i, n in enumerate(corpus.training.lengths.tolist())
    ]
    return GenomeLabels(number_genomes(genomes, smallest=1), {"of": "length"})


@pytest.fixture
def corpus_file(tmp_path, corpus):
    corpus.save(tmp_path / "corpus.npz")
    return str(tmp_path / "corpus.npz")


@pytest.fixture(autouse=True)
def own_signal_handlers(monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)


def run_command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["train", *map(str, arguments), "--threads", "1"])
    train.main()


def advance(trainer, n):
    for position, batches in itertools.islice(trainer.batches(), n):
        trainer.train_step(batches)
        trainer.progress.position = position


def assert_same(first, second):
    torch.testing.assert_close(first.model.state_dict(), second.model.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(
        first.averaged.state_dict(), second.averaged.state_dict(), rtol=0, atol=0
    )
    assert first.progress.position == second.progress.position
    assert first.progress.residues == second.progress.residues


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_resumed_run_computes_what_the_unbroken_one_does(tmp_path, corpus, labels, objective):
    given = (PAIRS, corpus, labels) if "pairs" in objective else (SETTINGS, corpus)
    settings = dataclasses.replace(given[0], batches_per_step=2)
    whole, first, second = (Trainer(settings, *given[1:]) for _ in range(3))
    advance(whole, 7)
    advance(first, 3)
    save_atomically(tmp_path / "state.pt", first.state())
    second.load_state(load_state(tmp_path / "state.pt"))
    advance(second, 4)
    assert_same(whole, second)


def test_training_learns(corpus):
    trainer = Trainer(dataclasses.replace(SETTINGS, learning_rate=1e-2), corpus)
    before = trainer.held_out_losses()
    advance(trainer, 30)
    found = trainer.held_out_losses()
    assert found["residues"] < before["residues"]
    assert trainer.progress.step == 30
    assert trainer.held_out_losses() == found


def test_a_step_over_two_batches_takes_the_mean_of_their_gradients(corpus):
    """A step of plain gradient descent: what the weights lose is the gradient."""
    settings = dataclasses.replace(SETTINGS, batches_per_step=2, clip_norm=1e9, warmup_steps=1)
    trainer, reference = Trainer(settings, corpus), Trainer(settings, corpus)
    trainer.optimizers = [torch.optim.SGD(trainer.model.parameters(), lr=1.0)]
    _, batches = next(trainer.batches())
    for number, batch in enumerate(batches):
        rng = np.random.default_rng([settings.seed, 1, 0, number])
        reference._losses(batch, rng)["residues"].backward()
    before = [p.detach().clone() for p in reference.model.parameters()]
    trainer.train_step(batches)
    after = list(trainer.model.parameters())
    lost = [(b - a).detach() / settings.learning_rate for b, a in zip(before, after, strict=True)]
    expected = [p.grad / 2 for p in reference.model.parameters()]
    torch.testing.assert_close(lost, expected, rtol=1e-3, atol=1e-4)


def test_pairs_and_labels_are_learned_by_the_pooled_states(corpus, labels):
    trainer = Trainer(PAIRS, corpus, labels)
    losses = [trainer.train_step(b) for _, b in itertools.islice(trainer.batches(), 60)]
    for name in ("residues", "pairs", "genome"):
        first, last = (np.mean([step[name] for step in part]) for part in (losses[:8], losses[-8:]))
        assert last < first
    plain = MaskedLanguageModel(PAIRS.architecture)
    # Nothing of the heads goes into the checkpoint.
    assert list(trainer.model.state_dict()) == list(plain.state_dict())


def test_labelled_sequences_are_the_share_asked_for(corpus):
    genomes = ["A" if i % 8 == 0 else None for i in range(len(corpus.training))]
    few = GenomeLabels(number_genomes(genomes, smallest=1), {})
    trainer = Trainer(dataclasses.replace(PAIRS, labelled_share=0.75), corpus, few)
    rows = trainer.plan.rows
    assert set(rows) == set(range(len(corpus.training)))
    assert np.isin(rows, few.labelled).mean() == pytest.approx(0.75)


def test_a_model_that_is_compiled_into_another_one_is_refused(corpus, monkeypatch):
    trainer = Trainer(SETTINGS, corpus)
    monkeypatch.setattr(MaskedLanguageModel, "compile", lambda self, **_: None)
    trainer._compile()

    def compile_wrongly(model, **_):
        model.norm.weight.data.mul_(1.2)

    monkeypatch.setattr(MaskedLanguageModel, "compile", compile_wrongly)
    with pytest.raises(RuntimeError, match=r"differ by 0\.2\d* of their size"):
        trainer._compile()


def test_labels_of_another_run_are_refused(corpus, labels):
    other = dataclasses.replace(labels, description={"of": "charge"})
    state = Trainer(PAIRS, corpus, labels).state()
    for given in (other, None):
        with pytest.raises(ValueError, match=r"other labels: .*length"):
            Trainer(PAIRS, corpus, given).load_state(state)


def test_a_state_of_another_corpus_is_refused(corpus):
    other = dataclasses.replace(corpus, description={"made": "elsewhere"})
    with pytest.raises(ValueError, match="other corpus"):
        Trainer(SETTINGS, other).load_state(Trainer(SETTINGS, corpus).state())


def test_the_learning_rate_rises_stays_and_falls_to_zero():
    settings = Settings(learning_rate=1.0, warmup_steps=4, cooldown_start=10, cooldown_steps=5)
    rates = [settings.rate_at(step) for step in range(17)]
    np.testing.assert_allclose(rates[:4], [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(rates[4:11], 1)
    np.testing.assert_allclose(rates[11:], [0.8, 0.6, 0.4, 0.2, 0, 0], atol=1e-12)


def test_a_failed_save_leaves_the_old_state(tmp_path, monkeypatch):
    path = tmp_path / "state.pt"
    save_atomically(path, {"step": 1})

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_atomically(path, {"step": 2})
    assert load_state(path) == {"step": 1}


def test_commands_start_resume_and_branch(tmp_path, corpus_file, monkeypatch):
    main, cooled = tmp_path / "main", tmp_path / "cooled"
    size = ("--width", 16, "--n-layers", 1, "--n-heads", 2, "--tokens-per-batch", 200)
    common = ("--corpus", corpus_file)
    run_command(monkeypatch, "start", main, *common, *size, "--until-step", 3)
    run_command(monkeypatch, "resume", main, *common, "--until-step", 5)
    state = load_state(main / "state.pt")
    assert state["progress"]["step"] == 5

    branch = ("branch", main, "--into", cooled, "--cooldown-steps", 4, "--crop", 50)
    run_command(monkeypatch, *branch, *common)
    state = load_state(cooled / "state.pt")
    assert state["progress"]["step"] == 9
    assert state["settings"]["crop"] == 50
    assert state["settings"]["tokens_per_batch"] == 200
    assert load_state(main / "state.pt")["progress"]["step"] == 5

    with pytest.raises(SystemExit, match="holds a run already"):
        run_command(monkeypatch, "start", main, *common)
    with pytest.raises(SystemExit, match="holds a run already"):
        run_command(monkeypatch, *branch, *common)


def test_the_curve_tells_how_training_went(tmp_path, corpus):
    trainer = Trainer(SETTINGS, corpus)
    Run(trainer, tmp_path, log_every=2, validate_every=4).train(until_step=4)
    curve = json.loads((tmp_path / "curve.json").read_text())
    assert [row["step"] for row in curve] == [2, 4]
    assert curve[1]["residues"] == trainer.progress.residues
    assert "held_out_loss" in curve[1]
    assert curve[1]["training_loss"]["residues"] > 0


def test_two_processes_cannot_train_one_run(tmp_path):
    with locked(tmp_path), pytest.raises(SystemExit, match="another process"), locked(tmp_path):
        pass


def test_settings_survive_the_disk():
    assert Settings.from_dict(dataclasses.asdict(SETTINGS)) == SETTINGS


def test_the_model_keeps_its_shape():
    assert MaskedLanguageModel(SETTINGS.architecture).architecture == SETTINGS.architecture


def test_sizes_are_compared_at_equal_time(corpus):
    found = compare_sizes.measure(Trainer(PAIRS, corpus), cpu_seconds=0.3)
    assert found["width"] == 40
    assert found["steps"] > 1
    assert found["held_out_loss"] != found["held_out_loss_at_the_start"]
