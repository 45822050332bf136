"""Ctrl-C and SIGTERM: the first asks the work to stop, the second ends the program at once."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from limner.domain.event import CancelToken

STOPPED = 130
"""The exit status of a program that was asked to stop: 128 + SIGINT."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h"
_END = b"\0"


@contextmanager
def stopping(say: Callable[[str], None]) -> Iterator[CancelToken]:
    """Within this, signals set the token instead of ending the program.

    Python runs signal handlers between its own instructions, so a network that computes for
    seconds would delay them. The bytes that signals leave on a socket are read by a thread,
    which needs no pause.
    """
    token = CancelToken()
    inner, outer = socket.socketpair()
    outer.setblocking(False)
    before = {one: signal.signal(one, lambda *_: None) for one in _SIGNALS}
    previous = signal.set_wakeup_fd(outer.fileno(), warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(inner, token, say), daemon=True)
    listener.start()
    try:
        yield token
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        signal.set_wakeup_fd(previous)
        outer.send(_END)
        listener.join()
        inner.close()
        outer.close()


def _listen(inner: socket.socket, token: CancelToken, say: Callable[[str], None]) -> None:
    while True:
        for number in inner.recv(64) or _END:
            if number == _END[0]:
                return
            if number not in _SIGNALS:
                continue
            if token.cancelled:
                if sys.stderr.isatty():
                    os.write(2, _SHOW_CURSOR)
                os._exit(STOPPED)
            token.cancel()
            say("Stopping after this step. Ctrl-C once more stops at once.")
