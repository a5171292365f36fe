CREATE TABLE collector_cursors (
    subject VARCHAR(128) NOT NULL, 
    sampled_until_ms BIGINT NOT NULL, 
    ended BOOLEAN NOT NULL, 
    read_at_ms BIGINT NOT NULL, 
    epoch VARCHAR(128) NOT NULL, 
    counters TEXT NOT NULL, 
    PRIMARY KEY (subject)
);
