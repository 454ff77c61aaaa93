"""What was probably meant: names near to one that does not exist."""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like this one, if any is.

    >>> nearest("trian", ["train", "tokenize"])
    'train'
    """
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(known), 1)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint, or nothing.

    >>> did_you_mean("lsmt", ["lstm", "gru"])
    'did you mean lstm?'
    """
    near = nearest(name, known)
    return f"did you mean {near}?" if near else ""


def nearest_path(path: Path, *, is_model: bool = False) -> Path | None:
    """What lies where this path does not, and is named most like it; a run or a corpus, too.

    Args:
        path: that does not exist.
        is_model: whether a run is meant, and nothing else that is so named.
    """
    from charnn.cli.known import known_corpora, known_models

    folder = path.parent
    if not folder.is_dir():
        near = nearest_path(folder)
        return None if near is None or not near.is_dir() else _within(near, path.name)
    if not is_model and (near := _within(folder, path.name)) is not None:
        return near
    if len(path.parts) == 1:
        places = known_models() if is_model else [*known_models(), *known_corpora()]
        named = {Path(place).name: Path(place) for place in places}
        near_name = nearest(path.name, named)
        if near_name:
            return named[near_name]
    near = _within(folder, path.name) if is_model else None
    return near if near is not None and near.is_dir() else None


def _within(folder: Path, name: str) -> Path | None:
    if (folder / name).exists():
        return folder / name
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return None
    near = nearest(name, names)
    return folder / near if near else None


def meant_path(message: str, words: Iterable[str]) -> str:
    """A hint for an error that says that something is missing.

    Args:
        message: of the error.
        words: the command line, of which one is the name of what is missing.
    """
    if not re.search(r"\bno such\b", message, re.IGNORECASE):
        return ""
    for word in words:
        typed = word.partition("=")[2] if word.startswith("--") else word
        if typed and re.search(rf"(?:^|[\s']){re.escape(typed)}(?:$|[\s':,;])", message):
            path = Path(typed)
            with suppress(OSError):  # a name that is too long, or lies where nobody may look
                said = message.partition(typed)[0]
                is_model = bool(re.search(r"\bno such (?:run|checkpoint)\b", said))
                near = None if path.exists() else nearest_path(path, is_model=is_model)
                return f"did you mean {near}?" if near else ""
    return ""
