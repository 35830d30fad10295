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
  plan text
  _eventgen_generation integer not null default 0
  CREATE UNIQUE INDEX subscriptions_pkey ON public.subscriptions USING btree (id)
  constraint subscriptions_pkey PRIMARY KEY (id)
