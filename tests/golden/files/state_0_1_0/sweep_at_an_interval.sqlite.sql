BEGIN TRANSACTION;
CREATE TABLE begun (stream text primary key, number integer not null) without rowid;
INSERT INTO "begun" VALUES('sweep_at_an_interval',1);
CREATE TABLE cache (only integer primary key check (only = 1), identity text not null, passes integer not null);
INSERT INTO "cache" VALUES(1,'1d188ef73cdf4c3ca271cbb7dee720d9',1);
CREATE TABLE finished (stream text primary key, number integer not null) without rowid;
INSERT INTO "finished" VALUES('sweep_at_an_interval',1);
CREATE TABLE hashes (
    stream text not null, key text not null, hash text not null, emitted integer not null, seen integer not null,
    deleted integer not null default 0, primary key (stream, key)
) without rowid;
INSERT INTO "hashes" VALUES('sweep_at_an_interval','[1]','RPxwn4aqP9gQ',1,1,0);
INSERT INTO "hashes" VALUES('sweep_at_an_interval','[2]','Okb-95HYHoPu',1,1,0);
INSERT INTO "hashes" VALUES('sweep_at_an_interval','[3]','MatcLR21u3V8',1,1,0);
INSERT INTO "hashes" VALUES('sweep_at_an_interval','[4]','ElR_-SL0UbFP',1,1,0);
INSERT INTO "hashes" VALUES('sweep_at_an_interval','[5]','00fvaxP-zvF4',1,1,0);
INSERT INTO "hashes" VALUES('sweep_at_an_interval','[6]','v9i45JUEgwm3',1,1,0);
INSERT INTO "hashes" VALUES('sweep_at_an_interval','[7]','sMo5FD_FVTWD',1,1,0);
CREATE TABLE validators (stream text primary key, number integer not null, held text not null) without rowid;
CREATE INDEX hashes_seen on hashes (stream, seen);
COMMIT;
