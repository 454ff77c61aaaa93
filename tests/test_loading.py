"""Loading a checkpoint executes nothing, and believes nothing that it did not check.

``python tests/test_loading.py SEED NUMBER`` repeats one mutant, and shows where it fails.
"""

import faulthandler
import io
import json
import math
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from bisect import bisect
from collections import Counter
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import asdict, replace
from itertools import accumulate
from pathlib import Path

import pytest
import safetensors.numpy
import torch
from conftest import make_corpus

from charnn.architecture import ModelConfig, NgramConfig
from charnn.checkpoint import read_checkpoint, resolve
from charnn.data.store import TokenizedCorpus
from charnn.errors import CharnnError, CheckpointError
from charnn.files import sha256, to_json
from charnn.manifest import FORMAT, MANIFEST, write_manifest
from charnn.models import open_model
from charnn.nn.language_model import LanguageModel, import_weights
from charnn.score import evaluate
from charnn.step import pad
from charnn.tensors import open_tensors
from charnn.text.config import TokenizerConfig
from charnn.training.config import TrainingConfig
from charnn.training.counting import count as count_ngrams
from charnn.training.events import Ended, Stepped
from charnn.training.loop import resume, resumed_config, train, training_config
from charnn.training.optimizer import Optimizer
from charnn.training.progress import Progress
from charnn.training.resume import unpack

SEED = 1
BASES = ("lstm", "subword", "ngram")
LANES = 2

SECONDS, HANG_SECONDS = 2, 60
MEMORY = 64 << 20
#: What one process may take at all: a mutant that wants more must not take the machine with it.
DATA_LIMIT = 4 << 30
BATCH = 2000
MOST_CRASHES = 5


# --- checkpoints to begin with ---------------------------------------------------------------


def seal(folder):
    """Let the manifest tell of the files as they are now."""
    (folder / MANIFEST).unlink(missing_ok=True)
    write_manifest(folder)


def make_bases(folder):
    """A run of each kind beside its corpus: the same bytes every time, wherever it is made."""
    config = TrainingConfig(
        steps=2, batch=LANES, bptt=8, lr=1e-2, threads=1, device="cpu", precision="float32"
    )
    for name, tokenizer, model in (
        ("lstm", TokenizerConfig(), ModelConfig(layers=1, hidden=6, embedding=4)),
        (
            "subword",
            TokenizerConfig("subword", vocabulary_size=330),
            ModelConfig("gru", layers=1, hidden=6, embedding=4, tied=True),
        ),
    ):
        corpus = make_corpus(folder / name, config=tokenizer)
        list(train(corpus, model, config, folder / name, "run"))
    words = make_corpus(folder / "ngram", config=TokenizerConfig("word", min_count=1))
    count_ngrams(words, NgramConfig(order=3), folder / "ngram", "run")
    stepped = Stepped(2, 4, 32, 1.5, 3.0, 1e-2, 0.5)
    progress = Progress(2, 4, 1.5, 3.5, 1, 3.25, [3.5, 3.0], stepped)
    for name in BASES:
        checkpoint = base(folder, name)
        fields = json.loads((checkpoint / "config.json").read_bytes())
        fields["corpus"]["path"] = "corpora/text"
        (checkpoint / "config.json").write_text(to_json(fields))
        if (checkpoint / "training").is_dir():
            own = progress if name == "lstm" else replace(progress, unvalidated=None)
            (checkpoint / "training/progress.json").write_text(to_json(asdict(own)))
        seal(checkpoint)
    return folder


def base(folder, name):
    return resolve(folder / name / "run")


def contents(checkpoint):
    paths = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    return {path.relative_to(checkpoint).as_posix(): path.read_bytes() for path in paths}


def put(checkpoint, files):
    for name, data in files.items():
        (checkpoint / name).parent.mkdir(parents=True, exist_ok=True)
        (checkpoint / name).write_bytes(data)


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    return make_bases(tmp_path_factory.mktemp("bases"))


