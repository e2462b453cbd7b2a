"""`marquee`: where it begins. Nothing else imports this."""

# Built in: `signal` is read from files, and Ctrl-C while it is would leave a traceback.
import _signal  # type: ignore[import-not-found]  # which typeshed does not know

if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    # Nor does it leave one while what answers it is loaded.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from common import signals


def main() -> None:
    """Run the command that was typed, and end the process."""
    try:
        signals.take()
        from cli.exit_codes import run

        code = run()
        signals.work_ends()
    except KeyboardInterrupt:
        code = 130
    signals.leave(code)


if __name__ == "__main__":
    main()
