"""Settings of other Postgres targets, and what to write in their place, for configurations that move over.

MeltanoLabs' target-postgres, pipelinewise-target-postgres, datamill's target-postgres, Airbyte's destination-postgres
and dlt's postgres destination. A name that they share with this target is no foreign one, and not in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_MAXIMUM: Final = "leave it out: a checkpoint is bounded by batch_size_rows, checkpoint_seconds and memory"
_ALWAYS: Final = "leave it out: it is always so"

HINTS: Final[Mapping[str, str]] = {
    # MeltanoLabs
    "sqlalchemy_url": "write database_url",
    "dialect+driver": "leave it out: the driver is psycopg2",
    "activate_version": "write process_activate_version_messages",
    "use_copy": _ALWAYS,
    "sanitize_null_text_characters": "leave it out: a NUL character always becomes U+FFFD",
    "ssl_enable": "write ssl_mode: verify-full, or another of libpq's modes",
    "ssl_client_certificate_enable": "leave it out: ssl_client_certificate is used where it is given",
    "ssl_storage_directory": "leave it out: texts of certificates are private files only while the connection is made",
    # pipelinewise
    "dbname": "write database",
    "ssl": "write ssl_mode: require, or better verify-full",
    "flush_all_streams": _ALWAYS,
    "parallelism": "leave it out: a checkpoint takes all streams in one transaction",
    "max_parallelism": "leave it out: a checkpoint takes all streams in one transaction",
    "parallelism_max": "leave it out: a checkpoint takes all streams in one transaction",
    "default_target_schema_select_permission": "write grants: [{role: NAME}]",
    "default_target_schema_select_permissions": "write grants: [{role: NAME}]",
    "add_metadata_columns": "write add_record_metadata",
    "target_schema_select_permissions": "write grants: [{role: NAME}]",
    "target_schema_select_permission": "write grants: [{role: NAME}]",
    "indices": "write after_run_sql: CREATE INDEX IF NOT EXISTS …",
    "data_flattening_max_level": "write flattening_enabled: true and flattening_max_depth",
    "primary_key_required": "leave it out: a stream without key properties gets a row for each record",
    "temp_dir": "leave it out: no file is written",
    "disable_table_cache": "leave it out: the catalog is asked at each SCHEMA",
    # datamill
    "postgres_host": "write host",
    "postgres_port": "write port",
    "postgres_database": "write database",
    "postgres_username": "write user",
    "postgres_password": "write password",
    "postgres_schema": "write default_target_schema",
    "postgres_sslmode": "write ssl_mode",
    "postgres_sslcert": "write ssl_client_certificate",
    "postgres_sslkey": "write ssl_client_private_key",
    "postgres_sslrootcert": "write ssl_certificate_authority",
    "postgres_sslcrl": "write it into database_url: …?sslcrl=FILE",
    "invalid_records_detect": "write on_invalid_record: fail, or dead_letter where it was false",
    "invalid_records_threshold": "write on_invalid_record: dead_letter, which has no threshold",
    "disable_collection": "leave it out: nothing is collected",
    "logging_level": "set the environment variable TARGET_EVENTGEN_LOGLEVEL",
    "persist_empty_tables": "leave it out: a table is made with its SCHEMA",
    "max_batch_rows": "write batch_size_rows",
    "max_buffer_size": _MAXIMUM,
    "batch_detection_threshold": _MAXIMUM,
    "state_support": _ALWAYS,
    "add_upsert_indexes": "leave it out: the primary key is the only index that is needed",
    "before_run_sql_file": "write before_run_sql, the SQL itself",
    "after_run_sql_file": "write after_run_sql, the SQL itself",
    "application_name": "leave it out: connections are called target-eventgen",
    # Airbyte
    "schema": "write default_target_schema",
    "username": "write user",
    "jdbc_url_params": "write database_url with libpq's parameters: …?NAME=VALUE&…",
    "tunnel_method": "write ssh_tunnel: {enable: true, host, port, username, private_key, host_key}",
    "raw_data_schema": "leave it out: there are no raw tables",
    "disable_type_dedupe": "write load_method: append-only, for tables of all records",
    "drop_cascade": "leave it out: no table is dropped",
    "unconstrained_number": _ALWAYS,
    "cdc_deletion_mode": "write hard_delete: true, or false for soft deletes",
    "ca_certificate": "write ssl_certificate_authority",
    "client_certificate": "write ssl_client_certificate",
    "client_key": "write ssl_client_private_key",
    "client_key_password": "write it into database_url: …?sslpassword=PASSWORD",
    # dlt
    "credentials": "write database_url, or host, port, user, password and database",
    "drivername": "leave it out: the driver is psycopg2",
    "connect_timeout": "leave it out: an attempt takes 15 seconds at most; reconnect_seconds says how long to try",
    "query": "write database_url with libpq's parameters: …?NAME=VALUE&…",
    "dataset_name": "write default_target_schema",
    "default_schema_name": "write default_target_schema",
    "create_indexes": "leave it out: the primary key is the only index that is needed",
    "csv_format": "leave it out: rows are copied as text, and BATCH messages name their own format",
    "write_disposition": "write load_method: append-only for append, overwrite for replace, upsert for merge",
    "replace_strategy": "write load_method: overwrite, which never empties a table before it is filled",
    "staging_dataset_name_layout": "leave it out: staging tables are temporary",
    "truncate_tables_on_staging_destination_before_load": "leave it out: staging tables are temporary",
    # libpq and others
    "sslmode": "write ssl_mode",
    "sslrootcert": "write ssl_certificate_authority",
    "sslcert": "write ssl_client_certificate",
    "sslkey": "write ssl_client_private_key",
}
"""What to do with each of them."""


def hint(name: str) -> str:
    """Return ` (write X)` for a setting of another target, nothing for any other name."""
    return f" ({HINTS[name]})" if name in HINTS else ""
