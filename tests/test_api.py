"""What Python users get: the same as on the command line, typed, and without a word."""

import copy
import dataclasses
import inspect
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import torch
from conftest import TEXT

import charnn
from charnn.api import options as api_options
from charnn.api.options import Options
from charnn.architecture import ModelConfig, NgramConfig
from charnn.data.store import TokenizedCorpus
from charnn.decode.config import BeamConfig, GenerationConfig, GuideConfig, SamplingConfig
from charnn.errors import (
    CheckpointError,
    CorpusError,
    CorpusExistsError,
    GenerationError,
    InputError,
    TrainingError,
    UnknownTokenError,
    UsageError,
)
from charnn.text.config import TokenizerConfig
from charnn.training.config import TrainingConfig
from charnn.training.events import Ended, Saved, Started, Stepped
from charnn.training.together import FREE

ROOT = Path(__file__).parent.parent
SMALL = {"hidden": 8, "embedding": 4, "batch": 4, "bptt": 8, "threads": 1}


@pytest.fixture(scope="module")
def model(workplace):
    return charnn.load(workplace / "checkpoints" / "text")


@pytest.fixture
def place(workplace, tmp_path, monkeypatch):
    """A copy of the workplace that a test may change, and stands in."""
    shutil.copytree(workplace, tmp_path, dirs_exist_ok=True, symlinks=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def python(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run lines of Python in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **environment},
        timeout=300,
    )


# --- importing ---------------------------------------------------------------------------------


def test_importing_is_light_and_only_training_takes_torch(workplace):
    code = """
import os, sys
environment = dict(os.environ)
import charnn
assert not {"numpy", "torch", "logging", "charnn.errors"} & set(sys.modules)
assert {"load", "train", "tokenize", "resume", "Model", "CharnnError"} <= set(dir(charnn))
model = charnn.load("checkpoints/text")
model.generate("The fox", max_tokens=5)
model.generate("The fox", max_tokens=5, beams=2)
model.score("The fox\\n"), model.evaluate(), model.encode("The")
charnn.tokenize
assert "charnn.training" not in sys.modules
assert environment == os.environ
charnn.train, charnn.resume
assert "torch" not in sys.modules
"""
    result = python(code, workplace)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_help_tells_of_all_names_without_torch(tmp_path):
    code = "import sys, charnn; help(charnn); assert 'torch' not in sys.modules"
    told = python(code, tmp_path, PAGER="cat").stdout
    for name in charnn.__all__:
        assert re.search(rf"(class|    ) ?{name}\b", told), name
    assert "temperature: Divides the logits" in told


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'charnn' has no attribute 'laod'"):
        charnn.laod  # noqa: B018


def test_what_is_given_out_is_what_type_checkers_see():
    shown = re.search(r"if TYPE_CHECKING:\n(.*?)\n\n", Path(charnn.__file__).read_text(), re.S)[1]
    seen = dict(re.findall(r"from ([\w.]+) import (.*)", shown))
    names = {name: module for module, names in seen.items() for name in names.split(", ")}
    assert names == charnn._MODULES
    assert set(charnn.__all__) == set(names)


USER = """
from pathlib import Path
import charnn
from charnn.training.events import Event, Saved

def show(event: Event) -> None:
    if isinstance(event, Saved):
        reveal_type(event.validation_nats)

model = charnn.train("corpus.txt", minutes=10, hidden=256, on_event=show)
reveal_type(model)
reveal_type(charnn.load(Path("checkpoints")).generate(b"Once", max_tokens=200, stop=["."]))
reveal_type([piece for piece in model.stream("Once", beams=5)])
reveal_type(model.generate_all("Once", samples=3)[0].log_probs)
reveal_type(model.score("Once").bits_per_character)
reveal_type(charnn.tokenize(["a.txt"], tokenizer="word").path)
model.generate("Once", temprature=0.7)
model.generate("Once", samples=3)
charnn.resume(hidden=3)
charnn.train("corpus.txt", cell="lstn")
charnn.laod("x")
"""


