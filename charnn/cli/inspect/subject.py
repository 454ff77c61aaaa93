"""Whom to look into, and what they read."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from charnn.cli.console import say
from charnn.cli.places import find_run
from charnn.cli.reading import own_corpus, warn_of_lost
from charnn.errors import CorpusError, InputError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from charnn.engine import Engine
    from charnn.models import Model
    from charnn.text.base import UnknownTally


def open_network(path: Path | None) -> tuple["Model", "Engine"]:
    """A recurrent model, the newest run's if none is named.

    Raises:
        CheckpointError: there is none, or it is damaged.
        UsageError: it counts.
    """
    from charnn.engine import Engine
    from charnn.models import open_model

    model = open_model(find_run(path, recurrent=True))
    if not isinstance(model.step_model, Engine):
        raise UsageError(
            f"{model.checkpoint.path} counts, and has no units to look into",
            "inspect needs a recurrent model",
        )
    return model, model.step_model


def validation_ids(model: "Model", hint: str) -> "NDArray[Any]":
    """The text that was held out when the model was trained.

    Raises:
        CorpusError: it is not there, or empty.
    """
    corpus = own_corpus(model, hint)
    ids_T = corpus.tokens("validation")
    if not len(ids_T):
        raise CorpusError(f"{corpus.path} holds no validation text", hint)
    return ids_T


def begin_of(
    ids_T: "NDArray[Any]", limit: int, unknown: "UnknownTally", hint: str
) -> "NDArray[Any]":
    """The first ids of a text, and a word on what of it is left out or was lost.

    Raises:
        InputError: there are none.
    """
    warn_of_lost(unknown)
    if not len(ids_T):
        raise InputError("the text is empty", hint)
    if len(ids_T) > limit:
        say(f"read the first {limit:,} tokens of the text; --tokens takes more")
    return ids_T[:limit]
