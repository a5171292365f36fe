CREATE TABLE billing_windows (
    "window" VARCHAR(200) NOT NULL, 
    figures TEXT NOT NULL, 
    PRIMARY KEY ("window")
);

CREATE TABLE billing_entries (
    id VARCHAR(36) NOT NULL, 
    "window" VARCHAR(200) NOT NULL, 
    account VARCHAR(20) NOT NULL, 
    "user" TEXT NOT NULL, 
    model VARCHAR(40) NOT NULL, 
    version VARCHAR(63) NOT NULL, 
    deployment VARCHAR(40) NOT NULL, 
    day DATE NOT NULL, 
    PRIMARY KEY (id)
);

CREATE INDEX billing_entries_account_day ON billing_entries (account, day);

CREATE INDEX billing_entries_day ON billing_entries (day);

CREATE TABLE billing_postings (
    entry_id VARCHAR(36) NOT NULL, 
    ledger_account VARCHAR(64) NOT NULL, 
    meter VARCHAR(32), 
    quantity BIGINT NOT NULL, 
    amount_nano_usd BIGINT NOT NULL, 
    PRIMARY KEY (entry_id, ledger_account), 
    FOREIGN KEY(entry_id) REFERENCES billing_entries (id)
);

CREATE TABLE billing_archive (
    sequence BIGSERIAL NOT NULL, 
    account VARCHAR(20) NOT NULL, 
    event TEXT NOT NULL, 
    PRIMARY KEY (sequence)
);

CREATE INDEX billing_archive_account ON billing_archive (account, sequence);

CREATE TABLE billing_prices (
    meter VARCHAR(32) NOT NULL, 
    valid_from DATE NOT NULL, 
    nano_usd BIGINT NOT NULL, 
    PRIMARY KEY (meter, valid_from)
);

CREATE FUNCTION billing_written_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%% is written once', TG_TABLE_NAME; END $$;

CREATE TRIGGER billing_entries_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_entries FOR EACH STATEMENT EXECUTE FUNCTION billing_written_once();

CREATE TRIGGER billing_postings_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_postings FOR EACH STATEMENT EXECUTE FUNCTION billing_written_once();

CREATE TRIGGER billing_archive_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON billing_archive FOR EACH STATEMENT EXECUTE FUNCTION billing_written_once();
