"""The public corpora that charnn knows, as data: what they are, and where they are to be had.

Every text has its size and SHA-256, whatever it arrives in, so a mirror can fail, but not deceive.
Where these come from:

- tinyshakespeare, WikiText-2, Tang poems: computed from the files of the git commits that the
  URLs name.
- the zip of WikiText-2: the checksum that Hugging Face's ``datasets`` recorded for it.
- text8, enwik8: published alike by many independent projects; sizes, and the MD5 of enwik8, by
  their author (http://mattmahoney.net/dc/textdata.html).
- the gzip of text8: of gensim-data's own list, which has an MD5 only.
"""

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Text:
    """A file of a corpus, as it is in the end."""

    name: str
    bytes: int
    sha256: str
    split: Split = "train"


@dataclass(frozen=True)
class Download:
    """What one URL gives: a text, or an archive with texts in it."""

    url: str
    bytes: int
    hash: str
    """``sha256:`` or ``md5:`` and the hexadecimal digits."""
    texts: tuple[str, ...]
    """The names of the texts that come of it."""
    members: tuple[str, ...] = ()
    """What these are called in a .zip; without, it is the text itself, in a .gz or not."""


@dataclass(frozen=True)
class PublicCorpus:
    """A text that people compare on, or just like."""

    name: str
    language: str
    about: str
    licence: str
    """In two or three words."""
    licence_note: str
    """What its source says of it, and what it does not."""
    home: str
    texts: tuple[Text, ...]
    ways: tuple[tuple[Download, ...], ...]
    """Each gives all texts; they are tried in order."""
    tokenize: tuple[str, ...] = ()
    """The options of ``charnn tokenize`` that published figures go with."""

    @property
    def bytes(self) -> int:
        """Of all texts."""
        return sum(text.bytes for text in self.texts)

    @property
    def place(self) -> str:
        """What it is called where it is put: a file, or a folder if there are several."""
        return self.name if self.several else self.texts[0].name

    @property
    def several(self) -> bool:
        """Whether it is a folder of files."""
        return len(self.texts) > 1


_CHAR_RNN = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
)
_TANG = (
    "https://raw.githubusercontent.com/hzy46/Char-RNN-TensorFlow/"
    "7d23f2f1b436afbd5baf67af466d3b5a72f04b71"
)
_WIKITEXT = (
    "https://raw.githubusercontent.com/pytorch/examples/"
    "77f55b912142e11fcfdf5b530231fb9c52f181e8/word_language_model/data/wikitext-2"
)

_WIKIPEDIA_2006 = (
    "the source states none; the text is Wikipedia's of March 2006, which was under the GNU Free "
    "Documentation License then, and is under CC BY-SA 3.0 as well since 2009"
)


def _plain(url: str, text: Text) -> Download:
    """A download that is the text itself."""
    return Download(url, text.bytes, f"sha256:{text.sha256}", (text.name,))


_SHAKESPEARE_TEXT = Text(
    "tinyshakespeare.txt",
    1_115_394,
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)
_TEXT8_TEXT = Text(
    "text8.txt", 100_000_000, "6e890197040d37d85beb962ae1f041ff1d9a9ca8d20c7d99c85027eebf51dca7"
)
_ENWIK8_TEXT = Text(
    "enwik8.txt", 100_000_000, "2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8"
)
_TANG_TEXT = Text(
    "tang-poems.txt", 2_683_016, "ffc4d1112de038bc26cd0271ef3094fe9bae98e36c72537f4997959dec167154"
)
_WIKITEXT_TEXTS = (
    Text(
        "wiki.train.tokens",
        10_797_148,
        "9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f",
    ),
    Text(
        "wiki.valid.tokens",
        1_121_681,
        "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
        "validation",
    ),
    Text(
        "wiki.test.tokens",
        1_256_449,
        "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
        "test",
    ),
)


def _text8_zip(url: str) -> Download:
    return Download(
        url,
        31_344_016,
        "sha256:a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232",
        ("text8.txt",),
        ("text8",),
    )