def test_a_users_file_is_checked_by_mypy(tmp_path):
    assert (ROOT / "charnn" / "py.typed").exists()
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert wheel["targets"]["wheel"]["packages"] == ["charnn"]
    (tmp_path / "user.py").write_text(USER)
    # What torch tells of itself decides nothing here, and takes a minute to read.
    (tmp_path / "mypy.ini").write_text("[mypy-torch.*]\nfollow_imports = skip\n")
    cache = ROOT / ".mypy_cache" / "user"
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "user.py"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "MYPYPATH": str(ROOT), "MYPY_CACHE_DIR": str(cache)},
    )
    told = [line.split(": ", 1)[1] for line in result.stdout.splitlines()]
    notes = [line for line in told if line.startswith("note: Revealed")]
    assert [re.search('"(.*)"', note)[1].replace("builtins.", "") for note in notes] == [
        "float | None",
        "charnn.api.model.Model",
        "str",
        "list[str]",
        "tuple[float, ...]",
        "float",
        "pathlib.Path",
    ]
    errors = [line for line in told if line.startswith("error")]
    for error, wrong in zip(
        errors, ["temprature", "samples", "hidden", "lstn", "laod"], strict=True
    ):
        assert wrong in error


# --- options -----------------------------------------------------------------------------------

WRITING = (GenerationConfig, SamplingConfig, GuideConfig, BeamConfig)


@pytest.mark.parametrize(
    ("typed", "configs"),
    [
        ("SeveralOptions", WRITING),
        ("TokenizerOptions", (TokenizerConfig,)),
        ("TrainingOptions", (ModelConfig, NgramConfig, TrainingConfig)),
    ],
)
def test_typed_dictionaries_are_the_configs(typed, configs):
    told = get_type_hints(getattr(api_options, typed))
    ours = {
        field.name: get_type_hints(config)[field.name]
        for config in configs
        for field in dataclasses.fields(config)
        if field.metadata.get("option", True)
    }
    assert told.keys() == ours.keys()
    for name, kind in told.items():
        if kind == api_options.Sequence[str]:
            assert ours[name] == tuple[str, ...]
        elif kind == api_options.Place | None:
            assert ours[name] == str | None
        else:
            assert kind == ours[name], name


def test_one_text_and_resuming_take_what_they_can():
    one, several = (
        get_type_hints(getattr(api_options, f"{n}Options")) for n in ("Writing", "Several")
    )
    assert several.keys() - one.keys() == {"samples", "nbest"}
    assert get_type_hints(api_options.ResumeOptions).keys() == FREE


