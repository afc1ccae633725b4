"""What postmaster.pid tells about the server of a data folder."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

IMPOSSIBLE_PID = 2**30
"""Above every operating system's highest process id."""

_STATUS_LINE = 7


@dataclass(frozen=True)
class Postmaster:
    """The server process of a data folder; `ready` when it accepts connections."""

    pid: int
    ready: bool


def find_postmaster(folder: Path) -> Postmaster | None:
    """The running server of a data folder, None when there is none (whatever the file says)."""
    lines = _lines(folder)
    pid = _pid(lines)
    if pid is None or not _serves(pid, folder):
        return None
    status = lines[_STATUS_LINE].strip() if len(lines) > _STATUS_LINE else ""
    return Postmaster(pid=pid, ready=status == "ready")


def forget_reused_pid(folder: Path) -> None:
    """Make Postgres see that the recorded server is dead although its process id lives on as something else.

    After a container or machine restart a recorded id often belongs to another process, and Postgres then refuses to
    start. The rest of the file stays: by it Postgres checks that no process still uses the old shared memory.
    """
    lines = _lines(folder)
    pid = _pid(lines)
    if pid is not None and not _serves(pid, folder):
        lines[0] = str(IMPOSSIBLE_PID)
        (folder / "postmaster.pid").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _lines(folder: Path) -> list[str]:
    try:
        return (folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _pid(lines: list[str]) -> int | None:
    return int(lines[0]) if lines and lines[0].strip().isdigit() else None


def _serves(pid: int, folder: Path) -> bool:
    # A server's working directory is its data folder; a zombie or a stranger has another one, or none to read.
    if Path("/proc/self/cwd").exists():
        try:
            return os.path.samefile(f"/proc/{pid}/cwd", folder)
        except OSError:
            return False
    listed = subprocess.run(["ps", "-o", "stat=,command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, command = listed.stdout.strip().partition(" ")
    return "postgres" in command and not state.startswith("Z")
