"""The Open Inference Protocol v2 over gRPC: the same model, limits, metrics and logs as over HTTP.

    front          hands connections of the port where HTTP is answered to gRPC's server and back
    server         gRPC's own server, which starts with the first such connection
    service        methods: what each request passes on its way
    infer, details bytes → arrays → bytes, and errors in gRPC's words; pure
    messages       the protocol's messages

Only `front` and `server` are imported before gRPC is spoken: its library takes 0.2 s and 30 MB.
"""
