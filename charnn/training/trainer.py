"""One run: the model, its optimizer, and where it stands; a step, and a save."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from charnn.architecture import ModelConfig
from charnn.checkpoint import (
    Checkpoint,
    CheckpointConfig,
    link,
    linked,
    read_training,
    remove_old,
    write_checkpoint,
)
from charnn.data.store import TokenizedCorpus
from charnn.data.windows import Windows
from charnn.decode.config import SamplingConfig
from charnn.decode.loop import generate, sampler
from charnn.engine import Engine
from charnn.errors import TrainingError, UsageError
from charnn.nn.cells import State
from charnn.nn.language_model import LanguageModel, export_weights, import_weights
from charnn.nn.recurrent import detach
from charnn.step import pad
from charnn.training.config import TrainingConfig
from charnn.training.events import Saved, Stepped
from charnn.training.loss import loss
from charnn.training.process import choose_precision, find_device, keep_freed_memory, use_threads
from charnn.training.resume import Progress, dropout_seed, pack, unpack
from charnn.training.schedule import default_rate, learning_rate
from charnn.training.validation import validate

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


class Trainer:
    """One run: the model, its optimizer, and where it stands."""

    def __init__(
        self, corpus: TokenizedCorpus, model: ModelConfig, config: TrainingConfig, run: Path
    ) -> None:
        if not model.embedding and (config.embedding_from or config.freeze_embedding):
            raise UsageError("--embedding 0 has no embedding to load or to freeze")
        self.device = find_device(config.device)
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
        """Tokens that a step reads, all lanes together."""
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
