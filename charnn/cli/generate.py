"""``charnn generate``: text alone on stdout."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charnn.cli.console import Payload, be_quiet, say, warn
from charnn.cli.options import Json, Model, Quiet, spread_configs
from charnn.cli.places import find_run
from charnn.decode.config import BeamConfig, GenerationConfig, SamplingConfig, check_together
from charnn.errors import InputError, UsageError

if TYPE_CHECKING:
    from charnn.generation import Generated
    from charnn.models import Model as LanguageModel


@spread_configs
def generate(
    generation: GenerationConfig,
    sampling: SamplingConfig,
    beam: BeamConfig,
    prompt: Annotated[
        str | None, typer.Option("-p", "--prompt", help="Text to continue.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "-f", "--file", help="Continue this file's text; - is stdin.", show_default=False
        ),
    ] = None,
    echo: Annotated[bool, typer.Option(help="Write the prompt before what follows it.")] = True,
    model: Model = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write text with a trained model.

    Examples:
        charnn generate -p "Once upon a time" -n 300

        charnn generate --beam 5 --nbest 3 -p "The fox"

        charnn generate --samples 8 --temperature 1.1 --seed 7 --json
    """
    from charnn.models import open_model

    be_quiet(quiet)
    check_together(generation, sampling, beam)
    text = _prompt(prompt, file)
    opened = open_model(find_run(model))
    write_out(opened, text, generation, sampling, beam, echo=echo, json=json)


def write_out(
    model: "LanguageModel",
    prompt: bytes,
    generation: GenerationConfig,
    sampling: SamplingConfig,
    beam: BeamConfig,
    *,
    echo: bool = True,
    json: bool = False,
) -> None:
    """Continue a prompt on stdout."""
    from charnn.generation import Piece, encode_prompt, fresh_seed, write

    tokenizer = model.tokenizer
    try:
        ids, tally = encode_prompt(tokenizer, prompt)
    except InputError as error:
        raise InputError(f"the prompt: {error.message}") from None
    if tally.count:
        what = "replaced" if tokenizer.unknown_id is not None else "skipped"
        warn(f"the model never saw part of the prompt, which is {what}: {tally}")
    drawn = not (generation.greedy or beam.beams)
    if drawn and generation.seed is None:
        generation = replace(generation, seed=fresh_seed())
        say(f"seed: {generation.seed}")

    written = write(model.step_model, tokenizer, ids, generation, sampling, beam, details=json)
    payload = Payload()
    shown = prompt.decode("utf-8", "replace")
    if json:
        for one in written:
            if not isinstance(one, Piece):
                payload.json(_record(one, shown, generation.seed if drawn else None))
        return
    texts = _Texts(payload, shown if echo else "")
    for one in written:
        if isinstance(one, Piece):
            texts.add(one.sample, one.text)
        else:
            texts.finish(one.sample)


class _Texts:
    """Writes texts one after the other: the current one as it comes, the others in their turn."""

    def __init__(self, payload: Payload, prompt: str) -> None:
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
            self._payload.write(("\n" if self._current else "") + self._prompt)
            self._begun = True
        for text in self._waiting.pop(self._current, ()):
            self._payload.write(text)


def _prompt(prompt: str | None, file: Path | None) -> bytes:
    if prompt is not None and file is not None:
        raise UsageError("--prompt and --file exclude each other")
    if file is None:
        return (prompt or "").encode("utf-8", "surrogateescape")
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from None


def _record(one: "Generated", prompt: str, seed: int | None) -> dict[str, object]:
    return {
        "sample": one.sample,
        "prompt": prompt,
        "text": one.text,
        "tokens": one.ids,
        "logprobs": one.log_probs,
        "score": one.score,
        "finished": one.finished,
        "seed": seed,
    }
