"""Makes a language model by counting: one pass over a corpus, without torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from charnn.architecture import NgramConfig
from charnn.checkpoint import CheckpointConfig, link, write_checkpoint
from charnn.data.store import TokenizedCorpus
from charnn.errors import CorpusError
from charnn.ngram import NgramModel, count_ngrams
from charnn.score import evaluate
from charnn.training.run import new_run, settings


@dataclass(frozen=True)
class Counted:
    """A model that was counted and saved."""

    run: Path
    ngrams: tuple[int, ...]
    """How many different ones, from order 1 on."""
    validation_nats: float | None


def count(
    corpus: TokenizedCorpus,
    config: NgramConfig,
    folder: Path,
    name: str,
    advance: Callable[[int], None] = lambda tokens: None,
) -> Counted:
    """Count a corpus and save the model as a run of one step.

    Args:
        corpus: what is counted.
        config: the order and the smoothing.
        folder: where runs are kept.
        name: the run's name; if it is taken, NAME-2.
        advance: is told how many held-out tokens were scored.

    Raises:
        CorpusError: the corpus is empty.
        OutputError: the run cannot be written.
    """
    ids_T = corpus.tokens("train")
    if not len(ids_T):
        raise CorpusError(f"{corpus.path} has no tokens to count", "use more text")
    tokenizer = corpus.tokenizer
    tensors = count_ngrams(ids_T, corpus.header.vocabulary, config.order, config.smoothing)
    model = NgramModel(
        tensors, corpus.header.vocabulary, start_id=tokenizer.start_id, end_id=tokenizer.end_id
    )
    nats = None
    if corpus.header.splits.get("validation") and corpus.header.splits["validation"].tokens > 1:
        held_out = corpus.tokens("validation")
        nats = evaluate(model, held_out, tokenizer.token_bytes, advance=advance).nats_per_token
    # What is not finite does not exist in JSON: maximum likelihood may hold the text impossible.
    saved = nats if nats is not None and nats < float("inf") else None
    with new_run(folder, name, settings(corpus, config)) as run:
        checkpoint = CheckpointConfig.of(corpus, config, 1, saved, {})
        path = write_checkpoint(run, checkpoint, tensors, tokenizer)
        link(run, "last", path)
        link(run, "best", path)
    orders = range(1, config.order + 1)
    return Counted(run, tuple(len(tensors[f"grams.{k}.counts"]) for k in orders), nats)
