"""Servers that misbehave: Toxiproxy stands before Redis and PostgreSQL, and commands meet what it does.

`proxy` starts it and says to it what to do, `relay` tells when; `site` has servers and homes, `tasks` has
commands; `trials` disturbs and judges. `python -m tests.toxic` goes through all of them, and
`tests/test_toxic.py` through a few.
"""
