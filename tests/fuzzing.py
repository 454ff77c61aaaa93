"""Hostile command lines and damaged files, each met by a child process that may not misbehave."""

import contextlib
import json
import math
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from charnn.__main__ import main
from charnn.cli.app import program, run
from charnn.cli.lazy import walk
from charnn.data.store import HEADER
from charnn.files import sha256
from charnn.manifest import MANIFEST, write_manifest

#: Seconds between the first interruption and the second, and from that until what runs is killed.
_ONCE_MORE, _GRACE = 1.5, 5.0

#: What a child may map (of which what is imported takes some gigabytes), hold beyond what it was
#: born with, and write into a file.
_MOST_ADDRESSES, _MOST_MEMORY, _MOST_WRITTEN = 10 << 30, 1 << 30, 64 << 20

_CRASHED = 99

#: The standard streams: descriptor, mode, and what becomes of text that has no bytes.
_STREAMS = ((0, "r", "surrogateescape"), (1, "w", "strict"), (2, "w", "backslashreplace"))

#: Children are forked from a process that imported what they need and did nothing else: it never
#: had threads of torch's, which a fork would lose.
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [
        "hypothesis",
        "matplotlib.figure",
        "pytest",
        "charnn.cli.app",
        "charnn.cli.report.sections",
        "charnn.inspection.gradients",
        "charnn.training.dynamic",
        "charnn.training.loop",
    ]
)


@dataclass(frozen=True)
class Outcome:
    """How a child ended."""

    code: int
    """Its exit code, or minus the signal that ended it."""
    stdout: bytes
    stderr: bytes
    seconds: float

    @property
    def complaint(self) -> str:
        """What is wrong with it; empty if it behaved."""
        talk = self.stderr.decode(errors="backslashreplace")
        if self.code < 0:
            return f"ended by signal {-self.code} after {self.seconds:.1f} s: {talk[-2000:]}"
        unkind = any(words in talk for words in ("Traceback", "Warning: ", "a bug in charnn"))
        if self.code not in (0, 1, 2, 130) or unkind:
            return f"exit code {self.code}: {talk[-4000:]}"
        if self.code in (1, 2) and not (talk + self.stdout.decode(errors="replace")).strip():
            return f"exit code {self.code} without a word"
        return ""


def in_child(
    work: Callable[..., object],
    folder: Path,
    stdin: bytes = b"",
    arguments: tuple[Any, ...] = (),
    patience: float = 2.0,
) -> Outcome:
    """Do something in a process of its own, in a folder: a fork, so it costs milliseconds.

    What runs on is interrupted after ``patience`` seconds, and a little later once more; then it
    must come to an end.
    """
    streams = [folder.with_name(f"{folder.name}.{name}") for name in ("in", "out", "err")]
    streams[0].write_bytes(stdin)
    ready, readiness = _forks.Pipe(duplex=False)
    child = _forks.Process(target=_confined, args=(work, arguments, folder, streams, readiness))
    child.start()
    readiness.close()
    ready.recv()
    began = time.monotonic()
    signals = [(patience, signal.SIGINT), (_ONCE_MORE, signal.SIGINT), (_GRACE, signal.SIGKILL)]
    for wait, number in signals:
        child.join(wait)
        if child.exitcode is None:
            assert child.pid is not None
            os.kill(child.pid, number)
    child.join()
    assert child.exitcode is not None
    seconds = time.monotonic() - began
    return Outcome(child.exitcode, streams[1].read_bytes(), streams[2].read_bytes(), seconds)


