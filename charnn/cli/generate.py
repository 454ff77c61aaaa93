"""``charnn generate``: text alone on stdout."""

import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charnn.cli.console import Payload, be_quiet, fail, say, warn
from charnn.cli.options import INPUT, Errors, Json, Model, Quiet, spread_configs
from charnn.cli.places import find_run, standard_input
from charnn.decode.config import (
    BeamConfig,
    Decoding,
    GenerationConfig,
    GuideConfig,
    SamplingConfig,
)
from charnn.errors import CharnnError, InputError, UsageError
from charnn.text.config import InvalidPolicy

if TYPE_CHECKING:
    from charnn.context import Context
    from charnn.generation import Generated, Piece
    from charnn.models import Model as LanguageModel

Prompt = Annotated[
    str | None,
    typer.Option(
        "-p",
        "--prompt",
        help="Text to continue.",
        show_default=False,
        rich_help_panel=INPUT,
    ),
]
PromptFile = Annotated[
    Path | None,
    typer.Option(
        "-f",
        "--file",
        help="Continue this file's text; - is stdin.",
        show_default=False,
        rich_help_panel=INPUT,
    ),
]


#: Bytes; a prompt is kept as a whole.
_LONGEST_PROMPT = 1 << 24


@spread_configs
def generate(
    generation: GenerationConfig,
    sampling: SamplingConfig,
    guide: GuideConfig,
    beam: BeamConfig,
    prompt: Prompt = None,
    file: PromptFile = None,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Go on from what charnn prime read.", show_default=False, rich_help_panel=INPUT
        ),
    ] = None,
    interactive: Annotated[
        bool,
        typer.Option(
            "-i",
            "--interactive",
            help="Type a prompt, read on, and again; one that is given comes first.",
            rich_help_panel=INPUT,
        ),
    ] = False,
    errors: Errors = "bytes",
    echo: Annotated[
        bool, typer.Option(help="Write the prompt before what follows it.", rich_help_panel=INPUT)
    ] = True,
    model: Model = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write text with a trained model.

    Examples:
        charnn generate -p "Once upon a time" -n 300

        charnn generate --beam 5 --nbest 3 -p "The fox"

        charnn generate --samples 8 --temperature 1.1 --seed 7 --json

        charnn generate --regex "[^e]*[.]" --until-line
    """
    from charnn.context import load_context
    from charnn.models import open_model
    from charnn.text.utf8 import read_utf8

    be_quiet(quiet)
    decoding = Decoding(generation, sampling, guide, beam)
    if interactive and str(file) == "-":
        raise UsageError("--interactive reads prompts from standard input; --file - reads one")
    is_given = prompt is not None or file is not None or not interactive
    given = [read_prompt_option(prompt, file, errors)] if is_given else []
    opened = open_model(find_run(model))
    before = load_context(state, opened.checkpoint, opened.step_model) if state else None
    for text in itertools.chain(given, _typed_prompts() if interactive else ()):
        try:
            settled = b"".join(read_utf8([text], errors, name="the prompt"))
            write_out(opened, settled, decoding, before=before, echo=echo, json=json)
        except KeyboardInterrupt:
            if not interactive:
                raise
            say()
        except CharnnError as error:
            if not interactive or isinstance(error, UsageError):
                raise
            fail(str(error))


def write_out(
    model: "LanguageModel",
    prompt: bytes,
    decoding: Decoding,
    *,
    before: "Context | None" = None,
    echo: bool = True,
    json: bool = False,
) -> None:
    """Continue a prompt on stdout."""
    from charnn.generation import seeded, write

    asked, decoding = decoding, seeded(decoding)
    if decoding != asked:
        say(f"seed: {decoding.generation.seed}")
    context = read(model, prompt, before)
    written = write(model.step_model, model.tokenizer, context, decoding, details=json)
    payload = Payload()
    try:
        _show(written, payload, prompt, decoding, model, echo=echo, json=json)
    except CharnnError:
        payload.end_line()
        raise
    finally:
        payload.flush()


def _show(
    written: "Iterator[Piece | Generated]",
    payload: Payload,
    prompt: bytes,
    decoding: Decoding,
    model: "LanguageModel",
    *,
    echo: bool,
    json: bool,
) -> None:
    from charnn.generation import Piece, goes_in_circles

    shown = prompt.decode("utf-8", "replace")
    texts = _Texts(payload, prompt if echo else b"")
    told = False
    for one in written:
        if isinstance(one, Piece):
            if not json:
                texts.add(one.sample, one.text)
            continue
        if json:
            payload.json(_record(one, shown, decoding, model))
        else:
            texts.finish(one.sample)
        if decoding.beam.beams and not told and goes_in_circles(one.text):
            told = True
            warn(
                "the likeliest text goes round in circles, as it does where no end is in sight;"
                " --no-repeat-ngram 12 forbids it, and without --beam text is drawn instead"
            )
    if one.sample + 1 < decoding.beam.nbest:
        warn(f"only {one.sample + 1} different texts were found, not {decoding.beam.nbest}")


def read(model: "LanguageModel", prompt: bytes, before: "Context | None" = None) -> "Context":
    """Let a model read a prompt; says what of it the model does not know."""
    from charnn.generation import read_prompt_text

    context, lost = read_prompt_text(model.step_model, model.tokenizer, prompt, before)
    if lost:
        warn(lost)
    return context


def _typed_prompts() -> Iterator[bytes]:
    """Lines typed at a terminal, with history and the usual editing keys; or lines of a pipe."""
    if sys.stdin is None:
        return
    if not sys.stdin.isatty():
        while line := sys.stdin.buffer.readline(_LONGEST_PROMPT + 1):
            yield _bounded(line, "standard input").removesuffix(b"\n")
        return
    import contextlib
    import readline

    from charnn.text.utf8 import encode_utf8

    history = Path(
        os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state", "charnn", "history"
    )
    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    readline.set_history_length(1000)
    say("Type a prompt and press Enter; Ctrl-C stops a text, Ctrl-D ends.")
    try:
        while True:
            try:
                if not sys.stdout.isatty():  # where Python would write the prompt
                    sys.stderr.write("> ")
                    sys.stderr.flush()
                yield encode_utf8(input("> " if sys.stdout.isatty() else ""))
            except KeyboardInterrupt:
                say()
    except EOFError:
        say()
    finally:
        with contextlib.suppress(OSError):
            history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(history)


class _Texts:
    """Writes texts one after the other: the current one as it comes, the others in their turn."""

    def __init__(self, payload: Payload, prompt: bytes) -> None:
        self._payload, self._prompt = payload, prompt
        self._waiting: dict[int, list[str]] = {}
        self._finished: set[int] = set()
        self._current = 0
        self._begun = False

    def add(self, sample: int, text: str) -> None:
        """Take a piece of a text."""
        self._waiting.setdefault(sample, []).append(text)
        if sample == self._current:
            self._write()

    def finish(self, sample: int) -> None:
        """Take note that a text has ended."""
        self._finished.add(sample)
        while self._current in self._finished:
            self._write()
            self._payload.end_line()
            self._current += 1
            self._begun = False
        if self._current in self._waiting:
            self._write()

    def _write(self) -> None:
        if not self._begun:
            self._payload.write((b"\n" if self._current else b"") + self._prompt)
            self._begun = True
        for text in self._waiting.pop(self._current, ()):
            self._payload.write(text)


def read_prompt_option(
    prompt: str | None, file: Path | None, errors: InvalidPolicy = "bytes"
) -> bytes:
    """The prompt's bytes, from wherever it comes.

    Raises:
        UsageError: it comes from two places.
        InputError: it cannot be read, is too long, or is no UTF-8 and ``errors`` is "strict".
    """
    from charnn.text.utf8 import encode_utf8, read_utf8

    if prompt is not None and file is not None:
        raise UsageError("--prompt and --file exclude each other")
    if file is None:
        place, data = "--prompt", encode_utf8(prompt or "")
    elif str(file) == "-":
        place, data = "standard input", standard_input().read(_LONGEST_PROMPT + 1)
    else:
        place = str(file)
        try:
            with file.open("rb") as stream:
                data = stream.read(_LONGEST_PROMPT + 1)
        except OSError as error:
            raise InputError(f"cannot read {file}: {error.strerror}") from None
    _bounded(data, place)
    return b"".join(read_utf8([data], errors, name=place))


def _bounded(prompt: bytes, place: str) -> bytes:
    if len(prompt) > _LONGEST_PROMPT:
        raise InputError(
            f"{place}: the prompt is longer than {_LONGEST_PROMPT >> 20} MiB",
            "give its end, which a model remembers best: tail -c 1M",
        )
    return prompt


def _record(
    one: "Generated", prompt: str, decoding: Decoding, model: "LanguageModel"
) -> dict[str, object]:
    return {
        "sample": one.sample,
        "prompt": prompt,
        "text": one.text,
        "tokens": one.ids,
        "logprobs": one.log_probs,
        "score": one.score,
        "finished": one.finished,
        "seed": one.seed,
        "checkpoint": model.checkpoint.digest,
        "settings": asdict(decoding),
    }
