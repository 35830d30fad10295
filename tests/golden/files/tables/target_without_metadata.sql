table loaded.orders
  shop text
  number bigint
  total numeric
  lines jsonb
  paid boolean
  paid_on date
  at time without time zone
  token uuid
  _sdc_deleted_at timestamp with time zone
  _eventgen_version bigint not null default 0
  _eventgen_instant_history bigint[]
  _eventgen_instant text

table loaded.subscriptions
  id bigint
  value numeric
  status text
  updated_at timestamp with time zone
  _eventgen_version bigint not null default 0
  _eventgen_instant_history bigint[]
  _eventgen_instant text

table loaded.visits
  page text
  details jsonb
  _eventgen_version bigint not null default 0
  _eventgen_instant_history bigint[]
  _eventgen_instant text
