"""Spark jobs: sources to Delta tables. Each job is a pure `compute` and a thin runner."""
