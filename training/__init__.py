"""Data sets from Feast, layers, models, metrics and figures. Never imports pyspark."""
