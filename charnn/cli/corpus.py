"""``charnn corpus``: public texts to learn from, listed and fetched."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charnn.cli.console import Payload, be_quiet, byte_bars, quoted, say
from charnn.cli.lazy import Lazy, group_of
from charnn.cli.options import Json, Quiet
from charnn.cli.tables import drawn, plain_table, room
from charnn.errors import UsageError
from charnn.places import CORPORA, TEXTS

if TYPE_CHECKING:
    from charnn.public.corpora import Download, PublicCorpus
    from charnn.public.fetch import Advance

corpus = typer.Typer(
    name="corpus",
    cls=group_of(
        {
            "list": Lazy(
                "charnn.cli.corpus:list_corpora",
                "Tell which public corpora are known, and where they come from.",
            ),
            "fetch": Lazy("charnn.cli.corpus:fetch", "Fetch a public corpus, once."),
        }
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Fetch public texts to learn from.

    Examples:
        charnn corpus list

        charnn corpus fetch tinyshakespeare
    """,
)

#: A table needs as much; what is narrower is told in paragraphs.
_TABLE_WIDTH = 64

_HEADER = ("name", "language", "size", "licence", "what it is")


def names() -> list[str]:
    """The names of public corpora."""
    from charnn.public.corpora import PUBLIC_CORPORA

    return [one.name for one in PUBLIC_CORPORA]


def _complete(incomplete: str) -> list[tuple[str, str]]:
    """The names that begin so, and what they stand for."""
    from charnn.public.corpora import PUBLIC_CORPORA

    found = [one for one in PUBLIC_CORPORA if one.name.startswith(incomplete)]
    return [(one.name, one.about) for one in found]


def list_corpora(json: Json = False, quiet: Quiet = False) -> None:
    """Tell which public corpora are known, and where they come from.

    With --json also the URLs, the hashes, the files, and what their sources say of licences.

    Examples:
        charnn corpus list

        charnn corpus list --json
    """
    from charnn.public.corpora import PUBLIC_CORPORA

    be_quiet(quiet)
    payload = Payload()
    if json:
        for one in PUBLIC_CORPORA:
            payload.json(_record(one))
    else:
        payload.write(listing(PUBLIC_CORPORA, room()))
        say("fetch one with: charnn corpus fetch NAME")


def _record(one: "PublicCorpus") -> dict[str, Any]:
    downloads = [[asdict(download) for download in way] for way in one.ways]
    return {
        "name": one.name,
        "language": one.language,
        "about": one.about,
        "licence": one.licence,
        "licence_note": one.licence_note,
        "home": one.home,
        "bytes": one.bytes,
        "path": str(TEXTS / one.place),
        "files": [asdict(text) for text in one.texts],
        "sources": downloads,
    }


def listing(corpora: Sequence["PublicCorpus"], width: int | None) -> str:
    """Corpora as a table, or below each other where there is no room for one.

    Args:
        corpora: what to tell of.
        width: in columns; None: as wide as it gets.
    """
    if width is not None and width < _TABLE_WIDTH:
        return "\n".join(_paragraph(one, width) for one in corpora)
    rows = [(one.name, one.language, size_of(one.bytes), one.licence, one.about) for one in corpora]
    return _table(rows, width or sum(max(map(len, row)) + 2 for row in zip(*rows, strict=True)))


def size_of(count: int) -> str:
    """Bytes in words.

    >>> size_of(1_115_394), size_of(100_000_000)
    ('1.1 MB', '100 MB')
    """
    from rich.filesize import decimal

    return decimal(count).replace(".0 ", " ")


def _table(rows: Sequence[Sequence[str]], width: int) -> str:
    table = plain_table()
    for name in _HEADER[:-1]:
        table.add_column(name, justify="right" if name == "size" else "left", no_wrap=True)
    table.add_column(_HEADER[-1], overflow="fold")
    for row in rows:
        table.add_row(*row)
    return drawn(table, width)


