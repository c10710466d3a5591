"""The program: its commands, its exit codes, and the presentation of errors."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

import click

from sandboxer.cli.choice import Choice
from sandboxer.cli.exit_codes import EXIT_DONE, EXIT_ERROR, EXIT_INTERRUPTED
from sandboxer.cli.groups import SummaryGroup
from sandboxer.cli.session import LOG_FORMATS, LOG_VARIABLE, Session
from sandboxer.errors import SandboxerError, UsageError
from sandboxer.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMANDS = {
    "validate": "sandboxer.cli.validate:validate",
    "plan": "sandboxer.cli.plan:plan",
    "show": "sandboxer.cli.show:show",
    "apply": "sandboxer.cli.apply:apply",
    "prune": "sandboxer.cli.apply:prune",
    "drift": "sandboxer.cli.drift:drift",
    "create": "sandboxer.cli.imperative:create",
    "get": "sandboxer.cli.listing:get",
    "list": "sandboxer.cli.listing:list_",
    "resume": "sandboxer.cli.imperative:resume",
    "recreate": "sandboxer.cli.imperative:recreate",
    "destroy": "sandboxer.cli.imperative:destroy",
    "wait": "sandboxer.cli.imperative:wait",
    "logs": "sandboxer.cli.logs:logs",
    "forward": "sandboxer.cli.forward:forward",
    "ssh": "sandboxer.cli.shell:ssh",
    "cp": "sandboxer.cli.copy:cp",
    "extend-ttl": "sandboxer.cli.extend:extend_ttl",
    "unlock": "sandboxer.cli.unlock:unlock",
    "render": "sandboxer.cli.render:render",
    "doctor": "sandboxer.cli.doctor:doctor",
    "events": "sandboxer.cli.events:events",
    "hub": "sandboxer.cli.hub:hub",
    "serve": "sandboxer.cli.serve:serve",
    "completion": "sandboxer.cli.completion:completion",
}


# As `--help` lists them.
GROUPS = {
    "Reconcile": ("validate", "plan", "show", "apply", "prune", "drift", "render"),
    "Sandboxes": ("create", "get", "list", "recreate", "destroy", "resume", "wait", "extend-ttl", "events"),
    "Inside a sandbox": ("logs", "forward", "ssh", "cp"),
    "Operate": ("doctor", "unlock", "hub", "serve"),
    "Setup": ("completion",),
}


class LazyGroup(SummaryGroup):
    """Group that imports its commands only when they are used, so that ``--version`` costs nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands, group by group."""
        return [name for names in GROUPS.values() for name in names]

    def sections(self, ctx: click.Context) -> Mapping[str, Sequence[str]]:  # noqa: ARG002 - as above
        """Return the command names of each group, by its title."""
        return GROUPS

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name; None for an unknown one, which click then reports."""
        path = COMMANDS.get(cmd_name)
        if path is None:
            return None
        module, name = path.split(":")
        command: click.Command = getattr(import_module(module), name)
        if ctx.resilient_parsing:  # a shell asks for completions
            from sandboxer.cli.completion import completes

            completes(command, cmd_name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("-C", "directory", metavar="DIR", help="Run in DIR.")
@click.option(
    "--log-format",
    type=Choice(LOG_FORMATS),
    default="text",
    envvar=LOG_VARIABLE,
    show_default=True,
    show_envvar=True,
    help="The format of standard error.",
)
@click.pass_context
def cli(context: click.Context, directory: str | None, log_format: str) -> None:
    """Short-lived, isolated environments on machines you own, reconciled from git over SSH.

    A fleet is a folder with a sandboxer.yaml; every folder within it will do for a command. Commit Sandbox manifests,
    review the plan, and apply it to the hosts.

    \b
    Examples:
      sandboxer validate            check all manifests, without contacting a host
      sandboxer plan                show what would change, and why
      sandboxer apply               make the hosts match git, after confirmation
      sandboxer -C ../fleet list    list the sandboxes of another fleet
    """
    session = context.ensure_object(Session)
    session.name(context.invoked_subcommand or "")
    session.use_log_format(log_format)
    if directory is not None:
        try:
            os.chdir(directory)
        except OSError as error:
            raise click.UsageError(f"-C {directory}: {error.strerror}") from None


def run(arguments: Sequence[str]) -> int:
    """Run the command line; return the exit code: 0 done, 1 error, 2 differences if reported, 130 interrupted."""
    program = _program()
    if request := os.environ.get(f"_{program}_COMPLETE".upper()):
        from sandboxer.cli.completion import answer

        answer(cli, program, request)
    session, code = Session(), EXIT_ERROR
    try:
        code = _run(arguments, session, program)
        code = EXIT_INTERRUPTED if session.interrupted else code
    except Exception as error:
        if not session.logs:
            raise
        session.failed(_ours(error))
    finally:
        with suppress(KeyboardInterrupt):  # a user who interrupts again wants no traceback
            session.close(code)
    return code


def _program() -> str:
    """Return the name by which the program was called."""
    called = os.path.basename(sys.argv[0]) if sys.argv else "sandboxer"  # noqa: PTH119 - a name, not a file
    return called if called in ("sandbox", "sandboxer") else "sandboxer"


def _run(arguments: Sequence[str], session: Session, program: str) -> int:
    try:
        code = cli.main(list(arguments), prog_name=program, standalone_mode=False, obj=session)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show(sys.stdout)
        return EXIT_DONE if not arguments else EXIT_ERROR
    except click.ClickException as error:
        session.use_log_format(_requested_format(arguments))
        context = getattr(error, "ctx", None)
        hint = f"see `{context.command_path} --help`" if context else ""
        session.failed(UsageError(error.format_message(), hint=hint), error.show)
        return EXIT_ERROR
    except (click.Abort, KeyboardInterrupt) as error:
        session.notify("error", "Interrupted.")
        ended = isinstance(error.__cause__ or error.__context__, EOFError)  # a prompt without an answer
        return EXIT_ERROR if ended else EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has closed it; buffered output has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except SandboxerError as error:
        session.failed(error)
        return EXIT_ERROR
    return code if isinstance(code, int) else EXIT_DONE


def _requested_format(arguments: Sequence[str]) -> str:
    """Return the requested log format of a command line whose options could not be parsed."""
    words = [*arguments, ""]
    given = (words[at + 1] for at, word in enumerate(arguments) if word == "--log-format")
    joined = (word.partition("=")[2] for word in arguments if word.startswith("--log-format="))
    return next(iter([*given, *joined]), os.environ.get(LOG_VARIABLE, ""))


def _ours(error: Exception) -> SandboxerError:
    """Return an unforeseen error as a SandboxerError.

    It names the code location, not the message, which may contain anything.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    file = os.path.basename(trace.tb_frame.f_code.co_filename) if trace else ""  # noqa: PTH119 - a name, not a file
    where = f" at {file}:{trace.tb_lineno}" if trace else ""
    hint = "report this bug; --log-format text prints the traceback"
    return SandboxerError(f"{type(error).__name__}{where}", hint=hint)
