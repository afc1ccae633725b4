"""Postgres refuses to run as root. Root runs it in a user namespace, or as somebody without rights."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sync_pipelines.embedded_postgres.binaries import PostgresNotStarted

NOBODY = 65534


@dataclass(frozen=True, kw_only=True)
class Identity:
    """How a program of Postgres is started: words before its command line, and arguments of Popen.

    `uid`: who must own the folders, None when that is ourselves.
    """

    prefix: tuple[str, ...] = ()
    popen: dict[str, Any] = field(default_factory=dict)
    uid: int | None = None

    def own(self, folder: Path) -> None:
        """Give a folder that we made to whoever runs the server."""
        if self.uid is not None:
            os.chown(folder, self.uid, self.uid)


def identity_for(folder: Path, binaries: Path) -> Identity:
    """Who may run the server in `folder` on behalf of the current user. PostgresNotStarted when nobody may."""
    if os.geteuid() != 0:
        return Identity()
    namespace = _user_namespace()
    return namespace if namespace else _without_rights(folder, binaries)


def _user_namespace() -> Identity | None:
    # Inside, root is called uid 1000: files stay ours, nothing is opened to other users, and Postgres is content.
    if not (unshare := shutil.which("unshare")):
        return None
    prefix = (unshare, "--user", "--map-user=1000", "--map-group=1000")
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return Identity(prefix=prefix) if tried.returncode == 0 else None


def _without_rights(folder: Path, binaries: Path) -> Identity:
    owner = folder.stat().st_uid or NOBODY
    identity = Identity(popen={"user": owner, "group": owner, "extra_groups": []}, uid=owner)
    reach = ["test", "-x", str(folder.parent), "-a", "-x", str(binaries / "postgres")]
    if subprocess.run(reach, capture_output=True, check=False, **identity.popen).returncode != 0:
        raise PostgresNotStarted(
            f"Postgres does not run as root, user namespaces are switched off here, and user id {owner} cannot reach "
            f"both {folder.parent} and {binaries}. Run this as an ordinary user, or move the project to a folder that "
            "others may enter, or use a server of your own by setting SYNC_PIPELINES_STORE_URL."
        )
    return identity
