"""The words in which a domain is declared: column, role, rule, table, operation, view, task, domain.

Standard library only, and the exception that reaches people, so that any package may import it.
`feature_repo/domains` says things in these words; all other code takes what it needs to know of a domain as
an argument. A declaration that contradicts itself is refused where it is made, with a `DeclarationError`.

Time. An event's `event_timestamp` is when it happened. A feature row's `event_timestamp` is the instant *from
which it is known*: that of the last event it contains plus `KNOWN_AFTER`. Feast joins inclusively
(`feature <= label`), so a label never sees an event of its own instant, let alone a later one. Facts carry no
time; they count as known since `BEGINNING`.
"""
