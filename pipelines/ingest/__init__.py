"""From a source's rows to the lake's clean tables and the quarantine."""
