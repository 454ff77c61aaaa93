"""How text may be asked for. Imports nothing heavy, so that ``--help`` can show it."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from charnn.errors import UsageError


def _check_texts(option: str, texts: tuple[str, ...], *, empty: bool = False) -> None:
    if "" in texts and not empty:
        raise UsageError(f"{option} needs some text")
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{option} takes text, and {text!r} is no UTF-8") from None


@dataclass(frozen=True)
class GenerationConfig:
    """What is to be written."""

    option_group: ClassVar[str] = "Length and number"

    max_tokens: int = field(
        default=500, metadata={"flags": ("-n", "--max-tokens"), "help": "Tokens at the most."}
    )
    greedy: bool = field(default=False, metadata={"help": "Always take the likeliest token."})
    samples: int = field(default=1, metadata={"help": "How many texts to write, side by side."})
    stop: tuple[str, ...] = field(default=(), metadata={"help": "Stop before this text."})
    max_lines: int = field(
        default=0, metadata={"help": "Stop at the end of the Nth line; 0: write on."}
    )
    until_line: bool = field(
        default=False, metadata={"help": "Stop at the end of the line: --max-lines 1."}
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
        _check_texts("--stop", self.stop)
        if self.max_lines < 0:
            raise UsageError(f"--max-lines must be 0 (off) or more, not {self.max_lines}")
        if self.until_line and self.max_lines > 1:
            raise UsageError("--until-line and --max-lines exclude each other")

    @property
    def lines(self) -> int:
        """How many lines at the most; 0: any number."""
        return 1 if self.until_line else self.max_lines


@dataclass(frozen=True)
class SamplingConfig:
    """How the next token is drawn."""

    option_group: ClassVar[str] = "Sampling"

    temperature: float = field(
        default=0.8,
        metadata={
            "flags": ("--temperature", "--temp"),
            "help": "Divides the logits: below 1 sharper, above 1 more daring.",
        },
    )
    top_k: int = field(default=0, metadata={"help": "Draw from the K likeliest tokens; 0: all."})
    typical_p: float = field(
        default=1.0,
        metadata={
            "help": "Draw from the tokens whose surprise is nearest to the expected one, and "
            "that together have this probability."
        },
    )
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
        if not 0 < self.typical_p <= 1:
            raise UsageError(f"--typical-p must be above 0 and at most 1, not {self.typical_p}")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"--top-p must be above 0 and at most 1, not {self.top_p}")
        if not 0 <= self.min_p <= 1:
            raise UsageError(f"--min-p must be from 0 to 1, not {self.min_p}")


@dataclass(frozen=True)
class GuideConfig:
    """What a text must, may and should rather not hold, however it is decoded."""

    option_group: ClassVar[str] = "What may be written"

    repetition_penalty: float = field(
        default=1.0,
        metadata={"help": "Makes tokens that occurred less likely: above 1; 1: off."},
    )
    no_repeat_ngram: int = field(
        default=0, metadata={"help": "No N tokens in a row occur twice; 0: off."}
    )
    ban: tuple[str, ...] = field(default=(), metadata={"help": "This text does not occur."})
    regex: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "The whole text matches this pattern (Python's syntax); given several "
            "times, all of them."
        },
    )

    def __post_init__(self) -> None:
        if not 0.01 <= self.repetition_penalty <= 100:
            raise UsageError(
                "--repetition-penalty must be from 0.01 to 100 (1: off),"
                f" not {self.repetition_penalty}"
            )
        if self.no_repeat_ngram < 0:
            raise UsageError(
                f"--no-repeat-ngram must be 0 (off) or more, not {self.no_repeat_ngram}"
            )
        _check_texts("--ban", self.ban)
        _check_texts("--regex", self.regex, empty=True)


#: The greatest power of a length that a score is divided by.
_STEEPEST = 10

_DIVERSITY_PENALTY = 0.5


@dataclass(frozen=True)
class BeamConfig:
    """How beams are searched."""

    option_group: ClassVar[str] = "Beam search"

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
    beam_groups: int = field(
        default=1,
        metadata={"help": "Groups of beams that are kept unlike each other; see next."},
    )
    diversity_penalty: float = field(
        default=_DIVERSITY_PENALTY,
        metadata={
            "help": "What a token costs in each group for every beam of the groups before "
            "that took it in the same step, nats."
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
        if not self.beams and (self.nbest > 1 or self.beam_groups > 1):
            raise UsageError("--nbest and --beam-groups need --beam")
        if self.nbest > max(self.beams, 1):
            raise UsageError(
                f"--nbest {self.nbest} wants more texts than beams",
                f"search with --beam {self.nbest}",
            )
        if self.beam_groups < 1 or max(self.beams, 1) % self.beam_groups:
            raise UsageError(
                f"--beam-groups must divide the {self.beams} beams, not be {self.beam_groups}"
            )
        if not 0 <= self.diversity_penalty < float("inf"):
            raise UsageError(
                f"--diversity-penalty must be at least 0, not {self.diversity_penalty}"
            )
        if self.beam_groups == 1 and self.diversity_penalty != _DIVERSITY_PENALTY:
            raise UsageError("--diversity-penalty does nothing in one group", "add --beam-groups")


@dataclass(frozen=True)
class Decoding:
    """All of it together, and whether it makes sense together."""

    generation: GenerationConfig = GenerationConfig()
    sampling: SamplingConfig = SamplingConfig()
    guide: GuideConfig = GuideConfig()
    beam: BeamConfig = BeamConfig()

    def __post_init__(self) -> None:
        generation, beam = self.generation, self.beam
        if beam.beams and generation.greedy:
            raise UsageError("--greedy and --beam exclude each other")
        if not self.draws and self.sampling != SamplingConfig():
            how = "--beam" if beam.beams else "--greedy"
            raise UsageError(
                f"{how} draws nothing, so --temperature, --top-k, --typical-p, --top-p and --min-p"
                " do nothing"
            )
        if not beam.beams and beam != BeamConfig():
            raise UsageError(
                "--nbest, --length-penalty, --beam-groups, --diversity-penalty and"
                " --early-stopping need --beam"
            )
        if beam.beams and generation.samples > 1:
            raise UsageError(
                "--beam and --samples exclude each other", "--nbest writes several texts"
            )
        if generation.greedy and generation.samples > 1:
            raise UsageError("--greedy writes the same text every time", "leave out --samples")

    @property
    def draws(self) -> bool:
        """Whether random numbers are drawn."""
        return not (self.generation.greedy or self.beam.beams)
