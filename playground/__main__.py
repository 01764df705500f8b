"""Where the program starts: the window, or with arguments the command line. Imports neither before it knows which."""

from __future__ import annotations

import os
import sys


def main(argv: list[str] | None = None) -> int:
    """Without arguments open the window, with arguments do what they say. Returns the exit code."""
    if getattr(sys, "frozen", False):  # a frozen program is its own interpreter: a worker must turn off here
        import multiprocessing

        multiprocessing.freeze_support()
    fill_standard_streams()
    arguments = sys.argv[1:] if argv is None else argv
    if arguments in (["--version"], ["-V"]):
        from playground import __version__

        try:
            print(f"playground {__version__}", flush=True)
        except OSError:  # nobody reads it
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 1
        return 0
    try:
        if arguments:
            from playground import cli

            return cli.main(arguments)
        if no_screen():
            print(
                "playground: There is no screen here to open a window on.\n"
                "Start it from a desktop session, or use the command line: playground --help",
                file=sys.stderr,
            )
            return 1
        from playground.gui import app

        return app.main([])
    except KeyboardInterrupt:
        return 130
    finally:
        exec(
            ""
        )  # Python notes an interrupt inside of one (dataclasses are made so), and at its end would die of that in place of exiting


def fill_standard_streams() -> None:
    """Where the program was started without standard streams, nothing goes there. A file that is opened later would be taken for one of them:
    a worker writes its output over what has these numbers, and its own line to this process could be among that.
    """
    if os.name != "posix":
        return
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free


def no_screen() -> bool:
    """Whether Qt would find no display to connect to, which it answers with an abort."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return False
    return not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


if __name__ == "__main__":
    sys.exit(main())
