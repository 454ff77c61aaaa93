"""The ``charnn`` command: gathers the commands, and turns whatever goes wrong into one line."""

import errno
import os
import sys
from typing import Annotated, Any

import typer

from charnn import __version__
from charnn.cli import completion
from charnn.cli.console import Payload, ReaderGoneError, fail
from charnn.cli.lazy import Lazy, group_of
from charnn.cli.suggest import meant_path
from charnn.cli.usage import one_line
from charnn.errors import CharnnError, OutputError, UsageError

#: What fails without a file's name, and with one of these, was writing to standard output.
_STDOUT_ERRORS = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EBADF)

#: All commands, in the order of help.
COMMANDS = {
    "demo": Lazy(
        "charnn.cli.demo:demo",
        "Train on the bundled fables and write a page, in about two minutes.",
    ),
    "tokenize": Lazy("charnn.cli.tokenize:tokenize", "Turn text into a tokenized corpus."),
    "train": Lazy("charnn.cli.train:train", "Train a language model."),
    "plot": Lazy(
        "charnn.cli.plot:plot",
        "Draw the loss curves of training runs, also while they are being trained.",
    ),
    "generate": Lazy("charnn.cli.generate:generate", "Write text with a trained model."),
    "prime": Lazy(
        "charnn.cli.prime:prime", "Read a prompt once, and keep what the model knows after it."
    ),
    "evaluate": Lazy(
        "charnn.cli.evaluate:evaluate",
        "Measure how well a model predicts text: perplexity, bits per character and per byte.",
    ),
    "score": Lazy(
        "charnn.cli.score:score",
        "Tell how likely each line is: its bits per character, a tab, and the line as it was.",
    ),
    "report": Lazy(
        "charnn.cli.report:report",
        "Write one page that shows a run: what it learned, and how it does it.",
    ),
    "encode": Lazy(
        "charnn.cli.encode:encode", "Turn text into ids: decimal numbers between spaces."
    ),
    "decode": Lazy(
        "charnn.cli.encode:decode", "Turn ids, decimal numbers between white space, into text."
    ),
    "info": Lazy("charnn.cli.info:info", "Tell what a checkpoint or a tokenized corpus is."),
    "inspect": Lazy("charnn.cli.inspect:inspect", "Look inside a network."),
    "corpus": Lazy("charnn.cli.corpus:corpus", "Fetch public texts to learn from."),
}

app = typer.Typer(
    name="charnn",
    cls=group_of(COMMANDS),
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"charnn {__version__}\n")
        raise typer.Exit


@app.callback()
def charnn(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say which it is."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback when something fails.")
    ] = False,
    install_completion: Annotated[
        bool,
        typer.Option("--install-completion", help="Let this shell complete charnn's command line."),
    ] = False,
    show_completion: Annotated[
        bool, typer.Option("--show-completion", help="Write the script that does so.")
    ] = False,
) -> None:
    """Train a recurrent language model on your own text, and write with it.

    charnn COMMAND --help tells more, with examples. Text goes to standard output and nothing
    else does; talk goes to standard error. Where a model is needed and none is named, the newest
    run in checkpoints/ serves.

    Examples:
        charnn demo

        charnn train corpus.txt

        charnn generate -p "Once upon a time"
    """
    _State.debug = debug
    if install_completion:
        completion.install(completion.shell_in_use())
        raise typer.Exit
    if show_completion:
        Payload().write(completion.script(completion.shell_in_use()))
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise UsageError("no command is given", "charnn --help tells all")


class _State:
    debug = False


def program() -> Any:
    """The root of the command line, as Typer builds it."""
    return typer.main.get_command(app)


def run() -> int:
    """Run the command line; the exit code."""
    # What the caller closed: talk is lost, but to write a payload must fail.
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")  # noqa: SIM115
    try:
        if completion.VARIABLE in os.environ:
            return completion.respond(program(), sys.argv[1:])
        code = program()(prog_name="charnn", standalone_mode=False)
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
        fail(_told(error) if isinstance(error, CharnnError) else one_line(error))
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


def _told(error: CharnnError) -> str:
    """The error; what was meant is a better hint than what can be done."""
    if not isinstance(error, OutputError) and (meant := meant_path(error.message, sys.argv[1:])):
        return f"{error.message}; {meant}"
    return str(error)


def _bug(error: Exception) -> int:
    if _State.debug:
        raise error
    fail(f"a bug in charnn: {type(error).__name__}: {error}; charnn --debug shows where")
    return 1


def _forget_stdout() -> None:
    """What is buffered cannot be written: Python must not try once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