def test_signatures_and_docstrings_tell_the_options():
    shown = inspect.signature(charnn.Model.generate).parameters
    assert shown["temperature"].default == SamplingConfig.temperature
    assert shown["stop"].annotation == tuple[str, ...]
    assert "samples" not in shown
    assert str(inspect.signature(charnn.train).parameters["hidden"]) == "hidden: int = by recipe"
    assert (
        "    until_line: Stop at the end of the line: max_lines 1." in charnn.Model.generate.__doc__
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_token": 3}, "generate() has no option 'max_token'; did you mean max_tokens?"),
        ({"temp": 1.0}, "did you mean temperature?"),
        ({"num_beams": 5}, "did you mean beams?"),
        ({"promt": "x"}, "did you mean prompt?"),
        ({"xyzzy": 1}, "help(generate) lists them"),
        ({"samples": 3}, "generate_all() writes several texts"),
        ({"max_tokens": "200"}, "max_tokens cannot be '200'"),
        ({"max_tokens": True}, "max_tokens cannot be True"),
        ({"temperature": float("nan")}, "temperature cannot be nan"),
        ({"stop": [1]}, "stop cannot be [1]"),
        ({"stop": b"x"}, "stop cannot be b'x'"),
        ({"early_stopping": "soon"}, "early_stopping cannot be 'soon'"),
        ({"max_tokens": 0}, "max_tokens must be at least 1, not 0"),
        ({"temperature": 0}, "temperature must be above 0, not 0; greedy takes the likeliest"),
        ({"beams": -1}, "beams must be at least 1, not -1"),
        ({"greedy": True, "top_k": 3}, "draws nothing"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_named_as_keywords(model, options, said):
    with pytest.raises(UsageError) as caught:
        model.generate("The", **options)
    assert said in str(caught.value)
    assert isinstance(caught.value, charnn.CharnnError)
    with pytest.raises(UsageError):  # at once, not where the first piece is asked for
        model.stream("The", **options)


def test_numpys_numbers_lists_and_paths_are_taken(model):
    given = {"temperature": np.float32(0.5), "max_tokens": np.int64(30), "seed": np.uint8(7)}
    plain = {"temperature": 0.5, "max_tokens": 30, "seed": 7}
    assert model.generate("The", **given, stop=["\n"]) == model.generate("The", **plain, stop="\n")
    training, *_ = Options(TrainingConfig).read({"from_checkpoint": Path("x") / "y"})
    assert training.from_checkpoint == os.path.join("x", "y")


# --- the same as on the command line -----------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["-n", "80", "--seed", "3", "--samples", "3", "--top-p", "0.9", "--stop", "fox"],
         {"max_tokens": 80, "seed": 3, "samples": 3, "top_p": 0.9, "stop": "fox"}),
        (["-n", "60", "--greedy"], {"max_tokens": 60, "greedy": True}),
        (["-n", "30", "--beam", "4", "--nbest", "3"],
         {"max_tokens": 30, "beams": 4, "nbest": 3}),
    ],
    ids=["samples", "greedy", "beams"],
)  # fmt: skip
def test_texts_are_those_of_the_command_line(program, workplace, model, arguments, options):
    prompt = "The fox 狐"
    result = program("generate", "-p", prompt, *arguments, "--json", cwd=workplace)
    told = [json.loads(line) for line in result.stdout.splitlines()]
    texts = model.generate_all(prompt, **options)
    assert sorted(told, key=lambda one: one["sample"]) == [
        {
            "sample": one.sample,
            "prompt": prompt,
            "text": one.text,
            "tokens": list(one.ids),
            "logprobs": list(one.log_probs),
            "score": one.score,
            "finished": one.finished,
            "seed": one.seed,
            "checkpoint": model.checkpoint.digest,
            "settings": told[0]["settings"],
        }
        for one in texts
    ]
    if len(texts) == 1:
        assert model.generate(prompt, **options) == texts[0].text


def test_scores_are_those_of_the_command_line(program, workplace, model, tmp_path):
    lines = ["The fox saw the moon.\n", "xqz!\n", "\n", "狐狸看见井里\n"]
    (tmp_path / "lines.txt").write_text("".join(lines), encoding="utf-8")
    result = program("score", str(tmp_path / "lines.txt"), "--json", cwd=workplace)
    told = [json.loads(line) for line in result.stdout.splitlines()]
    scored = model.score_all(lines)
    for line, one in zip(told, scored, strict=True):
        for name in ("nats", "tokens", "characters", "bits_per_character", "unknown"):
            assert line[name] == getattr(one, name)
    assert model.score(lines[0]).nats == pytest.approx(scored[0].nats, rel=1e-5)


def test_evaluations_are_those_of_the_command_line(program, place):
    told = json.loads(program("evaluate", "--json", cwd=place).stdout)
    measured = charnn.load("text").evaluate()
    for name in ("tokens", "bytes", "unknown", "nats_per_token", "perplexity", "bits_per_byte"):
        assert told[name] == getattr(measured, name)
    (place / "other.txt").write_text(TEXT[:300])
    told = json.loads(program("evaluate", "--json", "--text", "other.txt", cwd=place).stdout)
    assert told["bits_per_character"] == charnn.load().evaluate(TEXT[:300]).bits_per_character


def weights(run):
    return (Path(run) / "best" / "model.safetensors").read_bytes()