@pytest.fixture
def checkpoint(bases, tmp_path):
    """A checkpoint with every file that there can be, to be spoiled."""
    return shutil.copytree(base(bases, "subword"), tmp_path / "run" / "step-2")


# --- flips -----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_flipped_bit_is_found_wherever_it_is(workplace, tmp_path, count):
    last = resolve(workplace / "checkpoints" / "text", "last")
    checkpoint = shutil.copytree(last, tmp_path / "step-60")
    files = contents(checkpoint)
    assert {MANIFEST, "training/state.safetensors", "tokenizer/tokenizer.json"} <= files.keys()
    rng = random.Random(SEED)
    ends = list(accumulate(map(len, files.values())))
    for offset in sorted(rng.randrange(ends[-1]) for _ in range(count)):
        name, data = list(files.items())[bisect(ends, offset)]
        place = offset - ends[bisect(ends, offset)] + len(data)
        flipped = data[place] ^ 1 << rng.randrange(8)
        put(checkpoint, {name: data[:place] + bytes([flipped]) + data[place + 1 :]})
        with pytest.raises(CheckpointError):
            pytest.fail(f"{name}, byte {place}: {read_checkpoint(checkpoint)}")
        put(checkpoint, {name: data})
    read_checkpoint(checkpoint)


# --- mutants ---------------------------------------------------------------------------------

#: Stand for what ``json.dumps`` cannot write.
DEEP, DIGITS = "@deep@", "@digits@"

HOSTILE = [
    *(None, True, False, -1, 0, 1, 2, 3, 101, 0.5, -0.0, 1e-320, 1e308, math.nan, math.inf),
    *(1 << 20, 10**8, 1 << 31, 1 << 40, (1 << 63) - 1, 1 << 63, 1 << 64, 10**30, 10**400),
    *("", "x", "9" * 5000, "x" * 100_000, "\0", "\ud800", "\n", "\N{CJK UNIFIED IDEOGRAPH-4E2D}"),
    *("ngram", "lstm", "byte", "word", "../x", "/etc/passwd", "nan", "1e999"),
    *([], {}, [[]], [None], {"": None}, {"kind": "byte"}, [0] * 1000, DEEP, DIGITS),
]
INTEGERS = [0, 1, -1, 2, 255, 1 << 16, 1 << 31, (1 << 63) - 1, -(1 << 63), 100 << 20]
DTYPES = ["F64", "F32", "F16", "BF16", "F8_E4M3", "F4", "C64", "I64", "I32", "U32", "BOOL", "X", ""]
FORMATS = [0, 1, 3, -1, "2", None, 1.5, 2.0, True, [], {}, 1 << 64, math.nan]
NAMES = [
    *("../x", "/etc/passwd", "..", ".", "", "a/../b", "a/b/c", "config.json/x", "x\n", "x\0"),
    *("tokenizer", "training", "x" * 300, "\ud800", "config.json", "model.safetensors", "中"),
]


#: The first mutants: each was a traceback once, or took all the memory.
KNOWN = [
    ("ngram", "config.json", "vocabulary", 10**8),
    ("ngram", "config.json", "vocabulary", 1 << 40),
    ("ngram", "config.json", "start_id", None),
    ("lstm", "config.json", "start_id", None),
    ("lstm", "config.json", "model.tied", "\ud800"),
    ("lstm", "config.json", "training.save_every", "9" * 5000),
    ("lstm", "config.json", "training.lr", []),
    ("lstm", "config.json", "training.weight_decay", None),
    ("lstm", "config.json", "training.clip_norm", 10**400),
    ("lstm", "config.json", "training.clip_value", 1e308),
    ("lstm", "config.json", "training.device", None),
    ("lstm", "config.json", "training.device", "meta"),
    ("lstm", "config.json", "training.embedding_from", math.nan),
    ("lstm", "config.json", "training.embedding_from", "\ud800"),
    ("lstm", "training/progress.json", "steps", ""),
    ("lstm", "training/progress.json", "seconds", 10**400),
    ("lstm", "training/progress.json", "best_nats", math.nan),
    ("lstm", "training/progress.json", "average_nats", {}),
    ("lstm", "training/progress.json", "unlogged_nats", ""),
    ("lstm", "training/progress.json", "unlogged_nats", [math.nan]),
    ("lstm", "training/progress.json", "unvalidated.seconds", math.inf),
]

