"""One run: the model, its optimizer, and where it stands; a step, and a save."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from charnn.architecture import ModelConfig
from charnn.checkpoint import (
    Checkpoint,
    CheckpointConfig,
    checkpoints,
    link,
    linked,
    read_checkpoint,
    remove,
    target,
    write_checkpoint,
)
from charnn.data.store import TokenizedCorpus
from charnn.data.windows import Windows
from charnn.decode.config import SamplingConfig
from charnn.decode.loop import generate, sampler
from charnn.engine import Engine
from charnn.errors import CheckpointError, TrainingError, UsageError
from charnn.nn.cells import State
from charnn.nn.language_model import LanguageModel, export_weights, import_weights
from charnn.nn.recurrent import detach
from charnn.step import pad
from charnn.tensors import Tensors
from charnn.training.config import TrainingConfig
from charnn.training.events import Saved, Stepped, WentBack
from charnn.training.loss import Batch, loss
from charnn.training.optimizer import Optimizer
from charnn.training.process import choose_precision, find_device, keep_freed_memory, use_threads
from charnn.training.progress import MOST_STEPS, Progress
from charnn.training.resume import dropout_seed, pack, unpack
from charnn.training.sampled import RowGradients, SampledLoss
from charnn.training.schedule import MOST_HALVINGS, learning_share, warm_up_steps
from charnn.training.validation import validate
from charnn.training.vectors import Vectors

_SAMPLE_TOKENS = 80

#: Steps that tell how fast the next ones will be.
_TIMED_ENOUGH = 30

#: Training has diverged where the average loss is above this many times that of guessing, and
#: some nats: a text that turns to a script it was not in before surprises a sound model as much.
_FAR_ABOVE, _SURPRISE = 2, 10

#: What a step's loss weighs in the average.
_NEW_SHARE = 0.1


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


class DivergedError(TrainingError):
    """The numbers of a step are no use: nothing of it was kept."""


class Trainer:
    """One run: the model, its optimizer, and where it stands.

    Args:
        corpus: what it learns from.
        model: its architecture.
        config: how it is trained.
        run: its folder.
        vectors: what the embedding begins with.
        weights: what all of the model begins with.
    """

    def __init__(
        self,
        corpus: TokenizedCorpus,
        model: ModelConfig,
        config: TrainingConfig,
        run: Path,
        vectors: Vectors | None = None,
        weights: Tensors | None = None,
    ) -> None:
        if not model.embedding and (config.embedding_from or config.freeze == "embedding"):
            raise UsageError("--embedding 0 has no embedding to load or to freeze")
        self.device = find_device(config.device)
        # What was chosen is saved, so that a resumed run computes alike wherever it goes on.
        config = replace(config, precision=choose_precision(config.precision, self.device))
        self.corpus, self.model_config, self.config, self.run = corpus, model, config, run
        self.vectors, self.weights = vectors, weights
        use_threads(config.threads)
        keep_freed_memory()
        tokens = corpus.tokens("train")
        self.lanes = max(1, min(config.batch, len(tokens) // config.bptt))
        self.windows = Windows(tokens, self.lanes, config.bptt)
        self.loss: Callable[[LanguageModel, Batch, State], tuple[Tensor, int, State]] = loss
        if config.sampled_softmax:
            V = corpus.header.vocabulary
            self.loss = SampledLoss(tokens, V, config.sampled_softmax, self.device)
        splits = corpus.header.splits
        self.held_out = corpus.tokens("validation") if "validation" in splits else tokens[:0]
        self.began = 0.0
        """What the clock said when the budget began to count."""
        self.saved: Path | None = None
        self.left: set[Path] = set()
        """Checkpoints that no link names any more."""
        self._begin()

    def _begin(self) -> None:
        """A model that has learned nothing yet: the same one every time."""
        config, V = self.config, self.corpus.header.vocabulary
        torch.manual_seed(config.seed)
        self.model = LanguageModel(self.model_config, V, config.dropout, config.weight_dropout).to(
            self.device
        )
        if self.vectors is not None:
            self.model.set_embedding(self.vectors.vectors_VE, self.vectors.found_V)
        if self.weights is not None:
            import_weights(self.model, self.weights)
        if config.freeze == "embedding":
            self.model.freeze_embedding()
        if config.sampled_softmax and self.model.embedding is not None:
            self.model.embedding.sparse = True
        self.parameters: list[Tensor] = list(self.model.parameters())
        self.row_gradients = RowGradients()
        self.optimizer = Optimizer(self.model, config)
        self.saved_model = copy.deepcopy(self.model) if config.ema else self.model
        """What is validated and saved: with averaged weights, if they are averaged."""
        self.state: State = self.model.initial_state(self.lanes)
        self.progress = Progress()

    @property
    def tokens_per_step(self) -> int:
        """Tokens that a step reads, all lanes together."""
        return self.lanes * self.config.bptt

    @property
    def is_over(self) -> bool:
        """Whether all steps are done."""
        at = self.progress
        return at.steps is not None and at.step >= at.steps

    @property
    def validation_tokens(self) -> int:
        """The held-out tokens, counted more where steps sample what validations read in full."""
        V, config = self.corpus.header.vocabulary, self.config
        features = self.model.output.in_features
        learned = sum(parameter.numel() for parameter in self.model.recurrent.parameters())
        samples = min(config.sampled_softmax, V) if config.sampled_softmax else V
        share = (learned + V * features) / (learned + samples * features)
        return round(len(self.held_out) * share)

    @property
    def can_validate(self) -> bool:
        """Whether enough text is held out."""
        return len(self.held_out) > 1

    def _share(self) -> float:
        """The share of the peak learning rates, as often halved as training diverged."""
        at = self.progress
        return learning_share(at.step, at.steps, self.config.warm_up) * 0.5**at.halvings

    @property
    def _rates(self) -> str:
        """The learning rates, as options."""
        muon = f" and --muon-lr than {self.config.muon_lr:g}" * (self.config.optimizer == "muon")
        return f"--lr than {self.config.lr:g}{muon}"

    def autocast(self) -> torch.autocast:
        """Matrix products in bfloat16, if that is the precision."""
        enabled = self.config.precision == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from where a checkpoint stands.

        Raises:
            CheckpointError: it holds no training state, or one that does not fit.
        """
        import_weights(self.saved_model, checkpoint.weights)
        folder, like = checkpoint.folder, self.model.initial_state(self.lanes)
        self.progress, self.state = unpack(
            folder, self.model, self.optimizer, like, averaged=bool(self.config.ema)
        )
        self.saved = checkpoint.path

    def mend(self, nats: float | None) -> None:
        """Put right what a kill, or a copy that drops links, left of the run's folder.

        Args:
            nats: the validation loss of the checkpoint that was restored.

        Raises:
            CheckpointError: that one lies elsewhere, or where a link should be.
        """
        assert self.saved is not None
        if self.run / self.saved.name not in checkpoints(self.run):
            raise CheckpointError(
                f"{self.run} cannot go on from {self.saved}, which is no folder step-N in it",
                "move it there",
            )
        best_nats = self.progress.best_nats
        is_best = nats == best_nats and (nats is not None or not self.can_validate)
        if is_best and target(self.run, "best") is None:
            link(self.run, "best", self.saved)
        if target(self.run, "last") != self.run / self.saved.name:
            link(self.run, "last", self.saved)
        # Where the best has no link, any other checkpoint may be it.
        if best_nats is None or target(self.run, "best") is not None:
            remove(checkpoints(self.run) - linked(self.run))

    def plan(self) -> None:
        """Take the config's budget, which counts from here; without one, what was planned stays."""
        at = self.progress
        if self.config.minutes is not None:
            # A run that goes on was timed already; a new one still has to be.
            self.began, at.steps = at.seconds, None
            if at.step >= _TIMED_ENOUGH:
                more = 60 * self.config.minutes * at.step / max(at.seconds, 1e-9)
                at.steps = at.step + max(1, int(more))
        elif self.config.steps is not None:
            at.steps = at.step + self.config.steps
        elif self.config.epochs is not None:
            at.steps = at.step + math.ceil(self.config.epochs * self.windows.per_epoch)
        if at.steps is not None:
            at.steps = min(at.steps, MOST_STEPS)

    def take_step(self) -> Stepped:
        """Forward, backward, clip, update.

        Raises:
            DivergedError: there was no update, for the loss or the gradient is no use.
        """
        began = time.perf_counter()
        config, at = self.config, self.progress
        share = self._share()
        torch.manual_seed(dropout_seed(config.seed, at.step))
        inputs_BT, labels_BT = (
            torch.from_numpy(array).to(self.device) for array in self.windows[at.step]
        )
        kept_B1 = (torch.rand(self.lanes, 1) >= config.reset).to(self.device)
        state = tuple(array * kept_B1 for array in self.state)
        with self.autocast():
            nats, count, state = self.loss(self.model, (inputs_BT, labels_BT, None), state)
        self.model.zero_grad()
        (nats / count).backward()  # type: ignore[no-untyped-call]
        self.row_gradients.make_dense(self.parameters)
        norm = clip_gradients(self.parameters, config)
        train_nats = float(nats.detach()) / count
        at.average_nats = self._checked_average(train_nats, norm)
        self.optimizer.step(share)
        self._average()
        self.state = detach(state)
        at.step += 1
        at.unlogged_nats.append(train_nats)
        at.seconds += time.perf_counter() - began
        return Stepped(
            at.step,
            at.steps,
            at.step * self.tokens_per_step,
            at.seconds,
            train_nats,
            share * config.lr,
            norm,
        )

    @torch.no_grad()
    def _average(self) -> None:
        """Let the exponential moving average of the weights follow; at first, faster than later."""
        if self.config.ema:
            decay = min(self.config.ema, self.progress.step / (9 + self.progress.step))
            averages: list[Tensor] = list(self.saved_model.parameters())
            torch._foreach_lerp_(averages, self.parameters, 1 - decay)

    def _checked_average(self, nats: float, norm: float) -> float:
        """The moving average of the loss, with a step's loss that was found to be of use."""
        at = self.progress
        if not (math.isfinite(nats) and math.isfinite(norm)):
            raise DivergedError(
                f"step {at.step + 1}: the loss is {nats:.4g}, the gradient's norm {norm:.4g}"
            )
        before = nats if at.average_nats is None else at.average_nats
        average = before + _NEW_SHARE * (nats - before)
        if self.is_far_off(average) and not self.is_warming_up:
            raise self._diverged(f"step {at.step + 1}: the loss", average)
        return average

    @property
    def is_warming_up(self) -> bool:
        """Whether the learning rate still rises, and a large loss may pass."""
        return self.progress.step < warm_up_steps(self.progress.steps, self.config.warm_up)

    def is_far_off(self, nats: float | None) -> bool:
        """Whether a loss is no number, or far above that of guessing."""
        return nats is not None and not nats <= _FAR_ABOVE * self._guessing + _SURPRISE

    @property
    def _guessing(self) -> float:
        """What a token costs, in nats, where nothing is known."""
        return math.log(self.corpus.header.vocabulary)

    def _diverged(self, what: str, nats: float) -> DivergedError:
        return DivergedError(
            f"{what} is {nats:.4g} nats a token, and guessing costs {self._guessing:.4g}"
        )

    def go_back(self, error: DivergedError) -> WentBack:
        """Return to the last good state, with half the learning rate.

        That is what was saved last, or the beginning; and what was best, if not even a step could
        be made from what was saved last.

        Raises:
            TrainingError: that was done as often as it makes sense.
        """
        at = self.progress
        if at.halvings >= MOST_HALVINGS:
            kept = f"{self.run} keeps what was saved; " if self.saved else ""
            raise TrainingError(
                f"{error.message}, though the learning rate was halved {at.halvings} times",
                f"{kept}begin again with a lower {self._rates}",
            )
        self._begin()
        if self.saved is not None:
            self.restore(read_checkpoint(self.saved))
            if self.progress.step == at.step:
                self.restore(read_checkpoint(self.run, "best"))
        # The time is gone, and the plan stays.
        self.progress.seconds, self.progress.steps = at.seconds, at.steps
        self.progress.halvings = halvings = at.halvings + 1
        return WentBack(error.message, self.progress.step, halvings, self.config.lr * 0.5**halvings)

    def validate(self, stop: Callable[[], bool]) -> float | None:
        """Nats per token on the held-out text; None if it is too short, or if ``stop`` says so.

        Raises:
            DivergedError: it is no number, or far above that of guessing once the rate is high.
        """
        if not self.can_validate:
            return None
        began = time.perf_counter()
        with self.autocast():
            nats = validate(self.saved_model, self.held_out, self.device, stop)
        self.progress.seconds += time.perf_counter() - began
        may_pass = self.is_warming_up and nats is not None and math.isfinite(nats)
        if nats is not None and self.is_far_off(nats) and not may_pass:
            raise self._diverged(f"step {self.progress.step}: the validation loss", nats)
        return nats

    def save(self, nats: float | None, *, sample: bool = True) -> Saved:
        """Write a checkpoint, and let the links follow.

        Args:
            nats: the validation loss, if it was measured.
            sample: whether the model writes a line, too.

        Raises:
            DivergedError: this is no state to go on from; nothing was written.
            OutputError: it cannot be written; what was saved before is as it was.
        """
        began = time.perf_counter()
        at = self.progress
        weights = export_weights(self.saved_model)
        state = [array.float().numpy(force=True) for array in self.state]
        if not all(np.isfinite(array).all() for array in (*weights.values(), *state)):
            raise DivergedError(f"step {at.step}: some weights or states are no numbers")
        best = not self.can_validate or (
            nats is not None and (at.best_nats is None or nats < at.best_nats)
        )
        if best:
            at.best_nats = nats
        before = linked(self.run)
        tokenizer = self.corpus.tokenizer
        self.saved = write_checkpoint(
            self.run,
            CheckpointConfig.of(self.corpus, self.model_config, at.step, nats, asdict(self.config)),
            weights,
            tokenizer,
            pack(at, self.model, self.optimizer, self.state, averaged=bool(self.config.ema)),
        )
        # A kill between the two has this step done again; the other way round, the best was lost.
        if best:
            link(self.run, "best", self.saved)
        link(self.run, "last", self.saved)
        # A reader may just have followed a link to one of before: they live until the next save.
        now = linked(self.run)
        remove(self.left - now)
        self.left = before - now
        line = []
        if sample:
            engine = Engine(
                self.model_config, weights, start_id=tokenizer.start_id, end_id=tokenizer.end_id
            )
            line = _sample(engine, seed=at.step)
        at.seconds += time.perf_counter() - began
        return Saved(at.step, nats, best, at.best_nats, self.saved, line)


def _sample(engine: Engine, seed: int) -> list[int]:
    logits, state = engine.prefill(*pad([[]]), engine.initial_state(1))
    choose = sampler(SamplingConfig(temperature=0.7), seed, range(1))
    return [
        int(step.ids_B[0]) for step in generate(engine, logits, state, 1, _SAMPLE_TOKENS, choose)
    ]
