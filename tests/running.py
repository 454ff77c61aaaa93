"""Short training runs, what happened in them, and what they left."""

import json
from pathlib import Path

from charnn.architecture import ModelConfig
from charnn.checkpoint import read_checkpoint
from charnn.training.config import TrainingConfig
from charnn.training.events import Stepped
from charnn.training.loop import resume, resumed_config, train

MODEL = ModelConfig(layers=2, hidden=12, embedding=6)
SMALL = {"batch": 4, "bptt": 16, "lr": 1e-2, "warm_up": 5, "dropout": 0.3, "threads": 1}


def stopped_at(step, start):
    """All events of a run that is asked to stop while this step is done."""
    asked = []
    events = []
    for event in start(lambda: bool(asked)):
        if isinstance(event, Stepped) and event.step == step:
            asked.append(event)
        events.append(event)
    return events


def run_events(corpus, folder, stop_at=None, model=MODEL, **options):
    config = TrainingConfig(**{**SMALL, **options})
    return stopped_at(stop_at, lambda stop: train(corpus, model, config, folder, "run", stop=stop))


def resume_events(corpus, run, stop_at=None):
    config, _ = resumed_config(run)
    return stopped_at(stop_at, lambda stop: resume(run, corpus, config, stop=stop))


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def losses(events):
    return [event.train_nats for event in of(Stepped, events)]


def metrics(run: Path):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def final_weights(run):
    return read_checkpoint(run, "last").weights


def timeless(value):
    """Without what a clock told."""
    if isinstance(value, list):
        return [timeless(item) for item in value]
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key != "seconds"}
    return value
