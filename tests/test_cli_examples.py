"""The examples in the help: there for every command, and such as the command understands."""

import shlex

import click
import pytest
from click.testing import CliRunner

from bayeslaw.cli import COMMANDS, cli
from bayeslaw.cli.examples import EXAMPLES


def test_every_command_has_examples_and_shows_them():
    assert set(EXAMPLES) == {command.name for command in COMMANDS}
    for command in COMMANDS:
        shown = CliRunner().invoke(cli, [command.name, "--help"]).output
        assert all(f"bayeslaw {example}\n" in shown for example in EXAMPLES[command.name])
        assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_an_example_can_be_parsed(line):
    name, *args = shlex.split(line)
    command = cli.commands[name]
    with click.Context(cli) as parent:
        command.make_context(name, args, parent=parent)
