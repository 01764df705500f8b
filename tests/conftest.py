"""What holds for all tests, however they were started."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts us in the background has Ctrl+C ignored, and what we start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