def _paragraph(one: "PublicCorpus", width: int) -> str:
    from rich.padding import Padding

    facts = f"{one.language}, {size_of(one.bytes)}, {one.licence}"
    body = Padding(f"{facts}\n{one.about}", (0, 0, 0, 2))
    return f"{one.name}\n{drawn(body, width)}"


def fetch(
    name: Annotated[
        str, typer.Argument(help="As charnn corpus list tells.", autocompletion=_complete)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The file to make, or a folder to make it in.",
            show_default="texts/NAME.txt",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch it again, and replace what is there.")
    ] = False,
    timeout: Annotated[
        int,
        typer.Option(
            min=1, max=86_400, help="Give a server up that sends nothing for so many seconds."
        ),
    ] = 30,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a public corpus, once.

    It is checked by size and hash, and appears whole or not at all. Where it is
    there already, nothing is fetched. One that comes in splits becomes a folder.

    No other command uses the network. HTTPS_PROXY and its like are heeded.

    Examples:
        charnn corpus fetch tinyshakespeare

        charnn corpus fetch text8 -o /data/text8.txt

        charnn corpus fetch wikitext-2 --json
    """
    from charnn.public.fetch import fetch as fetch_corpus
    from charnn.public.fetch import is_there, texts_in

    be_quiet(quiet)
    one = find(name)
    target = place(one, output)
    there = not force and is_there(one, target)
    if there:
        say(f"{target} is there already")
    else:
        fetch_corpus(one, target, timeout=timeout, force=force, watch=_watched)
        say(f"{target}: {one.bytes:,} bytes, as they should be")
    say(f"licence: {one.licence}; {one.licence_note}")
    commands = next_commands(one, target)
    if json:
        Payload().json(
            {
                "name": one.name,
                "path": str(target),
                "files": [str(path) for path in texts_in(one, target)],
                "bytes": one.bytes,
                "fetched": not there,
                "licence": one.licence,
                "licence_note": one.licence_note,
                "next": commands,
            }
        )
    else:
        say("train on it with:")
        for command in commands:
            say(f"  {command}")


def find(name: str) -> "PublicCorpus":
    """The corpus of that name.

    Raises:
        UsageError: there is none; it names the nearest.
    """
    from difflib import get_close_matches

    from charnn.public.corpora import PUBLIC_CORPORA

    for one in PUBLIC_CORPORA:
        if one.name == name:
            return one
    near = get_close_matches(name.lower(), names(), n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names())}"
    raise UsageError(f"no public corpus is called {name}", hint)


def place(one: "PublicCorpus", output: Path | None) -> Path:
    """Where a corpus is put: a file, or a folder if it has several files.

    Raises:
        UsageError: it is to go to standard output.
    """
    if str(output) == "-":
        raise UsageError("a corpus becomes a file", "-o names one; - does not")
    if output is None:
        return TEXTS / one.place
    return output / one.place if output.is_dir() and not one.several else output


def next_commands(one: "PublicCorpus", target: Path) -> list[str]:
    """What to type next: as figures of this corpus are published, if there are any."""
    from charnn.public.fetch import texts_in

    paths = {
        text.split: quoted(path)
        for text, path in zip(one.texts, texts_in(one, target), strict=True)
    }
    if not one.several and not one.tokenize:
        return [f"charnn train {paths['train']}"]
    splits = [f"--{split} {path}" for split, path in paths.items() if split != "train"]
    made = quoted(CORPORA / one.name)
    words = ["charnn tokenize", paths["train"], *splits, *one.tokenize, "-o", made]
    return [" ".join(words), f"charnn train {made}"]


@contextlib.contextmanager
def _watched(download: "Download") -> "Iterator[Advance]":
    """Say what is fetched, with a bar below."""
    say(f"fetching {download.url} ({download.bytes:,} bytes)")
    with byte_bars() as watch:
        yield watch(download.url.rpartition("/")[2], download.bytes)
