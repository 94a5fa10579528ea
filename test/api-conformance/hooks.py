"""What schemathesis does not know: how a line of NDJSON is written."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx, value):
    return value if isinstance(value, bytes) else (json.dumps(value) + "\n").encode()
