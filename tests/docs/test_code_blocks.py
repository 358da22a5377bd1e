"""Every code block of README and docs is run, as a reader would: page by page, top to bottom."""

import pytest

from esmlearn.cli import main
from esmlearn.cli._main import build_parser
from tests.docs._blocks import PAGES, blocks_of, esmlearn_arguments
from tests.docs._names import NAMES

RUN, SHOWN = {"python", "sh"}, {"text"}
NOT_IN_TEST_EXTRA = {"dask", "distributed", "ray"}


def pages_with(language):
    return [page for page in PAGES if any(b.language == language for b in blocks_of(page))]


@pytest.mark.parametrize("page", PAGES)
def test_blocks_say_what_they_are(page):
    for block in blocks_of(page):
        known = block.is_directive or block.language in RUN | SHOWN
        assert known, f"{block.place}: language {block.language!r}; expected python, sh or text"
        assert block.not_run is None or block.language in RUN, f"{block.place}: is not run anyway"
        if block.language == "text":
            first = {line.split(" ")[0] for line in block.text.splitlines()}
            assert not first & {"esmlearn", "python", "pip"}, f"{block.place}: commands are sh"


# Pages that search over samplers do so on few proteins here, and are told that some do not suffice.
@pytest.mark.filterwarnings("default::esmlearn.exceptions.ResamplingWarning")
@pytest.mark.parametrize("page", pages_with("python"))
def test_python_blocks_run(page, user_folder, measured):
    namespace = {"__name__": "__page__", **NAMES.get(page, lambda _: {})(measured)}
    missing = []
    for block in blocks_of(page):
        if block.language == "python":
            # Blank lines above make a traceback name the line of the page.
            code = compile("\n" * (block.line - 1) + block.text, page, "exec")
            if block.not_run:
                continue
            try:
                exec(code, namespace)
            except ModuleNotFoundError as error:
                if error.name not in NOT_IN_TEST_EXTRA:
                    raise
                missing.append(f"{block.place} needs {error.name}")
    if missing:
        pytest.skip("; ".join(missing))


@pytest.mark.parametrize("page", pages_with("sh"))
def test_shell_blocks_run(page, user_folder, capsys):
    for block in (b for b in blocks_of(page) if b.language == "sh"):
        for words in block.commands():
            arguments = esmlearn_arguments(words)
            if arguments is not None:
                build_parser().parse_args(arguments)
            if block.not_run is None:
                assert arguments is not None, f"{block.place}: {words[0]} is not run; say why"
                code = main(arguments)
                assert code == 0, f"{block.place}: {words}: {capsys.readouterr().err}"


def test_blocks_that_are_not_run_are_known():
    skipped = [b for page in PAGES for b in blocks_of(page) if b.not_run]
    assert {b.page: sum(s.page == b.page for s in skipped) for b in skipped} == {
        "CONTRIBUTING.md": 1,  # installs, whole suite
        "README.md": 3,  # installs, and a study of minutes
        "docs/install.md": 6,  # installs
        "docs/guide/intervals.md": 1,  # needs a saved model
        "docs/howto/covariates.md": 1,  # a study of minutes
        "docs/howto/mutational_scans.md": 1,  # needs a saved model
        "docs/scaling.md": 4,  # clusters, several GPUs
    }
