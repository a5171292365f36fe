CREATE TABLE packed_layers (
    key VARCHAR(64) NOT NULL, 
    digest VARCHAR(71) NOT NULL, 
    diff_id VARCHAR(71) NOT NULL, 
    size_bytes BIGINT NOT NULL, 
    PRIMARY KEY (key)
);
