BEGIN TRANSACTION;
CREATE TABLE begun (stream text primary key, number integer not null) without rowid;
INSERT INTO "begun" VALUES('children',1);
CREATE TABLE cache (only integer primary key check (only = 1), identity text not null, passes integer not null);
INSERT INTO "cache" VALUES(1,'b27a10376b054047803b1fb3508ad834',1);
CREATE TABLE finished (stream text primary key, number integer not null) without rowid;
INSERT INTO "finished" VALUES('children',1);
CREATE TABLE hashes (
    stream text not null, key text not null, hash text not null, emitted integer not null, seen integer not null,
    deleted integer not null default 0, primary key (stream, key)
) without rowid;
INSERT INTO "hashes" VALUES('children','[1]','read',1,1,0);
INSERT INTO "hashes" VALUES('children','[2]','read',1,1,0);
CREATE TABLE validators (stream text primary key, number integer not null, held text not null) without rowid;
CREATE INDEX hashes_seen on hashes (stream, seen);
COMMIT;
