"""Children that start at once, as everything is imported already, and can be killed at any moment.

The parent must not compute with torch, nor hold a connection to a database, before it forks.
"""

import os
import pickle
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_POLL_SECONDS = 0.002
_HELD_UP_SECONDS = 0.5


def start(function: Callable[..., Any], *arguments: Any) -> int:
    """Run a function in a child with a process group of its own; return its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setpgid(0, 0)
        function(*arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(pid: int, seconds: float) -> int | None:
    """Wait for a child; return its exit code (negative for a signal), or None where it runs on.

    While this process is itself held up (stopped, or waiting for a processor) no time passes.
    """
    passed, last = 0.0, time.monotonic()
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if passed >= seconds:
            return None
        time.sleep(min(_POLL_SECONDS, seconds))
        now = time.monotonic()
        passed, last = passed + min(now - last, _HELD_UP_SECONDS), now


def kill(pid: int) -> int:
    """Kill a child and return how it ended, which may have been just before."""
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def call(function: Callable[..., Any], *arguments: Any, seconds: float) -> Any:
    """Return what a function returns in a child that is left alone."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "answer")

        def run() -> None:
            answer.write_bytes(pickle.dumps(function(*arguments)))

        pid = start(run)
        code = wait(pid, seconds)
        if code is None:
            kill(pid)
            raise TimeoutError(f"{function} took more than {seconds} s")
        if code:
            raise RuntimeError(f"{function} ended with exit code {code}")
        return pickle.loads(answer.read_bytes())