#: The manifest has mutants of its own; the vocabulary is for people.
UNREAD = (MANIFEST, "tokenizer/vocabulary.tsv")


def mutate_bytes(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at, size = rng.randrange(len(data) + 1), rng.choice((1, 1, 2, 4, 8, 64, 1024))
        match rng.randrange(8):
            case 0 | 1:
                data[at : at + 1] = bytes(
                    byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1]
                )
            case 2:
                data[at : at + size] = rng.randbytes(size)
            case 3:
                data[at:at] = rng.randbytes(size)
            case 4:
                del data[at : at + size]
            case 5:
                begin = rng.randrange(len(data) + 1)
                data[at:at] = data[begin : begin + size]
            case 6:
                data[at : at + 8] = rng.choice(INTEGERS).to_bytes(8, "little", signed=True)
            case 7 if not rng.randrange(4):
                del data[at:]
    return bytes(data)


def written(value):
    text = json.dumps(value)
    text = text.replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)
    return text.replace(f'"{DIGITS}"', "9" * 5000).encode()


def hostile(rng, *more):
    """A value of its own, for it may be mutated further."""
    return deepcopy(rng.choice([*HOSTILE, *more]))


def any_place(rng, root):
    """A container in the tree, and a key of it."""
    parent, key = root, 0
    while isinstance(parent[key], dict | list) and parent[key] and rng.random() < 0.9:
        parent = parent[key]
        key = rng.choice(list(parent)) if isinstance(parent, dict) else rng.randrange(len(parent))
    return parent, key


def mutate_tree(rng, value):
    root = [value]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        parent, key = any_place(rng, root)
        found = parent[key]
        match rng.randrange(10):
            case 0 if parent is not root:
                del parent[key]
            case 1 if isinstance(parent, dict):
                parent[rng.choice([*NAMES, "extra", "kind", "embedding"])] = hostile(rng)
            case 1 if parent is not root:
                parent.insert(key, hostile(rng, found))
            case 2:
                other, there = any_place(rng, root)
                parent[key] = json.loads(json.dumps(other[there]))
            case 3 if type(found) in (int, float):
                parent[key] = rng.choice((found + 1, found - 1, found * 2, -found, str(found)))
            case _:
                parent[key] = hostile(rng)
    return root[0]


def mutate_json(rng, data):
    return written(mutate_tree(rng, json.loads(data)))


def mutate_tensors(rng, data):
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    name = rng.choice([name for name in header if name != "__metadata__"])
    tensor, length = header[name], None
    match rng.randrange(10):
        case 0:
            header = mutate_tree(rng, header)
        case 1 if tensor["shape"]:
            tensor["shape"][rng.randrange(len(tensor["shape"]))] = rng.choice(HOSTILE)
        case 2:
            shape = tensor["shape"]
            tensor["shape"] = rng.choice(
                (shape[::-1], [*shape, 1], [1, *shape], [math.prod(shape)])
            )
        case 3:
            tensor["dtype"] = rng.choice(DTYPES)
        case 4:
            tensor["data_offsets"][rng.randrange(2)] = rng.choice((*INTEGERS, len(body), 1 << 64))
        case 5:
            header[rng.choice([*NAMES, *header, name.upper()])] = header.pop(name)
        case 6:
            shape = rng.choice(([0], [0, 1 << 40], [1 << 62, 0], [0] * 100, []))
            header[rng.choice([*NAMES, *header])] = {
                **tensor,
                "shape": shape,
                "data_offsets": [0] * 2,
            }
        case 7:
            length = rng.choice((0, 1, size - 1, size + 1, len(data), 9 << 20, *range(31, 64, 8)))
            length = rng.choice((length, 1 << 31, 1 << 62, 1 << 63, (1 << 64) - 1, 100 << 20))
        case 8:
            body = mutate_bytes(rng, body)
        case _:
            value = rng.choice(
                (b"\xff" * 8, bytes(8), bytes.fromhex("0000c07f0000807f"), b"\x7f" * 8)
            )
            begin = rng.randrange(0, len(body), 8)
            body = body[:begin] + value * rng.choice((1, 4, len(body))) + body[begin + 8 :]
            body = body[: len(data) - 8 - size]
    text = written(header)
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


