"""What an apply is expected to do with the services of a sandbox, in one line for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.render.words import plural, safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.model.service_operation import ExpectedServices, ServiceOperation

MOST_SHOWN = 30


def services_title(expected: ExpectedServices) -> str:
    """Return the title of the line: it says where what happens may still differ."""
    return "services" if expected.exact else "services (expected)"


def services_line(expected: ExpectedServices) -> str:
    """Return ``web recreate (config/shop.conf), db keep``; what is kept comes last, together."""
    return ", ".join(line for _, line in service_lines(expected)) or "none"


def service_lines(expected: ExpectedServices) -> Iterator[tuple[bool, str]]:
    """Yield whether something happens, and what: a service each, then those that are kept; or why that is not known."""
    if expected.unknown:
        yield False, f"unknown: {safe(expected.unknown)}" + (f"; {safe(expected.hint)}" if expected.hint else "")
        return
    acting = [one for one in expected.operations if one.action != "keep"]
    kept = [safe(one.service) for one in expected.operations if one.action == "keep"]
    yield from ((True, _operation(one)) for one in acting[:MOST_SHOWN])
    if len(acting) > MOST_SHOWN:
        yield True, f"and {plural(len(acting) - MOST_SHOWN, 'more service')}"
    if kept:
        rest = [f"{len(kept) - MOST_SHOWN} more"] if len(kept) > MOST_SHOWN else []
        yield False, f"{', '.join([*kept[:MOST_SHOWN], *rest])} keep"


def _operation(operation: ServiceOperation) -> str:
    details = ", ".join(map(safe, operation.details)) or safe(operation.words)
    return f"{safe(operation.service)} {operation.action} ({details})"
