"""``charnn demo``: a model learns to write fables while one watches, and then writes a page."""

from typing import Annotated

import typer

from charnn.architecture import ModelConfig
from charnn.cli.console import be_quiet, say
from charnn.cli.generate import write_out
from charnn.cli.options import Quiet
from charnn.cli.places import Inputs
from charnn.cli.train import find_corpus, prepare, train_events
from charnn.cli.watch import StopSignal, watch
from charnn.decode.config import Decoding, GenerationConfig, SamplingConfig
from charnn.places import CHECKPOINTS, bundled
from charnn.training.config import TrainingConfig

_NAME = "demo"
_PAGE_TOKENS = 1800
_TEMPERATURE = 0.6


def demo(
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 1.6,
    seed: Annotated[int, typer.Option("-s", "--seed", help="Seed of training and page.")] = 1,
    quiet: Quiet = False,
) -> None:
    """Train on the bundled fables and write a page, in about two minutes.

    Examples:
        charnn demo
    """
    be_quiet(quiet)
    with Inputs() as inputs:
        corpus = find_corpus(bundled("fables.txt"), inputs, _NAME)
    training = TrainingConfig(minutes=minutes, seed=seed)
    start = prepare(corpus, "auto", ModelConfig(), training, {"minutes", "seed"})
    stop = StopSignal()
    ended = watch(train_events(start, CHECKPOINTS, _NAME, stop), stop)
    if ended.stopped:
        raise typer.Exit(stop.exit_code)
    from charnn.models import open_model

    say()
    say("and this is what it writes:")
    say()
    generation = GenerationConfig(max_tokens=_PAGE_TOKENS, seed=seed)
    sampling = SamplingConfig(temperature=_TEMPERATURE)
    write_out(open_model(ended.run), b"", Decoding(generation, sampling))
