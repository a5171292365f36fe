CREATE TABLE console_tokens (
    id VARCHAR(12) NOT NULL, 
    digest VARCHAR(64) NOT NULL, 
    account VARCHAR(20) NOT NULL, 
    scopes JSON NOT NULL, 
    name TEXT NOT NULL, 
    created_at FLOAT NOT NULL, 
    created_by TEXT NOT NULL, 
    expires_at FLOAT NOT NULL, 
    revoked_at FLOAT, 
    last_used_at FLOAT, 
    PRIMARY KEY (id)
);

CREATE INDEX ix_console_tokens_account ON console_tokens (account);

CREATE TABLE console_audit (
    sequence BIGSERIAL NOT NULL, 
    at FLOAT NOT NULL, 
    actor TEXT NOT NULL, 
    action VARCHAR(40) NOT NULL, 
    account VARCHAR(20) NOT NULL, 
    subject TEXT NOT NULL, 
    detail JSON NOT NULL, 
    PRIMARY KEY (sequence)
);

CREATE INDEX ix_console_audit_at ON console_audit (at);

CREATE INDEX ix_console_audit_account ON console_audit (account);

CREATE TABLE console_chain_events (
    account VARCHAR(20) NOT NULL, 
    correlation_id VARCHAR(255) NOT NULL, 
    source VARCHAR(255) NOT NULL, 
    event_id VARCHAR(255) NOT NULL, 
    received_at FLOAT NOT NULL, 
    event TEXT NOT NULL, 
    PRIMARY KEY (account, correlation_id, source, event_id)
);

CREATE INDEX console_chain_events_received_at ON console_chain_events (received_at);

CREATE TABLE console_drops (
    id VARCHAR(36) NOT NULL, 
    account TEXT NOT NULL, 
    uri TEXT NOT NULL, 
    seen_at FLOAT NOT NULL, 
    gone_at FLOAT, 
    event VARCHAR(64) NOT NULL, 
    principal VARCHAR(128) NOT NULL, 
    problem TEXT NOT NULL, 
    PRIMARY KEY (id)
);

CREATE INDEX ix_console_drops_account ON console_drops (account);
