CREATE TABLE collector_replicas (
    uid VARCHAR(63) NOT NULL, 
    ended_ms BIGINT, 
    replica TEXT NOT NULL, 
    PRIMARY KEY (uid)
);

CREATE TABLE collector_watched (
    id SERIAL NOT NULL, 
    until_ms BIGINT NOT NULL, 
    PRIMARY KEY (id)
);
