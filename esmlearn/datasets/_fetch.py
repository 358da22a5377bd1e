"""Download a file once, and let nothing through whose checksum is another."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esmlearn.exceptions import DownloadError
from esmlearn.utils._optional import import_optional
from esmlearn.utils._paths import cache_directory


@dataclass(frozen=True)
class RemoteFile:
    """A file of a git repository at one commit.

    Attributes
    ----------
    folder : str
        URL of the repository's root at that commit.
    name : str
        Path in the repository, which is also its path below the data directory.
    blob : str
        Git's own id of the content at that commit (SHA-1 over a header and the content).
    sha256 : str or None
        SHA-256 of the content, where the content was at hand to compute it.
    """

    folder: str
    name: str
    blob: str
    sha256: str | None = None

    @property
    def url(self) -> str:
        """Address of the download."""
        return f"{self.folder}/{self.name}"


def data_directory(data_home: str | os.PathLike[str] | None) -> Path:
    """Return where downloaded data lie: `data_home`, or a folder in esmlearn's cache."""
    return cache_directory("datasets") if data_home is None else Path(data_home).expanduser()


def fetch_file(
    file: RemoteFile, *, data_home: str | os.PathLike[str] | None, download_if_missing: bool
) -> Path:
    """Return the path of an intact copy, downloading it where there is none.

    Parameters
    ----------
    file : RemoteFile
        What is wanted.
    data_home : path-like or None
        Where downloads lie; None for a folder in esmlearn's cache.
    download_if_missing : bool
        False never touches the network.

    Returns
    -------
    path : pathlib.Path
        The copy; its checksum was compared now.

    Raises
    ------
    DownloadError
        If there is no copy and none can be had, or if its checksum is another.
    EngineNotFoundError
        If pooch is not installed and something has to be downloaded.
    """
    path = data_directory(data_home) / file.name
    if is_intact(path, file):
        return path
    if not download_if_missing:
        state = "has another checksum" if path.exists() else "is not there"
        raise DownloadError(f"{path} {state}, and downloads are off. {_by_hand(file, path)}")
    _download(file, data_directory(data_home))
    if not is_intact(path, file):
        found = git_blob_id(path.read_bytes())
        path.unlink()
        raise DownloadError(
            f"{file.url} gave content with the git id {found}; expected {file.blob}. It was "
            f"changed on the way or at its place, and was deleted. {_by_hand(file, path)}"
        )
    return path


def is_intact(path: Path, file: RemoteFile) -> bool:
    """Return whether a file exists and has the expected checksums."""
    if not path.is_file():
        return False
    content = path.read_bytes()
    if file.sha256 not in (None, hashlib.sha256(content).hexdigest()):
        return False
    return git_blob_id(content) == file.blob


def git_blob_id(content: bytes) -> str:
    """Return the id that git gives a content."""
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def _download(file: RemoteFile, folder: Path) -> None:
    """Download with pooch: into a temporary file first, and twice again where it fails."""
    pooch: Any = import_optional("pooch", extra="fetch", purpose="Downloading data")
    known = None if file.sha256 is None else f"sha256:{file.sha256}"
    store = pooch.create(
        path=folder, base_url=f"{file.folder}/", registry={file.name: known}, retry_if_failed=2
    )
    try:
        store.fetch(file.name, downloader=pooch.HTTPDownloader(timeout=60))
    # pooch reports a wrong checksum by ValueError; what requests raises is an OSError.
    except (OSError, ValueError) as error:
        raise DownloadError(
            f"{file.url} cannot be downloaded ({error}). {_by_hand(file, folder / file.name)}"
        ) from error


def _by_hand(file: RemoteFile, path: Path) -> str:
    return f"Where there is a network, download {file.url} and copy it to {path}."
