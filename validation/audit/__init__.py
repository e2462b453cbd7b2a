"""Proofs on a home's own tables: no feature holds the future, and what is served is what was trained on."""
