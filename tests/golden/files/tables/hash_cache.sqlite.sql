-- index hashes_seen
CREATE INDEX hashes_seen on hashes (stream, seen)

-- table begun
CREATE TABLE begun (stream text primary key, number integer not null) without rowid

-- table cache
CREATE TABLE cache (only integer primary key check (only = 1), identity text not null, passes integer not null)

-- table finished
CREATE TABLE finished (stream text primary key, number integer not null) without rowid

-- table hashes
CREATE TABLE hashes (
    stream text not null, key text not null, hash text not null, emitted integer not null, seen integer not null,
    deleted integer not null default 0, primary key (stream, key)
) without rowid

-- table validators
CREATE TABLE validators (stream text primary key, number integer not null, held text not null) without rowid

-- rows of hashes
('sweep', '[1]', 'RPxwn4aqP9gQ', 1, 1, 0)
('sweep', '[2]', 'Okb-95HYHoPu', 1, 1, 0)
('sweep', '[3]', 'MatcLR21u3V8', 1, 1, 0)
('sweep', '[4]', 'ElR_-SL0UbFP', 1, 1, 0)
('sweep', '[5]', '00fvaxP-zvF4', 1, 1, 0)
('sweep', '[6]', 'v9i45JUEgwm3', 1, 1, 0)
('sweep', '[7]', 'sMo5FD_FVTWD', 1, 1, 0)
