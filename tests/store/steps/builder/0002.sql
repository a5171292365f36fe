CREATE TABLE refused_uploads (
    account VARCHAR(20) NOT NULL, 
    model VARCHAR(40) NOT NULL, 
    version VARCHAR(63) NOT NULL, 
    refused_at FLOAT NOT NULL, 
    reason VARCHAR(32) NOT NULL, 
    message TEXT NOT NULL, 
    PRIMARY KEY (account, model, version)
);
