CREATE TABLE deployments (
    account VARCHAR(20) NOT NULL, 
    name VARCHAR(40) NOT NULL, 
    revision INTEGER NOT NULL, 
    state VARCHAR(8) NOT NULL, 
    since FLOAT NOT NULL, 
    serving_revision INTEGER NOT NULL, 
    seen_revision INTEGER NOT NULL, 
    updated INTEGER NOT NULL, 
    ready INTEGER NOT NULL, 
    desired INTEGER NOT NULL, 
    restarts INTEGER NOT NULL, 
    ready_revision INTEGER NOT NULL, 
    candidate_revision INTEGER NOT NULL, 
    failed_revision INTEGER NOT NULL, 
    withdrawn_revision INTEGER NOT NULL, 
    failure TEXT, 
    service TEXT NOT NULL, 
    url TEXT NOT NULL, 
    told INTEGER NOT NULL, 
    removed_revision INTEGER NOT NULL, 
    PRIMARY KEY (account, name)
);

CREATE TABLE revisions (
    account VARCHAR(20) NOT NULL, 
    name VARCHAR(40) NOT NULL, 
    revision INTEGER NOT NULL, 
    workload TEXT NOT NULL, 
    digest VARCHAR(71) NOT NULL, 
    uploaded_at FLOAT, 
    requested_by TEXT NOT NULL, 
    requested_at FLOAT NOT NULL, 
    restores INTEGER, 
    ready_at FLOAT, 
    failure TEXT, 
    event_id VARCHAR(255) NOT NULL, 
    correlation_id VARCHAR(255) NOT NULL, 
    traceparent VARCHAR(255) NOT NULL, 
    PRIMARY KEY (account, name, revision)
);

CREATE TABLE verdicts (
    account VARCHAR(20) NOT NULL, 
    name VARCHAR(40) NOT NULL, 
    digest VARCHAR(71) NOT NULL, 
    check_name VARCHAR(40) NOT NULL, 
    passed BOOLEAN NOT NULL, 
    reason TEXT NOT NULL, 
    revision INTEGER NOT NULL, 
    PRIMARY KEY (account, name, digest, check_name)
);
