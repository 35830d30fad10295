"""Configurations of other Postgres targets: each setting is known here, or answered with what to write."""

from __future__ import annotations

import pytest

from target_eventgen.model import settings
from target_eventgen.model.foreign_settings import HINTS

pytestmark = pytest.mark.pure

OF_THE_SDK = {
    "batch_config",
    "faker_config",
    "flattening_enabled",
    "flattening_max_depth",
    "flattening_max_key_length",
    "flattening_separator",
    "load_method",
    "process_activate_version_messages",
    "stream_map_config",
    "stream_maps",
    "validate_records",
}
"""What singer-sdk adds to the settings of every target."""

KNOWN = {*settings.SCHEMA["properties"], *OF_THE_SDK}

# pipelinewise's last two names stand below a prefix of its schema_mapping.
TOOLS = {
    "meltanolabs-target-postgres 0.8.1": """
        host port user password database use_copy sqlalchemy_url dialect+driver default_target_schema activate_version
        hard_delete add_record_metadata interpret_content_encoding sanitize_null_text_characters ssl_enable
        ssl_client_certificate_enable ssl_mode ssl_certificate_authority ssl_client_certificate ssl_client_private_key
        ssl_storage_directory ssh_tunnel batch_config batch_size_rows faker_config flattening_enabled
        flattening_max_depth flattening_max_key_length load_method process_activate_version_messages stream_map_config
        stream_maps validate_records""",
    "pipelinewise-target-postgres 2.1.2": """
        host port user password dbname ssl batch_size_rows flush_all_streams parallelism max_parallelism
        parallelism_max default_target_schema default_target_schema_select_permission
        default_target_schema_select_permissions schema_mapping add_metadata_columns hard_delete
        data_flattening_max_level primary_key_required validate_records temp_dir disable_table_cache
        target_schema_select_permissions indices""",
    "datamill's target-postgres 0.2.4": """
        postgres_host postgres_port postgres_database postgres_username postgres_password postgres_schema
        postgres_sslmode postgres_sslcert postgres_sslkey postgres_sslrootcert postgres_sslcrl invalid_records_detect
        invalid_records_threshold disable_collection logging_level persist_empty_tables max_batch_rows max_buffer_size
        batch_detection_threshold state_support add_upsert_indexes before_run_sql after_run_sql before_run_sql_file
        after_run_sql_file application_name""",
    "Airbyte's destination-postgres 3": """
        host port database schema username password ssl ssl_mode cdc_deletion_mode jdbc_url_params raw_data_schema
        disable_type_dedupe drop_cascade unconstrained_number tunnel_method ca_certificate client_certificate
        client_key client_key_password""",
    "dlt's postgres 1.31": """
        credentials drivername database username password host port connect_timeout query dataset_name
        default_schema_name create_indexes csv_format replace_strategy staging_dataset_name_layout
        truncate_tables_on_staging_destination_before_load""",
}


@pytest.mark.parametrize("tool", TOOLS)
def test_every_setting_of_another_target_is_known_or_answered(tool: str) -> None:
    names = TOOLS[tool].split()
    assert [name for name in names if name not in KNOWN and name not in HINTS] == []


def test_a_hint_is_of_no_setting_that_exists_and_names_only_those_that_do() -> None:
    assert [name for name in HINTS if name in KNOWN] == []
    written = {word.strip(":,") for text in HINTS.values() if text.startswith("write ") for word in text.split()[1:2]}
    assert written - KNOWN == {"it"}


def test_foreign_names_are_answered_all_at_once() -> None:
    given = {"host": "db", "dbname": "x", "postgres_sslmode": "require", "activate_version": True, "hots": "db"}
    assert settings.faults(given, {name: {} for name in KNOWN}) == [
        'there is no setting "dbname" (write database)',
        'there is no setting "postgres_sslmode" (write ssl_mode)',
        'there is no setting "activate_version" (write process_activate_version_messages)',
        'there is no setting "hots" (did you mean "host"?)',
    ]


def test_what_pipelinewise_has_below_a_prefix_is_answered_with_what_to_write() -> None:
    mapping = {
        "shop": {"target_schema": "crm", "target_schema_select_permissions": ["r"], "indices": {"orders": ["x"]}}
    }
    (fault,) = settings.faults({"schema_mapping": mapping}, {name: {} for name in KNOWN})
    assert fault.startswith('schema_mapping.shop must be the name of a schema, or {"target_schema": name} alone')
    assert 'not "indices" (write after_run_sql: CREATE INDEX' in fault
    assert 'not "target_schema_select_permissions" (write grants: [{role: NAME}])' in fault
