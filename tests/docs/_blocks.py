"""Code blocks of Markdown pages: where they stand, what they are, and why one is not run."""

import re
import shlex
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "benchmarks").rglob("*.md"),
    ]
    if not {"_build", "_drawn"} & set(path.relative_to(ROOT).parts)
)
_ASSIGNMENT = re.compile(r"\w+=")
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is where its text begins, `not_run` the reason given above it."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None

    @property
    def place(self):
        return f"{self.page}:{self.line}"

    @property
    def is_directive(self):
        return self.language.startswith("{")

    def commands(self):
        """Return the words of each command of a shell block, without variables that it is given."""
        lines = self.text.replace("\\\n", " ").splitlines()
        parts = [shlex.split(part, comments=True) for line in lines for part in line.split("&&")]
        parts = [list(dropwhile(_ASSIGNMENT.match, words)) for words in parts]
        return [[word for word in words if word != "&"] for words in parts if words]


def blocks_of(page):
    """Return the blocks of a page in their order; the reason must stand right above its block."""
    found, reason = [], None
    for token in MarkdownIt("commonmark").parse((ROOT / page).read_text()):
        if token.type in ("fence", "code_block"):  # an indented block has no language
            language = token.info.split()[0] if token.info.strip() else ""
            found.append(Block(page, token.map[0] + 2, language, token.content, reason))
        match = _NOT_RUN.fullmatch(token.content.strip()) if token.type == "html_block" else None
        reason = " ".join(match[1].split()) if match else None
    return found


def esmlearn_arguments(words):
    """Return the arguments of an esmlearn command, or None for another program."""
    if words[0] == "esmlearn":
        return words[1:]
    return words[3:] if words[:3] == ["python", "-m", "esmlearn"] else None
