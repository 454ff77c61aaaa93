"""One recurrent cell a file, in NumPy: its equations, readable, and what inference runs."""

from charnn.cells.base import Cell
from charnn.cells.elman import Elman, ElmanReLU
from charnn.cells.gru import GRU, GRUResetAfter
from charnn.cells.jordan import Jordan
from charnn.cells.lstm import LSTM
from charnn.cells.peephole import Peephole, PeepholeFull

#: Every cell by the name that ``--cell`` knows it by.
CELLS: dict[str, type[Cell]] = {
    "lstm": LSTM,
    "elman": Elman,
    "elman-relu": ElmanReLU,
    "jordan": Jordan,
    "gru": GRU,
    "gru-reset-after": GRUResetAfter,
    "peephole": Peephole,
    "peephole-full": PeepholeFull,
}