def _confined(
    work: Callable[..., object],
    arguments: tuple[Any, ...],
    folder: Path,
    streams: list[Path],
    readiness: Connection,
) -> None:
    """In the child: do it within limits, and end the process as a program of its own would."""
    code = _CRASHED
    try:
        os.chdir(folder)
        os.environ["HOME"] = str(folder)  # what a shell reads is kept there
        for number, stream in enumerate(streams):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY
            os.dup2(os.open(stream, flags), number)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
            for number, mode, errors in _STREAMS
        )
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_ADDRESSES, _MOST_ADDRESSES))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_WRITTEN, _MOST_WRITTEN))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as in any Python
        signal.signal(signal.SIGINT, signal.default_int_handler)
        born_with = _resident()
        readiness.send(None)
        work(*arguments)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else _CRASHED
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(OSError, ValueError):
        grown = _resident() - born_with
        if grown > _MOST_MEMORY:
            code = _CRASHED
            sys.stderr.write(f"{grown >> 20} MB of memory\n")
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _resident() -> int:
    """The most memory that this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def run_command(
    arguments: list[str], folder: Path, stdin: bytes = b"", patience: float = 2.0
) -> Outcome:
    """Run a command line in a child."""
    return in_child(_run, folder, stdin, (arguments,), patience)


def _run(arguments: list[str]) -> None:
    sys.argv = ["charnn", *arguments]
    main()


# --- command lines -----------------------------------------------------------------------------

#: Values of every kind, at the edges of what is allowed and beyond. All paths are relative: a
#: command that obeys may write nowhere but in its folder.
_HOSTILE = [
    "", " ", "-", "--", "-1", "0", "1", "2", "3", "7", "0.5", "1.0", "-0.0", "1e-300", "1e9",
    "1e400", "nan", "inf", "-inf", "99999999999999999999", "2147483648", "0x10", "1_000", "٣",
    "true", "None", "狐", "e\u0301", "👩\u200d👩\u200d👧", "\u202e\u2066", "\udcff\udc80", "\ufeff",
    "\u2028", "a\nb", "a\tb", "\x1b[2J", "%s%n", "{0}", "$(id)", "a" * 5000, "(((", "[",
    "a{100000}", "(a*)*b", "[^e]*", "(?s).*x.*", "..", ".", "nowhere/at/all", "text.txt",
    "empty.txt", "bytes.bin", "folder", "loop/loop/text.txt", "corpora/text", "checkpoints/text",
    "checkpoints/text/best", "checkpoints/counts", "checkpoints", "corpora", "text", "run.toml",
    "full", "new.png", "new.svg", "new.html", "state", "out",
]  # fmt: skip

#: What Python's and the terminal's own rules forbid in an argument.
_words = st.text(st.characters(exclude_characters="\0/")).map(lambda text: text[:200])
_numbers = st.one_of(st.integers().map(str), st.floats().map(str))
_values = st.one_of(st.sampled_from(_HOSTILE), st.sampled_from(_HOSTILE), _numbers, _words)


@st.composite
def _option(draw: st.DrawFn, parameters: list[object]) -> list[str]:
    parameter = draw(st.sampled_from(parameters))
    names = [*parameter.opts, *parameter.secondary_opts]  # type: ignore[attr-defined]
    name = draw(st.sampled_from(names))
    if getattr(parameter, "is_flag", False):
        return [name]
    value = draw(_values)
    choices = parameter.type_descriptor.choices  # type: ignore[attr-defined]
    if choices and draw(st.booleans()):
        value = draw(st.sampled_from(choices))
    if not name.startswith("-"):  # an argument
        return [value]
    return [f"{name}={value}"] if draw(st.booleans()) and name.startswith("--") else [name, value]


def command_lines(without: frozenset[str] = frozenset()) -> st.SearchStrategy[list[str]]:
    """Command lines that the program's own tree of commands and options knows, with any values.

    Args:
        without: commands to leave out.
    """
    commands = []
    for command, context in walk(program()):
        path = tuple(context.command_path.split()[1:])
        if " ".join(path) not in without:
            # --debug shows tracebacks: that is what it is for.
            options = [one for one in command.params if one.name not in ("help", "debug")]
            commands.append((path, options))

    def line(command: tuple[tuple[str, ...], list[object]]) -> st.SearchStrategy[list[str]]:
        path, parameters = command
        options = st.lists(_option(parameters), max_size=4) if parameters else st.just([])
        extra = st.lists(_values, max_size=1)
        return st.builds(
            lambda options, extra: [
                *path,
                *(word for option in options for word in option),
                *extra,
            ],
            options,
            extra,
        )

    return st.sampled_from(commands).flatmap(line)


# --- damaged files -----------------------------------------------------------------------------

#: What a number or a string of a JSON file may be replaced by.
_STRANGE = [
    None, True, False, 0, -1, 1, 3, 2**31, 2**63, 10**30, 1e-9, 1e308, -0.5, math.nan, math.inf,
    "", "..", "../../x", "/etc/passwd", "a\0b", "狐", "\ud800", "x" * 10_000, "lstm", "byte",
    [], {}, [[]], {"": 0},
]  # fmt: skip

#: A use of a damaged folder may take so long.
_MOST_SECONDS = 5
_MOST_WAITING = 60


def damage(rng: random.Random, name: str, data: bytes) -> bytes:
    """A file's content, damaged in a few places: as text or numbers would be, or as bytes."""
    if name.endswith(".json") and rng.random() < 0.6:
        with contextlib.suppress(ValueError):
            return json.dumps(_strange(rng, json.loads(data))).encode("utf-8", "surrogatepass")
    if name.endswith(".safetensors") and rng.random() < 0.5:
        return _strange_header(rng, data)
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(damaged) + 1)
        size = rng.choice((1, 1, 4, 100))
        piece = rng.choice(
            (rng.randbytes(size), b"\0" * size, b"\xff" * size, bytes(damaged[:size]), b"\n", b"\t")
        )
        match rng.choice(("flip", "insert", "remove", "replace", "cut")):
            case "flip" if at < len(damaged):
                damaged[at] ^= 1 << rng.randrange(8)
            case "insert":
                damaged[at:at] = piece
            case "remove":
                del damaged[at : at + size]
            case "replace":
                damaged[at : at + len(piece)] = piece
            case "cut" if rng.random() < 0.3:
                del damaged[at:]
    return bytes(damaged)


