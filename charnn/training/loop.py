"""The training loop. It yields what happens; whoever runs it draws."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from charnn.architecture import ModelConfig, NgramConfig
from charnn.checkpoint import (
    Checkpoint,
    CheckpointConfig,
    link,
    linked,
    read_checkpoint,
    read_training,
    remove_old,
    write_checkpoint,
)
from charnn.data.store import TokenizedCorpus
from charnn.data.windows import EvaluationLanes, Windows
from charnn.decode.config import SamplingConfig
from charnn.decode.loop import generate, sampler
from charnn.engine import Engine
from charnn.errors import CheckpointError, CorpusError, TrainingError, UsageError
from charnn.nn.cells import State
from charnn.nn.language_model import LanguageModel, export_weights, import_weights
from charnn.nn.recurrent import detach
from charnn.step import pad
from charnn.training import metrics
from charnn.training.config import Interval, Precision, TrainingConfig
from charnn.training.events import Ended, Event, Saved, Started, Stepped
from charnn.training.loss import loss
from charnn.training.process import keep_freed_memory, use_threads
from charnn.training.resume import Progress, dropout_seed, pack, unpack
from charnn.training.run import new_run, settings
from charnn.training.schedule import (
    affordable_steps,
    default_rate,
    interval,
    is_timed,
    learning_rate,
)
from charnn.training.vectors import Vectors

_SAVE_MINUTES = 5.0
_EVALUATION_LANES, _EVALUATION_LENGTH, _EVALUATION_WARM_UP = 64, 256, 128
_EVALUATION_LOGITS = 1 << 24
_SAMPLE_TOKENS = 80


def clip_gradients(parameters: Sequence[Tensor], config: TrainingConfig) -> float:
    """Clip by value, then by norm, as the config has it.

    Pascanu et al. (2013), "On the difficulty of training recurrent neural networks", section 3.2.

    Returns:
        The norm of the gradient before.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if config.clip_value:
        torch.nn.utils.clip_grad_value_(parameters, config.clip_value)
    if config.clip_norm:
        clipped = torch.nn.utils.get_total_norm(gradients) if config.clip_value else norm
        torch.nn.utils.clip_grads_with_norm_(parameters, config.clip_norm, clipped)
    return float(norm)


