"""Delta tables, their versions and changes; the one Spark session."""
