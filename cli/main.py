"""`marquee`: where it begins. Nothing else imports this."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C leaves no traceback either while what answers it is loaded.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from common import signals


def main() -> None:
    """Run the command that was typed, and end the process."""
    signals.take()
    try:
        from cli.exit_codes import run

        code = run()
        signals.work_ends()
    except KeyboardInterrupt:
        code = 130
    signals.leave(code)


if __name__ == "__main__":
    main()
