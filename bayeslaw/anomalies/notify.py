"""Telling people: events to Slack, e-mail, webhooks and whatever else Apprise knows (the extra ``notify``)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

from bayeslaw.anomalies.events import Event
from bayeslaw.errors import DataError, FileError


class Notifier:
    """Sends the opening of events to services, each named by an Apprise address such as ``slack://...``.

    DataError where an address is not one; FileError where the package is not installed.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        with warnings.catch_warnings():
            # what its plugins import that is deprecated in Python is no news to a reader of these events
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                import apprise  # pyright: ignore[reportMissingImports]
            except ImportError:
                raise FileError("Notification needs the package apprise: pip install 'bayeslaw[notify]'.") from None
            self._service = apprise.Apprise()
            taken = [self._service.add(address) for address in addresses]
        for address, ok in zip(addresses, taken, strict=True):
            if not ok:
                scheme = address.split("://")[0]
                raise DataError(
                    f"An address that begins with {scheme!r} is not one that can be notified. Addresses look like "
                    f"slack://TOKEN_A/TOKEN_B/TOKEN_C/#channel, mailto://USER:PASSWORD@gmail.com or json://host/path."
                )

    def send(self, events: Iterable[Event]) -> bool:
        """One message for all events that opened, or that are told only once; whether every service took it."""
        news = [e for e in events if e.open or e.kind in ("rewind", "missing_steps", "gradient")]
        if not news:
            return True
        runs = sorted({e.run for e in news})
        title = f"{len(news)} event{'s' if len(news) > 1 else ''} in {', '.join(runs[:3])}"
        return bool(self._service.notify(title=title, body="\n".join(f"{e.run}: {e.message}" for e in news)))