def test_a_model_is_that_of_the_command_line(program, place):
    flags = [part for name, value in SMALL.items() for part in (f"--{name}", str(value))]
    (place / "tale.txt").write_text(TEXT)
    shown = program("train", "tale.txt", *flags, "--steps", "12", "--seed", "3", cwd=place)
    assert shown.returncode == 0, shown.stderr
    trained = charnn.train("tale.txt", **SMALL, steps=12, seed=3)
    assert trained.path.parent == place / "checkpoints" / "tale-2"
    assert weights("checkpoints/tale") == weights("checkpoints/tale-2")
    assert charnn.load("tale").checkpoint.config.training == trained.checkpoint.config.training


# --- writing -----------------------------------------------------------------------------------


def test_a_stream_is_the_text_in_pieces(model):
    options = {"max_tokens": 100, "seed": 5}
    pieces = list(model.stream("The", **options))
    assert len(pieces) > 20
    assert "".join(pieces) == model.generate("The", **options)
    assert "".join(model.stream("The", beams=3, max_tokens=20)) == model.generate(
        "The", beams=3, max_tokens=20
    )


def test_streams_may_be_dropped_and_run_side_by_side(place, model):
    other = charnn.load("checkpoints/text")
    texts = {seed: model.generate("The", seed=seed, max_tokens=40) for seed in (1, 2)}
    dropped = model.stream("The", seed=1, max_tokens=10**9)
    assert texts[1].startswith(next(dropped) + next(dropped))
    del dropped
    streams = [
        model.stream("The", seed=1, max_tokens=40),
        other.stream("The", seed=2, max_tokens=40),
    ]
    written = ["", ""]
    for pieces in zip(*streams, strict=False):
        written = [text + piece for text, piece in zip(written, pieces, strict=True)]
    assert len(written[0]) > 20
    for text, seed in zip(written, (1, 2), strict=True):
        assert texts[seed].startswith(text)


@pytest.mark.parametrize("cell", ["lstm", "ngram"])
def test_threads_may_share_a_model(place, cell):
    if cell == "ngram":
        charnn.train(
            "corpora/text", cell="ngram", order=3, minutes=None, output="checkpoints/counted"
        )
    model = charnn.load()
    prompts = [f"The {word}" for word in TEXT.split()[:12]]

    def work(prompt):
        return (
            model.generate(prompt, max_tokens=60, seed=1),
            model.generate(prompt, max_tokens=15, beams=3),
            model.score(prompt).nats,
            model.encode(prompt),
        )

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            shared = list(pool.map(work, prompts))
    finally:
        sys.setswitchinterval(before)
    assert shared == [work(prompt) for prompt in prompts]


def test_a_fresh_seed_is_told(model):
    texts = model.generate_all("The", samples=2, max_tokens=20)
    assert texts[0].seed is not None
    assert texts == model.generate_all("The", samples=2, max_tokens=20, seed=texts[0].seed)
    assert model.generate_all("The", greedy=True, max_tokens=3)[0].seed is None
    assert model.generate_all(regex="", samples=2, seed=4)[1].seed == 4


def test_a_text_is_str_or_bytes(model):
    options = {"max_tokens": 20, "greedy": True}
    assert model.generate("The 狐", **options) == model.generate("The 狐".encode(), **options)
    assert model.encode("狐\n") == model.encode("狐\n".encode())
    assert model.decode(model.encode("The 狐狸\n")) == "The 狐狸\n"
    assert model.score("狐\n").bytes == 4
    with pytest.raises(UsageError, match="str or bytes, not PosixPath"):
        model.score(Path("letter.txt"))
    with pytest.raises(InputError, match=r"U\+D83E at character 1 is half a surrogate pair"):
        model.generate("a\ud83e")
    odd = b"The\xff"
    assert model.score(odd).nats == model.score(odd.decode("utf-8", "surrogateescape")).nats
    assert model.generate(odd, **options) == model.generate("The", **options)  # it is not known
    with pytest.raises(InputError, match="is no id"):
        model.decode([10**6])


