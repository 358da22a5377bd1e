"""What kind of disk a folder lies on, as far as a cache has to know."""

import os
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_NETWORK = {"9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gpfs"}
_NETWORK |= {"lustre", "nfs", "nfs4", "orangefs", "pvfs2", "smb3", "smbfs", "wekafs"}


def network_file_system(directory: Path) -> str | None:
    """Return the type of the network file system that a folder lies on, or None.

    Parameters
    ----------
    directory : Path
        An existing folder.

    Returns
    -------
    type : str or None
        Such as ``"nfs4"``; None for a local disk, and where the system does not tell.
    """
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    folder = os.path.join(os.path.realpath(directory), "")
    best, kind = "", ""
    for line in lines:
        _, mount, found, *_ = [*line.split(" "), "", "", ""]
        point = os.path.join(_unescape(mount), "")
        if folder.startswith(point) and len(point) >= len(best):
            best, kind = point, found
    return kind if kind in _NETWORK else None


def _unescape(mount: str) -> str:
    """Return a mount point as it is written; the kernel escapes what would end the field."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        mount = mount.replace(code, character)
    return mount