def mutate_manifest(rng, data):
    manifest = json.loads(data)
    files = manifest["files"]
    name = rng.choice(list(files))
    match rng.randrange(7):
        case 0:
            return mutate_bytes(rng, data)
        case 1:
            files[rng.choice([*NAMES, name.upper(), *files])] = files.pop(name)
        case 2:
            files[rng.choice(NAMES)] = hostile(rng, files[name])
        case 3:
            files[name]["size"] = hostile(rng)
        case 4:
            files[name]["sha256"] = hostile(rng)
        case 5:
            manifest["format"] = rng.choice(FORMATS)
        case _:
            return mutate_json(rng, data)
    return written(manifest)


def mutate_file(rng, files, name):
    data = files[name]
    match rng.randrange(20):
        case 0:
            return rng.choice(list(files.values()))
        case 1:
            return b""
        case 2 | 3 | 4 | 5:
            return mutate_bytes(rng, data)
    if name.endswith(".json"):
        return mutate_json(rng, data)
    if name.endswith(".safetensors"):
        return mutate_tensors(rng, data)
    return mutate_bytes(rng, data)


def write_mutant(bases, run, seed, number):
    """Write a mutant's checkpoint into a run; what it comes of, and whether its manifest is right.

    Right is True, mutated is None, and one that tells of other files is False.
    """
    rng = random.Random(f"{seed} {number}")
    kind, right = BASES[number % len(BASES)], rng.choice((True, True, True, None, False))
    if number < len(KNOWN):
        kind, name, key, value = KNOWN[number]
        right = True
    files = contents(base(bases, kind))
    checkpoint = run / base(bases, kind).name
    put(checkpoint, files)
    if number < len(KNOWN):
        changed = with_value(files[name], key, value)
    elif right is None:
        name, changed = MANIFEST, mutate_manifest(rng, files[MANIFEST])
    else:
        name = rng.choice([name for name in files if name not in UNREAD])
        changed = mutate_file(rng, files, name)
    put(checkpoint, {name: changed})
    if right:
        seal(checkpoint)
    return kind, None if changed == files[name] else right


def with_value(data, key, value):
    fields = json.loads(data)
    *places, last = key.split(".")
    inside = fields
    for place in places:
        inside = inside[place]
    assert last in inside
    inside[last] = value
    return written(fields)


def speak(run):
    model = open_model(run)
    ids = model.tokenizer.encode("The fox 狐狸")
    model.tokenizer.decode(range(min(3, model.tokenizer.vocabulary_size)))
    step_model = model.step_model
    logits, state = step_model.prefill(*pad([[], ids]), step_model.initial_state(2))
    for _ in range(2):
        logits, state = step_model.step(logits.argmax(axis=1), state)
    return model.checkpoint


def unpacked(run):
    checkpoint = read_checkpoint(run)
    if not isinstance(checkpoint.config.model, ModelConfig):
        return
    model = LanguageModel(checkpoint.config.model, checkpoint.config.vocabulary)
    import_weights(model, checkpoint.weights)
    config = training_config(checkpoint)
    optimizer = Optimizer(model, config)
    like = model.initial_state(LANES)
    unpack(checkpoint.folder, model, optimizer, like, averaged=bool(config.ema))


def go_on(run, corpus):
    """Train for a step more, and save."""
    config, _ = resumed_config(run)
    done = []
    for event in resume(run, corpus, config, stop=lambda: bool(done)):
        if isinstance(event, Stepped):
            done.append(event)


