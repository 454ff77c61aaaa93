"""Tables of numbers, in blocks below each other where the terminal is narrow."""

from collections.abc import Callable, Iterator, Sequence

from rich.cells import cell_len

_GAP = 2


def columns(
    rows: Sequence[Sequence[str]],
    width: int,
    paint: Callable[[int, str], str] = lambda column, cell: cell,
) -> Iterator[str]:
    """Lines of a table: the first column begins each block, the others stand to the right.

    Args:
        rows: equally long; the first is the heading.
        width: no line is wider, if the first column and any other fit.
        paint: adds colours to a column's cell.

    >>> print("\\n".join(columns([["context", "nats", "bits"], ["1", "2.5", "3.6"]], 15)))
    context  nats
    1         2.5
    <BLANKLINE>
    context  bits
    1         3.6
    """
    sizes = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    first, begin = sizes[0], 1
    while begin < len(sizes):
        end, used = begin + 1, first + _GAP + sizes[begin]
        while end < len(sizes) and used + _GAP + sizes[end] <= width:
            used += _GAP + sizes[end]
            end += 1
        if begin > 1:
            yield ""
        for row in rows:
            line = row[0] + " " * (first - cell_len(row[0]))
            for n in range(begin, end):
                line += " " * (_GAP + sizes[n] - cell_len(row[n])) + paint(n, row[n])
            yield line.rstrip()
        begin = end
