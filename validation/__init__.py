"""Great Expectations suites derived from the schema, their Data Docs and their page."""
