CREATE TABLE console_standing (
    account VARCHAR(20) NOT NULL, 
    kind VARCHAR(20) NOT NULL, 
    subject VARCHAR(64) NOT NULL, 
    aspect VARCHAR(40) NOT NULL, 
    at FLOAT NOT NULL, 
    event TEXT NOT NULL, 
    PRIMARY KEY (account, kind, subject, aspect)
);
