"""Data sets from Feast, layers, models, metrics and figures. Never imports pyspark."""

import os

# Boosted trees work in thousands of short parallel steps. By default OpenMP's threads spin between them: on a
# machine that does anything else at the same time, that made training twenty times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
