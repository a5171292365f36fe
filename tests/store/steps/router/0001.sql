CREATE TABLE endpoints (
    account VARCHAR(20) NOT NULL, 
    endpoint VARCHAR(40) NOT NULL, 
    revision INTEGER NOT NULL, 
    removed BOOLEAN NOT NULL, 
    acknowledged INTEGER NOT NULL, 
    degraded INTEGER NOT NULL, 
    PRIMARY KEY (account, endpoint)
);

CREATE TABLE variants (
    account VARCHAR(20) NOT NULL, 
    endpoint VARCHAR(40) NOT NULL, 
    deployment VARCHAR(40) NOT NULL, 
    state VARCHAR(9) NOT NULL, 
    weight INTEGER NOT NULL, 
    revision INTEGER NOT NULL, 
    model VARCHAR(40) NOT NULL, 
    version VARCHAR(63) NOT NULL, 
    service TEXT NOT NULL, 
    initial_percent INTEGER NOT NULL, 
    requires JSON NOT NULL, 
    joined BOOLEAN NOT NULL, 
    since FLOAT NOT NULL, 
    route_revision INTEGER NOT NULL, 
    event_id VARCHAR(255) NOT NULL, 
    correlation_id VARCHAR(255) NOT NULL, 
    traceparent VARCHAR(255) NOT NULL, 
    PRIMARY KEY (account, endpoint, deployment)
);

CREATE INDEX ix_variants_deployment ON variants (deployment);

CREATE TABLE verdicts (
    account VARCHAR(20) NOT NULL, 
    deployment VARCHAR(40) NOT NULL, 
    revision INTEGER NOT NULL, 
    check_name VARCHAR(40) NOT NULL, 
    passed BOOLEAN NOT NULL, 
    reason TEXT NOT NULL, 
    PRIMARY KEY (account, deployment, revision, check_name)
);

CREATE TABLE routes (
    account VARCHAR(20) NOT NULL, 
    endpoint VARCHAR(40) NOT NULL, 
    revision INTEGER NOT NULL, 
    weights JSON NOT NULL, 
    changed_by TEXT NOT NULL, 
    reason TEXT NOT NULL, 
    decided_at FLOAT NOT NULL, 
    applied_at FLOAT, 
    event_id VARCHAR(255) NOT NULL, 
    correlation_id VARCHAR(255) NOT NULL, 
    traceparent VARCHAR(255) NOT NULL, 
    PRIMARY KEY (account, endpoint, revision)
);

CREATE TABLE retirements (
    account VARCHAR(20) NOT NULL, 
    deployment VARCHAR(40) NOT NULL, 
    revision INTEGER NOT NULL, 
    event_id VARCHAR(255) NOT NULL, 
    correlation_id VARCHAR(255) NOT NULL, 
    traceparent VARCHAR(255) NOT NULL, 
    PRIMARY KEY (account, deployment)
);

CREATE TABLE changes (
    account VARCHAR(20) NOT NULL, 
    endpoint VARCHAR(40) NOT NULL, 
    weights JSON NOT NULL, 
    changed_by TEXT NOT NULL, 
    reason TEXT NOT NULL, 
    deadline FLOAT NOT NULL, 
    superseded BOOLEAN NOT NULL, 
    event_id VARCHAR(255) NOT NULL, 
    correlation_id VARCHAR(255) NOT NULL, 
    traceparent VARCHAR(255) NOT NULL, 
    PRIMARY KEY (event_id)
);
