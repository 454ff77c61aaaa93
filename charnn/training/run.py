"""A run's folder: a name that is free, and the settings of the run. Knows nothing of torch."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from charnn.data.store import TokenizedCorpus
from charnn.files import cannot_write, printable
from charnn.training.metrics import FILE as METRICS

SETTINGS = "run.toml"


@contextmanager
def new_run(folder: Path, name: str, settings: str) -> Iterator[Path]:
    """Make the run's folder; if the name is taken, NAME-2, NAME-3, ...

    If the block ends and nothing was saved in the run, nothing stays.

    Raises:
        OutputError: it cannot be made.
    """
    run = _make(folder, name)
    try:
        with cannot_write("settings", run / SETTINGS):
            (run / SETTINGS).write_text(settings, encoding="utf-8")
        yield run
    finally:
        if not (run / "last").is_symlink():
            for file in (run / METRICS, run / SETTINGS):
                file.unlink(missing_ok=True)
            with suppress(OSError):
                run.rmdir()


def _make(folder: Path, name: str) -> Path:
    with cannot_write("run", folder / name):
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            run = folder / (name if number == 1 else f"{name}-{number}")
            with suppress(FileExistsError):
                run.mkdir()
                return run
            number += 1


def settings(corpus: TokenizedCorpus, *configs: Any) -> str:
    """The run's settings as TOML. Strings and numbers are written alike in JSON and TOML."""
    lines = [
        "# charnn train, with these settings",
        f"corpus = {json.dumps(printable(corpus.path), ensure_ascii=False)}",
    ]
    for config in configs:
        lines += [
            f"{key} = {json.dumps(value, ensure_ascii=False)}"
            for key, value in asdict(config).items()
            if value is not None
        ]
    return "\n".join(lines) + "\n"
