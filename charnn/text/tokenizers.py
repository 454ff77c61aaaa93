"""All tokenizers: makes one, or opens the one that was saved."""

from pathlib import Path

from charnn.errors import InputError
from charnn.text.base import Documents, Tokenizer, load_fields
from charnn.text.byte import ByteTokenizer
from charnn.text.char import CharTokenizer
from charnn.text.config import TokenizerConfig
from charnn.text.subword import SubwordTokenizer
from charnn.text.word import WordTokenizer

TOKENIZERS: dict[str, type[Tokenizer]] = {
    cls.kind: cls for cls in (ByteTokenizer, CharTokenizer, WordTokenizer, SubwordTokenizer)
}


def train_tokenizer(documents: Documents, config: TokenizerConfig) -> Tokenizer:
    """The tokenizer that ``config`` asks for, with a vocabulary learned from a corpus."""
    return TOKENIZERS[config.tokenizer].train(documents, config)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read a tokenizer of any kind from the folder that it was saved in.

    Raises:
        InputError: it is missing or damaged.
    """
    fields = load_fields(folder)
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind not in TOKENIZERS:
        raise InputError(f"the tokenizer {folder} is of unknown kind {kind!r}")
    try:
        return TOKENIZERS[kind].from_fields(fields, folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the tokenizer {folder} is damaged: {error}") from None
