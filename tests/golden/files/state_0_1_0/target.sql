SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA eventgen;
CREATE FUNCTION eventgen.enqueue() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if current_setting('eventgen.published', true) = 'yes' then
    return null;
  end if;
  insert into eventgen.pending (publisher, slot, sequence)
  select publisher.number, (hashtextextended(event.subject, 0) & 63)::smallint, event.sequence
  from recorded as event join eventgen.publishers as publisher on (publisher.types IS NULL OR event.type LIKE ANY (publisher.types)) AND (publisher.streams IS NULL OR event.stream LIKE ANY (publisher.streams));
  if found then
    perform pg_notify('eventgen', '');
  end if;
  return null;
end
$$;
SET default_table_access_method = heap;
CREATE TABLE eventgen.blocked (
    publisher smallint NOT NULL,
    subject text NOT NULL,
    slot smallint NOT NULL,
    sequence bigint NOT NULL,
    attempts integer NOT NULL,
    reason text NOT NULL,
    due_at timestamp with time zone,
    failed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE eventgen.dead_letters (
    letter bigint NOT NULL,
    publisher smallint NOT NULL,
    sequence bigint NOT NULL,
    id text NOT NULL,
    type text NOT NULL,
    stream text NOT NULL,
    subject text NOT NULL,
    attempts integer NOT NULL,
    reason text NOT NULL,
    died_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE eventgen.dead_letters ALTER COLUMN letter ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME eventgen.dead_letters_letter_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE eventgen.events (
    sequence bigint NOT NULL,
    id text NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    "time" timestamp with time zone,
    partitionkey text NOT NULL,
    stream text NOT NULL,
    key jsonb NOT NULL,
    data jsonb NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    traceparent text,
    tracestate text
);
ALTER TABLE eventgen.events ALTER COLUMN sequence ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME eventgen.events_sequence_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE eventgen.held (
    sequence bigint NOT NULL,
    table_schema text NOT NULL,
    table_name text NOT NULL,
    key jsonb NOT NULL,
    run bigint NOT NULL,
    record jsonb NOT NULL
);
ALTER TABLE eventgen.held ALTER COLUMN sequence ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME eventgen.held_sequence_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE eventgen.invalid_records (
    sequence bigint NOT NULL,
    id text NOT NULL,
    stream text NOT NULL,
    reason text NOT NULL,
    record json NOT NULL,
    recorded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE eventgen.invalid_records ALTER COLUMN sequence ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME eventgen.invalid_records_sequence_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE eventgen.pending (
    publisher smallint NOT NULL,
    slot smallint NOT NULL,
    sequence bigint NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='20000');
CREATE TABLE eventgen.publishers (
    number smallint NOT NULL,
    name text NOT NULL,
    types text[],
    streams text[],
    registered_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE eventgen.publishers ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME eventgen.publishers_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE eventgen.runs (
    run bigint NOT NULL,
    checkpoint bigint NOT NULL,
    committed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    began_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE eventgen.slots (
    publisher smallint NOT NULL,
    slot smallint NOT NULL,
    delivered bigint DEFAULT 0 NOT NULL,
    recent double precision DEFAULT 0 NOT NULL,
    delivered_at timestamp with time zone
)
WITH (fillfactor='20');
CREATE TABLE eventgen.streams (
    table_schema text NOT NULL,
    table_name text NOT NULL,
    stream text NOT NULL,
    first_seen_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    loaded_at timestamp with time zone,
    remade boolean DEFAULT false NOT NULL,
    generations jsonb DEFAULT '{}'::jsonb NOT NULL
);
CREATE TABLE eventgen.tombstones (
    table_schema text NOT NULL,
    table_name text NOT NULL,
    key jsonb NOT NULL,
    run bigint NOT NULL,
    record jsonb NOT NULL
);
CREATE TABLE eventgen.waiting (
    publisher smallint NOT NULL,
    subject text NOT NULL,
    sequence bigint NOT NULL,
    slot smallint NOT NULL
);
CREATE TABLE public.orders (
    shop text NOT NULL,
    number bigint NOT NULL,
    total numeric,
    lines jsonb,
    paid boolean,
    paid_on date,
    at time without time zone,
    token uuid,
    _sdc_extracted_at timestamp with time zone,
    _sdc_received_at timestamp with time zone,
    _sdc_batched_at timestamp with time zone,
    _sdc_deleted_at timestamp with time zone,
    _sdc_sequence bigint,
    _sdc_table_version bigint,
    _sdc_sync_started_at bigint,
    _eventgen_version bigint DEFAULT 0 NOT NULL,
    _eventgen_story bigint[],
    _eventgen_instant text
);
CREATE TABLE public.subscriptions (
    id bigint NOT NULL,
    value numeric,
    status text,
    updated_at timestamp with time zone,
    _sdc_extracted_at timestamp with time zone,
    _sdc_received_at timestamp with time zone,
    _sdc_batched_at timestamp with time zone,
    _sdc_deleted_at timestamp with time zone,
    _sdc_sequence bigint,
    _sdc_table_version bigint,
    _sdc_sync_started_at bigint,
    _eventgen_version bigint DEFAULT 0 NOT NULL,
    _eventgen_story bigint[],
    _eventgen_instant text,
    plan text,
    _eventgen_generation integer DEFAULT 0 NOT NULL
);
CREATE TABLE public.visits (
    page text,
    details jsonb,
    _sdc_extracted_at timestamp with time zone,
    _sdc_received_at timestamp with time zone,
    _sdc_batched_at timestamp with time zone,
    _sdc_deleted_at timestamp with time zone,
    _sdc_sequence bigint,
    _sdc_table_version bigint,
    _sdc_sync_started_at bigint,
    _eventgen_version bigint DEFAULT 0 NOT NULL,
    _eventgen_story bigint[],
    _eventgen_instant text
);
INSERT INTO eventgen.blocked VALUES
	(2, 'subscriptions/2', 13, 2, 1, 'the receiver answered 400', NULL, now()),
	(2, 'subscriptions/3', 25, 14, 1, 'the receiver answered 503', now(), now());
INSERT INTO eventgen.dead_letters OVERRIDING SYSTEM VALUE VALUES
	(1, 2, 2, 'c050642a09d36a03a8c7b81a8198043a80988067070e7b6d0cf5f793c4c4a726', 'subscription.created', 'subscriptions', 'subscriptions/2', 1, 'the receiver answered 400', now());
INSERT INTO eventgen.events OVERRIDING SYSTEM VALUE VALUES
	(1, 'c0c03af3a2d4d79da1362e5677ff14f26117d4452bcc6c64d64a62a1c5fd2859', 'golden', 'subscription.created', 'subscriptions/1', '2021-03-01 00:00:01+00', '1', 'subscriptions', '{"id": 1}', '{"new": {"id": 1, "value": 50, "status": "active", "updated_at": "2021-03-01T00:00:01+00:00"}, "old": null, "changed": ["id", "value", "status", "updated_at"]}', now(), '770', NULL, NULL),
	(2, 'c050642a09d36a03a8c7b81a8198043a80988067070e7b6d0cf5f793c4c4a726', 'golden', 'subscription.created', 'subscriptions/2', '2021-03-01 00:00:01+00', '2', 'subscriptions', '{"id": 2}', '{"new": {"id": 2, "value": 150, "status": "active", "updated_at": "2021-03-01T00:00:01+00:00"}, "old": null, "changed": ["id", "value", "status", "updated_at"]}', now(), '770', NULL, NULL),
	(3, 'edd1c22f3b072d2d5197ad0a4bc74e83cb1f5cc237cd4892b1338f5691f5edf4', 'golden', 'subscription.passed_100', 'subscriptions/2', '2021-03-01 00:00:01+00', '2', 'subscriptions', '{"id": 2}', '{"new": {"id": 2, "value": 150, "status": "active", "updated_at": "2021-03-01T00:00:01+00:00"}, "old": null, "changed": ["id", "value", "status", "updated_at"]}', now(), '770', NULL, NULL),
	(4, '394b6d3d02416adbe19ec9114772ac8cd54abc608f382d1d2fd6b4662a7b9047', 'golden', 'subscription.created', 'subscriptions/3', '2021-03-01 00:00:01+00', '3', 'subscriptions', '{"id": 3}', '{"new": {"id": 3, "value": 250, "status": "active", "updated_at": "2021-03-01T00:00:01+00:00"}, "old": null, "changed": ["id", "value", "status", "updated_at"]}', now(), '770', NULL, NULL),
	(5, '69e40dbeccbca0a55d53da85ba71f492ccda795e9ee98fe5ef60f1df040e7fac', 'golden', 'subscription.passed_100', 'subscriptions/3', '2021-03-01 00:00:01+00', '3', 'subscriptions', '{"id": 3}', '{"new": {"id": 3, "value": 250, "status": "active", "updated_at": "2021-03-01T00:00:01+00:00"}, "old": null, "changed": ["id", "value", "status", "updated_at"]}', now(), '770', NULL, NULL),
	(6, '6c76c0df0247611bff9ccb3a0a41f35613aa5cc19fbad90801367c45bc53951c', 'golden', 'subscription.created', 'subscriptions/4', '2021-03-01 00:00:01+00', '4', 'subscriptions', '{"id": 4}', '{"new": {"id": 4, "value": 40, "status": "active", "updated_at": "2021-03-01T00:00:01+00:00"}, "old": null, "changed": ["id", "value", "status", "updated_at"]}', now(), '770', NULL, NULL),
	(7, 'eea79207afc0321369c185a4d7b25fa7d13d34128ff5603e63475e2e01fb6f14', 'golden', 'subscription.status', 'subscriptions/4', NULL, '4', 'subscriptions', '{"id": 4}', '{"new": {"id": 4, "value": 45, "status": "paused", "updated_at": null}, "old": {"id": 4, "value": 40, "status": "active", "updated_at": "2021-03-01T00:00:01+00:00"}, "changed": ["value", "status", "updated_at"]}', now(), '792', NULL, NULL),
	(8, '6a5192f32c9fb53ca28b103c4e67bec5dacdd51299cb0f56bc8bda806df1a1e7', 'golden', 'subscription.passed_100', 'subscriptions/1', '2021-03-01 00:00:07+00', '1', 'subscriptions', '{"id": 1}', '{"new": {"id": 1, "plan": "small", "value": 120, "status": "trial", "updated_at": "2021-03-01T00:00:07+00:00"}, "old": {"id": 1, "plan": "small", "value": 60, "status": "active", "updated_at": "2021-03-01T00:00:07+00:00"}, "changed": ["value", "status"]}', now(), '792', NULL, NULL),
	(9, '73c5d1b8bd2f501f1020ff076209010e7ae87305ea8f6d8d49e3ce5183af44bb', 'golden', 'subscription.status', 'subscriptions/1', '2021-03-01 00:00:07+00', '1', 'subscriptions', '{"id": 1}', '{"new": {"id": 1, "value": 120, "status": "trial"}, "old": {"id": 1, "value": 60, "status": "active"}, "changed": ["value", "status"]}', now(), '792', NULL, NULL),
	(10, '3d371def80bc39f7b3e9db3908872838fa3a519189ca13b310f26a94db4a6845', 'golden', 'subscription.fell', 'subscriptions/1', '2021-03-01 00:00:07+00', '1', 'subscriptions', '{"id": 1}', '{"new": {"id": 1, "plan": "small", "value": 90, "status": "active", "updated_at": "2021-03-01T00:00:07+00:00"}, "old": {"id": 1, "plan": "small", "value": 120, "status": "trial", "updated_at": "2021-03-01T00:00:07+00:00"}, "changed": ["value", "status"]}', now(), '792', NULL, NULL),
	(11, '87f44f0d5e30e77e37a73a509cbd44e3f9503775e4b5346a3b9cf02baa00668d', 'golden', 'subscription.status', 'subscriptions/1', '2021-03-01 00:00:07+00', '1', 'subscriptions', '{"id": 1}', '{"new": {"id": 1, "value": 90, "status": "active"}, "old": {"id": 1, "value": 120, "status": "trial"}, "changed": ["value", "status"]}', now(), '792', NULL, NULL),
	(12, '92ed5dbcffe114a073c2d44a2b2dfaf520d974408a191e2787275a133aa6ed31', 'golden', 'subscription.fell', 'subscriptions/2', '2021-03-01 00:00:08+00', '2', 'subscriptions', '{"id": 2}', '{"new": {"id": 2, "plan": "small", "value": 90, "status": "active", "updated_at": "2021-03-01T00:00:08+00:00"}, "old": {"id": 2, "plan": "small", "value": 150, "status": "active", "updated_at": "2021-03-01T00:00:01+00:00"}, "changed": ["value", "updated_at"]}', now(), '792', NULL, NULL),
	(13, 'df7910bb4157d364ae23694f4be869d74770606a7d87bdc7eac9e26e83169ee7', 'golden', 'subscription.passed_100', 'subscriptions/2', '2021-03-01 00:00:09+00', '2', 'subscriptions', '{"id": 2}', '{"new": {"id": 2, "plan": "large", "value": 160, "status": "active", "updated_at": "2021-03-01T00:00:09+00:00"}, "old": {"id": 2, "plan": "small", "value": 90, "status": "active", "updated_at": "2021-03-01T00:00:08+00:00"}, "changed": ["value", "updated_at", "plan"]}', now(), '792', NULL, NULL),
	(14, '71aeaf204c488eeba383a979b69b36b7ef24ec37cd444f3b4ef57713313f90e5', 'golden', 'subscription.fell', 'subscriptions/3', '2021-03-01 00:00:09+00', '3', 'subscriptions', '{"id": 3}', '{"new": {"id": 3, "plan": "small", "value": 50, "status": "active", "updated_at": "2021-03-01T00:00:09+00:00"}, "old": {"id": 3, "plan": "small", "value": 250, "status": "active", "updated_at": "2021-03-01T00:00:01+00:00"}, "changed": ["value", "updated_at"]}', now(), '792', NULL, NULL),
	(15, '6afc3a3727265ebbb4426be67ebd564ab12479d6812959dd0414ece1db7205e2', 'golden', 'subscription.created', 'subscriptions/6', '2021-03-01 00:00:10+00', '6', 'subscriptions', '{"id": 6}', '{"new": {"id": 6, "plan": "small", "value": 1, "status": "active", "updated_at": "2021-03-01T00:00:10+00:00"}, "old": null, "changed": ["id", "value", "status", "updated_at", "plan"]}', now(), '802', NULL, NULL),
	(16, '9878f1be3ed6a1422bd716be1637c40b3c15323dcb91feb7eff6134695936f7f', 'golden', 'subscription.passed_100', 'subscriptions/3', '2021-03-01 00:00:11+00', '3', 'subscriptions', '{"id": 3}', '{"new": {"id": 3, "plan": "small", "value": 260, "status": "active", "updated_at": "2021-03-01T00:00:11+00:00"}, "old": {"id": 3, "plan": "small", "value": 50, "status": "active", "updated_at": "2021-03-01T00:00:09+00:00"}, "changed": ["value", "updated_at"]}', now(), '802', NULL, NULL),
	(17, '80800cc6546a75645d5f7ea85a5ee7429580bab3c8af85d5046c65ac68425f08', 'golden', 'order.deleted', 'orders/["north", 1]', '2021-03-01 00:00:20+00', '["north", 1]', 'orders', '{"shop": "north", "number": 1}', '{"new": null, "old": {"at": "12:30:00", "paid": true, "shop": "north", "lines": [{"sku": "a", "count": 2}], "token": null, "total": 10, "number": 1, "paid_on": "2021-03-01"}, "changed": ["shop", "number", "total", "lines", "paid", "paid_on", "at"]}', now(), '807', NULL, NULL),
	(18, 'f5f8ab3cd3f6fa12717204ce46837924df6c32eccd2ec1eaf955a049cf299151', 'golden', 'order.doubled', 'orders/["north", 2]', NULL, '["north", 2]', 'orders', '{"shop": "north", "number": 2}', '{"new": {"shop": "north", "total": 45, "number": 2}, "old": {"shop": "north", "total": 20, "number": 2}, "changed": ["total"]}', now(), '807', NULL, NULL);
INSERT INTO eventgen.held OVERRIDING SYSTEM VALUE VALUES
	(1, 'public', 'subscriptions', '[1]', 2010205085713635843, '{"id": 1, "plan": "small", "value": 60, "status": "active", "updated_at": "2021-03-01T00:00:07+00:00", "_eventgen_n": 1, "_sdc_sequence": 1795813040370, "_sdc_batched_at": "2026-11-27T20:57:20.20213+00:00", "_sdc_deleted_at": null, "_eventgen_absent": null, "_sdc_received_at": "2026-11-27T20:57:20.37+00:00", "_sdc_extracted_at": "2021-03-01T00:00:59+00:00", "_sdc_table_version": null, "_sdc_sync_started_at": 1795813040195}'),
	(2, 'public', 'subscriptions', '[1]', 2010205085713635843, '{"id": 1, "plan": "small", "value": 120, "status": "trial", "updated_at": "2021-03-01T00:00:07+00:00", "_eventgen_n": 2, "_sdc_sequence": 1795813040370, "_sdc_batched_at": "2026-11-27T20:57:20.20213+00:00", "_sdc_deleted_at": null, "_eventgen_absent": null, "_sdc_received_at": "2026-11-27T20:57:20.37+00:00", "_sdc_extracted_at": "2021-03-01T00:00:59+00:00", "_sdc_table_version": null, "_sdc_sync_started_at": 1795813040195}');
INSERT INTO eventgen.invalid_records OVERRIDING SYSTEM VALUE VALUES
	(1, '3b8d259e6e2dba39ee7bf0d02c7f1fccd9cd54bd16352900168e7f2ca70ec218', 'subscriptions', 'stream "subscriptions", property "value": a record is not what its SCHEMA allows, which is type [''number'', ''null'']; correct the SCHEMA or the record in the tap, or set validate_records to false', '{"id":5,"value":"much"}', now());
INSERT INTO eventgen.pending VALUES
	(1, 14, 7),
	(1, 58, 8),
	(1, 58, 9),
	(1, 58, 10),
	(1, 58, 11),
	(1, 13, 12),
	(1, 13, 13),
	(1, 25, 14),
	(1, 59, 15),
	(1, 25, 16),
	(1, 42, 17),
	(1, 5, 18);
INSERT INTO eventgen.publishers OVERRIDING SYSTEM VALUE VALUES
	(1, 'archive', NULL, NULL, now()),
	(2, 'hook', '{subscription.%}', NULL, now());
INSERT INTO eventgen.runs VALUES
	(1372812266123843413, 2, now(), now()),
	(2010205085713635843, 2, now(), now()),
	(3508566969364513992, 2, now(), now());
INSERT INTO eventgen.slots VALUES
	(1, 0, 0, 0, NULL),
	(1, 1, 0, 0, NULL),
	(1, 2, 0, 0, NULL),
	(1, 3, 0, 0, NULL),
	(1, 4, 0, 0, NULL),
	(1, 5, 0, 0, NULL),
	(1, 6, 0, 0, NULL),
	(1, 7, 0, 0, NULL),
	(1, 8, 0, 0, NULL),
	(1, 9, 0, 0, NULL),
	(1, 10, 0, 0, NULL),
	(1, 11, 0, 0, NULL),
	(1, 12, 0, 0, NULL),
	(1, 15, 0, 0, NULL),
	(1, 16, 0, 0, NULL),
	(1, 17, 0, 0, NULL),
	(1, 18, 0, 0, NULL),
	(1, 19, 0, 0, NULL),
	(1, 20, 0, 0, NULL),
	(1, 21, 0, 0, NULL),
	(1, 22, 0, 0, NULL),
	(1, 23, 0, 0, NULL),
	(1, 24, 0, 0, NULL),
	(1, 26, 0, 0, NULL),
	(1, 27, 0, 0, NULL),
	(1, 28, 0, 0, NULL),
	(1, 29, 0, 0, NULL),
	(1, 30, 0, 0, NULL),
	(1, 13, 2, 2, now()),
	(1, 14, 1, 1, now()),
	(1, 25, 2, 2, now()),
	(1, 31, 0, 0, NULL),
	(1, 32, 0, 0, NULL),
	(1, 33, 0, 0, NULL),
	(1, 34, 0, 0, NULL),
	(1, 35, 0, 0, NULL),
	(1, 36, 0, 0, NULL),
	(1, 37, 0, 0, NULL),
	(1, 38, 0, 0, NULL),
	(1, 39, 0, 0, NULL),
	(1, 40, 0, 0, NULL),
	(1, 41, 0, 0, NULL),
	(1, 42, 0, 0, NULL),
	(1, 43, 0, 0, NULL),
	(1, 44, 0, 0, NULL),
	(1, 45, 0, 0, NULL),
	(1, 46, 0, 0, NULL),
	(1, 47, 0, 0, NULL),
	(1, 48, 0, 0, NULL),
	(1, 49, 0, 0, NULL),
	(1, 50, 0, 0, NULL),
	(1, 51, 0, 0, NULL),
	(1, 52, 0, 0, NULL),
	(1, 53, 0, 0, NULL),
	(1, 54, 0, 0, NULL),
	(1, 55, 0, 0, NULL),
	(1, 56, 0, 0, NULL),
	(1, 57, 0, 0, NULL),
	(1, 59, 0, 0, NULL),
	(1, 60, 0, 0, NULL),
	(1, 61, 0, 0, NULL),
	(1, 58, 1, 1, now()),
	(1, 62, 0, 0, NULL),
	(1, 63, 0, 0, NULL),
	(2, 0, 0, 0, NULL),
	(2, 1, 0, 0, NULL),
	(2, 2, 0, 0, NULL),
	(2, 3, 0, 0, NULL),
	(2, 4, 0, 0, NULL),
	(2, 5, 0, 0, NULL),
	(2, 6, 0, 0, NULL),
	(2, 7, 0, 0, NULL),
	(2, 8, 0, 0, NULL),
	(2, 9, 0, 0, NULL),
	(2, 10, 0, 0, NULL),
	(2, 11, 0, 0, NULL),
	(2, 12, 0, 0, NULL),
	(2, 13, 0, 0, NULL),
	(2, 15, 0, 0, NULL),
	(2, 16, 0, 0, NULL),
	(2, 17, 0, 0, NULL),
	(2, 18, 0, 0, NULL),
	(2, 19, 0, 0, NULL),
	(2, 20, 0, 0, NULL),
	(2, 21, 0, 0, NULL),
	(2, 22, 0, 0, NULL),
	(2, 23, 0, 0, NULL),
	(2, 24, 0, 0, NULL),
	(2, 26, 0, 0, NULL),
	(2, 27, 0, 0, NULL),
	(2, 28, 0, 0, NULL),
	(2, 25, 2, 2, now()),
	(2, 14, 2, 1.954313288617207, now()),
	(2, 29, 0, 0, NULL),
	(2, 30, 0, 0, NULL),
	(2, 31, 0, 0, NULL),
	(2, 32, 0, 0, NULL),
	(2, 33, 0, 0, NULL),
	(2, 34, 0, 0, NULL),
	(2, 35, 0, 0, NULL);
INSERT INTO eventgen.slots VALUES
	(2, 36, 0, 0, NULL),
	(2, 37, 0, 0, NULL),
	(2, 38, 0, 0, NULL),
	(2, 39, 0, 0, NULL),
	(2, 40, 0, 0, NULL),
	(2, 41, 0, 0, NULL),
	(2, 42, 0, 0, NULL),
	(2, 43, 0, 0, NULL),
	(2, 44, 0, 0, NULL),
	(2, 45, 0, 0, NULL),
	(2, 46, 0, 0, NULL),
	(2, 47, 0, 0, NULL),
	(2, 48, 0, 0, NULL),
	(2, 49, 0, 0, NULL),
	(2, 50, 0, 0, NULL),
	(2, 51, 0, 0, NULL),
	(2, 52, 0, 0, NULL),
	(2, 53, 0, 0, NULL),
	(2, 54, 0, 0, NULL),
	(2, 55, 0, 0, NULL),
	(2, 56, 0, 0, NULL),
	(2, 57, 0, 0, NULL),
	(2, 58, 5, 4.954312525166881, now()),
	(2, 59, 1, 1, now()),
	(2, 60, 0, 0, NULL),
	(2, 61, 0, 0, NULL),
	(2, 62, 0, 0, NULL),
	(2, 63, 0, 0, NULL);
INSERT INTO eventgen.streams VALUES
	('public', 'orders', 'orders', now(), now(), false, '{}'),
	('public', 'visits', 'visits', now(), now(), false, '{}'),
	('public', 'subscriptions', 'subscriptions', now(), now(), false, '{"plan": 1}');
INSERT INTO eventgen.tombstones VALUES
	('public', 'orders', '["north", 1]', 3508566969364513992, '{"at": "12:30:00", "paid": true, "shop": "north", "lines": [{"sku": "a", "count": 2}], "token": null, "total": 10, "number": 1, "paid_on": "2021-03-01", "_sdc_sequence": 1795813041078, "_eventgen_never": false, "_eventgen_story": [3508566969364513992, 2074925246958977893, -8784557580161781677], "_sdc_batched_at": "2026-11-27T20:57:20.978342+00:00", "_sdc_deleted_at": "2021-03-01T00:00:20+00:00", "_sdc_received_at": "2026-11-27T20:57:21.077999+00:00", "_eventgen_instant": null, "_eventgen_version": 813694978, "_sdc_extracted_at": "2021-03-01T00:00:59+00:00", "_sdc_table_version": null, "_sdc_sync_started_at": 1795813040972}');
INSERT INTO eventgen.waiting VALUES
	(2, 'subscriptions/2', 3, 13),
	(2, 'subscriptions/2', 12, 13),
	(2, 'subscriptions/2', 13, 13),
	(2, 'subscriptions/3', 16, 25);
INSERT INTO public.orders VALUES
	('north', 2, 45, NULL, NULL, NULL, NULL, '8d7f2c1e-0000-4000-8000-000000000001', '2021-03-01 00:00:59+00', now(), now(), NULL, 1795813041078, NULL, 1795813040972, 813694978, '{3508566969364513992,5634075700676054608,2457960536202937246}', NULL);
INSERT INTO public.subscriptions VALUES
	(1, 90, 'active', '2021-03-01 00:00:07+00', '2021-03-01 00:00:59+00', now(), now(), NULL, 1795813039577, NULL, 1795813039464, 807403524, '{1372812266123843413,-7345792489003526468,8495595517700793244,655596270546987187}', NULL, 'small', 1),
	(2, 160, 'active', '2021-03-01 00:00:09+00', '2021-03-01 00:00:59+00', now(), now(), NULL, 1795813039577, NULL, 1795813039464, 807403523, NULL, NULL, 'large', 1),
	(4, 45, 'paused', NULL, '2021-03-01 00:00:59+00', now(), now(), NULL, 1795813039577, NULL, 1795813039464, 807403522, '{1372812266123843413,9055921378940206261,449378267988581799}', '2021-03-01 00:00:01+00', 'small', 1),
	(6, 1, 'active', '2021-03-01 00:00:10+00', '2021-03-01 00:00:59+00', now(), now(), NULL, 1795813040370, NULL, 1795813040195, 840957953, NULL, NULL, 'small', 1),
	(3, 260, 'active', '2021-03-01 00:00:11+00', '2021-03-01 00:00:59+00', now(), now(), NULL, 1795813040370, NULL, 1795813040195, 807403523, NULL, NULL, 'small', 1);
INSERT INTO public.visits VALUES
	('/', '{"from": "a"}', '2021-03-01 00:00:59+00', now(), now(), NULL, 1795813038291, NULL, 1795813038111, 1, NULL, NULL);
SELECT pg_catalog.setval('eventgen.dead_letters_letter_seq', 1, true);
SELECT pg_catalog.setval('eventgen.events_sequence_seq', 18, true);
SELECT pg_catalog.setval('eventgen.held_sequence_seq', 2, true);
SELECT pg_catalog.setval('eventgen.invalid_records_sequence_seq', 1, true);
SELECT pg_catalog.setval('eventgen.publishers_number_seq', 2, true);
ALTER TABLE ONLY eventgen.blocked
    ADD CONSTRAINT blocked_pkey PRIMARY KEY (publisher, subject);
ALTER TABLE ONLY eventgen.dead_letters
    ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (letter);
ALTER TABLE ONLY eventgen.dead_letters
    ADD CONSTRAINT dead_letters_publisher_sequence_key UNIQUE (publisher, sequence);
ALTER TABLE ONLY eventgen.events
    ADD CONSTRAINT events_id_key UNIQUE (id);
ALTER TABLE ONLY eventgen.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (sequence);
ALTER TABLE ONLY eventgen.held
    ADD CONSTRAINT held_pkey PRIMARY KEY (sequence);
ALTER TABLE ONLY eventgen.invalid_records
    ADD CONSTRAINT invalid_records_id_key UNIQUE (id);
ALTER TABLE ONLY eventgen.invalid_records
    ADD CONSTRAINT invalid_records_pkey PRIMARY KEY (sequence);
ALTER TABLE ONLY eventgen.pending
    ADD CONSTRAINT pending_pkey PRIMARY KEY (publisher, slot, sequence);
ALTER TABLE ONLY eventgen.publishers
    ADD CONSTRAINT publishers_name_key UNIQUE (name);
ALTER TABLE ONLY eventgen.publishers
    ADD CONSTRAINT publishers_pkey PRIMARY KEY (number);
ALTER TABLE ONLY eventgen.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (run);
ALTER TABLE ONLY eventgen.slots
    ADD CONSTRAINT slots_pkey PRIMARY KEY (publisher, slot);
ALTER TABLE ONLY eventgen.streams
    ADD CONSTRAINT streams_pkey PRIMARY KEY (table_schema, table_name);
ALTER TABLE ONLY eventgen.tombstones
    ADD CONSTRAINT tombstones_pkey PRIMARY KEY (table_schema, table_name, key);
ALTER TABLE ONLY eventgen.waiting
    ADD CONSTRAINT waiting_pkey PRIMARY KEY (publisher, subject, sequence);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (shop, number);
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT subscriptions_pkey PRIMARY KEY (id);
CREATE INDEX blocked_due ON eventgen.blocked USING btree (publisher, slot, due_at);
CREATE INDEX held_key ON eventgen.held USING btree (table_schema, table_name, key);
CREATE TRIGGER enqueue AFTER INSERT ON eventgen.events REFERENCING NEW TABLE AS recorded FOR EACH STATEMENT EXECUTE FUNCTION eventgen.enqueue();
ALTER TABLE ONLY eventgen.slots
    ADD CONSTRAINT slots_publisher_fkey FOREIGN KEY (publisher) REFERENCES eventgen.publishers(number) ON DELETE CASCADE;