def test_what_a_text_costs_is_what_it_was_written_at(model):
    one = model.generate_all(max_tokens=50, seed=2)[0]
    assert one.finished == "length"
    scored = model.score(one.text)
    assert scored.tokens == scored.characters == 50
    assert scored.nats == pytest.approx(-sum(one.log_probs), rel=1e-4)
    assert scored.nats_T == pytest.approx(-np.array(one.log_probs), rel=1e-3, abs=1e-4)
    assert scored.ids_T.tolist() == list(one.ids)
    size = len(one.text.encode())
    assert scored.bits_per_byte == pytest.approx(scored.nats / np.log(2) / size)


def test_what_the_vocabulary_lacks_is_logged_alone(model, caplog, capfd):
    model.generate("The ☃", max_tokens=1)
    model.encode("☃")
    assert "never saw part of the prompt" in caplog.messages[0]
    assert "U+2603" in caplog.messages[1]
    assert {record.name for record in caplog.records} == {"charnn"}


def test_an_impossible_text_is_an_error(model):
    with pytest.raises(UsageError, match=r"satisfies regex 'a\{5\}' and ban 'a'; nothing does"):
        model.generate(regex="a{5}", ban="a", max_tokens=5)
    with pytest.raises(GenerationError, match=r"^no_repeat_ngram left no token"):
        model.generate(no_repeat_ngram=1, max_tokens=1000, seed=1)


# --- the model itself --------------------------------------------------------------------------


def test_a_model_says_what_it_is(model):
    said = repr(model)
    assert said.startswith(f"<charnn.Model '{model.path}': lstm, 2 x 24, ")
    assert said.endswith("symbols (char), step 60>")
    parameters = sum(array.size for name, array in model.checkpoint.weights.items()
                     if not name.endswith("bias_hh"))  # fmt: skip
    assert f" {parameters:,} parameters" in said


def test_a_model_is_pickled_as_its_path(place):
    model = charnn.load("text")
    pickled = pickle.dumps(model)
    assert len(pickled) < 1000
    for again in (pickle.loads(pickled), copy.deepcopy(model)):
        assert again.generate("The", seed=1) == model.generate("The", seed=1)
    charnn.train("corpora/text", **SMALL, steps=3, output="checkpoints/other")
    shutil.rmtree(model.path)
    shutil.copytree(charnn.load("other").path, model.path)
    with pytest.raises(CheckpointError, match="not the checkpoint that was pickled"):
        pickle.loads(pickled)


def test_without_a_name_the_newest_run_is_loaded(place, tmp_path_factory, monkeypatch):
    assert charnn.load().path.parent.name == "text"
    assert charnn.load("text").path == charnn.load(place / "checkpoints" / "text").path
    with pytest.raises(CheckpointError, match="no such checkpoint: nothing"):
        charnn.load("nothing")
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    with pytest.raises(CheckpointError, match="no checkpoint in checkpoints/"):
        charnn.load()


# --- training ----------------------------------------------------------------------------------


def state_of_the_process():
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": pickle.dumps(np.random.get_state()),
        "python": random.getstate(),
        "threads": torch.get_num_threads(),
        "environment": {**os.environ, "PYTEST_CURRENT_TEST": ""},
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "folder": os.getcwd(),
    }


