"""What a README holds: prose, and blocks of code, indented or fenced."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMMAND = re.compile(r"(?:[A-Z_]+=\S* )?(?:cat|charnn|head|make|man|pip|python|source|tail)\b")


def without_comment(line: str) -> str:
    return re.split(r"(?:^|\s+)# ", line)[0].rstrip()


def numbers(text: str) -> list[str]:
    return re.findall(r"\d+(?:[.,]\d+)*", text)


@dataclass(frozen=True)
class Readme:
    prose: str
    code: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "Readme":
        prose, code, fenced = [], [], False
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("```"):
                fenced = not fenced
            elif fenced:
                code.append(line)
            elif line.startswith("    "):
                code.append(line[4:])
            else:
                prose.append(line)
        return cls("\n".join(prose), tuple(code))

    @property
    def commands(self) -> list[str]:
        return [without_comment(line) for line in self.code if COMMAND.match(line)]

    @cached_property
    def spans(self) -> list[str]:
        """Code inside the prose; a line's end in it is a space."""
        return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", self.prose)]

    @property
    def headings(self) -> list[str]:
        return re.findall(r"^#+(?= )", self.prose, re.M)

    @property
    def sections(self) -> list[str]:
        return re.split(r"^#+ ", self.prose, flags=re.M)[1:]

    @property
    def rows(self) -> list[str]:
        return re.findall(r"^\|.*", self.prose, re.M)

    @property
    def links(self) -> list[str]:
        return re.findall(r"\]\(([^)]+)\)", self.prose)