def _enwik8_zip(url: str) -> Download:
    return Download(
        url,
        36_445_475,
        "sha256:547994d9980ebed1288380d652999f38a14fe291a6247c157c3d33d4932534bc",
        ("enwik8.txt",),
        ("enwik8",),
    )


PUBLIC_CORPORA: tuple[PublicCorpus, ...] = (
    PublicCorpus(
        name="tinyshakespeare",
        language="English",
        about="40,000 lines from Shakespeare's plays; what char-rnn and nanoGPT are shown on",
        licence="public domain",
        licence_note="Shakespeare's plays are in the public domain; the repository that the file "
        "is in is under the MIT licence",
        home="https://github.com/karpathy/char-rnn",
        texts=(_SHAKESPEARE_TEXT,),
        ways=((_plain(f"{_CHAR_RNN}/data/tinyshakespeare/input.txt", _SHAKESPEARE_TEXT),),),
    ),
    PublicCorpus(
        name="tang-poems",
        language="Chinese",
        about="Tang poems, two lines of verse to a line; 5,387 different characters",
        licence="public domain",
        licence_note="the repository states no licence; the poems, of the years 618 to 907, are "
        "in the public domain",
        home="https://github.com/hzy46/Char-RNN-TensorFlow",
        texts=(_TANG_TEXT,),
        ways=((_plain(f"{_TANG}/data/poetry.txt", _TANG_TEXT),),),
    ),
    PublicCorpus(
        name="wikitext-2",
        language="English",
        about="Wikipedia's good articles as words, 33,278 different ones; three splits",
        licence="CC BY-SA",
        licence_note="its authors name the Creative Commons Attribution-ShareAlike License and no "
        "version; Wikipedia, which it is taken from, was under CC BY-SA 3.0 and the GNU Free "
        "Documentation License then",
        home="https://arxiv.org/abs/1609.07843",
        texts=_WIKITEXT_TEXTS,
        ways=(
            tuple(
                _plain(f"{_WIKITEXT}/{file}", text)
                for file, text in zip(
                    ("train.txt", "valid.txt", "test.txt"), _WIKITEXT_TEXTS, strict=True
                )
            ),
            (
                Download(
                    "https://wikitext.smerity.com/wikitext-2-v1.zip",
                    4_475_746,
                    "sha256:92675f1d63015c1c8b51f1656a52d5bdbc33aafa60cc47a218a66e7ee817488c",
                    tuple(text.name for text in _WIKITEXT_TEXTS),
                    tuple(f"wikitext-2/{text.name}" for text in _WIKITEXT_TEXTS),
                ),
            ),
        ),
        tokenize=("--tokenizer", "word", "--words", "whitespace"),
    ),
    PublicCorpus(
        name="text8",
        language="English",
        about="Wikipedia of 2006 as the letters a to z and spaces; figures are per character",
        licence="GFDL",
        licence_note=_WIKIPEDIA_2006,
        home="http://mattmahoney.net/dc/textdata.html",
        texts=(_TEXT8_TEXT,),
        ways=(
            (_text8_zip("https://mattmahoney.net/dc/text8.zip"),),
            (_text8_zip("http://mattmahoney.net/dc/text8.zip"),),
            (_text8_zip("https://data.deepai.org/text8.zip"),),
            (
                Download(
                    "https://github.com/piskvorky/gensim-data/releases/download/text8/text8.gz",
                    33_182_058,
                    "md5:68799af40b6bda07dfa47a32612e5364",
                    ("text8.txt",),
                ),
            ),
        ),
    ),
    PublicCorpus(
        name="enwik8",
        language="English",
        about="The first 100 MB of Wikipedia of 2006 as they are, XML; figures are per byte",
        licence="GFDL",
        licence_note=_WIKIPEDIA_2006,
        home="http://mattmahoney.net/dc/textdata.html",
        texts=(_ENWIK8_TEXT,),
        ways=(
            (_enwik8_zip("https://mattmahoney.net/dc/enwik8.zip"),),
            (_enwik8_zip("http://mattmahoney.net/dc/enwik8.zip"),),
            (_enwik8_zip("https://data.deepai.org/enwik8.zip"),),
        ),
        tokenize=("--tokenizer", "byte"),
    ),
)
