"""Which text makes a corpus. Imports nothing heavy, so that ``--help`` can show it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from charnn.errors import UsageError
from charnn.text.config import InvalidPolicy

DocumentMode = Literal["file", "line", "blank"]

#: The text between two documents, by mode; in mode "file" no text stands between two.
END_TEXTS: dict[DocumentMode, str] = {"file": "", "line": "\n", "blank": "\n\n"}


@dataclass(frozen=True)
class SourceConfig:
    """Which text makes a corpus, and how it is divided."""

    train: tuple[Path, ...]
    """Files and folders."""
    validation: tuple[Path, ...] = ()
    """Files to validate on; without them a share is cut from the end."""
    test: tuple[Path, ...] = ()
    validation_share: float = 0.1
    """The share that is cut from the end for validation."""
    document: DocumentMode = "file"
    """What makes a document: a file, a line, or what stands between blank lines."""
    errors: InvalidPolicy = "bytes"
    """What becomes of bytes that are no UTF-8: kept, replaced by U+FFFD, or refused."""

    def __post_init__(self) -> None:
        if self.validation and self.validation_share != SourceConfig.validation_share:
            raise UsageError("--validation and --validation-share exclude each other")
        if not 0 <= self.validation_share < 1:
            raise UsageError("the share for validation must be at least 0 and below 1")
