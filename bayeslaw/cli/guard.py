"""What a command may end with: one line for a human, and an exit code for a script.

0 fine; 1 the answer is bad news (the command sets it itself, with ``ctx.exit(1)``); 2 no answer: wrong usage, bad
input, or a defect of bayeslaw; 130 interrupted. A traceback is shown only for a defect, and only with ``--debug``.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import sys
import textwrap
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import click

#: a disk that is full, or a share of it that is used up
_FULL = (errno.ENOSPC, errno.EDQUOT)
OK, BAD_NEWS, NO_ANSWER, INTERRUPTED = 0, 1, 2, 130


def say(text: str) -> None:
    """Talk: one paragraph on stderr, in the name of the program; broken between words where a person reads it."""
    text = f"bayeslaw: {text}"
    click.echo(fold(text) if sys.stderr.isatty() else text, err=True)


def fold(line: str, indent: int = 2) -> str:
    """A line broken between words to the width of the terminal, the lines after the first indented."""
    width = shutil.get_terminal_size().columns
    if len(line) <= width:
        return line
    return textwrap.fill(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


class GuardedGroup(click.Group):
    """A command group that turns every ending into the documented exit codes."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; in standalone mode leave through ``sys.exit``, otherwise return the exit code."""
        extra |= {"prog_name": prog_name, "complete_var": complete_var, "windows_expand_args": windows_expand_args}
        with warnings.catch_warnings():
            _tell_warnings()
            code = self._run(args, extra)
        if standalone_mode:
            sys.exit(code)
        return code

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of our stdout that has left, as `head` does, ends it without complaint."""
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:  # it is None where the shell closed it, as in `bayeslaw ... >&-`
                sys.stdout.flush()
            return result
        except BrokenPipeError:
            _silence_stdout()
            return OK

    def _run(self, args: Sequence[str] | None, extra: dict[str, Any]) -> int:
        try:
            result = super().main(args, standalone_mode=False, **extra)
            return result if isinstance(result, int) else OK
        except click.ClickException as error:
            _refuse(error)
            return NO_ANSWER
        except (click.Abort, KeyboardInterrupt):
            say("interrupted")
            return INTERRUPTED
        except Exception as error:
            return _explain(error, debug="--debug" in (sys.argv if args is None else args))


def _refuse(error: click.ClickException) -> None:
    """Wrong usage in one paragraph, with the command that teaches the right one; none given: the help itself."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = error.format_message().rstrip()
    hint = f" `{context.command_path} --help` tells more." if context is not None else ""
    say(f"{message}{'' if message.endswith(('.', '?', '!')) else '.'}{hint}")


def _explain(error: Exception, debug: bool) -> int:
    from bayeslaw.errors import BayeslawError

    if isinstance(error, BayeslawError):
        say(str(error))
    elif isinstance(error, OSError) and error.filename is not None:
        say(f"{error.filename}: {error.strerror}.")
    elif isinstance(error, OSError) and error.errno in _FULL:
        say(f"the answer could not be written: {error.strerror}.")
        _silence_stdout()
    elif debug:
        traceback.print_exception(error)
    else:
        first = next(iter(str(error).splitlines()), "")
        say(
            f"unexpected {type(error).__name__}: {first} -- this is a defect of bayeslaw, please report it; "
            "`bayeslaw --debug COMMAND ...` shows where it happened."
        )
    return NO_ANSWER


def _tell_warnings() -> None:
    """Print warnings as talk, without the file and line of our own code; those about data are always shown."""
    from bayeslaw.errors import DataWarning

    def show(message: Any, category: Any, filename: Any, lineno: Any, file: Any = None, line: Any = None) -> None:
        say(f"warning: {message}")

    warnings.showwarning = show
    warnings.simplefilter("always", DataWarning)


def _silence_stdout() -> None:
    """Let the interpreter's last flush of stdout go nowhere instead of failing."""
    with contextlib.suppress(io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
