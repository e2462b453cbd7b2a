"""Servers that misbehave: Toxiproxy stands before Redis and PostgreSQL, and commands meet what it does.

`proxy` starts it and says to it what to do; `relay` tells when; `trials` disturbs commands and judges them.
`python -m tests.toxic` goes through all, `tests/test_toxic.py` through a few.
"""
