"""What a language model is made of: its parts, their tensors' names and shapes.

``embedding.weight`` [V, E]; the tensors of each layer's cell, ``layers.N.weight_ih`` and so on, as
the cell's file tells them; ``output.weight`` [V, H] and ``output.bias`` [V]. Tied,
``embedding.weight`` is also the output's, with ``projection.weight`` [E, H] between if E is not H.
Imports nothing heavy, so that ``--help`` can show it.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from charnn.errors import UsageError

CellName = Literal[
    "lstm", "elman", "elman-relu", "jordan", "gru", "gru-reset-after", "peephole", "peephole-full"
]


#: Help's word for a default that depends on the corpus and the budget.
BY_RECIPE = "by recipe"


@dataclass(frozen=True)
class ModelConfig:
    """The architecture of a recurrent language model."""

    option_group: ClassVar[str] = "Model"

    cell: CellName = field(default="lstm", metadata={"option": False})
    layers: int = field(default=2, metadata={"help": "Recurrent layers on top of each other."})
    hidden: int = field(
        default=256, metadata={"help": "Units of each layer.", "default": BY_RECIPE}
    )
    embedding: int = field(
        default=64,
        metadata={
            "help": "Size of the token embedding; 0 feeds one-hot vectors.",
            "default": BY_RECIPE,
        },
    )
    tied: bool = field(
        default=False,
        metadata={
            "flags": ("--tied/--no-tied",),
            "help": "Let the output share the embedding's weights.",
            "default": BY_RECIPE,
        },
    )

    def __post_init__(self) -> None:
        if self.cell not in get_args(CellName):
            known = ", ".join(get_args(CellName))
            raise UsageError(f"no cell is called {self.cell!r}", f"there are: {known}")
        for name, least in (("layers", 1), ("hidden", 1), ("embedding", 0)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= 1 << 20:
                raise UsageError(f"--{name} must be a whole number from {least} on, not {value}")
        if self.tied and not self.embedding:
            raise UsageError("--tied needs an embedding, and --embedding 0 has none")


Smoothing = Literal["kneser-ney", "maximum-likelihood"]


@dataclass(frozen=True)
class NgramConfig:
    """A language model that counts instead of learning."""

    cell: Literal["ngram"] = field(default="ngram", metadata={"option": False})
    order: int = field(
        default=5,
        metadata={"help": "How many tokens in a row are counted.", "group": "With --cell ngram"},
    )
    smoothing: Smoothing = field(
        default="kneser-ney",
        metadata={"help": "What is left for the unseen.", "group": "With --cell ngram"},
    )

    def __post_init__(self) -> None:
        if type(self.order) is not int or not 1 <= self.order <= 100:
            raise UsageError(f"--order must be from 1 to 100, not {self.order}")
        if self.smoothing not in get_args(Smoothing):
            raise UsageError(f"there is no smoothing {self.smoothing!r}")


Architecture = ModelConfig | NgramConfig


def expected_shapes(config: ModelConfig, vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Every tensor of a model and its shape."""
    from charnn.cells import CELLS

    H, E = config.hidden, config.embedding
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (vocabulary, E)} if E else {}
    for n in range(config.layers):
        layer = CELLS[config.cell].shapes(H if n else (E or vocabulary), H)
        shapes |= {f"layers.{n}.{name}": shape for name, shape in layer.items()}
    if not config.tied:
        shapes["output.weight"] = (vocabulary, H)
    elif E != H:
        shapes["projection.weight"] = (E, H)
    shapes["output.bias"] = (vocabulary,)
    return shapes


def count_parameters(config: ModelConfig, vocabulary: int) -> dict[str, int]:
    """The number of parameters, part by part, as the textbooks count them.

    PyTorch stores two biases for the cells it has; where only their sum matters, it counts once.
    """
    from charnn.cells import CELLS

    parts: dict[str, int] = {}
    for name, shape in expected_shapes(config, vocabulary).items():
        part = name.rpartition(".")[0]
        if part.startswith("layers."):
            inputs = config.hidden if part != "layers.0" else config.embedding or vocabulary
            parts[part] = CELLS[config.cell].count(inputs, config.hidden)
        else:
            parts[part] = parts.get(part, 0) + math.prod(shape)
    return parts
