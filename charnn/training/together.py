"""Which settings of a run make sense beside each other. Imports nothing heavy."""

from collections.abc import Mapping, Set
from dataclasses import fields

from charnn.architecture import ModelConfig, NgramConfig
from charnn.errors import UsageError
from charnn.training.config import TrainingConfig

#: What a run that goes on may be told anew.
FREE = frozenset({"minutes", "steps", "epochs", "save_every", "device", "threads"})


def check_together(given: Mapping[str, str], *, counts: bool) -> None:
    """Refuse settings that make no sense beside others.

    Args:
        given: what was asked for, by its name: what to call it.
        counts: whether the model counts.

    Raises:
        UsageError: there are some; it names them.
    """
    model, ngram, training = (
        {field.name for field in fields(config)} - {"cell"}
        for config in (ModelConfig, NgramConfig, TrainingConfig)
    )

    def refuse(names: Set[str], why: str) -> None:
        if wrong := [option for name, option in given.items() if name in names]:
            raise UsageError(f"{why}; leave out {', '.join(sorted(wrong))}")

    if "resume" in given:
        refuse(
            model | ngram | training - FREE | {"cell", "size", "errors"},
            "--resume keeps the run's settings",
        )
        refuse({"output", "dry_run", "print_config"}, "--resume goes on in the run's own folder")
    elif counts:
        useless = model | training | {"size", "dry_run", "log_dir"}
        refuse(useless, "--cell ngram is counted, not trained")
    else:
        refuse(ngram, "what is no n-gram model is trained, not counted")
    if "from_checkpoint" in given:
        refuse(model | {"cell", "size"}, "--from keeps the model's architecture")
        if "corpus" not in given:
            raise UsageError("--from goes on with a model on new text: name the text")
    if "print_config" in given:
        refuse({"dry_run", "json"}, "--print-config writes nothing but the file")
    if "hidden" in given:
        refuse({"size"}, "--hidden says how wide a layer is")
