"""The one exception that reaches people."""


class MarqueeError(Exception):
    """A mistake that a person can mend.

    Its message is one clear sentence: what was wrong, where (file, row, column), and what to do.
    The command line prints it without a traceback and exits with code 2.
    """
