-- A synchronous Invoke as boto3 sends it, for wrk. Prints one line of JSON at the end.
wrk.method = "POST"
wrk.body = '{"id": 4711, "name": "Ada", "items": [1, 2, 3], "note": "a small event"}'
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.headers["X-Amz-Invocation-Type"] = "RequestResponse"
wrk.headers["X-Amz-Date"] = "20260101T000000Z"
wrk.headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, "
    .. "SignedHeaders=host;x-amz-date, Signature=" .. string.rep("0", 64)

function done(summary, latency, requests)
    local errors = summary.errors
    local broken = errors.connect + errors.read + errors.write + errors.timeout
    io.write(string.format(
        'RESULT {"requests": %d, "seconds": %f, "broken": %d, "refused": %d, "p50_ms": %f, "p99_ms": %f}\n',
        summary.requests, summary.duration / 1e6, broken, errors.status,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
