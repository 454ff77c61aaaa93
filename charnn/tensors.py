"""Tensors in safetensors files: their header is checked before memory is taken for them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import safetensors
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[Any]]

#: The shape and type of each tensor, as the header has them: ``((2, 3), "F32")``.
Layout = Mapping[str, tuple[tuple[int, ...], str]]

#: A tensor takes some hundred bytes of it.
_HEADER_BYTES = 8 << 20


class TensorFile:
    """An open safetensors file: the header is known, and the tensors are not read yet."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.names: list[str] = file.keys()
        self.metadata: dict[str, str] = file.metadata() or {}

    def described(self, name: str) -> tuple[tuple[int, ...], str] | None:
        """The shape and type of a tensor; None if there is none of this name."""
        if name not in self.names:
            return None
        part = self._file.get_slice(name)
        return tuple(part.get_shape()), part.get_dtype()

    def expect(self, layout: Layout) -> None:
        """Check that the file holds these tensors and no others.

        Raises:
            ValueError: it does not.
        """
        if unknown := set(self.names) - layout.keys():
            raise ValueError(f"{min(unknown)} is none of its tensors")
        for name, wanted in layout.items():
            if (found := self.described(name)) != wanted:
                raise ValueError(f"{name} is {_words(found)}, and not {_words(wanted)}")

    def read(self) -> dict[str, Any]:
        """All tensors."""
        return {name: self._file.get_tensor(name) for name in self.names}


@contextmanager
def open_tensors(path: Path, framework: Literal["numpy", "pt"] = "numpy") -> Iterator[TensorFile]:
    """Open a safetensors file.

    Args:
        path: the file.
        framework: what the tensors will be: NumPy's arrays or PyTorch's tensors.

    Raises:
        ValueError: it is no safetensors file, or its header takes more than 8 MB.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > _HEADER_BYTES:
        raise ValueError("its header is over 8 MB, or it is no safetensors file")
    try:
        with safetensors.safe_open(path, framework=framework) as file:
            yield TensorFile(file)
    except safetensors.SafetensorError as error:
        raise ValueError(str(error)) from None


def _words(tensor: tuple[tuple[int, ...], str] | None) -> str:
    return "missing" if tensor is None else f"{tensor[1]} {list(tensor[0])}"