def _strange(rng: random.Random, value: Any) -> Any:
    """A JSON value, one part of which is another."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.15:
            return {name: part for name, part in value.items() if name != key}
        return {**value, key: _strange(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [*value[:at], _strange(rng, value[at]), *value[at + 1 :]]
    if type(value) in (int, float) and rng.random() < 0.5:
        return rng.choice((value + 1, value - 1, -value, value * 2, value * 10**6))
    return rng.choice(_STRANGE)


def _strange_header(rng: random.Random, data: bytes) -> bytes:
    """A safetensors file with another header: eight bytes of its size, then JSON."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(_strange(rng, json.loads(data[8 : 8 + size]))).encode(errors="replace")
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def mend(folder: Path, file: Path) -> None:
    """Let the hashes that vouch for a damaged file agree with it, as a stranger would."""
    for parent in file.relative_to(folder).parents:
        if (folder / parent / MANIFEST).is_file() and file.name != MANIFEST:
            write_manifest(folder / parent)
        header = folder / parent / HEADER
        if header.is_file() and file.suffix == ".ids":
            fields = json.loads(header.read_bytes())
            split = fields["splits"][file.stem]
            split["sha256"] = sha256(file.read_bytes())
            header.write_text(json.dumps(fields))


def use_damaged(seed: int, count: int, uses: Mapping[str, Sequence[Sequence[str]]]) -> None:
    """Damage a file of a copy of this folder, and use what it belongs to; again and again.

    Args:
        seed: of the damage.
        count: how often.
        uses: command lines for files of the folder, by the beginning of their paths.
    """
    # On one core, for threads that wait for each other on a busy machine use up processor time.
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})
    warnings.simplefilter("ignore")  # as the program does
    rng = random.Random(seed)
    whole, copy = Path.cwd(), Path.cwd().with_name("damaged")
    files = [
        (name, lines)
        for path in sorted(whole.rglob("*"))
        for begin, lines in uses.items()
        if path.is_file() and (name := path.relative_to(whole).as_posix()).startswith(begin)
    ]
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, _too_long)
    for n in range(count):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy, symlinks=True)
        os.chdir(copy)
        name, lines = rng.choice(files)
        file = copy / name
        file.write_bytes(damage(rng, file.name, file.read_bytes()))
        if rng.random() < 0.9:
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                mend(copy, file)
        line = rng.choice(lines)
        sys.stderr.write(f"{n} {name}: {' '.join(line)}\n")
        sys.stderr.flush()
        sys.argv = ["charnn", *line]
        # Of processor time, which other programs do not lengthen; whatever only waits has longer.
        signal.setitimer(signal.ITIMER_PROF, _MOST_SECONDS)
        signal.alarm(_MOST_WAITING)
        code = run()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        if code not in (0, 1, 2):
            raise SystemExit(code)


def _too_long(*_: object) -> None:
    traceback.print_stack()
    sys.stderr.write(
        f"Traceback: it took more than {_MOST_SECONDS} seconds, or {_MOST_WAITING} by the clock\n"
    )
    sys.stderr.flush()
    os._exit(_CRASHED)
