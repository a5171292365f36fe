CREATE TABLE watches (
    key VARCHAR(255) NOT NULL, 
    state TEXT NOT NULL, 
    open BOOLEAN NOT NULL, 
    spoke_at FLOAT NOT NULL, 
    PRIMARY KEY (key)
);

CREATE INDEX watches_spoke_at ON watches (spoke_at);

CREATE TABLE incidents (
    id VARCHAR(12) NOT NULL, 
    open_key VARCHAR(255), 
    account VARCHAR(20) NOT NULL, 
    rule VARCHAR(40) NOT NULL, 
    subject VARCHAR(255) NOT NULL, 
    endpoint VARCHAR(40), 
    deployment VARCHAR(40), 
    watched BOOLEAN NOT NULL, 
    state TEXT NOT NULL, 
    opened_at FLOAT NOT NULL, 
    closed_at FLOAT, 
    revision INTEGER NOT NULL, 
    told_revision INTEGER DEFAULT '0' NOT NULL, 
    channel VARCHAR(63), 
    ts VARCHAR(63), 
    attempted_at FLOAT, 
    PRIMARY KEY (id), 
    UNIQUE (open_key)
);

CREATE INDEX incidents_account ON incidents (account, opened_at);

CREATE INDEX incidents_closed_at ON incidents (closed_at);

CREATE INDEX incidents_behind ON incidents (opened_at) WHERE told_revision < revision;

CREATE TABLE entries (
    incident VARCHAR(12) NOT NULL, 
    revision INTEGER NOT NULL, 
    state TEXT NOT NULL, 
    told BOOLEAN NOT NULL, 
    attempted_at FLOAT, 
    PRIMARY KEY (incident, revision)
);

CREATE INDEX entries_told ON entries (told);

CREATE TABLE author_rules (
    key VARCHAR(63) NOT NULL, 
    revision INTEGER NOT NULL, 
    rules TEXT NOT NULL, 
    PRIMARY KEY (key)
);

CREATE TABLE recoveries (
    key VARCHAR(255) NOT NULL, 
    at FLOAT NOT NULL, 
    PRIMARY KEY (key)
);

CREATE INDEX recoveries_at ON recoveries (at);
