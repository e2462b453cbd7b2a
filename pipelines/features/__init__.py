"""Feature tables from the lake's events and catalogue."""
