"""The console over HTTP.

`POST /v1/events` says events; `GET /v1/chains/ID` tells what became of them; `POST /v1/artifacts` says
where a model's bytes go, `…/parts`, `…/complete` and `…/abort` see to those that go in parts, and on one
machine `PUT /v1/artifacts/…` takes them; `GET /v1/models/MODEL/versions` lists what was uploaded; `GET
/v1/drops` what was dropped into a bucket; `GET /v1/status` how the account
stands; `GET /v1/token` tells what a token may do. Each asks for
`Authorization: Bearer so1s_…`; errors are problem details (RFC 9457).
"""