def validate(model: LanguageModel, tokens: Any, device: torch.device) -> float | None:
    """Nats per token over all true successors of a held-out text, None if it is too short.

    The text is read in lanes side by side; each begins with a state that has read the tokens
    before it. ``charnn.score.evaluate`` reads it in one piece, so it may differ a little.
    """
    if len(tokens) < 2:
        return None
    # The logits of a window must not take more memory than a training step does.
    positions = max(_EVALUATION_LOGITS // model.vocabulary, _EVALUATION_LANES)
    length = min(_EVALUATION_LENGTH, max(positions // _EVALUATION_LANES, 32))
    lanes = min(_EVALUATION_LANES, positions // length, len(tokens) // _EVALUATION_LENGTH)
    lanes = max(lanes, 1)
    warm_up = _EVALUATION_WARM_UP if lanes > 1 else 0
    state = model.initial_state(lanes)
    nats, count = 0.0, 0
    model.eval()
    with torch.inference_mode():
        for arrays in EvaluationLanes(tokens, lanes, length, warm_up):
            inputs, labels, scored = (torch.from_numpy(array).to(device) for array in arrays)
            window_nats, window_count, state = loss(model, (inputs, labels, scored), state)
            nats += float(window_nats)
            count += window_count
            if not window_count:  # warmed up: but before the first lane there is nothing
                state = tuple(torch.cat((0 * array[:1], array[1:])) for array in state)
    model.train()
    return nats / count


class _Trainer:
    """One run: the model, its optimizer, and where it stands."""

    def __init__(
        self, corpus: TokenizedCorpus, model: ModelConfig, config: TrainingConfig, run: Path
    ) -> None:
        if not model.embedding and (config.embedding_from or config.freeze_embedding):
            raise UsageError("--embedding 0 has no embedding to load or to freeze")
        self.device = _device(config.device)
        # What was chosen is saved, so that a resumed run computes alike wherever it goes on.
        lr = default_rate(corpus.header.vocabulary, model.cell)
        self.peak = lr if config.lr is None else config.lr
        precision = choose_precision(config.precision, self.device)
        config = replace(config, precision=precision, lr=self.peak)
        self.corpus, self.model_config, self.config, self.run = corpus, model, config, run
        use_threads(config.threads)
        keep_freed_memory()
        tokens = corpus.tokens("train")
        self.lanes = max(1, min(config.batch, len(tokens) // config.bptt))
        self.windows = Windows(tokens, self.lanes, config.bptt)
        splits = corpus.header.splits
        self.held_out = corpus.tokens("validation") if "validation" in splits else tokens[:0]
        torch.manual_seed(config.seed)
        self.model = LanguageModel(model, corpus.header.vocabulary, config.dropout).to(self.device)
        if config.freeze_embedding:
            self.model.freeze_embedding()
        self.parameters = list(self.model.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=self.peak, weight_decay=config.weight_decay, fused=True
        )
        self.state: State = self.model.initial_state(self.lanes)
        self.step = 0
        self.steps: int | None = None
        self.seconds = 0.0
        self.best_nats: float | None = None

    @property
    def tokens_per_step(self) -> int:
        return self.lanes * self.config.bptt

    def autocast(self) -> torch.autocast:
        """Matrix products in bfloat16, if that is the precision."""
        enabled = self.config.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where a checkpoint stands."""
        import_weights(self.model, checkpoint.weights)
        files = read_training(checkpoint.path)
        progress, self.state = unpack(files, self.model, self.optimizer, self.lanes)
        self.step, self.steps = progress.step, progress.steps
        self.seconds, self.best_nats = progress.seconds, progress.best_nats

    def plan(self) -> None:
        """Take the config's budget, which counts from here; without one, what was planned stays."""
        if self.config.minutes is not None:
            # A run that goes on was timed already; a new one still has to be.
            rate = self.step / self.seconds if self.step else None
            more = rate and max(1, int(60 * self.config.minutes * rate))
            self.steps = self.step + more if more else None
        elif self.config.steps is not None:
            self.steps = self.step + self.config.steps
        elif self.config.epochs is not None:
            self.steps = self.step + math.ceil(self.config.epochs * self.windows.per_epoch)

    def take_step(self) -> Stepped:
        """Forward, backward, clip, update."""
        began = time.perf_counter()
        config = self.config
        rate = learning_rate(self.step, self.steps, self.peak, config.warm_up)
        torch.manual_seed(dropout_seed(config.seed, self.step))
        inputs_BT, labels_BT = (
            torch.from_numpy(array).to(self.device) for array in self.windows[self.step]
        )
        kept_B1 = (torch.rand(self.lanes, 1) >= config.reset).to(self.device)
        state = tuple(array * kept_B1 for array in self.state)
        with self.autocast():
            nats, count, state = loss(self.model, (inputs_BT, labels_BT, None), state)
        self.optimizer.zero_grad()
        (nats / count).backward()  # type: ignore[no-untyped-call]
        norm = clip_gradients(self.parameters, config)
        train_nats = float(nats.detach()) / count
        if not (math.isfinite(train_nats) and math.isfinite(norm)):
            raise TrainingError(
                f"the loss is no number at step {self.step + 1} (gradient norm {norm})",
                "a lower --lr or --clip-norm helps; what was saved before is kept",
            )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.state = detach(state)
        self.step += 1
        self.seconds += time.perf_counter() - began
        return Stepped(
            self.step,
            self.steps,
            self.step * self.tokens_per_step,
            self.seconds,
            train_nats,
            rate,
            norm,
        )

    def save(self) -> Saved:
        """Validate, write a checkpoint, and let the links follow."""
        began = time.perf_counter()
        with self.autocast():
            nats = validate(self.model, self.held_out, self.device)
        if nats is not None and not math.isfinite(nats):
            raise TrainingError(
                f"the validation loss is no number at step {self.step}",
                "a lower --lr helps; what was saved before is kept",
            )
        best = nats is None or self.best_nats is None or nats < self.best_nats
        if best:
            self.best_nats = nats
        validated = time.perf_counter()
        self.seconds += validated - began
        tokenizer = self.corpus.tokenizer
        config = CheckpointConfig.of(
            self.corpus, self.model_config, self.step, nats, asdict(self.config)
        )
        weights = export_weights(self.model)
        progress = Progress(self.step, self.steps, self.seconds, self.best_nats)
        before = linked(self.run)
        folder = write_checkpoint(
            self.run,
            config,
            weights,
            tokenizer,
            pack(progress, self.model, self.optimizer, self.state),
        )
        link(self.run, "last", folder)
        if best:
            link(self.run, "best", folder)
        # A reader may just have followed a link to one of before: they live until the next save.
        remove_old(self.run, keep=before)
        engine = Engine(
            self.model_config, weights, start_id=tokenizer.start_id, end_id=tokenizer.end_id
        )
        sample = _sample(engine, seed=self.step)
        self.seconds += time.perf_counter() - validated
        return Saved(self.step, nats, best, folder, sample)


def _sample(engine: Engine, seed: int) -> list[int]:
    logits, state = engine.prefill(*pad([[]]), engine.initial_state(1))
    choose = sampler(SamplingConfig(temperature=0.7), seed, range(1))
    return [
        int(step.ids_B[0]) for step in generate(engine, logits, state, 1, _SAMPLE_TOKENS, choose)
    ]


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {name} cannot be used: {reason}", "auto finds one") from None
    return device


def choose_precision(precision: Precision, device: torch.device) -> Precision:
    """What "auto" means on a device: bfloat16 where it is fast, float32 elsewhere.

    Raises:
        UsageError: it is bfloat16, for which the processor has no kernels.
    """
    # On a processor without them, oneDNN's LSTM fails in its first step.
    known = device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if precision == "bfloat16" and not known:
        raise UsageError("this processor has no bfloat16", "leave out --precision, or take float32")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        native = bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return "bfloat16" if native else "float32"


def train(
    corpus: TokenizedCorpus,
    model: ModelConfig,
    config: TrainingConfig,
    folder: Path,
    name: str,
    *,
    vectors: Vectors | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train a new model.

    Args:
        corpus: what it learns from.
        model: its architecture.
        config: how it is trained.
        folder: where runs are kept.
        name: the run's name; if it is taken, NAME-2.
        vectors: what the embedding begins with.
        stop: asked after every step; True saves and ends the run.

    Raises:
        CorpusError: the corpus is too short.
        OutputError: the run cannot be written.
        TrainingError: the loss is no number.
    """
    trainer = _Trainer(corpus, model, config, folder / name)
    if vectors is not None:
        trainer.model.set_embedding(vectors.vectors_VE, vectors.found_V)
    with new_run(folder, name, settings(corpus, model, config)) as run:
        trainer.run = run
        trainer.plan()
        yield from _run(trainer, stop)


def resume(
    run: Path,
    corpus: TokenizedCorpus,
    config: TrainingConfig,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Go on with a run from its last checkpoint.

    Args:
        run: the run's folder.
        corpus: what it was trained on.
        config: the run's own, perhaps with a new budget: that counts from here, and the learning
            rate falls anew to its end. Without one, the run ends where it was planned to.
        stop: as for ``train``.

    Raises:
        CheckpointError: there is none, or it is damaged.
        CorpusError: the corpus is not the one that the run was trained on.
    """
    checkpoint = read_checkpoint(run, "last")
    if checkpoint.config.corpus.get("digest") != corpus.digest:
        raise CorpusError(f"{corpus.path} is not the corpus that {run} was trained on")
    if isinstance(checkpoint.config.model, NgramConfig):
        raise CheckpointError(
            f"{run} is an n-gram model: it was counted once, and there is nothing to go on with"
        )
    trainer = _Trainer(corpus, checkpoint.config.model, config, run)
    trainer.restore(checkpoint)
    trainer.plan()
    if trainer.steps is None and config.minutes is None:
        # It stopped before its number of steps was fixed: its own budget goes on.
        trainer.config = replace(config, minutes=checkpoint.config.training["minutes"])
    if trainer.steps is not None and trainer.step >= trainer.steps:
        raise CheckpointError(
            f"{run} is finished: all {trainer.steps} steps are done",
            "extend it with --minutes, --steps or --epochs",
        )
    yield from _run(trainer, stop)


def resumed_config(run: Path) -> tuple[TrainingConfig, Mapping[str, Any]]:
    """The settings of a run, without the budget that is used up, and what it knows of its corpus.

    Raises:
        CheckpointError: there is no checkpoint, or it is damaged.
    """
    checkpoint = read_checkpoint(run, "last")
    try:
        fields = dict(checkpoint.config.training)
        config = TrainingConfig(**{**fields, "minutes": None, "steps": None, "epochs": None})
        return config, checkpoint.config.corpus
    except (TypeError, KeyError, UsageError) as error:
        raise CheckpointError(f"{run} is damaged: its settings: {error}") from None


def _run(trainer: _Trainer, stop: Callable[[], bool]) -> Iterator[Event]:
    config = trainer.config
    budget = 60 * (config.minutes or config.default_minutes)
    first = trainer.step
    saved_at = trainer.seconds
    every = Interval.parse(config.save_every) if config.save_every else Interval()
    step_seconds: list[float] = []
    stopped = False
    yield Started(
        trainer.run,
        trainer.corpus.tokenizer,
        trainer.lanes,
        trainer.step,
        trainer.steps,
    )
    log = metrics.Metrics(trainer.run, trainer.step)
    try:
        while trainer.steps is None or trainer.step < trainer.steps:
            before = trainer.seconds
            stepped = trainer.take_step()
            yield stepped
            if trainer.steps is None:
                step_seconds.append(trainer.seconds - before)
                spent = trainer.seconds
                if is_timed(trainer.step - first, spent, budget):
                    trainer.steps = trainer.step + affordable_steps(
                        step_seconds,
                        budget - spent,
                        trainer.tokens_per_step,
                        len(trainer.held_out),
                    )
            stopped = stop()
            over = trainer.step == trainer.steps
            if over or stopped or _is_due(trainer, every, saved_at):
                saved = trainer.save()
                saved_at = trainer.seconds
                log.add(stepped, saved.validation_nats)
                yield saved
            else:
                log.add(stepped)
            if stopped:
                break
    finally:
        log.close()
    stopped = stopped and trainer.step != trainer.steps
    yield Ended(
        trainer.run, trainer.step, trainer.steps, trainer.best_nats, trainer.seconds, stopped
    )


def _is_due(trainer: _Trainer, every: Interval, saved_at: float) -> bool:
    minutes = (trainer.seconds - saved_at) / 60
    if every.steps is not None:
        return trainer.step % every.steps == 0
    if every.minutes is not None:
        return minutes >= every.minutes
    if trainer.steps is None:
        return False
    validation_tokens = len(trainer.held_out)
    steps = interval(trainer.steps, trainer.tokens_per_step, validation_tokens)
    return trainer.step % steps == 0 or minutes >= _SAVE_MINUTES
