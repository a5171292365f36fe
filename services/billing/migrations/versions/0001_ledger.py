"""Ledger, archive, windows and prices; what is booked is never changed."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

WRITTEN_ONCE = ("billing_entries", "billing_postings", "billing_archive")


def upgrade() -> None:
    op.create_table(
        "billing_windows",
        sa.Column("window", sa.String(200), primary_key=True),
        sa.Column("figures", sa.Text, nullable=False),
    )
    op.create_table(
        "billing_entries",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("window", sa.String(200), nullable=False),
        sa.Column("account", sa.String(20), nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("model", sa.String(40), nullable=False),
        sa.Column("version", sa.String(63), nullable=False),
        sa.Column("deployment", sa.String(40), nullable=False),
        sa.Column("day", sa.Date, nullable=False),
    )
    op.create_index("billing_entries_account_day", "billing_entries", ["account", "day"])
    op.create_index("billing_entries_day", "billing_entries", ["day"])
    op.create_table(
        "billing_postings",
        sa.Column("entry_id", sa.String(36), sa.ForeignKey("billing_entries.id"), primary_key=True),
        sa.Column("ledger_account", sa.String(64), primary_key=True),
        sa.Column("meter", sa.String(32)),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("amount_nano_usd", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "billing_archive",
        sa.Column(
            "sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("account", sa.String(20), nullable=False),
        sa.Column("event", sa.Text, nullable=False),
    )
    op.create_index("billing_archive_account", "billing_archive", ["account", "sequence"])
    op.create_table(
        "billing_prices",
        sa.Column("meter", sa.String(32), primary_key=True),
        sa.Column("valid_from", sa.Date, primary_key=True),
        sa.Column("nano_usd", sa.BigInteger, nullable=False),
    )
    refuse = _refuse_on_postgresql if op.get_bind().dialect.name == "postgresql" else _refuse_on_sqlite
    refuse()


def downgrade() -> None:
    raise RuntimeError("a ledger is append-only: restore a backup of the database instead")


def _refuse_on_sqlite() -> None:
    for table in WRITTEN_ONCE:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is written once'); END"
            )


def _refuse_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION billing_written_once() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is written once', TG_TABLE_NAME; END $$"
    )
    for table in WRITTEN_ONCE:
        op.execute(
            f"CREATE TRIGGER {table}_written_once BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION billing_written_once()"
        )
