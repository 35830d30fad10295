BEGIN TRANSACTION;
CREATE TABLE begun (stream text primary key, number integer not null) without rowid;
INSERT INTO "begun" VALUES('sweep_with_lookup',1);
CREATE TABLE cache (only integer primary key check (only = 1), identity text not null, passes integer not null);
INSERT INTO "cache" VALUES(1,'0fd5eb60bbeb4ca6a1122a47a2802d5b',1);
CREATE TABLE finished (stream text primary key, number integer not null) without rowid;
INSERT INTO "finished" VALUES('sweep_with_lookup',1);
CREATE TABLE hashes (
    stream text not null, key text not null, hash text not null, emitted integer not null, seen integer not null,
    deleted integer not null default 0, primary key (stream, key)
) without rowid;
INSERT INTO "hashes" VALUES('sweep_with_lookup','[1]','RPxwn4aqP9gQ',1,1,0);
INSERT INTO "hashes" VALUES('sweep_with_lookup','[2]','Okb-95HYHoPu',1,1,0);
INSERT INTO "hashes" VALUES('sweep_with_lookup','[3]','MatcLR21u3V8',1,1,0);
INSERT INTO "hashes" VALUES('sweep_with_lookup','[4]','ElR_-SL0UbFP',1,1,0);
INSERT INTO "hashes" VALUES('sweep_with_lookup','[5]','00fvaxP-zvF4',1,1,0);
INSERT INTO "hashes" VALUES('sweep_with_lookup','[6]','v9i45JUEgwm3',1,1,0);
INSERT INTO "hashes" VALUES('sweep_with_lookup','[7]','sMo5FD_FVTWD',1,1,0);
CREATE TABLE validators (stream text primary key, number integer not null, held text not null) without rowid;
CREATE INDEX hashes_seen on hashes (stream, seen);
COMMIT;
