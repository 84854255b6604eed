-- One request, for wrk: its arguments are the body, then the headers' names and values in turn.
-- Prints one line of JSON at the end.
wrk.method = "POST"

function init(args)
    wrk.body = args[1]
    for i = 2, #args, 2 do
        wrk.headers[args[i]] = args[i + 1]
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    local broken = errors.connect + errors.read + errors.write + errors.timeout
    io.write(string.format(
        'RESULT {"requests": %d, "seconds": %f, "broken": %d, "refused": %d, "p50_ms": %f, "p99_ms": %f}\n',
        summary.requests, summary.duration / 1e6, broken, errors.status,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
