CREATE TABLE console_versions (
    account VARCHAR(20) NOT NULL, 
    model VARCHAR(40) NOT NULL, 
    version VARCHAR(63) NOT NULL, 
    sha256 VARCHAR(64), 
    PRIMARY KEY (account, model, version)
);
