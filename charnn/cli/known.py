"""What may be named: runs and tokenized corpora, found without reading them."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from charnn.places import CHECKPOINTS, CORPORA

#: What makes a folder a tokenized corpus, or a run.
_CORPUS_FILE, _RUN_FILES = "corpus.json", ("last", "best", "metrics.jsonl")


def known_models() -> list[str]:
    """All runs: ``checkpoints/NAME``."""
    return _folders_with(CHECKPOINTS, _RUN_FILES)


def known_corpora() -> list[str]:
    """All tokenized corpora: ``corpora/NAME``."""
    return _folders_with(CORPORA, (_CORPUS_FILE,))


def _folders_with(folder: Path, files: Iterable[str]) -> list[str]:
    found = {path.parent for file in files for path in folder.glob(f"*/{file}")}
    return sorted(str(path) for path in found if not path.name.startswith("."))


def complete_models(incomplete: str) -> list[str]:
    """Runs, the checkpoints in them, and folders, that begin so."""
    return _complete(incomplete, known_models, folders_only=True)


def complete_sources(incomplete: str) -> list[str]:
    """Tokenized corpora and files that begin so."""
    return _complete(incomplete, known_corpora)


def complete_all(incomplete: str) -> list[str]:
    """Runs, their checkpoints, tokenized corpora and files that begin so."""
    return _complete(incomplete, lambda: [*known_models(), *known_corpora()])


def _complete(
    incomplete: str, known: Callable[[], list[str]], *, folders_only: bool = False
) -> list[str]:
    """Names with their folder; or without it, as far as such a name has begun."""
    places = known()
    found = [place for place in places if place.startswith(incomplete)]
    if incomplete:
        found += [name for name in map(_name, places) if name.startswith(incomplete)]
        found += _files(incomplete, folders_only=folders_only)
    run, slash, begun = incomplete.rpartition("/")
    if slash and str(CHECKPOINTS / run) in places:
        steps = _files(f"{CHECKPOINTS / run}/{begun}", folders_only=True)
        found += [step.removeprefix(f"{CHECKPOINTS}/") for step in steps]
    if not found and not incomplete:
        found = _files("", folders_only=folders_only)
    return list(dict.fromkeys(found))


def _name(place: str) -> str:
    return place.rpartition("/")[2]


def _files(incomplete: str, *, folders_only: bool) -> list[str]:
    """Files and folders that begin so, as a shell would list them."""
    folder, slash, begun = incomplete.rpartition("/")
    return [
        f"{folder}{slash}{name}" + "/" * is_folder
        for name, is_folder in sorted(_listed(folder or slash or "."))
        if name.startswith(begun)
        and (begun or not name.startswith("."))
        and (is_folder or not folders_only)
    ]


def _listed(folder: str) -> Iterator[tuple[str, bool]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name, entry.is_dir()
    except OSError:
        return