def exercise(run, corpus):
    """Use a checkpoint as a user may. How each use was refused, None if it was not."""
    refused = []
    for use in (lambda: speak(run), lambda: unpacked(run), lambda: go_on(run, corpus)):
        try:
            use()
            refused.append(None)
        except CharnnError as error:
            refused.append(str(error))
            cause = error
            while cause := cause.__context__:
                if isinstance(cause, MemoryError):
                    raise cause from None
    return refused


def take_peak():
    """The most memory held since this was last asked; Linux alone tells."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return int(line.split()[1]) << 10


def run_mutants(bases, seed, first, last):
    """Use one mutant after the other, and print what comes of it, a line of JSON each."""
    os.fsync = lambda _: None
    corpora = {name: TokenizedCorpus.open(bases / name / "corpora" / "text") for name in BASES}
    with tempfile.TemporaryDirectory() as work:
        run = Path(work) / "run"
        for name in BASES:
            checkpoint = base(bases, name)
            shutil.copytree(checkpoint, run / checkpoint.name)
            trained = [None] * (1 if name == "ngram" else 3)
            assert exercise(run, corpora[name])[: len(trained)] == trained
            shutil.rmtree(run)
        usual = take_peak()
        for limit in (resource.RLIMIT_DATA, resource.RLIMIT_CORE):
            wanted = DATA_LIMIT if limit == resource.RLIMIT_DATA else 0
            resource.setrlimit(limit, (wanted, resource.getrlimit(limit)[1]))
        for number in range(first, last):
            kind, right = write_mutant(bases, run, seed, number)
            print(json.dumps({"number": number, "kind": kind}), flush=True)
            faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
            report = {"number": number, "kind": kind}
            began = time.process_time()
            try:
                report["refused"] = refused = exercise(run, corpora[kind])
                altered = any(
                    words in message
                    for message in refused
                    if message
                    for words in ("was altered", "wrong size")
                )
                if right is False and None in refused:
                    report["failure"] = "believed, though its manifest tells of other files"
                if right and altered:
                    report["failure"] = "called altered, though its manifest is right"
            except BaseException as error:
                report["failure"] = "".join(traceback.format_exception(error)[-5:])
            faulthandler.cancel_dump_traceback_later()
            report["seconds"] = time.process_time() - began
            report["memory"] = take_peak() - usual
            if report["seconds"] > SECONDS:
                report["failure"] = "too slow"
            if report["memory"] > MEMORY:
                report["failure"] = "too much memory"
            print(json.dumps(report), flush=True)
            shutil.rmtree(run)


def child(*arguments):
    """Call a function of this file in another process."""
    here = Path(__file__).parent
    places = [str(here), str(here.parent), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, __file__, *map(str, arguments)],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))},
    )


def hunt(bases, seed, count):
    """Use mutants in other processes: the reports of all that were used to the end, and failures.

    Whoever kills its process is named; the next ones get another.
    """
    reports, failures, first = [], [], 0
    while first < count and len(failures) < MOST_CRASHES:
        done = child("mutants", bases, seed, first, min(first + BATCH, count))
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        reports += [line for line in lines if "seconds" in line]
        first = min(first + BATCH, count)
        if done.returncode:
            assert lines, done.stderr.decode()
            first = lines[-1]["number"] + 1
            what = f"exit {done.returncode}: {done.stderr.decode()[-2000:]}"
            failures.append(lines[-1] | {"failure": what})
    return reports, failures + [report for report in reports if "failure" in report]


@pytest.mark.parametrize("count", [200, pytest.param(50_000, marks=pytest.mark.slow)])
def test_a_mutant_is_used_or_refused(bases, count):
    reports, failures = hunt(bases, SEED, count)
    told = [
        f"python tests/test_loading.py {SEED} {failure['number']} ({failure['kind']}, "
        f"{failure.get('seconds', 0):.1f} s, {failure.get('memory', 0) >> 20} MB)\n"
        f"{failure['failure']}"
        for failure in failures
    ]
    assert not told, f"{len(told)} of {count} failed\n\n" + "\n".join(told[:10])
    assert [report["number"] for report in reports] == list(range(count))
    used = Counter(report["kind"] for report in reports if report["refused"][0] is None)
    assert used.keys() == set(BASES)
    said = " ".join(report["refused"][0] or "" for report in reports)
    for parser in ("tokenizer", "config.json", "manifest.json", "weight", "header"):
        assert parser in said


# --- nothing is executed ---------------------------------------------------------------------

EXECUTES = (
    *("exec", "compile", "import", "marshal.loads", "code.__new__", "pickle.find_class"),
    *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.spawn"),
    *("os.posix_spawn", "socket.", "ctypes.dlopen", "urllib.Request"),
)


def print_audit(bases):
    """Load every checkpoint once more, and print which events come; then cause some."""
    for name in BASES:
        load(bases, name)
    events, listens = [], True
    sys.addaudithook(lambda event, _: events.append(event) if listens else None)
    for name in BASES:
        load(bases, name)
    loaded, events = events, []
    pickle.loads(pickle.dumps(Counter))
    with suppress(ModuleNotFoundError):
        exec("import no_such_module")
    listens = False
    print(json.dumps({"loaded": loaded, "caused": events}))


def load(bases, name):
    assert speak(bases / name / "run").path == base(bases, name)
    unpacked(bases / name / "run")


def test_loading_executes_nothing(bases):
    done = child("audit", bases)
    assert not done.returncode, done.stderr.decode()
    seen = json.loads(done.stdout)
    assert "open" in seen["loaded"]
    executed = [event for event in seen["loaded"] if event.startswith(EXECUTES)]
    assert not executed
    assert {"pickle.find_class", "compile", "exec", "import"} <= set(seen["caused"])


# --- what is no checkpoint -------------------------------------------------------------------


@contextmanager
def no_hang():
    """Fail after a while, with what no ``except Exception`` catches."""

    def expire(*_):
        pytest.fail("it hangs")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(10)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_header_over_8_mb_is_refused_before_it_is_read(checkpoint, monkeypatch):
    path = checkpoint / "model.safetensors"
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")

    def pad_header(to):
        header = data[8 : 8 + size].ljust(to)
        path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
        seal(checkpoint)

    pad_header(8 << 20)
    read_checkpoint(checkpoint)
    pad_header((8 << 20) + 1)
    monkeypatch.setattr(safetensors, "safe_open", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(CheckpointError, match="header is over 8 MB"):
        read_checkpoint(checkpoint)
    with pytest.raises(ValueError, match="header is over 8 MB"), open_tensors(path):
        pass


@pytest.mark.parametrize("name", ["model.pt", "model.bin", "model", "model.safetensors"])
@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_a_pickle_is_never_read(tmp_path, name, how):
    path, sprung = tmp_path / name, tmp_path / "sprung"
    if how == "pickle":
        path.write_bytes(pickle.dumps(Trap(sprung)))
    else:
        torch.save(Trap(sprung), path, _use_new_zipfile_serialization=how == "zip")
    for read in (read_checkpoint, open_model, resumed_config):
        with pytest.raises(CheckpointError, match="a pickle file can run code"):
            read(path)
    assert not sprung.exists()
    if how == "pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(io.BytesIO(path.read_bytes()), weights_only=False)
    assert sprung.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "training/state.safetensors"])
def test_a_pickle_in_the_place_of_tensors_is_never_read(checkpoint, tmp_path, name):
    sprung = tmp_path / "sprung"
    torch.save(Trap(sprung), checkpoint / name)
    seal(checkpoint)
    with pytest.raises(CheckpointError, match="damaged"):
        unpacked(checkpoint)
    assert not sprung.exists()


READ = ["config.json", "model.safetensors", "tokenizer/tokenizer.json", "tokenizer/subword.model"]
RESUMED = ["training/progress.json", "training/state.safetensors"]


def relist(checkpoint, name, entry):
    """Let the manifest tell this of a file, or nothing."""
    manifest = json.loads((checkpoint / MANIFEST).read_bytes())
    files = {**manifest["files"], name: entry}
    if entry is None:
        del files[name]
    (checkpoint / MANIFEST).write_text(json.dumps({**manifest, "files": files}))


@pytest.mark.parametrize("name", [*READ, *RESUMED])
def test_what_the_manifest_does_not_list_is_not_read(checkpoint, name):
    unpacked(checkpoint)
    relist(checkpoint, name, None)
    with pytest.raises(CheckpointError):
        unpacked(checkpoint)


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@pytest.mark.parametrize("name", [*READ, *RESUMED, MANIFEST])
def test_a_pipe_or_a_folder_is_no_file(checkpoint, name, make, listed):
    path = checkpoint / name
    path.unlink()
    make(path)
    if name != MANIFEST:
        entry = {"size": path.stat().st_size, "sha256": sha256(b"")}
        relist(checkpoint, name, entry if listed else None)
    with no_hang(), pytest.raises(CheckpointError):
        unpacked(checkpoint)


def test_a_link_to_a_checkpoint_or_a_run_is_fine(checkpoint, tmp_path):
    for name, target in (("model", checkpoint), ("models", checkpoint.parent)):
        (tmp_path / name).symlink_to(target)
        assert speak(tmp_path / name).path == checkpoint


# --- what older versions wrote ---------------------------------------------------------------

GOLDEN = Path(__file__).parent / "golden"
WRITTEN = sorted(GOLDEN.glob("format-*"))
TOKENIZERS = {"lstm": TokenizerConfig(), "ngram": TokenizerConfig("word", min_count=1)}


def test_every_older_format_is_here():
    assert {path.name for path in WRITTEN} >= {f"format-{n}" for n in range(1, FORMAT)}


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("folder", WRITTEN, ids=lambda folder: folder.name)
def test_an_older_checkpoint_predicts_as_it_did(folder, kind, tmp_path):
    last = folder / kind / "last"
    manifest = json.loads((last / MANIFEST).read_bytes())
    assert f"format-{manifest['format']}" == folder.name
    corpus = make_corpus(tmp_path, (GOLDEN / "text.txt").read_bytes(), TOKENIZERS[kind])
    model = open_model(last)
    assert model.checkpoint.config.corpus["digest"] == corpus.digest
    ids_T, token_bytes = corpus.tokens("validation"), model.tokenizer.token_bytes
    nats = evaluate(model.step_model, ids_T, token_bytes).nats_per_token
    assert nats == pytest.approx(model.checkpoint.config.validation_nats, rel=1e-4)


@pytest.mark.parametrize("folder", WRITTEN, ids=lambda folder: folder.name)
def test_an_older_run_goes_on(folder, tmp_path):
    run = shutil.copytree(folder / "lstm", tmp_path / "lstm", symlinks=True)
    corpus = make_corpus(tmp_path, (GOLDEN / "text.txt").read_bytes(), TOKENIZERS["lstm"])
    before = read_checkpoint(run, "last").config
    config, _ = resumed_config(run)
    if folder.name in ("format-1", "format-2"):
        assert (config.optimizer, config.ema) == ("adamw", 0)
    *_, ended = resume(run, corpus, replace(config, steps=5))
    assert isinstance(ended, Ended)
    after = read_checkpoint(run, "last").config
    assert ended.step == after.step == before.step + 5
    assert after.validation_nats < before.validation_nats


def test_weights_that_are_no_numbers_are_damage(workplace, tmp_path):
    folder = shutil.copytree(workplace / "checkpoints" / "text" / "step-60", tmp_path / "step-60")
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    tensors["output.bias"][3] = math.nan
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    seal(folder)
    with pytest.raises(CheckpointError, match=r"step-60 is damaged: .* holds what is no number"):
        read_checkpoint(folder)


def main(what, *arguments):
    match what:
        case "mutants":
            bases, *numbers = arguments
            run_mutants(Path(bases), *map(int, numbers))
        case "audit":
            print_audit(Path(arguments[0]))
        case seed:
            with tempfile.TemporaryDirectory() as folder:
                first = int(arguments[0])
                run_mutants(make_bases(Path(folder)), int(seed), first, first + 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
