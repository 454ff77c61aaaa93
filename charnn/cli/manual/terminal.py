"""A page as a terminal shows it. Nothing is cut: where room is short, lines are broken.

Rich's tables, which Typer draws help with, cut names at 40 columns, and importing them takes longer
than all the rest of ``--help``.
"""

import re
import shutil
import textwrap
from collections.abc import Iterator
from typing import Any

from charnn.cli.console import takes_colours
from charnn.cli.manual.page import Page, Section, page_of

#: Longer lines are hard to read.
_WIDEST = 100

#: Below this, what an option is stands under its name.
_TWO_COLUMNS = 60

#: Where the second column begins at the latest: the share of the width.
_FIRST_COLUMN_SHARE = 0.36

_INDENT = "  "

#: A word of a command line, with its quoted parts.
_SHELL_WORD = re.compile(r"""(?:[^\s"']|"(?:\\.|[^"\\])*"|'[^']*')+""")

#: No line ends within it.
_TOGETHER = "default:\N{NO-BREAK SPACE}"

_BOLD, _NAME, _RESET = "\x1b[1m", "\x1b[1;36m", "\x1b[0m"


def help_of(command: Any, context: Any) -> str:
    """A command's help, for the stream that stdout is."""
    width = shutil.get_terminal_size().columns
    return draw(page_of(command, context), width, colours=takes_colours())


def draw(page: Page, width: int, *, colours: bool = False) -> str:
    """A page in so many columns, without a last line end."""
    width = min(width, _WIDEST)
    heading, name = (_BOLD, _NAME) if colours else ("", "")
    parts = [_painted("Usage:", heading) + _usage(page, width)]
    parts += ["\n".join(_wrapped(paragraph, width)) for paragraph in page.paragraphs]
    if page.examples:
        lines = [line for example in page.examples for line in wrap_command(example, width)]
        parts.append("\n".join([_painted("Examples:", heading), *lines]))
    for section in page.sections:
        lines = list(_rows(section, width, name))
        title = [_painted(line, heading) for line in _wrapped(f"{section.title}:", width)]
        parts.append("\n".join([*title, *lines]))
    return "\n\n".join(parts)


def _painted(text: str, style: str) -> str:
    return f"{style}{text}{_RESET}" if style else text


def _usage(page: Page, width: int) -> str:
    begin = "Usage:"
    lines = _wrapped(f"{begin} {page.command} {page.usage}", width, "", " " * len(begin) + " ")
    return "\n".join(lines).removeprefix(begin)


def _rows(section: Section, width: int, style: str) -> Iterator[str]:
    """The entries: beside their names where there is room, else under them."""
    widest = max(len(entry.label) for entry in section.entries) + 2 * len(_INDENT)
    column = min(widest, int(width * _FIRST_COLUMN_SHARE))
    if width < _TWO_COLUMNS and widest > width // 3:
        column = 3 * len(_INDENT)
    for entry in section.entries:
        label = _INDENT + entry.label
        lines = _wrapped(entry.text, width, " " * column, " " * column)
        painted = _INDENT + " ".join(
            filter(None, (", ".join(_painted(n, style) for n in entry.names), entry.value))
        )
        if lines and len(label) + len(_INDENT) <= column:
            yield painted + lines[0][len(label) :]
            yield from lines[1:]
        else:
            if len(label) <= width:
                yield painted
            else:
                yield from _wrapped(entry.label, width, _INDENT, 2 * _INDENT)
            yield from lines


def _wrapped(text: str, width: int, first: str = "", others: str = "") -> list[str]:
    lines = textwrap.wrap(
        text.replace("default: ", _TOGETHER),
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_TOGETHER, "default: ") for line in lines]


def wrap_command(command: str, width: int) -> list[str]:
    r"""A command line in lines that a shell still takes as one, if they are copied.

    >>> print("\n".join(wrap_command('charnn generate --beam 5 -p "The fox"', 30)))
      charnn generate --beam 5 \
        -p "The fox"
    """
    lines = [_INDENT]
    for word in _SHELL_WORD.findall(command):
        line = lines[-1]
        joined = line + word if line.isspace() else f"{line} {word}"
        if len(joined) + len(" \\") <= width or line.isspace():
            lines[-1] = joined
        else:
            lines[-1] += " \\"
            lines.append(2 * _INDENT + word)
    return lines
