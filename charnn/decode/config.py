"""How text may be asked for. Imports nothing heavy, so that ``--help`` can show it."""

from dataclasses import dataclass, field
from typing import Literal

from charnn.errors import UsageError


@dataclass(frozen=True)
class GenerationConfig:
    """What is to be written."""

    max_tokens: int = field(
        default=500, metadata={"flags": ("-n", "--max-tokens"), "help": "Tokens at the most."}
    )
    greedy: bool = field(default=False, metadata={"help": "Always take the likeliest token."})
    samples: int = field(default=1, metadata={"help": "How many texts to write, side by side."})
    stop: tuple[str, ...] = field(
        default=(), metadata={"help": "Stop before this text; may be given several times."}
    )
    seed: int | None = field(
        default=None,
        metadata={"flags": ("-s", "--seed"), "help": "The same seed writes the same text."},
    )

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise UsageError(f"--max-tokens must be at least 1, not {self.max_tokens}")
        if self.samples < 1:
            raise UsageError(f"--samples must be at least 1, not {self.samples}")
        if self.seed is not None and not 0 <= self.seed < 1 << 64:
            raise UsageError(f"--seed must be from 0 to 2^64 - 1, not {self.seed}")
        if "" in self.stop:
            raise UsageError("--stop needs some text")


@dataclass(frozen=True)
class SamplingConfig:
    """How the next token is drawn."""

    temperature: float = field(
        default=0.8,
        metadata={
            "flags": ("--temperature", "--temp"),
            "help": "Divides the logits: below 1 sharper, above 1 more daring.",
        },
    )
    top_k: int = field(default=0, metadata={"help": "Draw from the K likeliest tokens; 0: all."})
    top_p: float = field(
        default=1.0,
        metadata={"help": "Draw from the likeliest tokens that together have this probability."},
    )
    min_p: float = field(
        default=0.0,
        metadata={"help": "Draw from tokens with this share of the likeliest one's probability."},
    )

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise UsageError(
                f"--temperature must be above 0, not {self.temperature}",
                "--greedy takes the likeliest token",
            )
        if self.top_k < 0:
            raise UsageError(f"--top-k must be 0 (off) or more, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"--top-p must be above 0 and at most 1, not {self.top_p}")
        if not 0 <= self.min_p <= 1:
            raise UsageError(f"--min-p must be from 0 to 1, not {self.min_p}")


#: The greatest power of a length that a score is divided by.
_STEEPEST = 10


@dataclass(frozen=True)
class BeamConfig:
    """How beams are searched."""

    beams: int = field(
        default=0,
        metadata={
            "flags": ("--beam", "--num-beams"),
            "help": "Search with this many beams instead of sampling.",
        },
    )
    nbest: int = field(default=1, metadata={"help": "Write the N best texts that were found."})
    length_penalty: float = field(
        default=1.0,
        metadata={
            "help": "A text scores its summed log-probability over its length to this power."
        },
    )
    early_stopping: Literal["never", "first"] = field(
        default="never",
        metadata={
            "help": "Stop when no live beam can still win (never early), or as soon as enough "
            "texts have ended (first)."
        },
    )

    def __post_init__(self) -> None:
        if self.beams < 0:
            raise UsageError(f"--beam must be at least 1, not {self.beams}")
        if not abs(self.length_penalty) <= _STEEPEST:
            raise UsageError(
                f"--length-penalty must be from {-_STEEPEST} to {_STEEPEST},"
                f" not {self.length_penalty}"
            )
        if self.nbest < 1:
            raise UsageError(f"--nbest must be at least 1, not {self.nbest}")
        if self.nbest > max(self.beams, 1):
            raise UsageError(
                f"--nbest {self.nbest} wants more texts than beams",
                f"search with --beam {self.nbest}",
            )


def check_together(config: GenerationConfig, sampling: SamplingConfig, beam: BeamConfig) -> None:
    """Refuse options that make no sense together.

    Raises:
        UsageError: they do not.
    """
    if beam.beams and config.greedy:
        raise UsageError("--greedy and --beam exclude each other")
    if (beam.beams or config.greedy) and sampling != SamplingConfig():
        how = "--beam" if beam.beams else "--greedy"
        raise UsageError(f"{how} draws nothing, so temperature, top-k, top-p and min-p do nothing")
    if not beam.beams and beam != BeamConfig():
        raise UsageError("--nbest, --length-penalty and --early-stopping need --beam")
    if beam.beams and config.samples > 1:
        raise UsageError("--beam and --samples exclude each other", "--nbest writes several texts")
    if config.greedy and config.samples > 1:
        raise UsageError("--greedy writes the same text every time", "leave out --samples")