def test_training_leaves_no_trace_but_the_run(place, capfd, monkeypatch):
    for name in ("GOMP_SPINCOUNT", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    torch.manual_seed(123)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    before = state_of_the_process()
    during = []

    def watch(event):
        during.append((event, torch.get_num_threads()))

    try:
        trained = charnn.train("corpora/text", **SMALL, steps=6, on_event=watch)
        charnn.resume(trained.path.parent, steps=2)
        assert state_of_the_process() == before
    finally:
        torch.set_num_threads(threads)
    assert {count for _, count in during} == {1}
    kinds = [type(event) for event, _ in during]
    assert kinds[0] is Started
    assert kinds[-1] is Ended
    assert kinds.count(Stepped) == 6
    assert Saved in kinds
    assert capfd.readouterr() == ("", "")


def test_a_run_goes_on_where_it_was_stopped(place):
    whole = charnn.train("corpora/text", **SMALL, steps=9, output="checkpoints/whole")
    seen = []
    stopped = charnn.train(
        "corpora/text",
        **SMALL,
        steps=9,
        output="checkpoints/parts",
        on_event=seen.append,
        stop=lambda: isinstance(seen[-1], Stepped) and seen[-1].step == 4,  # and never again
    )
    assert seen[-1].stopped
    assert stopped.checkpoint.config.step == 4
    parts = charnn.resume("parts")
    assert parts.checkpoint.config.step == 9
    assert weights("checkpoints/parts") == weights("checkpoints/whole")
    assert parts.generate("The", seed=1) == whole.generate("The", seed=1)
    with pytest.raises(CheckpointError, match="is finished"):
        charnn.resume("parts")
    with pytest.raises(TrainingError, match="stopped before the first step"):
        charnn.train("corpora/text", **SMALL, steps=9, stop=lambda: True)


def test_an_error_while_watching_lets_go_of_the_run(place):
    def watch(event):
        if isinstance(event, Saved):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        charnn.train(
            "corpora/text", **SMALL, steps=9, save_every="3", output="checkpoints/x", on_event=watch
        )
    assert caught.tb  # what a notebook keeps, too
    assert charnn.resume("checkpoints/x").checkpoint.config.step == 9


def test_corpora_are_made_and_taken(place):
    (place / "letters.txt").write_text(TEXT)
    (place / "held-out.txt").write_text(TEXT[:200])
    corpus = charnn.tokenize(
        Path("letters.txt"),
        tokenizer="word",
        min_count=2,
        document="line",
        validation="held-out.txt",
        output="corpora/words",
    )
    assert isinstance(corpus, TokenizedCorpus)
    assert corpus.tokenizer.kind == "word"
    assert corpus.header.splits["validation"].bytes == len(TEXT[:200].encode()) + 1  # its end
    assert charnn.tokenize(["letters.txt"], output="corpora/letters").path.name == "letters"
    with pytest.raises(CorpusExistsError, match=r"from other text; force=True replaces it"):
        charnn.tokenize("held-out.txt", output="corpora/letters")
    trained = charnn.train(corpus, **SMALL, steps=3)
    assert trained.path.parent.name == "words"
    assert trained.tokenizer.digest == corpus.tokenizer.digest
    more = charnn.tokenize("held-out.txt", like=trained.path, extend_vocabulary=True)
    assert more.path == Path("corpora/held-out")
    assert charnn.train(more, from_checkpoint=trained.path, steps=2).checkpoint.config.step == 2


def test_counting_takes_its_own_options(place):
    counted = charnn.train(cell="ngram", order=2)  # without a corpus, the newest
    assert repr(counted).split(": ")[1].startswith("n-grams of order 2, ")
    assert counted.evaluate().perplexity < 10


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hiden": 3}, "train() has no option 'hiden'; did you mean hidden?"),
        ({"outptu": "x"}, "did you mean output?"),
        ({"cell": "lstn"}, "cell cannot be 'lstn'"),
        ({"size": "huge"}, "size cannot be 'huge'"),
        ({"steps": 5, "minutes": 1}, "minutes and steps exclude each other"),
        ({"cell": "ngram", "hidden": 5}, "cell ngram is counted, not trained; leave out hidden"),
        ({"order": 5}, "leave out order"),
        ({"from_checkpoint": "text", "hidden": 5}, "from_checkpoint keeps the model's"),
        ({"hidden": 5, "size": "small"}, "hidden says how wide a layer is; leave out size"),
        ({"tied": True, "embedding": 0}, "tied needs an embedding, and embedding 0 has none"),
    ],
)
def test_training_options_that_make_no_sense(place, options, said):
    with pytest.raises(UsageError) as caught:
        charnn.train("corpora/text", **options)
    assert said in str(caught.value)
    assert [run.name for run in Path("checkpoints").iterdir()] == ["text"]


