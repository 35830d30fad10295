table tap_restextract.cache
  single boolean not null default true
  identity text not null
  passes bigint not null
  CREATE UNIQUE INDEX cache_pkey ON tap_restextract.cache USING btree (single)
  constraint cache_pkey PRIMARY KEY (single)
  constraint cache_single_check CHECK (single)

table tap_restextract.hashes
  stream text collate "C" not null
  key text collate "C" not null
  hash text not null
  emitted bigint not null
  seen bigint not null
  deleted boolean not null default false
  CREATE UNIQUE INDEX hashes_pkey ON tap_restextract.hashes USING btree (stream, key)
  constraint hashes_pkey PRIMARY KEY (stream, key)

table tap_restextract.passes
  stream text not null
  begun bigint not null
  finished bigint not null default 0
  validator text
  validated bigint not null default 0
  CREATE UNIQUE INDEX passes_pkey ON tap_restextract.passes USING btree (stream)
  constraint passes_pkey PRIMARY KEY (stream)

table tap_restextract.webhook_queue
  single boolean not null default true
  identity text not null
  CREATE UNIQUE INDEX webhook_queue_pkey ON tap_restextract.webhook_queue USING btree (single)
  constraint webhook_queue_pkey PRIMARY KEY (single)
  constraint webhook_queue_single_check CHECK (single)

table tap_restextract.webhooks
  sequence bigint not null generated always as identity
  stream text collate "C" not null
  source text not null
  kind text not null
  body text not null
  digest uuid
  received_at timestamp with time zone not null default clock_timestamp()
  CREATE UNIQUE INDEX webhooks_digest_key ON tap_restextract.webhooks USING btree (digest)
  CREATE UNIQUE INDEX webhooks_pkey ON tap_restextract.webhooks USING btree (stream, sequence)
  constraint webhooks_digest_key UNIQUE (digest)
  constraint webhooks_pkey PRIMARY KEY (stream, sequence)
