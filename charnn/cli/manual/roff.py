"""A page for ``man``, in the macros of man(7)."""

from collections.abc import Iterator

from charnn import __version__
from charnn.cli.manual.page import Page

_EXIT = {
    "0": "All went well.",
    "1": "Something failed; one line on standard error says what.",
    "2": "The command line makes no sense.",
    "129, 130, 143": "Stopped by SIGHUP, Ctrl-C or SIGTERM; what was announced is saved.",
}
_ENVIRONMENT = {
    "CHARNN_COMMAND_OPTION": "An option: CHARNN_TRAIN_LR=0.01 is --lr 0.01 of charnn train. "
    "What is typed goes before it, and it goes before what --config reads.",
    "HTTPS_PROXY, NO_PROXY": "Heeded by charnn corpus fetch, which alone uses the network.",
    "COLUMNS": "The width that is written for.",
    "NO_COLOR": "If set, nothing is coloured.",
    "TERM": "If dumb, nothing is coloured and no bar is drawn.",
}
_FILES = {
    "checkpoints/NAME/": "A run: its checkpoints, metrics and settings.",
    "corpora/NAME/": "A tokenized corpus.",
    "texts/": "Public texts that were fetched.",
    "~/.local/state/charnn/history": "What was typed into charnn generate --interactive; it lies "
    "elsewhere where XDG_STATE_HOME says so.",
}


def manual_name(command: str) -> str:
    """What the page of a command is called.

    >>> manual_name("charnn inspect gates")
    'charnn-inspect-gates'
    """
    return command.replace(" ", "-")


def manual_page(page: Page, others: list[Page]) -> str:
    """A page as man reads it.

    Args:
        page: of a command.
        others: the pages that it refers to.
    """
    return "\n".join(_lines(page, others)) + "\n"


def _lines(page: Page, others: list[Page]) -> Iterator[str]:
    name = manual_name(page.command)
    yield f'.TH "{name.upper()}" "1" "" "charnn {__version__}" "charnn"'
    yield ".SH NAME"
    yield rf"{_text(name)} \- {_text(page.summary)}"
    yield ".SH SYNOPSIS"
    yield rf"\fB{_text(page.command)}\fR {_text(page.usage)}"
    yield ".SH DESCRIPTION"
    for number, paragraph in enumerate(page.paragraphs):
        if number:
            yield ".PP"
        yield _text(paragraph)
    for section in page.sections:
        single = len(page.sections) == 1
        yield f'.SH "{_text(section.title.upper() if not single else "OPTIONS")}"'
        for entry in section.entries:
            names = ", ".join(rf"\fB{_text(name)}\fR" for name in entry.names)
            yield from (".TP", f"{names} {_italic(entry.value)}".rstrip(), _text(entry.text))
    if page.examples:
        yield from (".SH EXAMPLES", ".EX", *map(_text, page.examples), ".EE")
    yield from _table("EXIT STATUS", _EXIT)
    yield from _table("ENVIRONMENT", _ENVIRONMENT)
    yield from _table("FILES", _FILES)
    if others:
        yield ".SH SEE ALSO"
        yield ",\n".join(rf"\fB{_text(manual_name(one.command))}\fR(1)" for one in others)


def _table(title: str, rows: dict[str, str]) -> Iterator[str]:
    yield f'.SH "{title}"'
    for name, text in rows.items():
        yield from (".TP", rf"\fB{_text(name)}\fR", _text(text))


def _italic(value: str) -> str:
    return rf"\fI{_text(value)}\fR" if value else ""


def _text(text: str) -> str:
    r"""Text in which roff sees no request, and turns no hyphen or quote into another character.

    >>> _text(".EX -q")
    '\\&.EX \\-q'
    """
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    escaped = escaped.replace("'", r"\(aq").replace('"', r"\(dq").replace("^", r"\(ha")
    escaped = escaped.replace("`", r"\(ga").replace("~", r"\(ti")
    escaped = "".join(c if c.isascii() else rf"\[u{ord(c):04X}]" for c in escaped)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
