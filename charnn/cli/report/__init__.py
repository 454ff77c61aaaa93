"""``charnn report``: one page that shows a run."""

from charnn.cli.report.command import report

__all__ = ["report"]
