"""Fuzzed files: whatever stands in a file, the product reads its good rows or refuses it in one sentence.

`python -m tests.fuzzing` makes as many as one likes; `test_fuzzing.py` makes a few.
"""
