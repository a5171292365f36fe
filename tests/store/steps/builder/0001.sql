CREATE TABLE builds (
    account VARCHAR(20) NOT NULL, 
    model VARCHAR(40) NOT NULL, 
    version VARCHAR(63) NOT NULL, 
    number INTEGER NOT NULL, 
    state VARCHAR(9) NOT NULL, 
    uploaded TEXT NOT NULL, 
    uploaded_at FLOAT NOT NULL, 
    sha256 VARCHAR(64), 
    event_id VARCHAR(255) NOT NULL, 
    correlation_id VARCHAR(255) NOT NULL, 
    traceparent VARCHAR(255) NOT NULL, 
    queued_at FLOAT NOT NULL, 
    place FLOAT NOT NULL, 
    not_before FLOAT NOT NULL, 
    started_at FLOAT, 
    finished_at FLOAT, 
    tries INTEGER NOT NULL, 
    holder VARCHAR(255), 
    held_until FLOAT, 
    cancelled_by VARCHAR(255), 
    reason VARCHAR(32), 
    message TEXT, 
    image TEXT, 
    ending TEXT, 
    warnings TEXT, 
    PRIMARY KEY (account, model, version)
);

CREATE INDEX builds_state ON builds (state);

CREATE TABLE turns (
    account VARCHAR(20) NOT NULL, 
    last_started_at FLOAT NOT NULL, 
    PRIMARY KEY (account)
);

CREATE TABLE build_logs (
    account VARCHAR(20) NOT NULL, 
    model VARCHAR(40) NOT NULL, 
    version VARCHAR(63) NOT NULL, 
    number INTEGER NOT NULL, 
    try INTEGER NOT NULL, 
    position INTEGER NOT NULL, 
    at FLOAT NOT NULL, 
    lines TEXT NOT NULL, 
    PRIMARY KEY (account, model, version, number, try, position)
);

CREATE INDEX ix_build_logs_at ON build_logs (at);
