BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE "clips" (
	trial VARCHAR(64) NOT NULL, 
	role VARCHAR(200) NOT NULL, 
	clip VARCHAR(64) NOT NULL, 
	kept BOOLEAN NOT NULL, 
	CONSTRAINT pk_clips PRIMARY KEY (trial, role), 
	CONSTRAINT fk_clips_trial FOREIGN KEY(trial) REFERENCES trials (id) ON DELETE CASCADE
);
INSERT INTO "clips" VALUES('16c9002f76875c16fdab3a876fe68804','mixture','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',0);
CREATE TABLE "events" (
	ordinal INTEGER NOT NULL, 
	id VARCHAR(64) NOT NULL, 
	trial VARCHAR(64) NOT NULL, 
	made BIGINT NOT NULL, 
	received FLOAT NOT NULL, 
	payload TEXT NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (ordinal), 
	CONSTRAINT fk_events_trial FOREIGN KEY(trial) REFERENCES trials (id) ON DELETE CASCADE
);
INSERT INTO "events" VALUES(1,'event-0001','16c9002f76875c16fdab3a876fe68804',1,1.79528417579989457136e+09,'{"kind":"answer","scale":"overall","stem":"vocals","value":4}','answer');
CREATE TABLE tombstones (
	ordinal INTEGER NOT NULL, 
	trial VARCHAR(64) NOT NULL, 
	made FLOAT NOT NULL, 
	events INTEGER NOT NULL, 
	CONSTRAINT pk_tombstones PRIMARY KEY (ordinal), 
	CONSTRAINT uq_tombstones_trial UNIQUE (trial)
);
CREATE TABLE trials (
	id VARCHAR(64) NOT NULL, 
	listener VARCHAR(64) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	made FLOAT NOT NULL, 
	served TEXT NOT NULL, subject VARCHAR(64), 
	CONSTRAINT pk_trials PRIMARY KEY (id)
);
INSERT INTO "trials" VALUES('16c9002f76875c16fdab3a876fe68804','listener-of-the-past','rating',1.7952841757946922779e+09,'{"model":"vocals"}',NULL);
CREATE INDEX ix_trials_listener ON trials (listener);
CREATE INDEX ix_trials_subject ON trials (subject);
CREATE UNIQUE INDEX ix_events_trial_id ON events (trial, id);
CREATE INDEX ix_clips_clip ON clips (clip);
COMMIT;
