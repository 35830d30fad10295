"""The SQL of a checkpoint, as values built by pure functions.

Theory of operation, one stream, one transaction:

    COPY → stage      every version of the checkpoint, typed, numbered in order of arrival (`stage`)
    single_pass       where it applies: one statement claims, compares and records
    two_pass          else: `claim` inserts absent keys and locks rows; `record` compares and writes rows and events

Around them stand the statements of `deletions`, `added_columns` and `replays`; `transitions` puts the versions of a key
in order, `instants` says when two of them are of one instant, `events` judges transitions by the rules. `tables` and
`renames` make the streams' tables what these statements need. No row is written within a savepoint, since a savepoint
has a transaction id of its own, and a row's xmin must show whether this transaction wrote it.

Conditions of rules stand in the statements as they were written. They have been checked alone before (see
`conditions`): there each of them had exactly these columns and this table name in sight, no more.
"""
