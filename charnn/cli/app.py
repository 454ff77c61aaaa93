"""The ``charnn`` command: gathers the commands, and turns whatever goes wrong into one line."""

import errno
import os
import sys
from typing import Annotated

import typer

from charnn import __version__
from charnn.cli.console import ReaderGoneError, fail
from charnn.cli.corpus import corpus
from charnn.cli.demo import demo
from charnn.cli.encode import decode, encode
from charnn.cli.evaluate import evaluate
from charnn.cli.generate import generate
from charnn.cli.info import info
from charnn.cli.inspect import inspect
from charnn.cli.plot import plot
from charnn.cli.prime import prime
from charnn.cli.report import report
from charnn.cli.score import score
from charnn.cli.settings import take_settings
from charnn.cli.tokenize import tokenize
from charnn.cli.train import train
from charnn.errors import CharnnError

#: What fails without a file's name, and with one of these, was writing to standard output.
_STDOUT_ERRORS = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EBADF)

app = typer.Typer(
    name="charnn",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    demo,
    tokenize,
    train,
    plot,
    generate,
    prime,
    evaluate,
    score,
    report,
    encode,
    decode,
    info,
):
    app.command()(command)
app.add_typer(inspect)
app.add_typer(corpus)
take_settings(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"charnn {__version__}\n")
        raise typer.Exit


@app.callback()
def charnn(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say it.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback when something fails.")
    ] = False,
) -> None:
    """Train a recurrent language model on your own text, and write with it.

    Two commands to start: charnn train corpus.txt, and then charnn generate.
    """
    _State.debug = debug


class _State:
    debug = False


def run() -> int:
    """Run the command line; the exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever called
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except (ReaderGoneError, BrokenPipeError):
        _forget_stdout()
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except (CharnnError, typer.TyperException) as error:
        if _State.debug:
            raise
        message = str(error) if isinstance(error, CharnnError) else error.format_message()
        message = message.replace("Value error, ", "")
        if message:  # without a command, help was all there is to say
            fail(message)
        return error.exit_code
    except OSError as error:
        if _State.debug:
            raise
        where = error.filename or ("standard output" if error.errno in _STDOUT_ERRORS else "")
        fail(f"{where}: {error.strerror or error}".removeprefix(": "))
        _forget_stdout()
        return 1
    except (MemoryError, RuntimeError) as error:
        # Torch has no error of its own for a processor's memory that is used up.
        if _State.debug or not ("memory" in str(error) or isinstance(error, MemoryError)):
            return _bug(error)
        fail("out of memory; a smaller --batch, --hidden or --vocab-size takes less")
        return 1
    except Exception as error:
        return _bug(error)


def _bug(error: Exception) -> int:
    if _State.debug:
        raise error
    fail(f"a bug in charnn: {type(error).__name__}: {error}; charnn --debug shows where")
    return 1


def _forget_stdout() -> None:
    """What is buffered cannot be written: Python must not try once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