@pytest.mark.parametrize("opened", [False, True])
def test_what_comes_too_late_for_a_tokenized_corpus_is_refused(place, opened):
    corpus = TokenizedCorpus.open(Path("corpora/text")) if opened else "corpora/text"
    with pytest.raises(UsageError, match="already, so errors comes too late"):
        charnn.train(corpus, steps=1, errors="replace")
    with pytest.raises(UsageError, match="already, so extend_vocabulary comes too late"):
        charnn.train(corpus, steps=1, from_checkpoint="text", extend_vocabulary=True)
    assert [run.name for run in Path("checkpoints").iterdir()] == ["text"]


def test_errors_of_all_kinds_name_keywords(place):
    (place / "odd.txt").write_bytes(b"\xff" * 99)
    (place / "something").mkdir()
    with pytest.raises(InputError, match="errors bytes keeps such bytes, errors replace makes"):
        charnn.tokenize("odd.txt", errors="strict")
    with pytest.raises(InputError, match="errors bytes keeps such bytes, errors replace makes"):
        charnn.train("odd.txt", errors="strict", steps=1)
    with pytest.raises(CorpusError, match="no tokenized corpus; use another output"):
        charnn.tokenize("text.txt", output="something")
    with pytest.raises(CheckpointError, match="extend it with minutes, steps or epochs"):
        charnn.resume("text")
    with pytest.raises(UsageError, match=r"^validation and validation_share exclude each other"):
        charnn.tokenize("text.txt", validation="text.txt", validation_share=0.2)
    # What looks like a flag in a name is none.
    for name in ("my--steps.txt", "--lr/x", "some-o", "a--seed"):
        with pytest.raises(CorpusError, match=f"no such corpus or text: {name};"):
            charnn.train(name, steps=1)


def test_what_is_logged_names_keywords(place, caplog):
    charnn.train("corpora/text", **SMALL, steps=1, freeze="embedding")
    assert "freeze embedding without from_checkpoint" in caplog.text


def test_a_tokenizer_that_refuses_names_keywords(place):
    corpus = charnn.tokenize("text.txt", tokenizer="word", unknown="error", output="corpora/words")
    trained = charnn.train(corpus, **SMALL, steps=1)
    with pytest.raises(UnknownTokenError, match="a lower min_count or another unknown"):
        trained.encode("wolf")


def test_what_is_no_corpus_is_an_error(place):
    with pytest.raises(CorpusError, match="no such corpus or text: nothing"):
        charnn.train("nothing")
    with pytest.raises(UsageError, match="document cannot be 'page'"):
        charnn.tokenize("text.txt", document="page")
    with pytest.raises(InputError, match="no such file"):
        charnn.tokenize("nothing")
    with pytest.raises(UsageError, match="nothing to tokenize"):
        charnn.tokenize([])
    with pytest.raises(UsageError, match="is no name for a run"):
        charnn.train("text.txt", output="..", steps=1)
    with pytest.raises(UsageError, match=r"resume\(\) has no option 'hidden'"):
        charnn.resume(hidden=3)


# --- the README --------------------------------------------------------------------------------


def test_the_readmes_example_runs_and_prints_what_it_prints(tmp_path):
    section = (ROOT / "README.md").read_text().split("\n## From Python\n")[1].split("\n## ")[0]
    code = re.search(r"```python\n(.*?)```", section, re.S)[1]
    assert "minutes=10" in code
    quick = ", ".join(f"{name}={value}" for name, value in {**SMALL, "steps": 10}.items())
    (tmp_path / "corpus.txt").write_text(TEXT * 2)
    (tmp_path / "letter.txt").write_text("The fox. ☃\n" * 3)
    result = python(code.replace("minutes=10", quick), tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(result.stdout) > 200
    quiet = re.sub(r"^(\s*)print\(.*\)", r"\1pass", code.replace("minutes=10", quick), flags=re.M)
    assert python(quiet, tmp_path).stdout == ""
