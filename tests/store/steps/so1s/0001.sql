CREATE TABLE so1s_inbox (
    source VARCHAR(255) NOT NULL, 
    event_id VARCHAR(255) NOT NULL, 
    attempts INTEGER NOT NULL, 
    received_at FLOAT NOT NULL, 
    handled_at FLOAT, 
    buried_at FLOAT, 
    PRIMARY KEY (source, event_id)
);

CREATE INDEX so1s_inbox_received_at ON so1s_inbox (received_at);

CREATE TABLE so1s_outbox (
    position BIGSERIAL NOT NULL, 
    event_id VARCHAR(255) NOT NULL, 
    topic VARCHAR(249) NOT NULL, 
    key BYTEA, 
    headers BYTEA NOT NULL, 
    value BYTEA, 
    created_at FLOAT NOT NULL, 
    sent_at FLOAT, 
    refusals INTEGER DEFAULT '0' NOT NULL, 
    refused_at FLOAT, 
    refusal TEXT, 
    retry_at FLOAT, 
    PRIMARY KEY (position), 
    UNIQUE (event_id)
);

CREATE INDEX so1s_outbox_unsent ON so1s_outbox (position) WHERE sent_at IS NULL;

CREATE TABLE so1s_leases (
    name VARCHAR(255) NOT NULL, 
    holder VARCHAR(255) NOT NULL, 
    expires_at FLOAT NOT NULL, 
    PRIMARY KEY (name)
);

CREATE TABLE so1s_answers (
    position BIGSERIAL NOT NULL, 
    subject VARCHAR(255) NOT NULL, 
    revision INTEGER NOT NULL, 
    since FLOAT NOT NULL, 
    request TEXT NOT NULL, 
    event_id VARCHAR(255) NOT NULL, 
    correlation_id VARCHAR(255) NOT NULL, 
    traceparent VARCHAR(255) NOT NULL, 
    PRIMARY KEY (position), 
    UNIQUE (subject, event_id)
);
