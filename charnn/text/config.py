"""What a tokenizer may be asked for. Imports nothing heavy, so that ``--help`` can show it."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from charnn.errors import UsageError

UnknownPolicy = Literal["error", "skip", "replace", "byte"]
InvalidPolicy = Literal["strict", "replace", "bytes"]
UNKNOWN_POLICIES: tuple[UnknownPolicy, ...] = get_args(UnknownPolicy)


@dataclass(frozen=True)
class TokenizerConfig:
    """How text becomes ids. Each tokenizer uses its part and refuses the rest."""

    option_group: ClassVar[str] = "Tokenizer"

    tokenizer: Literal["byte", "char", "word", "subword"] = field(
        default="char", metadata={"help": "What a token is."}
    )
    vocabulary_size: int | None = field(
        default=None,
        metadata={"flags": ("--vocab-size",), "help": "Cut the vocabulary to this size."},
    )
    min_count: int | None = field(
        default=None,
        metadata={"help": "Cut symbols seen less often. For words 2, if nothing else is asked."},
    )
    unknown: UnknownPolicy | None = field(
        default=None,
        metadata={
            "help": "What becomes of what the vocabulary lacks; byte spells it in bytes. "
            "By default byte, if anything was cut."
        },
    )
    lowercase: bool = field(default=False, metadata={"help": "Read everything in lower case."})
    words: Literal["text", "whitespace"] = field(
        default="text",
        metadata={"help": "Cut words by letters and punctuation, or at white space alone."},
    )
    subword: Literal["unigram", "bpe"] = field(
        default="unigram", metadata={"help": "The algorithm that finds subwords."}
    )
    end_text: str | None = field(default=None, metadata={"option": False})
    """The text between two documents, which becomes the end token; "" if no text stands for it,
    None if the corpus is one document."""

    def __post_init__(self) -> None:
        if self.min_count is not None and self.min_count < 1:
            raise UsageError("--min-count must be at least 1")
        if self.vocabulary_size is not None and self.vocabulary_size < 1:
            raise UsageError("--vocab-size must be at least 1")
        cuts = self.tokenizer in ("char", "word")
        for option, given, fits in (
            ("--min-count", self.min_count is not None, cuts),
            ("--unknown", self.unknown is not None, cuts),
            ("--lowercase", self.lowercase, cuts),
            ("--vocab-size", self.vocabulary_size is not None, self.tokenizer != "byte"),
            ("--words", self.words != "text", self.tokenizer == "word"),
            ("--subword", self.subword != "unigram", self.tokenizer == "subword"),
        ):
            if given and not fits:
                raise UsageError(f"{option} means nothing to the {self.tokenizer} tokenizer")
