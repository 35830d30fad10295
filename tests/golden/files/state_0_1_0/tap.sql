SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA tap_restextract;
SET default_table_access_method = heap;
CREATE TABLE tap_restextract.cache (
    single boolean DEFAULT true NOT NULL,
    identity text NOT NULL,
    passes bigint NOT NULL,
    CONSTRAINT cache_single_check CHECK (single)
);
CREATE TABLE tap_restextract.hashes (
    stream text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    hash text NOT NULL,
    emitted bigint NOT NULL,
    seen bigint NOT NULL,
    deleted boolean DEFAULT false NOT NULL
);
CREATE TABLE tap_restextract.passes (
    stream text NOT NULL,
    begun bigint NOT NULL,
    finished bigint DEFAULT 0 NOT NULL,
    validator text,
    validated bigint DEFAULT 0 NOT NULL
);
CREATE TABLE tap_restextract.webhook_queue (
    single boolean DEFAULT true NOT NULL,
    identity text NOT NULL,
    CONSTRAINT webhook_queue_single_check CHECK (single)
);
CREATE TABLE tap_restextract.webhooks (
    sequence bigint NOT NULL,
    stream text NOT NULL COLLATE pg_catalog."C",
    source text NOT NULL,
    kind text NOT NULL,
    body text NOT NULL,
    digest uuid,
    received_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE tap_restextract.webhooks ALTER COLUMN sequence ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME tap_restextract.webhooks_sequence_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
INSERT INTO tap_restextract.cache VALUES
	(true, 'bc6ef68fe2a644e89295986ade9edcbf', 1);
INSERT INTO tap_restextract.hashes VALUES
	('sweep', '[1]', 'RPxwn4aqP9gQ', 1, 1, false),
	('sweep', '[2]', 'Okb-95HYHoPu', 1, 1, false),
	('sweep', '[3]', 'MatcLR21u3V8', 1, 1, false),
	('sweep', '[4]', 'ElR_-SL0UbFP', 1, 1, false),
	('sweep', '[5]', '00fvaxP-zvF4', 1, 1, false),
	('sweep', '[6]', 'v9i45JUEgwm3', 1, 1, false),
	('sweep', '[7]', 'sMo5FD_FVTWD', 1, 1, false);
INSERT INTO tap_restextract.passes VALUES
	('sweep', 1, 1, NULL, 1);
INSERT INTO tap_restextract.webhook_queue VALUES
	(true, '91d4aa07959246bcac16f0ca8a66aca4');
INSERT INTO tap_restextract.webhooks OVERRIDING SYSTEM VALUE VALUES
	(1, 'things', 'billing', 'thing.updated', '{"type": "thing.updated", "timestamp": "2021-03-01T00:00:01Z", "data": {"id": 1, "updated_at": "2021-03-01T00:00:01Z"}}', NULL, now()),
	(2, 'things', 'billing', 'thing.updated', '{"type": "thing.updated", "timestamp": "2021-03-01T00:00:02Z", "data": {"id": 2, "updated_at": "2021-03-01T00:00:02Z"}}', NULL, now()),
	(3, 'things', 'billing', 'thing.updated', '{"type": "thing.updated", "timestamp": "2021-03-01T00:00:03Z", "data": {"id": 3, "updated_at": "2021-03-01T00:00:03Z"}}', NULL, now());
SELECT pg_catalog.setval('tap_restextract.webhooks_sequence_seq', 3, true);
ALTER TABLE ONLY tap_restextract.cache
    ADD CONSTRAINT cache_pkey PRIMARY KEY (single);
ALTER TABLE ONLY tap_restextract.hashes
    ADD CONSTRAINT hashes_pkey PRIMARY KEY (stream, key);
ALTER TABLE ONLY tap_restextract.passes
    ADD CONSTRAINT passes_pkey PRIMARY KEY (stream);
ALTER TABLE ONLY tap_restextract.webhook_queue
    ADD CONSTRAINT webhook_queue_pkey PRIMARY KEY (single);
ALTER TABLE ONLY tap_restextract.webhooks
    ADD CONSTRAINT webhooks_digest_key UNIQUE (digest);
ALTER TABLE ONLY tap_restextract.webhooks
    ADD CONSTRAINT webhooks_pkey PRIMARY KEY (stream, sequence);
