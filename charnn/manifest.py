"""What a folder's ``manifest.json`` promises of its files, checked before any of them is believed.

``{"format": 3, "files": {"config.json": {"size": 812, "sha256": "..."}, ...}}``
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

from charnn.errors import CheckpointError
from charnn.files import sha256, sha256_of_file, to_json

MANIFEST = "manifest.json"

#: 1: before runs knew of rates that were halved. 2: before they had averaged weights, and more than
#: one optimizer. Both are still read.
FORMAT = 3

#: More than any text file of a checkpoint needs, but for its vocabulary.
TEXT_BYTES = 1 << 20

_NAME = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*")


def write_manifest(folder: Path) -> None:
    """Write down what all other files in a folder, and in folders in it, are."""
    files = {
        path.relative_to(folder).as_posix(): {
            "size": path.stat().st_size,
            "sha256": sha256_of_file(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }
    (folder / MANIFEST).write_text(to_json({"format": FORMAT, "files": files}))


@dataclass(frozen=True)
class VerifiedFolder:
    """A folder whose files were all found to be what its manifest says."""

    path: Path
    files: Mapping[str, int]
    """Their names and sizes."""
    digest: str
    """The SHA-256 of the manifest, which tells of every file."""

    @classmethod
    def open(cls, folder: Path) -> "VerifiedFolder":
        """Check every file, without holding any of them in memory.

        Raises:
            CheckpointError: a file is missing or altered, or the format is a newer one.
        """
        try:
            path = folder / MANIFEST
            if path.stat().st_size > TEXT_BYTES:
                raise ValueError("it is too large")
            data = path.read_bytes()
            manifest = json.loads(data)
            files = _files(folder, manifest)
            if data != to_json(manifest).encode():
                raise ValueError("it was altered")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{folder} is damaged: {MANIFEST}: {error}") from None
        for name, entry in files.items():
            _verify(folder, name, entry)
        return cls(folder, {name: entry["size"] for name, entry in files.items()}, sha256(data))

    def require(self, name: str) -> None:
        """Check that a file is among those that were verified.

        Raises:
            CheckpointError: it is not.
        """
        if name not in self.files:
            raise CheckpointError(f"{self.path} is damaged: its manifest lacks {name}")

    def read(self, name: str) -> bytes:
        """A small file.

        Raises:
            CheckpointError: the manifest does not know it, or it is not small.
        """
        self.require(name)
        if self.files[name] > TEXT_BYTES:
            raise CheckpointError(f"{self.path} is damaged: {name} is too large")
        return (self.path / name).read_bytes()


def _files(folder: Path, manifest: Any) -> dict[str, Any]:
    version = manifest["format"]
    if type(version) is not int or version < 1:
        raise ValueError(f"there is no format {str(version)[:20]!r}")
    if version > FORMAT:
        raise CheckpointError(
            f"{folder} has format {str(version)[:20]}; this charnn reads formats up to {FORMAT}",
            "a newer charnn made it: pip install --upgrade charnn",
        )
    files = manifest["files"]
    for name, entry in files.items():
        if not (
            _NAME.fullmatch(name)
            and type(entry["size"]) is int
            and isinstance(entry["sha256"], str)
        ):
            raise ValueError(f"bad entry {name!r}")
    return dict(files)


def _verify(folder: Path, name: str, entry: Mapping[str, Any]) -> None:
    path = folder / name
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):
            raise CheckpointError(f"{folder} is damaged: {name} is no file")
        if status.st_size != entry["size"]:
            raise CheckpointError(f"{folder} is damaged: {name} has the wrong size")
        if sha256_of_file(path) != entry["sha256"]:
            raise CheckpointError(f"{folder} is damaged: {name} was altered")
    except OSError as error:
        raise CheckpointError(f"{folder} is damaged: {name}: {error.strerror}") from None
