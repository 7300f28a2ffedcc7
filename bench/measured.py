"""Wall time and peak memory of a whole process. Standard library only.

Linux counts the memory of the process that spawned it towards a child's ru_maxrss, so whoever calls this must be small:
no numpy, no onnx in the caller.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.05
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Measured:
    """One run of a command.

    Args:
        seconds: wall time from start to exit.
        user_seconds: processor time, of all threads and children.
        peak_bytes: the larger of ru_maxrss and the sum over the process tree, sampled every POLL_SECONDS.
        processes: most processes of the tree seen at once.
    """

    seconds: float
    user_seconds: float
    peak_bytes: int
    processes: int

    @property
    def peak_mib(self) -> float:
        """Peak memory in MiB."""
        return self.peak_bytes / 2**20


class CommandFailedError(Exception):
    """The measured command ended with an error; its last words are the message."""


def run_measured(command: Sequence[str], *, cores: set[int] | None = None) -> Measured:
    """Run a command to its end.

    Raises:
        CommandFailedError: it ended with a code other than 0.
    """
    if cores is not None:
        command = ["taskset", "-c", ",".join(str(core) for core in sorted(cores)), *command]
    stop = threading.Event()
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        watcher = _TreeWatcher(process.pid, stop)
        watcher.start()
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        stop.set()
        watcher.join()
    if process.returncode != 0:
        raise CommandFailedError(output.decode(errors="replace")[-2000:])
    return Measured(
        seconds=seconds,
        user_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=max(usage.ru_maxrss * 1024, watcher.peak_bytes),
        processes=watcher.processes,
    )


class _TreeWatcher(threading.Thread):
    """Adds up the resident memory of a process and all its descendants, now and then."""

    def __init__(self, pid: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.pid, self.stop = pid, stop
        self.peak_bytes, self.processes = 0, 1

    def run(self) -> None:
        while not self.stop.wait(POLL_SECONDS):
            pids = _descendants(self.pid)
            self.processes = max(self.processes, len(pids))
            self.peak_bytes = max(self.peak_bytes, sum(_resident_bytes(pid) for pid in pids))


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:  # it ended meanwhile
                continue
    return found


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0
