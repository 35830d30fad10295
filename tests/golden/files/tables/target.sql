table eventgen.blocked
  publisher smallint not null
  subject text not null
  slot smallint not null
  sequence bigint not null
  attempts integer not null
  reason text not null
  due_at timestamp with time zone
  failed_at timestamp with time zone not null default clock_timestamp()
  CREATE INDEX blocked_due ON eventgen.blocked USING btree (publisher, slot, due_at)
  CREATE UNIQUE INDEX blocked_pkey ON eventgen.blocked USING btree (publisher, subject)
  constraint blocked_pkey PRIMARY KEY (publisher, subject)

table eventgen.dead_letters
  letter bigint not null generated always as identity
  publisher smallint not null
  sequence bigint not null
  id text not null
  type text not null
  stream text not null
  subject text not null
  attempts integer not null
  reason text not null
  died_at timestamp with time zone not null default clock_timestamp()
  source text
  table_schema text
  table_name text
  CREATE UNIQUE INDEX dead_letters_pkey ON eventgen.dead_letters USING btree (letter)
  CREATE UNIQUE INDEX dead_letters_publisher_sequence_key ON eventgen.dead_letters USING btree (publisher, sequence)
  constraint dead_letters_pkey PRIMARY KEY (letter)
  constraint dead_letters_publisher_sequence_key UNIQUE (publisher, sequence)

table eventgen.events
  sequence bigint not null generated always as identity
  id text not null
  source text not null
  type text not null
  subject text not null
  "time" timestamp with time zone
  partitionkey text not null
  stream text not null
  key jsonb not null
  data jsonb not null
  recorded_at timestamp with time zone not null default clock_timestamp()
  transaction_id xid8 not null default pg_current_xact_id()
  traceparent text
  tracestate text
  table_schema text
  table_name text
  CREATE TRIGGER enqueue AFTER INSERT ON eventgen.events REFERENCING NEW TABLE AS recorded FOR EACH STATEMENT EXECUTE FUNCTION eventgen.enqueue()
  CREATE UNIQUE INDEX events_id_key ON eventgen.events USING btree (id)
  CREATE UNIQUE INDEX events_pkey ON eventgen.events USING btree (sequence)
  constraint events_id_key UNIQUE (id)
  constraint events_pkey PRIMARY KEY (sequence)

table eventgen.held_events
  sequence bigint not null generated always as identity
  id text not null
  source text not null
  type text not null
  subject text not null
  "time" timestamp with time zone
  partitionkey text not null
  stream text not null
  key jsonb not null
  data jsonb not null
  traceparent text
  tracestate text
  table_schema text not null
  table_name text not null
  run bigint not null
  state text not null
  before_commit boolean not null
  recorded_at timestamp with time zone not null default clock_timestamp()
  transaction_id xid8 not null default pg_current_xact_id()
  decided_at timestamp with time zone
  CREATE INDEX held_events_of_keys ON eventgen.held_events USING btree (subject, sequence) WHERE (state <> 'discarded'::text)
  CREATE INDEX held_events_of_tables ON eventgen.held_events USING btree (table_schema, table_name)
  CREATE INDEX held_events_waiting ON eventgen.held_events USING btree (subject) WHERE (state = 'waiting'::text)
  CREATE UNIQUE INDEX held_events_id_key ON eventgen.held_events USING btree (id)
  CREATE UNIQUE INDEX held_events_pkey ON eventgen.held_events USING btree (sequence)
  constraint held_events_id_key UNIQUE (id)
  constraint held_events_pkey PRIMARY KEY (sequence)

table eventgen.invalid_records
  sequence bigint not null generated always as identity
  id text not null
  stream text not null
  reason text not null
  record json not null
  recorded_at timestamp with time zone not null default clock_timestamp()
  source text
  table_schema text
  table_name text
  CREATE UNIQUE INDEX invalid_records_id_key ON eventgen.invalid_records USING btree (id)
  CREATE UNIQUE INDEX invalid_records_pkey ON eventgen.invalid_records USING btree (sequence)
  constraint invalid_records_id_key UNIQUE (id)
  constraint invalid_records_pkey PRIMARY KEY (sequence)

table eventgen.parked
  sequence bigint not null generated always as identity
  table_schema text not null
  table_name text not null
  key jsonb not null
  run bigint not null
  record jsonb not null
  CREATE INDEX parked_key ON eventgen.parked USING btree (table_schema, table_name, key)
  CREATE UNIQUE INDEX parked_pkey ON eventgen.parked USING btree (sequence)
  constraint parked_pkey PRIMARY KEY (sequence)

table eventgen.pending with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=20000)
  publisher smallint not null
  slot smallint not null
  sequence bigint not null
  CREATE UNIQUE INDEX pending_pkey ON eventgen.pending USING btree (publisher, slot, sequence)
  constraint pending_pkey PRIMARY KEY (publisher, slot, sequence)

table eventgen.publishers
  number smallint not null generated always as identity
  name text not null
  types text[]
  streams text[]
  registered_at timestamp with time zone not null default clock_timestamp()
  paused_until timestamp with time zone
  pause_reason text
  off_at timestamp with time zone
  off_reason text
  sources text[]
  source text
  address text[]
  CREATE UNIQUE INDEX publishers_name_key ON eventgen.publishers USING btree (name)
  CREATE UNIQUE INDEX publishers_pkey ON eventgen.publishers USING btree (number)
  constraint publishers_name_key UNIQUE (name)
  constraint publishers_pkey PRIMARY KEY (number)

