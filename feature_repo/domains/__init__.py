"""What is declared in the words of `feature_repo.define`: one folder a domain.

General code imports nothing of these; the edge (`app`, `cli`, papers, `definitions.py`, sources) hands it a
domain.
"""
