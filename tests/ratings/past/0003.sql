BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE "clips" (
	trial VARCHAR(64) NOT NULL, 
	role VARCHAR(200) NOT NULL, 
	clip VARCHAR(64) NOT NULL, 
	kept BOOLEAN NOT NULL, 
	CONSTRAINT pk_clips PRIMARY KEY (trial, role), 
	CONSTRAINT fk_clips_trial FOREIGN KEY(trial) REFERENCES trials (id) ON DELETE CASCADE
);
INSERT INTO "clips" VALUES('cf77d9b6c0a6b05a0363fb6118dd946a','mixture','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',0);
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
INSERT INTO "events" VALUES(1,'event-0001','cf77d9b6c0a6b05a0363fb6118dd946a',1,1.79530779828718781467e+09,'{"kind":"answer","scale":"overall","stem":"vocals","value":4}','answer');
CREATE TABLE pages (
	session VARCHAR(64) NOT NULL, 
	place INTEGER NOT NULL, 
	trial VARCHAR(64) NOT NULL, 
	finished FLOAT, 
	CONSTRAINT pk_pages PRIMARY KEY (session, place), 
	CONSTRAINT fk_pages_session FOREIGN KEY(session) REFERENCES sessions (id), 
	CONSTRAINT fk_pages_trial FOREIGN KEY(trial) REFERENCES trials (id) ON DELETE CASCADE, 
	CONSTRAINT uq_pages_trial UNIQUE (trial)
);
CREATE TABLE sessions (
	id VARCHAR(64) NOT NULL, 
	study VARCHAR(64) NOT NULL, 
	pid VARCHAR(200), 
	slot INTEGER NOT NULL, 
	language VARCHAR(16) NOT NULL, 
	device TEXT NOT NULL, 
	made FLOAT NOT NULL, 
	seen FLOAT NOT NULL, 
	place INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	finished FLOAT, 
	CONSTRAINT pk_sessions PRIMARY KEY (id), 
	CONSTRAINT fk_sessions_study FOREIGN KEY(study) REFERENCES studies (name)
);
CREATE TABLE slots (
	study VARCHAR(64) NOT NULL, 
	slot INTEGER NOT NULL, 
	session VARCHAR(64), 
	CONSTRAINT pk_slots PRIMARY KEY (study, slot), 
	CONSTRAINT fk_slots_study FOREIGN KEY(study) REFERENCES studies (name), 
	CONSTRAINT fk_slots_session FOREIGN KEY(session) REFERENCES sessions (id), 
	CONSTRAINT uq_slots_session UNIQUE (session)
);
CREATE TABLE studies (
	name VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	code VARCHAR(64) NOT NULL, 
	lease FLOAT NOT NULL, 
	made FLOAT NOT NULL, 
	CONSTRAINT pk_studies PRIMARY KEY (name)
);
CREATE TABLE tombstones (
	ordinal INTEGER NOT NULL, 
	trial VARCHAR(64) NOT NULL, 
	made FLOAT NOT NULL, 
	events INTEGER NOT NULL, kind VARCHAR(32) DEFAULT 'rating' NOT NULL, 
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
INSERT INTO "trials" VALUES('cf77d9b6c0a6b05a0363fb6118dd946a','listener-of-the-past','rating',1.79530779828411722184e+09,'{"model":"vocals"}',NULL);
CREATE INDEX ix_trials_listener ON trials (listener);
CREATE INDEX ix_trials_subject ON trials (subject);
CREATE UNIQUE INDEX ix_events_trial_id ON events (trial, id);
CREATE INDEX ix_clips_clip ON clips (clip);
CREATE UNIQUE INDEX ix_sessions_study_pid ON sessions (study, pid);
COMMIT;
