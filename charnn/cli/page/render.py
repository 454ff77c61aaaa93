"""A page as HTML."""

from collections.abc import Mapping, Sequence

from charnn.cli.page.parts import Section


def render(title: str, facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """A page that stands on its own.

    Args:
        title: its heading.
        facts: what it is about, in short.
        sections: in their order.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("charnn.cli.page", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = {"title": title, "facts": facts, "sections": sections}
    return environment.get_template("page.html").render(shown)
