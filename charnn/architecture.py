"""What a language model is made of: its parts, their tensors' names and shapes.

Names and layouts are PyTorch's: ``embedding.weight`` [V, E]; ``layers.N.weight_ih`` [4H, in],
``weight_hh`` [4H, H], ``bias_ih`` and ``bias_hh`` [4H]; ``output.weight`` [V, H] and
``output.bias`` [V]. Tied, ``embedding.weight`` is also the output's, with ``projection.weight``
[E, H] between if E is not H. Imports nothing heavy, so that ``--help`` can show it.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from charnn.errors import UsageError


@dataclass(frozen=True)
class ModelConfig:
    """The architecture of a language model."""

    cell: Literal["lstm"] = field(default="lstm", metadata={"help": "The recurrent cell."})
    layers: int = field(default=2, metadata={"help": "Recurrent layers on top of each other."})
    hidden: int = field(default=256, metadata={"help": "Units of each layer."})
    embedding: int = field(
        default=64, metadata={"help": "Size of the token embedding; 0 feeds one-hot vectors."}
    )
    tied: bool = field(
        default=False, metadata={"help": "Let the output share the embedding's weights."}
    )

    def __post_init__(self) -> None:
        if self.cell != "lstm":
            raise UsageError(f"no cell is called {self.cell!r}", "there is: lstm")
        for name, least in (("layers", 1), ("hidden", 1), ("embedding", 0)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= 1 << 20:
                raise UsageError(f"--{name} must be a whole number from {least} on, not {value}")
        if self.tied and not self.embedding:
            raise UsageError("--tied needs an embedding, and --embedding 0 has none")


def expected_shapes(config: ModelConfig, vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Every tensor of a model and its shape."""
    H, E = config.hidden, config.embedding
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (vocabulary, E)} if E else {}
    for n in range(config.layers):
        inputs = H if n else (E or vocabulary)
        shapes |= {
            f"layers.{n}.weight_ih": (4 * H, inputs),
            f"layers.{n}.weight_hh": (4 * H, H),
            f"layers.{n}.bias_ih": (4 * H,),
            f"layers.{n}.bias_hh": (4 * H,),
        }
    if not config.tied:
        shapes["output.weight"] = (vocabulary, H)
    elif E != H:
        shapes["projection.weight"] = (E, H)
    shapes["output.bias"] = (vocabulary,)
    return shapes


def count_parameters(config: ModelConfig, vocabulary: int) -> dict[str, int]:
    """The number of parameters, part by part."""
    parts: dict[str, int] = {}
    for name, shape in expected_shapes(config, vocabulary).items():
        part = name.rpartition(".")[0]
        parts[part] = parts.get(part, 0) + math.prod(shape)
    return parts