table eventgen.replaced
  table_schema text not null
  table_name text not null
  key jsonb not null
  run bigint not null
  record jsonb
  before xid not null
  count bigint
  present boolean
  written xid
  recorded_at timestamp with time zone not null default clock_timestamp()
  CREATE INDEX replaced_of_runs ON eventgen.replaced USING btree (run, table_schema, table_name, key)
  CREATE UNIQUE INDEX replaced_pkey ON eventgen.replaced USING btree (table_schema, table_name, key, run)
  constraint replaced_pkey PRIMARY KEY (table_schema, table_name, key, run)

table eventgen.runs with (fillfactor=50)
  run bigint not null
  checkpoint bigint not null
  committed_at timestamp with time zone not null default clock_timestamp()
  began_at timestamp with time zone not null default clock_timestamp()
  guarded jsonb not null default '{}'::jsonb
  CREATE UNIQUE INDEX runs_pkey ON eventgen.runs USING btree (run)
  constraint runs_pkey PRIMARY KEY (run)

table eventgen.slots with (fillfactor=20)
  publisher smallint not null
  slot smallint not null
  delivered bigint not null default 0
  recent double precision not null default 0
  delivered_at timestamp with time zone
  CREATE UNIQUE INDEX slots_pkey ON eventgen.slots USING btree (publisher, slot)
  constraint slots_pkey PRIMARY KEY (publisher, slot)
  constraint slots_publisher_fkey FOREIGN KEY (publisher) REFERENCES eventgen.publishers(number) ON DELETE CASCADE

table eventgen.streams
  table_schema text not null
  table_name text not null
  stream text not null
  first_seen_at timestamp with time zone not null default clock_timestamp()
  loaded_at timestamp with time zone
  remade boolean not null default false
  generations jsonb not null default '{}'::jsonb
  identity smallint not null default 0
  CREATE UNIQUE INDEX streams_pkey ON eventgen.streams USING btree (table_schema, table_name)
  constraint streams_pkey PRIMARY KEY (table_schema, table_name)

table eventgen.tombstones
  table_schema text not null
  table_name text not null
  key jsonb not null
  run bigint not null
  record jsonb not null
  remains jsonb
  CREATE INDEX tombstones_of_runs ON eventgen.tombstones USING btree (run) WHERE (run <> 0)
  CREATE UNIQUE INDEX tombstones_pkey ON eventgen.tombstones USING btree (table_schema, table_name, key)
  constraint tombstones_pkey PRIMARY KEY (table_schema, table_name, key)

table eventgen.waiting
  publisher smallint not null
  subject text not null
  sequence bigint not null
  slot smallint not null
  CREATE UNIQUE INDEX waiting_pkey ON eventgen.waiting USING btree (publisher, subject, sequence)
  constraint waiting_pkey PRIMARY KEY (publisher, subject, sequence)

table public.orders
  shop text not null
  number bigint not null
  total numeric
  lines jsonb
  paid boolean
  paid_on date
  at time without time zone
  token uuid
  _sdc_extracted_at timestamp with time zone
  _sdc_received_at timestamp with time zone
  _sdc_batched_at timestamp with time zone
  _sdc_deleted_at timestamp with time zone
  _sdc_sequence bigint
  _sdc_table_version bigint
  _sdc_sync_started_at bigint
  _eventgen_version bigint not null default 0
  _eventgen_instant_history bigint[]
  _eventgen_instant text
  CREATE UNIQUE INDEX orders_pkey ON public.orders USING btree (shop, number)
  constraint orders_pkey PRIMARY KEY (shop, number)

table public.subscriptions
  id bigint not null
  value numeric
  status text
  updated_at timestamp with time zone
  _sdc_extracted_at timestamp with time zone
  _sdc_received_at timestamp with time zone
  _sdc_batched_at timestamp with time zone
  _sdc_deleted_at timestamp with time zone
  _sdc_sequence bigint
  _sdc_table_version bigint
  _sdc_sync_started_at bigint
  _eventgen_version bigint not null default 0
  _eventgen_instant_history bigint[]
  _eventgen_instant text
  CREATE UNIQUE INDEX subscriptions_pkey ON public.subscriptions USING btree (id)
  constraint subscriptions_pkey PRIMARY KEY (id)

table public.visits
  page text
  details jsonb
  _sdc_extracted_at timestamp with time zone
  _sdc_received_at timestamp with time zone
  _sdc_batched_at timestamp with time zone
  _sdc_deleted_at timestamp with time zone
  _sdc_sequence bigint
  _sdc_table_version bigint
  _sdc_sync_started_at bigint
  _eventgen_version bigint not null default 0
  _eventgen_instant_history bigint[]
  _eventgen_instant text

CREATE OR REPLACE FUNCTION eventgen.enqueue()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
begin
  if current_setting('eventgen.published', true) = 'yes' then
    return null;
  end if;
  insert into eventgen.pending (publisher, slot, sequence)
  select publisher.number, (hashtextextended(event.subject, 0) & 63)::smallint, event.sequence
  from recorded as event join eventgen.publishers as publisher on (publisher.types IS NULL OR event.type LIKE ANY (publisher.types)) AND (publisher.streams IS NULL OR event.stream LIKE ANY (publisher.streams)) AND (publisher.sources IS NULL OR event.source LIKE ANY (publisher.sources));
  if found then
    perform pg_notify('eventgen', '');
  end if;
  return null;
end
$function$
