"""The command line. Each command imports what it needs inside its body, so that `--help` is instant."""
