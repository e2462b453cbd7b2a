"""The online side: which rows are sent, and the stores that keep the newest of them.

Rows of one key compare by (`event_timestamp`, `created_timestamp`), to the microsecond; a missing
`created_timestamp` counts as oldest. The stores here never let an older row replace a newer one, whoever
writes it: `send`, Feast's own `materialize`, or its push. Of equal rows the one written last stays.

`send` brings what changed in the tables since it last did; `changes` finds that in Delta's log.
"""
