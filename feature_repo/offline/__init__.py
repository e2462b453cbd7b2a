"""The as-of offline stores: point-in-time joins as plug-ins of Feast.

Feast hands a store views, references and an entity frame; `views` and `labels` turn them into what to join
to what, `tables` knows where the rows are, and an engine does the join: `duckdb_asof` on one machine,
`spark_asof` on many.

The rules of the join, the same for every engine. For each label row and each view, of the view's rows with
the label's keys and `event_timestamp <= label`, take the latest; of rows with that instant, the one with the
newest `created_timestamp` (a missing one counts as oldest). If the view has a TTL and that row is older than
`label - ttl`, its features are null; a row exactly that old still counts. A label without such a row, or with
a null key, gets null features. Every label row comes back once, in order, its columns untouched. A label
without a timestamp is an error. With `filter_by_created_timestamp`, rows with no `created_timestamp`, or one
after the label, do not exist. Instants are compared in microseconds, which is what Delta keeps: finer label
instants are rounded down, finer feature instants up, so that rounding never shows a label its future.
"""
