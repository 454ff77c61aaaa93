"""What the tests share: small texts, a small trained run, and the real program."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from charnn.architecture import ModelConfig, expected_shapes
from charnn.data.config import SourceConfig
from charnn.data.prepare import tokenize_corpus
from charnn.data.store import TokenizedCorpus
from charnn.text.config import TokenizerConfig
from charnn.training.config import TrainingConfig
from charnn.training.events import Ended
from charnn.training.loop import train

# A busy machine must not fail a test, nor chance a landing; at home the examples are drawn anew.
settings.register_profile(
    "charnn",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("fuzz", settings.get_profile("charnn"), max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "charnn"))

TEXT = "The fox saw the moon in the well. 狐狸看见井里的月亮。\nShe said: don't drink it!\n" * 40

Program = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="session")
def program() -> Program:
    """Run ``charnn`` as a user does."""

    def run(
        *arguments: str, stdin: bytes = b"", cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "charnn", *arguments],
            input=stdin,
            capture_output=True,
            cwd=cwd,
            env={**os.environ, "COLUMNS": "80", **environment},
            timeout=120,
        )

    return run


def make_corpus(
    folder: Path, text: str | bytes = TEXT, config: TokenizerConfig | None = None
) -> TokenizedCorpus:
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "text.txt"
    source.write_bytes(text.encode() if isinstance(text, str) else text)
    sources = SourceConfig((source,))
    return tokenize_corpus(sources, config or TokenizerConfig(), folder / "corpora" / "text")[0]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> TokenizedCorpus:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def workplace(corpus: TokenizedCorpus) -> Path:
    """A folder as a user has it: ``corpora/text`` and ``checkpoints/text``. Not to be changed."""
    folder = corpus.path.parent.parent
    config = TrainingConfig(steps=60, batch=4, bptt=16, lr=1e-2, muon_lr=0.025, warm_up=5)
    events = list(
        train(corpus, ModelConfig(hidden=24, embedding=8), config, folder / "checkpoints", "text")
    )
    assert isinstance(events[-1], Ended)
    return folder


def random_weights(
    config: ModelConfig, vocabulary: int, seed: int = 0, dtype: type = np.float32
) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 0.5, shape).astype(dtype)
        for name, shape in expected_shapes(config, vocabulary).items()
    }
