"""``tandem doctor``."""

import sys
from typing import Any

import click

from opensearch.cli.support import echo_json, json_option, reports_errors, url_option

_MARK = {"ok": ("✓", "green"), "missing": ("✗", "red"), "note": ("•", "yellow")}


@click.command()
@url_option
@json_option
@reports_errors
def doctor(url: str | None, as_json: bool) -> None:
    """Check what is installed and which cluster answers.

    Exit code 1 when something that the main job needs is missing.

    \b
    Example:
      tandem doctor --json
    """
    from opensearch.workflows.diagnosis import diagnose

    findings = diagnose(url)
    if as_json:
        echo_json([finding.as_dict() for finding in findings])
    else:
        for finding in findings:
            _show(finding)
    sys.exit(1 if any(finding.state == "missing" for finding in findings) else 0)


def _show(finding: Any) -> None:
    mark, colour = _MARK[finding.state]
    click.secho(f"{mark} ", fg=colour, nl=False)
    click.echo(f"{finding.what}: {finding.detail}")
    if finding.cure:
        click.echo(f"    {finding.cure}")
