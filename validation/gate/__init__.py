"""Great Expectations suites derived from the declarations, their Data Docs and their page."""
